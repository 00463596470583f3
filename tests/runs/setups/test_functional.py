"""The setup of linear functionals and the maps of τ from the command line: what a run writes down, refuses and measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import tauscope as ts
from tauscope import InputError
from tauscope.cli import main
from tauscope.models import ResidualCell, TauMap
from tauscope.models.residual import margin_penalty
from tauscope.runs.config import config_of
from tauscope.runs.folder import read_metrics
from tauscope.runs.loading import load, trained_task
from tauscope.runs.results import load_result
from tauscope.tasks import Functional

SMALL = ["--steps_per_epoch", "3", "--batch_size", "4", "--test_steps", "1", "-s", "0"]


def train(folder: Path, *options: object) -> int:
    return main(["train", *map(str, options), *SMALL, "-b", str(folder)])


def only(folder: Path) -> Path:
    (run,) = folder.iterdir()
    return run


def test_the_defaults_are_those_of_the_quick_scale() -> None:
    config = config_of({"task": "functional"})
    assert config.name == "functional_network_1"
    recipe = config.recipe()
    assert recipe.epochs * recipe.steps_per_epoch == 800
    assert (recipe.lr, recipe.clip, recipe.dtype) == (0.01, 0.5, "float64")
    model = config.model()
    (cell,) = model.layers
    assert isinstance(cell, ResidualCell)
    assert (cell.afunc, cell.tau_map, cell.n_units) == ("hardtanh", "softplus", 16)
    assert cell.raw_tau.dtype == torch.float64


def test_the_margin_is_added_in_training_alone() -> None:
    config = config_of({"task": "functional"})
    (term,) = config.recipe().objective
    model = config.model()
    assert term.cost == 0.01
    assert term.measure(None, None, model) == margin_penalty(model)  # type: ignore[arg-type]


def test_a_run_is_kept_loaded_and_measured(tmp_path: Path) -> None:
    options = [
        "--task",
        "functional",
        "--rho",
        "exp",
        "--n_steps",
        12,
        "-nn",
        3,
        "--tau-map",
        "best",
        "-a",
        "tanh",
        "--mixed_decay",
        "yes",
    ]
    assert train(tmp_path, *options, "--epochs", 1) == 0
    run = only(tmp_path)
    assert "tau_map_best" in run.name
    config = json.loads((run / "config.json").read_text())
    assert (config["rho"], config["tau_map"], config["mixed_decay"]) == ("exp", "best", True)
    model = load(run)
    cell = model.layers[0]
    assert isinstance(cell, ResidualCell)
    assert (cell.tau_map, cell.mixed_decay) == ("best", True)
    assert cell.raw_tau.dtype == torch.float64, "as it was trained"
    assert trained_task(run / "rnn_memory12") == Functional("exp", 12)
    assert (
        main(
            [
                "analyze",
                "memory_function,perturbation_error",
                str(run),
                "--last",
                "--parts",
                "all,tau",
                "--sizes",
                "0.1",
            ]
        )
        == 0
    )
    result = load_result(run / "analysis" / "rnn_memory12_perturbation_error.nc")[0]
    assert result["part"].values.tolist() == ["all", "tau"]
    assert "target" in load_result(run / "analysis" / "rnn_memory12_memory_function.nc")[0]


def test_training_ends_as_soon_as_another_error_is_matched(tmp_path: Path) -> None:
    options = ["--task", "functional", "--n_steps", 5, "-nn", 3, "--stop_below", 100, "--epochs", 9]
    assert train(tmp_path, *options) == 0
    records = read_metrics(only(tmp_path))
    assert len(records) == 1
    assert records[0]["solved"]


# --- maps of τ on N-parity -------------------------------------------------------------------------------------------------


def test_a_map_is_part_of_the_folders_name_and_of_the_network(tmp_path: Path) -> None:
    assert train(tmp_path, "-nn", 4, "--tau-map", "sigmoid", "--epochs", 1) == 0
    run = only(tmp_path)
    assert run.name == "cumulative_parity_size_4_tau_map_sigmoid_network_1"
    assert json.loads((run / "config.json").read_text())["tau_map"] == "sigmoid"
    loaded = load(run / "rnn_init")
    tau = loaded.tau
    assert tau is not None
    torch.testing.assert_close(TauMap("sigmoid").tau(loaded.cells[0].raw_tau), tau)
    # A checkpoint whose configuration is lost says its map by its folder's name.
    (run / "config.json").unlink()
    again = load(run / "rnn_init").tau
    assert again is not None
    assert torch.equal(again, tau)


@pytest.mark.parametrize("cell", ["leaky", "ssm"])
def test_a_matched_map_and_a_filter_are_kept_and_loaded(cell: str, tmp_path: Path) -> None:
    assert (
        train(
            tmp_path,
            "--task",
            "filter",
            "--cell",
            cell,
            "--tau-map",
            "matched_best",
            "-nn",
            4,
            "--n_steps",
            9,
            "--epochs",
            1,
        )
        == 0
    )
    run = only(tmp_path)
    assert "tau_map_matched_best" in run.name
    loaded = load(run / "rnn_memory9")
    (kept,) = loaded.cells
    assert kept.tau_map == "matched_best"
    torch.testing.assert_close(TauMap("matched_best").tau(kept.raw_tau), 1 + kept.raw_tau.square() / 2)


def test_the_default_writes_what_it_always_wrote(tmp_path: Path) -> None:
    assert train(tmp_path, "-nn", 4, "--tau-map", "clamp", "--epochs", 1) == 0
    run = only(tmp_path)
    assert run.name == "cumulative_parity_size_4_network_1"
    assert "tau_map" not in json.loads((run / "config.json").read_text())


@pytest.mark.parametrize("tau_map", ["inverse", "best"])
def test_a_saved_network_keeps_its_map(tmp_path: Path, tau_map: str) -> None:
    model = ts.LeakyRNN(5, n_heads=1, tau_map=tau_map, generator=torch.Generator().manual_seed(0))
    ts.save(model, tmp_path / "kept", task=ts.Parity([2]))
    said = json.loads((tmp_path / "kept" / "network.json").read_text())["network"]["layers"][0]["options"]
    assert said.get("tau_map", "inverse") == tau_map
    assert ("tau_map" in said) == (tau_map != "inverse"), "files of earlier versions do not say it"
    loaded = ts.load(tmp_path / "kept")
    assert loaded.tau is not None
    assert torch.equal(loaded.tau, model.tau)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--tau-map", "sigmiod"], "tau_map 'sigmiod' is unknown: expected one of inverse, clamp, exp, softplus, sigmoid, best, direct, matched_exp,"),
        (["--tau-map", "matched_inverse"], "tau_map 'matched_inverse' is unknown"),
        (["--task", "filter", "--tau-map", "matched_best", "--cell", "gru"], "tau_map is matched_best, an option of the cells leaky, residual, ssm"),
        (["--tau-map", "exp", "--cell", "gru"], "tau_map is exp, an option of the cells leaky, residual, ssm: expected inverse with cell 'gru'"),
        (["--tau-map", "exp", "--cell", "bilinear"], "tau_map is exp, an option of the cells leaky, residual, ssm"),
        (["--tau-map", "exp", "-T", "2"], "tau_map is exp with tau 2: expected no tau, which fixes the timescales"),
        (["--task", "functional", "--rho", "poll"], "rho 'poll' is unknown"),
        (["--task", "functional", "-a", "relu"], "afunc is relu with cell 'residual': expected one of identity, hardtanh, tanh"),
        (["--task", "functional", "--cell", "lstm", "--mixed_decay", "yes"], "mixed_decay is True, an option of the residual cell"),
        (["--task", "functional", "--stop_below", "-1"], "stop_below is -1.0: expected at least 0"),
        (["--task", "functional", "--n_steps", "0"], "number of steps is 0"),
        (["--task", "functional", "--n_steps", "100000000000000000000"], "expected at most 1000000 (nearest valid value: 1000000)"),
        (["--task", "functional", "--n_hidden", "4"], "n_hidden is an option of task filter"),
        (["--task", "filter", "--rho", "exp"], "rho is an option of task functional"),
        (["--task", "filter", "--n_hidden", "0"], "number of hidden units is 0"),
        (["--task", "filter", "--target-seed", "-1"], "target seed is -1: expected at least 0"),
        (["--task", "functional", "--cell", "ssm", "-nn", "15"], "number of units is 15: expected an even number"),
    ],
)  # fmt: skip
def test_bad_options_are_one_line_and_nothing_is_written(
    options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "runs"
    try:
        code: object = train(base, *options)
    except SystemExit as left:
        code = left.code
    assert code == 2
    said = capsys.readouterr().err
    assert line in " ".join(said.split())
    assert "Traceback" not in said
    assert not base.exists() or not list(base.iterdir())


def test_a_file_with_an_unknown_map_is_refused() -> None:
    with pytest.raises(InputError, match="tau_map 'log' is unknown"):
        config_of({"task": "parity", "tau_map": "log"})
