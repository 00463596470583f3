"""The setup of texts from the command line: what a run writes down, what it refuses, and how its learning rate falls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tauscope import InputError
from tauscope.cli import main
from tauscope.jobs.sweep import read_sweep
from tauscope.models import CPCell
from tauscope.models.budget import count_parameters
from tauscope.runs.config import config_of
from tauscope.runs.folder import read_metrics
from tauscope.runs.loading import load, trained_task
from tauscope.tasks.text import Text

SMALL = [
    "-nn",
    "4",
    "--rank",
    "2",
    "--window",
    "5",
    "--steps_per_epoch",
    "3",
    "--batch_size",
    "4",
    "--test_steps",
    "1",
    "-s",
    "0",
]
POEM = "Of Mans First Disobedience, and the Fruit\nOf that Forbidden Tree, whose mortal tast\n" * 4


@pytest.fixture
def poem(tmp_path: Path) -> Path:
    file = tmp_path / "poem.txt"
    file.write_text(POEM)
    return file


def train(folder: Path, *options: object) -> int:
    return main(["train", "--task", "text", *SMALL, "-b", str(folder), *map(str, options)])


def only(folder: Path) -> Path:
    (run,) = folder.iterdir()
    return run


def test_the_defaults_are_those_of_the_quick_scale() -> None:
    config = config_of({"task": "text"})
    assert config.name == "text_network_1"
    recipe = config.recipe()
    assert recipe.epochs * recipe.steps_per_epoch == 1000
    assert (recipe.optimizer, recipe.lr, recipe.clip, recipe.batch_size, recipe.split) == ("adam", 3e-3, 1, 48, "valid")
    assert recipe.schedule is not None
    rates = [recipe.schedule.rate(1.0, [[0.0] * epoch], "less") for epoch in (0, 11, 12, 16, 17, 19)]
    assert rates == pytest.approx([1, 1, 0.3, 0.3, 0.09, 0.09])
    model = config.model()
    assert sum(parameter.numel() for parameter in model.parameters()) == count_parameters("cp", 32, 65, 16) == 7345
    assert [stage.name for stage in config.curriculum().stages] == ["window32"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"rank": 4}, "text_rank_4_network_1"),
        ({"cell": "mi", "num_neurons": 72}, "text_mi_size_72_network_1"),
        ({"text": "hmm:4", "window": 50}, "text_text_hmm-4_window_50_network_1"),
        ({"schedule": "plateau", "patience": 3}, "text_schedule_plateau_patience_3_network_1"),
    ],
)
def test_a_folder_says_what_is_not_the_default(options: dict[str, Any], name: str) -> None:
    assert config_of({"task": "text", **options}).name == name


def test_a_run_writes_down_what_its_text_was_and_can_be_measured(tmp_path: Path, poem: Path) -> None:
    assert train(tmp_path / "runs", "--text", poem, "--epochs", 2) == 0
    run = only(tmp_path / "runs")
    options, task = json.loads((run / "config.json").read_text()), Text(str(poem), window=5).settled()
    assert (options["vocabulary"], options["sha256"]) == (task.vocabulary, task.sha256)
    records = read_metrics(run)
    assert [record["stage"] for record in records] == ["window5", "window5"]
    assert 0 < records[-1]["bpc"][0] < 10
    assert trained_task(run / "rnn_window5") == task
    (cell,) = load(run).layers
    assert isinstance(cell, CPCell)
    assert (cell.rank, cell.n_inputs) == (2, len(task.vocabulary))
    assert main(["analyze", "performance", str(run)]) == 0
    assert main(["status", str(run.parent)]) == 0


def test_a_run_goes_on_to_the_same_network_and_not_with_another_text(
    tmp_path: Path, poem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = ("--text", poem, "--schedule", "none")
    for base, epochs in (("once", [4]), ("twice", [2, 4])):
        for n in epochs:
            assert train(tmp_path / base, *plain, "--epochs", n) == 0
    weights = [load(only(tmp_path / base)).state_dict() for base in ("once", "twice")]
    assert all(bool((weights[0][name] == weights[1][name]).all()) for name in weights[0])
    poem.write_text(POEM.replace("Fruit", "fruit"))
    run = only(tmp_path / "twice")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    capsys.readouterr()
    for line in (
        ["train", "--resume", str(run), "--epochs", "6"],
        ["train", "--task", "text", *SMALL, "-b", str(run.parent), *map(str, plain), "--epochs", "6"],
        ["analyze", "performance", str(run)],
    ):
        assert main(line) == 2
        error = capsys.readouterr().err
        assert "has changed: its SHA-256 is" in error
        assert error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_learning_rate_that_follows_from_the_epochs_keeps_them(
    tmp_path: Path, poem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "runs", "--text", poem, "--epochs", 5) == 0
    run = only(tmp_path / "runs")
    rates = [record["lr"] for record in read_metrics(run)]
    assert rates == pytest.approx([3e-3, 3e-3, 3e-3, 9e-4, 2.7e-4])
    assert train(tmp_path / "runs", "--text", poem, "--epochs", 8) == 2
    assert "its epochs is 5, not 8" in capsys.readouterr().err


def test_training_is_given_up_without_a_gain(tmp_path: Path, poem: Path) -> None:
    # So small a learning rate brings nothing.
    options = ("--text", poem, "--schedule", "plateau", "--patience", 3, "--lr", 1e-12, "--epochs", 50)
    assert train(tmp_path / "runs", *options) == 0
    records = read_metrics(only(tmp_path / "runs"))
    assert len(records) < 50
    assert records[-1]["finished"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--text", "nowhere.txt"], "text 'nowhere.txt' is not there"),
        (["--text", "milto"], "did you mean 'milton'"),
        (["--text", "hmm:x"], "expected 1 to 64 states"),
        (["--window", "0"], "window is 0: expected at least 1"),
        (["--window", "100000"], "window is 100000"),
        (["--rank", "-1"], "rank is -1: expected at least 0"),
        (["--cell", "mi"], "rank is 2, an option of the cp cell: expected 16 with cell 'mi'"),
        (["--cell", "second-order"], "did you mean 'second_order'"),
        (["--vocabulary", "abc"], "expected none outside the vocabulary"),
        (["--sha256", "0" * 64], "has changed"),
        (["--cell", "residual"], "afunc is leakyrelu with cell 'residual': expected one of identity, hardtanh, tanh"),
        (["--schedule", "plato"], "did you mean 'plateau'"),
        (["--patience", "0"], "patience is 0: expected at least 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert train(tmp_path / "runs", *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_grid_of_units_and_rank_is_an_ordinary_sweep(tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(
        f"""base_path = "{tmp_path / "runs"}"
[options]
task = "text"
epochs = 1
[grid]
num_neurons = [8, 16]
rank = [0, 4]
[[runs]]
num_neurons = 24
rank = 99
[networks]
seeds = [0, 1]
"""
    )
    sweep = read_sweep(tmp_path / "sweep.toml")
    assert len(sweep.runs) == 10
    sizes = {(config.num_neurons, config.rank) for config in sweep.runs.values()}  # type: ignore[attr-defined]
    assert sizes == {(8, 0), (8, 4), (16, 0), (16, 4), (24, 99)}


def test_other_cells_learn_text_too() -> None:
    for cell in ("leaky", "gru", "elman", "second_order", "bilinear"):
        model = config_of({"task": "text", "cell": cell, "num_neurons": 3, "seed": 0}).model()
        assert (model.n_inputs, model.heads.names) == (65, ("out",))


def test_a_rank_is_an_option_of_every_setup() -> None:
    model = config_of({"task": "history", "cell": "cp", "rank": 3, "num_neurons": 4, "seed": 0}).model()
    assert model.layers[0].rank == 3
    with pytest.raises(InputError, match="rank is 3, an option of the cp cell"):
        config_of({"task": "history", "rank": 3})
