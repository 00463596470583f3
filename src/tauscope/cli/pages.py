"""What the commands that write a page have in common: which runs it is of, and where it may be written."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from tauscope._words import count
from tauscope.cli import flags
from tauscope.errors import InputError
from tauscope.report import UNDRAWN
from tauscope.runs.files import write_atomically
from tauscope.runs.folder import CONFIG
from tauscope.runs.loading import checkpoints_of
from tauscope.runs.results import ANALYSIS

FAILED = 3
"""Exit code where the page is written, but a run or a figure is missing in it."""


def run_folder(path: Path) -> Path:
    """Return the absolute path of a run folder, refusing what is none."""
    # The name of the folder says what the network was trained on, also where the user stands inside it.
    folder = Path(os.path.abspath(path))
    if folder.is_file():
        raise InputError(f"{folder} is a file: expected a run folder (nearest valid value: {folder.parent})")
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: expected a run folder")
    if not (folder / CONFIG).exists() and not checkpoints_of(folder):
        runs = sorted(path.name for path in folder.iterdir() if path.is_dir() and "_network_" in path.name)
        nearest = f" (nearest valid value: {folder / runs[0]})" if runs else ""
        raise InputError(f"{folder} holds no run: expected a {CONFIG} or checkpoints such as rnn_N2_N10{nearest}")
    return folder


def results_of(folder: Path, results: Path) -> Path:
    """Return where ``tauscope analyze --output`` put what it measured of a run."""
    there = Path(os.path.abspath(results)) / folder.name
    if not (there / ANALYSIS).is_dir():
        raise InputError(
            f"{results} holds no results of {folder.name}: expected {there / ANALYSIS}, "
            "as tauscope analyze --output makes it"
        )
    return there


def require_ours(target: Path, generator: str) -> None:
    """Refuse to overwrite what was not written by the same command before."""
    if target.is_dir():
        raise InputError(f"{target} is a folder: expected a file (nearest valid value: {target / 'report.html'})")
    try:
        with target.open("rb") as file:
            if generator.encode() not in file.read(1000):
                raise InputError(f"{target} is not a report of tauscope: expected another --output; it is unchanged")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"cannot read {target}: {error.strerror}; expected a file of one's own") from error


def write_page(target: Path, page: str, console: Console) -> int:
    """Write a page, say where it is, and return the exit code: 3 if figures are missing in it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {target.parent}: {error.strerror}; expected a writable --output") from error
    write_atomically(target, page.encode(errors="replace"))
    console.print(f"wrote {target}", soft_wrap=True)
    if undrawn := page.count(UNDRAWN):
        flags.print_error(f"{count(undrawn, 'figure')} of {target.name} cannot be drawn: the page says which, and why")
    return FAILED if undrawn else 0
