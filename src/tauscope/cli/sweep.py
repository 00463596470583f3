"""``tauscope sweep``: many networks, here side by side or on SLURM; started again, it does what is left."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import TaskID
from rich.table import Table

from tauscope._streams import command_line
from tauscope._words import count
from tauscope.cli import flags, slurm_flags
from tauscope.cli.console import progress_bar
from tauscope.cli.progress import clock
from tauscope.errors import require_at_least
from tauscope.jobs import training as working
from tauscope.jobs.pool import Outcome, processors
from tauscope.jobs.signals import collect_signals
from tauscope.jobs.slurm import Request, script
from tauscope.jobs.sweep import Sweep, read_sweep, write_plan
from tauscope.jobs.training import run_sweep
from tauscope.runs.survey import survey

FAILED = 3
"""Exit code where a run failed; the others went on."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.epilog = "exit code: 0 if all runs are finished, or in SLURM's queue; 3 if one failed, the others went on"
    parser.add_argument("file", type=Path, help="what is asked for, in TOML: options, grid, runs, networks")
    parser.add_argument(
        "-b", "--base_path", "--base-path", type=Path, help="folder of the runs; by default the file's base_path"
    )
    parser.add_argument(
        "--jobs", type=int, help="runs at a time; by default one for each processor, one on a GPU, 256 on SLURM"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument(
        "--dry_run", "--dry-run", action="store_true", help="print the runs, and the script for SLURM, and end"
    )
    slurm_flags.add(parser, "runs")


def run(options: argparse.Namespace, console: Console) -> int:
    """Train what is left, or put it into the queue, and return the exit code."""
    request = slurm_flags.request(options)
    if options.jobs is not None:
        require_at_least("jobs", options.jobs, 1)
    sweep = read_sweep(options.file, options.base_path)
    if request is not None:
        return _submit(request, sweep, options, console)
    device = flags.device(options.device)
    n_processes = options.jobs or (processors() if device == "cpu" else 1)
    if options.dry_run:
        _print_runs(sweep, console)
        return 0
    write_plan(sweep, slurm_flags.still_queued(sweep))
    with collect_signals() as caught, RunsDisplay(console) as display:
        outcomes = run_sweep(
            sweep,
            n_processes,
            device=device,
            on_plan=display.on_plan,
            on_start=display.start,
            on_progress=display.on_progress,
            on_end=display.on_end,
            stop=lambda: bool(caught),
        )
    if outcomes is None:
        why, again = signal.Signals(caught[0]).name, _command(options)
        console.print(f"stopped by {why}, all saved; go on: {again}", soft_wrap=True)
        return 128 + caught[0]
    failed = {name: outcome.problem for name, outcome in outcomes.items() if outcome.problem}
    for name, problem in failed.items():
        flags.print_error(f"{name} failed: {problem}")
    return FAILED if failed else 0


def _command(options: argparse.Namespace) -> str:
    """Return the command line that goes on."""
    parts = ["tauscope", "sweep", str(options.file)]
    for flag in ("base_path", "jobs"):
        value = getattr(options, flag)
        parts += [] if value is None else [f"--{flag}", str(value)]
    return command_line(parts + (["--device", options.device] if options.device != "auto" else []))


def _submit(request: Request, sweep: Sweep, options: argparse.Namespace, console: Console) -> int:
    """Put into the queue what is left and not there already."""
    if options.dry_run:
        _print_runs(sweep, console)
        n = min(max(len(sweep.unfinished()), 1), request.array_size)
        print(script(request, sweep.base, n))
        return 0
    remaining = sweep.unfinished()
    slurm_flags.queue(request, sweep, remaining, options.device, console)
    return 0


def _print_runs(sweep: Sweep, console: Console) -> None:
    """Print every run, how far it is, and in what it differs from others."""
    states = {sight.name: sight.state for sight in survey(sweep.base)[0]} if sweep.base.is_dir() else {}
    all_given = list(sweep.given.values())
    shared = {key: value for key, value in all_given[0].items() if all(given.get(key) == value for given in all_given)}
    table = Table("run", "state", "options", title=f"{count(len(sweep.runs), 'run')} in {sweep.base}")
    for name, given in sweep.given.items():
        table.add_row(name, states.get(name, "pending"), _words(given, shared))
    console.print(table)
    console.print(f"all: {_words(shared, {})}", soft_wrap=True)


def _words(given: Mapping[str, Any], without: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in given.items() if key not in without)


class JobsDisplay:
    """A live bar for every job under way and one for all, and in any case one line for every job that has ended.

    Parameters
    ----------
    console : Console
        Where to show it.
    what : str
        What the jobs are, in the plural.
    """

    def __init__(self, console: Console, what: str) -> None:
        self._bar = progress_bar(console, "doing")
        self._all = self._bar.add_task(f"all {what}", total=1, doing="")
        self._tasks: dict[str, TaskID] = {}
        self._done, self._n, self._start = 0, 0, time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def plan(self, remaining: int) -> None:
        """Take the number of jobs."""
        self._n = remaining
        self._bar.update(self._all, total=remaining)

    def start(self, name: str) -> None:
        """Show a job that begins."""
        self._tasks[name] = self._bar.add_task(name, total=1, doing="starting")

    def progress(self, name: str, told: working.Progress) -> None:
        """Show how far a job is."""
        doing = f"epoch {told.epoch}/{told.epochs} | {told.doing}"
        self._bar.update(self._tasks[name], completed=told.epoch, total=told.epochs, doing=doing)

    def end(self, name: str, how: str, seconds: float) -> None:
        """Report a job that has ended."""
        self._bar.remove_task(self._tasks.pop(name))
        self._done += 1
        left = (time.monotonic() - self._start) / self._done * (self._n - self._done)
        self._bar.update(self._all, completed=self._done, doing=f"{self._done}/{self._n} | about {clock(left)} left")
        self.line(f"[{self._done}/{self._n}] {name}: {how} ({clock(seconds)})")

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        self._bar.console.print(text, highlight=False, soft_wrap=True, markup=False)


class RunsDisplay(JobsDisplay):
    """The jobs of a sweep.

    Parameters
    ----------
    console : Console
        Where to show them.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console, "runs")

    def on_plan(self, remaining: int, n: int) -> None:
        """Say what is left to do."""
        self.plan(remaining)
        self.line(f"{n - remaining} of {count(n, 'run')} finished already")

    def on_progress(self, name: str, told: working.Progress | str) -> None:
        """Show how far a run is, or what it notices."""
        if isinstance(told, str):
            self.line(f"{name}: note: {told}")
        else:
            self.progress(name, told)

    def on_end(self, name: str, outcome: Outcome) -> None:
        """Report a run that has ended."""
        how = f"failed: {outcome.problem}" if outcome.problem else outcome.value or "finished"
        self.end(name, how, outcome.seconds)
