"""What a task is: a source of batches, a loss, a score, and what it says of itself."""

from __future__ import annotations

import abc
import inspect
import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tauscope._lazy import torch
from tauscope.errors import InputError
from tauscope.learning.objectives import activity_penalty

if TYPE_CHECKING:
    from torch import Tensor

METRICS = ("accuracy", "fractional_loss", "relative_error", "score")
"""What a score can be, by the names that `Task.metric` takes and records are kept under."""


@dataclass(frozen=True)
class Batch:
    """One batch of trials of equal length.

    Attributes
    ----------
    inputs : Tensor [time, batch, channel]
        What the network is shown, one row a time step.
    targets : Tensor [answer, batch, head]
        What it should say at the last ``answer`` steps (1 where only the last step is asked).
    weight : Tensor broadcastable to ``targets``, optional
        Loss mask or time weights; ``None`` weighs every answer equally.
    hold : Tensor [time, batch] of bool, optional
        Steps at which the state is held (variable delays).
    start : Tensor [batch, code], optional
        What the initial states are made of, for networks with a ``start``.
    info : dict
        What an ideal observer of the task knows.
    """

    inputs: Tensor
    targets: Tensor
    weight: Tensor | None = None
    hold: Tensor | None = None
    start: Tensor | None = None
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task(abc.ABC):
    """A memory task with one read-out head for each memory demand N.

    Attributes
    ----------
    Ns : sequence of int
        The memory demands that are asked at once, ascending; each is the label of its head.
    """

    Ns: Sequence[int]

    source: ClassVar[str]
    optimum: ClassVar[float]
    metric: ClassVar[str] = "score"
    """What `score` is, as records and figures name it."""
    n_inputs: ClassVar[int] = 1
    n_outputs: ClassVar[int] = 2

    @property
    def question(self) -> str:
        """What is asked, in a line."""
        return (inspect.getdoc(type(self)) or type(self).__name__).splitlines()[0]

    @abc.abstractmethod
    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw a batch on the generator's device, from that generator alone."""

    @abc.abstractmethod
    def chance(self, N: int) -> float:
        """Return the score of the best answer that ignores the input."""

    @abc.abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the scalar loss of ``outputs [answer, batch, head, output]``, summed over heads."""

    @abc.abstractmethod
    def score(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the score of every head, ``[head]``."""

    def activity(self, states: Tensor) -> Tensor:
        """Return what `Recipe.activity_cost` is multiplied with, ``[]``, a mean over trials.

        Parameters
        ----------
        states : Tensor [time, batch, unit]
            Activity, at least of the steps that are asked and of the last five.
        """
        return activity_penalty(states)


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Average ``values [answer, batch, head]`` over answers and batch.

    Parameters
    ----------
    values : Tensor [answer, batch, head]
        What is averaged.
    weight : Tensor broadcastable to ``values``, or None
        Weights; their sum must be positive for every head.

    Returns
    -------
    Tensor [head]
        The weighted mean of every head.

    Examples
    --------
    >>> weighted_mean(torch.tensor([[[1.0]], [[3.0]]]), torch.tensor([[[0.0]], [[1.0]]]))
    tensor([3.])
    """
    if weight is None:
        return values.mean(dim=(0, 1))
    weight = weight.expand_as(values)
    return (values * weight).sum(dim=(0, 1)) / weight.sum(dim=(0, 1))


class ClassificationTask(Task):
    """A task whose answers are classes: cross-entropy summed over heads, scored by accuracy."""

    metric: ClassVar[str] = "accuracy"

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the softmax cross-entropy, averaged over answers and batch, summed over heads.

        Parameters
        ----------
        outputs : Tensor [answer, batch, head, class]
            Logits.
        batch : Batch
            The batch they answer.

        Returns
        -------
        Tensor []
            Loss in nats.
        """
        errors = torch.nn.functional.cross_entropy(outputs.flatten(0, -2), batch.targets.flatten(), reduction="none")
        return weighted_mean(errors.view(batch.targets.shape), batch.weight).sum()

    def score(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the fraction of right answers of every head, ``[head]``."""
        right = (outputs.argmax(dim=-1) == batch.targets).to(outputs.dtype)
        return weighted_mean(right, batch.weight)


def validate_Ns(Ns: Any) -> tuple[int, ...]:
    """Return memory demands as an ascending tuple of integers of at least 1, or refuse them.

    Parameters
    ----------
    Ns : int or iterable of int
        Memory demands.

    Returns
    -------
    tuple of int
        The demands.

    Raises
    ------
    InputError
        If there is none, or they are not distinct ascending integers of at least 1.

    Examples
    --------
    >>> validate_Ns([2, 3])
    (2, 3)
    """
    try:
        demands = tuple(operator.index(N) for N in (Ns if isinstance(Ns, Iterable) else [Ns]))
    except TypeError:
        demands = ()
    if not demands or demands[0] < 1 or any(b <= a for a, b in itertools.pairwise(demands)):
        raise InputError(f"Ns {Ns} cannot be asked: expected ascending integers from 1, such as [2, 3]")
    return demands
