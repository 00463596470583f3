"""Histories of Karuvally et al. (2024): a tanh network without biases, asked for longer and longer continuations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tauscope.errors import InputError
from tauscope.learning.curricula import Criterion, Curriculum, ladder
from tauscope.learning.recipe import Recipe
from tauscope.runs.config.base import option
from tauscope.runs.config.setup import Network, Setup
from tauscope.tasks import Task
from tauscope.tasks.history import History

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model
    from tauscope.tasks import Head

WEIGHTS = ("inputs", "units", "theory")


@dataclass(frozen=True)
class HistoryNetwork(Network):
    """A network whose weights may start as published, or as the theory of travelling waves has them.

    Examples
    --------
    >>> import torch
    >>> task = History(dim=2, lags=2, map="copy")
    >>> options = dict(num_neurons=16, afunc="tanh", tau=1.0, bias=False, diagonal=True, head_bias=False)
    >>> model = HistoryNetwork(weights="theory", **options).build(task, task.heads, torch.Generator().manual_seed(0))
    >>> torch.linalg.svdvals(model.layers[0].recurrent.weight.detach()).round(decimals=3)[:5]
    tensor([1., 1., 1., 1., 0.])
    """

    weights: str = option("inputs", "initial input weights are up to 1/√(components), as in other tasks (inputs), or up to "
                          "1/√(units), as published (units; other cells than leaky ones start as they do); or all weights are those that embed the theory's operator (theory)",
                          choices=WEIGHTS, group="network", added=True)  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights == "theory" and self.cell != "leaky":
            raise InputError(f"weights is theory, with cell {self.cell!r}: expected inputs or units, or the cell leaky")

    def build(self, task: Task, heads: Mapping[str, Head], generator: torch.Generator) -> Model:
        """Return the network for a task, with fresh weights."""
        model = super().build(task, heads, generator)
        if self.weights != "inputs":
            _start(model, task, generator, self.weights == "theory")
        return model


def _start(model: Model, task: Task, generator: torch.Generator, embedded: bool) -> None:
    """Replace the initial weights of leaky units, in place."""
    import torch

    from tauscope.analysis.wave_operator import embedding
    from tauscope.models import LeakyCell, init

    cell = model.layers[0]
    if not isinstance(cell, LeakyCell):
        return
    fresh: dict[Any, Any] = {}
    if not embedded:
        bound = cell.n_units**-0.5
        fresh[cell.input.weight] = init.uniform(tuple(cell.input.weight.shape), -bound, bound, generator)
    elif isinstance(task, History):
        theory = embedding(task.boundary, cell.n_units, generator=generator)
        fresh = {cell.input.weight: theory.input, cell.recurrent.weight: theory.recurrent}
        fresh |= {linear.weight: theory.readout for linear in model.heads.linears}
    else:
        raise InputError(f"initial weights 'theory' of {task}: expected the task history, which the theory is of")
    with torch.no_grad():
        for weight, value in fresh.items():
            weight.copy_(torch.as_tensor(value, dtype=weight.dtype, device=weight.device))


@dataclass(frozen=True)
class Horizons:
    """One horizon after another; training goes on after the last one is solved, which sharpens the slow modes.

    Examples
    --------
    >>> [stage.name for stage in Horizons((8, 16)).build(History()).stages]
    ['horizon8', 'horizon16']
    """

    horizons: tuple[int, ...] = option((10, 20, 40, 60, 100), "steps that are asked, stage by stage")

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start."""
        return Curriculum(ladder("horizon", self.horizons), Criterion(task.metric, goes_on=True))


HISTORY = Setup(
    History(),
    network=HistoryNetwork(
        num_neurons=128, afunc="tanh", tau=1.0, bias=False, diagonal=True, start=0.0, head_bias=False
    ),
    teaching=Horizons(),
    recipe=Recipe(
        epochs=200,
        steps_per_epoch=100,
        batch_size=64,
        test_steps=10,
        optimizer="adam",
        lr=1e-3,
        clip=1.0,
        weight_cost=0.0,
    ),
    taught=("horizon",),
)
"""The published options; there a stage is solved by one batch, here by a fresh test set after 100 steps."""
