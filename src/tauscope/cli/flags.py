"""Command-line flags from dataclass fields, and errors in one line."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import Any, NoReturn

from tauscope._lazy import torch
from tauscope.errors import InputError, nearest, require_at_least


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and keeps the lines of descriptions."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InputError` instead of printing its usage, and names the nearest flag.

    Attributes
    ----------
    arguments : sequence of str
        The command line, for a command whose help depends on it.
    """

    arguments: Sequence[str] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)

    def error(self, message: str) -> NoReturn:
        """Raise the message."""
        raise InputError(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is none of an argument's choices, naming the nearest one, which argparse does not."""
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"{value!r} is unknown: {nearest(value, action.choices)}")

    def parse_all(self, arguments: list[str]) -> argparse.Namespace:
        """Parse arguments, refusing unknown ones by name."""
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            command = getattr(parsed, "parser", self)
            raise InputError(f"unknown argument {unknown[0]!r}: {_hint(command, unknown[0])}")
        return parsed


def _hint(command: argparse.ArgumentParser, unknown: str) -> str:
    """Return what may have been meant by an argument that a command does not know."""
    if not unknown.startswith("-") and any(not action.option_strings for action in command._actions):
        return "expected all that is no flag side by side, with the flags before or after"
    # Without their dashes, which all flags have in common.
    known = {flag.lstrip("-"): flag for action in command._actions for flag in action.option_strings}
    close = difflib.get_close_matches(unknown.partition("=")[0].lstrip("-"), known, n=1, cutoff=0.5)
    return f"did you mean {known[close[0]]!r}?" if close else f"expected one that {command.prog} --help lists"


def add_dataclasses(parser: argparse.ArgumentParser, kinds: Sequence[type], shown: type | None = None) -> None:
    """Add a flag for every field of dataclasses whose fields carry ``help``, ``short``, ``choices``, ``group``.

    Parameters
    ----------
    parser : ArgumentParser
        Gets ``--field_name`` (``--field-name`` means the same) and the short form of every field.
    kinds : sequence of type
        The dataclasses; a field of the same name in several is one flag, of the type that it has in the first of them, and
        so is a short form. A field not given on the command line is left out of the namespace.
    shown : type, optional
        The dataclass whose fields ``--help`` lists; by default it lists those that all have.
    """
    groups: dict[str, Any] = {}
    found: dict[str, list[tuple[type, Field[Any]]]] = {}
    for kind in kinds:
        for option in fields(kind):
            found.setdefault(option.name, []).append((kind, option))
    taken = {f"--{name}" for name in found}
    for name, owners in found.items():
        options = [option for _, option in owners]
        own = [option for kind, option in owners if kind is shown] if shown is not None else options
        listed = own if shown is not None or len(options) == len(kinds) else []
        group = (own or options)[0].metadata["group"]
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        shorts = [f"-{short}" for option in options for short in (option.metadata["short"] or "").split()]
        shorts = [short for short in dict.fromkeys(shorts) if short not in taken]
        taken.update(shorts)
        choices = own[0].metadata["choices"] if len(own) == 1 else None
        groups[group].add_argument(
            *dict.fromkeys([*shorts, f"--{name}", f"--{name.replace('_', '-')}"]),
            dest=name,
            default=argparse.SUPPRESS,
            help=" | ".join(dict.fromkeys(map(_help, listed))) or argparse.SUPPRESS,
            metavar="{" + ",".join(choices) + "}" if choices else name.upper(),
            **_conversion(typing.get_type_hints(owners[0][0])[name]),
        )


def _help(option: Field[Any]) -> str:
    text = str(option.metadata["help"]).replace("%", "%%")
    return text if option.default is None else f"{text} (default: {option.default})"


def _conversion(hint: Any) -> dict[str, Any]:
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if hint is bool:
        return {"type": yes_or_no}
    if typing.get_origin(hint) is tuple:
        return {"type": numbers if typing.get_args(hint)[0] is float else integers}
    return {"type": hint}


def add_own(parser: argparse.ArgumentParser) -> None:
    """Add the flags that allow importing a user's own task and curriculum, which the file of a run names."""
    parser.add_argument("--task", metavar="MODULE:CLASS", help="the run's task, if it is one of your own")
    add_own_curriculum(parser)


def add_own_curriculum(parser: argparse.ArgumentParser) -> None:
    """Add the flag that allows importing a user's own curriculum alone."""
    parser.add_argument(
        "-c",
        "--curriculum",
        "--curriculum_type",
        "--curriculum-type",
        dest="curriculum_type",
        metavar="MODULE:NAME",
        help="the run's curriculum, if it is one of your own",
    )


def own(options: argparse.Namespace) -> dict[str, Any]:
    """Allow importing what those flags name, and return it by option."""
    from tauscope.runs.config.own import FLAGS, allow

    given = {name: getattr(options, name) for name in FLAGS}
    allow(given)
    return given


def named(name: str) -> Callable[[Callable[[str], Any]], Callable[[str], Any]]:
    """Give a converter the name that argparse shows in its errors."""

    def decorate(function: Callable[[str], Any]) -> Callable[[str], Any]:
        function.__name__ = name
        return function

    return decorate


@named("yes or no")
def yes_or_no(text: str) -> bool:
    """Convert ``yes`` and ``no`` (``true``, ``1``, …)."""
    answers = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    return answers[text.lower()] if text.lower() in answers else _refuse(text)


@named("list of whole numbers, such as 7,8,9,10")
def integers(text: str) -> tuple[int, ...]:
    """Convert ``7,8,9,10`` or ``1-20``."""
    if match := re.fullmatch(r"(\d{1,6})-(\d{1,6})", text.strip()):
        return tuple(range(int(match[1]), int(match[2]) + 1)) or _refuse(text)
    return tuple(int(number) for number in text.strip("[] ").split(","))


@named("list of numbers, such as 0.5,1,2")
def numbers(text: str) -> tuple[float, ...]:
    """Convert ``0.5,1,2``."""
    return tuple(float(number) for number in text.strip("[] ").split(","))


@named("duration, such as 90s, 30m or 2h")
def duration(text: str) -> float:
    """Convert a duration with its unit to seconds; a bare number is in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else _refuse(text)


@named("seed, a whole number from 0 to 2^63 - 1")
def seed(text: str) -> int:
    """Convert a seed that a `torch.Generator` takes on every device."""
    return int(text) if 0 <= int(text) < 2**63 else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def device(name: str) -> str:
    """Return the device that a name means; ``auto`` is a GPU where there is one.

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, dtype=torch.float32, device=torch.Generator(name).device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"device {name!r} cannot be used here: expected auto, cpu, or a device of this machine"
        ) from error
    return name


def use_threads(n: int | None) -> None:
    """Set the number of processor threads, where one is given.

    Raises
    ------
    InputError
        If it is not at least 1.
    """
    if n is not None:
        require_at_least("threads", n, 1)
        torch.set_num_threads(n)


def print_error(message: object) -> None:
    """Print an error in one line."""
    print(f"tauscope: error: {' '.join(str(message).splitlines())}", file=sys.stderr)
