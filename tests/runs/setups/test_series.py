"""Spiking networks from the command line: options of the cell, series and digits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tauscope as ts
from tauscope.cli import main
from tauscope.models import LIFCell
from tauscope.runs.config import config_of
from tauscope.runs.folder import read_metrics
from tauscope.tasks import Digits, Series

SMALL = ["--epochs", "1", "--steps_per_epoch", "2", "--batch_size", "3", "--test_steps", "1", "-nn", "6", "-s", "0"]


def cell_of(**options: object) -> LIFCell:
    (cell,) = config_of({"seed": 0, **options}).model().layers
    assert isinstance(cell, LIFCell)
    return cell


def test_the_defaults_are_a_spiking_network_with_different_timescales() -> None:
    config = config_of({"task": "series", "system": "roessler"})
    assert config.name == "series_system_roessler_network_1"
    assert config.template() == Series(system="roessler")
    cell = cell_of(task="series")
    assert (cell.n_units, cell.slope, cell.reset) == (120, 5.0, "subtract")
    assert float(cell.tau.std()) > 1
    assert config_of({"task": "digits"}).template() == Digits()


def test_options_of_the_cell_reach_it() -> None:
    cell = cell_of(task="digits", mean_tau=8.0, tau_shape=0.0, slope=25.0, reset="zero")
    assert torch.equal(cell.tau, torch.full((120,), 8.0))
    assert (cell.slope, cell.reset) == (25.0, "zero")
    assert float(cell_of(task="series", clusters=3, mean_tau=20.0).tau.mean()) > 10


@pytest.mark.parametrize("task", ["series", "digits"])
def test_a_run_is_trained_and_loaded(tmp_path: Path, task: str) -> None:
    assert main(["train", "--task", task, *SMALL, "-b", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    (record,) = read_metrics(run)
    assert 0 <= record["error" if task == "series" else "accuracy"][0] < 10
    model = ts.load(run)
    assert model.tau is not None
    # Timescales are no parameters, but are kept.
    assert torch.equal(model.tau, cell_of(task=task, num_neurons=6).tau)


def test_N_parity_is_trained_by_surrogate_gradients(tmp_path: Path) -> None:
    assert main(["train", "--task", "parity", "--cell", "lif", "--max_N", "3", *SMALL, "-b", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    assert run.name == "cumulative_parity_size_6_lif_network_1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "series", "--mean_tau", "0"], "mean_tau is 0.0: expected a number above 0"),
        (["--task", "series", "--clusters", "0"], "clusters is 0: expected at least 1"),
        (["--task", "series", "--slope", "-1"], "slope is -1.0"),
        (["--task", "series", "--reset", "zeros"], "did you mean 'zero'"),
        (["--task", "series", "--cell", "gru", "--tau_shape", "2"], "tau_shape is 2.0, an option of the lif cell"),
        (["--task", "series", "--system", "lorentz"], "did you mean 'lorenz'"),
        (["--task", "digits", "--row_steps", "0"], "row_steps is 0"),
        (["--task", "series", "--cell", "liff"], "did you mean 'lif'"),
    ],
)
def test_bad_options_are_refused_in_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["train", *options, "-s", "0", "-b", str(tmp_path)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
