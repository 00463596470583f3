"""What is added to a loss to keep a network's activity or its weights small, and which states that concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from tauscope.tasks.base import Batch

LAST_STEPS = 5
"""Steps at the end of a trial whose activity is penalised, as published."""


def ending(states: Tensor, n_steps: int) -> Tensor:
    """Return the last steps of a sequence; of one that is no longer, itself, which spares its gradient a copy.

    Examples
    --------
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
    >>> batch = Batch(torch.zeros(4, 1, 1), torch.zeros(2, 1, 1, 1))
    >>> answer_penalty(torch.full((4, 1, 3), 2.0), batch)
    tensor(6.)
    """
    squares = ending(states, len(batch.targets)).square()
    return squares.sum() / (squares.shape[1] * len(batch.inputs) * batch.targets.shape[-1])


ACTIVITY: dict[str, Callable[[Tensor, Batch], Tensor]] = {
    "end": lambda states, _: activity_penalty(states),
    "answers": answer_penalty,
}
"""What `Recipe.activity_cost` is multiplied with, by the names of the states that `Recipe.activity` takes."""


def weight_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """Return the sum of the squares of all parameters.

    Orhan & Ma (2019) add ρ times it, biases included and without a factor 1/2: its gradient is that of a
    ``weight_decay`` of 2ρ in `torch.optim.Adam`.

    Parameters
    ----------
    parameters : iterable of Tensor
        What is trained.

    Returns
    -------
    Tensor []
        The penalty.

    Examples
    --------
    >>> weight_penalty([torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])])
    tensor(14.)
    """
    return torch.stack([parameter.square().sum() for parameter in parameters]).sum()
