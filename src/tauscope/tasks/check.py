"""Check the shapes of a task's batches, loss and scores, and the source of its chance."""

from __future__ import annotations

import contextlib
import copy
import inspect
import pickle
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from tauscope._lazy import torch
from tauscope.errors import InputError
from tauscope.tasks.base import Batch, Stage, Task, fields_of
from tauscope.tasks.environment import Environment

_TRIALS, _TRIALS_TO_ASK = 2, 100


def check_task(task: Task) -> None:
    """Draw two trials of a task, judge answers of zeros, and refuse the task if a shape is wrong.

    Parameters
    ----------
    task : Task
        Task of a stage.

    Raises
    ------
    InputError
        If inputs are not ``[time, batch, channel]`` of ``n_inputs`` channels, there are more answers than steps, none of
        them is asked, or the loss or the two sums of a tally are not ``[head]``; or if the same generator draws other trials a second time.

    Examples
    --------
    >>> from tauscope.tasks import Tracking
    >>> check_task(Tracking(n_signals=2))
    """
    name = type(task).__name__
    if not task.heads:
        raise InputError(f"{name} has no heads: expected at least one question")
    batch = _repeated(task)
    if not isinstance(batch, Batch):
        raise InputError(f"{name}.sample returned a {type(batch).__name__}: expected a Batch")
    _require_shape(f"the inputs of {name}", batch.inputs, (len(batch.inputs), _TRIALS, task.n_inputs))
    if isinstance(task, Environment):
        # What its actions bring is judged by what comes after them.
        return
    if not 0 < len(batch.targets) <= len(batch.inputs):
        raise InputError(f"{name} has {len(batch.targets)} answers in {len(batch.inputs)} steps: expected 1 to as many")
    n_heads, (n_outputs, *others) = len(task.heads), sorted({head.n_outputs for head in task.heads.values()})
    if others:
        raise InputError(
            f"the heads {', '.join(task.heads)} have {[n_outputs, *others]} outputs: expected equally many"
        )
    outputs = batch.inputs.new_zeros(len(batch.targets), _TRIALS, n_heads, n_outputs)
    try:
        loss, sums = task.loss(outputs, batch), task.tally(outputs, batch)
    except (RuntimeError, IndexError, ValueError) as error:
        raise InputError(
            f"{name} cannot judge answers of shape {tuple(outputs.shape)} (answer, batch, head, output): {error}"
        ) from error
    _require_shape(f"the loss of {name}", loss, (n_heads,))
    _require_asked(task, batch)
    for part in sums:
        _require_shape(f"a sum of the tally of {name}", part, (n_heads,))


def _require_asked(task: Task, batch: Batch) -> None:
    """Refuse a task that asks nothing in as many trials as it takes to tell it from a task that asks rarely."""
    if batch.weight is None or batch.weight.any():
        return
    with _globals_kept():
        weight = _copied(task).sample(_TRIALS_TO_ASK, torch.Generator().manual_seed(0)).weight
    if weight is not None and not weight.any():
        raise InputError(
            f"{type(task).__name__} asks nothing in {_TRIALS_TO_ASK} trials: every weight is 0, expected weights above 0 where an "
            "answer is asked"
        )


def _repeated(task: Task) -> Batch:
    """Draw trials twice from the same seed, refusing chance that is not the generator's; the task is left as it is.

    A run is resumed by putting its generators back, which does not reach a generator, a counter or an iterator of a task's
    own.
    """
    name, task = type(task).__name__, _copied(task)
    with _globals_kept():
        first = task.sample(_TRIALS, torch.Generator().manual_seed(0))
        held = _held(task)
        second = task.sample(_TRIALS, torch.Generator().manual_seed(0))
    if isinstance(first, Batch) and not _same_trials(first, second):
        raise InputError(
            f"{name}.sample draws other trials from the same generator, so that a run cannot be resumed: expected all chance "
            "from the generator, such as np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))"
        )
    for field, value in _held(task).items():
        if value != held[field]:
            warnings.warn(
                f"{name}.sample changes {name}.{field}: a run that is resumed begins with it anew",
                RuntimeWarning,
                stacklevel=4,
            )
    return first


def require_kept(task: Task, stage: Stage) -> None:
    """Refuse a task of which a copy, or a copy with what a stage asks, is not what it should be.

    Parameters
    ----------
    task : Task
        As it was given.
    stage : Stage
        What is asked of it.

    Raises
    ------
    InputError
        If a copy has other values than the task, or a value that its ``__init__`` would derive anew is that of before.

    Examples
    --------
    >>> from tauscope.tasks import Parity
    >>> require_kept(Parity(), Stage("N7", {"Ns": (7,)}))
    """
    _require_same(task, task.replace(), "a copy of it has")
    if "task" in stage.ask:
        return
    kind = type(task)
    options = [option for option in inspect.signature(kind).parameters if option in fields_of(task)]
    values = {option: getattr(task, option) for option in options}
    try:
        anew, asked = kind(**values), kind(**{**values, **stage.ask})
    except Exception:  # a constructor of a user's own takes what it likes
        return
    if not difference(task, anew):
        _require_same(asked, task.at(stage), f"a copy of it at stage {stage.name} has", "made anew, it has")


def difference(ours: Task, theirs: Task) -> str:
    """Return the name of the first value that a task holds and another does not; empty if there is none.

    Examples
    --------
    >>> from tauscope.tasks import Parity
    >>> difference(Parity(), Parity()), difference(Parity(p=0.5), Parity())
    ('', 'p')
    """
    for name in fields_of(ours):
        own, other = getattr(ours, name), getattr(theirs, name, None)
        if own is not other and _text(own) != _text(other):
            return name
    return ""


def _require_same(task: Task, copied: Task, where: str, before: str = "it has") -> None:
    if name := difference(task, copied):
        raise InputError(
            f"{type(task).__name__}.{name}: {before} {getattr(task, name)!r}, {where} {getattr(copied, name, None)!r}; expected a "
            "__post_init__ that derives it from fields and changes none, or a property"
        )


def _held(task: Task) -> dict[str, object]:
    """Return what a task holds in a form that can be compared; of large arrays, whether they were changed in place."""
    return {name: _text(getattr(task, name)) for name in fields_of(task)}


def _text(value: Any) -> object:
    if isinstance(value, torch.Tensor):
        return id(value), value._version
    if isinstance(value, np.ndarray):
        return id(value), value.shape
    try:
        return pickle.dumps(value)
    except Exception:  # what cannot be written down is the same as long as it is the same object
        return id(value)


def _copied(task: Task) -> Task:
    """Return a copy whose state is its own, which shares arrays: they are large, and nobody draws from them by changing them."""
    shared = {
        id(value): value
        for value in getattr(task, "__dict__", {}).values()
        if isinstance(value, torch.Tensor | np.ndarray)
    }
    try:
        return copy.deepcopy(task, shared)
    except Exception:  # an iterator or an open file has no copy
        return task


@contextlib.contextmanager
def _globals_kept() -> Iterator[None]:
    """Put back the global generators, from which a task should not draw."""
    ours, numpys, pythons = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(ours)
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


def _same_trials(first: Batch, second: Batch) -> bool:
    pairs = ((first.inputs, second.inputs), (first.targets, second.targets), (first.hold, second.hold))
    return all(
        ours is theirs
        or (
            ours is not None
            and theirs is not None
            and ours.shape == theirs.shape
            and bool(((ours == theirs) | (ours != ours)).all())
        )
        for ours, theirs in pairs
    )


def _require_shape(what: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise InputError(f"{what}: shape {tuple(tensor.shape)}, expected {shape}")
