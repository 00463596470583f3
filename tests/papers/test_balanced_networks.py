"""Balanced networks as they are written down: scales, claims on results nobody measured, figures, one small run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

import tauscope as ts
from tauscope.cli import main
from tauscope.measurements import Subject
from tauscope.papers.balanced_networks import PAPER, quantities
from tauscope.papers.balanced_networks.conditions import CONDITIONS, PARITY, SCALES, SIGNALS
from tauscope.papers.reproduce.judging import judge
from tauscope.papers.reproduce.planning import make_plan
from tauscope.papers.vocabulary import Results, Trained
from tauscope.runs.config import kind_of

TrackingConfig = kind_of("tracking")

CLAIMS = {claim.key: claim for claim in PAPER.claims}
BALANCES = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def course(n_signals: int, agrees: bool, noise: float) -> xr.Dataset:
    """Return the course of a network that breaks up, or does not."""
    generator, n_units = np.random.default_rng(0), 6
    final, ratio = (4.0, 5.0) if agrees else (0.5, 1.0)
    own = np.where(np.eye(n_signals, dtype=bool), 0.9, -0.9) * (1 if agrees else -1)
    balance = np.array([1.0, 0.3 if agrees else 1.2, final + noise])
    return xr.Dataset(
        {"balance": ("epoch", balance), "feedback": ("epoch", -balance), "outlier": ("epoch", -balance),
         "within": ("epoch", -0.03 * balance * ratio - noise), "between": ("epoch", -0.03 * balance),
         "tau_net": ("epoch", 5 / (1 + balance)), "eigenvalues": (("epoch", "eigenvalue", "part"),
         generator.standard_normal((3, n_units, 2))), "weights": (("to", "from"), generator.standard_normal((6, 6))),
         "size": ("cluster", [6 // n_signals] * n_signals), "correlation": (("channel", "output"), own),
         "input_weight": (("unit", "channel"), generator.standard_normal((n_units, n_signals))),
         "output_weight": (("unit", "output"), generator.standard_normal((n_units, n_signals)))},
        coords={"epoch": [0, 1, 2], "channel": range(1, n_signals + 1), "output": range(1, n_signals + 1)},
    )  # fmt: skip


def untrained(agrees: bool, noise: float) -> xr.Dataset:
    rates = 2.5 * BALANCES ** (1.0 if agrees else -1.0) + noise
    each, bits = ("network", "balance"), {"long_name": "information rate", "units": "bits/τ"}
    time = {"long_name": "response time", "units": "τ"}
    return xr.Dataset(
        {"information_rate": (each, rates[None], bits), "response_time": (each, 1 / (1 + BALANCES)[None], time),
         "linear_rate": ("balance", rates, bits), "linear_time": ("balance", 1 / (1 + BALANCES), time), "bias": 0.1},
        coords={"balance": BALANCES}, attrs={"n_units": 20},
    )  # fmt: skip


def world(agrees: bool = True, n: int = 3) -> Results:
    networks: dict[str, list[Trained]] = {}
    rng = np.random.default_rng(1)
    for one in CONDITIONS:
        for i in range(1, n + 1):
            noise = 0.01 * rng.standard_normal()
            imbalance = xr.Dataset(
                {name: ("unit", [value + noise]) for name, value in (("imbalance", 0.2), ("correlation", 0.5))}
            )
            if one.name in PARITY:
                history: Any = ({"stage": "N3_N3", "Ns": [3], "solved": [3], "accuracy": [0.99], "loss": 0.1},)
                found = {("balance", 3): imbalance}
            else:
                history = ({"stage": "N1_N1", "solved": False, "relative_error": [0.2], "loss": 0.1},)
                after = xr.Dataset({"before": 1.0, "after": 3.0 + noise if agrees else 0.5 + noise})
                found = {("course", 1): course(SIGNALS[one.name], agrees, noise), ("information", 1): after,
                         ("balance", 1): imbalance}  # fmt: skip
                if one.name == "one":
                    found["untrained", 1] = untrained(agrees, noise)
            networks.setdefault(one.name, []).append(
                Trained(one.name, i, history, found, options={"steps_per_epoch": 100})
            )
    return Results(networks, {one.name: one.label for one in CONDITIONS})


AGREES, DISAGREES = world(), world(agrees=False)


@pytest.mark.parametrize("scale", SCALES)
def test_every_network_of_a_scale_is_a_valid_run_with_a_folder_of_its_own(scale: str, tmp_path: Path) -> None:
    networks = make_plan("balanced-networks", scale, tmp_path).networks
    assert len({one.folder for one in networks}) == len(networks)


def test_the_paper_scale_is_that_of_the_published_scripts(tmp_path: Path) -> None:
    networks = make_plan("balanced-networks", "paper", tmp_path).networks
    configs = {one.numbers[0][0]: one.config for one in networks if isinstance(one.config, TrackingConfig)}
    assert {name: (config.num_neurons, config.epochs * config.steps_per_epoch, config.lr)
            for name, config in configs.items()} == dict.fromkeys(SIGNALS, (100, 100_000, 0.001))  # fmt: skip


def test_every_claim_holds_in_a_world_that_is_as_the_paper_says() -> None:
    judged = judge(PAPER, SCALES["quick"], AGREES)
    assert {one.claim.key: one.verdict for one in judged} == dict.fromkeys(CLAIMS, "holds")


def test_no_claim_holds_where_everything_is_the_other_way_round() -> None:
    judged = judge(PAPER, SCALES["quick"], DISAGREES)
    assert {one.claim.key: one.verdict for one in judged} == dict.fromkeys(CLAIMS, "does not hold")


def test_every_claim_is_missing_without_networks() -> None:
    assert {one.verdict for one in judge(PAPER, SCALES["quick"], Results({}, {}))} == {"missing"}


@pytest.mark.parametrize("figure", PAPER.figures, ids=lambda one: one.name)
def test_every_figure_is_drawn_and_passes_over_what_is_not_there(figure: Any) -> None:
    assert isinstance(figure.draw(AGREES), Figure)
    assert figure.draw(Results({}, {})) is None


def test_the_eigenvalues_move(tmp_path: Path) -> None:
    (moving,) = PAPER.animations
    animation = moving.draw(AGREES)
    assert isinstance(animation, FuncAnimation)
    animation.save(tmp_path / "moving.gif", writer="pillow")
    assert moving.draw(Results({}, {})) is None


def test_the_course_is_that_of_the_analyses() -> None:
    config = TrackingConfig(signals="2", num_neurons=8, seed=1)
    start = config.model()
    grown = config.model()
    grown.layers[0].recurrent.weight.data.mul_(3.0)  # type: ignore[union-attr, operator]
    subject = Subject(grown, config.measured_task(1), (1, 1), 0, {0: start, 5: grown})
    found = quantities.course(subject)
    assert found["epoch"].values.tolist() == [0, 5]
    assert found["balance"].values.tolist() == pytest.approx([1.0, 3.0])
    assert found["size"].sum() == 8
    np.testing.assert_allclose(found["correlation"], ts.analysis.alignment(grown)["correlation"])


def test_a_network_without_memory_has_the_timescale_of_its_units() -> None:
    config = TrackingConfig(num_neurons=20, balance=1.0, g=0.0, seed=1)
    model = config.model()
    model.layers[0].recurrent.weight.data.zero_()  # type: ignore[union-attr, operator]
    found = quantities.median_tau_net(model, config.template(), torch.Generator().manual_seed(1))
    assert found == pytest.approx(-1 / np.log(0.8), rel=0.05)


def test_a_reproduction_writes_its_results_and_an_animation(tmp_path: Path) -> None:
    command = [
        "reproduce",
        "balanced-networks",
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
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert {"claims.csv", "eigenvalues.png", "eigenvalues_moving.gif", "index.html"} <= written
