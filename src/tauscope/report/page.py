"""The page of a run: its description, evaluations and measurements."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from pathlib import Path

from tauscope.errors import InputError
from tauscope.measurements import WHAT, askable
from tauscope.measurements.keeping import subject_of
from tauscope.report import GENERATOR
from tauscope.report.about import About, describe
from tauscope.report.evaluations import read_evaluations
from tauscope.report.measured import read_results, sections
from tauscope.report.parts import link, render
from tauscope.runs.folder import CONFIG, ENVIRONMENT, METRICS, STATS
from tauscope.runs.loading import checkpoints_of
from tauscope.runs.results import ANALYSIS


def report_page(run: Path, *, measured: Path | None = None, page: Path | None = None) -> str:
    """Return a self-contained HTML page of a run: its options, training and measurements.

    Parameters
    ----------
    run : Path
        A run folder, written by tauscope or by the published code.
    measured : Path, optional
        Parent folder of the run's ``analysis``; by default the run folder.
    page : Path, optional
        Folder of the page, to which links to files are relative; by default the run folder.

    Returns
    -------
    str
        The page. It names files that are damaged or foreign, and shows all others.

    Examples
    --------
    >>> import tempfile
    >>> "No checkpoint" in report_page(Path(tempfile.mkdtemp()))
    True
    """
    from tauscope._version import __version__

    # Names and links must not depend on the working directory.
    run = Path(os.path.abspath(run))
    home = run if measured is None else Path(os.path.abspath(measured))
    page = run if page is None else Path(os.path.abspath(page))
    about = describe(run)
    evaluations, unread = read_evaluations((run, home), page)
    results, foreign = read_results(home / ANALYSIS, run)
    shown, undrawn = sections(results, run, about, page)
    checkpoints = checkpoints_of(run)
    files = [run / name for name in (CONFIG, ENVIRONMENT, METRICS, STATS)] + checkpoints
    return render(
        "run.html",
        generator=f"{GENERATOR} {__version__}",
        name=run.name,
        about=about,
        evaluations=evaluations,
        sections=shown,
        files=[link(path, page) for path in files if path.is_file()],
        problems=[*about.problems, *unread, *foreign, *undrawn],
        has_checkpoints=bool(checkpoints),
        commands=_commands(run, about, {section.name for section in shown}, bool(evaluations)),
    )


def not_measured(run: Path, measured: Collection[str]) -> list[str]:
    """Return the missing measurements of a run's last checkpoint, as arguments of ``tauscope analyze``.

    Parameters
    ----------
    run : Path
        Run folder.
    measured : collection of str
        Measurements with results, keys of `tauscope.measurements.MEASUREMENTS`.
    """
    checkpoints = checkpoints_of(run)
    try:
        known = askable(subject_of(checkpoints[-1])) if checkpoints else {}
    except InputError:
        # The network cannot be loaded, so that its possible measurements are unknown.
        known = {}
    return [what for what, names in (known or {"all": WHAT["all"]}).items() if not set(names) <= set(measured)]


def _commands(run: Path, about: About, measured: Collection[str], evaluated: bool) -> list[str]:
    """Return the commands that make the results which the page lacks."""
    missing = not_measured(run, measured) if measured else ["all"]
    evaluate = ["tauscope evaluate"] if about.counts_N and not evaluated else []
    return [
        f"{command} {shlex.quote(run.name)}" for command in [f"tauscope analyze {what}" for what in missing] + evaluate
    ]
