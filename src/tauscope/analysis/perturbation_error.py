"""How far a network can be moved before it forgets: the error after perturbations of a given size, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn

from tauscope.analysis.checked import checked
from tauscope.analysis.transforms import PARTS, SPACES, perturb, perturbed_weights, trained_in_place
from tauscope.errors import InputError, require_at_least, require_at_most, require_choice, require_count
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.models.weights import masked_copy, sharing_copy
from tauscope.tasks.base import METRICS, Batch, Task

BETAS = (0.0, *(1e-3 * 2 ** (i / 2) for i in range(21)))
"""Sizes of the perturbations of Wang, Li & Li (ICLR 2024)."""

MOST = 1_000_000
"""Draws, trials, or steps that can be asked for: more would take days."""

TOLERANCE = 0.1
"""By how much an error may rise: a tenth of that of answering 0, or a tenth of all answers."""


@checked
@torch.no_grad()
def perturbation_error(
    model: Model,
    task: Task,
    *,
    parts: Sequence[str] | None = None,
    sizes: Sequence[float] = BETAS,
    n_draws: int = 10,
    n_trials: int = 200,
    space: str = "raw",
    tolerance: float = TOLERANCE,
    worst_steps: int = 0,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the largest error of a network whose parameters were moved at random by at most β, against β.

    Parameters
    ----------
    model : Model
        The network; it is not changed.
    task : Task
        What is asked. The error is the score, where less is better, and otherwise how far it is below the optimum: 1 - accuracy.
    parts : sequence of str, optional
        Blocks that are perturbed, each alone, as in `perturb`; by default ``"all"`` and every block that the network has.
    sizes : sequence of float
        The largest change of a number in each tensor; 0 is always among them.
    n_draws : int
        Random perturbations of each size; 30 as published.
    n_trials : int
        Trials, the same for all perturbations.
    space : {"raw", "tau"}
        Whether what is trained in the place of timescales is moved, as published, or timescales themselves.
    tolerance : float
        Rise of the error up to which a perturbation counts as borne.
    worst_steps : int
        If not 0, steps of an ascent along the sign of the gradient within the same bounds: random draws are a lower bound of what
        can happen, this is a better one.
    generator : torch.Generator, optional
        Source of trials, initial states and perturbations; seeded with 0 if not given.

    Returns
    -------
    Dataset [part, beta]
        ``error``, the largest of all draws of this size and smaller ones; ``mean_error`` over draws of this size; where there are
        timescales ``tau_change``, the largest ``|τ' / τ - 1|``; with ``worst_steps``, ``worst_error``; and ``beta_star [part]``, the largest size
        at which the error is at most E(0) + ``tolerance``.

    Raises
    ------
    InputError
        If there is no such part, or an option is out of range.

    Notes
    -----
    A memory is stable if E(β) stays finite and goes to E(0) as β → 0, however large the network. Source: Wang, Li & Li, ICLR 2024
    (arXiv 2305.19190), and published code.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = perturbation_error(model, ts.Parity([2], length=9), parts=["tau"], sizes=[0.1, 1], n_draws=2, n_trials=20)
    >>> dict(result.error.sizes), bool((result.error.diff("beta") >= 0).all())
    ({'part': 1, 'beta': 3}, True)
    """
    _require_counts(n_draws, n_trials, worst_steps)
    require_at_least("tolerance", tolerance, 0.0)
    require_choice("space", space, SPACES)
    if worst_steps and space != "raw":
        raise InputError(
            f"worst_steps is {worst_steps} with space {space!r}: expected space 'raw', in which gradients are"
        )
    betas = _betas(sizes)
    model = _answering(model, list(task.heads))
    chosen = _parts(model, parts)
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    trials = _Trials(task, task.sample(n_trials, generator), seed)
    perturbations = _Perturbations(n_draws, space, worst_steps, generator)
    found = [perturbations.of(model, part, betas, trials) for part in chosen]
    errors, changes, worst = (np.stack(values) for values in zip(*found, strict=True))
    largest = np.maximum.accumulate(errors.max(axis=2), axis=1)
    borne = _borne(largest, np.array(betas), tolerance)
    what, dims = {"units": task.metric.replace("_", " ")}, ("part", "beta")
    result = xr.Dataset(
        {
            "error": (dims, largest, {"long_name": "largest error", **what}),
            "mean_error": (dims, errors.mean(axis=2), {"long_name": "mean error", **what}),
            "beta_star": ("part", borne, {"long_name": "largest perturbation that is borne", "units": "1"}),
        },
        coords={"part": chosen, "beta": ("beta", betas, {"long_name": "size of the perturbation", "units": "1"})},
        attrs={"n_draws": n_draws, "n_trials": n_trials, "space": space, "tolerance": tolerance, "seed": str(seed)},
    )
    if model.tau is not None:
        told = {"long_name": "largest relative change of a timescale", "units": "1"}
        result["tau_change"] = (dims, changes.max(axis=2), told)
    if worst_steps:
        at_worst = np.maximum(np.maximum.accumulate(worst, axis=1), largest)
        result["worst_error"] = (dims, at_worst, {"long_name": "worst error", **what})
    return result


def _borne(largest: NDArray[np.float64], betas: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return the largest β of every part whose error is at most E(0) + tolerance."""
    n = ((largest <= largest[:, :1] + tolerance) & np.isfinite(largest)).sum(axis=1)
    # A network that diverges as it is bears nothing.
    return np.where(n > 0, betas[n - 1], np.nan)


def _require_counts(n_draws: int, n_trials: int, worst_steps: int) -> None:
    counts = (("number of draws", n_draws, 1), ("number of trials", n_trials, 1), ("worst_steps", worst_steps, 0))
    for name, value, least in counts:
        require_count(name, value, least)
        require_at_most(name, value, MOST)


@dataclass(frozen=True)
class _Perturbations:
    """How a part of a network is moved: at random, and by an ascent of its loss."""

    n_draws: int
    space: str
    worst_steps: int
    generator: torch.Generator

    def of(
        self, model: Model, part: str, betas: Sequence[float], trials: _Trials
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return errors and changes of timescales ``[beta, draw]``, and the error at the end of an ascent ``[beta]``."""
        start = trials.error(model)
        errors, worst = np.full((len(betas), self.n_draws), start), np.full(len(betas), start)
        changes = np.zeros_like(errors)
        for j, beta in enumerate(betas[1:], start=1):
            for draw in range(self.n_draws):
                moved = perturb(model, part, beta, self.generator, norm="largest", space=self.space)
                errors[j, draw], changes[j, draw] = trials.error(moved), _tau_change(model, moved)
            if self.worst_steps:
                worst[j] = trials.error(_ascended(model, part, beta, trials.loss, self.worst_steps))
        return errors, changes, worst


class _Trials:
    """The trials, initial states and noise that all variants of a network are given."""

    def __init__(self, task: Task, batch: Batch, seed: int) -> None:
        self.task, self.batch, self.seed = task, batch, seed

    def outputs(self, model: Model) -> Tensor:
        own = generator_for(model, None).manual_seed(self.seed)
        first = len(self.batch.inputs) - len(self.batch.targets)
        return run(model, self.batch, own, heads=list(self.task.heads), first=first).outputs

    def loss(self, model: Model) -> Tensor:
        return self.task.loss(self.outputs(model), self.batch).sum()

    def error(self, model: Model) -> float:
        """Return the mean error over heads; infinite where a network diverges."""
        outputs = self.outputs(model)
        if not outputs.isfinite().all():
            # The largest of what is no number would be an answer.
            return math.inf
        part, whole = self.task.tally(outputs, self.batch)
        score = (part / whole).double().cpu().numpy()
        if METRICS[self.task.metric] == "more":
            score = np.array([head.optimum for head in self.task.heads.values()]) - score
        return float(np.nan_to_num(score, nan=np.inf, posinf=np.inf).mean())


def _answering(model: Model, names: list[str]) -> Model:
    """Return a network that shares all parameters but has only the heads of these names."""
    twin, heads = sharing_copy(model), sharing_copy(model.heads)
    heads.linears = nn.ModuleList(dict.fromkeys(model.heads.asked(names)))
    heads.names = heads.names if heads.shared else tuple(names)
    twin.heads = heads
    return twin


def _parts(model: Model, asked: Sequence[str] | None) -> list[str]:
    if asked is not None:
        for part in asked:
            require_choice("part", part, PARTS)
            perturbed_weights(model, part)
        if not asked:
            raise InputError(f"no parts are perturbed: expected one or more of {', '.join(PARTS)}")
        return list(dict.fromkeys(asked))
    found = []
    for part in ("all", "tau", "recurrent", "input", "bias", "readout"):
        try:
            found += [part] if perturbed_weights(model, part) else []
        except InputError:
            continue
    return found


def _betas(sizes: Sequence[float]) -> list[float]:
    """Return sizes of perturbations in their order, with 0 among them."""
    for size in sizes:
        require_at_least("size of a perturbation", size, 0.0)
        if not np.isfinite(size):
            raise InputError(f"size of a perturbation is {size}: expected a finite number, such as 0.1")
    return sorted({0.0, *map(float, sizes)})


def _tau_change(model: Model, moved: Model) -> float:
    """Return the largest relative change of a timescale; infinite where a memory does not decay any more."""
    before, after = model.tau, moved.tau
    if before is None or after is None:
        return 0.0
    change = torch.where(after > 0, (after / before - 1).abs(), torch.inf)
    return float(change.nan_to_num(nan=torch.inf, posinf=torch.inf).max())


def _ascended(model: Model, part: str, beta: float, loss: Callable[[Model], Tensor], n_steps: int) -> Model:
    """Return a network moved uphill: by steps along the sign of the loss's gradient, no number further than β."""
    twin = masked_copy(model)
    chosen = list(dict.fromkeys(kept for weight in perturbed_weights(twin, part) for kept in trained_in_place(weight)))
    start = [kept.detach().clone() for kept in chosen]
    for kept in chosen:
        kept.requires_grad_()
    for _ in range(n_steps):
        with torch.enable_grad():
            gradients = torch.autograd.grad(loss(twin), chosen, allow_unused=True)
        for kept, gradient, origin in zip(chosen, gradients, start, strict=True):
            if gradient is not None:
                kept.add_(2 * beta / n_steps * gradient.nan_to_num().sign())
                kept.copy_(torch.minimum(torch.maximum(kept, origin - beta), origin + beta))
    return twin
