"""What went wrong, in one line that names the nearest valid value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


def require_choice(name: str, value: object, options: Iterable[object]) -> None:
    """Raise an `InputError` unless the value is one of the options.

    Examples
    --------
    >>> require_choice("task", "parity", ["parity", "dms"])
    """
    options = list(options)
    if value not in options:
        raise InputError(f"{name} {value!r} is unknown: {nearest(value, options)}")


def require_at_least(name: str, value: float, minimum: float) -> None:
    """Raise an `InputError` unless the value is a number at or above the minimum.

    Examples
    --------
    >>> require_at_least("batch size", 256, 1)
    """
    if not value >= minimum:
        raise InputError(f"{name} is {value}: expected at least {minimum} (nearest valid value: {minimum})")
