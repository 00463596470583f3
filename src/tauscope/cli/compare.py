"""``tauscope compare``: two or more runs side by side on one self-contained HTML page, or distances between them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from tauscope.cli import compare_dynamics, flags, pages
from tauscope.errors import InputError
from tauscope.report import COMPARISON_GENERATOR


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.epilog = "exit code: 0 if the page is complete; 3 if a run or a figure is missing in it"
    parser.add_argument("paths", type=Path, nargs="+", metavar="run", help="run folders, two or more")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the page (default: comparison.html)")
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="the --output of tauscope analyze; by default each run's own"
    )
    flags.add_own(parser)
    compare_dynamics.add(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Write the page, or measure distances, and return the exit code."""
    if options.metric is not None:
        return compare_dynamics.run(options, console)
    compare_dynamics.refuse(options)
    flags.own(options)
    folders, unusable = _run_folders(options.paths)
    measured = folders if options.results is None else _measured(folders, options.results)
    target = Path(os.path.abspath(options.output or "comparison.html"))
    pages.require_ours(target, COMPARISON_GENERATOR)

    from tauscope.report import comparison_page

    with console.status("reading and drawing", spinner="line"):
        page = comparison_page(folders, measured)
    code = pages.write_page(target, page, console)
    return pages.FAILED if unusable else code


def _run_folders(paths: list[Path]) -> tuple[list[Path], bool]:
    """Return the run folders that paths mean, each once, and whether any means none, which is printed.

    Raises
    ------
    InputError
        If there are not two or more.
    """
    folders, problems = dict[Path, None](), list[str]()
    for path in paths:
        try:
            folders[pages.run_folder(path)] = None
        except InputError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}; expected what can be read")
    if len(folders) < 2:
        raise InputError(
            problems[0] if problems else f"one run, {next(iter(folders)).name}: expected two or more to compare"
        )
    for problem in problems:
        flags.print_error(problem)
    return list(folders), bool(problems)


def _measured(folders: list[Path], results: Path) -> list[Path]:
    """Return where the results of each run are; some may have none yet."""
    there = [Path(os.path.abspath(results)) / folder.name for folder in folders]
    if not any(folder.is_dir() for folder in there):
        pages.results_of(folders[0], results)
    return there
