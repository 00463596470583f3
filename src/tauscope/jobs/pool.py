"""A few processes that work off many jobs: what harms one job harms no other."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from tauscope._lazy import torch
from tauscope.errors import DivergedError, InputError, require_at_least

PATIENCE = 120.0
"""Seconds in which a job that is told to stop can save its state before it is killed."""

_TICK = 0.1
_UNGUARDED = 64
_GUARD = (
    "every process imports the script that starts it: expected what starts processes under if __name__ == '__main__':"
)
# What a job would have to import: the script that runs the jobs, all that trains and measures, what xarray writes files
# with, and what torch imports for a second when the first optimiser is made.
_PRELOADED = ("__main__", "tauscope.measurements.keeping", "h5netcdf", "torch._dynamo")

# Windows starts every process from nothing.
_START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@dataclass(frozen=True)
class Job:
    """Something to do in a process of its own.

    Attributes
    ----------
    name : str
        Unique among the jobs.
    function : callable
        Importable by its name. Its first argument is a function that sends a message, any value that can be pickled,
        to whoever runs the jobs; what it returns is the job's value. SIGTERM means that it has to stop: by default the
        process ends at once, `tauscope.jobs.signals.collect_signals` lets it save something first.
    arguments : tuple
        Its further arguments; they are pickled.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    value : object
        What its function returned.
    problem : str
        Why it failed, in one line; empty if it did not.
    seconds : float
        How long it took.
    """

    value: Any
    problem: str
    seconds: float


def processors() -> int:
    """Return how many processors this process may use.

    Its affinity (``taskset``), its cgroup's quota (containers) and ``SLURM_CPUS_PER_TASK`` limit those of the machine.

    Examples
    --------
    >>> processors() >= 1
    True
    """
    from joblib import cpu_count

    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    n = int(cpu_count())
    return min(n, int(given)) if given.isdecimal() and int(given) else n


def share(n_processes: int) -> int:
    """Return the threads of each of several processes that share the processors.

    None gets more than this process has, as ``OMP_NUM_THREADS``, ``MKL_NUM_THREADS``, or `torch.set_num_threads` said.

    Examples
    --------
    >>> share(10_000)
    1
    """
    return max(1, min(processors() // n_processes, torch.get_num_threads()))


def reason(error: BaseException) -> str:
    """Return what went wrong in one line; of an error that nobody foresaw also its kind and where it arose.

    Examples
    --------
    >>> reason(InputError("tau is 0.5: expected at least 1"))
    'tau is 0.5: expected at least 1'
    >>> reason(KeyError("x"))
    "KeyError: 'x'"
    """
    text = " ".join(str(error).split())
    if isinstance(error, InputError | DivergedError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text[:300]}{where}"


def run_jobs(
    jobs: Sequence[Job],
    n_processes: int,
    *,
    on_start: Callable[[Job], None] = lambda _: None,
    on_message: Callable[[Job, Any], None] = lambda *_: None,
    on_end: Callable[[Job, Outcome], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Outcome]:
    """Run jobs in their order, a few at a time, each in a process of its own.

    Every process computes with its share of the processors, and with no more threads than this one. Processes end by themselves when the one that runs the
    jobs is gone, however it ended.

    Parameters
    ----------
    jobs : sequence of Job
        What to do.
    n_processes : int
        How many at a time.
    on_start, on_message, on_end : callable, optional
        Called with a job that begins, with a job and each of its messages, and with a job and its outcome.
    stop : callable, optional
        Asked several times a second; when true, no further job begins, and those under way get SIGTERM and have
        `PATIENCE` to end.

    Returns
    -------
    dict of Outcome
        By the names of the jobs; those that were stopped or never begun are not in it.

    Raises
    ------
    InputError
        If not at least one process is asked for.

    Examples
    --------
    >>> run_jobs([], 2)
    {}
    """
    _end_if_imported()
    require_at_least("number of jobs at a time", n_processes, 1)
    context = multiprocessing.get_context(_START)
    if _START == "forkserver":
        context.set_forkserver_preload(list(_PRELOADED))
    threads = share(n_processes)
    waiting, running, outcomes = list(jobs), list[_Process](), dict[str, Outcome]()
    try:
        while (waiting or running) and not stop():
            while waiting and len(running) < n_processes:
                running.append(_Process(context, waiting.pop(0), threads))
                on_start(running[-1].job)
            for ended in _listen(running, on_message):
                running.remove(ended)
                outcomes[ended.job.name] = ended.outcome()
                on_end(ended.job, outcomes[ended.job.name])
    finally:
        _end(running)
    return outcomes


def _end_if_imported() -> None:
    """End a process that was started for a job and, importing the script that started it, is about to start jobs again."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(_UNGUARDED)


class _Process:
    """A job under way."""

    def __init__(self, context: BaseContext, job: Job, threads: int) -> None:
        self.job = job
        self.start = time.monotonic()
        self.messages, theirs = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_work, args=(theirs, job.function, job.arguments, threads), name=job.name
        )
        try:
            self.process.start()
        except (EOFError, ConnectionError) as error:  # the server that starts processes imported the script and is gone
            raise InputError(_GUARD) from error
        # The end of the job is the end of the pipe only once nobody else can write to it.
        theirs.close()
        self._end: tuple[Any, str] | None = None

    def hear(self, on_message: Callable[[Job, Any], None]) -> None:
        """Take the messages that have come."""
        # A killed process leaves a closed pipe, or half a message in it.
        with contextlib.suppress(EOFError, OSError):
            while self.messages.poll():
                kind, content = self.messages.recv()
                if kind == "message":
                    on_message(self.job, content)
                else:
                    self._end = content

    def outcome(self) -> Outcome:
        """Return how the job ended."""
        code = self.process.exitcode
        value, problem = self._end or (None, _violence(code if code is not None else 0))
        seconds = time.monotonic() - self.start
        self.close()
        return Outcome(value, problem, seconds)

    def close(self) -> None:
        """Give back what the process took."""
        self.messages.close()
        self.process.close()


def _violence(code: int) -> str:
    """Return what an exit code says of a process that could not say anything itself."""
    if code == _UNGUARDED:
        return _GUARD
    if code >= 0:
        return f"ended with exit code {code} before it was done"
    name = signal.Signals(-code).name
    return f"killed by signal {-code} ({name}{', out of memory?' if name == 'SIGKILL' else ''})"


def _listen(running: Sequence[_Process], on_message: Callable[[Job, Any], None]) -> list[_Process]:
    """Wait a moment for messages and ends, pass on the messages, and return the processes that have ended."""
    ends = [process.process.sentinel for process in running]
    wait([*ends, *(process.messages for process in running if not process.messages.closed)], timeout=_TICK)
    ended = [process for process in running if not process.process.is_alive()]
    for process in running:
        process.hear(on_message)
    return ended


def _end(running: Sequence[_Process]) -> None:
    """Tell processes to stop, wait for them, and kill those that do not."""
    for process in running:
        process.process.terminate()
    deadline = time.monotonic() + PATIENCE
    for process in running:
        while process.process.is_alive() and time.monotonic() < deadline:
            process.hear(lambda *_: None)
            process.process.join(_TICK)
        process.process.kill()
        process.process.join()
        process.close()


def _work(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...], threads: int) -> None:
    """Run a job; the first thing that its process does."""
    # Ctrl-C reaches every process of a terminal; this one is told by the one that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    torch.set_num_threads(threads)

    def send(content: Any, kind: str = "message") -> None:
        # Where nobody listens any more, what is on disk counts.
        with contextlib.suppress(OSError):
            connection.send((kind, content))

    try:
        end = function(send, *arguments), ""
    except Exception as error:
        end = None, reason(error)
    send(end, "end")


def _follow_parent() -> None:
    """Stop when the process is gone that started this one."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
