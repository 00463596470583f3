"""Stable reparameterisation as it is written down: linear networks, claims on results nobody measured, figures, a small reproduction."""

from __future__ import annotations

import csv
import json
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
from tauscope.analysis import perturb
from tauscope.analysis.perturbation_error import BETAS
from tauscope.cli import main
from tauscope.errors import NotApplicableError
from tauscope.measurements import Subject
from tauscope.models import TauMap
from tauscope.models.names import TAU_MAPS
from tauscope.papers.reproduce.judging import judge
from tauscope.papers.reproduce.planning import make_plan
from tauscope.papers.stable_reparameterisation import PAPER, quantities
from tauscope.papers.stable_reparameterisation.conditions import CONDITIONS, QUICK, SCALES, STANDARD
from tauscope.papers.stable_reparameterisation.learning_rates import learning_rates
from tauscope.papers.stable_reparameterisation.linear import (
    MAPS,
    PARTS,
    RHOS,
    LinearNetworks,
    initial_values,
    linear,
    matched,
    smallest_rate,
)
from tauscope.papers.stable_reparameterisation.sizes import optima, sizes
from tauscope.papers.vocabulary import Results, Trained

CLAIMS = {claim.key: claim for claim in PAPER.claims}


# --- linear networks --------------------------------------------------------------------------------------------------------


def networks(*names: str, n_networks: int = 3, n_units: int = 4, seed: int = 0) -> LinearNetworks:
    initial = initial_values(n_networks, n_units, torch.Generator().manual_seed(seed))
    return LinearNetworks.start([MAPS[name] for name in names], "pol", initial)


def test_networks_start_alike_under_every_map() -> None:
    several = networks(*MAPS)
    rates = several.rate()
    # The published best reaches λ = 1/(w² + 0.1) and best with b = 1 as well.
    torch.testing.assert_close(rates, rates[:1].expand_as(rates), rtol=1e-12, atol=0)
    torch.testing.assert_close(several.loss(), several.loss()[:1].expand(len(MAPS), -1), rtol=1e-9, atol=0)
    assert 0.05 <= float(rates.min()) <= float(rates.max()) <= 0.95


def test_updates_are_those_of_torchs_adam_network_by_network() -> None:
    several = networks("softplus", "best")
    rival = {name: value.clone().requires_grad_() for name, value in several.parameters.items()}
    optimizer = torch.optim.Adam(list(rival.values()), lr=0.01)
    twin = networks("softplus", "best")
    for _ in range(20):
        optimizer.zero_grad()
        loss = twin.loss(rival) + 0.01 * (1 - smallest_rate(twin.rate(rival["w"]))).relu()
        loss.sum().backward()
        for i in range(2):
            for j in range(3):
                own = [value.grad[i, j] for value in rival.values() if value.grad is not None]
                norm = float(torch.cat(own).norm())
                for gradient in own:
                    gradient.mul_(min(0.5 / (norm + 1e-6), 1.0))
        optimizer.step()
    several.train(20, 0.01)
    for name, value in several.parameters.items():
        torch.testing.assert_close(value, rival[name].detach(), rtol=1e-9, atol=1e-11)


def test_networks_of_other_learning_rates_are_trained_as_alone() -> None:
    initial = initial_values(2, 4, torch.Generator().manual_seed(0))
    both = LinearNetworks.start(
        [MAPS["exp"]], "pol", {name: torch.stack([value] * 2) for name, value in initial.items()}
    )
    both.train(15, torch.tensor([[[0.1], [0.01]]], dtype=torch.float64).expand(1, 2, 2), clip=math.inf, margin=0.0)
    for i, lr in enumerate((0.1, 0.01)):
        alone = LinearNetworks.start([MAPS["exp"]], "pol", initial)
        alone.train(15, lr, clip=math.inf, margin=0.0)
        torch.testing.assert_close(both.parameters["w"][:, i], alone.parameters["w"], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(both.largest_ratio[:, i], alone.largest_ratio, rtol=1e-9, atol=0)


def test_a_network_stops_below_its_loss_and_stays() -> None:
    several = networks("softplus")
    before = several.loss()
    target = torch.stack([0.5 * before[0, :1], 0.9 * before[0, 1:2], 0 * before[0, 2:]]).T
    updates = several.train(300, 0.01, stop_below=target)
    after = several.loss()
    assert updates[0, 1] < updates[0, 0] < updates[0, 2] == 300
    assert (after[0, :2] < target[0, :2]).all()
    torch.testing.assert_close(after[0, :2], target[0, :2], rtol=0.2, atol=0)


def test_rates_that_are_trained_themselves_stay_positive() -> None:
    several = networks("direct")
    several.train(40, 0.5)
    assert float(several.rate().min()) >= 1e-4


def test_errors_are_those_of_perturbed_networks_and_rise() -> None:
    several = networks("softplus", "direct")
    error = several.errors(torch.Generator().manual_seed(1), n_draws=2)
    assert error.shape == (2, len(PARTS), 3, len(BETAS))
    assert (error.diff(dim=-1) >= 0).all()
    torch.testing.assert_close(error[..., 0], several.loss().unsqueeze(1).expand(-1, len(PARTS), -1))
    # The same draws by hand: every tensor by noise whose largest entry is β.
    generator, beta, largest = torch.Generator().manual_seed(1), BETAS[1], several.loss()
    d = {}
    for name, value in several.parameters.items():
        noise = torch.randn(2, *value.shape[1:], generator=generator).double()
        d[name] = noise / noise.abs().amax(-1, keepdim=True)
    for draw in range(2):
        moved = {name: value + beta * d[name][draw] for name, value in several.parameters.items()}
        largest = torch.maximum(largest, several.loss(moved))
    torch.testing.assert_close(error[:, 0, :, 1], largest, rtol=1e-9, atol=0)


def test_perturbations_are_as_large_as_those_of_the_package() -> None:
    model = ts.LeakyRNN(8, n_heads=1, generator=torch.Generator().manual_seed(0)).double()
    moved = perturb(model, "all", 0.1, torch.Generator().manual_seed(1), norm="largest", space="raw")
    own = dict(model.named_parameters())
    for name, kept in moved.named_parameters():
        assert float((kept - own[name]).abs().max().detach()) == pytest.approx(0.1), name


def test_studies_are_as_their_options_say() -> None:
    small = {"n_networks": 2, "n_draws": 2}
    generator = torch.Generator().manual_seed(0)
    found = linear(generator, n_units=(2, 3), n_updates=3, **small)
    assert dict(found.sizes) == {"rho": 2, "units": 2, "map": 7, "part": 3, "network": 2, "beta": 22, "lag": 1024}
    assert np.isfinite(found["error"].sel(map="softplus", beta=0)).all()
    same = matched(generator, n_units=3, n_updates=5, stop_below=1e9, **small)
    assert (same["updates"] == 0).all()
    assert same["updates"].attrs["most"] == 5
    chain = sizes(generator, n_units=(2, 3), first_updates=5, n_updates=200, **small)
    assert (chain["updates"].isel(units=0) == 5).all()
    last = chain["error"].sel(beta=0, part="all")
    reached = (chain["updates"].isel(units=1) < 200).transpose("rho", "map", "network").values
    assert (last.isel(units=1) < last.isel(units=0)).transpose("rho", "map", "network").values[reached].all()
    best = optima(generator, n_units=(2, 4), n_updates=20, lrs=(0.01, 0.001), **small)
    assert dict(best["error"].sizes) == {"rho": 2, "units": 2, "map": 2, "part": 3, "network": 2, "beta": 22}
    assert (best["fell"] > 1).all()
    rates = learning_rates(generator, n_networks=2, n_units=3, rates=(0.1, 1e-6), n_updates=5)
    assert (rates["largest_ratio"] > 0).all()


# --- claims on results nobody measured --------------------------------------------------------------------------------------


def curve(star: float, level: float = 1.0, start: float = 0.1) -> list[float]:
    """Return errors that leave the start by more than a tenth of a level only beyond a perturbation."""
    return [start if beta <= star * 1.01 else start + level * (1 + beta) for beta in BETAS]


def spread(i: int) -> float:
    """Return a step of the grid for every other network."""
    return float(2 ** (i % 2 / 2))


def linear_study(stars: Mapping[tuple[str, str], float], all_stars: Mapping[str, float]) -> xr.Dataset:
    """Return a study in which w bears so much, by memory and map, and all parameters so much, by map."""
    error = np.empty((2, 2, 7, 3, 5, len(BETAS)))
    for r, rho in enumerate(RHOS):
        power = quantities.power(rho)
        for k, name in enumerate(MAPS):
            for i in range(5):
                rate = curve(stars.get((rho, name), 0.5) * spread(i), power)
                every = np.array(curve(all_stars[name] * spread(i), power * (100 if all_stars[name] < 0.02 else 0.2)))
                error[r, :, k, :, i] = [every, rate, every]
    dims = ("rho", "units", "map", "part", "network", "beta")
    memory = np.full((2, 7, 5, 30), 0.1)
    return xr.Dataset(
        {"error": (dims, error), "memory": (("rho", "map", "network", "lag"), memory)},
        {"rho": list(RHOS), "units": [8, 32], "map": list(MAPS), "part": list(PARTS), "beta": list(BETAS)},
    )


def sizes_study(as_paper: bool) -> xr.Dataset:
    """Return a study of four sizes, of which each is better than the one before up to a place of the grid and worse beyond."""
    error = np.empty((2, 4, 2, 3, 5, len(BETAS)))
    place = np.arange(len(BETAS))
    for k in range(4):
        error[:, k, 1] = 2.0 ** (-k if as_paper else k)
        for i in range(5):
            for rho, falls in (("exp", not as_paper), ("pol", as_paper)):
                cross = (20 - 4 * k if falls else 8 + 2 * k) + i % 2
                error[RHOS.index(rho), k, 0, :, i] = np.where(place < cross, 2.0**-k, 10 * 2.0**k)
    dims = ("rho", "units", "map", "part", "network", "beta")
    coordinates = {"rho": list(RHOS), "units": [2, 4, 8, 16], "map": ["direct", "softplus"], "part": list(PARTS)}
    return xr.Dataset({"error": (dims, error)}, coordinates | {"beta": list(BETAS)})


def as_claimed() -> dict[str, xr.Dataset]:
    stars = {("pol", "direct"): 0.008, ("exp", "direct"): 0.128}
    study = linear_study(stars, dict.fromkeys(MAPS, 0.032) | {"direct": 0.008})
    same = study[["error"]].sel(rho="pol").isel(units=0, drop=True).drop_vars("rho")
    same["updates"] = (("map", "network"), np.full((7, 5), 100))
    same["updates"].attrs["most"] = 1000
    chain = study[["error"]].sel(map=["direct", "softplus"])
    lrs = [5.0, 0.5, 0.05, 0.005, 0.0005]
    loss = np.full((7, 5, 5), 0.5)
    for k, name in enumerate(MAPS):
        best = 1 if name.startswith("best") else 2
        loss[k, best:] = 0.01
    ratio = np.array([2e5, 20, 100, 0.5, 3, 2, 2])[:, None, None] * np.linspace(0.9, 1.1, 5) * np.ones((7, 5, 5))
    rates = xr.Dataset(
        {
            name: (("map", "lr", "network"), value)
            for name, value in (("loss", loss), ("largest_ratio", ratio), ("largest_gradient", ratio))
        },
        {"map": list(MAPS), "lr": lrs},
    )
    return {"linear": study, "matched": same, "sizes": chain, "optima": sizes_study(True), "learning_rates": rates}


def reversed_world() -> dict[str, xr.Dataset]:
    stars = {("pol", "direct"): 0.128, ("exp", "direct"): 0.008} | {("pol", n): 0.008 for n in MAPS if n != "direct"}
    found = as_claimed()
    study = linear_study(stars, dict.fromkeys(MAPS, 0.008) | {"direct": 0.032})
    same = study[["error"]].sel(rho="pol").isel(units=0, drop=True).drop_vars("rho")
    same["updates"] = found["matched"]["updates"]
    rates = found["learning_rates"].copy(deep=True)
    rates["loss"][:] = np.where(np.array([n == "direct" for n in MAPS])[:, None, None], 0.01, 0.5)
    rates["largest_ratio"][:] = 1 / rates["largest_ratio"]
    return found | {"linear": study, "matched": same, "optima": sizes_study(False), "learning_rates": rates}


def perturbed(star: float, all_star: float) -> xr.Dataset:
    errors = [curve(all_star, 10 / all_star), curve(star)]
    return xr.Dataset({"error": (("part", "beta"), errors)}, {"part": ["all", "tau"], "beta": list(BETAS)})


def taus(scale: float, frozen: int) -> xr.Dataset:
    values = 1 + scale * np.linspace(0.5, 1.5, 10)
    values[:frozen] = 1
    return xr.Dataset({"tau": ("unit", values)})


def history(N: int) -> tuple[Mapping[str, Any], ...]:
    return tuple({"stage": f"N2_N{M}", "Ns": [2, M], "epoch": M - 1, "solved": True} for M in range(2, N + 1))


def trained(condition: str, i: int, as_paper: bool) -> Trained:
    kind, _, tau_map = condition.partition("_")
    if kind in ("pol", "exp", "filter"):
        stable = (condition.endswith("softplus") or kind != "pol") == as_paper
        borne = (0.128, 0.045) if stable else (0.0113, 0.008)
        return Trained(condition, i, ({"stage": "memory100", "solved": False},),
                       {("perturbation_error", 100): perturbed(borne[0] * spread(i), borne[1] * spread(i))})  # fmt: skip
    moves = (tau_map != "inverse") == as_paper
    # Multi-head networks are alike, single-head ones get further where slow units move.
    N = 10 + (5 * moves if kind == "single" else 0) + (0 if as_paper or kind == "single" else 6 * moves) + i % 2
    scale = (1000.0 if tau_map == "direct" else 3.0) if moves else 0.5
    return Trained(
        condition,
        i,
        history(N),
        {("tau", M): taus(scale * spread(i), 0 if moves else 2 + i % 2) for M in (5, 10)},
        options={"steps_per_epoch": 50},
    )


def world(as_paper: bool) -> Results:
    nets = {condition.name: [trained(condition.name, i, as_paper) for i in range(1, 6)] for condition in CONDITIONS}
    return Results(
        nets,
        {condition.name: condition.label for condition in CONDITIONS},
        as_claimed() if as_paper else reversed_world(),
    )


JUDGED = [key for key in CLAIMS if key != "C8b"]


def test_every_claim_holds_in_a_world_that_is_as_the_papers_say() -> None:
    judged = {judgement.claim.key: judgement for judgement in judge(PAPER, STANDARD, world(True))}
    assert {key: judged[key].verdict for key in JUDGED} == dict.fromkeys(JUDGED, "holds")
    assert judged["C8b"].verdict == "not judged"


def test_no_claim_holds_where_everything_is_the_other_way_round() -> None:
    judged = {judgement.claim.key: judgement.verdict for judgement in judge(PAPER, STANDARD, world(False))}
    assert {key: judged[key] for key in JUDGED} == dict.fromkeys(JUDGED, "does not hold")


def test_quick_says_what_it_cannot_judge() -> None:
    judged = {judgement.claim.key: judgement.verdict for judgement in judge(PAPER, QUICK, world(True))}
    assert {key for key, verdict in judged.items() if verdict == "not judged"} == {
        "C4b",
        "C8",
        "C8b",
        "X2",
        "X2b",
        "X2c",
        "X3",
    }


def test_what_was_not_measured_is_missing_and_no_mistake() -> None:
    nothing = Results({condition.name: [] for condition in CONDITIONS}, {})
    assert {judgement.verdict for judgement in judge(PAPER, STANDARD, nothing)} <= {"missing", "not judged"}
    # A network that did not reach the loss is none at that loss.
    late = as_claimed()
    late["matched"]["updates"][:] = 1000
    missing = {judgement.claim.key: judgement.verdict for judgement in judge(PAPER, QUICK, Results({}, {}, late))}
    assert (missing["C1"], missing["C2"]) == ("holds", "missing")


def test_every_figure_is_drawn_of_what_is_there() -> None:
    for results in (world(True), Results({condition.name: [] for condition in CONDITIONS}, {})):
        for figure in PAPER.figures:
            drawn = figure.draw(results)
            assert drawn is None or isinstance(drawn, Figure), figure.name
            if results.studies:
                assert drawn is not None, figure.name
                drawn.canvas.draw()  # type: ignore[union-attr]


# --- plans and a small reproduction -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_can_be_planned(scale: str, tmp_path: Path) -> None:
    plan = make_plan("stable-reparameterisation", scale, tmp_path / "base")
    assert {study.name for study in plan.studies} == {study.name for study in PAPER.studies}
    assert all(network.config.recipe().seed >= 1900 for network in plan.networks), "no trial had these"
    singles = [network for network in plan.networks if network.config.curriculum_type == "single"]
    assert bool(singles) == (scale != "quick")
    assert all(network.measures for network in plan.networks)


def test_a_network_without_tau_is_not_measured() -> None:
    model = ts.build_model("gru", 3, n_heads=1, generator=torch.Generator().manual_seed(0))
    subject = Subject(model, ts.Parity([2]), (2, 2), seed=0)
    assert PAPER.measurements["tau"].lacks(subject)
    with pytest.raises(NotApplicableError, match="the network has no τ"):
        quantities.tau(subject)


@pytest.mark.slow
def test_a_small_reproduction_ends_in_its_tables_and_figures(tmp_path: Path) -> None:
    base = tmp_path / "base"
    assert main(["reproduce", "stable-reparameterisation", "--scale", "smoke", "-b", str(base), "--jobs", "2"]) == 0
    with (base / "results" / "claims.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["claim"] for row in rows} == set(CLAIMS)
    assert {row["claim_verdict"] for row in rows} == {"not judged"}
    assert {path.stem for path in (base / "results").glob("*.png")} == {figure.name for figure in PAPER.figures}
    assert json.loads((base / "results" / "claims.json").read_text())


def test_maps_of_the_study_are_maps_of_cells() -> None:
    assert {tau_map.name for tau_map in MAPS.values()} == {TauMap(name).shape for name in TAU_MAPS}
