"""Doing a run that was planned: from where it is to its end, and many of them side by side."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tauscope.errors import InputError
from tauscope.jobs.pool import PATIENCE, Job, Outcome, run_jobs
from tauscope.jobs.signals import collect_signals
from tauscope.jobs.sweep import Sweep
from tauscope.learning.state import Training
from tauscope.learning.training import train
from tauscope.runs.config import Config
from tauscope.runs.files import write_atomically
from tauscope.runs.folder import is_locked
from tauscope.runs.run import Run
from tauscope.runs.survey import FAILED

LEFT_ALONE = "left to the process that is training it"

# Seconds.
_POLL, _TELL_EVERY = 0.2, 5.0


def note_failure(folder: Path, problem: str) -> None:
    """Keep in one line, beside the run folders, why a run failed; an empty one says that it did not, or is tried again.

    Where that cannot be written, it is passed over: a full disk, which may be why, must not end other runs too.

    Parameters
    ----------
    folder : Path
        Of the run.
    problem : str
        Why.
    """
    path = folder.parent / FAILED / folder.name
    with contextlib.suppress(OSError, InputError):
        if problem:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, f"{' '.join(problem.split())}\n".encode())
        else:
            path.unlink()


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    epoch, epochs : int
        Finished epochs, of how many at most.
    doing : str
        What is done now, in words.
    """

    epoch: int
    epochs: int
    doing: str


def go_on(
    folder: Path,
    config: Config,
    device: str,
    tell: Callable[[Progress | str], None],
    stop: Callable[[], bool],
    patience: float = PATIENCE,
) -> Training | None:
    """Train a run from where it is to its end, or until it is told to stop.

    Parameters
    ----------
    folder : Path
        Of the run.
    config : Config
        What it is asked for.
    device : str
        Where to compute.
    tell : callable
        Takes a `Progress` now and then, and what `tauscope.runs.run.Run.begin` notices.
    stop : callable
        Asked after every step.
    patience : float
        Seconds to wait while another process writes to the folder: one whose command was killed is saving its state.

    Returns
    -------
    Training or None
        What was reached; ``None`` if it is left to another process.

    Raises
    ------
    InputError, DivergedError
        As `tauscope.runs.run.Run` and `tauscope.learning.training.train` do.
    """
    deadline = time.monotonic() + patience
    while is_locked(folder) and time.monotonic() < deadline and not stop():
        time.sleep(_POLL)
    try:
        opened = Run(folder, config, device)
    except InputError:
        if is_locked(folder):
            return None
        raise
    told = -math.inf

    def report(training: Training, _: object) -> None:
        nonlocal told
        told = time.monotonic()
        tell(Progress(training.epoch, training.recipe.epochs, f"learning {training.curriculum.stage.name}"))

    def report_sometimes(training: Training, loss: float) -> None:
        if time.monotonic() - told > _TELL_EVERY:
            report(training, loss)

    with opened:
        model, state, notices = opened.begin()
        for notice in notices:
            tell(notice)
        config = opened.config
        return train(
            model,
            config.template(),
            config.curriculum(),
            config.recipe(),
            state=state,
            store=opened,
            on_step=report_sometimes,
            on_epoch=report,
            stop=stop,
        )


def work(send: Callable[[Progress | str], None], folder: Path, config: Config, device: str, patience: float) -> str:
    """Train a run; a job of `tauscope.jobs.pool`. Its value is `LEFT_ALONE`, or empty once the run is finished."""
    note_failure(folder, "")
    with collect_signals(patient=True) as caught:
        training = go_on(folder, config, device, send, lambda: bool(caught), patience)
    if training is None:
        return LEFT_ALONE
    if not training.finished:
        raise InputError(f"stopped by a signal in epoch {training.epoch + 1}, all saved: expected to be left alone")
    return ""


def run_sweep(
    sweep: Sweep,
    n_processes: int,
    *,
    device: str = "cpu",
    patience: float = PATIENCE,
    on_plan: Callable[[int, int], None] = lambda *_: None,
    on_start: Callable[[str], None] = lambda _: None,
    on_progress: Callable[[str, Progress | str], None] = lambda *_: None,
    on_end: Callable[[str, Outcome], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Outcome] | None:
    """Train what is left of a sweep in processes of this machine, each with its share of the processors.

    Parameters
    ----------
    sweep : Sweep
        From `read_sweep`.
    n_processes : int
        Runs at a time.
    device : str
        Where to compute.
    patience : float
        As in `go_on`.
    on_plan : callable, optional
        Called with the numbers of runs that remain and of all.
    on_start, on_progress, on_end : callable, optional
        Called with the name of a run that begins, with how far it is or what it notices, and with how it ended.
    stop : callable, optional
        When true, states are saved and nothing more is begun.

    Returns
    -------
    dict of Outcome or None
        Of the runs that remained, by name; why one failed is also kept on disk. ``None`` if it was stopped.
    """
    remaining = sweep.unfinished()
    on_plan(len(remaining), len(sweep.runs))

    def end(job: Job, outcome: Outcome) -> None:
        if outcome.problem:
            note_failure(sweep.base / job.name, outcome.problem)
        on_end(job.name, outcome)

    outcomes = run_jobs(
        [Job(name, work, (sweep.base / name, sweep.runs[name], device, patience)) for name in remaining],
        n_processes,
        on_start=lambda job: on_start(job.name),
        on_message=lambda job, told: on_progress(job.name, told),
        on_end=end,
        stop=stop,
    )
    return outcomes if len(outcomes) == len(remaining) else None
