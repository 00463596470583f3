"""The part of the page that shows what was measured: a section for each measurement, an entry for each checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tauscope.errors import DamagedFileError
from tauscope.measurements import MEASUREMENTS, number_table
from tauscope.measurements.keeping import subject_of
from tauscope.plotting.summary import plot_against_N
from tauscope.report.about import About
from tauscope.report.parts import Link, Picture, Problem, Table, drawn, link, picture, problem, rendered
from tauscope.report.texts import TEXTS, sample
from tauscope.runs.loading import checkpoints_of, trained_Ns
from tauscope.runs.results import load_result

MOST_SUMMARIES = 4
"""Figures against N of one measurement, at most."""


@dataclass(frozen=True)
class Measured:
    """A result that was read: of which checkpoint, with which numbers."""

    path: Path
    analysis: str
    checkpoint: str
    trained: tuple[int, int]
    result: xr.Dataset
    source: dict[str, Any]
    numbers: dict[str, float]


@dataclass(frozen=True)
class Entry:
    """One checkpoint in the section of a measurement."""

    checkpoint: str
    taught: str
    numbers: Table
    pictures: list[Picture]
    provenance: str
    links: list[Link]


@dataclass(frozen=True)
class Section:
    """One measurement of all checkpoints of a run."""

    name: str
    title: str
    about: str
    summary: Table | None
    summary_pictures: list[Picture]
    entries: list[Entry]


def read_results(folder: Path, run: Path) -> tuple[list[Measured], list[Problem]]:
    """Read all results of a run.

    Parameters
    ----------
    folder : Path
        Holds the netCDF files; need not exist.
    run : Path
        Holds the checkpoints.

    Returns
    -------
    results : list of Measured
        In the order of their checkpoints' Ns.
    problems : list of Problem
        Files that are damaged, foreign, or of another network.
    """
    results, problems = [], []
    for path in sorted(folder.glob("*.nc")):
        try:
            results.append(_read(path, run))
        except (DamagedFileError, OSError) as error:
            problems.append(problem(path, error))
    return sorted(results, key=lambda one: (one.trained[::-1], one.path.name)), problems


def _read(path: Path, run: Path) -> Measured:
    result, source = load_result(path)
    try:
        analysis, network = str(source["analysis"]), source["sha256"]
        folder, checkpoint = source["checkpoint"].split("/")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFileError(f"{path} does not say what was measured: expected the provenance of a result") from error
    trained = trained_Ns(Path(checkpoint))
    if trained is None and run / checkpoint in checkpoints_of(run):
        trained = 1, 1
    if analysis not in MEASUREMENTS or trained is None:
        raise DamagedFileError(
            f"{path} holds {analysis!r} of {checkpoint!r}: expected {', '.join(MEASUREMENTS)} of an rnn_N…_N…"
        )
    kept = run / checkpoint
    # Where the checkpoint is gone, the name of its run must do.
    if sha256(kept.read_bytes()).hexdigest() != network if kept.is_file() else folder != run.name:
        raise DamagedFileError(
            f"{path} was measured on another network than {checkpoint} of this run: expected a result of its own; "
            "tauscope analyze --force measures it again"
        )
    try:
        numbers = MEASUREMENTS[analysis].numbers(result)
    except Exception as error:  # a result of another version can lack anything
        raise DamagedFileError(f"{path} does not hold what {analysis} measures now: {error!r}") from error
    return Measured(path, analysis, checkpoint, trained, result, source, numbers)


def sections(results: Sequence[Measured], run: Path, about: About, page: Path) -> tuple[list[Section], list[Problem]]:
    """Return what the page shows of every measurement.

    Parameters
    ----------
    results : sequence of Measured
        From `read_results`.
    run : Path
        Holds the checkpoints.
    about : About
        What the run is; only where it was taught by a curriculum are numbers plotted against N.
    page : Path
        Folder in which the page will lie.

    Returns
    -------
    sections : list of Section
        In the order of `MEASUREMENTS`.
    problems : list of Problem
        Results whose figures could not be drawn.
    """
    shown, problems = [], list[Problem]()
    for name in MEASUREMENTS:
        of_it = [one for one in results if one.analysis == name]
        entries = []
        for one in of_it:
            pictures, undrawn = _pictures(one, run)
            problems += undrawn
            entries.append(_entry(one, pictures, about, page))
        if entries:
            text, main = TEXTS[name], main_numbers(of_it) if len({one.trained for one in of_it}) > 1 else []
            summary = _summary_table(of_it, main) if main else None
            against_N = _against_N(of_it, main, about.curriculum) if about.curriculum else []
            said = text.said(one.result for one in of_it)
            shown.append(Section(name, text.title, said, summary, against_N, entries))
    return shown, problems


def _pictures(one: Measured, run: Path) -> tuple[list[Picture], list[Problem]]:
    """Return the figures of a result, and those that could not be drawn."""
    pictures, problems = [], []
    for name in MEASUREMENTS[one.analysis].figures:
        try:
            pictures.append(_picture(one, name, run))
        except Exception as error:  # a result of another version, or its network, can lack anything
            reason = ValueError(f"has a figure that cannot be drawn: {error!r}")
            problems.append(replace(problem(one.path, reason, run), undrawn=True))
    return pictures, problems


def _picture(one: Measured, name: str, run: Path) -> Picture:
    """Return a figure of a result: the one beside it, if it was made with it, or drawn anew."""
    text = TEXTS[one.analysis]
    alt = f"{text.title} of {one.checkpoint}" + (f": {name}" if name else "")
    caption = f"{text.captions[name]} {sample(one.result)}"
    there = one.path.with_name(one.path.stem + (f"_{name}" if name else "") + ".png")
    # A result is touched when its pictures are drawn: a later one was not made of it.
    made_with_it = there.is_file() and there.stat().st_mtime <= one.path.stat().st_mtime
    stored = picture(there.read_bytes(), alt, caption) if made_with_it else None
    draw = MEASUREMENTS[one.analysis].figures[name]
    return stored or rendered(draw(one.result, subject_of(run / one.checkpoint)), alt, caption)


def _entry(one: Measured, pictures: list[Picture], about: About, page: Path) -> Entry:
    files = [one.path, one.path.with_suffix(".csv")]
    return Entry(
        checkpoint=one.checkpoint,
        taught=about.taught(one.checkpoint, one.trained),
        numbers=Table(("quantity", "value"), number_table(one.numbers)),
        pictures=pictures,
        provenance=_provenance(one.source),
        links=[link(file, page) for file in files if file.is_file()],
    )


def _provenance(source: dict[str, Any]) -> str:
    """Return one line that says by what a result was measured."""
    environment, options = source.get("environment"), source.get("options")
    known = environment if isinstance(environment, dict) else {}
    parts = [f"tauscope {known.get('tauscope', 'unknown')}"]
    parts += [f"commit {str(known['git_commit'])[:10]}"] if known.get("git_commit") else []
    parts += [f"{name} {known[name]}" for name in ("torch", "device", "threads") if name in known]
    parts += [f"{name} {value}" for name, value in options.items()] if isinstance(options, dict) else []
    parts += [str(known["started"])] if "started" in known else []
    return f"Measured with {', '.join(parts)}."


def main_numbers(results: Sequence[Measured]) -> list[str]:
    """Return the names of the main numbers that all results of a measurement have."""
    common = [name for name in results[0].numbers if all(name in one.numbers for one in results)]
    patterns = TEXTS[results[0].analysis].main
    return [name for name in common if any(fnmatchcase(name, pattern) for pattern in patterns)][-MOST_SUMMARIES:]


def _summary_table(results: Sequence[Measured], main: list[str]) -> Table:
    rows = []
    for one in results:
        values = number_table({name: one.numbers[name] for name in main})
        rows.append((one.checkpoint, *(value for _, value in values)))
    return Table(("checkpoint", *main), rows)


def _against_N(results: Sequence[Measured], main: list[str], curriculum: str) -> list[Picture]:
    by_N = {one.trained[1]: one.numbers for one in results}
    pictures = []
    for name in main:
        values = xr.DataArray(
            [[numbers[name] for numbers in by_N.values()]], dims=("network", "N"), coords={"N": list(by_N)}
        )
        if np.isfinite(values).any():
            what = f"{name[0].upper()}{name[1:]} against the largest N that a checkpoint solved."
            caption = f"{what} {sample(results[0].result)}"
            pictures.append(drawn(partial(plot_against_N, {curriculum: values}, name), f"{name} against N", caption))
    return pictures
