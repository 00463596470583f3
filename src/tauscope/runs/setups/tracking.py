"""Signals of Engelken & Goedeke (2022): a balanced network that tracks them.

Source of the defaults: NeurIPS 2022, published code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tauscope.errors import InputError, nearest
from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.recipe import Recipe
from tauscope.models.names import ACTIVATION_NAMES, BALANCED_STARTS
from tauscope.runs.config.base import OWN_CLASS, option, shared, values
from tauscope.runs.config.composed import own_curriculum
from tauscope.runs.config.recipes import recipe_with
from tauscope.runs.config.setup import AS_PUBLISHED, Setup, cell_of, curriculum_option, outputs
from tauscope.tasks import Stage, Task, Tracking

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model
    from tauscope.tasks import Head

SCRIPTS = {"runOneStimulus": 1, "runTwoStimuli": 2, "runThreeStimuli": 3}
"""Signals of the published example scripts, which differ in nothing else."""

_BALANCED = ("balanced",)


@dataclass(frozen=True)
class Signals:
    """Options of the task."""

    task: str = option("tracking", "tracking", choices=("tracking",))
    signals: str = option(
        "1", "number of signals, or the published script: runOneStimulus, runTwoStimuli, runThreeStimuli"
    )
    trial_steps: int = option(50, "steps of a trial")
    tau_signal: float = option(0.1, "time constant of the signals, in units of that of the network")
    reference: bool = option(False, "start every signal at its mean, as the published code does")
    balance: float = shared(1.0)
    dt: float = shared(0.2)

    def __post_init__(self) -> None:
        object.__setattr__(self, "signals", str(SCRIPTS.get(self.signals, self.signals)))
        if not re.fullmatch("[1-9][0-9]{0,3}", self.signals):
            raise InputError(
                f"signals {self.signals!r} is no number and no script: {nearest(self.signals, SCRIPTS)}, or a number"
            )

    def build(self) -> Tracking:
        """Return the task."""
        size: dict[str, Any] = {"n_signals": int(self.signals), "n_steps": self.trial_steps}
        strength: dict[str, Any] = {"mean": self.balance, "amplitude": 0.1 * self.balance}
        return Tracking(**size, **strength, **values(self, "dt", "tau_signal", "reference"))


@dataclass(frozen=True)
class Balanced:
    """Options of the network."""

    cell: str = option("balanced", "balanced, or a cell of your own as module:Class", choices=("balanced", OWN_CLASS),
                       group="network")  # fmt: skip
    start: str = option("balanced", "initial weights: balanced, or ei for excitatory and inhibitory units",
                        choices=BALANCED_STARTS, group="network", cells=_BALANCED)  # fmt: skip
    balance: float = option(1.0, "strength b of the initial inhibition; the signals have the mean b", group="network")
    g: float = option(0.032, "spread of the initial weights", group="network", cells=_BALANCED)
    sigma: float = option(1.0, "strength of the private noise", group="network", cells=_BALANCED)
    dt: float = option(0.2, "time step, in units of the network's time constant", group="network")
    afunc: str = option("relu", "nonlinearity", "a", ACTIVATION_NAMES, "network", cells=_BALANCED)
    num_neurons: int = option(100, "units", "nn", group="network", at_least=2)

    def build(self, task: Task, heads: Mapping[str, Head], generator: torch.Generator) -> Model:
        """Return the network with fresh weights."""
        from tauscope.models import BalancedRNN, Heads, Model

        if self.cell != "balanced":
            cell = cell_of(self.cell, task.n_inputs, self.num_neurons, generator)
            return Model([cell], Heads(self.num_neurons, tuple(heads), outputs(heads), False, generator))
        shape = {"n_inputs": task.n_inputs, "n_outputs": outputs(heads)}
        options = values(self, "start", "balance", "g", "dt", "sigma", "afunc")
        return BalancedRNN(self.num_neurons, generator=generator, mean_input=self.balance, **shape, **options)


@dataclass(frozen=True)
class Lasting:
    """One stage for all epochs."""

    curriculum_type: str = curriculum_option(added=True)
    epochs: int = shared(100)

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start."""
        return Curriculum([Stage("N1_N1")], Criterion(task.metric, epochs=self.epochs))


@dataclass(frozen=True)
class Updates:
    """Options of the recipe."""

    activity_cost: float = option(1e-4, "cost of activity", group="training")
    epochs: int = option(100, "epochs", group="training", at_least=1)
    steps_per_epoch: int = option(1000, "optimiser steps an epoch", group="training")
    batch_size: int = option(10, "trials a step", group="training")
    test_steps: int = option(10, "batches of fresh trials that test an epoch", group="training")
    lr: float = option(0.001, "learning rate of adam", group="training")

    def build(self) -> Recipe:
        """Return how the network is trained."""
        return recipe_with(self, Recipe(optimizer="adam", clip=math.inf, activity="answers"))


def _names(options: Any) -> list[str]:
    """Return ``tracking_{signals}[_affixes]``."""
    affixes = own_curriculum(options)
    affixes += [f"size_{options.num_neurons}"] if options.num_neurons != 100 else []
    affixes += ["ei"] if options.start == "ei" else []
    affixes += [f"b_{options.balance:g}"] if options.balance != 1 else []
    affixes += [options.cell.rpartition(":")[2]] if options.cell != "balanced" else []
    return ["tracking", options.signals, *affixes]


def _facts(options: Any) -> list[tuple[str, str]]:
    """Return network, start and task in words."""
    of_cell = [
        ("Network", f"{options.num_neurons} units (balanced, {options.afunc}), private noise {options.sigma:g}"),
        ("Start", f"{options.start}, balance {options.balance:g}, spread {options.g:g}"),
    ]
    return [
        *(of_cell if options.cell == "balanced" else [("Network", f"{options.num_neurons} units ({options.cell})")]),
        ("Task", f"{options.template().question} Signals: {options.signals}."),
        ("Trial", f"{options.trial_steps} steps of {options.dt:g} time constants"),
    ]


TRACKING = Setup(
    Signals(),
    network=Balanced(),
    teaching=Lasting(),
    recipe=Updates(),
    names=_names,
    facts=_facts,
    keep_every=1,
    order=AS_PUBLISHED,
)
