"""The options of a recipe: its fields, and how the learning rate changes by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tauscope.learning.recipe import OPTIMIZERS, Recipe
from tauscope.learning.schedules import Geometric, Plateau, Schedule, Steps
from tauscope.runs.config.base import option

SCHEDULES: dict[str, Callable[[int], Schedule | None]] = {
    "none": lambda _: None,
    "steps": lambda epochs: Steps({max(round(share * epochs), 1): 0.3 for share in (0.6, 0.85)}),
    "geometric": lambda epochs: Geometric(0.1, epochs),
    "plateau": lambda _: Plateau(0.5, patience=2, threshold=0.01, min_lr=2e-5),
}
"""How the learning rate changes, by name, from the epochs of a run: not at all, to 30 % after 60 and after 85 % of them, by a
factor an epoch to 10 % in the last, or to a half when 2 epochs were no better by 1 %."""


def recipe_with(options: object, base: Recipe, **further: Any) -> Recipe:
    """Return a recipe with the values of those options that are its fields and are not left at ``None``, and further ones."""
    given = {known.name: getattr(options, known.name, None) for known in fields(base)}
    return replace(base, **{name: value for name, value in given.items() if value is not None} | further)


@dataclass(frozen=True)
class RecipeOptions:
    """Options of a `Recipe`, with the values of one.

    Examples
    --------
    >>> RecipeOptions.of(Recipe(clip=math.inf, lr=0.5)).build().lr
    0.5
    """

    epochs: int = option(1, "epochs at most", group="training")
    steps_per_epoch: int = option(1, "optimiser steps an epoch", group="training")
    batch_size: int = option(1, "trials a step", group="training")
    test_steps: int = option(1, "batches of fresh trials that test an epoch", group="training")
    optimizer: str = option("adam", "optimiser", choices=OPTIMIZERS, group="training")
    lr: float = option(0.001, "learning rate", group="training")
    momentum: float = option(0.1, "Nesterov momentum of sgd", group="training")
    clip: float | None = option(None, "largest global gradient norm; by default any", group="training")
    schedule: str = option("none", "how the learning rate falls: to 30 % after 60 and after 85 % of the epochs (steps), to 10 % by a "
                           "factor an epoch (geometric), or to a half when 2 epochs were no better by 1 % (plateau)", choices=tuple(SCHEDULES),
                           group="training")  # fmt: skip
    patience: int | None = option(None, "epochs without a gain after which training ends; by default it does not",
                                  group="training", at_least=1)  # fmt: skip
    activity_cost: float = option(0.0, "cost of activity", group="training")
    weight_cost: float = option(0.0, "cost of the sum of all squared weights (half the weight decay of Adam)",
                                group="training")  # fmt: skip
    base: Recipe = field(default_factory=Recipe)
    """What else the recipe says, which is no option."""

    @classmethod
    def of(cls, recipe: Recipe, schedule: str = "none") -> RecipeOptions:
        """Return the options whose defaults are those of a recipe, and of a schedule by name."""
        own = {known.name: getattr(recipe, known.name) for known in fields(cls) if known.name != "base"}
        named = {"clip": recipe.clip if math.isfinite(recipe.clip) else None, "schedule": schedule}
        return cls(**own | named, base=recipe)

    @property
    def follows_epochs(self) -> bool:
        """Whether another number of epochs changes those before the last one."""
        return self.schedule in ("steps", "geometric")

    def build(self) -> Recipe:
        """Return the recipe."""
        schedule = SCHEDULES[self.schedule](self.epochs) or self.base.schedule
        return recipe_with(self, replace(self.base, clip=math.inf), schedule=schedule)
