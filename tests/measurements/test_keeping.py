"""Measurements with options of their own: what reaches the analysis, and what a result says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr

import tauscope as ts
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.measurements.keeping import Asked, measure, subject_of, target
from tauscope.runs import published
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.environment import environment
from tauscope.runs.results import load_result

HERE = environment("cpu")
FEW = {"n_trials": 2, "n_steps": 40, "warm_up": 5}
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "timescales": ({"n_trials": 2, "n_steps": 300, "max_lag": 35, "bootstrap": 0}, {"lag": 36}),
    "dimensionality": ({"n_trials": 3, "n_steps": 50, "burn_in": 5}, {"trial": 3}),
    "sequentiality": ({"n_trials": 3}, {"trial": 3, "time": 150}),
    "connectivity": ({}, {"matrix": 1}),
    "lyapunov": ({"n_exponents": 2, "n_trials": 3, "n_steps": 20, "burn_in": 5}, {"exponent": 2, "trial": 3}),
    "fixed_points": ({"n_starts": 5, "n_trials": 2}, {"trial": 2, "part": 2}),
    "parallelizability": ({"n_trials": 2, "n_steps": 20, "timed": False}, {"trial": 2, "length": 3, "solver": 3}),
    "ablation": ({"n": 1, **FEW}, {"unit": 3, "trial": 2}),
    "perturbation_recurrent": ({"epsilons": [0.0, 0.5], **FEW}, {"epsilon": 2, "trial": 2}),
    "perturbation_tau": ({"epsilons": [0.0, 0.1, 1.0], **FEW}, {"epsilon": 3, "trial": 2}),
    "retraining": (
        {"n_Ns": 2, "epochs": 1, "steps_per_epoch": 2, "batch_size": 4, "test_steps": 1}, {"N": 2, "epoch": 1}
    ),
    "forgetting": ({"beyond": 1, "n_sequences": 16}, {"N": 3}),
    "generalisation": ({"beyond": 2, "n_trials": 5, "n_steps": 40, "warm_up": 5}, {"N": 4}),
}  # fmt: skip
"""Options of every measurement, and the sizes that follow."""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "cumulative_parity_size_12_network_1"
    folder.mkdir()
    model = ts.LeakyRNN(12, generator=torch.Generator().manual_seed(0), n_heads=4)
    save_weights(folder / "rnn_N2_N3", published.to_published(model))
    return folder / "rnn_N2_N3"


@pytest.mark.parametrize("name", OPTIONS)
def test_options_reach_every_measurement(name: str) -> None:
    model = ts.LeakyRNN(12, generator=torch.Generator().manual_seed(0), n_heads=4)
    options, sizes = OPTIONS[name]
    result = MEASUREMENTS[name].measure(Subject(model, ts.Parity((1,)), (2, 3), seed=0), **options)
    assert {dimension: result.sizes[dimension] for dimension in sizes} == sizes
    assert MEASUREMENTS[name].numbers(result)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_a_measurement_does_not_have_is_not_passed_over(name: str) -> None:
    model = ts.LeakyRNN(12, generator=torch.Generator().manual_seed(0), n_heads=4)
    with pytest.raises((TypeError, ts.InputError), match="n_trails"):
        MEASUREMENTS[name].measure(Subject(model, ts.Parity((1,)), (2, 3), seed=0), n_trails=2)


def test_a_result_says_with_which_options_it_was_measured(checkpoint: Path) -> None:
    asked = Asked(
        checkpoint, "lyapunov", target(checkpoint, "lyapunov"), 3, {"n_steps": 20, "n_trials": 2, "p": (0.1, 0.9)}
    )
    assert asked.current(HERE) is None
    result = measure(asked, HERE)
    assert {path.name for path in asked.target.parent.iterdir()} == {"rnn_N2_N3_lyapunov.nc", "rnn_N2_N3_lyapunov.csv"}
    assert load_result(asked.target)[1]["options"] == {"seed": 3, "n_steps": 20, "n_trials": 2, "p": [0.1, 0.9]}
    current = asked.current(HERE)
    assert current is not None
    xr.testing.assert_identical(current, result)
    for other in ({"n_steps": 20}, {"n_steps": 21, "n_trials": 2, "p": (0.1, 0.9)}, {}):
        assert Asked(checkpoint, "lyapunov", asked.target, 3, other).current(HERE) is None


def test_results_of_other_options_lie_beside_each_other_in_folders_of_their_own(
    checkpoint: Path, tmp_path: Path
) -> None:
    run = checkpoint.parent.name
    assert target(checkpoint, "lyapunov") == checkpoint.parent / "analysis" / "rnn_N2_N3_lyapunov.nc"
    there = target(checkpoint, "lyapunov", tmp_path / "quick")
    assert there == tmp_path / "quick" / run / "analysis" / "rnn_N2_N3_lyapunov.nc"


def test_a_subject_needs_a_name_that_says_what_it_solved(checkpoint: Path) -> None:
    assert (subject_of(checkpoint, seed=5).trained, subject_of(checkpoint, seed=5).seed) == ((2, 3), 5)
    with pytest.raises(ts.InputError, match="does not say which N it solved"):
        subject_of(checkpoint.rename(checkpoint.with_name("best")))
