"""Tasks of neurogym by their names: ``neurogym:PerceptualDecisionMaking-v0``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tauscope.learning.recipe import Recipe
from tauscope.runs.config.base import option
from tauscope.runs.config.composed import default_names, name_of
from tauscope.runs.config.setup import Network, Setup
from tauscope.tasks.neurogym import Neurogym, canonical

PREFIX = "neurogym:"


@dataclass(frozen=True)
class Environments:
    """Options of the task.

    Examples
    --------
    >>> Environments(env_options='{ "dt": 20 }').env_options
    '{"dt":20}'
    """

    task: str = option(f"{PREFIX}PerceptualDecisionMaking-v0", "neurogym: and the name of an environment", "t")
    env_options: str = option(
        "", 'options of the environment in JSON, such as {"timing": {"delay": 1000}}; by default its own'
    )
    decision: str = option(
        "", "period whose last step is scored; by default the period decision, or every step where there is none"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "env_options", canonical(self.env_options))

    def build(self) -> Neurogym:
        """Return the task."""
        return Neurogym(self.task.removeprefix(PREFIX), self.env_options, self.decision)


def _names(options: Any) -> Sequence[str]:
    """Return the parts of a folder's name, in which options in JSON stand without what a name cannot have."""
    given = name_of(options.env_options)
    plain = re.sub(r"[^\w.+-]", "-", re.sub(r'["{}\[\]]', "", options.env_options))
    return [name.replace(f"env_options_{given}", plain) for name in default_names(options)]


NEUROGYM = Setup(
    Environments(),
    network=Network(num_neurons=64),
    recipe=Recipe(epochs=20, steps_per_epoch=50, batch_size=32, test_steps=10, optimizer="adam", lr=5e-3, clip=1.0),
    names=_names,
)
