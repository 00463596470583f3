"""Functions of white inputs of Wang, Li & Li (2024): networks that add to their state, with decay rates by a map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.objectives import Term
from tauscope.learning.recipe import Recipe
from tauscope.runs.config.base import option
from tauscope.runs.config.setup import Network, Setup
from tauscope.tasks import Stage, Task
from tauscope.tasks.functional import Filter, Functional, WhiteInputs

if TYPE_CHECKING:
    from torch import Tensor

    from tauscope.models import Model, Trace
    from tauscope.tasks import Batch

MARGIN_COST = 0.01
"""Factor of the published penalty of decay rates near 0."""


@dataclass(frozen=True)
class UntilMatched:
    """One stage, for all epochs, each of which keeps the network, or until an error is reached that another network had.

    Examples
    --------
    >>> curriculum = UntilMatched(stop_below=0.02).build(Functional())
    >>> curriculum.stage.name, curriculum.criterion.threshold
    ('memory100', 0.02)
    """

    stop_below: float | None = option(
        None, "relative error below which training ends; by default it does not", at_least=0.0
    )

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start."""
        name = f"memory{task.n_steps}" if isinstance(task, WhiteInputs) else "task"
        criterion = Criterion(task.metric, self.stop_below, goes_on=self.stop_below is None)
        return Curriculum([Stage(name, {}, tuple(task.heads))], criterion)


def _margin(trace: Trace, batch: Batch, model: Model) -> Tensor:
    from tauscope.models.residual import margin_penalty

    del trace, batch
    return margin_penalty(model)


FUNCTIONAL = Setup(
    Functional(),
    network=Network(cell="residual", num_neurons=16, afunc="hardtanh", tau_map="softplus"),
    teaching=UntilMatched(),
    recipe=Recipe(
        epochs=20,
        steps_per_epoch=40,
        batch_size=64,
        test_steps=4,
        optimizer="adam",
        lr=0.01,
        clip=0.5,
        terms=(Term(MARGIN_COST, _margin, n_steps=0),),
        dtype="float64",
    ),
    schedule="steps",
)
"""The options of the quick scale. The published ones are 250 steps of 512 trials an epoch, 1000 epochs at most, and a learning rate
that falls on a plateau; each network stops as soon as its error is below that of the next smaller one."""

FILTER = replace(FUNCTIONAL, task=Filter())
