"""``tauscope status``: every run under a folder, and every one that a sweep there asks for: how far, how fast, how long."""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tauscope._streams import spelled
from tauscope.cli.progress import clock, scores
from tauscope.errors import InputError
from tauscope.jobs.signals import collect_signals
from tauscope.runs.folder import CONFIG, METRICS
from tauscope.runs.survey import STATES, Sight, survey, time_left

# Seconds between two looks, and how many times as long as a look takes it is at least.
_EVERY, _LEISURE = 2.0, 10
# Lines of a screen that are not rows.
_FRAME = 6
# Seconds by which clocks of machines that are set by the network may differ.
_SKEW = 60.0

_HEADINGS = ("run", "state", "solved N", "epoch", "last test", "steps/s", "last epoch", "left")
# The column that can be wrapped between words, and with how many characters at least.
_TEXT, _NARROWEST = 4, 24


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
        console.print(f"note: {notice}", soft_wrap=True)
    if not options.watch:
        console.print(_shown(options.folder, sights, sights, console))
        console.print(_summary(sights))
    if any(sight.changed - time.time() > _SKEW for sight in sights):
        console.print(
            "note: epochs in the future: the clock of this machine differs from that of the one that trains, or of its disk"
        )
    return 0


def _watch(folder: Path, console: Console) -> tuple[list[Sight], list[str]]:
    """Show what there is to see, the liveliest first, until there is nothing more to come."""
    with collect_signals() as caught, Live(console=console, auto_refresh=False) as live:
        while True:
            start = time.monotonic()
            sights, notices = survey(folder)
            rows = sorted(sights, key=lambda sight: STATES.index(sight.state))[: max(1, console.height - _FRAME)]
            live.update(Group(_shown(folder, rows, sights, console), _summary(sights)), refresh=True)
            more = any(sight.state == "running" or sight.is_to_come for sight in sights)
            next_look = time.monotonic() + max(_EVERY, _LEISURE * (time.monotonic() - start))
            while not caught and more and time.monotonic() < next_look:
                time.sleep(0.1)
            if caught or not more:
                return sights, notices


def _shown(folder: Path, rows: Sequence[Sight], sights: Sequence[Sight], console: Console) -> RenderableType:
    """Return some runs among all: as a table, or line by line where a table would have to cut words."""
    left, _ = time_left(sights)
    cells = [
        tuple(spelled(cell, console.encoding) for cell in (sight.name, *_cells(sight, folder, left))) for sight in rows
    ]
    longest = [max(map(cell_len, column)) for column in zip(_HEADINGS, *cells, strict=True)]
    frame = 3 * len(longest) + 1
    if frame + sum(longest) - longest[_TEXT] + min(longest[_TEXT], _NARROWEST) > console.width:
        return Group(*(part for row in cells for part in _lines(row)))
    table = Table()
    for i, heading in enumerate(_HEADINGS):
        table.add_column(heading, no_wrap=i != _TEXT, overflow="fold")
    if frame + sum(longest) <= console.width:
        # Where nothing has to be wrapped, one row of many lines is drawn three times as fast.
        cells = [tuple("\n".join(column) for column in zip(*cells, strict=True))]
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _lines(row: Sequence[str]) -> tuple[RenderableType, ...]:
    """Return the name of a run, and below it all that a row of the table says."""
    name, state, solved, epoch, text, speed, ago, left = row
    said = [
        (state, state),
        (epoch, f"epoch {epoch}"),
        (solved.strip("-"), f"solved N {solved}"),
        (text, text),
        (speed, f"{speed} steps/s"),
        (ago, f"last epoch {ago}"),
        (left, f"{left} left"),
    ]
    words = Text(" | ".join(words for cell, words in said if cell), overflow="fold")
    return Text(name, overflow="fold"), Padding(words, (0, 0, 0, 2), expand=False)


def _cells(sight: Sight, folder: Path, left: Mapping[str, float]) -> tuple[str, ...]:
    problem = sight.problem.replace(f"{folder}{os.sep}", "")
    if sight.state == "damaged":
        return "damaged", "", "", problem, "", "", ""
    epoch = f"{sight.epoch}/{sight.epochs}" if sight.epochs is not None else str(sight.epoch)
    remaining = f"about {clock(left[sight.name])}" if sight.name in left else ""
    if not sight.record:
        return sight.state, "-", epoch, problem, "", "", remaining
    try:
        test, speed = scores(dict(sight.record)), f"{sight.record['steps_per_second']:.1f}"
    except (LookupError, TypeError, ValueError):
        problem = f"{sight.name}/{METRICS} cannot be read: it does not hold the records of epochs"
        return "damaged", "", "", problem, "", "", ""
    return sight.state, sight.solved or "-", epoch, problem or test, speed, _ago(sight.changed), remaining


def _ago(moment: float) -> str:
    """Return how long ago a moment was, by the clock of this machine, which may not be the one that told it.

    Examples
    --------
    >>> _ago(time.time() - 75), _ago(time.time() + 5400)
    ('1:15 ago', 'in the future')
    """
    seconds = time.time() - moment
    return f"{clock(max(0.0, seconds))} ago" if seconds >= -_SKEW else "in the future"


def _summary(sights: Sequence[Sight]) -> Text:
    """Return one line on all runs."""
    counts = Counter(sight.state for sight in sights)
    parts = [f"{counts[state]} {state}" for state in reversed(STATES) if counts[state]]
    _, left = time_left(sights)
    if left is not None:
        end = datetime.datetime.now() + datetime.timedelta(seconds=left)
        parts.append(f"about {clock(left)} left, until {end:%a %H:%M}")
    return Text(f"{len(sights)} run{'' if len(sights) == 1 else 's'}: {', '.join(parts)}")
