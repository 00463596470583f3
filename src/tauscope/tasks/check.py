"""Check the shapes of a task's batches, loss and scores."""

from __future__ import annotations

from tauscope._lazy import torch
from tauscope.errors import InputError
from tauscope.tasks.base import Batch, Task

_TRIALS = 2


def check_task(task: Task) -> None:
    """Draw two trials of a task, judge answers of zeros, and refuse the task if a shape is wrong.

    Parameters
    ----------
    task : Task
        Task of a stage.

    Raises
    ------
    InputError
        If inputs are not ``[time, batch, channel]`` of ``n_inputs`` channels, there are more answers than steps, or the
        loss or the two sums of a tally are not ``[head]``.

    Examples
    --------
    >>> from tauscope.tasks import Tracking
    >>> check_task(Tracking(n_signals=2))
    """
    name = type(task).__name__
    if not task.heads:
        raise InputError(f"{name} has no heads: expected at least one question")
    batch = task.sample(_TRIALS, torch.Generator().manual_seed(0))
    if not isinstance(batch, Batch):
        raise InputError(f"{name}.sample returned a {type(batch).__name__}: expected a Batch")
    _require_shape(f"the inputs of {name}", batch.inputs, (len(batch.inputs), _TRIALS, task.n_inputs))
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
    for part in sums:
        _require_shape(f"a sum of the tally of {name}", part, (n_heads,))


def _require_shape(what: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise InputError(f"{what}: shape {tuple(tensor.shape)}, expected {shape}")
