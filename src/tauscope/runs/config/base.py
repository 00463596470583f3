"""Options of a run: fields of dataclasses that say what they are, which are flags of ``tauscope train`` too."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import operator
import re
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any

from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.runs.config.own import is_own

OWN_CLASS, OWN_NAME = "module:Class", "module:Name"
"""Among the choices of an option: it can name code of a user's own too."""


def option(
    default: Any,
    help: str,
    short: str | None = None,
    choices: Any = None,
    group: str = "task",
    at_least: float | None = None,
    **further: Any,
) -> Any:
    """Return a field of a configuration, which is a flag of ``tauscope train`` too.

    Parameters
    ----------
    default : object
        Its value unless another is given.
    help : str
        What it is, for ``--help`` and for the report.
    short : str, optional
        Further names of the flag, without their first dash, with spaces between them.
    choices : sequence of str, optional
        The values it can have; with `OWN_CLASS` or `OWN_NAME` among them, code of a user's own too.
    group : str
        Heading under which ``--help`` lists it.
    at_least : float, optional
        Its smallest value.
    **further
        ``cells``, the only cells that have it; ``added=True`` if runs of version 0.1 do not have it: ``config.json`` says
        it only where it is not the default.
    """
    about = {"help": help, "short": short, "choices": choices, "group": group, "at_least": at_least, **further}
    return field(default=default, metadata=about)


def shared(default: Any) -> Any:
    """Return a field that has the value of the option of this name, which another part of the setup declares."""
    return field(default=default, metadata={"shared": True})


def values(part: object, *names: str) -> dict[str, Any]:
    """Return the values of some options by name."""
    return {name: getattr(part, name) for name in names}


_SMALLEST, _LARGEST = 1e-38, 3.4e38
"""Sizes of numbers in single precision."""


def check_options(options: Any) -> None:
    """Refuse an option of a dataclass that is not of its type, not one of its choices, no finite number, too large or too small."""
    hints = _hints(options.__class__)
    for known in fields(options):
        name, value, about = known.name, getattr(options, known.name), known.metadata
        if not _fits(value, hints[name]):
            raise InputError(f"{name} is {_short(value)}: expected {_words(hints[name])}")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name} is {value}: expected a finite number")
        if isinstance(value, float) and value and not _SMALLEST <= abs(value) <= _LARGEST:
            raise InputError(
                f"{name} is {value}: expected a number that single precision holds, {_SMALLEST} to {_LARGEST} in size"
            )
        choices = about.get("choices")
        if value is None:
            continue
        if choices is not None and not (is_own(value) and {OWN_CLASS, OWN_NAME} & set(choices)):
            require_choice(name, value, choices)
        if about.get("at_least") is not None:
            require_at_least(name, value, about["at_least"])


def check_cell(options: Any) -> None:
    """Refuse an option that the network's cell does not have, unless it has the default."""
    for known in fields(options):
        cells, value = known.metadata.get("cells"), getattr(options, known.name)
        if cells and options.cell not in cells and value != known.default:
            of = f"the {cells[0]} cell" if len(cells) == 1 else f"the cells {', '.join(cells)}"
            raise InputError(
                f"{known.name} is {value}, an option of {of}: expected {known.default} with cell {options.cell!r}"
            )


def options_of(part: object, hidden: tuple[str, ...] = (), group: str = "task") -> dict[str, tuple[Any, Any]]:
    """Return type and option of every field of a dataclass that a flag can give, with the values of an instance.

    A field of another type than whole numbers, numbers, truth values, texts, tuples of numbers, one of several of these, or
    a `typing.Literal` of texts is no option.

    Parameters
    ----------
    part : object
        An instance; what is no dataclass has no options.
    hidden : tuple of str
        Fields that are no options.
    group : str
        Heading of the flags, where a field does not name its own.

    Examples
    --------
    >>> from tauscope.tasks import Parity
    >>> hint, found = options_of(Parity())["p"]
    >>> hint, found.default, found.metadata["group"]
    (float | None, None, 'task')
    """
    if not is_dataclass(part) or isinstance(part, type):
        return {}
    hints, texts = _hints(type(part)), documented(type(part))
    found = {}
    for known in fields(part):
        name, (hint, choices) = known.name, _plain(hints[known.name])
        if hint is None or not known.init or name in hidden or name.startswith("_") or "shared" in known.metadata:
            continue
        value, said = getattr(part, name), texts.get(name, name.replace("_", " "))
        about = {"help": said, "choices": choices, "group": group} | {
            k: v for k, v in known.metadata.items() if v is not None
        }
        if group == "curriculum":
            about["group"] = group
        found[name] = (hint, option(tuple(value) if isinstance(value, list) else value, **about))
    return found


def has_default(known: Field[Any]) -> bool:
    """Return whether a field of a dataclass has a default."""
    return known.default is not MISSING or known.default_factory is not MISSING


def documented(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of its attributes, by their names.

    Examples
    --------
    >>> from tauscope.tasks import Tracking
    >>> documented(Tracking)["n_steps"]
    'length T of a trial'
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= dict(_attributes(inspect.cleandoc(base.__dict__.get("__doc__") or "")))
    return found


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and descriptions of a docstring's section of attributes."""
    section = re.search(r"^Attributes\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", text, re.DOTALL | re.MULTILINE)
    for entry in re.finditer(r"^(\w[^\n]*)\n((?:[ \t]+\S[^\n]*\n?|\n)+)", section[1] if section else "", re.MULTILINE):
        words = " ".join(entry[2].replace("``", "").replace("`", "").split()).removesuffix(".")
        for name in entry[1].partition(":")[0].split(","):
            yield name.strip(), words[:1].lower() + words[1:]


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _plain(hint: Any) -> tuple[Any, tuple[str, ...] | None]:
    """Return a type as options have it, and its choices; no type where an option cannot be of it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal and all(isinstance(argument, str) for argument in arguments):
        return str, arguments
    if origin in (typing.Union, types.UnionType):
        plain = [type(None) if argument is type(None) else _plain(argument)[0] for argument in arguments]
        return (None if None in plain else functools.reduce(operator.or_, plain)), None
    if origin is tuple:
        elements = {argument for argument in arguments if argument is not Ellipsis}
        return (hint if elements in ({int}, {float}) else None), None
    return (hint if hint in (int, float, bool, str) else None), None


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value that may come from a file is of the type that a field has."""
    if isinstance(hint, types.UnionType):
        return any(_fits(value, kind) for kind in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        element = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_fits(entry, element) for entry in value)
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
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return " or ".join(names.get(kind, "a list of whole numbers") for kind in kinds)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
