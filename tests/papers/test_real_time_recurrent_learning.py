"""Real-time recurrent learning as it is written down: studies against closed forms, claims on results nobody made, figures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure

from tauscope.learning.learners import BPTT
from tauscope.papers.real_time_recurrent_learning import PAPER, studies
from tauscope.papers.real_time_recurrent_learning import quantities as q
from tauscope.papers.real_time_recurrent_learning.conditions import CONDITIONS, GAMES, PARITY, SCALES, SHOWN
from tauscope.papers.reproduce.judging import judge
from tauscope.papers.vocabulary import Results, Trained, verdict
from tauscope.runs.config import config_of

CLAIMS = {claim.key: claim for claim in PAPER.claims}
SMOKE: Any = SCALES["smoke"].measurement_options


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return {study.name: study.run(draws(), **SMOKE[study.name]) for study in PAPER.studies}


def trained(condition: str, scores: list[list[float]]) -> list[Trained]:
    metric = "accuracy" if condition.startswith("copy") else "return"
    options = {"steps_per_epoch": 24, "batch_size": 16, "span": 20}
    return [
        Trained(condition, i, tuple({metric: [score], "solved": False} for score in one), {}, options=options)
        for i, one in enumerate(scores, 1)
    ]


def results(curves: dict[str, list[list[float]]], found: dict[str, Any]) -> Results:
    networks = {name: trained(name, scores) for name, scores in curves.items()}
    return Results(networks, {one.name: one.label for one in CONDITIONS}, found)


FAST = [[0.0, 0.5, 0.96, *[0.98] * 9], [0.1, *[0.97] * 11], [0.0, 0.6, *[0.98] * 10]]
SLOW = [[0.0, *[0.1] * 10, 0.2], [0.0, 0.0, *[0.1] * 10], [*[0.1] * 11, 0.2]]
AS_PUBLISHED = {
    **{one.name: FAST if one.name.endswith("rtrl") else SLOW for one in CONDITIONS if one not in PARITY},
    **dict.fromkeys(("game25_bptt", *(one.name for one in SHOWN)), FAST),
}
REVERSED = {name: FAST if scores is SLOW else SLOW for name, scores in AS_PUBLISHED.items()} | {"shown_none": FAST}


@pytest.mark.parametrize("key", ["C2", "C3", "C4", "C5", "C6"])
def test_claims_about_learning_hold_where_rtrl_learns_and_truncated_gradients_do_not(key: str) -> None:
    assert verdict(CLAIMS[key].judge(results(AS_PUBLISHED, {}))) == "holds"
    assert verdict(CLAIMS[key].judge(results(REVERSED, {}))) == "does not hold"


def test_claims_without_results_are_missing() -> None:
    for judged in judge(PAPER, SCALES["quick"], results({}, {})):
        assert judged.verdict == "missing", judged


def test_identities_hold_and_are_measured_so_that_they_could_fail(made: dict[str, Any]) -> None:
    for key in ("C1", "C7", "C8"):
        assert verdict(CLAIMS[key].judge(results({}, made))) == "holds", key
    spoilt = {name: found.copy(deep=True) for name, found in made.items()}
    spoilt["exactness"].error[0, 0, 0] = 1e-6
    spoilt["memory"].bytes[0, -1] += 1
    spoilt["layers"].error[0, 2] = 1e-6
    for key in ("C1", "C7", "C8"):
        assert verdict(CLAIMS[key].judge(results({}, spoilt))) == "does not hold", key


def test_sensitivities_are_exact_until_there_are_updates(made: dict[str, Any]) -> None:
    error = made["staleness"].error
    assert float(abs(error.sel(rate=0.0)).max()) < 1e-12
    assert (error.isel(rate=-1) > 1e-8).all()
    assert (made["cost"].seconds > 0).all()


def test_dense_sensitivities_are_backpropagation_through_time() -> None:
    for cell in ("egru", "leaky_units"):
        model = studies.network(cell, [3, 4], draws(), std=0.7).double()
        task = studies.Answers(12)
        exact, found = studies.gradients(model, task, BPTT(), 5), studies.dense_rtrl(model, task, 5)
        for name, gradient in exact.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-10)


def test_epochs_are_counted_to_the_first_score_and_censored_at_the_last() -> None:
    found = results({"game5_rtrl": FAST, "game5_bptt": SLOW}, {})
    assert q.epochs_to_learn(found, "game5_rtrl") == {1: 3.0, 2: 2.0, 3: 3.0}
    assert q.epochs_to_learn(found, "game5_bptt") == {1: 12.0, 2: 12.0, 3: 12.0}
    assert (q.learnt(found, "game5_rtrl"), q.learnt(found, "game5_bptt")) == (3, 0)
    assert q.final(found, "game5_bptt")[1] == pytest.approx(0.15)
    assert q.frames(found.of("game5_rtrl")[0]) == 24 * 16 * 21


def test_conditions_differ_in_their_folders_at_every_scale() -> None:
    for scale in SCALES.values():
        names = []
        for condition in CONDITIONS:
            own = scale.by_condition[condition.name]
            assert own is not None
            names.append(config_of({**scale.options, **own, **condition.options, "seed": 0}).name)
        assert len(set(names)) == len(CONDITIONS)
    assert config_of({**GAMES[0].options}).recipe().gradient == "rtrl"


def test_figures_are_drawn(made: dict[str, Any]) -> None:
    whole = results(AS_PUBLISHED, made)
    scales = xr.Dataset({"tau_net": ("unit", [2.0, 4.0]), "tau": ("unit", [1.0, 2.0])})
    records = tuple({"Ns": [N], "stage": f"N{N}_N{N}", "solved": N < 4, "accuracy": [0.9]} for N in (2, 3, 4))
    solved = {one.name: [Trained(one.name, 1, records, {("timescales", 3): scales})] for one in PARITY}
    whole = dataclasses.replace(whole, networks={**whole.networks, **solved})
    for figure in PAPER.figures:
        drawn = figure.draw(whole)
        assert isinstance(drawn, Figure)
        assert all(np.isfinite(line.get_xydata()).all() for ax in drawn.axes for line in ax.lines[:1])
        assert figure.draw(results({}, {})) is None
