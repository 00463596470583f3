"""A run of Orhan & Ma (2019): a task, one of six conditions, the start of the network, and the folder it is kept in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tauscope.errors import InputError, nearest, require_at_least, require_choice
from tauscope.learning.curricula import Criterion, Curriculum, ladder
from tauscope.learning.recipe import Recipe, generators
from tauscope.runs.config.base import Config, option
from tauscope.tasks import OUT, POPULATION_TASKS, DelayedResponseTask, population_task_name

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model

CONDITIONS = ("basic", "hebbian", "tethered", "dynamic", "vardelay", "multitask")

MODEL_CODES = {
    "basic": ("relu", "hebbian", "orthogonal", "gru"),
    "tethered": ("relu", "orthogonal", "gru"),
    "dynamic": ("relu", "orthogonal", "gru"),
    "vardelay": ("relu", "orthogonal", "gru"),
}
"""Cells by the integer codes that the published script of each condition gives them."""

VARIABLE_DELAYS = (10, 40, 70, 100)

START_CELLS = ("relu", "hebbian", "orthogonal", "gru")
"""Cells whose initial weights λ0 and σ0 set."""
_OTHER_CELLS = ("leaky", "lstm")


@dataclass(frozen=True)
class MemoryConfig(Config):
    """The options of a run on a task with Poisson populations; those left at ``None`` are set by the condition.

    Each field is a flag of ``tauscope train``; its help text is in the field's metadata. Source of the defaults: Orhan
    & Ma, Nature Neuroscience 22, 275 (2019), published code.

    Examples
    --------
    >>> MemoryConfig(task="DE-1", condition="tethered", lambda_val=0.9, sigma_val=0.01, seed=0).name
    'tethered_de1_lambda_0.9_sigma_0.01_network_1'
    """

    task: str = option("de1", "de1, de2, cd, cd2, gde, 2afc, sine, comp, or a published code")
    condition: str = option("basic", "what is changed of the basic condition", choices=CONDITIONS)
    then: str | None = option(None, "multitask: the task that is learnt after the first one")
    network_number: int = option(1, "number of the network, the last part of its folder's name", "n")
    seed: int | None = option(None, "root of all random numbers; by default a random one", "s")
    stim_steps: int = option(25, "steps of the stimulus")
    delay_steps: tuple[int, ...] | None = option(
        None, "steps of the delay, or several of which every trial has one (100; vardelay 10,40,70,100)"
    )
    resp_steps: int = option(25, "steps of the response")
    score_step: int | None = option(None, "step that is scored, from the end (-5; tethered -10)")
    reference: bool = option(False, "stimuli, ideal observers and scores with the published code's peculiarities")

    cell: str = option("relu", "relu, hebbian, orthogonal, gru, leaky, lstm, module:Class, or a published model code",
                       "-model", group="network")  # fmt: skip
    lambda_val: float = option(0.98, "diagonal of the initial recurrent weights", group="network")
    sigma_val: float = option(
        0.0, "standard deviation of the others, that is, sigma_0 / sqrt(units) of the paper", group="network"
    )
    sigma_0: float | None = option(None, "the same as the paper has it, instead of sigma_val", group="network")
    num_neurons: int = option(500, "units", "nn", group="network")

    rho_val: float = option(0.0, "cost of the sum of all squared weights and biases", group="training")
    activity_cost: float | None = option(None, "cost of activity at the end of a trial (1e-4; tethered 0.1)",
                                         group="training")  # fmt: skip
    epochs: int = option(50, "epochs (of every task)", group="training")
    steps_per_epoch: int = option(500, "optimiser steps an epoch", group="training")
    batch_size: int = option(50, "trials a step", group="training")
    test_steps: int = option(10, "batches of fresh trials that test an epoch", group="training")
    lr: float = option(0.0005, "learning rate of adam", group="training")

    def __post_init__(self) -> None:
        self._check_options()
        object.__setattr__(self, "task", population_task_name(self.task))
        if self.then is not None:
            object.__setattr__(self, "then", population_task_name(self.then))
        object.__setattr__(self, "cell", self._named_cell())
        require_at_least("num_neurons", self.num_neurons, 1)
        if self.sigma_0 is not None:
            if self.sigma_val:
                raise InputError(f"sigma_val is {self.sigma_val} and sigma_0 {self.sigma_0}: expected one of them")
            # One name for one run: what is kept is the published option.
            object.__setattr__(self, "sigma_val", self.sigma_0 / math.sqrt(self.num_neurons))
            object.__setattr__(self, "sigma_0", None)
        require_at_least("network_number", self.network_number, 0)
        require_at_least("sigma_val", self.sigma_val, 0.0)
        require_at_least("epochs", self.epochs, 1)
        self._check_condition()
        self._check_start()
        self.template()
        self.recipe()

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
        if self.cell not in (*START_CELLS, *_OTHER_CELLS) and ":" not in self.cell:
            names = [*START_CELLS, *_OTHER_CELLS, "module:Class"]
            raise InputError(f"cell {self.cell!r} is unknown: {nearest(self.cell, names)}")
        return self.cell

    def _check_condition(self) -> None:
        """Refuse what a condition does not have."""
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
        kinds = {(one.n_inputs, one.n_outputs, one.metric) for one in self._tasks()}
        if len(kinds) > 1:
            raise InputError(
                f"tasks with (inputs, outputs, metric) {sorted(kinds)} cannot share a network: expected equal ones"
            )

    def _check_start(self) -> None:
        """Refuse a start that the cell does not have."""
        if self.cell == "orthogonal" and self.sigma_val != 0:
            raise InputError(f"sigma_val is {self.sigma_val}: expected 0 with cell orthogonal, which has no spread")
        if self.cell not in START_CELLS:
            require_choice("lambda_val", self.lambda_val, (0.98,))
            require_choice("sigma_val", self.sigma_val, (0.0,))

    @property
    def name(self) -> str:
        """Name of the run's folder: ``{condition}_{task}[_affixes]_network_{n}``."""
        affixes = [f"then_{self.then}"] if self.then is not None else []
        affixes += [f"size_{self.num_neurons}"] if self.num_neurons != 500 else []
        delays = "-".join(str(delay) for delay in self._delays())
        usual = "-".join(str(delay) for delay in (VARIABLE_DELAYS if self.condition == "vardelay" else (100,)))
        trial = (self.stim_steps, delays, self.resp_steps)
        affixes += [f"trial_{trial[0]}_{trial[1]}_{trial[2]}"] if trial != (25, usual, 25) else []
        affixes += [self.cell.rpartition(":")[2]] if self.cell not in ("relu", self.condition) else []
        if self.cell in START_CELLS:
            affixes.append(f"lambda_{self.lambda_val:g}")
            affixes += [f"sigma_{self.sigma_val:g}"] if self.cell != "orthogonal" else []
        affixes += [f"rho_{self.rho_val:g}"] if self.rho_val else []
        return "_".join([self.condition, self.task, *affixes, f"network_{self.network_number}"])

    @property
    def spread(self) -> float:
        """σ0 of the paper."""
        return self.sigma_val * math.sqrt(self.num_neurons)

    def curriculum(self) -> Curriculum:
        """Return the curriculum at its start: the task, and the one that is learnt then; their networks are files N1, N2."""
        tasks = self._tasks()
        names = [f"N{i}_N{i}" for i in range(1, 1 + len(tasks))]
        return Curriculum(ladder("task", tasks, names), Criterion(tasks[0].metric, epochs=self.epochs))

    def template(self) -> DelayedResponseTask:
        """Return the first task."""
        return self._task(self.task)

    def recipe(self) -> Recipe:
        """Return how the network is trained."""
        activity_cost = 1e-1 if self.condition == "tethered" else 1e-4
        return Recipe(
            epochs=self.epochs * len(self.curriculum().stages),
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            test_steps=self.test_steps,
            optimizer="adam",
            lr=self.lr,
            # What is clipped, element by element, is the gradient inside the cell.
            clip=math.inf,
            activity_cost=activity_cost if self.activity_cost is None else self.activity_cost,
            weight_cost=self.rho_val,
            seed=self.seed or 0,
        )

    def model(self, device: torch.device | str = "cpu") -> Model:
        """Return the network with its initial weights."""
        from tauscope.models import Heads, LeakyCell, LSTMCell, Model, ReluRNN, user_cell

        task, generator = self.template(), generators(self.seed or 0)["init"]
        if self.cell in START_CELLS:
            start: dict[str, Any] = {"lambda_0": self.lambda_val, "sigma_0": self.spread}
            start |= {"start": "orthogonal"} if self.cell == "orthogonal" else {}
            cell = {"orthogonal": "relu", "gru": "relu_gru"}.get(self.cell, self.cell)
            made: Model = ReluRNN(
                self.num_neurons,
                n_inputs=task.n_inputs,
                n_outputs=task.n_outputs,
                cell=cell,
                generator=generator,
                **start,
            )
            return made.to(device)
        kind = {"leaky": LeakyCell, "lstm": LSTMCell}.get(self.cell) or user_cell(self.cell)
        only = kind(task.n_inputs, self.num_neurons, generator)
        return Model([only], Heads(self.num_neurons, (OUT,), task.n_outputs, True, generator)).to(device)

    def facts(self) -> list[tuple[str, str]]:
        """Return network, start, task and condition in words."""
        start = f"λ0 = {self.lambda_val:g}, σ0 = {self.spread:.3g} (sigma_val {self.sigma_val:g})"
        second = "" if self.then is None else f" Then: {self._task(self.then).question}"
        delays = " or ".join(str(delay) for delay in self._delays())
        return [
            ("Network", f"{self.num_neurons} units ({self.cell})"),
            *([("Start", start)] if self.cell in START_CELLS else []),
            ("Task", f"{self._task(self.task).question}{second}"),
            ("Trial", f"{self.stim_steps} steps of stimulus, {delays} of delay, {self.resp_steps} of response"),
            ("Condition", self.condition),
            ("Seed", str(self.seed)),
        ]

    def identity(self) -> dict[str, Any]:
        """Return the options that a run cannot change once begun; a second task begins after a set number of epochs."""
        return super().identity() | ({} if self.then is None else {"epochs": self.epochs})

    def _delays(self) -> tuple[int, ...]:
        usual = VARIABLE_DELAYS if self.condition == "vardelay" else (100,)
        return usual if self.delay_steps is None else self.delay_steps

    def _tasks(self) -> list[DelayedResponseTask]:
        return [self._task(name) for name in (self.task, self.then) if name is not None]

    def _task(self, name: str) -> DelayedResponseTask:
        options: dict[str, Any] = {"dynamic": True} if self.condition == "dynamic" else {}
        score_step = -10 if self.condition == "tethered" else -5
        delays = self._delays()
        return POPULATION_TASKS[name](
            stim_steps=self.stim_steps,
            delay_steps=delays[0] if len(delays) == 1 else delays,
            resp_steps=self.resp_steps,
            score_step=score_step if self.score_step is None else self.score_step,
            reference=self.reference,
            **options,
        )
