"""The page's measurements: a section for each measurement, with an entry for each checkpoint."""

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

from tauscope._words import count
from tauscope.errors import DamagedFileError
from tauscope.measurements import MEASUREMENTS, number_table
from tauscope.measurements.keeping import subject_of
from tauscope.plotting.summary import plot_against_N
from tauscope.report.about import About
from tauscope.report.parts import Link, Picture, Problem, Table, drawn, link, picture, problem, rendered
from tauscope.runs.loading import checkpoints_of, trained_Ns
from tauscope.runs.results import load_result

MOST_SUMMARIES = 4
"""Largest number of figures against N in a section."""


@dataclass(frozen=True)
class Measured:
    """A result read from a file, with its checkpoint and its numbers."""

    path: Path
    analysis: str
    checkpoint: str
    trained: tuple[int, int]
    result: xr.Dataset
    source: dict[str, Any]
    numbers: dict[str, float]


@dataclass(frozen=True)
class Entry:
    """A checkpoint in the section of a measurement."""

    checkpoint: str
    taught: str
    numbers: Table
    pictures: list[Picture]
    provenance: str
    links: list[Link]


@dataclass(frozen=True)
class Section:
    """A measurement of all checkpoints of a run."""

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
        Folder of the netCDF files; need not exist.
    run : Path
        Folder of the checkpoints.

    Returns
    -------
    results : list of Measured
        Results, sorted by the Ns of their checkpoints.
    problems : list of Problem
        Files that are damaged, foreign, or belong to another network.
    """
    results, problems = [], []
    for path in sorted(folder.glob("*.nc")):
        try:
            results.append(_read(path, run))
        except (DamagedFileError, OSError) as error:
            problems.append(problem(path, error))
    return sorted(results, key=lambda measured: (measured.trained[::-1], measured.path.name)), problems


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
    file = run / checkpoint
    # Without the checkpoint's file, compare the name of its run.
    if sha256(file.read_bytes()).hexdigest() != network if file.is_file() else folder != run.name:
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
    """Return a section for every measurement with results.

    Parameters
    ----------
    results : sequence of Measured
        Results from `read_results`.
    run : Path
        Folder of the checkpoints.
    about : About
        Description of the run; numbers are plotted against N only for runs with a curriculum.
    page : Path
        Folder of the page.

    Returns
    -------
    sections : list of Section
        Sections in the order of `MEASUREMENTS`.
    problems : list of Problem
        Results whose figures could not be drawn.
    """
    shown, problems = [], list[Problem]()
    for name, listed in MEASUREMENTS.items():
        found = [measured for measured in results if measured.analysis == name]
        entries = []
        for measured in found:
            pictures, undrawn = _pictures(measured, run)
            problems += undrawn
            entries.append(_entry(measured, pictures, about, page))
        if entries:
            main = main_numbers(found) if len({measured.trained for measured in found}) > 1 else []
            summary = _summary_table(found, main) if main else None
            against_N = _against_N(found, main, about.curriculum) if about.curriculum else []
            # Of what a measurement advises, that of the network that solved most.
            texts = [listed.said(measured.result for measured in found), found[-1].result.attrs.get("advice")]
            shown.append(Section(name, listed.title, " ".join(filter(None, texts)), summary, against_N, entries))
    return shown, problems


def _pictures(measured: Measured, run: Path) -> tuple[list[Picture], list[Problem]]:
    """Return the figures of a result, and the problems of those that could not be drawn."""
    pictures, problems = [], []
    for name in MEASUREMENTS[measured.analysis].figures:
        try:
            pictures.append(_picture(measured, name, run))
        except Exception as error:  # a result of another version, or its network, can lack anything
            reason = ValueError(f"has a figure that cannot be drawn: {error!r}")
            problems.append(replace(problem(measured.path, reason, run), undrawn=True))
    return pictures, problems


def _picture(measured: Measured, name: str, run: Path) -> Picture:
    """Return a figure of a result: its PNG file if that belongs to the result, otherwise a new drawing."""
    listed = MEASUREMENTS[measured.analysis]
    figure = listed.figures[name]
    alt = f"{listed.title} of {measured.checkpoint}" + (f": {name}" if name else "")
    caption = f"{figure.caption} {sample(measured.result)}"
    file = measured.path.with_name(measured.path.stem + (f"_{name}" if name else "") + ".png")
    # A result is touched when its figures are drawn: a later figure belongs to another result.
    belongs = file.is_file() and file.stat().st_mtime <= measured.path.stat().st_mtime
    stored = picture(file.read_bytes(), alt, caption) if belongs else None
    return stored or rendered(figure(measured.result, subject_of(run / measured.checkpoint)), alt, caption)


def sample(result: xr.Dataset) -> str:
    """Return the numbers of networks, trials and steps or sequences of a result, in words.

    Examples
    --------
    >>> sample(xr.Dataset({"x": ("trial", [0.0, 1.0])}, attrs={"n_steps": 1000}))
    '1 network, 2 trials of 1000 steps.'
    >>> sample(xr.Dataset(attrs={"n_sequences": 2560}))
    '1 network, 2560 sequences.'
    """
    parts = ["1 network"]
    n_trials = result.attrs.get("n_trials", result.sizes.get("trial"))
    if n_trials is not None:
        of = "with delays of up to" if result.attrs.get("epoch") == "delay" else "of"
        steps = f" {of} {int(result.attrs['n_steps'])} steps" if "n_steps" in result.attrs else ""
        parts.append(count(int(n_trials), "trial") + steps)
    if "n_sequences" in result.attrs:
        parts.append(count(int(result.attrs["n_sequences"]), "sequence"))
    return f"{', '.join(parts)}."


def _entry(measured: Measured, pictures: list[Picture], about: About, page: Path) -> Entry:
    files = [measured.path, measured.path.with_suffix(".csv")]
    return Entry(
        checkpoint=measured.checkpoint,
        taught=about.taught(measured.checkpoint, measured.trained),
        numbers=Table(("quantity", "value"), number_table(measured.numbers)),
        pictures=pictures,
        provenance=_provenance(measured.source),
        links=[link(file, page) for file in files if file.is_file()],
    )


def _provenance(source: dict[str, Any]) -> str:
    """Return a line with the version, the environment and the options of a measurement."""
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
    common = [name for name in results[0].numbers if all(name in measured.numbers for measured in results)]
    patterns = MEASUREMENTS[results[0].analysis].main
    return [name for name in common if any(fnmatchcase(name, pattern) for pattern in patterns)][-MOST_SUMMARIES:]


def _summary_table(results: Sequence[Measured], main: list[str]) -> Table:
    rows = []
    for measured in results:
        values = number_table({name: measured.numbers[name] for name in main})
        rows.append((measured.checkpoint, *(value for _, value in values)))
    return Table(("checkpoint", *main), rows)


def _against_N(results: Sequence[Measured], main: list[str], curriculum: str) -> list[Picture]:
    by_N = {measured.trained[1]: measured.numbers for measured in results}
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
