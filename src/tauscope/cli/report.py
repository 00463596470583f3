"""``tauscope report``: one self-contained HTML page of a run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from tauscope.checkpoints import write_atomically
from tauscope.errors import InputError
from tauscope.loading import checkpoints_of
from tauscope.report import GENERATOR, report_page
from tauscope.results import ANALYSIS
from tauscope.runs import CONFIG


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("path", type=Path, help="a run folder")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the page; by default report.html in the run folder"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="the --output of tauscope analyze; by default the run folder"
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Write the page and return the exit code."""
    # The name of the folder says what the network was trained on, also where the user stands inside it.
    folder = Path(os.path.abspath(options.path))
    _require_run(folder)
    measured = folder if options.results is None else _results_of(folder, options.results)
    target = folder / "report.html" if options.output is None else Path(os.path.abspath(options.output))
    _require_ours(target)
    with console.status("reading and drawing", spinner="line"):
        page = report_page(folder, measured=measured, page=target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {target.parent}: {error.strerror}; expected a writable --output") from error
    write_atomically(target, page.encode(errors="replace"))
    console.print(f"wrote {target}", highlight=False, soft_wrap=True, markup=False)
    return 0


def _require_run(folder: Path) -> None:
    if folder.is_file():
        raise InputError(f"{folder} is a file: expected a run folder (nearest valid value: {folder.parent})")
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: expected a run folder")
    if not (folder / CONFIG).exists() and not checkpoints_of(folder):
        runs = sorted(path.name for path in folder.iterdir() if path.is_dir() and "_network_" in path.name)
        nearest = f" (nearest valid value: {folder / runs[0]})" if runs else ""
        raise InputError(f"{folder} holds no run: expected a {CONFIG} or checkpoints such as rnn_N2_N10{nearest}")


def _results_of(folder: Path, results: Path) -> Path:
    """Return where ``tauscope analyze --output`` put what it measured of a run."""
    there = Path(os.path.abspath(results)) / folder.name
    if not (there / ANALYSIS).is_dir():
        raise InputError(
            f"{results} holds no results of {folder.name}: expected {there / ANALYSIS}, "
            "as tauscope analyze --output makes it"
        )
    return there


def _require_ours(target: Path) -> None:
    """Refuse to overwrite what is not an earlier report."""
    if target.is_dir():
        raise InputError(f"{target} is a folder: expected a file (nearest valid value: {target / 'report.html'})")
    try:
        with target.open("rb") as file:
            if GENERATOR.encode() not in file.read(1000):
                raise InputError(f"{target} is not a report of tauscope: expected another --output; it is unchanged")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"cannot read {target}: {error.strerror}; expected a file of one's own") from error
