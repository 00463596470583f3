"""The training loop, readable from top to bottom, and the state from which it goes on exactly."""

from __future__ import annotations

import copy
import itertools
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tauscope._lazy import torch
from tauscope.errors import DivergedError, InputError, require_at_least, require_instance
from tauscope.learning.acting import ActorCritic
from tauscope.learning.checks import (
    as_curriculum,
    require_calls,
    require_methods,
    require_own_engine,
    require_plain,
    require_trainable,
)
from tauscope.learning.curricula import Curriculum, plain_fields, require_fitting, stage_name
from tauscope.learning.interrupts import Interrupted, noting_interrupts, noting_raised
from tauscope.learning.learners import Learner, Supervised
from tauscope.learning.online import gradient_of
from tauscope.learning.recipe import Recipe, generators, optimizer_of
from tauscope.learning.schedules import epochs_without_gain
from tauscope.tasks.base import Stage, Task
from tauscope.tasks.check import check_task, require_kept
from tauscope.tasks.environment import Environment

if TYPE_CHECKING:
    from tauscope.models.model import Model

CANNOT_FLUSH = "this processor cannot take subnormal numbers for zero: long sequences may train slowly"


@dataclass
class Training:
    """Everything that changes while a network is trained.

    Attributes
    ----------
    model, template, curriculum, recipe
        What is trained, on what, in which order, how.
    learner : Learner, optional
        What an update is; by default supervised learning by backpropagation through whole trials.
    lesson : Learner
        The learner as the current stage asks it.
    epoch, step : int
        Finished epochs; finished steps of the epoch under way.
    loss_sum, told_sums : float, dict of float
        Sums of the losses of those steps, and of what else was reported of them.
    history : list of dict
        One record for every finished epoch, copied.
    flushes_subnormals : bool
        Whether subnormal numbers are taken for zero, see `tauscope.models.kernels.subnormals`. A training goes on in the
        mode in which it was begun; version 0.1 kept them.
    """

    model: Model
    template: Task
    curriculum: Curriculum
    recipe: Recipe
    learner: Learner | None = None
    epoch: int = field(default=0, init=False)
    step: int = field(default=0, init=False)
    loss_sum: float = field(default=0.0, init=False)
    told_sums: dict[str, float] = field(default_factory=dict, init=False)
    flushes_subnormals: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        from tauscope.models.model import require_model
        from tauscope.models.trace import generator_for

        require_model(self.model)
        require_instance("task", self.template, Task, "a task, such as ts.Parity()")
        require_instance("curriculum", self.curriculum, Curriculum, "a Curriculum")
        require_instance("recipe", self.recipe, Recipe, "a Recipe, such as ts.Recipe(epochs=10)")
        require_fitting(self.curriculum, self.template, self.model)
        if self.recipe.dtype is not None:
            self.model.to(getattr(torch, self.recipe.dtype))
        self._learner = self.learner or learner_of(self.model, self.template, self.recipe)
        require_own_engine(self.learner, self.recipe.engine)
        require_methods("learner", self._learner, "at", "parameters", "settle", "pieces", "test")
        require_trainable(self.model, self._learner, self.curriculum.stages)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.records: list[dict[str, Any]] = []
        # It needs one to begin with; `ask` adds the others.
        self.optimizer = optimizer_of(self.parameters[:1], self.recipe)
        # What was left on the network would be added to.
        self.model.zero_grad()
        self.ask()
        self.generators = generators(self.recipe.seed, generator_for(self.model, None).device)

    @property
    def task(self) -> Task:
        """The template as the current stage asks it."""
        return self.template.at(self.curriculum.stage)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Copies of the records of all finished epochs."""
        return copy.deepcopy(self.records)

    @property
    def finished(self) -> bool:
        """Whether the curriculum, the epochs or the recipe's patience is used up."""
        given_up = bool(self.records) and self.records[-1].get("stopped_early", False)
        return self.curriculum.finished or self.epoch >= self.recipe.epochs or given_up

    def ask(self) -> None:
        """Take up the current stage: what its answers depend on, and the learning rate that the scores so far give."""
        self.lesson: Learner = self._learner.at(self.curriculum.stage)
        asked = {id(parameter) for parameter in self.lesson.parameters()}
        places = [place for place, parameter in enumerate(self.parameters) if id(parameter) in asked]
        # To walk through a hundred heads at every step takes as long as a product.
        self.asked = [self.parameters[place] for place in places]
        self._optimize(max(places, default=-1) + 1)
        if self.recipe.schedule is not None:
            better = self.curriculum.criterion.direction
            self.optimizer.param_groups[0]["lr"] = self.recipe.schedule.rate(self.recipe.lr, self.scores(), better)

    def scores(self) -> list[list[float]]:
        """Return the mean score over heads of every finished epoch, in one list for every stage."""
        metric = self.curriculum.criterion.metric
        stages = itertools.groupby(self.records, stage_name)
        return [[float(np.mean(record[metric])) for record in records] for _, records in stages]

    def _optimize(self, n_parameters: int) -> None:
        """Let the optimiser see so many of the parameters, if not more."""
        group = self.optimizer.param_groups[0]
        group["params"] += self.parameters[len(group["params"]) : n_parameters]
        if group.get("momentum"):
            # The fused step takes momenta of all parameters or of none; SGD starts from 0, and heads are asked one by one.
            for parameter in group["params"]:
                self.optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that `load_state_dict` needs to go on from this moment bit for bit."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "generators": {name: generator.get_state() for name, generator in self.generators.items()},
                "curriculum": self.curriculum.state_dict(),
                "epoch": self.epoch,
                "step": self.step,
                "loss_sum": self.loss_sum,
                "told_sums": self.told_sums,
                "history": self.records,
                "flushes_subnormals": self.flushes_subnormals,
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, which is left as it is.

        Raises
        ------
        InputError
            If it is not a state of a training of this network, curriculum and optimiser.
        """
        require_instance("state", state, dict, "what Training.state_dict() returns")
        missing = sorted(self.state_dict().keys() - state.keys() - {"flushes_subnormals", "told_sums"})
        if missing:
            raise InputError(f"state has no {missing[0]}: expected what Training.state_dict() returns")
        self._load_weights(state["model"], state["optimizer"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name].cpu())
        self.curriculum.load_state_dict(state["curriculum"])
        self.epoch, self.step, self.loss_sum = int(state["epoch"]), int(state["step"]), float(state["loss_sum"])
        self.told_sums = dict(state.get("told_sums", {}))
        self.records = [record | {"stage": stage_name(record)} for record in copy.deepcopy(state["history"])]
        self.flushes_subnormals = state.get("flushes_subnormals", False)
        if not isinstance(self.flushes_subnormals, bool):
            raise InputError(f"flushes_subnormals is {self.flushes_subnormals!r}: expected true or false")

    def _load_weights(self, weights: dict[str, Any], moments: dict[str, Any]) -> None:
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(f"state is of another network: {' '.join(str(error).split())}") from error
        (group,) = moments["param_groups"]
        if ("betas" in group) != (self.recipe.optimizer == "adam"):
            raise InputError(f"state is of another optimiser: expected that of {self.recipe.optimizer}")
        self._optimize(len(group["params"]))
        # The optimiser keeps the very tensors that it is given, and changes them.
        self.optimizer.load_state_dict(copy.deepcopy(moments))


def learner_of(model: Model, task: Task, recipe: Recipe) -> Learner:
    """Return what an update is by a recipe.

    Raises
    ------
    InputError
        If the network cannot be trained by that gradient, or the recipe asks what an actor-critic does not do.
    """
    gradient = gradient_of(recipe.gradient, recipe.every, recipe.engine)
    if isinstance(task, Environment):
        require_plain(recipe, task)
        return ActorCritic(model, task, gradient)
    return Supervised(model, task, recipe.objective, gradient, recipe.duplicates)


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
    learner: Learner | None = None,
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
    learner : Learner, optional
        What an update is; by default `tauscope.learning.learners.Supervised`, by backpropagation through whole trials.
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
        If a stage does not fit the task, the network or the curriculum's criterion, if the task keeps chance or a state of
        its own, or if anything is not what its name says.
    DivergedError
        If the loss or its gradient is not finite; the weights are those before that step.
    Interrupted
        After Ctrl-C, between two steps; its ``training`` is what was reached.

    Examples
    --------
    >>> import tauscope as ts, torch
    >>> model = ts.LeakyRNN(16, generator=torch.Generator().manual_seed(0))
    >>> recipe = ts.Recipe(epochs=1, steps_per_epoch=3, batch_size=8, test_steps=2)
    >>> training = ts.train(model, ts.Parity(), ts.cumulative(last=6), recipe)
    >>> training.epoch, training.history[0]["stage"], training.history[0]["solved"]
    (1, 'N2_N2', False)
    """
    require_calls(on_step=on_step, on_epoch=on_epoch, stop=stop)
    if store is not None:
        require_methods("store", store, "save_state", "save_epoch")
    require_at_least("save_every", save_every, 0.0)
    training = Training(model, task, as_curriculum(curriculum), Recipe() if recipe is None else recipe, learner)
    if state is not None:
        try:
            training.load_state_dict(state)
        except InputError:
            raise
        except Exception as error:  # whatever a state lacks
            raise InputError(
                f"state is none of this training ({error!r}): expected what Training.state_dict() returns"
            ) from error
    elif training.curriculum.epoch or training.curriculum.finished:
        raise InputError(
            f"the curriculum was used for {training.curriculum.epoch} epochs: expected a new one, such as "
            "ts.Curriculum(curriculum.stages, curriculum.criterion), or the state to go on from"
        )
    check_task(training.task)
    require_kept(task, training.curriculum.stages[-1])
    from tauscope.models.kernels.gemm import keep_freed_memory
    from tauscope.models.kernels.subnormals import flushing

    keep_freed_memory()
    with flushing(training.flushes_subnormals) as flushed, noting_interrupts() as caught, torch.enable_grad():
        if training.flushes_subnormals and not flushed:
            training.flushes_subnormals = False
            warnings.warn(CANNOT_FLUSH, RuntimeWarning, stacklevel=2)
        _loop(training, store, save_every, on_step, on_epoch, stop, caught)
    if caught:
        raise Interrupted(training)
    return training


def _loop(
    training: Training,
    store: Store | None,
    save_every: float,
    on_step: Callable[[Training, float], None] | None,
    on_epoch: Callable[[Training, dict[str, Any]], None] | None,
    stop: Callable[[], bool],
    caught: list[int],
) -> None:
    """Take steps and finish epochs until the training is finished, told to stop or interrupted."""
    last_save = time.monotonic()
    while not training.finished:
        training.ask()
        if training.step == 0:
            training.lesson.settle()
        epoch_start, first_step = time.monotonic(), training.step
        while training.step < training.recipe.steps_per_epoch:
            loss = _step(training)
            training.loss_sum += loss
            training.step += 1
            stopping = False
            with noting_raised(caught):
                if on_step is not None:
                    on_step(training, loss)
                stopping = stop()
            stopping = stopping or bool(caught)
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
            with noting_raised(caught):
                on_epoch(training, record)
        if caught:
            return


def _step(training: Training) -> float:
    """Take the optimiser steps of all pieces of a training step and return their mean loss."""
    recipe, losses, told = training.recipe, [], []
    for piece in training.lesson.pieces(recipe.batch_size, training.generators):
        piece.backward()
        norm = torch.nn.utils.clip_grad_norm_(training.asked, recipe.clip).item()
        loss = piece.loss.item()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(
                f"training diverged at epoch {training.epoch + 1}, step {training.step + 1}, stage "
                f"{training.curriculum.stage.name}: loss {loss}, gradient norm {norm}; expected finite ones, try a "
                f"learning rate below {recipe.lr}"
            )
        training.optimizer.step()
        training.model.project()
        for parameter in training.asked:
            parameter.grad = None
        losses.append(loss)
        told.append(piece.info)
    for name in told[0]:
        training.told_sums[name] = training.told_sums.get(name, 0.0) + sum(info[name] for info in told) / len(told)
    return sum(losses) / len(losses)


def _finish_epoch(training: Training, seconds: float, n_steps: int) -> dict[str, Any]:
    """Test the network, move the curriculum on, and return the record of the epoch."""
    recipe, stage = training.recipe, training.curriculum.stage
    with torch.no_grad():
        scores = training.lesson.test(recipe.batch_size, recipe.test_steps, recipe.split, training.generators)
    solved = training.curriculum.update(scores)
    training.epoch += 1
    record = plain_fields(stage) | {
        "epoch": training.epoch,
        "stage": stage.name,
        "loss": training.loss_sum / training.step,
        **scores,
        "solved": solved,
        "seconds": seconds,
        "steps_per_second": n_steps / seconds if n_steps else 0.0,
        **{name: total / training.step for name, total in training.told_sums.items()},
    }
    if recipe.schedule is not None:
        record["lr"] = training.optimizer.param_groups[0]["lr"]
    # What a stage asks may be changed by whoever made it.
    record = copy.deepcopy(record)
    training.records.append(record)
    if recipe.patience is not None and not solved:
        better = training.curriculum.criterion.direction
        waited = epochs_without_gain(training.scores()[-1], better, recipe.gain)
        record["stopped_early"] = waited >= recipe.patience
    record["finished"] = training.finished
    training.step, training.loss_sum, training.told_sums = 0, 0.0, {}
    return copy.deepcopy(record)
