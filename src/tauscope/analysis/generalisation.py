"""How much memory the dynamics hold: fresh read-outs of a frozen network, also for N beyond its training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.analysis.ridge import Sums, ridge_weights
from tauscope.analysis.simulation import warm_up_for
from tauscope.errors import InputError, require_at_least
from tauscope.models.model import Model
from tauscope.models.trace import run
from tauscope.tasks.base import validate_Ns
from tauscope.tasks.binary import BinaryMemoryTask

RIDGES = tuple(10.0**exponent for exponent in range(-12, 3))
"""Penalties that are tried, in units of the mean variance of the states."""

_BLOCK_STEPS = 512


@checked
@torch.no_grad()
def generalise(
    model: Model,
    task: BinaryMemoryTask,
    Ns: Sequence[int],
    *,
    n_trials: int = 10,
    n_steps: int = 3000,
    warm_up: int | None = None,
    p: float = 0.5,
    n_folds: int = 5,
    ridges: Sequence[float] = RIDGES,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Fit a linear read-out of a frozen network for every N, and measure its accuracy on fresh trials.

    Parameters
    ----------
    model : Model
        The network; only the states of its top layer are used, not its heads.
    task : BinaryMemoryTask
        Its coding is used; Ns and p are those given here.
    Ns : sequence of int
        Memory demands, ascending.
    n_trials : int
        Trials to fit, and as many fresh ones to test; at least as many as folds.
    n_steps : int
        Bits of a trial that are used.
    warm_up : int, optional
        Bits before them that are not; by default 100, or the N - 1 that an answer needs where those are more.
    p : float
        Probability of a 1.
    n_folds : int
        Folds of the cross-validation that chooses each N's penalty; folds are whole trials.
    ridges : sequence of float
        Penalties to choose from, in units of the mean variance of the states.
    generator : torch.Generator, optional
        Source of bits and initial states; seeded with 0 if not given.

    Returns
    -------
    Dataset [N, trial]
        ``accuracy [N, trial]`` on the fresh trials, the ``chosen_ridge [N]``, ``error [N, ridge]``, the
        cross-validated mean squared error, and ``chance [N]``. Trials of one network are not independent samples; the
        sample size over networks is their number.

    Raises
    ------
    InputError
        If an option is out of range or the states do not stay finite.

    Notes
    -----
    Labels are coded as -1 and +1 and fitted by least squares with the penalty ridge · n · v · ‖w‖², where n is the
    number of samples and v the mean variance; the intercept is free. Sums over samples are collected block by block.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = generalise(model, ts.Parity(), [1, 2], n_steps=200)
    >>> dict(result.accuracy.sizes), bool(result.accuracy.sel(N=1).mean() > 0.99)
    ({'N': 2, 'trial': 10}, True)
    """
    Ns = validate_Ns(Ns)
    require_at_least("number of folds", n_folds, 2)
    require_at_least("number of trials", n_trials, n_folds)
    require_at_least("number of steps", n_steps, 2)
    warm_up = warm_up_for(Ns[-1]) if warm_up is None else warm_up
    require_at_least("warm-up", warm_up, Ns[-1] - 1)
    if not len(ridges) or not all(ridge >= 0 for ridge in ridges):
        raise InputError(f"ridges are {list(ridges)}: expected penalties of at least 0, such as 1e-6")
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    seed = generator.initial_seed()
    asked = task.replace(Ns=Ns, p=p, labels="every", length=warm_up + n_steps)
    errors, total = _cross_validated(_samples(model, asked, n_trials, warm_up, generator), n_trials, n_folds, ridges)
    best = errors.argmin(dim=0)
    weights = ridge_weights(total, ridges)[best, :, torch.arange(len(Ns), device=best.device)].T
    accuracy = _test_accuracy(model, asked, weights, n_trials, warm_up, generator)
    result = _dataset(accuracy, errors, best, asked, ridges)
    return result.assign_attrs(n_steps=n_steps, warm_up=warm_up, p=p, n_folds=n_folds, seed=str(seed))


def _samples(
    model: Model, task: BinaryMemoryTask, n_trials: int, warm_up: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield states ``[bit, trial, unit]`` of the top layer and labels -1, +1 ``[bit, trial, N]``, block by block."""
    batch = task.sample(n_trials, generator)
    state = model.initial_state(n_trials, generator)
    block = _BLOCK_STEPS * task.repeat
    skipped = warm_up
    for inputs, targets in zip(batch.inputs.split(block), batch.targets.split(block), strict=True):
        trace = run(model, inputs, generator, state=state)
        states, state = trace.states, trace.final
        if not states.sum().isfinite():
            raise InputError("the network diverged: expected finite activity under random bits")
        # The last step of every bit, when the network has seen all of it.
        states, targets = states[task.repeat - 1 :: task.repeat], targets[task.repeat - 1 :: task.repeat]
        top = states[skipped:, :, model.n_units - model.layers[-1].n_units :]
        if len(top):
            yield top, 2 * targets[skipped:] - 1
        skipped = max(skipped - len(states), 0)


def _test_accuracy(
    model: Model, task: BinaryMemoryTask, weights: Tensor, n_trials: int, warm_up: int, generator: torch.Generator
) -> Tensor:
    """Return the accuracy ``[N, trial]`` of read-out weights ``[state + 1, N]`` on fresh trials."""
    right, n_samples = weights.new_zeros(n_trials, weights.shape[1]), 0
    for states, labels in _samples(model, task, n_trials, warm_up, generator):
        said = states.double().cpu() @ weights[:-1] + weights[-1]
        right += ((said > 0) == (labels > 0).cpu()).double().sum(dim=0)
        n_samples += len(states)
    return (right / n_samples).T


def _cross_validated(
    samples: Iterator[tuple[Tensor, Tensor]], n_trials: int, n_folds: int, ridges: Sequence[float]
) -> tuple[Tensor, Sums]:
    """Return the mean squared error ``[ridge, label]`` on the folds left out, and the sums over all samples."""
    fold = torch.arange(n_trials, device="cpu") % n_folds
    sums: list[Sums] = []
    for states, labels in samples:
        sums = sums or [Sums.zeros(states.shape[-1], labels.shape[-1]) for _ in range(n_folds)]
        for k, own in enumerate(sums):
            own.add(states[:, fold == k].flatten(0, 1), labels[:, fold == k].flatten(0, 1))
    total = sum(sums[1:], sums[0])
    errors = torch.stack([own.squared_error(ridge_weights(total - own, ridges)) for own in sums]).sum(dim=0)
    return errors / total.gram[-1, -1], total


def _dataset(
    accuracy: Tensor, errors: Tensor, best: Tensor, task: BinaryMemoryTask, ridges: Sequence[float]
) -> xr.Dataset:
    share, of_variance = {"units": "fraction of answers"}, {"units": "mean variance of the states"}
    return xr.Dataset(
        {
            "accuracy": (
                ("N", "trial"), accuracy.numpy(), {"long_name": "accuracy of a fresh read-out", **share}
            ),
            "chosen_ridge": ("N", np.asarray(ridges)[best.numpy()], {"long_name": "chosen penalty", **of_variance}),
            "error": (
                ("N", "ridge"), errors.T.numpy(), {"long_name": "cross-validated mean squared error", "units": "1"}
            ),
            "chance": ("N", [task.chance(N) for N in task.Ns], {"long_name": "chance level", **share}),
        },
        coords={
            "N": list(task.Ns),
            "trial": np.arange(accuracy.shape[1]),
            "ridge": ("ridge", list(ridges), of_variance),
        },
    )  # fmt: skip
