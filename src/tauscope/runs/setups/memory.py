"""Trials with Poisson populations of Orhan & Ma (2019): a task, one of six conditions, and the start of the network.

Source of the defaults: Nature Neuroscience 22, 275, published code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tauscope.errors import InputError, nearest
from tauscope.learning.curricula import Criterion, Curriculum, ladder
from tauscope.learning.recipe import Recipe
from tauscope.runs.config.base import OWN_CLASS, option, shared, values
from tauscope.runs.config.composed import name_of, own_curriculum
from tauscope.runs.config.own import is_own
from tauscope.runs.config.recipes import recipe_with
from tauscope.runs.config.setup import AS_PUBLISHED, Setup, cell_of, curriculum_option, outputs
from tauscope.tasks import OUT, POPULATION_TASKS, DelayedResponseTask, Task, population_task_name

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model
    from tauscope.tasks import Head

CONDITIONS = ("basic", "hebbian", "tethered", "dynamic", "vardelay", "multitask")

MODEL_CODES = {
    "basic": ("relu", "hebbian", "orthogonal", "gru"),
    "tethered": ("relu", "orthogonal", "gru"),
    "dynamic": ("relu", "orthogonal", "gru"),
    "vardelay": ("relu", "orthogonal", "gru"),
}
"""Cells by the integer codes that the published script of each condition gives them."""

DELAYS = {"vardelay": (10, 40, 70, 100)}
SCORE_STEPS = {"tethered": -10}
ACTIVITY_COSTS = {"tethered": 0.1}
"""Defaults of single conditions; the others have 100 steps, the fifth step from the end and 1e-4."""

START_CELLS = {
    "relu": {"cell": "relu"},
    "hebbian": {"cell": "hebbian"},
    "orthogonal": {"cell": "relu", "start": "orthogonal"},
    "gru": {"cell": "relu_gru"},
}
"""Cells whose initial weights λ0 and σ0 set, each with its options of `tauscope.models.ReluRNN`."""

_CELLS = (*START_CELLS, "leaky", "lstm", OWN_CLASS)


@dataclass(frozen=True)
class Trials:
    """Options of the task; those left at ``None`` are set by the condition."""

    task: str = option("de1", "de1, de2, cd, cd2, gde, 2afc, sine, comp, or a published code")
    condition: str = option("basic", "what is changed of the basic condition", choices=CONDITIONS)
    then: str | None = option(None, "multitask: the task that is learnt after the first one")
    stim_steps: int = option(25, "steps of the stimulus")
    delay_steps: tuple[int, ...] | None = option(
        None, "steps of the delay, or several of which every trial has one (100; vardelay 10,40,70,100)"
    )
    resp_steps: int = option(25, "steps of the response")
    score_step: int | None = option(None, "step that is scored, from the end (-5; tethered -10)")
    reference: bool = option(False, "stimuli, ideal observers and scores with the published code's peculiarities")

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", population_task_name(self.task))
        if self.then is not None:
            object.__setattr__(self, "then", population_task_name(self.then))
        if (self.then is None) == (self.condition == "multitask"):
            raise InputError(
                f"condition {self.condition} with then {self.then}: expected 'multitask' with a second task, such as "
                "2afc after cd, or neither"
            )
        if self.condition in ("dynamic", "vardelay") and self.task == "sine":
            raise InputError(
                f"condition {self.condition} of task sine: expected another task, because its input is in the delay "
                "(nearest valid condition: basic)"
            )

    @property
    def delays(self) -> tuple[int, ...]:
        """Steps of the delay, of which every trial has one."""
        return DELAYS.get(self.condition, (100,)) if self.delay_steps is None else self.delay_steps

    def build(self) -> DelayedResponseTask:
        """Return the first task."""
        options: dict[str, Any] = {"dynamic": True} if self.condition == "dynamic" else {}
        options["delay_steps"] = self.delays[0] if len(self.delays) == 1 else self.delays
        options["score_step"] = SCORE_STEPS.get(self.condition, -5) if self.score_step is None else self.score_step
        return POPULATION_TASKS[self.task](**options, **values(self, "stim_steps", "resp_steps", "reference"))


@dataclass(frozen=True)
class Succession:
    """A task for so many epochs, and another one then; their networks are files N1, N2."""

    curriculum_type: str = curriculum_option(added=True)
    then: str | None = shared(None)
    epochs: int = shared(50)

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start."""
        alike = {known.name: getattr(task, known.name) for known in fields(DelayedResponseTask)}
        second = [] if self.then is None else [POPULATION_TASKS[self.then](**alike)]
        tasks: Any = (task, *second)
        kinds = {(known.n_inputs, known.n_outputs, known.metric) for known in tasks}
        if len(kinds) > 1:
            raise InputError(
                f"tasks with (inputs, outputs, metric) {sorted(kinds)} cannot share a network: expected equal ones"
            )
        names = [f"N{i}_N{i}" for i in range(1, 1 + len(tasks))]
        return Curriculum(ladder("task", tasks, names), Criterion(task.metric, epochs=self.epochs))


@dataclass(frozen=True)
class Start:
    """Options of the network: a cell and its initial weights."""

    cell: str = option("relu", "relu, hebbian, orthogonal, gru, leaky, lstm, module:Class, or a published model code",
                       "-model", group="network")  # fmt: skip
    lambda_val: float = option(
        0.98, "diagonal of the initial recurrent weights", group="network", cells=tuple(START_CELLS)
    )
    sigma_val: float = option(0.0, "standard deviation of the others, that is, sigma_0 / sqrt(units) of the paper",
                              group="network", at_least=0.0, cells=tuple(START_CELLS))  # fmt: skip
    sigma_0: float | None = option(None, "the same as the paper has it, instead of sigma_val", group="network",
                                   at_least=0.0)  # fmt: skip
    num_neurons: int = option(500, "units", "nn", group="network", at_least=1)
    condition: str = shared("basic")

    def __post_init__(self) -> None:
        object.__setattr__(self, "cell", self._named_cell())
        if self.sigma_0 is not None:
            if self.sigma_val:
                raise InputError(f"sigma_val is {self.sigma_val} and sigma_0 {self.sigma_0}: expected one of them")
            # One name for one run: what is kept is the published option.
            object.__setattr__(self, "sigma_val", self.sigma_0 / math.sqrt(self.num_neurons))
            object.__setattr__(self, "sigma_0", None)
        if self.cell == "orthogonal" and self.sigma_val != 0:
            raise InputError(f"sigma_val is {self.sigma_val}: expected 0 with cell orthogonal, which has no spread")

    def _named_cell(self) -> str:
        """Return the name of the cell, which a published code may stand for."""
        if self.condition == "hebbian":
            if self.cell not in ("relu", "hebbian", "1"):
                raise InputError(f"cell is {self.cell} in condition hebbian: expected 'hebbian', or none")
            return "hebbian"
        if self.cell.isdecimal():
            codes = {str(i): name for i, name in enumerate(MODEL_CODES.get(self.condition, MODEL_CODES["basic"]))}
            if self.cell not in codes:
                known = ", ".join(f"{code} ({name})" for code, name in codes.items())
                raise InputError(f"cell {self.cell} is no model of condition {self.condition}: expected {known}")
            return codes[self.cell]
        if self.cell not in _CELLS and not is_own(self.cell):
            raise InputError(f"cell {self.cell!r} is unknown: {nearest(self.cell, _CELLS)}")
        return self.cell

    @property
    def spread(self) -> float:
        """σ0 of the paper."""
        return self.sigma_val * math.sqrt(self.num_neurons)

    def build(self, task: Task, heads: Mapping[str, Head], generator: torch.Generator) -> Model:
        """Return the network with fresh weights."""
        from tauscope.models import Heads, Model, ReluRNN

        if self.cell in START_CELLS:
            shape: dict[str, Any] = {"n_inputs": task.n_inputs, "n_outputs": outputs(heads)}
            start: dict[str, Any] = {"lambda_0": self.lambda_val, "sigma_0": self.spread, **START_CELLS[self.cell]}
            return ReluRNN(self.num_neurons, generator=generator, **shape, **start)
        cell = cell_of(self.cell, task.n_inputs, self.num_neurons, generator)
        return Model([cell], Heads(self.num_neurons, tuple(heads), outputs(heads), tuple(heads) == (OUT,), generator))


@dataclass(frozen=True)
class Costs:
    """Options of the recipe."""

    rho_val: float = option(0.0, "cost of the sum of all squared weights and biases", group="training")
    activity_cost: float | None = option(None, "cost of activity at the end of a trial (1e-4; tethered 0.1)",
                                         group="training")  # fmt: skip
    epochs: int = option(50, "epochs (of every task)", group="training", at_least=1)
    steps_per_epoch: int = option(500, "optimiser steps an epoch", group="training")
    batch_size: int = option(50, "trials a step", group="training")
    test_steps: int = option(10, "batches of fresh trials that test an epoch", group="training")
    lr: float = option(0.0005, "learning rate of adam", group="training")
    condition: str = shared("basic")
    then: str | None = shared(None)

    def build(self) -> Recipe:
        """Return how the network is trained."""
        cost = ACTIVITY_COSTS.get(self.condition, 1e-4)
        # What is clipped, element by element, is the gradient inside the cell.
        recipe = recipe_with(
            self, Recipe(optimizer="adam", clip=math.inf, activity_cost=cost, weight_cost=self.rho_val)
        )
        return recipe if self.then is None else replace(recipe, epochs=2 * self.epochs)


def _names(options: Any) -> list[str]:
    """Return ``{condition}_{task}[_affixes]``."""
    affixes = [f"then_{options.then}"] if options.then is not None else []
    affixes += own_curriculum(options)
    affixes += [f"size_{options.num_neurons}"] if options.num_neurons != 500 else []
    delays, usual = options.part("task").delays, DELAYS.get(options.condition, (100,))
    trial = (options.stim_steps, name_of(delays), options.resp_steps)
    affixes += [f"trial_{trial[0]}_{trial[1]}_{trial[2]}"] if trial != (25, name_of(usual), 25) else []
    affixes += [options.cell.rpartition(":")[2]] if options.cell not in ("relu", options.condition) else []
    if options.cell in START_CELLS:
        affixes.append(f"lambda_{options.lambda_val:g}")
        affixes += [f"sigma_{options.sigma_val:g}"] if options.cell != "orthogonal" else []
    affixes += [f"rho_{options.rho_val:g}"] if options.rho_val else []
    return [options.condition, options.task, *affixes]


def _facts(options: Any) -> list[tuple[str, str]]:
    """Return network, start, task and condition in words."""
    spread = options.part("network").spread
    start = f"λ0 = {options.lambda_val:g}, σ0 = {spread:.3g} (sigma_val {options.sigma_val:g})"
    second = "" if options.then is None else f" Then: {POPULATION_TASKS[options.then]().question}"
    delays = " or ".join(map(str, options.part("task").delays))
    return [
        ("Network", f"{options.num_neurons} units ({options.cell})"),
        *([("Start", start)] if options.cell in START_CELLS else []),
        ("Task", f"{options.template().question}{second}"),
        ("Trial", f"{options.stim_steps} steps of stimulus, {delays} of delay, {options.resp_steps} of response"),
        ("Condition", options.condition),
    ]


MEMORY = Setup(
    Trials(),
    network=Start(),
    teaching=Succession(),
    recipe=Costs(),
    names=_names,
    facts=_facts,
    order=AS_PUBLISHED,
)
