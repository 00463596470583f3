"""What a sweep file asks for: many runs, settled before any of them begins."""

from __future__ import annotations

import itertools
import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tauscope.errors import InputError, nearest
from tauscope.runs.asking import asked_for, read_config
from tauscope.runs.config import Config, allow, config_of
from tauscope.runs.files import write_atomically
from tauscope.runs.folder import CONFIG, is_locked, read_metrics
from tauscope.runs.survey import LONGEST_NAME, PLAN

LARGEST_FILE, MOST_RUNS = 1 << 20, 10_000
"""Bytes of a sweep file and runs of a sweep, at most."""

_KEYS = ("base_path", "options", "grid", "runs", "networks")


def _configuration(options: Mapping[str, Any]) -> Config:
    """Return the configuration that options of a file mean, with what code they name."""
    allow(options)
    config = config_of(dict(options))
    if ":" in config.cell:
        from tauscope.models import user_cell

        user_cell(config.cell)
    return config


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


@dataclass(frozen=True)
class Sweep:
    """Runs to be trained in one folder.

    Attributes
    ----------
    base : Path
        The folder.
    runs : dict of Config
        By the names of their folders, in the order in which they are begun: the first networks of all settings, then
        the second ones, …
    given : dict of dict
        The options that the file gives of each, by the same names.
    """

    base: Path
    runs: Mapping[str, Config]
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def is_finished(self, name: str) -> bool:
        """Return whether a run went as far as it is asked to; one with damaged records did not."""
        try:
            return asked_for(self.runs[name], read_metrics(self.base / name))[1]
        except (LookupError, TypeError, ValueError):
            return False

    def unfinished(self) -> list[str]:
        """Return the names of the runs that are left to do, those last that other processes are training."""
        remaining = [name for name in self.runs if not self.is_finished(name)]
        return sorted(remaining, key=lambda name: is_locked(self.base / name))


def read_sweep(file: Path, base: Path | None = None) -> Sweep:
    """Read what a sweep file asks for; nothing is written.

    Parameters
    ----------
    file : Path
        TOML: ``base_path``; ``[options]`` of every run, as those of ``tauscope train``; ``[grid]`` with lists of which
        every combination is trained; ``[[runs]]`` with the options of further settings; ``[networks]`` with the
        ``numbers`` and ``seeds`` of the networks of each setting that does not name its ``network_number`` itself.
    base : Path, optional
        Folder of the runs; by default the file's ``base_path``, or ``trained_models``.

    Returns
    -------
    Sweep

    Raises
    ------
    InputError
        If the file cannot be read, an option is unknown or invalid, two runs would share a folder, or a folder holds a
        different run.
    """
    content = _read_toml(file)
    try:
        _require_keys(content, _KEYS, "")
        given = _expand(content)
        own = Path(_typed(content, "base_path", str, "a folder", "trained_models"))
        sweep = _named(base or own, given)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    for name, config in sweep.runs.items():
        _require_fitting(sweep.base / name, config)
    return sweep


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file():
            raise InputError(f"{file} is not there: expected a sweep file, such as sweep.toml")
        if file.stat().st_size > LARGEST_FILE:
            raise InputError(f"{file} is no sweep file: expected at most {LARGEST_FILE} bytes")
        text = file.read_text("utf-8")
        # What is read takes memory that grows with the square of a key's parts.
        if re.search(r"(\.[^.,=\n]*){100}", text):
            raise InputError(f"{file} is no sweep file: expected keys of a few parts")
        return tomllib.loads(text)
    except InputError:
        raise
    # A TOML file can be wrong in its syntax, encoding, numbers and depth; its name in its length.
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read: {error}; expected a sweep file in TOML") from error


def _require_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise InputError(f"{where}key {_short(key)} is unknown: {nearest(key[:60], known)}")


def _typed(table: Mapping[str, Any], key: str, kind: type, expected: str, default: Any) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{key} is {_short(value)}: expected {expected}")
    return value


def _expand(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options of every run in the order of their networks."""
    common = _typed(content, "options", dict, "a table [options]", {})
    grid = _typed(content, "grid", dict, "a table [grid] of lists", {})
    further = _typed(content, "runs", list, "tables [[runs]]", [])
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"grid: {key} is {_short(values)}: expected a list of values")
    for options in further:
        if not isinstance(options, dict):
            raise InputError(f"runs has {_short(options)}: expected tables [[runs]]")
    networks = _networks(_typed(content, "networks", dict, "a table [networks]", {}))
    n = (math.prod(map(len, grid.values())) if grid or not further else 0) + len(further)
    if n * len(networks) > MOST_RUNS:
        raise InputError(f"asks for {n * len(networks)} runs: expected at most {MOST_RUNS}")
    combinations = itertools.product(*grid.values()) if grid or not further else ()
    settings = [{**common, **dict(zip(grid, values, strict=True))} for values in combinations]
    settings += [{**common, **options} for options in further]
    named = [options for options in settings if "network_number" in options]
    others = [options for options in settings if "network_number" not in options]
    for options in others:
        if "seed" in options and "seed" in networks[0]:
            raise InputError("seed is given in networks and in options, grid or runs: expected it in one of them")
    return [{**options, **network} for network in networks for options in others] + named


def _networks(table: Mapping[str, Any]) -> list[dict[str, int]]:
    """Return the numbers and seeds of a setting's networks."""
    _require_keys(table, ("numbers", "seeds"), "networks: ")
    for key in table:
        values = _typed(table, key, list, f"a list such as {key} = [1, 2]", [])
        if not values or not all(type(value) is int for value in values):
            raise InputError(f"networks: {key} is {_short(values)}: expected a list of whole numbers")
    seeds = table.get("seeds")
    numbers = table.get("numbers", list(range(1, 1 + len(seeds)))) if seeds else table.get("numbers", [])
    if seeds and len(seeds) != len(numbers):
        raise InputError(f"networks: {len(seeds)} seeds for {len(numbers)} numbers: expected as many of both")
    if seeds:
        return [{"network_number": number, "seed": seed} for number, seed in zip(numbers, seeds, strict=True)]
    return [{"network_number": number} for number in numbers] or [{}]


def _named(base: Path, given: Sequence[Mapping[str, Any]]) -> Sweep:
    """Return the runs by their names, refusing two of one name."""
    runs: dict[str, Config] = {}
    options: dict[str, Mapping[str, Any]] = {}
    for values in given:
        config = _configuration(values)
        name = config.name
        if len(name.encode()) > LONGEST_NAME:
            raise InputError(
                f"folder {_short(name)} has a name of {len(name)} letters: expected {LONGEST_NAME} at most"
            )
        if name in runs:
            ours, theirs = config.to_dict(), runs[name].to_dict()
            differs = [key for key in ours if ours[key] != theirs[key]]
            how = f"differ in {', '.join(differs)}" if differs else "are the same"
            raise InputError(
                f"two runs would share the folder {name}, and {how}: expected each once, with a network_number of its own"
            )
        runs[name], options[name] = config, values
    return Sweep(base, runs, options)


def _require_fitting(folder: Path, config: Config) -> None:
    """Refuse a folder that holds a run of other options."""
    if not (folder / CONFIG).exists():
        return
    ours, theirs = config.identity(), read_config(folder).identity()
    for name, value in ours.items():
        if value != theirs.get(name) and not (name == "seed" and value is None):
            raise InputError(
                f"{folder} holds a different run: its {name} is {theirs.get(name)}, not {value}; expected another base_path "
                "or network_number"
            )


def write_plan(sweep: Sweep, jobs: Mapping[str, str]) -> None:
    """Write down what a sweep asks for, so that `tauscope.runs.survey.survey` knows the runs that have not begun.

    Parameters
    ----------
    sweep : Sweep
        Its folder is made if it does not exist.
    jobs : dict of str
        Jobs in SLURM's queue, by the names of their runs.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    runs = {
        name: {"epochs": config.recipe().epochs, "options": config.to_dict()} for name, config in sweep.runs.items()
    }
    make(sweep.base)
    content = json.dumps({"runs": runs, "jobs": dict(jobs)}, indent=1) + "\n"
    write_atomically(sweep.base / PLAN, content.encode())


def make(folder: Path) -> None:
    """Make a folder that is not there.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; expected a writable folder") from error
