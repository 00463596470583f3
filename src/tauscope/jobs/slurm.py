"""A sweep on SLURM: arrays of jobs through submitit, each of which trains one run and puts itself back into the queue."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tauscope._lazy import torch
from tauscope._streams import lasting_streams
from tauscope.errors import InputError, require_at_least
from tauscope.jobs.pool import reason
from tauscope.jobs.signals import collect_signals
from tauscope.jobs.sweep import Sweep, make
from tauscope.jobs.training import LEFT_ALONE, Progress, go_on, note_failure
from tauscope.runs.config import allow, config_of
from tauscope.runs.survey import SLURM, queued_jobs

WARNING = getattr(signal, "SIGUSR2", signal.SIGTERM)
"""What SLURM sends before a job's time is up; submitit asks it to. Windows, which has no SLURM, has no such signal."""

REQUEUES = 10_000
"""How often a job whose time is up puts itself back into the queue; a run is trained for days, a job for hours."""

# Python, with signals held back until there is a handler: while it imports what a job needs, they would end it.
_HELD = (signal.SIGTERM, WARNING)
_PYTHON = (
    f"import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {[int(number) for number in _HELD]}); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)

_OWN_OPTIONS = {
    "array": "--array_size and --jobs",
    "cpus-per-task": "--cpus",
    "error": "its own log",
    "gpus-per-node": "--gpus",
    "job-name": "the name of the sweep's folder",
    "mem": "--memory",
    "nodes": "one node",
    "ntasks-per-node": "one task",
    "open-mode": "append",
    "output": "its own log",
    "partition": "--partition",
    "time": "--time",
}


@dataclass(frozen=True)
class Request:
    """What is asked of SLURM for every run.

    Attributes
    ----------
    minutes : int
        Of a job at a time; whatever is not done then is done by the same job, in the queue again.
    partition, memory : str, optional
        By default the cluster's.
    cpus, gpus : int
        Processors, which are the threads of a run, and GPUs.
    at_a_time : int
        Jobs of an array that run side by side at most.
    array_size : int
        Jobs of an array at most; clusters allow 1000 unless they say otherwise (``MaxArraySize``).
    extra : dict
        Further options of ``sbatch``; ``True`` for one without a value.
    """

    minutes: int = 60
    partition: str | None = None
    memory: str | None = None
    cpus: int = 1
    gpus: int = 0
    at_a_time: int = 256
    array_size: int = 1000
    extra: Mapping[str, str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("minutes", 1), ("cpus", 1), ("gpus", 0), ("at_a_time", 1), ("array_size", 1)):
            require_at_least(name, getattr(self, name), least)
        if self.memory is not None and not re.fullmatch(r"[1-9]\d*[KMGT]?", self.memory):
            raise InputError(f"memory is {self.memory!r}: expected a number of megabytes, or such as 4G")
        for name, value in {"partition": self.partition, **self.extra}.items():
            if isinstance(value, str) and not value.isprintable():
                raise InputError(f"sbatch option {name} is {value!r}: expected one line")
        for name in self.extra:
            if not re.fullmatch(r"[a-z][a-z-]*", name):
                raise InputError(f"sbatch option {name!r}: expected a name such as account, or account=NAME")
            if name in _OWN_OPTIONS:
                raise InputError(f"sbatch option {name} is set by tauscope: expected {_OWN_OPTIONS[name]}")
        told = self.extra.get("signal", "USR2@90")
        if not re.fullmatch(r"(R:)?USR2@\d+", str(told)):
            raise InputError(f"sbatch option signal is {told}: expected USR2@ and seconds, such as USR2@90")

    def parameters(self, name: str) -> dict[str, Any]:
        """Return them as submitit takes them."""
        chosen = {"partition": self.partition, "mem": self.memory, "gpus_per_node": self.gpus or None}
        return {key: value for key, value in chosen.items() if value is not None} | {
            "job_name": name,
            "time": self.minutes,
            "cpus_per_task": self.cpus,
            "array_parallelism": self.at_a_time,
            # A cluster may refuse to requeue jobs that did not say that they can be.
            "additional_parameters": {"requeue": True, **self.extra},
            # From version 22.05 on, srun does not ask for as many processors as sbatch did.
            "srun_args": ["--cpus-per-task", str(self.cpus)],
        }


class QueuedRun:
    """A run as a job of submitit, which pickles it: plain values alone.

    Parameters
    ----------
    folder : str
        Of the run.
    options : dict
        Of its configuration.
    device : str
        Where to compute.
    threads : int
        Of torch.
    """

    def __init__(self, folder: str, options: dict[str, Any], device: str, threads: int) -> None:
        self.folder = folder
        self.options = options
        self.device = device
        self.threads = threads

    def __call__(self) -> str:
        """Train as long as there is time; return how it ended, or leave for the queue."""
        folder = Path(self.folder)
        torch.set_num_threads(self.threads)
        note_failure(folder, "")
        try:
            with lasting_streams():
                return self._go_on(folder)
        except Exception as error:
            note_failure(folder, reason(error))
            raise

    def _go_on(self, folder: Path) -> str:
        allow(self.options)
        with _warnings() as caught:
            training = go_on(folder, config_of(self.options), self.device, _Log(), lambda: bool(caught))
        if training is None or training.finished:
            return LEFT_ALONE if training is None else "finished"
        names = ", ".join(signal.Signals(number).name for number in caught)
        end = f"stopped by {names} in epoch {training.epoch + 1} after step {training.step}, all saved"
        print(end, flush=True)
        # SIGTERM tells of a decision of SLURM's that stands (cancelled, requeued by others, out of time); where the job
        # goes on all the same, it is a warning too: it is about to make room for another.
        if WARNING in caught or _is_to_go_on():
            # All is saved, so that this handler of submitit's finds nothing left to do but to ask for the queue.
            signal.raise_signal(WARNING)
        return end

    def checkpoint(self) -> Any:
        """Return what a job in the queue again has to do: the same, from where the run folder says."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@contextlib.contextmanager
def _warnings() -> Iterator[list[int]]:
    """Collect SIGTERM, SIGINT and the warning of a time limit, so that they find a state saved."""
    with collect_signals(patient=True) as caught:
        before = signal.signal(WARNING, lambda number, _: caught.append(number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
        try:
            yield caught
        finally:
            signal.signal(WARNING, before)


def _is_to_go_on() -> bool:
    """Return whether SLURM means this job to go on running."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    return (queued_jobs() or {}).get(job) == "RUNNING"


class _Log:
    """What a job prints: what is noticed, and a line for every epoch."""

    epoch = -1

    def __call__(self, told: Progress | str) -> None:
        if isinstance(told, str):
            print(f"note: {told}", flush=True)
        elif told.epoch > self.epoch:
            self.epoch = told.epoch
            print(f"epoch {told.epoch}/{told.epochs}, {told.doing}", flush=True)


def script(request: Request, base: Path, n: int) -> str:
    """Return the script that an array of jobs is submitted with.

    Parameters
    ----------
    request : Request
        What is asked for.
    base : Path
        Folder of the runs.
    n : int
        Jobs of the array.

    Raises
    ------
    InputError
        If submitit is not installed.
    """
    executor = _executor(request, base, "1")
    if n > 1:
        executor.parameters["map_count"] = n
    return str(executor._make_submission_file_text(executor._submitit_command_str, ""))


def submit(
    request: Request,
    sweep: Sweep,
    names: Sequence[str],
    device: str,
    on_array: Callable[[dict[str, str]], None],
    job: Callable[[str, dict[str, Any], str, int], QueuedRun] = QueuedRun,
) -> None:
    """Put runs into SLURM's queue.

    Parameters
    ----------
    request : Request
        What is asked for every run.
    sweep : Sweep
        Whose runs they are.
    names : sequence of str
        Which of them.
    device : str
        Where they compute.
    on_array : callable
        Called with the jobs of every array that is in the queue, by the names of their runs.
    job : callable, optional
        Makes the job of a run from its folder, options, device and threads.

    Raises
    ------
    InputError
        If submitit is not installed, there is no SLURM here, or it refuses.
    """
    for program in ("sbatch", "srun", "squeue", "scontrol"):
        if shutil.which(program) is None:
            raise InputError(f"{program} is not found: expected a login node of a SLURM cluster, or no --slurm")
    for i in range(0, len(names), request.array_size):
        array = names[i : i + request.array_size]
        submission = _new_folder(sweep.base / SLURM)
        runs = [
            job(str((sweep.base / name).absolute()), sweep.runs[name].to_dict(), device, request.cpus) for name in array
        ]
        try:
            # What sbatch says is told below, in one line.
            with _outside_of_jobs(), contextlib.redirect_stderr(io.StringIO()):
                jobs = _executor(request, sweep.base, submission.name).submit_array(runs)
        except Exception as error:
            shutil.rmtree(submission)
            why = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"SLURM refuses {len(array)} jobs: {why[:300]}") from error
        on_array({name: f"{submission.name}/{job.job_id}" for name, job in zip(array, jobs, strict=True)})


def _executor(request: Request, base: Path, submission: str) -> Any:
    """Return what submits jobs, with its pickles and logs in a folder of its own."""
    try:
        from submitit import SlurmExecutor
    except ImportError as error:
        raise InputError("submitit is not installed: expected pip install 'tauscope[slurm]'") from error

    class Executor(SlurmExecutor):
        """One that can say what it would submit where there is no SLURM."""

        @classmethod
        def affinity(cls) -> int:
            return 1

    folder = base.absolute() / SLURM / submission
    if "%" in str(folder) or not str(folder).isprintable():
        raise InputError(
            f"{str(base)!r} cannot be the folder of jobs: SLURM reads its % or what does not print otherwise"
        )
    executor = Executor(folder, max_num_timeout=REQUEUES, python=shlex.join([sys.executable, "-c", _PYTHON]))
    executor.update_parameters(**request.parameters(re.sub(r"[^\w.-]", "_", base.absolute().name) or "sweep"))
    return executor


def _new_folder(parent: Path) -> Path:
    """Make a folder numbered on from those that are there, which nobody else can write to or read."""
    make(parent)
    number = 1 + max((int(folder.name) for folder in parent.iterdir() if folder.name.isdecimal()), default=0)
    while True:
        try:
            (parent / str(number)).mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise InputError(f"cannot write to {parent}: {error.strerror}; expected a writable folder") from error
        else:
            return parent / str(number)


@contextlib.contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Hide what a job that submits others would hand on to them."""
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_")) and name != "SLURM_CONF"
    }
    try:
        yield
    finally:
        os.environ.update(hidden)
