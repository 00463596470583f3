"""``tauscope status``: every run under a folder, and every one that a sweep there asks for: how far, how fast, how long."""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tauscope.cli.progress import clock, scores
from tauscope.errors import InputError
from tauscope.jobs.signals import collect_signals
from tauscope.runs.folder import CONFIG, METRICS
from tauscope.runs.survey import STATES, Sight, survey, time_left

# Seconds between two looks, and how many times as long as a look takes it is at least.
_EVERY, _LEISURE = 2.0, 10
# Lines of a screen that are not rows.
_FRAME = 6


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("trained_models"), help="searched with all below it"
    )
    parser.add_argument(
        "--watch", action="store_true", help="look again and again, until nothing runs or is to run; Ctrl-C ends it"
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the table and return the exit code."""
    if not options.folder.is_dir():
        raise InputError(f"{options.folder} does not exist: expected a folder of runs")
    sights, notices = survey(options.folder)
    if not sights and not notices:
        raise InputError(f"no runs under {options.folder}: expected folders with a {CONFIG}")
    if options.watch:
        sights, notices = _watch(options.folder, console)
    for notice in notices:
        console.print(f"note: {notice}", highlight=False, soft_wrap=True, markup=False)
    if not options.watch:
        console.print(_table(options.folder, sights, sights, console.width))
        console.print(_summary(sights))
    return 0


def _watch(folder: Path, console: Console) -> tuple[list[Sight], list[str]]:
    """Show what there is to see, the liveliest first, until there is nothing more to come."""
    with collect_signals() as caught, Live(console=console, auto_refresh=False) as live:
        while True:
            start = time.monotonic()
            sights, notices = survey(folder)
            rows = sorted(sights, key=lambda one: STATES.index(one.state))[: max(1, console.height - _FRAME)]
            live.update(Group(_table(folder, rows, sights, console.width), _summary(sights)), refresh=True)
            more = any(one.state == "running" or one.is_to_come for one in sights)
            next_look = time.monotonic() + max(_EVERY, _LEISURE * (time.monotonic() - start))
            while not caught and more and time.monotonic() < next_look:
                time.sleep(0.1)
            if caught or not more:
                return sights, notices


def _table(folder: Path, rows: Sequence[Sight], sights: Sequence[Sight], width: int) -> Table:
    """Return the table of some runs among all, for so many columns of characters."""
    headings = ("run", "state", "solved N", "epoch", "last test", "steps/s", "last epoch", "left")
    left, _ = time_left(sights)
    cells = [(one.name, *_cells(one, folder, left)) for one in rows]
    table = Table(*headings)
    longest = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    if sum(longest) + 3 * len(longest) + 1 <= width:
        # Where nothing has to be wrapped, one row of many lines is drawn three times as fast.
        cells = [tuple("\n".join(column) for column in zip(*cells, strict=True))]
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _cells(one: Sight, folder: Path, left: Mapping[str, float]) -> tuple[str, ...]:
    problem = one.problem.replace(f"{folder}{os.sep}", "")
    if one.state == "damaged":
        return "damaged", "", "", problem, "", "", ""
    epoch = f"{one.epoch}/{one.epochs}" if one.epochs is not None else str(one.epoch)
    remaining = f"about {clock(left[one.name])}" if one.name in left else ""
    if not one.record:
        return one.state, "-", epoch, problem, "", "", remaining
    try:
        test, speed = scores(dict(one.record)), f"{one.record['steps_per_second']:.1f}"
    except (LookupError, TypeError, ValueError):
        return (
            "damaged",
            "",
            "",
            f"{one.name}/{METRICS} cannot be read: it does not hold the records of epochs",
            "",
            "",
            "",
        )
    ago = f"{clock(time.time() - one.changed)} ago"
    return one.state, one.solved or "-", epoch, problem or test, speed, ago, remaining


def _summary(sights: Sequence[Sight]) -> Text:
    """Return one line on all runs."""
    counts = Counter(one.state for one in sights)
    parts = [f"{counts[state]} {state}" for state in reversed(STATES) if counts[state]]
    _, left = time_left(sights)
    if left is not None:
        end = datetime.datetime.now() + datetime.timedelta(seconds=left)
        parts.append(f"about {clock(left)} left, until {end:%a %H:%M}")
    return Text(f"{len(sights)} run{'' if len(sights) == 1 else 's'}: {', '.join(parts)}")
