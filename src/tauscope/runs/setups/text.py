"""Text of Lizaire et al. (2024): networks that multiply state and input predict the next character."""

from __future__ import annotations

from dataclasses import dataclass

from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.recipe import Recipe
from tauscope.runs.config.setup import Network, Setup
from tauscope.tasks import Stage, Task
from tauscope.tasks.text import Text


@dataclass(frozen=True)
class OneWindow:
    """One stage, named by the length of its windows, for all epochs, each of which keeps the network.

    Examples
    --------
    >>> [stage.name for stage in OneWindow().build(Text(window=50)).stages]
    ['window50']
    """

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start."""
        name = f"window{task.window}" if isinstance(task, Text) else "task"
        return Curriculum([Stage(name, {}, tuple(task.heads))], Criterion(task.metric, goes_on=True))


TEXT = Setup(
    Text(),
    network=Network(cell="cp", num_neurons=32),
    teaching=OneWindow(),
    recipe=Recipe(
        epochs=20,
        steps_per_epoch=50,
        batch_size=48,
        test_steps=4,
        optimizer="adam",
        lr=3e-3,
        clip=1.0,
        split="valid",
        gain=1e-3,
    ),
    schedule="steps",
)
"""The options of the quick scale, tested on the validation text after every epoch. The published ones are windows of 50 characters,
100 steps of 128 windows an epoch, a learning rate of 1e-3 that falls on a plateau, patience for 150 epochs, and no limit of the
gradient."""
