"""What is on disk of many runs, read without building any of them: from their last lines, and without torch."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from tauscope.errors import DamagedFileError, InputError
from tauscope.runs.folder import CONFIG, METRICS, is_locked, last_records, read_json, read_metrics, read_options

PLAN, OWN = "sweep.json", ".sweep"
FAILED, SLURM = f"{OWN}/failed", f"{OWN}/slurm"
"""Where a sweep keeps what belongs to none of its run folders, under the folder that holds them all."""

LONGEST_NAME = 255
"""Bytes of a folder's name at most."""

STATES = ("running", "failed", "damaged", "stopped", "pending", "finished")
"""What a run can be, in the order in which one wants to see them."""


@dataclass(frozen=True)
class Planned:
    """A run that a sweep asks for.

    Attributes
    ----------
    name : str
        Of its folder.
    options : dict
        As `tauscope.runs.config.Config.to_dict` gives them.
    epochs : int
        Epochs at most.
    job : str
        Its job in SLURM's queue, as ``{submission}/{job}``; empty without one.
    """

    name: str
    options: Mapping[str, Any]
    epochs: int
    job: str = ""


@dataclass(frozen=True)
class Sight:
    """What a look at a run tells.

    Attributes
    ----------
    name : str
        Of its folder, relative to where one looked.
    state : str
        One of `STATES`.
    epoch : int
        Finished epochs.
    epochs : int or None
        Epochs at most, where that is known without asking the cell for its default.
    solved : str
        Largest N that it solved, or the last stage where no N is asked; empty if there is none.
    record : dict
        Of its last epoch; empty if there is none.
    changed : float
        When that ended, in seconds since 1970.
    problem : str
        Why it failed, or what is wrong with its files.
    planned : bool
        Whether a sweep asks for it.
    """

    name: str
    state: str
    epoch: int = 0
    epochs: int | None = None
    solved: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    changed: float = math.nan
    problem: str = ""
    planned: bool = False

    @property
    def is_to_come(self) -> bool:
        """Whether a sweep asks for more of it than there is, and nothing speaks against it."""
        return self.planned and self.state in ("pending", "stopped") and not self.problem


def read_plan(base: Path) -> dict[str, Planned]:
    """Return the runs that the sweep in a folder asks for, by their names; nothing without a sweep.

    Raises
    ------
    DamagedFileError
        If its file is not one that `tauscope.jobs.sweep.write_plan` wrote.
    """
    path = base / PLAN
    if not path.exists():
        return {}
    content = read_json(path)
    try:
        jobs = content["jobs"]
        runs = {
            name: Planned(str(name), dict(run["options"]), int(float(run["epochs"])), str(jobs.get(name, "")))
            for name, run in content["runs"].items()
        }
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} is not the plan of a sweep: expected what tauscope sweep writes") from error
    for name in runs:
        # Nothing outside the folder is looked at because a file says so.
        if name in ("", ".", "..") or "/" in name or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
            raise DamagedFileError(f"{path} names the run {name[:60]!r}: expected names of folders beside it")
    return runs


def queued_jobs() -> dict[str, str] | None:
    """Return the states of this user's jobs in SLURM's queue, by their ids; ``None`` without a SLURM that answers."""
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i %T"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split() for line in ended.stdout.splitlines())


def survey(base: Path) -> tuple[list[Sight], list[str]]:
    """Look at all runs under a folder, and at those that sweeps there ask for.

    Parameters
    ----------
    base : Path
        Searched with all below it; what lies inside a run folder is none of its business.

    Returns
    -------
    sights : list of Sight
        By the names of the folders.
    notices : list of str
        Plans that cannot be read.
    """
    folders, plans = _find(base)
    planned: dict[Path, Planned] = {}
    notices = []
    for place in plans:
        try:
            planned |= {place / name: run for name, run in read_plan(place).items()}
        except DamagedFileError as error:
            notices.append(str(error))
    queue = queued_jobs() if any(run.job for run in planned.values()) else None
    failures = cache(_failures)
    sights = []
    for folder in sorted({*folders, *planned}):
        run, name = planned.get(folder), os.path.relpath(folder, base)
        sight = look(folder, name, run, failures(folder.parent).get(folder.name, ""))
        sights.append(sight if run is None or queue is None else _queued(sight, run, queue))
    return sights, notices


def _find(base: Path) -> tuple[list[Path], list[Path]]:
    """Return the run folders and the folders with a plan, each once, by its own name rather than that of a link to it."""
    folders, plans, waiting, links, seen = [], [], [base], list[Path](), set[str]()
    while waiting or links:
        place = waiting.pop() if waiting else links.pop()
        real = os.path.realpath(place)
        # A link may lead to what was seen already, or in a circle: to where it lies itself.
        if real in seen or (place.is_symlink() and _is_below(os.path.realpath(place.parent), real)):
            continue
        seen.add(real)
        try:
            with os.scandir(place) as there:
                entries = {entry.name: entry for entry in there}
        except OSError:
            continue
        if CONFIG in entries:
            folders.append(place)
            continue
        if PLAN in entries:
            plans.append(place)
        for name, entry in entries.items():
            if name[0] != "." and os.path.isdir(entry):
                (links if entry.is_symlink() else waiting).append(place / name)
    return folders, plans


def _is_below(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def _failures(base: Path) -> dict[str, str]:
    """Return why runs in a folder failed, by their names."""
    found = {}
    with contextlib.suppress(OSError):
        for path in (base / FAILED).iterdir():
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(1000)
                found[path.name] = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    return found


def look(folder: Path, name: str, planned: Planned | None = None, failure: str = "") -> Sight:
    """Look at one run.

    Parameters
    ----------
    folder : Path
        Of the run; it need not exist if it is planned.
    name : str
        For the result.
    planned : Planned, optional
        What a sweep asks of it; by default it is asked for what its folder says.
    failure : str
        Why it failed when it was last tried.

    Examples
    --------
    >>> look(Path("nowhere"), "nowhere").state
    'pending'
    """
    about = Sight(name, "pending", epochs=None if planned is None else planned.epochs, planned=planned is not None)
    try:
        return _look(folder, about, planned, failure)
    except DamagedFileError as error:
        return replace(about, state="damaged", problem=str(error))
    except InputError as error:
        return replace(about, state="damaged", problem=f"{folder / CONFIG}: {error}")
    except (OSError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it does not hold the records of epochs"
        problem = f"{folder / METRICS} cannot be read: {why}"
        return replace(about, state="damaged", problem=problem)


def _look(folder: Path, about: Sight, planned: Planned | None, failure: str) -> Sight:
    begun = os.path.lexists(folder / CONFIG)
    if begun:
        options = read_options(folder)
        last, solved = last_records(folder)
        finished, epochs = _progress(folder, options, planned, last)
        about = replace(about, epochs=epochs)
        if last is not None:
            furthest = "" if solved is None else str(solved["Ns"][-1] if "Ns" in solved else solved["stage"])
            changed = (folder / METRICS).stat().st_mtime
            about = replace(about, epoch=int(last["epoch"]), solved=furthest, record=last, changed=changed)
        if finished:
            return replace(about, state="finished")
    state = "running" if is_locked(folder) else "failed" if failure else "stopped" if begun else "pending"
    return replace(about, state=state, problem=failure if state == "failed" else "")


def _progress(
    folder: Path, options: Mapping[str, Any], planned: Planned | None, last: Mapping[str, Any] | None
) -> tuple[bool, int | None]:
    """Return whether a run went as far as it is asked to, and its epochs at most.

    The last record tells both, as far as the run is asked for what its own options say.
    """
    asked = options if planned is None else planned.options
    same = all(options.get(name) == value for name, value in asked.items() if name != "seed")
    if last is not None and same and "epochs" in last:
        return bool(last["finished"]), int(last["epochs"])
    if last is None and planned is not None:
        return False, planned.epochs
    # What it is asked for has changed, or the record is of version 0.1: only its configuration knows.
    from tauscope.runs.asking import asked_for
    from tauscope.runs.config import config_of, own

    if any(own.is_own(asked.get(name)) for name in own.FLAGS):
        # Nobody named that code here, so that it is not imported: what ended before its epochs did has learnt all.
        epochs = int(asked["epochs"])
        learnt = last is not None and last["finished"] and last["epoch"] < last["epochs"]
        return last is not None and bool(learnt or last["epoch"] >= epochs), epochs
    config = config_of(dict(asked))
    return asked_for(config, read_metrics(folder))[1], config.recipe().epochs


def _queued(sight: Sight, planned: Planned, queue: Mapping[str, str]) -> Sight:
    """Return the sight of a run of which SLURM was asked too."""
    if not planned.job or sight.state not in ("pending", "stopped"):
        return sight
    job = planned.job.rpartition("/")[2]
    if job in queue:
        return replace(sight, state="pending")
    problem = f"job {job} is not in the queue any more: {SLURM}/{planned.job}_0_log.err may say why"
    return replace(sight, state="stopped", problem=problem)


def time_left(sights: Sequence[Sight]) -> tuple[dict[str, float], float | None]:
    """Estimate how long runs will take.

    A run is expected to take as many epochs as those took that are finished, at most its own limit, each as long as its
    last one; of a run that has not begun, as long as those of the others.

    Parameters
    ----------
    sights : sequence of Sight
        From `survey`.

    Returns
    -------
    running : dict of float
        Seconds that each running run will take, by name, where they can be told.
    total : float or None
        Seconds until all that is planned is done by as many at a time as are running; ``None`` if it cannot be told.

    Examples
    --------
    >>> done = Sight("a", "finished", epoch=10, epochs=100, record={"seconds": 2.0})
    >>> under_way = Sight("b", "running", epoch=4, epochs=100, record={"seconds": 3.0})
    >>> time_left([done, under_way, Sight("c", "pending", epochs=100, planned=True)])
    ({'b': 18.0}, 43.0)
    """
    paces = [sight.record["seconds"] for sight in sights if sight.record]
    typical = sum(paces) / len(paces) if paces else math.nan
    ends = [sight.epoch for sight in sights if sight.state == "finished"]
    usual = sum(ends) / len(ends) if ends else math.inf

    def left(sight: Sight) -> float:
        limit = math.inf if sight.epochs is None else sight.epochs
        epochs = min(usual if usual > sight.epoch else math.inf, limit) - sight.epoch
        return float(max(epochs, 0) * (sight.record["seconds"] if sight.record else typical))

    running = {sight.name: left(sight) for sight in sights if sight.state == "running"}
    waiting = sum(left(sight) for sight in sights if sight.is_to_come)
    total = (sum(running.values()) + waiting) / len(running) if running else math.nan
    total = max([total, *running.values()]) if math.isfinite(total) else math.nan
    known = {name: seconds for name, seconds in running.items() if math.isfinite(seconds)}
    return known, total if math.isfinite(total) else None
