"""Lyapunov noise pruning as it is written down: claims on results that nobody measured, small studies, figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

from tauscope.cli import main
from tauscope.models.trace import run
from tauscope.papers.lyapunov_noise_pruning import PAPER, networks, studies
from tauscope.papers.lyapunov_noise_pruning import quantities as q
from tauscope.papers.lyapunov_noise_pruning.conditions import CONDITIONS, NOT_JUDGED, QUICK, SCALES
from tauscope.papers.lyapunov_noise_pruning.networks import COMBINATIONS, LNP, OF_UNITS, VARIANTS
from tauscope.papers.lyapunov_noise_pruning.studies import BARE, DRAWN, SETTINGS, STEPS, SYSTEMS, WHOLE
from tauscope.papers.reproduce.judging import judge
from tauscope.papers.vocabulary import Results, Trained
from tauscope.runs.config import config_of

NAMES = [WHOLE, BARE, *VARIANTS]
N = 4


def made_prunings(agrees: bool = True, recurrence: float = 0.1) -> xr.Dataset:
    """Return a study in which all claims hold, or none but the gate."""
    shape = (N, 2, len(SETTINGS), len(NAMES), 2)
    spread = 1e-4 * np.arange(N)[:, None, None, None, None]
    found = {
        "nrmse": np.full(shape, 0.3) + spread,
        "rate": np.full(shape, 0.3) + spread,
        "exponent": np.full(shape, -0.1),
    }
    place = {name: i for i, name in enumerate(NAMES)}
    better = [place[name] for name in (LNP, LNP + networks.PLAIN)]
    found["nrmse"][..., better, :] += -0.01 if agrees else 0.05
    found["nrmse"][..., place[WHOLE], :] = 0.28 + spread[..., 0, :]
    found["nrmse"][..., place[BARE], :] = 0.28 + recurrence + 2 * spread[..., 0, :]
    # One timescale is worse, or better.
    found["nrmse"][:, 1] += 0.1 if agrees else -0.1
    found["rate"][..., place[LNP], :] += -0.1 if agrees else 0.1
    found["exponent"][..., place["random"], :] += 0.02 + spread[..., 0, :]
    found["exponent"][..., place[LNP], :] += 0.01 if agrees else 0.05
    units = np.full(shape[:-1], 0.1) + spread[..., 0]
    dims = ("network", "timescales", "setting", "rule", "system")
    data = {name: (dims, values) for name, values in found.items()}
    data |= dict.fromkeys(("participation", "tau_kept", "tau_removed", "synapses", "units"), (dims[:-1], units))
    whole = xr.Dataset(
        data,
        {"timescales": list(networks.TIMESCALES), "setting": list(SETTINGS), "rule": NAMES, "system": list(SYSTEMS)},
    )
    same = whole.rule.isin(OF_UNITS) & (whole.setting != "B")
    return whole.where(~same)


def made_shares() -> xr.Dataset:
    shares = [1.0, 0.5, 0.0]
    values = np.linspace(0.3, 0.4, 3)[:, None, None] + np.zeros((2, 2, 3, len(DRAWN), 2))
    return xr.Dataset(
        {"nrmse": (("network", "timescales", "share", "rule", "system"), values)},
        {"timescales": list(networks.TIMESCALES), "share": shares, "rule": list(DRAWN), "system": list(SYSTEMS)},
    )


def made_spectra() -> xr.Dataset:
    values = -np.sort(np.random.default_rng(0).random((2, 3, 5)), axis=-1)
    return xr.Dataset(
        {"exponents": (("slope", "rule", "exponent"), values), "leak": ("exponent", values[0, 0])},
        {"slope": [1.0, 5.0], "rule": [WHOLE, "random", LNP]},
    )


def measured(agrees: bool, i: int) -> dict[tuple[str, int], xr.Dataset]:
    score = np.full((3, 3, 1, 2), 0.8) + 1e-3 * i * np.arange(3)[:, None, None, None]
    score[2] += 0.1 if agrees else -0.1
    result = xr.Dataset(
        {"score": (("rule", "share", "draw", "head"), score), "chance": ("head", [0.5, 0.5])},
        {"rule": ["random", "magnitude", "lyapunov"], "share": [1.0, 0.5, 0.0]},
        {"metric": "accuracy", "n_trials": 10},
    )
    return {("pruning", 6): result}


def made(agrees: bool = True, **options: Any) -> Results:
    records: tuple[dict[str, Any], ...] = ({"Ns": [6], "solved": [6], "stage": "N6_N6"},)
    trained = {
        condition.name: [Trained(condition.name, i, records, measured(agrees, i)) for i in range(1, 4)]
        for condition in CONDITIONS
    }
    found = {"prunings": made_prunings(agrees, **options), "shares": made_shares(), "spectra": made_spectra()}
    return Results(trained, {condition.name: condition.label for condition in CONDITIONS}, found)


def verdicts(results: Results) -> dict[str, str]:
    return {judged.claim.key: judged.verdict for judged in judge(PAPER, QUICK, results)}


def test_claims_hold_where_the_numbers_say_so_and_not_otherwise() -> None:
    held, failed = verdicts(made()), verdicts(made(agrees=False))
    unjudged = dict.fromkeys(("C7", *NOT_JUDGED), "not judged")
    assert held == {claim.key: "holds" for claim in PAPER.claims} | unjudged
    assert failed == {claim.key: "does not hold" for claim in PAPER.claims} | unjudged | {"C0": "holds"}


def test_without_recurrence_nothing_about_pruning_is_judged() -> None:
    found = verdicts(made(recurrence=0.02))
    assert found["C0"] == "does not hold"
    assert {found[f"C{i}"] for i in range(1, 10)} == {"not judged"}
    assert (found["X1"], found["X2"]) == ("not judged", "holds")


def test_claims_of_a_study_that_failed_are_missing() -> None:
    results = made()
    lacking = Results(results.networks, results.labels, {}, {"prunings": "out of memory"})
    judged = {found.claim.key: found for found in judge(PAPER, QUICK, lacking)}
    assert judged["C3"].verdict == "missing"
    assert "study prunings failed: out of memory" in judged["C3"].reason
    assert judged["X2"].verdict == "holds"


def test_figures_are_drawn_of_what_is_there() -> None:
    results = made()
    for figure in PAPER.figures:
        assert isinstance(figure.draw(results), Figure)
        assert figure.draw(Results({}, {})) is None


def test_the_effect_of_a_step_is_the_mean_over_the_others() -> None:
    prunings = made_prunings()
    for name, steps in COMBINATIONS.items():
        prunings.nrmse.loc[{"rule": name, "setting": "B"}] = (
            0.3 + 0.01 * (1 in steps) - 0.02 * (2 in steps) + 0.04 * (3 in steps)
        )
        prunings.nrmse.loc[{"rule": name, "setting": "A"}] = 0.3 + 0.01 * (1 in steps) + 0.04 * (3 in steps)
    results = Results({}, {}, {"prunings": prunings})
    for step, effect in ((1, 0.01), (2, -0.02), (3, 0.04)):
        np.testing.assert_allclose(q.step_effect(results, step, "lorenz", "B"), effect)
    np.testing.assert_allclose(q.step_effect(results, 1, "lorenz", "A"), 0.01)


def test_the_network_is_setting_q_and_both_kinds_have_the_same_mean() -> None:
    both = networks.spiking_network(120, 24, torch.Generator().manual_seed(0))
    gamma, equal = (both[kind].layers[0].weights() for kind in networks.TIMESCALES)
    W = gamma["recurrent.weight"].value
    assert int((W != 0).sum()) == 2880
    assert float(W[W != 0].std()) == pytest.approx(8 / 24**0.5, rel=0.05)
    assert torch.equal(W, equal["recurrent.weight"].value)
    assert float(gamma["input.weight"].value.abs().max()) == pytest.approx(8, rel=0.05)
    taus = [both[kind].tau for kind in networks.TIMESCALES]
    assert float(taus[1].std()) == 0  # type: ignore[union-attr]
    assert float(taus[0].mean()) == pytest.approx(float(taus[1].mean()), rel=1e-6)  # type: ignore[union-attr]
    assert 3.5 < float(taus[0].mean()) < 5  # type: ignore[union-attr]


def test_variants_side_by_side_are_the_pruned_networks() -> None:
    model = networks.spiking_network(12, 4, torch.Generator().manual_seed(1))["gamma"]
    inputs = 2 * torch.randn(30, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = [
        networks.pruned(model, VARIANTS[name], (0.2, 0.5), 3, inputs[:, None], np.linspace(-1, -0.1, 12))
        for name in ("random", "activity", LNP)
    ]
    traces = networks.traces(networks.Stack.of(found), inputs)
    for i, own in enumerate(found):
        states = run(own, inputs[:, None], torch.Generator().manual_seed(0)).states[:, 0]
        torch.testing.assert_close(traces[:, i], states, rtol=1e-9, atol=1e-12)


def test_exponents_are_those_of_the_units_that_are_left() -> None:
    model = networks.spiking_network(10, 4, torch.Generator().manual_seed(1))["gamma"]
    bare = networks.pruned(model, studies._ALL, (0.0, 0.4), 3, torch.zeros(1, 1, 1), None)  # type: ignore[arg-type]
    cell = bare.layers[0].intact
    cell.slope = 1e9  # type: ignore[assignment]
    found = networks.exponents(
        networks.Stack.of([bare]), torch.zeros(120, 1, dtype=torch.float64), 3, 60, torch.Generator()
    )
    own = -1 / bare.tau[bare.layers[0].mask.bool()]  # type: ignore[index, union-attr, operator]
    torch.testing.assert_close(found[0, 0], own.max().double(), rtol=0, atol=2e-2)


def test_a_readout_is_fitted_and_tested_on_what_follows() -> None:
    generator = torch.Generator().manual_seed(0)
    traces = torch.randn(400, 1, 5, generator=generator, dtype=torch.float64)
    targets = traces[:, 0] @ torch.randn(5, 3, generator=generator, dtype=torch.float64) + 1
    alive = torch.ones(1, 5, dtype=torch.float64)
    assert studies.errors(traces, targets, alive, (10, 200, 90, 100))[0] < 1e-4
    targets[300:] += 1
    assert studies.errors(traces, targets, alive, (10, 200, 90, 100))[0] == pytest.approx(1, abs=0.01)
    alive[0, 0] = 0
    assert studies.errors(traces, targets, alive, (10, 200, 90, 100))[0] > 1.01


def test_every_scale_can_be_planned() -> None:
    for scale in SCALES.values():
        for condition in CONDITIONS:
            config_of({**scale.options, **condition.options, **(scale.by_condition.get(condition.name) or {})})
    assert sum(STEPS) == 4695
    assert set(PAPER.scales) == {"smoke", "quick", "paper"}


def test_a_small_study_keeps_the_counts_that_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    found = studies.prunings(
        generator, n_networks=1, n_units=12, n_neighbours=6, steps=(5, 30, 10, 15), exponent_steps=(4, 8)
    ).isel(network=0)
    counts = found.synapses.sel(timescales="gamma")
    for setting, (share, units) in SETTINGS.items():
        own = counts.sel(setting=setting).drop_sel(rule=[WHOLE, BARE])
        assert set(own.dropna("rule").values.tolist()) == {round(share * 72)}
        there = found.units.sel(timescales="gamma", setting=setting).drop_sel(rule=WHOLE)
        assert set(there.dropna("rule").values.tolist()) == {round(units * 12)}
    assert found.nrmse.sel(setting="B").notnull().all()
    missing = found.nrmse.sel(setting="A", timescales="gamma", system="lorenz").isnull()
    assert {str(name) for name in found.rule.values[missing.values]} == set(OF_UNITS)


@pytest.mark.slow
def test_the_smallest_scale_is_reproduced(tmp_path: Path) -> None:
    assert main(["reproduce", "lyapunov-noise-pruning", "--scale", "smoke", "--base_path", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "results" / "claims.json").read_text())
    assert {path.stem for path in (tmp_path / "results").glob("*.png")} == {figure.name for figure in PAPER.figures}
