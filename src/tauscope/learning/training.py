"""The training loop, readable from top to bottom."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tauscope._lazy import torch
from tauscope.errors import DivergedError, InputError, require_at_least
from tauscope.learning.checks import as_curriculum, require_calls, require_methods
from tauscope.learning.curricula import Curriculum, plain_fields
from tauscope.learning.interrupts import Interrupted, noting_interrupts, noting_raised
from tauscope.learning.learners import Learner
from tauscope.learning.recipe import Recipe
from tauscope.learning.schedules import epochs_without_gain
from tauscope.learning.state import Training
from tauscope.tasks.base import Stage, Task
from tauscope.tasks.check import check_task, require_kept

if TYPE_CHECKING:
    from tauscope.models.model import Model

CANNOT_FLUSH = "this processor cannot take subnormal numbers for zero: long sequences may train slowly"
ALL_LOOPED = (
    "Newton's method solved no trial of the first step, so that each ran as a loop as well: expected trials that it solves "
    "(see 'tauscope analyze parallelizability'), or engine 'loop' or 'adjoint'"
)


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
        _load(training, state)
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


def _load(training: Training, state: dict[str, Any]) -> None:
    """Let a training go on from a state, refusing whatever is none."""
    try:
        training.load_state_dict(state)
    except InputError:
        raise
    except Exception as error:  # whatever a state lacks
        raise InputError(
            f"state is none of this training ({error!r}): expected what Training.state_dict() returns"
        ) from error


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
        training.frames += piece.frames
    if not losses:
        raise InputError(
            f"{type(training.task).__name__} asks nothing in the {recipe.batch_size} trials of epoch {training.epoch + 1}, step "
            f"{training.step + 1}: expected a weight above 0, try larger batches"
        )
    if training.epoch == training.step == 0 and told[0].get("fallback_share") == 1.0:
        warnings.warn(ALL_LOOPED, RuntimeWarning, stacklevel=4)
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
    if training.frames:
        record["frames"] = training.frames
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
