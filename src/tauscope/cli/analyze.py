"""``tauscope analyze``: measure how trained networks hold their memory, and keep what was measured."""

from __future__ import annotations

import argparse
import difflib
import signal
import time
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from tauscope.cli import flags
from tauscope.errors import InputError, NotApplicableError, require_at_least, require_choice
from tauscope.jobs.pool import Job, Outcome, reason, run_jobs, share
from tauscope.jobs.signals import collect_signals
from tauscope.measurements import WHAT
from tauscope.runs.environment import environment
from tauscope.runs.loading import checkpoints_of, find_checkpoint

if TYPE_CHECKING:
    import xarray as xr

    from tauscope.measurements.keeping import Asked

_NAMES = ", ".join(WHAT)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.usage = "%(prog)s [options] what [what ...] path [path ...]"
    parser.epilog = "\n".join(
        [
            "examples:",
            "  tauscope analyze timescales runs/cumulative_parity_network_1",
            "  tauscope analyze timescales dimensionality runs/*_network_1 --last    (or: timescales,dimensionality)",
            "  tauscope analyze all runs/*_network_1 --last --jobs 4",
            "The first argument that is no measurement is the first path; write ./timescales for a folder of that name.",
        ]
    )
    parser.add_argument("what", metavar="what", help=f"what to measure, one or more: {_NAMES}")
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="path",
        help="checkpoints, or run folders for all of theirs; before them, further measurements",
    )
    parser.add_argument("--last", action="store_true", help="of a run folder, take its furthest checkpoint alone")
    parser.add_argument("-s", "--seed", type=flags.seed, default=0, help="of the measurement's random numbers")
    parser.add_argument("--epochs", type=int, default=20, help="of retraining, at each N")
    parser.add_argument("-o", "--output", type=Path, help="folder for the results; by default each run's own")
    parser.add_argument("--force", action="store_true", help="measure again and overwrite")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument(
        "--jobs", type=int, default=1, help="measurements at a time, each with its share of the processors"
    )
    parser.add_argument("--threads", type=int, help="processor threads of one measurement at a time")
    parser.add_argument("--cell", help="module:Class of a cell of your own")
    flags.add_own(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure, print and keep the numbers, and return the exit code."""
    asked, paths = _split([options.what, *options.paths])
    flags.own(options)
    require_at_least("epochs", options.epochs, 1)
    require_at_least("jobs", options.jobs, 1)
    if options.jobs > 1 and options.threads is not None:
        raise InputError(f"--threads {options.threads} with --jobs {options.jobs}: expected one of them")
    checkpoints = _checkpoints(paths, options.last)
    flags.use_threads(options.threads)
    device = flags.device(options.device)
    here = environment(device) | ({"threads": share(options.jobs)} if options.jobs > 1 else {})
    jobs = [
        _job(checkpoint, name, options, here, device)
        for checkpoint in checkpoints
        for name in dict.fromkeys(name for what in asked for name in WHAT[what])
    ]
    columns = (TextColumn("{task.description}", markup=False), *Progress.get_default_columns()[1:])
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(jobs))
        begin, end = (lambda job: bar.update(task, description=job.name)), (lambda *_: bar.advance(task))
        if options.jobs == 1:
            outcomes = _one_by_one(jobs, begin, end)
        else:
            with collect_signals() as caught:
                outcomes = run_jobs(jobs, options.jobs, on_start=begin, on_end=end, stop=lambda: bool(caught))
            if caught:
                why = signal.Signals(caught[0]).name
                console.print(f"stopped by {why}; what was measured is kept, the same command goes on", highlight=False)
                return 128 + caught[0]
    by_name = {name for what in asked if what != "all" for name in WHAT[what]}
    return _report(jobs, outcomes, console, by_name)


def _split(arguments: Sequence[str]) -> tuple[tuple[str, ...], list[Path]]:
    """Return the measurements and the paths of a command line: up to the first path, all are measurements.

    Examples
    --------
    >>> _split(["timescales", "balance,lyapunov", "runs/a", "runs/b"])
    (('timescales', 'balance', 'lyapunov'), [PosixPath('runs/a'), PosixPath('runs/b')])
    """
    what: tuple[str, ...] = ()
    for i, text in enumerate(arguments):
        names = tuple(text.split(","))
        if what and names[0] not in WHAT:
            return what, [Path(path) for path in arguments[i:]]
        for name in names:
            require_choice("measurement", name, WHAT)
        what += names
    raise InputError(
        f"measurements {', '.join(what)} without a path: expected checkpoints or run folders after them, and ./NAME for a "
        "folder that is named like a measurement"
    )


def _job(checkpoint: Path, name: str, options: argparse.Namespace, here: dict[str, Any], device: str) -> Job:
    from tauscope.measurements.keeping import Asked, target

    own = {"epochs": options.epochs} if name == "retraining" else {}
    asked = Asked(checkpoint, name, target(checkpoint, name, options.output), options.seed, own)
    named = {"task": options.task, "curriculum_type": options.curriculum_type}
    return Job(f"{checkpoint} {name}", _analyse, (asked, here, options.force, device, options.cell, named))


def _where(checkpoint: Path) -> str:
    return f"{checkpoint.parent.name}/{checkpoint.name}"


def _one_by_one(
    jobs: Sequence[Job], begin: Callable[[Job], None], end: Callable[[Job, Outcome], None]
) -> dict[str, Outcome]:
    """Do jobs in this process, as `run_jobs` does them in others."""
    outcomes = {}
    for job in jobs:
        begin(job)
        start, value, problem = time.monotonic(), None, ""
        try:
            value = job.function(None, *job.arguments)
        except InputError as error:
            problem = reason(error)
        outcomes[job.name] = Outcome(value, problem, time.monotonic() - start)
        end(job, outcomes[job.name])
    return outcomes


def _analyse(
    _: object, asked: Asked, here: dict[str, Any], force: bool, device: str, cell: str | None, named: dict[str, Any]
) -> tuple[list[tuple[str, str]], str]:
    """Return the numbers of a measurement, measured now or kept, and what the network lacks for it, one of which is empty."""
    from tauscope.measurements import number_table
    from tauscope.runs.config import allow

    # In a process of its own nothing has been named yet.
    allow(named)
    try:
        return number_table(asked.how.numbers(_result(asked, here, force, device, cell))), ""
    except NotApplicableError as error:
        return [], str(error)


def _report(jobs: Sequence[Job], outcomes: Mapping[str, Outcome], console: Console, by_name: Set[str]) -> int:
    """Print what was measured, what was passed over and what failed, and return the exit code.

    What a network lacks for a measurement that was asked for by its name is a failure; as a part of "all" it is none.
    """
    table = Table("network", "measurement", "quantity", "value")
    passed_over: dict[tuple[Path, str], list[str]] = {}
    failed = False
    for job in jobs:
        asked, outcome = job.arguments[0], outcomes[job.name]
        rows, lacking = outcome.value or ([], "")
        for i, row in enumerate(rows):
            table.add_row(_where(asked.checkpoint) if i == 0 else "", asked.name if i == 0 else "", *row)
        if lacking and asked.name not in by_name:
            passed_over.setdefault((asked.checkpoint, lacking), []).append(asked.name)
        elif lacking or outcome.problem:
            # Other networks and measurements still get their results.
            failed = True
            flags.print_error(f"{asked.checkpoint} {asked.name}: {lacking or outcome.problem}")
    for (checkpoint, why), names in passed_over.items():
        console.print(f"passed over: {checkpoint} {', '.join(names)}: {why}", highlight=False, soft_wrap=True)
    if table.row_count:
        console.print(table)
        folders = sorted({str(job.arguments[0].target.parent) for job in jobs if job.arguments[0].target.exists()})
        console.print(f"results (netCDF, CSV, PNG) in {', '.join(folders)}", highlight=False, soft_wrap=True)
    return 2 if failed else 0


def _checkpoints(paths: list[Path], last: bool) -> list[Path]:
    """Return the checkpoints that paths mean, each once, refusing a path without any."""
    found: list[Path] = []
    for path in paths:
        close = difflib.get_close_matches(str(path), WHAT, n=1, cutoff=0.7)
        if close and not path.exists():
            raise InputError(f"{path} is no measurement and no path: did you mean {close[0]!r}?")
        furthest = find_checkpoint(path)
        if not furthest.is_file():
            raise InputError(f"{path} does not exist: expected a checkpoint or a run folder")
        found += checkpoints_of(path) if path.is_dir() and not last else [furthest]
    return list(dict.fromkeys(found))


def _result(asked: Asked, here: dict[str, Any], force: bool, device: str, cell: str | None) -> xr.Dataset:
    """Return the kept result if it is current; otherwise measure it and keep it."""
    if not force and asked.target.exists():
        kept = asked.current(here)
        if kept is None:
            raise InputError(
                f"{asked.target} holds another result (network, options or version); expected --force to overwrite"
            )
        return kept
    from tauscope.measurements.keeping import measure

    return measure(asked, here, device=device, cell=cell)
