"""One page that says what a run is and what was measured of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from pathlib import Path

from tauscope.loading import checkpoints_of
from tauscope.measurements import SPECIAL, WHAT
from tauscope.report.about import describe
from tauscope.report.evaluations import read_evaluations
from tauscope.report.measured import read_results, sections
from tauscope.report.parts import link, render
from tauscope.results import ANALYSIS
from tauscope.runs import CONFIG, ENVIRONMENT, METRICS, STATS

GENERATOR = "tauscope report"
"""What the page says it was made by."""


def report_page(run: Path, *, measured: Path | None = None, page: Path | None = None) -> str:
    """Return a self-contained HTML page of a run: what it is, how it was taught, and all that was measured.

    Parameters
    ----------
    run : Path
        A run folder, of ours or of the published code.
    measured : Path, optional
        Folder in which its ``analysis`` lies; by default the run's own.
    page : Path, optional
        Folder in which the page will lie, to which its links to files are relative; by default the run's own.

    Returns
    -------
    str
        The page. Files that are damaged or foreign are named in it; all others are shown.

    Examples
    --------
    >>> import tempfile
    >>> "No checkpoint" in report_page(Path(tempfile.mkdtemp()))
    True
    """
    from tauscope import __version__

    # Names and links must hold whatever folder the user stands in.
    run = Path(os.path.abspath(run))
    home = run if measured is None else Path(os.path.abspath(measured))
    page = run if page is None else Path(os.path.abspath(page))
    about = describe(run)
    evaluations, unread = read_evaluations((run, home), page)
    results, foreign = read_results(home / ANALYSIS, run)
    shown, undrawn = sections(results, run, about.curriculum, page)
    checkpoints = checkpoints_of(run)
    kept = [run / name for name in (CONFIG, ENVIRONMENT, METRICS, STATS)] + checkpoints
    return render(
        "run.html",
        generator=f"{GENERATOR} {__version__}",
        name=run.name,
        about=about,
        evaluations=evaluations,
        sections=shown,
        files=[link(path, page) for path in kept if path.is_file()],
        problems=[*about.problems, *unread, *foreign, *undrawn],
        has_checkpoints=bool(checkpoints),
        commands=_commands(run.name, {section.name for section in shown}, bool(evaluations)),
    )


def _commands(name: str, measured: Collection[str], evaluated: bool) -> list[str]:
    """Return the commands that make what the page does not show yet."""
    missing = [
        what for what, names in WHAT.items() if what not in ("all", *SPECIAL) and not set(names) <= set(measured)
    ]
    if not measured:
        missing = ["all"]
    commands = [f"tauscope analyze {what}" for what in missing] + ([] if evaluated else ["tauscope evaluate"])
    return [f"{command} {shlex.quote(name)}" for command in commands]
