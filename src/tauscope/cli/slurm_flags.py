"""The flags of SLURM, and what they put into its queue."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console

from tauscope._streams import command_line
from tauscope._words import count
from tauscope.cli import flags
from tauscope.errors import InputError
from tauscope.jobs.slurm import QueuedRun, Request, submit
from tauscope.jobs.sweep import Sweep, write_plan
from tauscope.runs.folder import is_locked
from tauscope.runs.survey import SLURM, queued_jobs, read_plan


def add(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the flags to a command that puts something, in the plural, into the queue."""
    group = parser.add_argument_group("SLURM")
    group.add_argument("--slurm", action="store_true", help=f"put the {what} into the queue of a cluster, and end")
    group.add_argument("--partition", help="where they run; by default the cluster's")
    group.add_argument(
        "--time",
        type=flags.duration,
        help="of a job at a time, e.g. 30m, 4h (1h); a longer run goes on in the next one",
    )
    group.add_argument("--memory", help="of a run, e.g. 4G; by default the cluster's")
    group.add_argument("--cpus", type=int, help="processors of a run (1)")
    group.add_argument("--gpus", type=int, help="GPUs of a run (0)")
    group.add_argument("--array_size", "--array-size", type=int, help="jobs of an array at most (1000)")
    group.add_argument(
        "--sbatch", action="append", metavar="KEY=VALUE", help="any other option of sbatch; may be repeated"
    )


def request(options: argparse.Namespace) -> Request | None:
    """Return what is asked of SLURM."""
    given = {name: getattr(options, name) for name in ("partition", "memory", "cpus", "gpus", "array_size")}
    given = {name: value for name, value in given.items() if value is not None}
    if options.time is not None:
        given["minutes"] = -int(-options.time // 60)
    if options.sbatch is not None:
        pairs = [option.lstrip("-").partition("=") for option in options.sbatch]
        given["extra"] = {name: value if equals else True for name, equals, value in pairs}
    if not options.slurm:
        if given:
            name = {"minutes": "time", "extra": "sbatch"}.get(next(iter(given)), next(iter(given)))
            raise InputError(f"--{name} is for SLURM: expected --slurm too")
        return None
    return Request(**given, **({} if options.jobs is None else {"at_a_time": options.jobs}))


def still_queued(sweep: Sweep) -> dict[str, str]:
    """Return the jobs that an earlier call put into SLURM's queue and that are there still."""
    jobs = {name: run.job for name, run in read_plan(sweep.base).items() if run.job and name in sweep.runs}
    queue = queued_jobs() or {} if jobs else {}
    return {name: job for name, job in jobs.items() if job.rpartition("/")[2] in queue}


def queue(
    request: Request,
    sweep: Sweep,
    remaining: Sequence[str],
    device: str,
    console: Console,
    job: Callable[[str, dict[str, Any], str, int], QueuedRun] = QueuedRun,
) -> None:
    """Put the runs that remain and that nobody works on into the queue, and say so.

    Parameters
    ----------
    request : Request
        What is asked for every run.
    sweep : Sweep
        Whose runs they are.
    remaining : sequence of str
        Names of the runs that are not done.
    device : str
        Where they compute; ``"auto"`` is the GPU where one is asked for.
    console : Console
        Where to say it.
    job : callable, optional
        As in `tauscope.jobs.slurm.submit`.
    """
    jobs = still_queued(sweep)
    names = [name for name in remaining if name not in jobs and not is_locked(sweep.base / name)]
    device = ("cuda" if request.gpus else "cpu") if device == "auto" else device

    def keep(array: dict[str, str]) -> None:
        jobs.update(array)
        write_plan(sweep, jobs)
        ids = sorted({job.rpartition("/")[2].partition("_")[0] for job in array.values()})
        text = f"{count(len(array), 'run')} in the queue as job {', '.join(ids)}; logs in {sweep.base / SLURM}"
        console.print(text, soft_wrap=True)

    submit(request, sweep, names, device, keep, job)
    if not names:
        write_plan(sweep, jobs)
    text = f"{len(sweep.runs) - len(remaining)} finished, {len(remaining) - len(names)} running or in the queue before"
    console.print(f"{text}; look: {command_line(['tauscope', 'status', sweep.base])}", soft_wrap=True)
