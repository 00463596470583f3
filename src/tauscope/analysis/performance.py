"""How well a network answers trials: its fractional loss, or the score of its task, on fresh ones."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from tauscope.analysis.checked import checked
from tauscope.analysis.sequentiality import task_states
from tauscope.errors import InputError, require_at_least
from tauscope.models.model import Model
from tauscope.models.trace import generator_for
from tauscope.tasks.base import Task
from tauscope.tasks.delayed import DelayedResponseTask

_BATCH = 500
_FEW = 50
"""Trials of which the sums are one sample of a ratio: few, so that there are many samples."""


@checked
@torch.no_grad()
def performance(
    model: Model, task: DelayedResponseTask, *, n_trials: int = 5000, generator: torch.Generator | None = None
) -> xr.Dataset:
    """Measure the fractional loss of a network on fresh trials, of all delays and of each.

    Parameters
    ----------
    model : Model
        The network; nothing of it is changed.
    task : DelayedResponseTask
        What is asked.
    n_trials : int
        Number of trials.
    generator : torch.Generator, optional
        Source of trials and initial states; seeded with 0 if not given.

    Returns
    -------
    Dataset [delay]
        ``fractional_loss`` and its ``standard_error`` over trials, ``loss_at_delay [delay]``, ``error_at_delay
        [delay]`` and ``n_at_delay [delay]`` of the delays that occurred, and ``chance``, the loss of the best answer
        that ignores the input.

    Raises
    ------
    InputError
        If there is not at least one trial, or an answer is not finite.

    Notes
    -----
    L = Σ_i e_i / Σ_i s_i with the excess e_i and its scale s_i of trial i (`DelayedResponseTask.excess`), which is not
    the mean of the ratios of batches; its standard error is √(Σ_i (e_i - L s_i)²) / Σ_i s_i. Source: Orhan & Ma, Nature
    Neuroscience 22, 275 (2019), methods.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.models.ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0), lambda_0=0.5)
    >>> result = performance(model, ts.tasks.TwoAlternativeChoice(delay_steps=(5, 10)), n_trials=200)
    >>> result.chance.item(), result.delay.values, bool(result.fractional_loss > 0.5)
    (1.0, array([ 5, 10]), True)
    """
    require_at_least("number of trials", n_trials, 1)
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    columns = []
    for first in range(0, n_trials, _BATCH):
        states, batch = task_states(model, task, min(_BATCH, n_trials - first), generator)
        outputs = model.readout(states[-task.resp_steps :], task.heads)
        columns.append(torch.stack([*task.excess(outputs, batch), batch.info["delay"].double()]).cpu().numpy())
    excess, scale, delays = np.concatenate(columns, axis=1)
    if not np.isfinite(excess).all():
        raise InputError("an answer is not finite: expected a network that stays bounded on its task")
    there = np.unique(delays)
    each = np.array([_ratio(excess[delays == delay], scale[delays == delay]) for delay in there]).T
    overall, error = _ratio(excess, scale)
    of, over = {"units": "1"}, ", standard error over trials"
    return xr.Dataset(
        {
            "fractional_loss": ((), overall, {"long_name": "fractional loss", **of}),
            "standard_error": ((), error, {"long_name": f"fractional loss{over}", **of}),
            "chance": ((), task.chance(), {"long_name": "fractional loss of the best blind answer", **of}),
            "loss_at_delay": ("delay", each[0], {"long_name": "fractional loss at one delay", **of}),
            "error_at_delay": ("delay", each[1], {"long_name": f"fractional loss at one delay{over}", **of}),
            "n_at_delay": ("delay", [int((delays == delay).sum()) for delay in there], {"units": "trials"}),
        },
        coords={"delay": ("delay", there.astype(int), {"long_name": "delay", "units": "steps"})},
        attrs={"task": type(task).__name__, "n_trials": n_trials, "n_steps": task.n_steps, "seed": str(seed)},
    )


@checked
@torch.no_grad()
def scores(model: Model, task: Task, *, n_trials: int = 5000, generator: torch.Generator | None = None) -> xr.Dataset:
    """Measure the score of a network on every question of fresh trials.

    Parameters
    ----------
    model : Model
        The network, with heads of the names that the task's have, or with one that answers; nothing of it is changed.
    task : Task
        What is asked.
    n_trials : int
        Number of trials, at least 100.
    generator : torch.Generator, optional
        Source of trials and initial states; seeded with 0 if not given.

    Returns
    -------
    Dataset [head]
        ``score``, its ``standard_error`` over batches of 50 trials, and ``chance`` and ``optimum`` as the task states them;
        the metric is an attribute.

    Raises
    ------
    InputError
        If there are fewer trials, or an answer is not finite.

    Notes
    -----
    The score is a ratio of sums over all trials (`tauscope.tasks.Task.tally`), L = Σ_i a_i / Σ_i b_i over batches i; its
    standard error is √(Σ_i (a_i - L b_i)²) / Σ_i b_i. Where a task makes a function of the ratio its score
    (`tauscope.tasks.Task.of_sums`), its error is the change of the function over that of the ratio.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = scores(model, ts.Parity([2], length=9), n_trials=2000)
    >>> result["head"].values, bool(abs(result.score - result.chance) < 6 * result.standard_error)
    (array(['N2'], dtype='<U2'), True)
    """
    require_at_least("number of trials", n_trials, 2 * _FEW)
    generator = generator_for(model, generator)
    seed, names, sums = generator.initial_seed(), list(task.heads), []
    for _ in range(n_trials // _FEW):
        states, batch = task_states(model, task, _FEW, generator)
        outputs = model.readout(states[-len(batch.targets) :], names)
        sums.append(torch.stack(task.tally(outputs, batch)).double().cpu())
    parts, wholes = torch.stack(sums).numpy().transpose(1, 2, 0)
    if not np.isfinite(parts).all():
        raise InputError("an answer is not finite: expected a network that stays bounded on its task")
    ratios = np.array([_ratio(part, whole) for part, whole in zip(parts, wholes, strict=True)]).T
    # What a task makes of a ratio, and its change over the error of the ratio.
    found, ahead = (
        task.of_sums(torch.from_numpy(values), torch.ones(len(names), dtype=torch.float64, device="cpu")).numpy()
        for values in (ratios[0], ratios.sum(axis=0))
    )
    what, of = task.metric.replace("_", " "), {"units": task.unit}
    return xr.Dataset(
        {
            "score": ("head", found, {"long_name": what, **of}),
            "standard_error": ("head", ahead - found, {"long_name": f"{what}, standard error over trials", **of}),
            "chance": ("head", [head.chance for head in task.heads.values()], {"long_name": f"{what} at chance", **of}),
            "optimum": ("head", [head.optimum for head in task.heads.values()], {"long_name": f"best {what}", **of}),
        },
        coords={"head": names},
        attrs={
            "task": type(task).__name__,
            "metric": task.metric,
            "n_trials": len(sums) * _FEW,
            "n_steps": len(states),
            "seed": str(seed),
        },
    )


def _ratio(excess: NDArray[np.float64], scale: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ratio of two sums over trials, and its standard error."""
    ratio = excess.sum() / scale.sum()
    return float(ratio), float(np.sqrt(np.square(excess - ratio * scale).sum()) / scale.sum())
