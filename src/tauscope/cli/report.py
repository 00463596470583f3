"""``tauscope report``: one self-contained HTML page of a run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from tauscope.cli import flags, pages
from tauscope.report import GENERATOR


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.epilog = "exit code: 0 if the page is complete; 3 if a figure could not be drawn"
    parser.add_argument("path", type=Path, help="a run folder")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the page; by default report.html in the run folder"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="the --output of tauscope analyze; by default the run folder"
    )
    flags.add_own(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Write the page and return the exit code."""
    flags.own(options)
    folder = pages.run_folder(options.path)
    measured = folder if options.results is None else pages.results_of(folder, options.results)
    target = folder / "report.html" if options.output is None else Path(os.path.abspath(options.output))
    pages.require_ours(target, GENERATOR)

    from tauscope.report import report_page

    with console.status("reading and drawing", spinner="line"):
        page = report_page(folder, measured=measured, page=target.parent)
    return pages.write_page(target, page, console)
