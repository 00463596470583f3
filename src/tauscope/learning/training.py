"""The training loop, readable from top to bottom, and the state from which it goes on exactly."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tauscope._lazy import torch
from tauscope.errors import DivergedError, InputError, require_at_least, require_choice
from tauscope.learning.curricula import Curriculum, plain_fields, require_fitting, stage_name
from tauscope.learning.objectives import ACTIVITY, LAST_STEPS
from tauscope.tasks.base import Stage, Task

if TYPE_CHECKING:
    from torch import nn

    from tauscope.models.model import Model

OPTIMIZERS = ("sgd", "adam")
CANNOT_FLUSH = "this processor cannot take subnormal numbers for zero: long sequences may train slowly"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are those of Khajehabdollahi et al. (ICLR 2024).

    Attributes
    ----------
    epochs : int
        Epochs at most; the curriculum may finish earlier.
    steps_per_epoch : int
        Optimiser steps an epoch (for each of the ``duplicates``, where given).
    batch_size : int
        Sequences a step.
    test_steps : int
        Batches of fresh sequences on which every epoch ends.
    optimizer : {"sgd", "adam"}
        SGD with Nesterov momentum, or Adam.
    lr, momentum : float
        Learning rate; momentum (SGD alone).
    clip : float
        Largest global gradient norm; infinite for none.
    activity_cost, weight_cost : float
        Factors of the activity penalty and of the weight penalty in the loss that is differentiated; the loss that is
        reported has neither.
    activity : {"end", "answers"}
        Which activity is penalised: `tauscope.learning.objectives.activity_penalty` or `answer_penalty`.
    duplicates : tuple of int, optional
        Continuous time: numbers of steps k for which a bit is shown, one optimiser step for each in turn.
    seed : int
        Root of the generators of training data, initial states and test data; the network comes with its weights.

    Examples
    --------
    >>> Recipe(epochs=10, seed=1).batch_size
    256
    """

    epochs: int = 1000
    steps_per_epoch: int = 600
    batch_size: int = 256
    test_steps: int = 50
    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.1
    clip: float = 2.0
    activity_cost: float = 0.0
    weight_cost: float = 0.0
    activity: str = "end"
    duplicates: tuple[int, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "test_steps"):
            require_at_least(name.replace("_", " "), getattr(self, name), 1)
        require_choice("optimizer", self.optimizer, OPTIMIZERS)
        require_choice("activity", self.activity, ACTIVITY)
        for name in ("activity_cost", "weight_cost"):
            require_at_least(name.replace("_", " "), getattr(self, name), 0.0)
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}: expected a number above 0")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum is {self.momentum}: expected a number in [0, 1) (nearest valid value: 0.1)")
        require_at_least("seed", self.seed, 0)
        for k in self.duplicates or ():
            require_at_least("duplicates", k, 1)


def generators(seed: int, device: torch.device | str = "cpu") -> dict[str, torch.Generator]:
    """Return the independent generators of a run.

    Parameters
    ----------
    seed : int
        Root seed.
    device : torch.device or str
        Where they draw.

    Returns
    -------
    dict of torch.Generator
        ``init`` (weights), ``data`` (training sequences), ``state`` (initial states), ``test`` (all of testing).

    Examples
    --------
    >>> sorted(generators(0))
    ['data', 'init', 'state', 'test']
    """
    names = ("init", "data", "state", "test")
    seeds = np.random.SeedSequence(seed).generate_state(len(names), dtype=np.uint64)
    # CUDA generators take signed 64-bit seeds only.
    return {name: torch.Generator(device).manual_seed(int(one) >> 1) for name, one in zip(names, seeds, strict=True)}


@dataclass
class Training:
    """Everything that changes while a network is trained.

    Attributes
    ----------
    model, template, curriculum, recipe
        What is trained, on what, in which order, how.
    task : Task
        The template as the current stage asks it.
    epoch, step : int
        Finished epochs; finished steps of the epoch under way.
    loss_sum : float
        Sum of the losses of those steps.
    history : list of dict
        One record for every finished epoch.
    flushes_subnormals : bool
        Whether subnormal numbers are taken for zero, see `tauscope.models.kernels.subnormals`. A training goes on in the
        mode in which it was begun; version 0.1 kept them.
    """

    model: Model
    template: Task
    curriculum: Curriculum
    recipe: Recipe
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    flushes_subnormals: bool = True

    def __post_init__(self) -> None:
        from tauscope.models.trace import generator_for

        require_fitting(self.curriculum, self.template, self.model)
        self.task = self.template.at(self.curriculum.stage)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # It needs one to begin with; `ask` adds the others.
        self.optimizer = _optimizer(self.parameters[:1], self.recipe)
        # What was left on the network would be added to.
        self.model.zero_grad()
        self.ask()
        self.generators = generators(self.recipe.seed, generator_for(self.model, None).device)

    @property
    def finished(self) -> bool:
        """Whether the curriculum or the epochs are used up."""
        return self.curriculum.finished or self.epoch >= self.recipe.epochs

    def ask(self) -> None:
        """Find what the heads that are asked now depend on, and let the optimiser see it."""
        asked = {id(parameter) for parameter in self.model.asked_parameters(self.curriculum.stage.heads)}
        places = [place for place, parameter in enumerate(self.parameters) if id(parameter) in asked]
        # To walk through a hundred heads at every step takes as long as a product.
        self.asked = [self.parameters[place] for place in places]
        self._optimize(max(places, default=-1) + 1)

    def _optimize(self, n_parameters: int) -> None:
        """Let the optimiser see so many of the parameters, if not more."""
        group = self.optimizer.param_groups[0]
        group["params"] += self.parameters[len(group["params"]) : n_parameters]
        if group.get("momentum"):
            # The fused step takes momenta of all parameters or of none; SGD starts from 0, and heads are asked one by one.
            for parameter in group["params"]:
                self.optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to go on bit for bit."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generators": {name: one.get_state() for name, one in self.generators.items()},
            "curriculum": self.curriculum.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "history": self.history,
            "flushes_subnormals": self.flushes_subnormals,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.model.load_state_dict(state["model"])
        self._optimize(len(state["optimizer"]["param_groups"][0]["params"]))
        self.optimizer.load_state_dict(state["optimizer"])
        for name, one in self.generators.items():
            one.set_state(state["generators"][name].cpu())
        self.curriculum.load_state_dict(state["curriculum"])
        self.epoch, self.step, self.loss_sum = int(state["epoch"]), int(state["step"]), float(state["loss_sum"])
        self.history = [record | {"stage": stage_name(record)} for record in state["history"]]
        self.flushes_subnormals = state.get("flushes_subnormals", False)
        if not isinstance(self.flushes_subnormals, bool):
            raise InputError(f"flushes_subnormals is {self.flushes_subnormals!r}: expected true or false")
        self.task = self.template.at(self.curriculum.stage)

    def resolutions(self) -> list[tuple[Model, Task]]:
        """Return the network and the task at every time resolution that a step trains."""
        if self.recipe.duplicates is None:
            return [(self.model, self.task)]
        return [(self.model.at_resolution(k), self.task.replace(repeat=k)) for k in self.recipe.duplicates]


class Store(Protocol):
    """What the loop asks of the place where a run is kept."""

    def save_state(self, training: Training) -> None:
        """Keep the state of a run under way."""

    def save_epoch(self, training: Training, kept: str | None) -> None:
        """Keep what a finished epoch gave: its record, and the network if it is to be kept under a stage's name."""


def train(
    model: Model,
    task: Task,
    curriculum: Curriculum | Sequence[Stage],
    recipe: Recipe | None = None,
    *,
    state: dict[str, Any] | None = None,
    store: Store | None = None,
    save_every: float = 60.0,
    on_step: Callable[[Training, float], None] | None = None,
    on_epoch: Callable[[Training, dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Training:
    """Train a network in place until its curriculum is finished, its epochs are used up, or it is told to stop.

    Parameters
    ----------
    model : Model
        Trained in place.
    task : Task
        Every stage asks it with other values of its fields.
    curriculum : Curriculum or sequence of Stage
        Advanced in place; of stages alone, the next one follows at an accuracy above 98 %.
    recipe : Recipe, optional
        How to train; the published one by default.
    state : dict, optional
        `Training.state_dict` of an earlier call with the same arguments, from which to go on exactly.
    store : Store, optional
        Where states, records and solved networks are kept; nothing is written without one.
    save_every : float
        Seconds between states saved inside an epoch.
    on_step : callable, optional
        Called with the training and the loss after every optimiser step.
    on_epoch : callable, optional
        Called with the training and the record of every finished epoch.
    stop : callable, optional
        Asked after every step; when true, the state is saved and the call returns.

    Returns
    -------
    Training
        What was reached; ``history`` has a record for every epoch.

    Raises
    ------
    InputError
        If a stage does not fit the task, the network or the curriculum's criterion.
    DivergedError
        If the loss or its gradient is not finite; the weights are those before that step.

    Examples
    --------
    >>> import tauscope as ts, torch
    >>> model = ts.LeakyRNN(16, generator=torch.Generator().manual_seed(0))
    >>> recipe = ts.Recipe(epochs=1, steps_per_epoch=3, batch_size=8, test_steps=2)
    >>> training = ts.train(model, ts.Parity(), ts.cumulative(last=6), recipe)
    >>> training.epoch, training.history[0]["stage"], training.history[0]["solved"]
    (1, 'N2_N2', False)
    """
    if not isinstance(curriculum, Curriculum):
        curriculum = Curriculum(curriculum)
    training = Training(model, task, curriculum, recipe or Recipe())
    if state is not None:
        training.load_state_dict(state)
    from tauscope.models.kernels.gemm import keep_freed_memory
    from tauscope.models.kernels.subnormals import flushing

    keep_freed_memory()
    with flushing(training.flushes_subnormals) as flushed:
        if training.flushes_subnormals and not flushed:
            training.flushes_subnormals = False
            warnings.warn(CANNOT_FLUSH, RuntimeWarning, stacklevel=2)
        _loop(training, store, save_every, on_step, on_epoch, stop)
    return training


def _loop(
    training: Training,
    store: Store | None,
    save_every: float,
    on_step: Callable[[Training, float], None] | None,
    on_epoch: Callable[[Training, dict[str, Any]], None] | None,
    stop: Callable[[], bool],
) -> None:
    """Take steps and finish epochs until the training is finished or told to stop."""
    last_save = time.monotonic()
    while not training.finished:
        training.ask()
        if training.step == 0:
            training.model.settle()
        epoch_start, first_step = time.monotonic(), training.step
        while training.step < training.recipe.steps_per_epoch:
            loss = _step(training)
            training.loss_sum += loss
            training.step += 1
            if on_step is not None:
                on_step(training, loss)
            stopping = stop()
            if store is not None and (stopping or time.monotonic() - last_save >= save_every):
                store.save_state(training)
                last_save = time.monotonic()
            if stopping:
                return

        seconds = time.monotonic() - epoch_start
        record = _finish_epoch(training, seconds, training.step - first_step)
        if store is not None:
            keep = training.curriculum.criterion.keeps(record["solved"])
            store.save_epoch(training, record["stage"] if keep else None)
            last_save = time.monotonic()
        if on_epoch is not None:
            on_epoch(training, record)


def _optimizer(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    # The gradient of ρ Σ w² is 2 ρ w.
    decay, nesterov = 2 * recipe.weight_cost, recipe.momentum > 0
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=recipe.lr, weight_decay=decay, fused=True)
    return torch.optim.SGD(parameters, recipe.lr, recipe.momentum, weight_decay=decay, nesterov=nesterov, fused=True)


def _step(training: Training) -> float:
    """Take one optimiser step for every time resolution and return the mean loss."""
    from tauscope.models.trace import run

    recipe, heads, total = training.recipe, training.curriculum.stage.heads, 0.0
    resolutions = training.resolutions()
    for model, task in resolutions:
        batch = task.sample(recipe.batch_size, training.generators["data"])
        n_answers, n_steps = len(batch.targets), len(batch.inputs)
        # The penalty looks at the last steps, and at all that are asked.
        n_needed = max(n_answers, LAST_STEPS) if recipe.activity_cost else n_answers
        trace = run(model, batch, training.generators["state"], heads=heads, first=max(n_steps - n_needed, 0))
        loss = task.loss(trace.outputs[-n_answers:], batch).sum()
        penalty = recipe.activity_cost * ACTIVITY[recipe.activity](trace.states, batch) if recipe.activity_cost else 0
        (loss + penalty).backward()
        norm = torch.nn.utils.clip_grad_norm_(training.asked, recipe.clip).item()
        value = loss.item()
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise DivergedError(
                f"training diverged at epoch {training.epoch + 1}, step {training.step + 1}, stage "
                f"{training.curriculum.stage.name}: loss {value}, gradient norm {norm}; expected finite ones, try a "
                f"learning rate below {recipe.lr}"
            )
        training.optimizer.step()
        for parameter in training.asked:
            parameter.grad = None
        total += value
    return total / len(resolutions)


def _finish_epoch(training: Training, seconds: float, n_steps: int) -> dict[str, Any]:
    """Test the network, move the curriculum on, and return the record of the epoch."""
    stage, metric = training.curriculum.stage, training.task.metric
    with torch.no_grad():
        scores = _test(training)
    solved = training.curriculum.update({metric: scores})
    training.epoch += 1
    record = plain_fields(stage) | {
        "epoch": training.epoch,
        "stage": stage.name,
        "loss": training.loss_sum / training.step,
        metric: scores,
        "solved": solved,
        "seconds": seconds,
        "steps_per_second": n_steps / seconds if n_steps else 0.0,
        "finished": training.finished,
    }
    training.history.append(record)
    training.step, training.loss_sum = 0, 0.0
    training.task = training.template.at(training.curriculum.stage)
    return record


def _test(training: Training) -> list[float]:
    """Return the score of every active head on fresh sequences, the ratio of sums over all of them."""
    from tauscope.models.trace import run

    heads, sums = training.curriculum.stage.heads, []
    for _ in range(training.recipe.test_steps):
        for model, task in training.resolutions():
            batch = task.sample(training.recipe.batch_size, training.generators["test"], "test")
            first = len(batch.inputs) - len(batch.targets)
            outputs = run(model, batch, training.generators["test"], heads=heads, first=first).outputs
            sums.append(torch.stack(task.tally(outputs, batch)).double())
    part, whole = torch.stack(sums).sum(dim=0)
    return [float(score) for score in part / whole]
