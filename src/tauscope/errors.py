"""What went wrong, in one line that names the nearest valid value."""

from __future__ import annotations

import difflib
import math
import numbers
import operator
import re
from collections.abc import Iterable
from typing import SupportsIndex, cast


class InputError(ValueError):
    """A value that a user gave cannot be used; the command line exits with code 2."""


class DamagedFileError(InputError):
    """A file is truncated, altered, or not what its name says."""


class NotApplicableError(InputError):
    """A network does not have what a measurement is about; asked for everything, the command line passes it over."""


class DivergedError(RuntimeError):
    """Training produced a non-finite loss; the command line exits with code 3."""


def nearest(value: object, options: Iterable[object]) -> str:
    """Describe the valid options and, if one is close to the given value, name it.

    Parameters
    ----------
    value : object
        What was given.
    options : iterable
        What would have been valid.

    Returns
    -------
    str
        A clause to append to an error line.

    Examples
    --------
    >>> nearest("paritty", ["parity", "dms"])
    "expected one of parity, dms; did you mean 'parity'?"
    """
    names = [str(option) for option in options]
    close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"expected one of {', '.join(names)}{hint}"


def shown(value: object) -> str:
    """Return a value in a line of few words; of an array or a tensor its shape.

    Examples
    --------
    >>> shown("paritty"), shown([1, 2])
    ("'paritty'", '[1, 2]')
    """
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and shape:
        return f"of shape {tuple(shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_LONGEST_SHOWN = 80


def require_choice(name: str, value: object, options: Iterable[object]) -> None:
    """Raise an `InputError` unless the value is one of the options.

    Examples
    --------
    >>> require_choice("task", "parity", ["parity", "dms"])
    """
    options = list(options)
    try:
        known = bool(value in options)
    except (TypeError, ValueError, RuntimeError):  # an array or a tensor of several numbers
        known = False
    if not known:
        raise InputError(
            f"{name} {shown(value)} is unknown: {nearest(value if isinstance(value, str) else shown(value), options)}"
        )


def require_at_least(name: str, value: float, minimum: float) -> None:
    """Raise an `InputError` unless the value is a number at or above the minimum.

    Examples
    --------
    >>> require_at_least("tau", 1.5, 1.0)
    """
    try:
        enough = bool(value >= minimum)
    except (TypeError, ValueError, RuntimeError):  # also an array or a tensor of several numbers
        raise InputError(f"{name} is {shown(value)}: expected a number of at least {minimum}") from None
    if not enough:
        raise InputError(f"{name} is {value}: expected at least {minimum} (nearest valid value: {minimum})")


def require_at_most(name: str, value: float, maximum: float) -> None:
    """Raise an `InputError` if a number is above the maximum, beyond which it is a slip.

    Examples
    --------
    >>> require_at_most("number of layers", 1000, 1000)
    """
    if value > maximum:
        raise InputError(f"{name} is {value}: expected at most {maximum} (nearest valid value: {maximum})")


def require_count(name: str, value: object, minimum: int = 1) -> None:
    """Raise an `InputError` unless the value is a whole number at or above the minimum.

    Examples
    --------
    >>> require_count("batch size", 256)
    """
    try:
        if isinstance(value, bool):  # which Python takes for 0 or 1, and torch for neither
            raise TypeError
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:
        raise InputError(f"{name} is {shown(value)}: expected a whole number of at least {minimum}") from None
    require_at_least(name, number, minimum)


def require_probability(name: str, value: float) -> None:
    """Raise an `InputError` unless the value is a number between 0 and 1.

    Examples
    --------
    >>> require_probability("p", 0.5)
    """
    try:
        probable = bool(0 <= value <= 1)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{name} is {shown(value)}: expected a probability, such as 0.5") from None
    if not probable:
        raise InputError(f"{name} is {value}: expected a probability (nearest valid value: {float(value > 1)})")


# Windows has reserved these names, with any ending, and takes none of these characters.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_NO_CHARACTER = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]|[. ]$')
_LONGEST = 100  # bytes


def require_file_name(what: str, name: str) -> None:
    """Raise an `InputError` unless every system takes a name of a file, so that a folder can be copied to any.

    Examples
    --------
    >>> require_file_name("stage", "N2_N3")
    >>> require_file_name("stage", "a:b")
    Traceback (most recent call last):
    tauscope.errors.InputError: stage 'a:b': expected a name that a file can have on any system, such as 'a-b'
    """
    if not name or _NO_CHARACTER.search(name) or _RESERVED.fullmatch(name) or len(name.encode()) > _LONGEST:
        valid = f"{name[:3]}-1" if _RESERVED.fullmatch(name) else re.sub(r"[^\w.+-]", "-", name)[:12].rstrip(".") or "a"
        raise InputError(f"{what} {name!r}: expected a name that a file can have on any system, such as {valid!r}")


def require_instance(name: str, value: object, kind: type | tuple[type, ...], example: str) -> None:
    """Raise an `InputError` unless the value is an instance of the class or of one of the classes.

    Parameters
    ----------
    name : str
        What the value is for.
    value : object
        What was given.
    kind : type or tuple of type
        What it must be an instance of.
    example : str
        What was expected, in words.

    Raises
    ------
    InputError
        If it is not; of a class in the place of its instance, the line says so.

    Examples
    --------
    >>> require_instance("seed", 3, int, "a whole number")
    >>> require_instance("seed", int, int, "a whole number, such as 3")
    Traceback (most recent call last):
    tauscope.errors.InputError: seed is the class int itself: expected a whole number, such as 3
    """
    if isinstance(value, kind):
        return
    given = f"the class {value.__name__} itself" if isinstance(value, type) else f"of type {type(value).__name__}"
    raise InputError(f"{name} is {given}: expected {example}")


def require_positive(name: str, value: object, *, finite: bool = False) -> None:
    """Raise an `InputError` unless the value is a number above 0, and a finite one where that is asked.

    Examples
    --------
    >>> require_positive("lr", 0.1)
    """
    if not (isinstance(value, numbers.Real) and float(value) > 0):
        raise InputError(f"{name} is {shown(value)}: expected a number above 0")
    if finite and not math.isfinite(value):
        raise InputError(f"{name} is {value}: expected a finite number above 0")
