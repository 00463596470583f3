"""The package dsa-metric itself: distances in closed form, and a comparison of trained networks."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

import tauscope as ts
from tauscope.analysis import dynamical_similarity
from tauscope.cli import main
from tauscope.runs.results import load_result

pytestmark = pytest.mark.extras
pytest.importorskip("DSA", exc_type=ImportError)

SLOW, FAST = (0.95, 0.8, 0.5), (0.9, 0.6, -0.4)
MODELS = Path(__file__).parents[2] / "trained_models"


def linear(values: tuple[float, ...], n_units: int, seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed)
    basis = draws.normal(size=(len(values),) * 2)
    step = basis @ np.diag(values) @ np.linalg.inv(basis)
    state, states = draws.normal(size=(20, len(values))), []
    # With its mirror image each trial, so that the mean, which is removed, is 0.
    state = np.concatenate([state, -state])
    for _ in range(25):
        states.append(state)
        state = state @ step.T
    return np.stack(states, axis=1) @ np.linalg.qr(draws.normal(size=(n_units, len(values))))[0].T


def test_distances_of_linear_systems_are_those_of_their_eigenvalues() -> None:
    activity = [linear(SLOW, 6, 0), linear(SLOW, 9, 1), linear(FAST, 6, 2), linear(FAST, 5, 3)]
    before = torch.get_rng_state()
    result = dynamical_similarity(activity, list("aabb"), n_components=3, n_delays=1, rank=3)
    costs = np.subtract.outer(SLOW, FAST) ** 2
    assert float(result.between) == pytest.approx(costs[linear_sum_assignment(costs)].mean(), rel=1e-3)
    assert float(result.within) == pytest.approx(0, abs=1e-5)
    assert result.attrs["dsa_metric"] == metadata.version("dsa-metric")
    assert torch.equal(torch.get_rng_state(), before)


def test_units_that_are_turned_and_scaled_are_the_same_dynamics() -> None:
    noise = np.random.default_rng(0).normal(size=(30, 60, 4))
    for t in range(1, 60):
        noise[:, t] += 0.8 * noise[:, t - 1]
    turned = noise @ np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    white = np.random.default_rng(2).normal(size=(30, 60, 4))
    result = dynamical_similarity([noise, 3 * turned, white], ["a", "a", "b"], n_components=4, n_delays=2, rank=6)
    assert float(result.within) < 0.01 * float(result.between)


def test_silent_networks_are_as_far_from_each_other_as_nothing() -> None:
    activity = [np.zeros((4, 20, 3)), np.zeros((4, 20, 3)), np.random.default_rng(0).normal(size=(4, 20, 3))]
    result = dynamical_similarity(activity, ["a", "a", "b"], n_components=2, n_delays=2, rank=4)
    assert float(result.within) == 0
    assert float(result.between) > 0


def test_trained_networks_are_compared_from_the_command_line(tmp_path: Path) -> None:
    runs = sorted(MODELS.glob("*_network_1"))
    names = [[str(run / name), str(run)] for run, name in zip(runs, ("rnn_N2_N5", "rnn_N5_N5"), strict=False)]
    target = tmp_path / "dsa"
    options = ["-o", str(target), "--n-trials", "5"]
    assert main(["compare", "--metric", "dsa", *names[0], "--against", *names[1], *options]) == 0
    result, source = load_result(target.with_suffix(".nc"))
    assert result.sizes["network"] == 4
    assert source["environment"]["tauscope"] == ts.__version__
    assert float(result.between) > 0
