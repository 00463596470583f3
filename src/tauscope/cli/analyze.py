"""``tauscope analyze``: measure how trained networks hold their memory, and keep what was measured."""

from __future__ import annotations

import argparse
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tauscope.checkpoints import write_atomically
from tauscope.cli import flags
from tauscope.errors import InputError, require_at_least
from tauscope.loading import checkpoints_of, find_checkpoint, load, trained_Ns, trained_task
from tauscope.measurements import MEASUREMENTS, WHAT, Subject, number_table
from tauscope.plotting.style import title
from tauscope.results import ANALYSIS, is_current, load_result, provenance, save_result
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


@dataclass(frozen=True)
class _Job:
    """One measurement of one checkpoint."""

    checkpoint: Path
    name: str
    target: Path


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure, print and keep the numbers, and return the exit code."""
    flags.use_threads(options.threads)
    require_at_least("epochs", options.epochs, 1)
    device = flags.device(options.device)
    jobs = [
        _Job(checkpoint, name, _folder(checkpoint, options.output) / f"{checkpoint.name}_{name}.nc")
        for checkpoint in _checkpoints(options.paths, options.last)
        for name in WHAT[options.what]
    ]
    table = Table("network", "measurement", "quantity", "value")
    failed = False
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(jobs))
        for job in jobs:
            bar.update(task, description=f"{job.checkpoint.parent.name}/{job.checkpoint.name} {job.name}")
            try:
                result = _measure(job, options, device)
                rows = number_table(MEASUREMENTS[job.name].numbers(result))
                where = f"{job.checkpoint.parent.name}/{job.checkpoint.name}"
                for i, row in enumerate(rows):
                    table.add_row(where if i == 0 else "", job.name if i == 0 else "", *row)
            except InputError as error:
                # Other networks and measurements still get their results.
                failed = True
                flags.print_error(f"{job.checkpoint} {job.name}: {error}")
            bar.advance(task)
    if table.row_count:
        console.print(table)
        folders = sorted({str(job.target.parent) for job in jobs if job.target.exists()})
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


def _folder(checkpoint: Path, output: Path | None) -> Path:
    return checkpoint.parent / ANALYSIS if output is None else output / checkpoint.parent.name / ANALYSIS


def _options(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Return the options that a measurement depends on."""
    return {"seed": options.seed} | ({"epochs": options.epochs} if name == "retraining" else {})


def _measure(job: _Job, options: argparse.Namespace, device: str) -> xr.Dataset:
    """Return the result of a job: the kept one if it is current, otherwise measured and kept."""
    source = provenance(job.checkpoint, job.name, _options(job.name, options), environment(device))
    if not options.force and job.target.exists():
        if is_current(job.target, source):
            return load_result(job.target)[0]
        raise InputError(
            f"{job.target} holds another result (network, options or version); expected --force to overwrite"
        )
    trained = trained_Ns(job.checkpoint)
    if trained is None:
        raise InputError("its name does not say which N it solved: expected a file such as rnn_N2_N10")
    model = load(job.checkpoint, device, options.cell)
    task = trained_task(job.checkpoint)
    if task.repeat > 1:
        model = model.at_resolution(task.repeat)
    subject = Subject(model, task, trained, options.seed, options.epochs)
    measurement = MEASUREMENTS[job.name]
    result = measurement.measure(subject)
    figures = {name: draw(result, subject) for name, draw in measurement.figures.items()}
    _keep(job, result, source, figures)
    return result


def _keep(job: _Job, result: xr.Dataset, source: dict[str, object], figures: dict[str, Axes]) -> None:
    """Write the picture and the table, and last the result, which says that all is there."""
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write to {job.target.parent}: {error.strerror}; expected a writable --output"
        ) from error
    for name, ax in figures.items():
        picture = io.BytesIO()
        title(ax, job.checkpoint.parent.name, job.checkpoint.name)
        cast(Figure, ax.figure).savefig(picture, format="png", dpi=200)
        stem = job.target.stem + (f"_{name}" if name else "")
        write_atomically(job.target.with_name(f"{stem}.png"), picture.getvalue())
    table = io.StringIO()
    csv.writer(table).writerows([("quantity", "value"), *MEASUREMENTS[job.name].numbers(result).items()])
    write_atomically(job.target.with_suffix(".csv"), table.getvalue().encode())
    save_result(job.target, result, source)
