"""What is added to a loss: penalties of what a network did, such as its activity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from tauscope.models import Model, Trace
    from tauscope.tasks.base import Batch

LAST_STEPS = 5
"""Steps at the end of a trial whose activity is penalised, as published."""


def ending(states: Tensor, n_steps: int) -> Tensor:
    """Return the last steps of a sequence; of one that is no longer, itself, which spares its gradient a copy.

    Examples
    --------
    >>> import torch
    >>> ending(torch.arange(4), 3)
    tensor([1, 2, 3])
    """
    return states if len(states) <= n_steps else states[-n_steps:]


def activity_penalty(states: Tensor) -> Tensor:
    """Return the mean squared activity of the last five steps.

    Orhan & Ma (Nature Neuroscience 22, 275, 2019) add 1e-4 times it, and 1e-1 times it in the tethered condition,
    which brings activity back to zero at the end of a trial.

    Parameters
    ----------
    states : Tensor [time, batch, unit]
        Activity.

    Returns
    -------
    Tensor []
        The penalty.

    Examples
    --------
    >>> import torch
    >>> activity_penalty(torch.cat([torch.full((3, 2, 4), 9.0), torch.full((5, 2, 4), 2.0)]))
    tensor(4.)
    """
    return ending(states, LAST_STEPS).square().mean()


def answer_penalty(states: Tensor, batch: Batch) -> Tensor:
    """Return Σ x² / (B T S) over the steps of B trials of T steps that are asked for S outputs.

    Engelken & Goedeke (NeurIPS 2022, published code) add 1e-4 times it.

    Parameters
    ----------
    states : Tensor [time, batch, unit]
        Activity x, at least of the steps that are asked; trials end with them.
    batch : Batch
        The trials.

    Returns
    -------
    Tensor []
        The penalty.

    Examples
    --------
    >>> import torch
    >>> from tauscope.tasks.base import Batch
    >>> batch = Batch(torch.zeros(4, 1, 1), torch.zeros(2, 1, 1, 1))
    >>> answer_penalty(torch.full((4, 1, 3), 2.0), batch)
    tensor(6.)
    """
    squares = ending(states, len(batch.targets)).square()
    return squares.sum() / (squares.shape[1] * len(batch.inputs) * batch.targets.shape[-1])


Measure = Callable[["Trace", "Batch", "Model"], "Tensor"]


@dataclass(frozen=True)
class Term:
    """A penalty that is added to the loss: a factor times a number that trials, states and weights give.

    Attributes
    ----------
    cost : float
        The factor.
    measure : callable
        ``measure(trace, batch, model)`` returns a Tensor [] of what a network did in a batch of trials.
    n_steps : int, optional
        Steps at the end of a trial that the trace must have, beyond those that are asked: all if not given, which costs
        a matrix of gradients for each.

    Examples
    --------
    >>> Term(1e-3, lambda trace, batch, model: trace.states.abs().mean()).cost
    0.001
    """

    cost: float
    measure: Measure
    n_steps: int | None = None


ACTIVITY: dict[str, tuple[Measure, int]] = {
    "end": (lambda trace, *_: activity_penalty(trace.states), LAST_STEPS),
    "answers": (lambda trace, batch, _: answer_penalty(trace.states, batch), LAST_STEPS),
}
"""What `Recipe.activity_cost` is multiplied with and the steps that it looks at, by the names that `Recipe.activity` takes."""
