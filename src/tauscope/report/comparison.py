"""A page with several runs side by side: their options, training and measurements."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from tauscope._words import count
from tauscope.errors import DamagedFileError
from tauscope.learning.curricula import CURRICULUM_NAMES
from tauscope.measurements import MEASUREMENTS, number_table
from tauscope.plotting.interventions import plot_perturbation_of_networks
from tauscope.plotting.summary import looks_of, plot_against_N
from tauscope.plotting.training import plot_progress, plot_scores, raises_N, words
from tauscope.report import COMPARISON_GENERATOR
from tauscope.report.about import About, describe
from tauscope.report.measured import MOST_SUMMARIES, Measured, main_numbers, read_results
from tauscope.report.page import not_measured
from tauscope.report.parts import Picture, Problem, Table, drawn, render
from tauscope.runs.asking import read_config
from tauscope.runs.config import Config
from tauscope.runs.folder import CONFIG
from tauscope.runs.loading import checkpoints_of
from tauscope.runs.results import ANALYSIS
from tauscope.tasks import METRICS

_NOT_COMPARED = ("network_number", "seed", "n_heads")


@dataclass(frozen=True)
class _Run:
    """A run of the comparison.

    Attributes
    ----------
    label : str
        Shortest end of its path that differs from those of the other runs.
    folder : Path
    group : str
        Name of the runs with the same options but other seeds.
    about : About
    results : list of Measured
    problems : list of Problem
    has_checkpoints : bool
    output : str
        Flag with which ``tauscope analyze`` writes its results to the folder that this page reads.
    """

    label: str
    folder: Path
    group: str
    about: About
    results: list[Measured]
    problems: list[Problem]
    has_checkpoints: bool
    output: str


@dataclass(frozen=True)
class Section:
    """A measurement of several runs.

    Attributes
    ----------
    name, title, about : str
        Name, title and description of the measurement.
    tables : list of (str, Table)
        Headings that state N, and tables of numbers with a column for each run.
    pictures : list of Picture
    """

    name: str
    title: str
    about: str
    tables: list[tuple[str, Table]]
    pictures: list[Picture]


def comparison_page(folders: Sequence[Path], measured: Sequence[Path] | None = None) -> str:
    """Return a self-contained HTML page of several runs side by side.

    Parameters
    ----------
    folders : sequence of Path
        Absolute paths of different run folders, written by tauscope or by the published code.
    measured : sequence of Path, optional
        Parent folder of each run's ``analysis``; by default the run folders.

    Returns
    -------
    str
        The page. It names files that are damaged or foreign, and shows all others.
    """
    from tauscope._version import __version__

    labels = short_names(folders)
    groups = kinds_of(folders)
    runs = list(map(_read, folders, folders if measured is None else measured, labels, groups))
    return render(
        "compare.html",
        generator=f"{COMPARISON_GENERATOR} {__version__}",
        labels=labels,
        facts=_facts(runs),
        differences=_differences(runs),
        progress=_progress(runs),
        sections=[section for name in MEASUREMENTS if (section := _section(name, runs)) is not None],
        missing=_missing(runs),
        problems=[Problem(f"{run.label}: {problem.file}", problem.reason) for run in runs for problem in run.problems],
    )


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths, with the same number of parts, that are all different.

    Examples
    --------
    >>> short_names([Path("/a/x/run"), Path("/a/y/run")])
    ['x/run', 'y/run']
    """
    n = 1
    while len({folder.parts[-n:] for folder in folders}) < len(set(folders)):
        n += 1
    return ["/".join(folder.parts[-n:]) for folder in folders]


def _read(folder: Path, home: Path, label: str, group: str) -> _Run:
    about = describe(folder, with_curves=False)
    results, problems = read_results(home / ANALYSIS, folder)
    output = "" if home == folder else f" --output {shlex.quote(home.parent.name)}"
    return _Run(
        label, folder, group, about, results, [*about.problems, *problems], bool(checkpoints_of(folder)), output
    )


def kinds_of(folders: Sequence[Path]) -> list[str]:
    """Return the curriculum of every run, with the options in which runs of the same curriculum differ."""
    configs = [_config(folder) for folder in folders]
    kinds = [{name: value for name, value in config.identity().items() if name not in _NOT_COMPARED}
             if config is not None and config.curriculum_type in CURRICULUM_NAMES else {} for config in configs]  # fmt: skip
    groups = []
    for folder, kind in zip(folders, kinds, strict=True):
        if kind:
            curriculum = kind["curriculum_type"]
            alike = [other for other in kinds if other.get("curriculum_type") == curriculum]
            others = [f"{name} {value}" for name, value in kind.items() if any(other[name] != value for other in alike)]
            groups.append(", ".join([CURRICULUM_NAMES[curriculum], *others]))
        else:
            groups.append(re.sub(r"_network_\d+$", "", folder.name))
    return groups


def _config(folder: Path) -> Config | None:
    try:
        return read_config(folder) if (folder / CONFIG).exists() else None
    except DamagedFileError:
        return None


def _facts(runs: Sequence[_Run]) -> Table:
    return _beside(runs, [dict(run.about.facts) for run in runs], "")


def _differences(runs: Sequence[_Run]) -> Table:
    """Return the options in which runs differ."""
    options = [{row[0]: row[1] for row in run.about.options.rows} if run.about.options else {} for run in runs]
    table = _beside(runs, options, "option", unknown="unknown")
    return Table(table.heading, [row for row in table.rows if len(set(row[1:])) > 1])


def _beside(runs: Sequence[_Run], columns: Sequence[Mapping[str, str]], corner: str, unknown: str = "") -> Table:
    names = dict.fromkeys(name for column in columns for name in column)
    # Empty where a run of another kind lacks the option, ``unknown`` where a run has no options to read.
    rows = [(name, *(column.get(name, "" if column else unknown) for column in columns)) for name in names]
    return Table((corner, *(run.label for run in runs)), rows)


def _progress(runs: Sequence[_Run]) -> list[Picture]:
    """Return a figure of the runs whose curriculum raises N, and a figure of the other runs for each metric."""
    pictures = []
    for metric in METRICS:
        histories = {
            run.label: run.about.history for run in runs if run.about.history and metric in run.about.history[0]
        }
        raising = {name: history for name, history in histories.items() if metric == "accuracy" and raises_N(history)}
        if raising:
            caption = f"The largest N that each run had solved after every epoch. {count(len(raising), 'run')}."
            pictures.append(drawn(partial(plot_progress, raising), "Largest N solved after every epoch", caption))
        histories = {name: history for name, history in histories.items() if name not in raising}
        if histories:
            what = words(metric).capitalize()
            caption = f"{what} of each run on fresh trials after every epoch. {count(len(histories), 'run')}."
            pictures.append(drawn(partial(plot_scores, histories, metric), f"{what} after every epoch", caption))
    return pictures


def _section(name: str, runs: Sequence[_Run]) -> Section | None:
    """Return a measurement of all runs with results of it; ``None`` without results."""
    by_run = {
        run.label: {measured.trained[1]: measured for measured in run.results if measured.analysis == name}
        for run in runs
    }
    having = [run for run in runs if by_run[run.label]]
    if not having:
        return None
    counting = all(run.about.counts_N for run in having)
    common = set.intersection(*(set(by_run[run.label]) for run in having)) if counting else set()
    furthest = {run.label: max(by_run[run.label]) for run in having}
    tables = []
    if len(having) > 1 and common:
        at = dict.fromkeys(furthest, max(common))
        tables.append((f"At N = {max(common)}, the largest N at which all of them were measured", at))
    if not common or set(furthest.values()) != {max(common)} or len(having) == 1:
        why = "" if common or not counting else "; there is no N at which all of them were measured"
        tables.append((f"Each at its own largest N{why}" if counting else "Each at its furthest checkpoint", furthest))
    return Section(
        name,
        MEASUREMENTS[name].title,
        MEASUREMENTS[name].said(measured.result for of_run in by_run.values() for measured in of_run.values()),
        [(what, _numbers(having, by_run, at)) for what, at in tables],
        _pictures(name, [run for run in having if run.about.counts_N], by_run, max(common, default=None)),
    )


def _numbers(runs: Sequence[_Run], by_run: Mapping[str, Mapping[int, Measured]], at: Mapping[str, int]) -> Table:
    """Return the numbers of each run at the N of ``at``."""
    chosen = [(run, by_run[run.label][at[run.label]]) for run in runs]
    columns = [dict(number_table(measured.numbers)) for _, measured in chosen]
    names = dict.fromkeys(name for column in columns for name in column)
    heading = (
        "quantity",
        *(f"{run.label}, {run.about.stage(measured.trained[1], measured.trained[1])}" for run, measured in chosen),
    )
    return Table(heading, [(name, *(column.get(name, "") for column in columns)) for name in names])


def _pictures(
    name: str, runs: Sequence[_Run], by_run: Mapping[str, Mapping[int, Measured]], common: int | None
) -> list[Picture]:
    """Draw the main numbers of all runs against N, and a perturbation of all runs at their common N."""
    pictures = []
    if len(runs) > 1 and len({N for run in runs for N in by_run[run.label]}) > 1:
        every = [measured for run in runs for measured in by_run[run.label].values()]
        for number in main_numbers(every)[-MOST_SUMMARIES:]:
            pictures += _against_N(number, runs, by_run)
    if len(runs) > 1 and common is not None and MEASUREMENTS[name].asked_as == "perturbation":
        pictures += _perturbation(name, runs, {run.label: by_run[run.label][common].result for run in runs})
    return pictures


def _against_N(number: str, runs: Sequence[_Run], by_run: Mapping[str, Mapping[int, Measured]]) -> list[Picture]:
    Ns = sorted({N for run in runs for N in by_run[run.label]})
    curves = {}
    for group, members in _by_group(runs):
        values = [
            [measured.numbers[number] if (measured := by_run[run.label].get(N)) else np.nan for N in Ns]
            for run in members
        ]
        curves[group] = xr.DataArray(values, dims=("network", "N"), coords={"N": Ns}).dropna("N", how="all")
    if not any(bool(np.isfinite(curve).any()) for curve in curves.values()):
        return []
    draw = partial(plot_against_N, curves, number, looks=looks_of(curves))
    caption = f"{number[0].upper()}{number[1:]} against the largest N that a checkpoint solved. {len(runs)} networks."
    return [drawn(draw, f"{number} against N", caption)]


def _perturbation(name: str, runs: Sequence[_Run], results: Mapping[str, xr.Dataset]) -> list[Picture]:
    sizes = {tuple(result["epsilon"].values) for result in results.values()}
    if len(sizes) > 1:
        # Means over networks need the same perturbation sizes in all networks.
        return []
    joined = {
        group: xr.concat([results[run.label][["relative_accuracy"]] for run in members], "network")
        for group, members in _by_group(runs)
    }
    draw = partial(plot_perturbation_of_networks, joined, looks=looks_of(joined))
    listed = MEASUREMENTS[name]
    return [drawn(draw, f"{listed.title} of all runs", f"{listed.figures[''].caption} {len(runs)} networks.")]


def _by_group(runs: Sequence[_Run]) -> Iterable[tuple[str, list[_Run]]]:
    for group in dict.fromkeys(run.group for run in runs):
        yield group, [run for run in runs if run.group == group]


def _missing(runs: Sequence[_Run]) -> Table:
    """Return the missing measurements of each run, and the commands that make them."""
    rows = []
    for run in runs:
        missing = not_measured(run.folder, {measured.analysis for measured in run.results})
        if not run.has_checkpoints:
            why = "no N is solved yet" if run.about.counts_N else "no epoch is over yet"
            rows.append((run.label, "all", f"nothing: {why}"))
        elif missing:
            what = missing[0] if len(missing) == 1 else "all"
            rows.append(
                (run.label, ", ".join(missing), f"tauscope analyze {what} {shlex.quote(run.label)}{run.output}")
            )
    return Table(("run", "not measured", "what measures it"), rows)
