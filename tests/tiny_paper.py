"""A paper of seconds: every word of the vocabulary, trained on bits that are all 1, which a few units soon learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
import xarray as xr
from matplotlib.figure import Figure

from tauscope.errors import InputError, require_at_least
from tauscope.measurements import Measurement, Subject
from tauscope.papers.statistics import greater, positive
from tauscope.papers.vocabulary import Claim, Condition, Finding, Measure, Paper, PaperFigure, Results, Scale, Study
from tauscope.plotting.style import new_axes

TRAINING = {
    "num_neurons": 8,
    "p": 1.0,
    "lr": 0.3,
    "steps_per_epoch": 10,
    "batch_size": 8,
    "test_steps": 2,
    "max_N": 4,
    "epochs": 8,
}

CONDITIONS = (
    Condition("multi", "multi-head", {}),
    Condition("single", "single-head", {"curriculum_type": "single"}),
    Condition("fixed", "single-head, τ = 1", {"curriculum_type": "single", "tau": 1.0}),
    Condition(
        "late", "no curriculum, N = 3", {"curriculum_type": "single_nocurr", "ns_init": 3, "network_number": 101}
    ),
    Condition("gated", "GRU", {"cell": "gru", "optimizer": "sgd"}),
)


def _size(subject: Subject, *, factor: float = 1.0) -> xr.Dataset:
    return xr.Dataset({"size": factor * subject.model.n_units})


def _radius(dataset: xr.Dataset) -> float:
    return float(dataset["spectral_radius"][0])


def _farther(results: Results) -> Sequence[Finding]:
    return [greater("N multi >= N single", results.solved("multi"), results.solved("single"), at_least=True)]


def _large(results: Results) -> Sequence[Finding]:
    radii = results.values("connectivity", "single", _radius)
    return [
        positive("radius > 0", radii, published="0.96"),
        positive("N of τ = 1 > 100", results.solved("fixed"), threshold=100),
    ]


def _careless(results: Results) -> Sequence[Finding]:
    return [positive("epochs > 0", [len(results.networks["gated"][0].history) / results.networks["gated"][0].solved])]


def _progress(results: Results) -> Figure:
    ax = new_axes()
    for networks in results.networks.values():
        for one in networks:
            ax.plot([record["epoch"] for record in one.history], [record["Ns"][-1] for record in one.history])
    return cast(Figure, ax.figure)


def _undrawable(_: Results) -> Figure:
    raise InputError("no network to draw: expected two")


def _misspelt(results: Results) -> Sequence[Finding]:
    return [positive("N > 0", [float(one.solved) for one in results.networks["mutli"]])]


def _misdrawn(results: Results) -> Figure:
    raise ZeroDivisionError(f"mean of {len(results.networks)} conditions")


CLAIMS = (
    Claim("C1", "Many heads reach as far as one.", "section 1, | p. 1", _farther),
    Claim("C2", "The spectral radius is positive.", "section 2", _large),
    Claim("C3", "Networks need epochs.", "section 3", _careless),
    Claim("C4", "Some things take longer.", "section 4", _farther),
)

FIGURES = (
    PaperFigure("figure_1_progress", "The newest N after every epoch. 2 networks a condition.", _progress),
    PaperFigure("figure_2_nothing", "Nothing.", lambda _: None),
    PaperFigure("figure_3_undrawable", "Cannot be drawn.", _undrawable),
)

MEASURES = (
    Measure("connectivity", ("multi", "single"), at="each"),
    Measure("forgetting", ("multi",)),
    Measure("size", ("multi", "gated")),
)

SCALES = {
    "smoke": Scale(
        "smoke", "a moment", 1, TRAINING | {"epochs": 1}, out_of_reach={one.key: "too few epochs" for one in CLAIMS},
        by_condition={"single": None, "fixed": None, "late": None},
    ),
    "quick": Scale(
        "quick", "seconds", 2, TRAINING, measured_Ns=(2,),
        by_condition={"gated": {"epochs": 2}},
        measurement_options={"forgetting": {"n_sequences": 32, "beyond": 1}, "size": {"factor": 0.5}},
        out_of_reach={"C4": "needs a night"},
    ),
}  # fmt: skip

SIZE = Measurement(_size, {}, lambda result: {"half the units": float(result["size"])})

PAPER = Paper(
    name="tiny",
    title="Tiny networks",
    authors="A. Nobody",
    reference="Journal of Tests 1, 1",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    measurements={"size": SIZE},
    published=("connectivity", "size"),
)

MISTAKEN = replace(
    PAPER,
    claims=(Claim("C0", "Somebody misspelt a condition.", "section 0", _misspelt), *CLAIMS),
    figures=(PaperFigure("figure_0_misdrawn", "Somebody divided by zero.", _misdrawn), *FIGURES),
)

BROKEN = Paper(
    name="broken",
    title="Networks that diverge",
    authors="A. Nobody",
    reference="Journal of Tests 1, 2",
    conditions=(Condition("multi", "multi-head", {}), Condition("single", "single-head", {"curriculum_type": "single"})),
    measures=(Measure("perturbation_tau", ("multi",)),),
    claims=CLAIMS[:1],
    figures=(),
    scales={
        "quick": Scale(
            "quick", "seconds", 2, TRAINING | {"epochs": 2}, by_condition={"single": {"lr": 1e30}},
            measurement_options={"perturbation_tau": {"n_trials": 0}},
        )
    },
)  # fmt: skip

LONG = replace(
    BROKEN,
    name="long",
    scales={"quick": Scale("quick", "hours", 2, TRAINING | {"epochs": 2, "steps_per_epoch": 1_000_000})},
    measures=(),
)


def _draws(generator: torch.Generator, *, n: int = 2) -> xr.Dataset:
    require_at_least("n", n, 1)
    return xr.Dataset({"value": ("draw", torch.randn(n, generator=generator).numpy())})


def _drawn(results: Results) -> Sequence[Finding]:
    if "draws" not in results.studies:
        raise InputError("nothing was drawn")
    return [Finding("3 draws", str(results.studies["draws"].sizes["draw"]), "0", "holds")]


STUDIED = Paper(
    name="studied",
    title="Numbers",
    authors="A. Nobody",
    reference="Journal of Tests 1, 3",
    conditions=(Condition("gated", "GRU", {"cell": "gru", "optimizer": "sgd"}),),
    measures=(),
    claims=(Claim("C1", "Numbers can be drawn.", "section 1", _drawn),),
    figures=(),
    scales={"quick": Scale("quick", "a moment", 1, TRAINING | {"epochs": 1}, measurement_options={"draws": {"n": 3}})},
    studies=(Study("draws", _draws),),
)

UNSTUDIED = replace(
    STUDIED,
    scales={"quick": replace(STUDIED.scales["quick"], measurement_options={"draws": {"n": 0}})},
)


def _no_numbers(result: xr.Dataset) -> dict[str, float]:
    return {"of before": float(result["renamed"])}


# Made of the results that are there, whose numbers the paper of today cannot find.
RENAMED = replace(PAPER, measurements={"size": replace(SIZE, numbers=_no_numbers)})

_RECALL = {
    "task": "recall_task:Recall",
    "num_neurons": 6,
    "epochs": 1,
    "steps_per_epoch": 2,
    "batch_size": 4,
    "test_steps": 1,
}
OWN = Paper(
    name="own",
    title="A task of one's own",
    authors="A. Nobody",
    reference="Journal of Tests 1, 4",
    conditions=(Condition("leaky", "leaky", {}), Condition("gated", "GRU", {"cell": "gru"})),
    measures=(Measure("connectivity", ("leaky",)),),
    claims=(Claim("C1", "All are trained.", "section 1", lambda results: [
        positive("epochs > 0", [float(len(network.history)) for several in results.networks.values() for network in several])
    ]),),
    figures=(),
    scales={"quick": Scale("quick", "a moment", 1, _RECALL)},
)  # fmt: skip
