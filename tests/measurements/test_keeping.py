"""Measurements with options of their own: what reaches the analysis, and what a result says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import xarray as xr

import tauscope as ts
from tauscope.measurements.keeping import Asked, measure, subject_of, target
from tauscope.runs import published
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.environment import environment
from tauscope.runs.results import load_result

HERE = environment("cpu")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "cumulative_parity_size_12_network_1"
    folder.mkdir()
    model = ts.LeakyRNN(12, generator=torch.Generator().manual_seed(0), n_heads=4)
    save_weights(folder / "rnn_N2_N3", published.to_published(model))
    return folder / "rnn_N2_N3"


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
