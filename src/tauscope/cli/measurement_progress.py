"""What a user sees of measurements before they are made, and while they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from tauscope._words import count
from tauscope.cli.progress import clock
from tauscope.jobs.pool import Job

if TYPE_CHECKING:
    from tauscope.measurements.keeping import Asked

# Seconds between two lines in a pipe on how far a long measurement is.
_EVERY = 10.0


def where(checkpoint: Path) -> str:
    """Return a checkpoint with the folder of its run."""
    return f"{checkpoint.parent.name}/{checkpoint.name}"


class MeasurementsDisplay:
    """What a user sees while networks are measured: a bar on a terminal, lines in a pipe.

    Parameters
    ----------
    console : Console
        Where to show it.
    total : int
        Number of measurements.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total, self.started = console, total, 0
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=total)
        self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_start(self, job: Job) -> None:
        """Show a measurement that begins."""
        self.started += 1
        self._show(f"{self.started} of {self.total}: {_label(job)}")

    def on_message(self, job: Job, said: str) -> None:
        """Show how far a measurement is, in a pipe not more often than every `_EVERY` seconds."""
        if self.console.is_terminal or time.monotonic() >= self._spoke + _EVERY:
            self._show(f"{_label(job)}: {said}")

    def on_end(self, *_: object) -> None:
        """Count a measurement."""
        self._bar.advance(self._task)

    def _show(self, line: str) -> None:
        self._spoke = time.monotonic()
        if self.console.is_terminal:
            self._bar.update(self._task, description=escape(line))
        else:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _label(job: Job) -> str:
    asked: Asked = job.arguments[0]
    return f"{where(asked.checkpoint)} {asked.name}"


def print_costs(
    to_do: Sequence[Asked], *, left_out: bool, device: str, cell: str | None, epochs: int, console: Console
) -> None:
    """Say what measurements will take, by those of the first network, and what it would take to retrain it too.

    Parameters
    ----------
    to_do : sequence of Asked
        What is to be measured.
    left_out : bool
        Whether retraining is left out.
    device, cell
        As in `tauscope.measurements.keeping.measure`.
    epochs : int
        Of retraining, at each N.
    console : Console
        Where to say it.
    """
    if not to_do:
        return
    from tauscope.measurements import MEASUREMENTS
    from tauscope.measurements.costs import estimate
    from tauscope.measurements.keeping import subject_of

    first = to_do[0].checkpoint
    names = [asked.name for asked in to_do if asked.checkpoint == first] + ["retraining"] * left_out
    try:
        subject = subject_of(first, device, cell)
        costs = estimate(subject, [name for name in names if not MEASUREMENTS[name].lacks(subject)], epochs)
    except Exception:  # why it cannot be measured is said in its place
        return
    longest = costs.pop("retraining", 0.0) if left_out else 0.0
    parts = ", ".join(f"{name} {clock(costs[name])}" for name in sorted(costs, key=lambda name: -costs[name]))
    networks = len(dict.fromkeys(asked.checkpoint for asked in to_do))
    lines = [f"processor time (min:s), estimated: {clock(sum(costs.values()) * networks)} for "
             f"{count(networks, 'network')}; of {where(first)} {parts}"]  # fmt: skip
    if longest:
        lines.append(f"not in all: retraining, about {clock(longest)} a network; ask for it by its name")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
