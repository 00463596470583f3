"""What an analysis is given, judged before it begins."""

from __future__ import annotations

import functools
import inspect
import numbers
import operator
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from tauscope.analysis.recording import Network
from tauscope.errors import InputError, require_instance, shown
from tauscope.models.model import Model, require_model, wrapper_of
from tauscope.tasks.base import Task
from tauscope.tasks.binary import BinaryMemoryTask
from tauscope.tasks.delayed import DelayedResponseTask
from tauscope.tasks.text import Text
from tauscope.tasks.tracking import Tracking

P = ParamSpec("P")
R = TypeVar("R")

_TASKS = {kind.__name__: kind for kind in (Task, BinaryMemoryTask, DelayedResponseTask, Text, Tracking)}
_GENERATOR = "torch.Generator | None"


def checked(analysis: Callable[P, R]) -> Callable[P, R]:
    """Let an analysis refuse what is no network, task or generator, and numbers and words of other kinds, by its annotations.

    Examples
    --------
    >>> @checked
    ... def n_units(model: Model, scale: int = 1) -> int:
    ...     return scale * model.n_units
    >>> n_units(torch.nn.Linear(1, 8))
    Traceback (most recent call last):
    tauscope.errors.InputError: the network is of type Linear: expected a tauscope Model, such as by tauscope.wrap
    """
    signature = inspect.signature(analysis)
    kinds = {name: str(parameter.annotation) for name, parameter in signature.parameters.items()}

    @functools.wraps(analysis)
    def judged(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        for name, value in given.arguments.items():
            # A network need not be a `Model` where an analysis asks for no more than a protocol.
            foreign = kinds[name] == Network.__name__ and isinstance(value, Network) and not isinstance(value, Model)
            # Some modules hand on every name of the network within.
            if kinds[name] in (Model.__name__, Network.__name__) and (not foreign or wrapper_of(value)):
                require_model(value)
            elif kinds[name] in _TASKS:
                require_instance(name, value, _TASKS[kinds[name]], f"a {kinds[name]}, such as tauscope.Parity([2, 3])")
            elif kinds[name] == _GENERATOR and value is not None:
                require_instance(name, value, torch.Generator, "a torch.Generator, or None for one with seed 0")
        for name, value in given.arguments.items():
            given.arguments[name] = plain(name, kinds[name], value)
        return analysis(*given.args, **given.kwargs)

    return judged


def plain(name: str, annotation: str, value: Any) -> Any:
    """Return a value as a plain one of what it is annotated to be, or refuse it; what is annotated otherwise is left alone.

    Parameters
    ----------
    name : str
        Of the parameter.
    annotation : str
        Numbers, whole numbers, truth values, texts, sequences of them, and unions of these and ``None``.
    value : object
        What is given; whole numbers and numbers of NumPy and torch are converted.

    Raises
    ------
    InputError
        If it is none of that.

    Examples
    --------
    >>> plain("n_trials", "int | None", np.int64(3))
    3
    >>> plain("n_trials", "int | None", 2.5)
    Traceback (most recent call last):
    tauscope.errors.InputError: n_trials is 2.5: expected a whole number
    """
    options = annotation.split(" | ")
    if not all(option in _PLAIN for option in options):
        return value
    for option in options:
        try:
            return _PLAIN[option][0](value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            continue
    expected = " or ".join(_PLAIN[option][1] for option in options if option != "None")
    raise InputError(f"{name} is {shown(value)}: expected {expected}")


def real_array(name: str, value: Any) -> NDArray[np.float64]:
    """Return an array of real numbers, or refuse what is none.

    Examples
    --------
    >>> real_array("boundary", [[1, 0]])
    array([[1., 0.]])
    """
    try:
        return np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InputError(f"{name} is {shown(value)}: expected an array of real numbers") from None


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def _number(value: Any) -> Any:
    if isinstance(value, torch.Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    # Of what range it has to be, an analysis says itself; what is not a number is in none.
    if not isinstance(value, numbers.Real):
        raise TypeError
    # Of whole numbers NumPy knows no larger ones.
    return float(value) if abs(float(value)) >= 2**63 else value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise TypeError
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _nothing(value: Any) -> None:
    if value is not None:
        raise TypeError


def _several(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what lets iterables pass as they are if each of their elements does."""

    def sequence(value: Any) -> Any:
        if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
            raise TypeError
        elements = list(value)
        for element in elements:
            convert(element)
        return value if hasattr(value, "__len__") else elements

    return sequence


_PLAIN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "bool": (_truth, "True or False"),
    "str": (_text, "a text"),
    "None": (_nothing, "None"),
    "Sequence[int]": (_several(_whole), "several whole numbers"),
    "Sequence[float]": (_several(_number), "several numbers"),
    "Sequence[str]": (_several(_text), "several texts"),
}
"""How a value is taken for what an annotation says, or refused by an error, and what that is in words."""
