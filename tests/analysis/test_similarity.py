"""Distances between dynamics, with a stand-in for dsa-metric that compares eigenvalues: groups, permutations, bad input."""

from __future__ import annotations

import itertools
import math
import sys
import types
from importlib import metadata
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

import tauscope as ts
from tauscope.analysis import dynamical_similarity

FEW: dict[str, Any] = {"n_components": 2, "n_delays": 1, "rank": 2, "n_permutations": 200}


class StandIn:
    """Compares the eigenvalues of the best linear step of each network, as dsa-metric does by default."""

    asked: dict[str, Any]

    def __init__(self, networks: list[torch.Tensor], other: None, **options: Any) -> None:
        assert other is None
        assert torch.is_grad_enabled()
        torch.rand(3)  # as its rotations do, from the global generator
        type(self).asked = options
        self.networks = networks

    def fit_score(self) -> np.ndarray:
        spectra = [eigenvalues(network.double().numpy()) for network in self.networks]
        return np.array([[distance(a, b) for a in spectra] for b in spectra]).squeeze()


def eigenvalues(activity: np.ndarray) -> np.ndarray:
    before, after = (part.reshape(-1, activity.shape[2]) for part in (activity[:, :-1], activity[:, 1:]))
    return np.linalg.eigvals(np.linalg.lstsq(before, after, rcond=None)[0])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    costs = np.abs(a[:, None] - b) ** 2
    return float(costs[linear_sum_assignment(costs)].mean())


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    module = types.ModuleType("DSA")
    module.DSA = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "DSA", module)
    known = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.0.stand-in" if name == "dsa-metric" else known(name))
    return StandIn


def linear(values: tuple[float, float], n_units: int, seed: int) -> np.ndarray:
    """Trials of a linear system with these eigenvalues, in a plane that lies anyhow in a space of so many units."""
    draws = np.random.default_rng(seed)
    basis = draws.normal(size=(2, 2))
    step = basis @ np.diag(values) @ np.linalg.inv(basis)
    state, states = draws.normal(size=(20, 2)), []
    state = np.concatenate([state, -state])
    for _ in range(12):
        states.append(state)
        state = state @ step.T
    return np.stack(states, axis=1) @ np.linalg.qr(draws.normal(size=(n_units, 2)))[0].T


SLOW, FAST = (0.95, 0.7), (0.6, -0.3)


def systems(n: int = 3) -> tuple[list[np.ndarray], list[str]]:
    kinds = [(SLOW, "slow")] * n + [(FAST, "fast")] * n
    return [linear(values, 4 + i, i) for i, (values, _) in enumerate(kinds)], [name for _, name in kinds]


def test_distances_of_linear_systems_are_those_of_their_eigenvalues(stand_in: type[StandIn]) -> None:
    activity, groups = systems()
    result = dynamical_similarity(activity, groups, **FEW)
    expected = distance(np.array(SLOW), np.array(FAST))
    same = np.equal.outer(groups, groups)
    assert result.distance.values[same] == pytest.approx(0, abs=1e-6)
    assert result.distance.values[~same] == pytest.approx(expected, rel=1e-4)
    assert float(result.between) == pytest.approx(expected, rel=1e-4)
    assert float(result.within) == pytest.approx(0, abs=1e-6)
    assert result.attrs["dsa_metric"] == "2.0.stand-in"
    assert result.group.values.tolist() == groups
    assert stand_in.asked == {"n_delays": 1, "rank": 2, "score_method": "wasserstein"}


@pytest.mark.usefixtures("stand_in")
def test_the_p_value_is_the_share_of_assignments() -> None:
    activity, groups = systems()
    result = dynamical_similarity(activity, groups, **{**FEW, "n_permutations": 4000})
    # The difference is largest for the true groups and for their exchange: 2 of all ways to choose 3 of 6.
    assert float(result.p_value) == pytest.approx(2 / math.comb(6, 3), abs=0.02)
    mixed = dynamical_similarity(activity, ["a", "b", "a", "b", "a", "b"], **FEW)
    assert float(mixed.p_value) > 0.3
    assert float(mixed.between) < float(mixed.distance.max())


@pytest.mark.usefixtures("stand_in")
def test_means_are_over_pairs_of_networks() -> None:
    draws = np.random.default_rng(0)
    activity = [draws.normal(size=(10, 20, 3)).cumsum(axis=1) for _ in range(5)]
    groups = ["a", "a", "b", "b", "c"]
    result = dynamical_similarity(activity, groups, **FEW)
    pairs = list(itertools.combinations(range(5), 2))
    inside = [result.distance.values[i, j] for i, j in pairs if groups[i] == groups[j]]
    outside = [result.distance.values[i, j] for i, j in pairs if groups[i] != groups[j]]
    assert (len(inside), len(outside)) == (2, 8)
    assert float(result.within) == pytest.approx(np.mean(inside))
    assert float(result.between) == pytest.approx(np.mean(outside))


@pytest.mark.usefixtures("stand_in")
def test_a_comparison_is_repeated_exactly_and_leaves_global_chance_alone() -> None:
    activity, groups = systems(2)
    before = torch.get_rng_state()
    first, second = (dynamical_similarity(activity, groups, **FEW) for _ in range(2))
    assert first.identical(second)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("groups", "options", "line"),
    [
        (["a", "b"], {}, "2 groups of 4 networks"),
        (["a"] * 4, {}, "4 networks of the groups a: expected two groups, of which one has two networks"),
        (list("abcd"), {}, "expected two groups, of which one has two networks"),
        (list("aabb"), {"rank": 3}, "rank is 3: expected at most 2"),
        (list("aabb"), {"rank": 0}, "rank is 0"),
        (list("aabb"), {"n_delays": 12}, "trials have 12 steps: expected more than the 12 delays"),
        (list("aabb"), {"n_components": 1.5}, "n_components is 1.5"),
        (list("aabb"), {"score": "wassersten"}, "did you mean 'wasserstein'"),
        (list("aabb"), {"n_permutations": 0}, "n_permutations is 0"),
    ],
)
@pytest.mark.usefixtures("stand_in")
def test_what_cannot_be_compared_is_refused(groups: list[str], options: dict[str, Any], line: str) -> None:
    with pytest.raises(ts.InputError) as raised:
        dynamical_similarity(systems(2)[0], groups, **{**FEW, **options})
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("activity", [np.zeros((3, 4)), np.zeros((2, 0, 3)), np.full((2, 5, 3), np.nan), np.zeros((2, 5, 3), complex), np.array([["a"]])])  # fmt: skip
@pytest.mark.usefixtures("stand_in")
def test_activity_that_is_none_is_refused(activity: np.ndarray) -> None:
    with pytest.raises(ts.InputError, match="the activity of network 3"):
        dynamical_similarity([*systems(2)[0][:3], activity], list("aabb"), **FEW)


@pytest.mark.usefixtures("stand_in")
def test_what_the_package_cannot_do_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: StandIn) -> np.ndarray:
        raise RuntimeError("linalg.svd: did not converge\nfor reasons")

    monkeypatch.setattr(StandIn, "fit_score", fail)
    with pytest.raises(ts.InputError, match=r"cannot compare these networks: linalg\.svd: did not converge; "):
        dynamical_similarity(*systems(2), **FEW)
    monkeypatch.setattr(StandIn, "fit_score", lambda _: np.full((4, 4), np.nan))
    with pytest.raises(ts.InputError, match="not finite"):
        dynamical_similarity(*systems(2), **FEW)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "DSA", None)
    with pytest.raises(ts.InputError, match=r"expected pip install 'tauscope\[dsa\]'"):
        dynamical_similarity(*systems(2), **FEW)
