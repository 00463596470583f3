"""Training by another gradient from the command line: folders, resuming, refusals in a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from tauscope.cli import main

SMALL = ["--num_neurons", "6", "--steps_per_epoch", "2", "--batch_size", "3", "--test_steps", "1", "-s", "0"]
GAME = ["train", "-t", "cue-game", "--span", "4", "--gradient", "rtrl", "--every", "2", *SMALL]


def test_a_game_is_learnt_by_rtrl_and_goes_on_where_it_was(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*GAME, "--epochs", "2", "-b", str(whole)]) == 0
    assert main([*GAME, "--epochs", "1", "-b", str(parts)]) == 0
    assert main([*GAME, "--epochs", "2", "-b", str(parts)]) == 0
    (one,), (other,) = (list(folder.iterdir()) for folder in (whole, parts))
    assert one.name == other.name == "cue-game_size_6_steps_per_epoch_2_batch_size_3_span_4_rtrl_every_2_network_1"
    records = [json.loads(line) for line in (one / "metrics.jsonl").read_text().splitlines()]
    assert [set(record) >= {"return", "loss"} for record in records] == [True, True]
    assert [record["frames"] for record in records] == [30, 60]
    weights = [torch.load(folder / "rnn_task", weights_only=True) for folder in (one, other)]
    states = [{name: value for name, value in found.items() if torch.is_tensor(value)} for found in weights]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name])
    config = json.loads((one / "config.json").read_text())
    assert (config["gradient"], config["every"]) == ("rtrl", 2)


@pytest.mark.parametrize("flags", [[], ["--forces", "yes"]])
def test_an_environment_of_ones_own_with_the_interface_of_gymnasium_is_learnt_resumed_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    command = ["train", "-t", "gyms:Walk", *flags, "--cell", "elstm", "--gradient", "rtrl", "--every", "2", *SMALL]
    for folder, epochs in (("whole", "2"), ("parts", "1"), ("parts", "2")):
        assert main([*command, "--epochs", epochs, "-b", str(tmp_path / folder)]) == 0
    assert " frames | " in capsys.readouterr().out
    (one,), (other,) = (list((tmp_path / folder).iterdir()) for folder in ("whole", "parts"))
    weights = [torch.load(folder / "rnn_task", weights_only=True) for folder in (one, other)]
    for name, value in weights[0].items():
        assert not torch.is_tensor(value) or torch.equal(value, weights[1][name])
    assert main(["report", str(one), "--task", "gyms:Walk"]) == 0
    page = (one / "report.html").read_text()
    frames = json.loads((one / "metrics.jsonl").read_text().splitlines()[-1])["frames"]
    assert f"2 epochs, {frames} frames; last loss" in page
    assert "chance" not in page.partition("Last test")[2][:200]


def test_a_package_that_is_not_installed_is_named_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    folder = tmp_path / "runs"
    for name in ("CartPole-v1", "popgym-RepeatPreviousEasy-v0", "MiniGrid-MemoryS7-v0", "ALE/Breakout-v5"):
        assert main(["train", "-t", "gymnasium", "--environment", name, *SMALL, "-b", str(folder)]) == 2
        assert "expected pip install 'tauscope[rl]'" in one_line(capsys)
    assert main(["train", "-t", "gymnasium", "--environment", "mine:Cart-v0", *SMALL, "-b", str(folder)]) == 2
    assert "environment 'mine:Cart-v0': expected a name, such as CartPole-v1" in one_line(capsys)
    assert not folder.exists()


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.extras
@pytest.mark.parametrize(
    ("name", "package"),
    [("CartPole-v1", "gymnasium"), ("popgym-RepeatPreviousEasy-v0", "popgym"), ("Pendulum-v1", "gymnasium")],
)
def test_environments_of_real_packages_are_learnt_and_resumed(tmp_path: Path, name: str, package: str) -> None:
    pytest.importorskip(package)
    command = ["train", "-t", "gymnasium", "--environment", name, "--gradient", "rtrl", "--every", "10", *SMALL]
    for folder, epochs in (("whole", "2"), ("parts", "1"), ("parts", "2")):
        assert main([*command, "--epochs", epochs, "-b", str(tmp_path / folder)]) == 0
    runs = [next((tmp_path / folder).iterdir()) for folder in ("whole", "parts")]
    weights = [torch.load(run / "rnn_task", weights_only=True) for run in runs]
    for key, value in weights[0].items():
        assert not torch.is_tensor(value) or torch.equal(value, weights[1][key])
    assert main(["report", str(runs[0])]) == 0
    assert main(["status", str(tmp_path)]) == 0


def test_runs_by_backpropagation_are_written_down_as_before(tmp_path: Path) -> None:
    assert main(["train", "-t", "parity", "--max_N", "2", "--epochs", "1", *SMALL, "-b", str(tmp_path)]) == 0
    (run,) = tmp_path.iterdir()
    assert run.name == "cumulative_parity_size_6_network_1"
    assert not {"gradient", "every"} & json.loads((run / "config.json").read_text()).keys()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--gradient", "rtrl", "--cell", "gru"], "cell GRUCell is not element-wise: expected a cell of elstm"),
        (["--gradient", "rtrl"], "cell LeakyCell is not element-wise"),
        (["--gradient", "rtrl", "--cell", "problems:LinearCell"], "cell LinearCell is not element-wise"),
        (["--gradient", "rtrl", "--cell", "elstm", "--every", "0"], "every is 0: expected at least 1"),
        (["--gradient", "rtrl", "--cell", "elstm", "--every", "x"], "every"),
        (["--gradient", "rtlr"], "did you mean 'rtrl'?"),
    ],
)
def test_what_cannot_be_trained_so_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    folder = tmp_path / "runs"
    assert main(["train", "-t", "parity", *flags, "-b", str(folder)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert not folder.exists()
