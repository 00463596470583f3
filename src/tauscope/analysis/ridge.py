"""Linear read-outs by least squares with a penalty, of states that stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.errors import InputError, NotApplicableError, require_count
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.models.weights import masked_copy
from tauscope.tasks.base import ClassificationTask, Task

RIDGES = (1e-6, 1e-5, 1e-4, 1e-3)
"""Penalties that are tried, in units of the mean variance of the states."""


@dataclass(frozen=True)
class Sums:
    """Sums over samples, with a 1 behind the states: what least squares needs to know of them.

    Attributes
    ----------
    gram : Tensor [state + 1, state + 1]
    overlap : Tensor [state + 1, label]
    energy : Tensor [label]
    """

    gram: Tensor
    overlap: Tensor
    energy: Tensor

    @classmethod
    def zeros(cls, n_states: int, n_labels: int) -> Sums:
        """Return the sums over no samples."""
        size = n_states + 1
        zeros = torch.zeros(size, size + n_labels, dtype=torch.float64, device="cpu")
        return cls(zeros[:, :size].clone(), zeros[:, size:].clone(), zeros[0, size:].clone())

    def add(self, states: Tensor, labels: Tensor) -> None:
        """Add samples ``states [sample, state]`` with ``labels [sample, label]``."""
        x = torch.cat([states, states.new_ones(len(states), 1)], dim=1).double().cpu()
        y = labels.double().cpu()
        self.gram.addmm_(x.T, x)
        self.overlap.addmm_(x.T, y)
        self.energy.add_(y.square().sum(dim=0))

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.gram + other.gram, self.overlap + other.overlap, self.energy + other.energy)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.gram - other.gram, self.overlap - other.overlap, self.energy - other.energy)

    def squared_error(self, weights: Tensor) -> Tensor:
        """Return the sum of squared errors ``[ridge, label]`` of ``weights [ridge, state + 1, label]``."""
        cross = (weights * self.overlap).sum(dim=1)
        return self.energy - 2 * cross + (weights * (self.gram @ weights)).sum(dim=1)


def ridge_weights(sums: Sums, ridges: Sequence[float]) -> Tensor:
    """Solve ridge regression for several penalties at once, from one eigendecomposition.

    Parameters
    ----------
    sums : Sums
        Of the samples.
    ridges : sequence of float
        Penalties, in units of the mean variance of the states.

    Returns
    -------
    Tensor [ridge, state + 1, label]
        Weights, the intercept last.

    Examples
    --------
    >>> sums = Sums.zeros(1, 1)
    >>> sums.add(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [3.0], [5.0]]))
    >>> ridge_weights(sums, [0.0]).flatten().round(decimals=6)
    tensor([2., 1.], dtype=torch.float64)
    """
    n = sums.gram[-1, -1]
    mean, label_mean = sums.gram[-1, :-1] / n, sums.overlap[-1] / n
    covariance = sums.gram[:-1, :-1] / n - torch.outer(mean, mean)
    overlap = sums.overlap[:-1] / n - torch.outer(mean, label_mean)
    values, vectors = torch.linalg.eigh(covariance)
    penalties = values.new_tensor(ridges)[:, None] * values.mean()
    # Directions without variance have no weight, whatever the penalty.
    resolved = values > values[-1] * len(values) * torch.finfo(torch.float64).eps
    gain = torch.where(resolved, 1 / torch.where(resolved, values + penalties, 1.0), 0.0)
    weights = vectors @ (gain[:, :, None] * (vectors.T @ overlap))
    return torch.cat([weights, (label_mean - mean @ weights)[:, None]], dim=1)


@checked
@torch.no_grad()
def fit_readout(
    model: Model,
    task: Task,
    *,
    n_trials: int = 64,
    ridges: Sequence[float] = RIDGES,
    generator: torch.Generator | None = None,
) -> Model:
    """Return a network whose heads were fitted to a task by least squares, everything else as it was: no gradient is taken.

    Parameters
    ----------
    model : Model
        The network, with heads of the names that the task's have, run with its private noise where it has any.
    task : Task
        What is asked: classes, or numbers for each output.
    n_trials : int
        Trials of the split ``"train"`` that are fitted, and as many of ``"valid"`` by which the penalty of each head is chosen.
    ridges : sequence of float
        Penalties to choose from, in units of the mean variance of the states.
    generator : torch.Generator, optional
        Source of trials, initial states and noise; seeded with 0 if not given.

    Returns
    -------
    Model
        A network of its own.

    Raises
    ------
    NotApplicableError
        If heads have no bias, which is the intercept, or several names share one head of a task of several.
    InputError
        If a penalty is below 0, the states are not finite, or the network has no such heads.

    Notes
    -----
    The penalty is ridge · n · v · ‖w‖², with n the number of samples and v the mean variance of the states; the intercept is free.
    Classes are coded by 1 and 0. Answers of weight 0 do not count; other weights are not looked at.

    Examples
    --------
    >>> import tauscope as ts
    >>> task = ts.tasks.Series(n_steps=100)
    >>> model = ts.Model(
    ...     [ts.models.LIFCell(1, 40, torch.Generator().manual_seed(0))],
    ...     ts.Heads(40, ["out"], 3, False, torch.Generator().manual_seed(1)),
    ... )
    >>> fitted = fit_readout(model, task)
    >>> batch = task.sample(8, torch.Generator().manual_seed(2), split="test")
    >>> trace = ts.run(fitted, batch, torch.Generator().manual_seed(3), heads=["out"], first=100 - len(batch.targets))
    >>> bool(task.score(trace.outputs, batch) < 0.8)
    True
    """
    require_count("number of trials", n_trials)
    if not len(ridges) or not all(ridge >= 0 for ridge in ridges):
        raise InputError(f"ridges are {list(ridges)}: expected penalties of at least 0, such as 1e-6")
    generator, names = generator_for(model, generator), list(task.heads)
    twin = masked_copy(model)
    heads = twin.heads.asked(names)
    if len({id(head) for head in heads}) < len(heads) or any(head.bias is None for head in heads):
        raise NotApplicableError(
            "heads without biases, or one head for several questions, cannot be fitted: expected others"
        )
    found = [_samples(twin, task, n_trials, split, generator) for split in ("train", "valid")]
    for i, head in enumerate(heads):
        sums = []
        for states, labels, counted in found:
            own = Sums.zeros(states.shape[-1], labels.shape[-1])
            own.add(states[counted[..., i]], labels[:, :, i][counted[..., i]])
            sums.append(own)
        weights = ridge_weights(sums[0], ridges)
        best = weights[sums[1].squared_error(weights).sum(dim=1).argmin()]
        head.weight.copy_(best[:-1].T)
        head.bias.copy_(best[-1])
    return twin


def _samples(
    model: Model, task: Task, n_trials: int, split: str, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return states ``[answer, trial, unit]``, labels ``[answer, trial, head, output]`` and which count ``[answer, trial, head]``."""
    batch = task.sample(n_trials, generator, split)
    first = len(batch.inputs) - len(batch.targets)
    states = run(model, batch, generator, first=first).states[..., model.n_units - model.layers[-1].n_units :]
    if not states.isfinite().all():
        raise InputError("the states are not finite: expected a network that stays bounded on its task")
    labels, counted = batch.targets, torch.ones(batch.targets.shape[:3], dtype=torch.bool, device=states.device)
    if isinstance(task, ClassificationTask):
        n_classes = next(iter(task.heads.values())).n_outputs
        labels = torch.nn.functional.one_hot(labels.long(), n_classes)
    if batch.weight is not None:
        weight = batch.weight.expand_as(batch.targets)
        counted = (weight if weight.dim() == 3 else weight.amax(dim=-1)) > 0
    return states, labels.to(states.dtype), counted
