"""Histories of Karuvally et al. (2024): a tanh network without biases, asked for longer and longer continuations."""

from __future__ import annotations

from dataclasses import dataclass

from tauscope.learning.curricula import Criterion, Curriculum, ladder
from tauscope.learning.recipe import Recipe
from tauscope.runs.config.base import option
from tauscope.runs.config.setup import Network, Setup
from tauscope.tasks import Task
from tauscope.tasks.history import History


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
    network=Network(num_neurons=128, afunc="tanh", tau=1.0, bias=False, diagonal=True, start=0.0, head_bias=False),
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
