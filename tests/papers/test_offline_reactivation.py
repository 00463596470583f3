"""The paper of offline reactivation: claims follow the numbers, figures are drawn, and the smallest scale runs."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

import tauscope as ts
from tauscope.analysis.motion import LAGS
from tauscope.analysis.reactivation import RUNS
from tauscope.cli import main
from tauscope.errors import NotApplicableError
from tauscope.measurements import Subject
from tauscope.papers.offline_reactivation import PAPER
from tauscope.papers.offline_reactivation import quantities as q
from tauscope.papers.offline_reactivation.conditions import CONDITIONS, QUICK, RING, SCALES
from tauscope.papers.reproduce.judging import judge
from tauscope.papers.vocabulary import Results, Trained
from tauscope.runs.setups.navigation import Noisy
from tauscope.tasks import HeadDirection, PathIntegration

CLAIMS = [claim.key for claim in PAPER.claims]
NAMES = ["task", *RUNS]
N = 5


def result(condition: str, agrees: bool, seed: int) -> xr.Dataset:
    """Return what is measured of a network in a world that is as the claims say, or the other way round."""
    rng = np.random.default_rng(seed)
    periodic, biased, free = condition in RING, condition.endswith("b"), condition in ("du", "db", "hd_du")
    sign = 1 if agrees else -1

    def by_run(usual: float, **others: float) -> tuple[str, np.ndarray]:
        values = np.array([others.get(name, usual) for name in NAMES])
        return "run", values * (1 + 0.01 * rng.standard_normal(len(NAMES)))

    def turned(value: float, other: float) -> tuple[float, float]:
        return (value, other) if agrees else (other, value)

    near, far = turned(0.1, 0.9)
    narrow, usual, wide = (0.1, 0.2, 0.3)[::sign]
    within = {"nu": 0.08, "nb": 0.01, "du": 0.04, "db": 0.004, "mixed": 0.2, "learnt": 0.2}.get(condition, 0.08)
    within = within if agrees else 0.09 - within if within < 0.09 else 0.01
    size = (0.2 if biased == agrees else 0.6) if not periodic else 0.0
    shape = (len(NAMES), 500, 1 if periodic else 2)
    positions = rng.uniform(-math.pi, math.pi, shape) if periodic else size * rng.standard_normal(shape)
    if periodic and not agrees:
        positions = 0.1 * rng.standard_normal(shape)
    if not agrees and not periodic:
        # In silence, what the other networks do in their task.
        positions[0] *= 3 if size < 0.5 else 1 / 3
    ahead = 0.08 if condition == "hd_b" else 0.0
    found = {
        "kl": by_run(near, untrained=far),
        "kl_late": by_run(near, untrained=far, still=turned(0.3, 0.05)[0]),
        "stationarity": by_run(0.02),
        "variance": by_run(within, still=0.002 if agrees else 0.2),
        "pooled_variance": by_run(usual, narrow=narrow, wide=wide),
        "step": by_run({"fast": 0.3}.get(condition, 0.1) if agrees else {"fast": 0.9}.get(condition, 1.0), untrained=1.3),
        "velocity": by_run(sign * ahead + (0.001 if agrees else 0.01) * rng.standard_normal()) if periodic else ("run", np.full(len(NAMES), np.nan)),
        "turning": by_run(-0.1), "exponent": by_run(0.8), "norm_ratio": by_run(1.0), "output_ratio": by_run(1.0),
        "share": by_run((0.8 if free else 0.9) if agrees else (0.45 if free else 0.4)),
        "drift": by_run(0.3 * sign, untrained=0.1),
        "msd": (("run", "lag"), np.abs(rng.standard_normal((len(NAMES), len(LAGS)))) + 0.1),
        "positions": (("run", "sample", "coordinate"), positions),
        "trajectories": (("run", "time", "trajectory", "coordinate"), rng.uniform(-1, 1, (len(NAMES), 30, 6, shape[-1]))),
        "scores": (("run", "state", "component"), rng.standard_normal((len(NAMES), 40, 3))),
        "scores_at": (("run", "state", "coordinate"), rng.uniform(-1, 1, (len(NAMES), 40, shape[-1]))),
    }  # fmt: skip
    noisy = (0.30 if free else 0.19) if agrees else (0.3 if free else 0.4)
    scalars = {
        "score": 0.2, "score_noisy": noisy, "signal_to_noise": 6.0, "n_components": 5, "kl_uniform": far,
        "tau": 5.0, "tau_action": 5 + 0.1 * rng.random(), "tau_silence": 5 + sign * 2 + 0.1 * rng.random(),
    }  # fmt: skip
    return xr.Dataset(
        found | {name: ((), value) for name, value in scalars.items()},
        coords={"run": NAMES, "lag": list(LAGS)},
        attrs={"periodic": int(periodic), "unit": "rad" if periodic else "m"},
    )


def world(agrees: bool = True) -> Results:
    networks = {
        condition.name: [
            Trained(condition.name, i, (), {("replay", 100): result(condition.name, agrees, 100 * place + i)})
            for i in range(1, N + 1)
        ]
        for place, condition in enumerate(CONDITIONS)
    }
    return Results(networks, {condition.name: condition.label for condition in CONDITIONS})


AGREES, DISAGREES = world(), world(agrees=False)
JUDGED = sorted(set(CLAIMS) - {"C4", "C9"})


def test_every_claim_holds_in_a_world_that_is_as_the_paper_says() -> None:
    verdicts = {judged.claim.key: judged.verdict for judged in judge(PAPER, QUICK, AGREES)}
    assert {key: verdicts[key] for key in JUDGED} == dict.fromkeys(JUDGED, "holds")
    assert (verdicts["C4"], verdicts["C9"]) == ("not judged", "not judged")


def test_no_claim_holds_where_everything_is_the_other_way_round() -> None:
    for judged in judge(PAPER, QUICK, DISAGREES):
        if judged.claim.key in JUDGED:
            assert judged.verdict == "does not hold", judged.claim.key


def test_every_claim_is_missing_without_networks() -> None:
    judged = judge(PAPER, QUICK, Results({}, {}))
    assert {one.verdict for one in judged if one.claim.key in JUDGED} == {"missing"}


def test_a_network_whose_activity_grows_does_not_count_as_reactivating() -> None:
    grown = {
        "nu": [
            Trained("nu", network.network, (), {("replay", 100): found.assign(norm_ratio=("run", np.full(len(NAMES), 40.0)))})
            for network in AGREES.networks["nu"]
            for found in network.measured.values()
        ]
    }  # fmt: skip
    (judged,) = (one for one in judge(PAPER, QUICK, Results(grown, {})) if one.claim.key == "C2")
    assert judged.verdict == "missing"
    assert "0 of 5 networks" in judged.findings[0].statement


def test_a_drift_counts_of_stationary_networks_alone() -> None:
    moving = {
        name: [
            Trained(name, network.network, (), {("replay", 100): found.assign(stationarity=("run", np.full(len(NAMES), 0.5)))})
            for network in AGREES.networks[name]
            for found in network.measured.values()
        ]
        for name in ("nu", "nb")
    }  # fmt: skip
    (judged,) = (one for one in judge(PAPER, QUICK, Results(moving, {})) if one.claim.key == "C10")
    assert [finding.verdict for finding in judged.findings if "drift" in finding.statement] == ["missing"] * 2


def test_divergences_across_conditions_pair_networks_of_one_number() -> None:
    few = {name: list(AGREES.networks[name][:2]) for name in ("nu", "nb")}
    few["nb"] = [few["nb"][1]]
    assert len(q.across(Results(few, {}), "nb", "nu")) == 1
    assert q.across(AGREES, "nu", "nu", "bogus") == []


@pytest.mark.parametrize("figure", PAPER.figures, ids=lambda figure: figure.name)
def test_every_figure_is_drawn_and_passes_over_what_is_not_there(figure: Any, tmp_path: Path) -> None:
    drawn = figure.draw(AGREES)
    assert isinstance(drawn, Figure)
    drawn.savefig(tmp_path / "figure.png")
    few = Results({name: AGREES.networks[name] for name in ("nu", "hd_b")}, AGREES.labels)
    assert figure.draw(few) is None or isinstance(figure.draw(few), Figure)
    assert figure.draw(Results({}, {})) is None


def test_silence_moves(tmp_path: Path) -> None:
    (moving,) = PAPER.animations
    animation = moving.draw(AGREES)
    assert isinstance(animation, FuncAnimation)
    animation.save(tmp_path / "moving.gif", writer="pillow")
    assert (tmp_path / "moving.gif").stat().st_size < 2_000_000
    assert moving.draw(Results({}, {})) is None


def test_conditions_and_scales_speak_of_each_other() -> None:
    names = {condition.name for condition in CONDITIONS}
    for scale in SCALES.values():
        assert set(scale.by_condition) <= names
        assert set(scale.each) <= names
        assert set(scale.out_of_reach) <= set(CLAIMS)


def test_networks_of_one_number_have_the_same_place_cells_and_others_do_not() -> None:
    for scale in SCALES.values():
        for several in scale.each.values():
            assert [options["place_seed"] for options in several] == list(range(len(several)))


def test_the_measure_tells_timescales_and_gives_noise_to_networks_without() -> None:
    task = PathIntegration(n_cells=16, n_steps=20)
    model = Noisy(num_neurons=8, sigma=0.0).build(task, task.heads, torch.Generator().manual_seed(0))
    found = q.replay(Subject(model, task, (20, 20), 0, {0: model}), n_steps=40, n_trajectories=6, n_samples=100)
    assert found.attrs["sigma"] == pytest.approx(0.01, rel=0.05)
    assert float(found.tau) == pytest.approx(5)
    assert float(found.tau_silence) > 0
    assert set(PAPER.measurements["replay"].numbers(found)) > {"median tau (steps)", "mean step (m), active"}
    figures = [draw(found, None).figure for draw in PAPER.measurements["replay"].figures.values()]  # type: ignore[arg-type]
    assert len(figures) == 2


def test_a_silent_task_begins_as_its_task_and_shows_nothing() -> None:
    task = HeadDirection(n_cells=8, n_steps=5)
    shown, silent = (of.sample(3, torch.Generator().manual_seed(0)) for of in (task, q.Silent(task)))
    assert not silent.inputs.any()
    assert silent.inputs.shape == shown.inputs.shape
    assert shown.start is not None
    assert silent.start is not None
    assert torch.equal(silent.start, shown.start)


def test_a_network_of_another_task_is_refused() -> None:
    model = ts.LeakyRNN(4, n_heads=1, generator=torch.Generator().manual_seed(0))
    subject = Subject(model, ts.Parity([2]), (2, 2), 0)
    assert PAPER.measurements["replay"].lacks(subject)
    with pytest.raises(NotApplicableError, match="decodes no position"):
        q.replay(subject)


@pytest.mark.slow
def test_a_reproduction_writes_its_results_and_an_animation(tmp_path: Path) -> None:
    options = ["--scale", "smoke", "-b", str(tmp_path), "--jobs", "2"]
    assert main(["reproduce", "offline-reactivation", *options]) == 0
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert {
        "claims.csv",
        "silence_moving.gif",
        "index.html",
        *(f"{figure.name}.png" for figure in PAPER.figures),
    } <= written
    said = json.loads((tmp_path / "results" / "claims.json").read_text())
    assert {claim["verdict"] for claim in said["claims"]} == {"not judged"}
    with (tmp_path / "results" / "measurements.csv").open(newline="") as file:
        units = {row["quantity"] for row in csv.DictReader(file) if row["quantity"].startswith("score of the task (")}
    assert units == {"score of the task (m)", "score of the task (rad)"}
