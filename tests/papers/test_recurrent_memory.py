"""Recurrent memory as it is written down: its scales, its claims on results nobody measured, its figures."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

import tauscope as ts
from tauscope.cli import main
from tauscope.measurements import Subject
from tauscope.papers.recurrent_memory import PAPER, quantities
from tauscope.papers.recurrent_memory.conditions import BASIC, CONDITIONS, PARITY, SCALES
from tauscope.papers.reproduce.judging import judge
from tauscope.papers.reproduce.planning import Plan, make_plan
from tauscope.papers.vocabulary import Finding, Results, Trained
from tauscope.runs.config import config_of, kind_of
from tauscope.tasks import POPULATION_TASKS

MemoryConfig = kind_of("de1")

CLAIMS = {claim.key: claim for claim in PAPER.claims}
DIRECTIONS = {"dynamic": 0.8, "hebbian": 0.7, "rho": -0.6, "vardelay": -0.9, "tethered": 1.0, "multitask": 0.5}
COMPLEXITY = {"2afc": 0.0, "comp": 1.0, "cd": 0.9, "de1": 0.8}


def plan(scale: str, base: Path) -> Plan:
    return make_plan("recurrent-memory", scale, base)


def measured(si: float, forward: float) -> dict[tuple[str, int], xr.Dataset]:
    """Return what is measured of a network with that index, at a checkpoint of N = 1."""
    difference = np.arange(-3, 4)
    sequences = xr.Dataset(
        {"sequentiality": si, "baseline": 1.0, "published": si, "entropy": 1.5, "n_units": 20.0, "forward": forward,
         "backward": 0.0, "weight": ("difference", 0.01 * difference), "std": ("difference", np.full(7, 0.1)), "n_pairs": ("difference", np.full(7, 5.0)),
         "activity": (("time", "rank"), np.random.default_rng(0).random((8, 5)))},
        coords={"difference": difference}, attrs={"n_trials": 4},
    )  # fmt: skip
    return {
        ("sequences", 1): sequences,
        ("timescales", 1): xr.Dataset({"tau_net": ("unit", np.full(4, 5 + si))}),
        ("dimensionality", 1): xr.Dataset({"n_components": ("trial", [2 + si])}),
        ("lyapunov", 1): xr.Dataset({"exponents": (("trial", "exponent"), [[-0.1 * si]])}),
    }


def network(condition: str, number: int, options: Mapping[str, Any], sign: float, noise: float) -> Trained:
    config = config_of({**options, "network_number": number, "seed": number})
    if condition in PARITY:
        history: Any = ({"stage": "N4_N4", "Ns": [4], "solved": [4], "accuracy": [0.99], "loss": 0.1},)
        return Trained(condition, number, history, {("sequences", 4): measured(2.0 + noise, 0.1)["sequences", 1]},
                       options=config.to_dict())  # fmt: skip
    assert isinstance(config, MemoryConfig)
    task = config.then or config.task
    si = 2.0 + sign * (
        4 * config.part("network").spread + COMPLEXITY.get(task, 0.0) + DIRECTIONS.get(condition.partition("_")[0], 0.0)
    )
    lost = config.lambda_val + config.part("network").spread > 1.2
    history = ({"stage": "N1_N1", "solved": False, "fractional_loss": [0.9 if lost else 0.1], "loss": 0.1},)
    return Trained(
        condition, number, history, measured(si + noise, sign * si / 10 + noise / 100), options=config.to_dict()
    )


def world(scale: str = "quick", sign: float = 1.0) -> Results:
    """Return results of a scale in which every claim holds, or with sign -1 the opposite."""
    rng = np.random.default_rng(1)
    found = SCALES[scale]
    networks = {}
    for one in CONDITIONS:
        own = found.by_condition[one.name]
        if own is None:
            continue
        each = found.each.get(one.name) or [{}] * found.networks
        networks[one.name] = [
            network(one.name, i, {**found.options, **one.options, **own, **start}, sign, 0.02 * rng.standard_normal())
            for i, start in enumerate(each, 1)
        ]
    return Results(networks, {one.name: one.label for one in CONDITIONS})


AGREES, DISAGREES = world(), world(sign=-1.0)


# --- scales -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_every_network_of_a_scale_is_a_valid_run_with_a_folder_of_its_own(scale: str, tmp_path: Path) -> None:
    networks = plan(scale, tmp_path).networks
    assert len({one.folder for one in networks}) == len(networks)
    assert all(len(one.numbers) == 1 for one in networks)


def test_the_quick_scale_has_every_condition_with_three_networks_of_every_start(tmp_path: Path) -> None:
    networks = plan("quick", tmp_path).networks
    conditions = {one.config.condition for one in networks if isinstance(one.config, MemoryConfig)}
    assert conditions == {"basic", "hebbian", "tethered", "dynamic", "vardelay", "multitask"}
    pairs = [one.config for one in networks if one.numbers[0][0] == "hebbian_comp"]
    assert sorted((round(one.part("network").spread, 3), one.seed) for one in pairs) == [
        (0.05, 0), (0.05, 1), (0.05, 2), (0.25, 3), (0.25, 4), (0.25, 5)]  # fmt: skip
    assert sum(one.numbers[0][0] == "basic_2afc" for one in networks) == 6 + 16


def test_the_paper_scale_has_a_hundred_networks_of_every_condition_as_published(tmp_path: Path) -> None:
    networks = [one for one in plan("paper", tmp_path).networks if isinstance(one.config, MemoryConfig)]
    names = [one.numbers[0][0] for one in networks]
    assert {names.count(name) for name in set(names)} == {100}
    config = networks[0].config
    assert (config.num_neurons, config.stim_steps, config.resp_steps) == (500, 25, 25)
    assert config.recipe().epochs * config.recipe().steps_per_epoch == 25_000
    starts = {
        (one.config.lambda_val, round(one.config.sigma_val, 4)) for one in networks if one.numbers[0][0] == "basic_de1"
    }
    assert starts == {(round(0.8 + 0.02 * i, 2), round(0.002 * j, 4)) for i in range(10) for j in range(10)}


def test_all_tasks_of_the_paper_are_asked_at_its_scale(tmp_path: Path) -> None:
    tasks = {one.config.task for one in plan("paper", tmp_path).networks}
    assert tasks == (set(POPULATION_TASKS) - {"cd2"}) | {"parity"}


# --- claims -----------------------------------------------------------------------------------------------------------


def test_every_claim_holds_in_a_world_that_is_as_the_paper_says() -> None:
    judged = judge(PAPER, SCALES["quick"], AGREES)
    assert {one.claim.key: one.verdict for one in judged} == dict.fromkeys(CLAIMS, "holds")


def test_no_claim_holds_where_everything_is_the_other_way_round() -> None:
    judged = judge(PAPER, SCALES["quick"], DISAGREES)
    assert {one.claim.key: one.verdict for one in judged} == dict.fromkeys(CLAIMS, "does not hold")


def test_every_claim_is_missing_without_networks() -> None:
    judged = judge(PAPER, SCALES["quick"], Results({}, {}))
    assert {one.verdict for one in judged} == {"missing"}


def test_networks_are_compared_with_their_partners_of_the_same_start_and_seed() -> None:
    (finding, *_) = CLAIMS["C4"].judge(AGREES)
    assert finding.n == "6"
    assert float(finding.ours.partition(" ")[0]) == pytest.approx(0.7, abs=0.05)


def test_networks_that_did_not_learn_do_not_count_and_are_counted() -> None:
    finding: Finding = next(one for one in CLAIMS["C1"].judge(AGREES) if "COMP" in one.statement)
    lost = [one for one in AGREES.networks["basic_comp"] if not quantities.learnt(one)]
    assert lost
    assert f"{len(lost)} of 22 networks diverged or have a fractional loss above 0.5" in finding.effect
    assert finding.n == str(22 - len(lost))


def test_a_network_that_diverged_does_not_count() -> None:
    assert not quantities.learnt(Trained("basic_2afc", 1, (), {}, "training diverged"))
    assert math.isnan(quantities.value(Trained("basic_2afc", 1, (), measured(2.0, 0.1)), quantities.index))


# --- measurement and figures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "parity"])
def test_sequences_are_those_of_the_analyses(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    if kind == "memory":
        config = MemoryConfig(num_neurons=10, task="comp", stim_steps=4, delay_steps=(8,), resp_steps=5, seed=1)
        subject = Subject(config.model(), config.measured_task(1), (1, 1), 5)
    else:
        subject = Subject(ts.LeakyRNN(10, generator=generator), ts.Parity([1]), (2, 3), 5)
    result = quantities.sequences(subject, n_trials=7)
    states, _ = ts.analysis.task_states(subject.model, quantities.trials_of(subject), 7, subject.generator())
    index = ts.analysis.sequentiality_index(states, mode="reference")
    assert float(result["published"]) == pytest.approx(float(index["sequentiality"].mean()), nan_ok=True)
    assert result.sizes["time"] == len(states) == (17 if kind == "memory" else quantities.BITS)
    assert set(quantities.MEASUREMENTS["sequences"].numbers(result)) >= {"sequentiality index (nats)"}


@pytest.mark.parametrize("figure", PAPER.figures, ids=lambda one: one.name)
def test_every_figure_is_drawn_and_passes_over_what_is_not_there(figure: Any) -> None:
    assert isinstance(figure.draw(AGREES), Figure)
    assert figure.draw(Results({}, {})) is None


def test_a_reproduction_writes_its_results_and_is_not_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "reproduce",
        "recurrent-memory",
        "--scale",
        "smoke",
        "--networks",
        "1",
        "-b",
        str(tmp_path),
        "--jobs",
        "1",
    ]
    assert main(command) == 0
    with (tmp_path / "results" / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["condition"] for row in rows} >= {*BASIC[:1], *PARITY}
    assert all((row["accuracy"] == "") == (row["condition"] not in PARITY) for row in rows)
    capsys.readouterr()
    assert main(command) == 0
    assert "are trained and measured already" in capsys.readouterr().out
