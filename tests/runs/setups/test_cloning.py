"""Cloning from the command line: runs that go on exactly, files that changed, closed loops."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tauscope as ts
from tauscope.cli import main
from tauscope.runs.config import config_of
from tauscope.runs.folder import read_metrics
from tauscope.tasks import Cloning

SMALL = ["--steps_per_epoch", "3", "--batch_size", "3", "--test_steps", "1", "-nn", "6", "-s", "0", "--n_steps", "40",
         "--n_demonstrations", "4", "--threads", "1"]  # fmt: skip


def train(folder: Path, *options: str) -> int:
    return main(["train", "--task", "cloning", *SMALL, "-b", str(folder), *options])


def recording(folder: Path, scale: float = 1.0) -> str:
    chance = np.random.default_rng(0)
    file = folder / "mouse.npz"
    np.savez(file, observations=scale * chance.normal(size=(6, 40, 3)), actions=chance.integers(0, 3, (6, 40)))
    return str(file)


def test_the_defaults_are_those_of_the_spec() -> None:
    config = config_of({"task": "cloning", "seed": 0})
    assert config.name == "cloning_network_1"
    assert config.template() == Cloning()
    recipe = config.recipe()
    assert recipe.epochs * recipe.steps_per_epoch == 300
    assert recipe.schedule is not None
    rates = [recipe.schedule.rate(recipe.lr, [[1.0] * n], "less") for n in range(10)]
    assert (rates[0], rates[-1]) == pytest.approx((3e-3, 3e-4))
    assert (recipe.batch_size, recipe.clip, config.num_neurons) == (16, 1.0, 64)
    assert config_of({"task": "cloning", "n_steps": 100, "shown": 3}).name == "cloning_n_steps_100_shown_3_network_1"


def test_a_run_goes_on_exactly(tmp_path: Path) -> None:
    # With a learning rate that follows from the number of epochs, only what was stopped can be gone on with.
    options = ["--cell", "gru", "--schedule", "none", "--epochs"]
    assert train(tmp_path / "whole", *options, "4") == 0
    assert train(tmp_path / "parts", *options, "2") == 0
    runs = [next((tmp_path / name).iterdir()) for name in ("whole", "parts")]
    assert main(["train", "--resume", str(runs[1]), "--epochs", "4", "--threads", "1"]) == 0
    left, right = ([record["loss"] for record in read_metrics(run)] for run in runs)
    assert left == right
    weights = [ts.load(run).state_dict() for run in runs]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert [len(record["relative_error"]) for record in read_metrics(runs[0])] == [1] * 4
    assert main(["status", str(tmp_path / "whole")]) == 0


def test_more_epochs_are_another_fall_of_the_learning_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "--epochs", "2") == 0
    (run,) = tmp_path.iterdir()
    assert [record["lr"] for record in read_metrics(run)] == pytest.approx([3e-3, 3e-4])
    capsys.readouterr()
    assert main(["train", "--resume", str(run), "--epochs", "4"]) == 2
    assert "epochs" in capsys.readouterr().err


def test_a_clone_is_analysed_in_its_loop_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "--epochs", "1") == 0
    (run,) = tmp_path.iterdir()
    capsys.readouterr()
    assert main(["analyze", "closed_loop", str(run), "--episodes", "2"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "return, none (expert)" in said
    assert "return, mass, in parts of the expert's" in said
    assert len(list((run / "analysis").rglob("*closed_loop*.png"))) == 1
    assert main(["report", str(run)]) == 0


def test_a_closed_loop_of_other_networks_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--epochs", "1", "--environment", recording(tmp_path)]
    assert train(tmp_path / "runs", *own) == 0
    small = ["--steps_per_epoch", "2", "--batch_size", "3", "--test_steps", "1", "-nn", "6", "-s", "0", "--epochs", "1"]
    assert main(["train", "--task", "digits", *small, "-b", str(tmp_path / "runs")]) == 0
    for run, why in (("cloning", "recorded demonstrations"), ("digits", "trained on the task cloning")):
        (folder,) = (tmp_path / "runs").glob(f"{run}*")
        capsys.readouterr()
        assert main(["analyze", "closed_loop", str(folder)]) == 2
        assert why in " ".join(capsys.readouterr().err.split())
        assert not (folder / "analysis").exists()


def test_a_run_on_a_recording_refuses_another_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--environment", recording(tmp_path), "--schedule", "none", "--epochs", "1"]
    assert train(tmp_path / "runs", *options) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert all(0 <= record["accuracy"][0] <= 1 for record in read_metrics(run))
    recording(tmp_path, scale=2.0)
    capsys.readouterr()
    assert main(["train", "--resume", str(run), "--epochs", "2"]) == 2
    assert "has changed" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--environment", "spring"], "did you mean 'springs'"),
        (["--environment", "nothing.npz"], "'nothing.npz' is not there"),
        (["--expert", "nobody.json"], "'nobody.json' is not there"),
        (["--window", "50"], "window is 50 of episodes of 40 steps"),
        (["--shown", "5"], "shown is 5 of 4 channels"),
        (["--n_demonstrations", "0"], "n_demonstrations is 0"),
        (["--schedule", "geometrical"], "did you mean 'geometric'"),
    ],
)
def test_bad_options_are_refused_in_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert train(tmp_path, *options) == 2
    error = capsys.readouterr().err.strip()
    assert said in " ".join(error.split())
    assert "\n" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_names_its_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tauscope.tasks.demonstrations import environment_of

    environment_of.cache_clear()
    for missing in ("gymnasium", "mujoco"):
        monkeypatch.setitem(sys.modules, missing, None)
    assert train(tmp_path, "--environment", "HalfCheetah-v5") == 2
    assert "pip install 'tauscope[control]'" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
