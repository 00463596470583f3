"""What a user sees while a network is trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import TaskID

from tauscope._words import count
from tauscope.cli.console import progress_bar
from tauscope.jobs import training as working
from tauscope.jobs.pool import Outcome
from tauscope.learning.curricula import Curriculum
from tauscope.learning.state import Training
from tauscope.tasks import METRICS

if TYPE_CHECKING:
    from tauscope.papers.reproduce.planning import Network


def ranges(Ns: list[int], accuracy: list[float]) -> str:
    """Return accuracies in percent over at most four ranges of heads, the newest head by itself.

    Examples
    --------
    >>> ranges([2, 3, 4, 5], [1.0, 0.99, 0.98, 0.5])
    'N 2: 100.0, 3: 99.0, 4: 98.0, 5: 50.0 %'
    >>> ranges([7], [0.5])
    'N 7: 50.0 %'
    """
    older = len(Ns) - 1
    size = max(1, -(-older // 3))
    parts = [range(first, min(first + size, older)) for first in range(0, older, size)] + [range(older, len(Ns))]
    shown = [
        f"{Ns[part[0]]}{f'-{Ns[part[-1]]}' if len(part) > 1 else ''}: {100 * sum(accuracy[i] for i in part) / len(part):.1f}"
        for part in parts
    ]
    return f"N {', '.join(shown)} %"


def scores(record: dict[str, Any]) -> str:
    """Return the scores of an epoch's test, whatever their metric.

    Examples
    --------
    >>> scores({"stage": "N2_N2", "Ns": [2], "accuracy": [0.99]})
    'N 2: 99.0 %'
    >>> scores({"stage": "N1_N1", "fractional_loss": [0.25]})
    'fractional loss 0.250'
    """
    if "accuracy" in record and "Ns" in record:
        return ranges(record["Ns"], record["accuracy"])
    (metric,) = (name for name in METRICS if name in record)
    stage = f" ({record['stage']})" if record["stage"] != "N1_N1" else ""
    return f"{metric.replace('_', ' ')} {record[metric][-1]:.3f}{stage}"


def asked(record: dict[str, Any]) -> str:
    """Return what the stage of a record asked last: N, or the name of the stage.

    Examples
    --------
    >>> asked({"stage": "N2_N3", "Ns": [2, 3]}), asked({"stage": "horizon20"})
    ('N = 3', 'horizon20')
    """
    return f"N = {record['Ns'][-1]}" if "Ns" in record else str(record["stage"])


def epoch_line(record: dict[str, Any]) -> str:
    """Return the line that reports a finished epoch, with the frames so far of an environment.

    Examples
    --------
    >>> epoch_line({"epoch": 1, "stage": "N2_N2", "Ns": [2], "loss": 0.1, "accuracy": [0.99], "solved": True, "steps_per_second": 50.0})
    'epoch 1 | loss 0.1000 | N 2: 99.0 % | 50.0 steps/s | solved N = 2'
    """
    solved = f" | solved {asked(record)}" if record["solved"] else ""
    frames = f" | {record['frames']} frames" if "frames" in record else ""
    return (
        f"epoch {record['epoch']} | loss {record['loss']:.4f} | {scores(record)}{frames} | "
        f"{record['steps_per_second']:.1f} steps/s{solved}"
    )


def reached(records: Sequence[dict[str, Any]], curriculum: Curriculum) -> str:
    """Return how far a network came: what it solved last, or how well it did where nothing is to be solved.

    Examples
    --------
    >>> import tauscope as ts
    >>> reached([{"stage": "N2_N2", "Ns": [2], "solved": True}], ts.Curriculum(ts.single()))
    'solved N = 2'
    """
    if records and curriculum.criterion.is_timed:
        return scores(records[-1])
    return next((f"solved {asked(record)}" for record in reversed(records) if record["solved"]), "solved no N")


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, or hours and minutes.

    Examples
    --------
    >>> clock(75), clock(7260)
    ('1:15', '2:01 h')
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h" if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"


class Display:
    """A live bar on a terminal, and in any case one line for every epoch.

    Parameters
    ----------
    console : Console
        Where to show it.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar = progress_bar(console, "rate")
        self._task = self._bar.add_task("", total=1, rate="")
        self._steps = 0
        self._start = time.monotonic()
        self._loss = 0.0

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_step(self, training: Training, loss: float) -> None:
        """Show the step that was taken."""
        self._steps += 1
        self._loss = loss if self._steps == 1 else 0.98 * self._loss + 0.02 * loss
        rate = self._steps / (time.monotonic() - self._start)
        total = training.recipe.steps_per_epoch
        last = training.history[-1] if training.history else None
        shown = f" | last test {scores(last)}" if last else ""
        self._bar.update(
            self._task,
            completed=training.step,
            total=total,
            description=f"epoch {training.epoch + 1} | {training.curriculum.stage.name} | loss {self._loss:.4f}{shown}",
            # A stage can only be solved by the test that ends an epoch.
            rate=f"{rate:.1f} steps/s | next stage in {clock((total - training.step) / rate)} at the earliest",
        )

    def on_epoch(self, _: Training, record: dict[str, Any]) -> None:
        """Report a finished epoch."""
        self._steps, self._start = 0, time.monotonic()
        self._bar.console.print(epoch_line(record), highlight=False, soft_wrap=True, markup=False)


class NetworksDisplay:
    """A live bar for every network under way and one for all, and in any case one line for every network that is done.

    Parameters
    ----------
    console : Console
        Where to show it.
    """

    def __init__(self, console: Console) -> None:
        self._bar = progress_bar(console, "doing")
        self._all = self._bar.add_task("all networks", total=1, doing="")
        self._tasks: dict[str, TaskID] = {}
        self._done, self._n, self._start = 0, 0, time.monotonic()

    def __enter__(self) -> NetworksDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_plan(self, remaining: int, n: int) -> None:
        """Say what is left to do."""
        self._n = remaining
        self._bar.update(self._all, total=remaining)
        self._line(f"{n - remaining} of {n} networks are trained and measured already")

    def on_start(self, network: Network) -> None:
        """Show a network that begins."""
        self._tasks[network.name] = self._bar.add_task(network.name, total=1, doing="starting")

    def on_progress(self, network: Network, progress: working.Progress) -> None:
        """Show how far a network is."""
        self._bar.update(
            self._tasks[network.name],
            completed=progress.epoch,
            total=progress.epochs,
            doing=f"epoch {progress.epoch}/{progress.epochs} | {progress.doing}",
        )

    def on_end(self, network: Network, outcome: Outcome) -> None:
        """Report a network that is done, or why it is not."""
        self._bar.remove_task(self._tasks.pop(network.name))
        self._done += 1
        left = (time.monotonic() - self._start) / self._done * (self._n - self._done)
        self._bar.update(self._all, completed=self._done, doing=f"{self._done}/{self._n} | about {clock(left)} left")
        if problems := [outcome.problem] if outcome.problem else outcome.value:
            how = f"missing: {'; '.join(problems)}"
        else:
            records, _ = network.records()
            how = f"{reached(records, network.config.curriculum())} in {count(len(records), 'epoch')}"
        self._line(f"[{self._done}/{self._n}] {network.name}: {how} ({clock(outcome.seconds)})")

    def _line(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, soft_wrap=True, markup=False)
