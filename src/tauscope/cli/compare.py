"""``tauscope compare``: two or more runs side by side on one self-contained HTML page."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from tauscope.cli import flags, pages
from tauscope.errors import InputError
from tauscope.report import COMPARISON_GENERATOR


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("paths", type=Path, nargs="+", metavar="run", help="run folders, two or more")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", default=Path("comparison.html"), help="the page")
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="the --output of tauscope analyze; by default each run's own"
    )
    flags.add_own(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Write the page and return the exit code."""
    flags.own(options)
    folders = [pages.run_folder(path) for path in options.paths]
    if len(set(folders)) < 2:
        raise InputError(f"one run, {folders[0].name}: expected two or more to compare")
    folders = list(dict.fromkeys(folders))
    measured = folders if options.results is None else _measured(folders, options.results)
    target = Path(os.path.abspath(options.output))
    pages.require_ours(target, COMPARISON_GENERATOR)

    from tauscope.report import comparison_page

    with console.status("reading and drawing", spinner="line"):
        page = comparison_page(folders, measured)
    pages.write_page(target, page, console)
    return 0


def _measured(folders: list[Path], results: Path) -> list[Path]:
    """Return where the results of each run are; some may have none yet."""
    there = [Path(os.path.abspath(results)) / folder.name for folder in folders]
    if not any(one.is_dir() for one in there):
        pages.results_of(folders[0], results)
    return there
