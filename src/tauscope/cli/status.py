"""``tauscope status``: every run under a folder, how far it is and how fast it goes."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tauscope.cli.progress import clock, ranges
from tauscope.config import TrainConfig
from tauscope.errors import DamagedFileError, InputError
from tauscope.runs import CONFIG, METRICS, asked_for, is_locked, read_config, read_metrics


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("trained_models"), help="searched with all below it"
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the table and return the exit code."""
    if not options.folder.is_dir():
        raise InputError(f"{options.folder} does not exist: expected a folder of runs")
    folders = sorted(path.parent for path in options.folder.rglob(CONFIG))
    if not folders:
        raise InputError(f"no runs under {options.folder}: expected folders with a {CONFIG}")
    table = Table("run", "state", "solved N", "epoch", "last test", "steps/s", "last epoch")
    for folder in folders:
        table.add_row(str(folder.relative_to(options.folder)), *_row(folder))
    console.print(table)
    return 0


def _row(folder: Path) -> tuple[str, ...]:
    try:
        return _describe(folder, read_config(folder), read_metrics(folder))
    except DamagedFileError as error:
        return "damaged", "", "", str(error), "", ""
    except (LookupError, TypeError, ValueError):
        return "damaged", "", "", f"{folder / METRICS} does not hold the records of epochs", "", ""


def _describe(folder: Path, config: TrainConfig, records: list[dict[str, Any]]) -> tuple[str, ...]:
    epochs = config.recipe().epochs
    running = is_locked(folder)
    if not records:
        return "running" if running else "stopped", "-", f"0/{epochs}", "", "", ""
    last = records[-1]
    solved = [record["Ns"][-1] for record in records if record["solved"]]
    age = clock(time.time() - (folder / METRICS).stat().st_mtime)
    return (
        "running" if running else "finished" if asked_for(config, records)[1] else "stopped",
        str(solved[-1]) if solved else "-",
        f"{last['epoch']}/{epochs}",
        ranges(last["Ns"], last["accuracy"]),
        f"{last['steps_per_second']:.1f}",
        f"{age} ago",
    )
