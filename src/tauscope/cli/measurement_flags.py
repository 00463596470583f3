"""A flag for every option of the measurements that a command line names, as their functions declare them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from tauscope.cli import flags
from tauscope.errors import InputError
from tauscope.measurements import WHAT
from tauscope.measurements.options import Option, options_of


def add_options(parser: flags.Parser) -> None:
    """Add a flag for every option of the measurements that the command line names."""
    words = [word for argument in parser.arguments[1:] for word in argument.split(",")]
    measurements = dict.fromkeys(name for word in words for name in WHAT.get(word, ()))
    known = {flag for action in parser._actions for flag in action.option_strings}
    group = parser.add_argument_group("options of the measurement" + "s" * (len(measurements) > 1))
    found: dict[str, dict[str, Option]] = {}
    for name in measurements:
        for option in options_of(name).values():
            found.setdefault(option.name, {})[name] = option
    for option_name, owners in found.items():
        if f"--{option_name}" not in known:
            group.add_argument(
                *dict.fromkeys([f"--{option_name}", f"--{option_name.replace('_', '-')}"]),
                dest=option_name,
                default=argparse.SUPPRESS,
                metavar=option_name.upper(),
                help=_help(owners, every=len(owners) == len(measurements)),
            )


def _help(owners: Mapping[str, Option], *, every: bool) -> str:
    """Return the help of an option that some of the measurements have, or every one."""
    texts: dict[str, list[str]] = {}
    for name, option in owners.items():
        default = f" (default: {option.default})" if option.default else ""
        texts.setdefault(f"{option.help}{default}", []).append(name)
    if every and len(texts) == 1:
        (text,) = texts
    else:
        text = " | ".join(f"{', '.join(names)}: {text}" for text, names in texts.items())
    return text.replace("%", "%%")


def given_options(measurement: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a measurement that the command line gives, converted."""
    given: dict[str, Any] = {"epochs": options.epochs} if measurement == "retraining" else {}
    for option in options_of(measurement).values():
        text = getattr(options, option.name, None)
        if option.name != "epochs" and text is not None:
            given[option.name] = _converted(option, text)
    return given


def _converted(option: Option, text: str) -> Any:
    """Return the value of an option by what its measurement declares it to be."""
    kinds = option.kind.replace("tuple[int, ...]", "Sequence[int]").split(" | ")
    for kind in kinds:
        if kind in _CONVERSIONS:
            with contextlib.suppress(ValueError):
                return _CONVERSIONS[kind][0](text)
    expected = " or ".join(_CONVERSIONS[kind][1] for kind in kinds if kind in _CONVERSIONS)
    raise InputError(f"{option.name} is {text!r}: expected {expected}")


_CONVERSIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": (flags.yes_or_no, "yes or no"),
    "str": (str, "a word"),
    "Sequence[int]": (flags.integers, "whole numbers, such as 1,2,5 or 1-20"),
    "Sequence[str]": (lambda text: text.split(","), "names, such as all,tau"),
    "Sequence[float]": (flags.numbers, "numbers, such as 0.5,1,2"),
}
