"""What lies in a run folder, read without building anything, and without torch."""

from __future__ import annotations

import hashlib
import json
import math
import os
import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tauscope.errors import DamagedFileError
from tauscope.runs.locks import is_taken

CONFIG, ENVIRONMENT, METRICS, LOCK = "config.json", "environment.json", "metrics.jsonl", "run.lock"
STATS = "stats.npy"
CHECKSUM = "checksum"
"""Key of a run's configuration that is no option: it tells whether the options are as they were written."""

_BLOCK = 1 << 16


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DamagedFileError
        If it cannot be read.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} cannot be read: {error}; expected a JSON file") from error


def read_options(folder: Path) -> dict[str, Any]:
    """Read the options of a run.

    Raises
    ------
    DamagedFileError
        If they cannot be read, are none, or are not as they were written.
    """
    options = read_json(folder / CONFIG)
    if not isinstance(options, dict):
        raise DamagedFileError(f"{folder / CONFIG} is not a configuration: expected options by name")
    # Those of early versions have none.
    if options.pop(CHECKSUM, checksum := checksum_of(options)) != checksum:
        raise DamagedFileError(f"{folder / CONFIG} is damaged: its checksum does not match its content")
    return options


def checksum_of(options: Mapping[str, Any]) -> str:
    """Return what changes with any option; a checksum among them does not count."""
    counted = {name: value for name, value in options.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def is_locked(folder: Path) -> bool:
    """Return whether a process is writing to a run folder now."""
    return is_taken(folder / LOCK)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the records of all finished epochs; a last line cut off by a crash is passed over."""
    path = folder / METRICS
    records = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            records.append(_with_stage(json.loads(line)))
        except (ValueError, RecursionError):
            break
    return records


def read_records(folder: Path, metric: str = "accuracy", stages: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the records of all finished epochs after looking at every one, as `read_metrics` does not.

    Parameters
    ----------
    folder : Path
        Of the run.
    metric : str
        Name of the scores in the records.
    stages : collection of str, optional
        Names that a stage can have; by default any.

    Raises
    ------
    DamagedFileError
        If a line is no record of an epoch; it says which line, and what is wrong with it.
    """
    records = read_metrics(folder)
    known = _RECORD | {metric: ("a list of scores", lambda value: _is_list(value, _is_number))}
    if stages is not None:
        known["stage"] = (f"one of {', '.join(stages)}", lambda value: isinstance(value, str) and value in stages)
    for line, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise DamagedFileError(f"{folder / METRICS}: line {line} is no record of an epoch; expected values by name")
        for name, (kind, is_valid) in known.items():
            # Stages of a user's own need not count, and not every task is an environment.
            if name not in record and name not in ("Ns", "frames"):
                raise DamagedFileError(f"{folder / METRICS}: line {line} has no {name}; expected {kind}")
            if name in record and not is_valid(record[name]):
                told = f"{name} of line {line} is {reprlib.repr(record[name])}"
                raise DamagedFileError(f"{folder / METRICS}: {told}; expected {kind}")
    return records


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_whole(value)


def _is_whole(value: object) -> bool:
    # Larger numbers are none of a float, as which they are drawn.
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 1 << 53


def _is_list(value: object, is_valid: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_valid, value))


def _is_time(value: Any) -> bool:
    # A million years; longer times cannot be written as hours and minutes.
    return _is_number(value) and math.isfinite(value) and 0 <= value < 1e13


_RECORD: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "epoch": ("a whole number", lambda value: _is_whole(value) and value > 0),
    "stage": ("the name of a stage", lambda value: isinstance(value, str)),
    "Ns": ("a list of whole numbers", lambda value: _is_list(value, _is_whole)),
    "loss": ("a number", _is_number),
    "solved": ("true or false", lambda value: isinstance(value, bool)),
    "seconds": ("a time", _is_time),
    "frames": ("a whole number", lambda value: _is_whole(value) and value > 0),
}
"""What a record of an epoch has: in words, and what tells whether a value can be that."""


def last_records(folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the record of a run's last epoch and that of the last one that solved its stage.

    Parameters
    ----------
    folder : Path
        Of the run; its records are read from the end, no further than is needed.

    Returns
    -------
    last, solved : dict or None
        ``None`` where there is none. A last line cut off by a crash is passed over.

    Raises
    ------
    TypeError, LookupError
        If what is there are not records of epochs.
    """
    last = None
    for line in _lines_backwards(folder / METRICS):
        if last is not None and b'"solved": true' not in line:
            continue
        try:
            record = _with_stage(json.loads(line, parse_int=_whole))
        except (ArithmeticError, ValueError, RecursionError):
            continue
        if not all(isinstance(record[name], int | float) for name in ("epoch", "seconds", "steps_per_second")):
            raise TypeError(f"{record}")
        last = record if last is None else last
        if record["solved"]:
            return last, record
    return last, None


def _with_stage(record: Any) -> Any:
    """Return a record as it is written now; those of version 0.1 do not name their stage."""
    Ns = record.get("Ns") if isinstance(record, dict) and "stage" not in record else None
    return record | {"stage": f"N{Ns[0]}_N{Ns[-1]}"} if isinstance(Ns, list) and Ns else record


def _whole(text: str) -> int:
    """Return a whole number, refusing one that no float can stand for."""
    float(number := int(text))
    return number


def _lines_backwards(path: Path) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        position, rest = file.seek(0, os.SEEK_END), b""
        while position:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from reversed(lines)
        yield rest
