"""``tauscope analyze``: measure how trained networks hold their memory, and keep what was measured."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tauscope.cli import flags
from tauscope.errors import InputError, NotApplicableError, require_at_least
from tauscope.loading import checkpoints_of, find_checkpoint
from tauscope.measurements import WHAT, number_table
from tauscope.measuring import Asked, measure, target
from tauscope.runs import environment


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("what", choices=tuple(WHAT), help="what to measure")
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="path", help="checkpoints, or run folders for all of theirs"
    )
    parser.add_argument("--last", action="store_true", help="of a run folder, take its furthest checkpoint alone")
    parser.add_argument("-s", "--seed", type=flags.seed, default=0, help="of the measurement's random numbers")
    parser.add_argument("--epochs", type=int, default=20, help="of retraining, at each N")
    parser.add_argument("-o", "--output", type=Path, help="folder for the results; by default each run's own")
    parser.add_argument("--force", action="store_true", help="measure again and overwrite")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--threads", type=int, help="processor threads")
    parser.add_argument("--cell", help="module:Class of a cell of your own")


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure, print and keep the numbers, and return the exit code."""
    flags.use_threads(options.threads)
    require_at_least("epochs", options.epochs, 1)
    device = flags.device(options.device)
    here = environment(device)
    wanted = [
        Asked(checkpoint, name, target(checkpoint, name, options.output), options.seed, _options(name, options))
        for checkpoint in _checkpoints(options.paths, options.last)
        for name in WHAT[options.what]
    ]
    table = Table("network", "measurement", "quantity", "value")
    passed_over: dict[tuple[Path, str], list[str]] = {}
    failed = False
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(wanted))
        for asked in wanted:
            where = f"{asked.checkpoint.parent.name}/{asked.checkpoint.name}"
            bar.update(task, description=f"{where} {asked.name}")
            try:
                rows = number_table(asked.how.numbers(_result(asked, here, options, device)))
                for i, row in enumerate(rows):
                    table.add_row(where if i == 0 else "", asked.name if i == 0 else "", *row)
            except InputError as error:
                # Other networks and measurements still get their results.
                if isinstance(error, NotApplicableError) and options.what == "all":
                    passed_over.setdefault((asked.checkpoint, str(error)), []).append(asked.name)
                else:
                    failed = True
                    flags.print_error(f"{asked.checkpoint} {asked.name}: {error}")
            bar.advance(task)
    for (checkpoint, why), names in passed_over.items():
        console.print(f"passed over: {checkpoint} {', '.join(names)}: {why}", highlight=False, soft_wrap=True)
    if table.row_count:
        console.print(table)
        folders = sorted({str(asked.target.parent) for asked in wanted if asked.target.exists()})
        console.print(f"results (netCDF, CSV, PNG) in {', '.join(folders)}", highlight=False, soft_wrap=True)
    return 2 if failed else 0


def _checkpoints(paths: list[Path], last: bool) -> list[Path]:
    """Return the checkpoints that paths mean, each once, refusing a path without any."""
    found: list[Path] = []
    for path in paths:
        furthest = find_checkpoint(path)
        if not furthest.is_file():
            raise InputError(f"{path} does not exist: expected a checkpoint or a run folder")
        found += checkpoints_of(path) if path.is_dir() and not last else [furthest]
    return list(dict.fromkeys(found))


def _options(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Return the options of a measurement beside its seed."""
    return {"epochs": options.epochs} if name == "retraining" else {}


def _result(asked: Asked, here: dict[str, Any], options: argparse.Namespace, device: str) -> xr.Dataset:
    """Return the kept result if it is current; otherwise measure it and keep it."""
    if not options.force and asked.target.exists():
        kept = asked.current(here)
        if kept is None:
            raise InputError(
                f"{asked.target} holds another result (network, options or version); expected --force to overwrite"
            )
        return kept
    return measure(asked, here, device=device, cell=options.cell)
