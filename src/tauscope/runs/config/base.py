"""What every kind of run has: options with their flags, a folder's name, and what they are made into."""

from __future__ import annotations

import abc
import math
import numbers
import sys
import types
import typing
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from tauscope.errors import InputError, nearest, require_choice
from tauscope.learning.curricula import Curriculum
from tauscope.learning.recipe import Recipe
from tauscope.tasks import Task

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model

Own = TypeVar("Own", bound="Config")


def option(default: Any, help: str, short: str | None = None, choices: Any = None, group: str = "task") -> Any:
    """Return a field of a configuration, which is a flag of ``tauscope train`` too.

    Parameters
    ----------
    default : object
        Its value unless another is given.
    help : str
        What it is, for ``--help`` and for the report.
    short : str, optional
        A second name of the flag, without its first dash.
    choices : sequence of str, optional
        The values it can have.
    group : str
        Heading under which ``--help`` lists it.
    """
    return field(default=default, metadata={"help": help, "short": short, "choices": choices, "group": group})


@dataclass(frozen=True)
class Config(abc.ABC):
    """The options that define a run; two runs with the same ones have the same numbers.

    Every kind has at least the fields that are declared here.
    """

    task: str
    network_number: int
    seed: int | None
    cell: str
    num_neurons: int

    def _check_options(self) -> None:
        """Refuse a value that is not of its type, not one of its choices, or no finite number."""
        hints = _hints(type(self))
        for one in fields(self):
            value, choices = getattr(self, one.name), one.metadata["choices"]
            if not _fits(value, hints[one.name]):
                raise InputError(f"{one.name} is {_short(value)}: expected {_words(hints[one.name])}")
            if choices is not None and value is not None:
                require_choice(one.name, value, choices)
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{one.name} is {value}: expected a finite number")

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of the run's folder."""

    @property
    def n_heads(self) -> int:
        """Number of heads of the network."""
        return 1

    @property
    def keep_every(self) -> int | None:
        """Epochs between networks that are kept to follow the course of training; ``None`` keeps none."""
        return None

    @property
    def repeat(self) -> int:
        """Steps for which each bit is shown where the network is looked at."""
        return 1

    @abc.abstractmethod
    def curriculum(self) -> Curriculum:
        """Return the curriculum at its start."""

    @abc.abstractmethod
    def template(self) -> Task:
        """Return the task, of which the stages of the curriculum ask."""

    @abc.abstractmethod
    def recipe(self) -> Recipe:
        """Return how the network is trained."""

    @abc.abstractmethod
    def model(self, device: torch.device | str = "cpu") -> Model:
        """Return the network with its initial weights."""

    def measured_model(self) -> Model:
        """Return a network of that kind on the CPU, as it is measured: in full precision."""
        return self.model()

    def measured_task(self, stage: str | None = None) -> Task:
        """Return the task as the stage of this name asks it, or the first one: what a network kept then is measured on."""
        tasks = self.tasks()
        return tasks.get(stage or "", next(iter(tasks.values())))

    def tasks(self) -> dict[str, Task]:
        """Return the task as every stage asks it, by the stage's name."""
        template = self.template()
        return {stage.name: template.at(stage) for stage in self.curriculum().stages}

    @abc.abstractmethod
    def facts(self) -> list[tuple[str, str]]:
        """Return network, task and order of teaching in words, by what they are."""

    def identity(self) -> dict[str, Any]:
        """Return the options that a run cannot change once begun: all but how far it goes."""
        options = self.to_dict()
        del options["epochs"]
        return options

    def to_dict(self) -> dict[str, Any]:
        """Return all options as plain values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls: type[Own], options: dict[str, Any]) -> Own:
        """Return the configuration with these options.

        Raises
        ------
        InputError
            If one is unknown or invalid.
        """
        known = [one.name for one in fields(cls)]
        for name in options:
            if name not in known:
                raise InputError(f"option {name!r} is unknown: {nearest(name, known)}")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
        return cls(**values)  # type: ignore[arg-type]


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value that may come from a file is of the type that a field has."""
    if isinstance(hint, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        element = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_fits(one, element) for one in value)
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        # A whole number can be too large for a float.
        whole = int(value) if isinstance(value, numbers.Integral) else 0
        return isinstance(value, numbers.Real) and abs(whole) <= sys.float_info.max
    return isinstance(value, numbers.Integral if hint is int else hint)


def _words(hint: Any) -> str:
    """Return what a field takes, in words."""
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "nothing"}
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return " or ".join(names.get(one, "a list of whole numbers") for one in options)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
