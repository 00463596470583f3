"""The options of a run that tracks signals, and the networks that it keeps in the course of training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import tauscope as ts
from tauscope.cli import main
from tauscope.models import BalancedCell
from tauscope.runs.config import config_of, kind_of
from tauscope.runs.loading import course_of, load, trained_task
from tauscope.tasks import Tracking

TrackingConfig = kind_of("tracking")

SMALL = "--task tracking -nn 8 --epochs 3 --steps-per-epoch 4 --trial-steps 10 --test-steps 2 -s 0"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "tracking_1_network_1"),
        ({"signals": "runThreeStimuli"}, "tracking_3_network_1"),
        ({"signals": "2", "num_neurons": 50, "start": "ei"}, "tracking_2_size_50_ei_network_1"),
        ({"balance": 2.0, "network_number": 4}, "tracking_1_b_2_network_4"),
    ],
)
def test_folders_tell_runs_apart(options: dict[str, Any], name: str) -> None:
    assert TrackingConfig(**options).name == name


def test_the_defaults_are_those_of_the_published_scripts() -> None:
    for script, signals in (("runOneStimulus", 1), ("runTwoStimuli", 2), ("runThreeStimuli", 3)):
        config = TrackingConfig(signals=script, seed=0)
        task, recipe, model = config.template(), config.recipe(), config.model()
        assert (task.n_signals, task.n_steps, task.dt, task.tau_signal, task.mean) == (signals, 50, 0.2, 0.1, 1.0)
        assert task.std == pytest.approx(0.1 / math.sqrt(0.2))
        assert (recipe.batch_size, recipe.lr, recipe.activity_cost) == (10, 1e-3, 1e-4)
        assert recipe.epochs * recipe.steps_per_epoch == 100_000
        cell = model.layers[0]
        assert isinstance(cell, BalancedCell)
        assert (cell.n_units, cell.n_inputs, cell.sigma) == (100, signals, 1.0)
        assert cell.recurrent_weights.mean().item() * 100 == pytest.approx(-0.99, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signals": "four"}, "expected one of runOneStimulus, runTwoStimuli, runThreeStimuli, or a number"),
        ({"signals": "0"}, "or a number"),
        ({"signals": "runTwoStimulus"}, "did you mean 'runTwoStimuli'"),
        ({"start": "balance"}, "did you mean 'balanced'"),
        ({"dt": 0.0}, "dt"),
        ({"tau_signal": -1.0}, "tau_signal"),
        ({"num_neurons": 1}, "num_neurons"),
        ({"lambda_val": 0.9}, "is an option of the tasks de1"),
        ({"sigma": math.inf}, "sigma is inf: expected a finite number"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ts.InputError) as error:
        config_of({"task": "tracking"} | options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_configuration_survives_json() -> None:
    config = TrackingConfig(signals="runTwoStimuli", seed=4)
    assert config_of(json.loads(json.dumps(config.to_dict()))) == config


def test_a_run_keeps_the_course_of_its_training_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", *SMALL.split(), "-b", str(whole)]) == 0
    assert main(["train", *SMALL.replace("--epochs 3", "--epochs 1").split(), "-b", str(parts)]) == 0
    assert main(["train", *SMALL.split(), "-b", str(parts)]) == 0
    folders = [base / "tracking_1_size_8_network_1" for base in (whole, parts)]
    assert (folders[0] / "rnn_N1_N1").read_bytes() == (folders[1] / "rnn_N1_N1").read_bytes()
    course = course_of(folders[0])
    assert list(course) == [0, 1, 2, 3]
    last, final = course[3].state_dict(), load(folders[0]).state_dict()
    assert all(torch.equal(value, final[name]) for name, value in last.items())
    assert not torch.equal(course[0].layers[0].recurrent_weights, course[3].layers[0].recurrent_weights)
    assert trained_task(folders[0] / "rnn_N1_N1") == Tracking(n_steps=10)


def test_a_run_that_keeps_solved_networks_alone_has_its_start(tmp_path: Path) -> None:
    arguments = [
        "train",
        "-nn",
        "6",
        "--epochs",
        "1",
        "--steps-per-epoch",
        "2",
        "--batch-size",
        "4",
        "--test-steps",
        "1",
        "-s",
        "0",
        "-b",
    ]
    assert main([*arguments, str(tmp_path)]) == 0
    assert list(course_of(next(tmp_path.iterdir()))) == [0]
