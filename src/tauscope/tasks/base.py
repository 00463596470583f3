"""What a task is: a source of batches, a loss, a score, and what it says of itself; and how a stage asks it."""

from __future__ import annotations

import abc
import copy
import functools
import inspect
import itertools
import numbers
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from tauscope._lazy import torch
from tauscope.errors import InputError, nearest, require_file_name, require_instance

if TYPE_CHECKING:
    from torch import Tensor

METRICS: dict[str, Literal["more", "less"]] = {
    "accuracy": "more",
    "bpc": "less",
    "error": "less",
    "fractional_loss": "less",
    "relative_error": "less",
    "return": "more",
    "score": "more",
}
"""What a score can be, by the names that `Task.metric` takes and records are kept under, and which of two is better."""

OUT = "out"
"""Name of the head of a network or a task that has only one."""


@dataclass(frozen=True)
class Stage:
    """What a curriculum asks of a network at a time.

    Attributes
    ----------
    name : str
        Of the stage, and of the checkpoint that keeps a network which has learnt it: ``rnn_{name}``.
    ask : dict
        Fields of the task that have other values in this stage; under the name ``task`` another task.
    heads : tuple of str
        The network's heads that answer, one for each head of the task, in its order.

    Examples
    --------
    >>> Stage("horizon20", {"horizon": 20}).heads
    ('out',)
    """

    name: str
    ask: Mapping[str, Any] = field(default_factory=dict)
    heads: tuple[str, ...] = (OUT,)

    def __post_init__(self) -> None:
        require_instance("the name of a stage", self.name, str, "a text, such as 'N2_N3'")
        require_file_name("stage", self.name)
        require_instance(
            f"what stage {self.name} asks", self.ask, Mapping, "fields of the task, such as {'Ns': (2, 3)}"
        )
        require_instance(f"heads of stage {self.name}", self.heads, Iterable, "names, such as ('N2', 'N3')")
        heads = (self.heads,) if isinstance(self.heads, str) else tuple(self.heads)
        for head in heads:
            require_instance(f"a head of stage {self.name}", head, str, "a name, such as 'N2'")
        object.__setattr__(self, "heads", heads)


@dataclass(frozen=True)
class Head:
    """One question of a task.

    Attributes
    ----------
    n_outputs : int
        Outputs that answer it.
    chance : float
        Score of the best answer that ignores the input.
    optimum : float
        Score of the best answer.
    """

    n_outputs: int
    chance: float
    optimum: float


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


class Task(abc.ABC):
    """A memory task: batches, with one question for each head, a loss and a score."""

    source: ClassVar[str]
    metric: ClassVar[str] = "score"
    """What a score is, as records and figures name it: a key of `METRICS`."""
    unit: ClassVar[str] = "1"
    """Of the score, such as ``"m"``; ``"1"`` for a number without one."""
    n_inputs: ClassVar[int] = 1

    @property
    @abc.abstractmethod
    def heads(self) -> Mapping[str, Head]:
        """The questions that are asked, by name, in the order of targets and scores."""

    @property
    def question(self) -> str:
        """What is asked, in a line."""
        return (inspect.getdoc(type(self)) or type(self).__name__).splitlines()[0]

    def replace(self, **values: Any) -> Self:
        """Return a copy of the task in which some fields have other values.

        Raises
        ------
        InputError
            If the task has no such field, or does not take that value.
        """
        twin = copy.copy(self)
        known = fields_of(self)
        for name, value in values.items():
            if name not in known:
                raise InputError(f"{type(self).__name__} has no field {name!r}: {nearest(name, known)}")
            # Tasks are frozen; this copy is nobody else's yet.
            object.__setattr__(twin, name, value)
        # It may be derived from another value now.
        for name in _members(type(self))[2]:
            vars(twin).pop(name, None)
        # What a dataclass requires of its fields.
        finish = getattr(twin, "__post_init__", lambda: None)
        if lost := ", ".join(inspect.signature(finish).parameters):
            raise InputError(
                f"{type(self).__name__}.__post_init__ takes {lost}, which is not kept: expected a field in the place of an InitVar"
            )
        finish()
        return twin

    def settled(self) -> Task:
        """Return the task with all that its fields leave open filled in, such as the hash of a file that it reads.

        A run writes it down so, and refuses to go on with another one.
        """
        return self

    def at(self, stage: Stage) -> Task:
        """Return the task as a stage asks it; this one is not changed."""
        ask = dict(stage.ask)
        task = ask.pop("task", self)
        require_instance(f"the task of stage {stage.name}", task, Task, "a task, such as ts.Parity()")
        return cast(Task, task).replace(**ask)

    @abc.abstractmethod
    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw a batch.

        Parameters
        ----------
        batch_size : int
            Number of trials.
        generator : torch.Generator
            Source of all random numbers; the batch lies on its device.
        split : str
            ``"train"``, ``"valid"`` or ``"test"``; a task that draws every trial anew has no use for it.

        Returns
        -------
        Batch
            Trials, with the shapes that `Batch` says.
        """

    @abc.abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the loss of every head, ``[head]``, for ``outputs [answer, batch, head, output]``."""

    @abc.abstractmethod
    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return two sums over answers and trials, ``[head]`` each.

        A score over any number of batches is the ratio of the added sums (`of_sums`), which is not the mean of the batches' ratios.
        """

    def of_sums(self, part: Tensor, whole: Tensor) -> Tensor:
        """Return the score that the two added sums of `tally` make: their ratio, unless a task says else."""
        return part / whole

    def score(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the score of every head on one batch, ``[head]``."""
        return self.of_sums(*self.tally(outputs, batch))


def fields_of(task: Task) -> list[str]:
    """Return the names of what a task holds: its fields, those of slots, and properties that can be set.

    Examples
    --------
    >>> from tauscope.tasks import Parity
    >>> fields_of(Parity())[:2]
    ['Ns', 'p']
    """
    held, (slots, settable, derived) = getattr(task, "__dict__", {}), _members(type(task))
    slots = [name for name in slots if hasattr(task, name)]
    return [name for name in dict.fromkeys([*held, *slots, *settable]) if name not in derived]


@functools.cache
def _members(kind: type) -> tuple[list[str], list[str], list[str]]:
    """Return the names of a class's slots, of its properties that can be set, and of what it derives once and keeps."""
    slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    members = inspect.getmembers_static(kind)
    settable = [name for name, value in members if getattr(value, "fset", None) is not None]
    return slots, settable, [name for name, value in members if isinstance(value, functools.cached_property)]


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Average ``values [answer, batch, head]`` over answers and batch.

    Parameters
    ----------
    values : Tensor [answer, batch, head]
        What is averaged.
    weight : Tensor broadcastable to ``values``, or None
        Weights, none negative.

    Returns
    -------
    Tensor [head]
        The weighted mean of every head; 0 of a head that is not asked, as in a window before its first answer.

    Examples
    --------
    >>> weighted_mean(torch.tensor([[[1.0, 5.0]], [[3.0, 5.0]]]), torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]]]))
    tensor([3., 0.])
    """
    if weight is None:
        return values.mean(dim=(0, 1))
    part, whole = weighted_sums(values, weight)
    return part / torch.where(whole > 0, whole, 1.0)


def weighted_sums(values: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the sums over answers and batch of ``values [answer, batch, head]`` with their weights, and of the weights.

    Examples
    --------
    >>> weighted_sums(torch.tensor([[[1.0]], [[3.0]]]), torch.tensor([[[0.0]], [[2.0]]]))
    (tensor([6.]), tensor([2.]))
    """
    weight = torch.ones_like(values) if weight is None else weight.expand_as(values)
    return (values * weight).sum(dim=(0, 1)), weight.sum(dim=(0, 1))


class ClassificationTask(Task):
    """A task whose answers are classes: cross-entropy, scored by accuracy."""

    metric: ClassVar[str] = "accuracy"

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the softmax cross-entropy of every head, averaged over answers and batch.

        Parameters
        ----------
        outputs : Tensor [answer, batch, head, class]
            Logits.
        batch : Batch
            The batch they answer.

        Returns
        -------
        Tensor [head]
            Loss in nats.
        """
        errors = torch.nn.functional.cross_entropy(outputs.flatten(0, -2), batch.targets.flatten(), reduction="none")
        return weighted_mean(errors.view(batch.targets.shape), batch.weight)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return how many answers of every head are right, and of how many, ``[head]`` each; both weighted."""
        right = (outputs.argmax(dim=-1) == batch.targets).to(outputs.dtype)
        return weighted_sums(right, batch.weight)


def require_fields(task: Any) -> None:
    """Raise an `InputError` unless every field of a task is a number, a whole number, a truth value or a text where it says so.

    Examples
    --------
    >>> from tauscope.tasks import Tracking
    >>> Tracking(dt="fast")
    Traceback (most recent call last):
    tauscope.errors.InputError: dt is of type str: expected a number
    """
    kinds: dict[object, tuple[type | tuple[type, ...], str]] = {
        "float": (numbers.Real, "a number"),
        "int": (numbers.Integral, "a whole number"),
        "bool": (bool, "True or False"),
        "str": (str, "a text"),
    }
    for entry in fields(task):
        if entry.type in kinds:
            require_instance(entry.name, getattr(task, entry.name), *kinds[entry.type])


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
