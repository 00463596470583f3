"""Whether a memory is held by a sequence of units or by persistent ones: the sequentiality index and its pictures."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tauscope._draws import uniform
from tauscope.analysis.checked import checked
from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks.base import Batch, Task

MODES = ("robust", "reference")
N_BINS, PSEUDO_COUNT, HALF_WINDOW, THRESHOLD = 20, 0.1, 2, 0.1
"""Bins of the histogram of peak times and what is added to each, steps on either side of a peak, least mean activity."""

Array = NDArray[np.float64]


@checked
@torch.no_grad()
def task_states(
    model: Model, task: Task, n_trials: int = 300, generator: torch.Generator | None = None
) -> tuple[Tensor, Batch]:
    """Run a network on fresh trials of a task.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any; nothing of it is changed.
    task : Task
        The task; its delays, where they vary, hold the state.
    n_trials : int
        Number of trials.
    generator : torch.Generator, optional
        Source of trials and initial states; seeded with 0 if not given.

    Returns
    -------
    states : Tensor [time, trial, unit]
        Activity of the units of all layers.
    batch : Batch
        The trials.

    Examples
    --------
    >>> import tauscope as ts
    >>> model, task = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0)), ts.Parity([2], length=9)
    >>> states, batch = task_states(model, task, n_trials=3)
    >>> states.shape, task.score(model.readout(states[-1:], task.heads), batch).shape
    (torch.Size([9, 3, 8]), torch.Size([1]))
    """
    require_at_least("number of trials", n_trials, 1)
    generator = generator_for(model, generator)
    batch = task.sample(n_trials, generator)
    return run(model, batch, generator).states, batch


@checked
def sequentiality(
    model: Model,
    task: Task,
    *,
    mode: str = "robust",
    n_trials: int = 300,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the sequentiality index of a network on fresh trials of a task.

    Parameters
    ----------
    model, task, n_trials
        As in `task_states`; the published code takes 300 trials.
    mode : {"robust", "reference"}
        As in `sequentiality_index`.
    generator : torch.Generator, optional
        Source of trials, initial states and shuffles; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial]
        As of `sequentiality_index`. The sample size of a statistic over networks is their number: average over trials
        first.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = sequentiality(model, ts.Parity([2], length=30), n_trials=4)
    >>> result.sequentiality.dims, result.attrs["mode"]
    (('trial',), 'robust')
    """
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    states, _ = task_states(model, task, n_trials, generator)
    return sequentiality_index(states, mode=mode, generator=generator).assign_attrs(seed=str(seed))


def sequentiality_index(
    states: Tensor | ArrayLike, *, mode: str = "robust", generator: torch.Generator | None = None
) -> xr.Dataset:
    """Measure how much the activity of a trial resembles a sequence of brief, evenly spaced peaks.

    Parameters
    ----------
    states : Tensor or array [time, trial, unit]
        Activity, not negative where it is to be counted.
    mode : {"robust", "reference"}
        ``"reference"`` is the published code: the ridge is [p - 2, p + 2), cut so that it never reaches the last step;
        the histogram of peak times spans their own range, so that peaks within a few steps of each other count as
        spread out; and a ridge or background of 0 makes the index infinite. In ``"robust"`` the ridge is
        [p - 2, p + 2], the histogram spans the trial, units without a finite ratio are left out and counted, and the
        index of a control is added.
    generator : torch.Generator, optional
        Source of the shuffles of the control; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial]
        ``sequentiality``, the sum of ``entropy`` (of peak times, at most ln 20 = 3.00) and ``ridge_to_background``,
        all in nats; ``n_units`` that were active, ``n_left_out`` of them; NaN where none is left. In robust mode also
        ``baseline``, the index of the same activity with the time steps of every unit shuffled: noise spreads peaks
        out too, so that an index is evidence of a sequence only above it.

    Raises
    ------
    InputError
        If the activity has another shape or is not finite.

    Notes
    -----
    SI = mean_i [ln r_i(ridge) - ln r_i(background)] - Σ_k q_k ln q_k over units i with mean activity above 0.1. With
    p_i the step of the peak of unit i, the ridge is the mean activity around p_i, the background that of all other
    steps, and q the histogram of the p_i in 20 bins with 0.1 added to each. Source: Orhan & Ma, Nature Neuroscience 22,
    275 (2019), methods and published code.

    Examples
    --------
    >>> bumps = np.exp(-0.5 * ((np.arange(100)[:, None] - np.arange(100)) / 3) ** 2)
    >>> index = sequentiality_index(2 * bumps[:, None])
    >>> round(float(index.sequentiality[0]), 2), bool(index.baseline[0] < index.sequentiality[0])
    (6.38, True)
    """
    require_choice("mode", mode, MODES)
    trials = _trials(states)
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    rows = [_index(trial, mode) for trial in trials]
    names = ("sequentiality", "entropy", "ridge_to_background", "n_units", "n_left_out")
    columns = dict(zip(names, np.array(rows).T, strict=True))
    if mode == "robust":
        columns["baseline"] = np.array([_index(_shuffled(trial, generator), mode)[0] for trial in trials])
    return xr.Dataset(
        {name: ("trial", values, dict(zip(("long_name", "units"), _LONG_NAMES[name], strict=True)))
         for name, values in columns.items()},
        coords={"trial": np.arange(len(rows))},
        attrs={"units": "nats", "mode": mode, "n_steps": trials.shape[1]},
    )  # fmt: skip


_LONG_NAMES = {
    "sequentiality": ("sequentiality index", "nats"),
    "entropy": ("entropy of peak times", "nats"),
    "ridge_to_background": ("logarithm of ridge over background", "nats"),
    "n_units": ("active units", "units"),
    "n_left_out": ("active units without a finite ratio", "units"),
    "baseline": ("sequentiality index with time shuffled", "nats"),
}


def _trials(states: Tensor | ArrayLike) -> Array:
    """Return activity as ``[trial, time, unit]``."""
    array = states.detach().double().cpu().numpy() if isinstance(states, Tensor) else np.asarray(states, dtype=float)
    if array.ndim != 3 or not array.size:
        raise InputError(f"states have shape {array.shape}: expected [time, trial, unit]")
    if not np.isfinite(array).all():
        raise InputError("the activity is not finite: expected a network that stays bounded on its task")
    return np.moveaxis(array, 1, 0)


def _index(activity: Array, mode: str) -> tuple[float, float, float, int, int]:
    """Return the index of one trial ``[time, unit]``, its two parts, and how many units were active and left out."""
    active = activity[:, activity.mean(axis=0) > THRESHOLD]
    if not active.size:
        return np.nan, np.nan, np.nan, 0, 0
    n_steps, n_units = active.shape
    peaks = active.argmax(axis=0)
    ratios = _log_ratios(active, peaks, mode)
    counts, _ = np.histogram(peaks, N_BINS, None if mode == "reference" else (0, n_steps))
    q = (counts + PSEUDO_COUNT) / (n_units + N_BINS * PSEUDO_COUNT)
    entropy = float(-(q * np.log(q)).sum())
    kept = ratios[np.isfinite(ratios)] if mode == "robust" else ratios[~np.isnan(ratios)]
    # As published, the mean of +inf and -inf is not a number.
    with np.errstate(invalid="ignore"):
        ratio = float(kept.mean()) if kept.size else np.nan
    return entropy + ratio, entropy, ratio, n_units, n_units - len(kept)


def _log_ratios(active: Array, peaks: NDArray[np.int64], mode: str) -> Array:
    """Return ln(ridge / background) of every unit."""
    last = len(active) - 1
    start, end = np.clip(peaks - HALF_WINDOW, 0, last), np.clip(peaks + HALF_WINDOW, 0, last)
    step = np.arange(len(active))[:, None]
    ridge = (step >= start) & (step < end + (mode == "robust"))
    n_ridge = ridge.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        on = np.where(ridge, active, 0.0).sum(axis=0) / n_ridge
        off = np.where(ridge, 0.0, active).sum(axis=0) / (len(active) - n_ridge)
        return np.asarray(np.log(on) - np.log(off))


def _shuffled(activity: Array, generator: torch.Generator) -> Array:
    """Return a trial ``[time, unit]`` with the steps of every unit in an order of its own."""
    order = uniform(tuple(activity.shape), generator).argsort(dim=0)
    return np.take_along_axis(activity, order.cpu().numpy(), axis=0)


def peak_order(states: Tensor | ArrayLike) -> xr.Dataset:
    """Sort the active units by the time of their peak.

    Parameters
    ----------
    states : Tensor or array [time, trial, unit]
        Activity; its mean over trials is sorted. For a picture of one trial, pass that trial alone.

    Returns
    -------
    Dataset [time, rank]
        ``activity [time, rank]`` of every unit in parts of its peak, the earliest peak first; ``peak_time [rank]`` in
        steps and ``unit [rank]``, its number in the network.

    Raises
    ------
    InputError
        If the activity has another shape or is not finite.

    Examples
    --------
    >>> states = np.array([[0.0, 4.0, 0.0], [0.0, 2.0, 8.0]])[:, None]
    >>> order = peak_order(states)
    >>> order.unit.values, order.peak_time.values
    (array([1, 2]), array([0, 1]))
    """
    mean = _trials(states).mean(axis=0)
    units = np.flatnonzero(mean.mean(axis=0) > THRESHOLD)
    active = mean[:, units]
    peaks = active.argmax(axis=0)
    order = np.argsort(peaks, kind="stable")
    with_peak = active[:, order] / active.max(axis=0, initial=0.0)[order]
    return xr.Dataset(
        {"activity": (("time", "rank"), with_peak, {"long_name": "activity in parts of its peak", "units": "1"})},
        coords={
            "time": ("time", np.arange(len(mean)), {"units": "steps"}),
            "rank": np.arange(len(units)),
            "unit": ("rank", units[order]),
            "peak_time": ("rank", peaks[order], {"long_name": "time of the peak", "units": "steps"}),
        },
        attrs={"n_trials": len(_trials(states))},
    )


def weights_by_peak_difference(weights: Tensor | ArrayLike, states: Tensor | ArrayLike) -> xr.Dataset:
    """Average the recurrent weights between units by how much later the receiving one peaks than the sending one.

    Parameters
    ----------
    weights : Tensor or array [to, from]
        Recurrent weights; self-connections are left out.
    states : Tensor or array [time, trial, unit]
        Activity; peaks and active units are those of every trial, and pairs of all trials are pooled.

    Returns
    -------
    Dataset [difference]
        ``weight`` and ``std`` over pairs, ``n_pairs``, by the ``difference`` of peak times in steps; NaN where there is
        no pair. ``forward`` and ``backward`` are the mean weights over all positive and all negative differences: a
        sequence that its weights carry has forward > backward.

    Raises
    ------
    InputError
        If the shapes do not fit, or something is not finite.

    Notes
    -----
    Source: Orhan & Ma, Nature Neuroscience 22, 275 (2019), where networks of high sequentiality have stronger weights
    from earlier to later peaks.

    Examples
    --------
    >>> states = 2 * np.eye(4)[:, None]
    >>> result = weights_by_peak_difference(np.eye(4, k=-1), states)
    >>> result.weight.sel(difference=[-1, 1, 2]).values
    array([0., 1., 0.])
    """
    trials = _trials(states)
    W = weights.detach().double().cpu().numpy() if isinstance(weights, Tensor) else np.asarray(weights, dtype=float)
    n_steps, n_units = trials.shape[1:]
    if W.shape != (n_units, n_units) or not np.isfinite(W).all():
        raise InputError(f"weights have shape {W.shape}: expected finite weights [to, from] of {n_units} units")
    sums = np.zeros((3, 2 * n_steps - 1))
    for trial in trials:
        active = np.flatnonzero(trial.mean(axis=0) > THRESHOLD)
        peaks = trial[:, active].argmax(axis=0)
        others = ~np.eye(len(active), dtype=bool)
        later = (peaks[:, None] - peaks + n_steps - 1)[others]
        between = W[np.ix_(active, active)][others]
        sums += [np.bincount(later, power, sums.shape[1]) for power in (np.ones_like(between), between, between**2)]
    return _weights_dataset(np.arange(1 - n_steps, n_steps), sums, len(trials))


def _weights_dataset(differences: NDArray[np.int64], sums: Array, n_trials: int) -> xr.Dataset:
    """Return what the sums of 1, weights and squared weights over the pairs at every difference tell."""
    n, first, second = sums
    later, earlier = differences > 0, differences < 0
    # Where there is no pair, 0 / 0 is the NaN that is meant.
    with np.errstate(invalid="ignore"):
        weight = first / n
        spread = np.sqrt(np.clip(second / n - weight**2, 0, None))
        forward, backward = (first[side].sum() / n[side].sum() for side in (later, earlier))
    return xr.Dataset(
        {
            "weight": ("difference", weight, {"long_name": "mean recurrent weight", "units": "weight"}),
            "std": ("difference", spread, {"long_name": "standard deviation over pairs", "units": "weight"}),
            "n_pairs": ("difference", n, {"long_name": "pairs of units, summed over trials", "units": "pairs"}),
            "forward": ((), forward, {"long_name": "mean weight to a later peak", "units": "weight"}),
            "backward": ((), backward, {"long_name": "mean weight to an earlier peak", "units": "weight"}),
        },
        coords={"difference": ("difference", differences, {"long_name": "difference of peak times", "units": "steps"})},
        attrs={"n_trials": n_trials},
    )
