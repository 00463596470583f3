"""``tauscope analyze``: measure how trained networks hold their memory, and keep what was measured."""

from __future__ import annotations

import argparse
import difflib
import signal
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tauscope._words import count
from tauscope.cli import analyze_data, flags
from tauscope.cli.measurement_flags import add_options, given_options
from tauscope.cli.measurement_progress import MeasurementsDisplay, print_costs, where
from tauscope.errors import InputError, NotApplicableError, require_at_least, require_choice
from tauscope.jobs.pool import Job, Outcome, reason, run_jobs, share
from tauscope.jobs.signals import collect_signals
from tauscope.measurements import WHAT
from tauscope.runs.environment import environment
from tauscope.runs.loading import checkpoints_of, find_checkpoint

if TYPE_CHECKING:
    import xarray as xr

    from tauscope.measurements.keeping import Asked

FAILED = 3
"""Exit code where a network, a measurement or a picture failed; the others are there."""

_NAMES = ", ".join(WHAT)


def add(parser: flags.Parser) -> None:
    """Add the flags of this command, and of the measurements that are named."""
    parser.usage = "%(prog)s [options] what [what ...] path [path ...]"
    parser.epilog = "\n".join(
        [
            "examples:",
            "  tauscope analyze timescales runs/cumulative_parity_network_1",
            "  tauscope analyze timescales dimensionality runs/*_network_1 --last    (or: timescales,dimensionality)",
            "  tauscope analyze all runs/*_network_1 --last --jobs 4",
            "  tauscope analyze timescales --help    lists the options of timescales",
            "  tauscope analyze timescales --data spikes.nwb --bin_width 0.02    recorded neurons instead of a network",
            "The first argument that is no measurement is the first path; write ./timescales for a folder of that name.",
            "exit code: 0 if all was measured; 3 if a network, a measurement or a picture failed, the others are there; 2 if",
            "nothing could be measured",
        ]
    )
    parser.add_argument("what", metavar="what", help=f"what to measure, one or more: {_NAMES}")
    parser.add_argument(
        "paths",
        # With none among its flags, argparse would take none at once, and no path after a flag.
        nargs="*" if any(argument.partition("=")[0] == "--data" for argument in parser.arguments) else "+",
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
    analyze_data.add(parser)
    add_options(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure, print and keep the numbers, and return the exit code."""
    if options.data is not None:
        return analyze_data.run(options, console)
    analyze_data.refuse(options)
    asked, paths = _split([options.what, *options.paths])
    flags.own(options)
    require_at_least("epochs", options.epochs, 1)
    require_at_least("jobs", options.jobs, 1)
    if options.jobs > 1 and options.threads is not None:
        raise InputError(f"--threads {options.threads} with --jobs {options.jobs}: expected one of them")
    names = dict.fromkeys(name for what in asked for name in WHAT[what])
    given = {name: given_options(name, options) for name in names}
    checkpoints, unusable = _checkpoints(paths, options.last)
    flags.use_threads(options.threads)
    device = flags.device(options.device)
    here = environment(device) | ({"threads": share(options.jobs)} if options.jobs > 1 else {})
    jobs = [_job(checkpoint, name, options, given[name], here, device) for checkpoint in checkpoints for name in names]
    if "all" in asked or "retraining" in names:
        to_do = [job.arguments[0] for job in jobs if options.force or not job.arguments[0].target.exists()]
        print_costs(
            to_do,
            left_out="retraining" not in names,
            device=device,
            cell=options.cell,
            epochs=options.epochs,
            console=console,
        )
    with MeasurementsDisplay(console, len(jobs)) as display:
        outcomes, caught = _run_here(jobs, display) if options.jobs == 1 else _run_together(jobs, options.jobs, display)
    if caught:
        why = signal.Signals(caught[0]).name
        console.print(f"stopped by {why}; what was measured is kept, the same command goes on", highlight=False)
        return 128 + caught[0]
    by_name = {name for what in asked if what != "all" for name in WHAT[what]}
    return _report(jobs, outcomes, unusable, console, by_name)


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


def _job(
    checkpoint: Path,
    name: str,
    options: argparse.Namespace,
    given: Mapping[str, Any],
    here: dict[str, Any],
    device: str,
) -> Job:
    from tauscope.measurements.keeping import Asked, target

    asked = Asked(checkpoint, name, target(checkpoint, name, options.output), options.seed, dict(given))
    named = {"task": options.task, "curriculum_type": options.curriculum_type}
    return Job(f"{checkpoint} {name}", _analyse, (asked, here, options.force, device, options.cell, named))


def _run_together(
    jobs: Sequence[Job], n_processes: int, display: MeasurementsDisplay
) -> tuple[dict[str, Outcome], list[int]]:
    """Run jobs in so many processes at a time, and return their outcomes and the signals that stopped them."""
    with collect_signals() as caught:
        outcomes = run_jobs(
            jobs,
            n_processes,
            on_start=display.on_start,
            on_message=display.on_message,
            on_end=display.on_end,
            stop=lambda: bool(caught),
        )
    return outcomes, caught


def _run_here(jobs: Sequence[Job], display: MeasurementsDisplay) -> tuple[dict[str, Outcome], list[int]]:
    """Run jobs one after the other in this process, as `_run_together` does in others."""
    outcomes = {}
    for job in jobs:
        display.on_start(job)
        start = time.monotonic()
        value = job.function(partial(display.on_message, job), *job.arguments)
        outcomes[job.name] = Outcome(value, "", time.monotonic() - start)
        display.on_end()
    return outcomes, []


@dataclass(frozen=True)
class _Measured:
    """What a job came to.

    Attributes
    ----------
    rows : list of (str, str)
        Numbers by their names; empty where nothing was measured.
    lacking : str
        What the network lacks for the measurement.
    problem : str
        Why the measurement failed otherwise.
    unforeseen : bool
        Whether that was no bad input.
    undrawn : dict
        Why pictures could not be drawn, by the names of their files.
    """

    rows: list[tuple[str, str]] = field(default_factory=list)
    lacking: str = ""
    problem: str = ""
    unforeseen: bool = False
    undrawn: dict[str, str] = field(default_factory=dict)


def _analyse(
    tell: Callable[[str], None],
    asked: Asked,
    here: dict[str, Any],
    force: bool,
    device: str,
    cell: str | None,
    named: dict[str, Any],
) -> _Measured:
    """Measure, or read what was measured, and draw the pictures that are not there; no error is raised."""
    try:
        from tauscope.measurements import number_table
        from tauscope.measurements.keeping import draw
        from tauscope.runs.config import allow

        # In a process of its own nothing has been named yet.
        allow(named)
        result = _result(tell, asked, here, force, device, cell)
        undrawn = draw(asked, result, device=device, cell=cell)
        rows = number_table(asked.how.numbers(result))
        rows += [("advice", str(result.attrs["advice"]))] if "advice" in result.attrs else []
    except NotApplicableError as error:
        return _Measured(lacking=str(error))
    except InputError as error:
        return _Measured(problem=reason(error))
    except Exception as error:  # of one network: the others still get their results
        return _Measured(problem=reason(error), unforeseen=True)
    return _Measured(rows, undrawn={name: reason(error) for name, error in undrawn.items()})


def _report(
    jobs: Sequence[Job],
    outcomes: Mapping[str, Outcome],
    unusable: Mapping[Path, str],
    console: Console,
    by_name: Set[str],
) -> int:
    """Print what was measured, what was passed over and what failed, and return the exit code.

    What a network lacks for a measurement that was asked for by its name is a failure; as a part of "all" it is none.
    """
    table = Table("network", "measurement", "quantity", "value")
    passed_over: dict[tuple[Path, str], list[str]] = {}
    refused: dict[tuple[str, str], list[Path]] = {}
    failed: list[str] = []
    unforeseen = False
    for job in jobs:
        asked, outcome = job.arguments[0], outcomes[job.name]
        # A process that was killed leaves nothing but its problem.
        measured = outcome.value or _Measured(problem=outcome.problem, unforeseen=True)
        unforeseen |= measured.unforeseen or bool(measured.undrawn)
        for i, row in enumerate(measured.rows):
            table.add_row(escape(where(asked.checkpoint)) if i == 0 else "", asked.name if i == 0 else "", *row)
        if measured.lacking and asked.name not in by_name:
            passed_over.setdefault((asked.checkpoint, measured.lacking), []).append(asked.name)
        elif measured.problem and not measured.unforeseen:
            refused.setdefault((asked.name, measured.problem), []).append(asked.checkpoint)
        elif measured.lacking or measured.problem:
            failed.append(f"{asked.checkpoint} {asked.name}: {measured.lacking or measured.problem}")
        failed += [f"{asked.target.with_name(name)} cannot be drawn, its result is kept: {why}"
                   for name, why in measured.undrawn.items()]  # fmt: skip
    failures = [*unusable.values(), *_said_once(refused), *failed]
    for failure in failures:
        flags.print_error(failure)
    for (checkpoint, why), names in passed_over.items():
        console.print(
            f"passed over: {checkpoint} {', '.join(names)}: {why}", highlight=False, soft_wrap=True, markup=False
        )
    if table.row_count:
        console.print(table)
        folders = sorted({str(job.arguments[0].target.parent) for job in jobs if job.arguments[0].target.exists()})
        console.print(
            f"results (netCDF, CSV, PNG) in {', '.join(folders)}", highlight=False, soft_wrap=True, markup=False
        )
    if not failures:
        return 0
    return FAILED if table.row_count or passed_over or unforeseen else 2


def _said_once(refused: Mapping[tuple[str, str], Sequence[Path]]) -> list[str]:
    """Return a line for every measurement and reason: an option that is wrong is wrong for every network."""
    return [
        f"{first} {name}: {why}" + (f" (and so for {count(len(others), 'other network')})" if others else "")
        for (name, why), (first, *others) in refused.items()
    ]


def _checkpoints(paths: Sequence[Path], last: bool) -> tuple[list[Path], dict[Path, str]]:
    """Return the checkpoints that paths mean, each once, and why other paths mean none.

    Raises
    ------
    InputError
        If no path means any.
    """
    found: list[Path] = []
    unusable: dict[Path, str] = {}
    for path in paths:
        close = difflib.get_close_matches(str(path), WHAT, n=1, cutoff=0.7)
        if close and not path.exists():
            raise InputError(f"{path} is no measurement and no path: did you mean {close[0]!r}?")
        try:
            furthest = find_checkpoint(path)
            if not furthest.is_file():
                raise InputError(f"{path} does not exist: expected a checkpoint or a run folder")
            found += checkpoints_of(path) if path.is_dir() and not last else [furthest]
        except InputError as error:
            unusable[path] = str(error)
        except OSError as error:
            unusable[path] = f"{path}: {error.strerror or error}; expected what can be read"
    if not found:
        *others, first = unusable.values()
        for other in others:
            flags.print_error(other)
        raise InputError(first)
    return list(dict.fromkeys(found)), unusable


def _result(
    tell: Callable[[str], None], asked: Asked, here: dict[str, Any], force: bool, device: str, cell: str | None
) -> xr.Dataset:
    """Return the kept result if it is current; otherwise measure it and keep it."""
    if not force and asked.target.exists():
        kept = asked.current(here)
        if kept is None:
            raise InputError(
                f"{asked.target} holds another result (network, options or version); expected --force to overwrite"
            )
        return kept
    from tauscope.measurements.keeping import measure

    return measure(asked, here, device=device, cell=cell, tell=tell)
