"""Training by another gradient from the command line: folders, resuming, refusals in a line."""

from __future__ import annotations

import json
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
    weights = [torch.load(folder / "rnn_task", weights_only=True) for folder in (one, other)]
    states = [{name: value for name, value in found.items() if torch.is_tensor(value)} for found in weights]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name])
    config = json.loads((one / "config.json").read_text())
    assert (config["gradient"], config["every"]) == ("rtrl", 2)


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
