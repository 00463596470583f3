"""What an analysis is given, judged before it begins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from tauscope.analysis.recording import Network
from tauscope.errors import require_instance
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
    """Let an analysis refuse what is no network, task or generator, by the annotations of its parameters.

    Examples
    --------
    >>> @checked
    ... def n_units(model: Model) -> int:
    ...     return model.n_units
    >>> n_units(torch.nn.Linear(1, 8))
    Traceback (most recent call last):
    tauscope.errors.InputError: the network is of type Linear: expected a tauscope Model, such as by tauscope.wrap
    """
    signature = inspect.signature(analysis)
    kinds = {name: str(parameter.annotation) for name, parameter in signature.parameters.items()}

    @functools.wraps(analysis)
    def judged(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            # A network need not be a `Model` where an analysis asks for no more than a protocol.
            foreign = kinds[name] == Network.__name__ and isinstance(value, Network) and not isinstance(value, Model)
            # Some modules hand on every name of the network within.
            if kinds[name] in (Model.__name__, Network.__name__) and (not foreign or wrapper_of(value)):
                require_model(value)
            elif kinds[name] in _TASKS:
                require_instance(name, value, _TASKS[kinds[name]], f"a {kinds[name]}, such as tauscope.Parity([2, 3])")
            elif kinds[name] == _GENERATOR and value is not None:
                require_instance(name, value, torch.Generator, "a torch.Generator, or None for one with seed 0")
        return analysis(*args, **kwargs)

    return judged
