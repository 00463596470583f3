"""Which of a user's own tasks and curricula may be imported: those that the user named to this process, no others.

A file names code without being asked: what a ``config.json`` says is never imported. The command line, a sweep file and a
paper are what a user writes; from then on, `known` finds what they name.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tauscope._named import imported
from tauscope.errors import InputError

PACKAGES = {"neurogym": "tauscope.runs.setups.neurogym:NEUROGYM"}
"""Where the setup of the tasks of another package lies, by what stands before the colon of such a task's name; no code of a
user's own is imported for one."""

FLAGS = {"task": "--task", "curriculum_type": "-c"}
"""Options that can name code of a user's own, and their flags; a cell is imported where a network is built."""

_NAMED: dict[str, Any] = {}


class NotNamedError(InputError):
    """A file names code that the user did not."""


def is_own(value: object) -> bool:
    """Return whether an option names code as ``module:Name``.

    Examples
    --------
    >>> is_own("mytasks:Recall"), is_own("parity"), is_own("neurogym:GoNogo-v0")
    (True, False, False)
    """
    return isinstance(value, str) and ":" in value and package_of(value) is None


def package_of(task: str) -> str | None:
    """Return the package that a task's name stands for a task of: a key of `PACKAGES`, or ``None``.

    Examples
    --------
    >>> package_of("neurogym:GoNogo-v0"), package_of("mytasks:Recall")
    ('neurogym', None)
    """
    package, colon, _ = task.partition(":")
    return package if colon and package in PACKAGES else None


def allow(options: Mapping[str, Any]) -> None:
    """Import the task and the curriculum that a user's options name, and let files name them from now on.

    Parameters
    ----------
    options : dict
        Options of a run that the user gave, never what a file of a run says.

    Raises
    ------
    InputError
        If there is no such module or object.

    Examples
    --------
    >>> allow({"task": "tauscope.tasks:Parity"})
    >>> known("tauscope.tasks:Parity", "task").__name__
    'Parity'
    """
    for option in FLAGS:
        name = options.get(option)
        if is_own(name) and name not in _NAMED:
            _NAMED[str(name)] = imported(str(name), option.removesuffix("_type"))


def known(name: str, option: str) -> Any:
    """Return what ``module:Name`` names, if the user named it.

    Raises
    ------
    NotNamedError
        If not.
    """
    if name not in _NAMED:
        what = option.removesuffix("_type")
        raise NotNamedError(f"{what} {name!r}: expected {FLAGS[option]} {name} too, to allow importing it")
    return _NAMED[name]


@contextlib.contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn whatever code of a user's own raises into one line that says where.

    Examples
    --------
    >>> with refusing("task 'mine:Recall'"):
    ...     (1,)[1]
    Traceback (most recent call last):
    tauscope.errors.InputError: task 'mine:Recall': IndexError: tuple index out of range (<doctest>, line 2)
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a module can raise anything
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise InputError(f"{what}: {kind}{error} ({Path(place.filename).name}, line {place.lineno})") from error
