"""Setups of navigation: published defaults, names, a run that resumes, and a measurement at the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import xarray as xr

from tauscope.cli import main
from tauscope.measurements import MEASUREMENTS
from tauscope.runs.config import config_of
from tauscope.runs.loading import load, trained_task
from tauscope.tasks import HeadDirection, PathIntegration

SMALL = [
    "-nn",
    "8",
    "--n-cells",
    "12",
    "--n-steps",
    "15",
    "--epochs",
    "2",
    "--steps-per-epoch",
    "3",
    "--batch-size",
    "4",
    "--test-steps",
    "1",
    "-s",
    "0",
]


@pytest.mark.parametrize(
    ("task", "kind", "tau", "sigma", "updates"),
    [("path-integration", PathIntegration, 5.0, 0.01, 2500), ("head-direction", HeadDirection, 2.0, 0.1, 20_000)],
)
def test_the_defaults_are_the_published_options(task: str, kind: type, tau: float, sigma: float, updates: int) -> None:
    config = config_of({"task": task})
    recipe = config.recipe()
    assert config.template() == kind(n_cells=512, n_steps=100)
    assert (config.tau, config.sigma**2, config.noise) == (tau, pytest.approx(sigma**2), "normal")
    assert (recipe.epochs * recipe.steps_per_epoch, recipe.batch_size, recipe.lr) == (updates, 200, 1e-3)
    assert (recipe.optimizer, recipe.clip, recipe.weight_cost) == ("adam", math.inf, 0)
    assert config.name == f"{task}_network_1"
    assert [stage.name for stage in config.curriculum().stages] == ["steps100"]


def test_a_network_is_what_the_options_say() -> None:
    config = config_of(
        {"task": "path-integration", "num_neurons": 6, "n_cells": 9, "timescales": "trained", "tau": 3.0}
    )
    model = config.model()
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert shapes == {
        "cells.0.log_tau": (6,), "cells.0.input.weight": (6, 2), "cells.0.recurrent.weight": (6, 6), "start.weight": (6, 9),
        "heads.linears.0.weight": (9, 6),
    }  # fmt: skip
    for name, bound in (
        ("start.weight", 9),
        ("heads.linears.0.weight", 6),
        ("cells.0.recurrent.weight", 6),
        ("cells.0.input.weight", 2),
    ):
        assert model.get_parameter(name).abs().max() <= 1 / math.sqrt(bound)


@pytest.mark.parametrize("task", ["path-integration", "head-direction"])
@pytest.mark.parametrize("cell", ["noisy_rate", "noisy_gru"])
def test_a_run_is_trained_loaded_and_measured(
    task: str, cell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["--task", task, "--cell", cell, "--biased", "yes", "-b", str(tmp_path), *SMALL]
    assert main(["train", *base]) == 0
    (folder,) = tmp_path.iterdir()
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(0 < record["error"][0] < 4 for record in records)
    checkpoint = folder / "rnn_steps15"
    learnt = trained_task(checkpoint)
    assert learnt.biased  # type: ignore[attr-defined]
    assert load(checkpoint).start is not None
    few = ["--n-steps", "30", "--n-trajectories", "4", "--n-samples", "50", "--k", "1"]
    assert main(["analyze", "reactivation", str(folder), "--last", *few]) == 0
    with xr.open_dataset(folder / "analysis" / "rnn_steps15_reactivation.nc") as found:
        assert found.attrs["k"] == 1
        assert "untrained" in found["run"].values
        assert found["step"].attrs["units"] == learnt.unit
    assert main(["report", str(folder)]) == 0
    page = next(folder.glob("*.html")).read_text()
    assert f" {learnt.unit} (chance: " in page
    assert all(figure.caption in page for figure in MEASUREMENTS["reactivation"].figures.values())
    capsys.readouterr()


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    for name, options in (("once", []), ("twice", ["--epochs", "1"])):
        assert main(["train", "--task", "head-direction", *SMALL, *options, "-b", str(tmp_path / name)]) == 0
    assert main(["train", "--task", "head-direction", *SMALL, "-b", str(tmp_path / "twice")]) == 0
    once, twice = (load(next((tmp_path / name).iterdir()) / "rnn_steps15") for name in ("once", "twice"))
    for name, value in once.state_dict().items():
        assert torch.equal(value, twice.state_dict()[name])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--task path-integration --noise pink", "noise"),
        ("--task path-integration --timescales equall", "did you mean 'equal'"),
        ("--task path-integration --tau 0.5", "tau"),
        ("--task path-integration --sigma -1", "sigma"),
        ("--task path-integration --n-cells 0", "n_cells"),
        ("--task path-integration --place-seed -1", "place_seed"),
        ("--task head-direction --place-seed 1", "place_seed is an option of task path-integration"),
        ("--task head-direction --n-steps 0", "n_steps"),
        ("--task head-direction --cell noisy_gru --timescales trained", "timescales is trained, an option of"),
        ("--task head-direction --cell noisy_gruu", "did you mean 'noisy_gru'"),
        ("--task path-integraton", "did you mean 'path-integration'"),
    ],
)
def test_bad_options_are_refused_in_a_line(
    flags: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["train", *flags.split(), "-b", str(tmp_path / "runs")])
    except SystemExit as end:
        code = end.code
    assert code == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "runs").exists()
