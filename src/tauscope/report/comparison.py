"""Several runs side by side on one page: what differs between them, how they were taught, all that was measured."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from tauscope._words import count
from tauscope.errors import DamagedFileError
from tauscope.learning.curricula import CURRICULUM_NAMES
from tauscope.measurements import MEASUREMENTS, number_table
from tauscope.plotting.interventions import plot_perturbation_of_networks
from tauscope.plotting.summary import looks_of, plot_against_N
from tauscope.plotting.training import plot_progress, plot_scores, words
from tauscope.report import COMPARISON_GENERATOR
from tauscope.report.about import About, describe
from tauscope.report.measured import MOST_SUMMARIES, Measured, main_numbers, read_results
from tauscope.report.page import not_measured
from tauscope.report.parts import Picture, Problem, Table, drawn, render
from tauscope.report.texts import TEXTS
from tauscope.runs.config import Config
from tauscope.runs.folder import CONFIG
from tauscope.runs.loading import checkpoints_of
from tauscope.runs.results import ANALYSIS
from tauscope.runs.run import read_config
from tauscope.tasks import METRICS

_NOT_COMPARED = ("network_number", "seed", "n_heads")


@dataclass(frozen=True)
class _Run:
    """One of the runs.

    Attributes
    ----------
    label : str
        As little of its path as tells it from the others.
    folder : Path
    group : str
        What it has in common with the runs that were trained alike, but for their seeds.
    about : About
    results : list of Measured
    problems : list of Problem
    has_checkpoints : bool
    output : str
        What ``tauscope analyze`` must be told to keep its results where they are looked for.
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
    """One measurement of several runs.

    Attributes
    ----------
    name, title, about : str
        Of the measurement.
    tables : list of (str, Table)
        Its numbers, a column for each run, and at which N.
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
        Run folders, of ours or of the published code, absolute and each once.
    measured : sequence of Path, optional
        For each, the folder in which its ``analysis`` lies; by default its own.

    Returns
    -------
    str
        The page. Files that are damaged or foreign are named in it; all others are shown.
    """
    from tauscope._version import __version__

    labels = short_names(folders)
    groups = _groups(folders)
    runs = [_read(*one) for one in zip(folders, folders if measured is None else measured, labels, groups, strict=True)]
    return render(
        "compare.html",
        generator=f"{COMPARISON_GENERATOR} {__version__}",
        labels=labels,
        facts=_facts(runs),
        differences=_differences(runs),
        progress=_progress(runs),
        sections=[section for name in MEASUREMENTS if (section := _section(name, runs)) is not None],
        missing=_missing(runs),
        problems=[Problem(f"{run.label}: {one.file}", one.reason) for run in runs for one in run.problems],
    )


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return as many last parts of paths as tell all of them apart.

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


def _groups(folders: Sequence[Path]) -> list[str]:
    """Return for every run its curriculum, and what tells it from runs of the same one that were trained otherwise."""
    configs = [_config(folder) for folder in folders]
    kinds = [{name: value for name, value in config.identity().items() if name not in _NOT_COMPARED}
             if config is not None and config.curriculum_type in CURRICULUM_NAMES else {} for config in configs]  # fmt: skip
    groups = []
    for folder, kind in zip(folders, kinds, strict=True):
        if kind:
            curriculum = kind["curriculum_type"]
            alike = [one for one in kinds if one.get("curriculum_type") == curriculum]
            others = [f"{name} {value}" for name, value in kind.items() if any(one[name] != value for one in alike)]
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
    """Return the options that are not the same in all runs."""
    options = [{row[0]: row[1] for row in run.about.options.rows} if run.about.options else {} for run in runs]
    table = _beside(runs, options, "option", unknown="unknown")
    return Table(table.heading, [row for row in table.rows if len(set(row[1:])) > 1])


def _beside(runs: Sequence[_Run], columns: Sequence[Mapping[str, str]], corner: str, unknown: str = "") -> Table:
    names = dict.fromkeys(name for column in columns for name in column)
    # A run of another kind does not have the option; of a run without any, it is not known what it had.
    rows = [(name, *(column.get(name, "" if column else unknown) for column in columns)) for name in names]
    return Table((corner, *(run.label for run in runs)), rows)


def _progress(runs: Sequence[_Run]) -> list[Picture]:
    """Return one figure of all runs that count N up, and one of all others for each metric."""
    pictures = []
    for metric in METRICS:
        histories = {
            run.label: run.about.history for run in runs if run.about.history and metric in run.about.history[0]
        }
        if histories and metric == "accuracy":
            caption = f"The largest N that each run had solved after every epoch. {count(len(histories), 'run')}."
            pictures.append(drawn(plot_progress(histories), "Largest N solved after every epoch", caption))
        elif histories:
            what = words(metric).capitalize()
            caption = f"{what} of each run on fresh trials after every epoch. {count(len(histories), 'run')}."
            pictures.append(drawn(plot_scores(histories, metric), f"{what} after every epoch", caption))
    return pictures


def _section(name: str, runs: Sequence[_Run]) -> Section | None:
    """Return one measurement of all runs that have it, or nothing if none does."""
    of_it = {run.label: {one.trained[1]: one for one in run.results if one.analysis == name} for run in runs}
    having = [run for run in runs if of_it[run.label]]
    if not having:
        return None
    counting = all(run.about.counts_N for run in having)
    common = set.intersection(*(set(of_it[run.label]) for run in having)) if counting else set()
    furthest = {run.label: max(of_it[run.label]) for run in having}
    tables = []
    if len(having) > 1 and common:
        at = dict.fromkeys(furthest, max(common))
        tables.append((f"At N = {max(common)}, the largest N at which all of them were measured", at))
    if not common or set(furthest.values()) != {max(common)} or len(having) == 1:
        why = "" if common or not counting else "; there is no N at which all of them were measured"
        tables.append((f"Each at its own largest N{why}" if counting else "Each at its furthest checkpoint", furthest))
    return Section(
        name,
        TEXTS[name].title,
        TEXTS[name].said(one.result for of_run in of_it.values() for one in of_run.values()),
        [(what, _numbers(having, of_it, at)) for what, at in tables],
        _pictures(name, [run for run in having if run.about.counts_N], of_it, max(common, default=None)),
    )


def _numbers(runs: Sequence[_Run], of_it: Mapping[str, Mapping[int, Measured]], at: Mapping[str, int]) -> Table:
    """Return the numbers of each run at an N of its own."""
    chosen = [(run, of_it[run.label][at[run.label]]) for run in runs]
    columns = [dict(number_table(one.numbers)) for _, one in chosen]
    names = dict.fromkeys(name for column in columns for name in column)
    heading = ("quantity", *(f"{run.label}, {run.about.stage(one.trained[1], one.trained[1])}" for run, one in chosen))
    return Table(heading, [(name, *(column.get(name, "") for column in columns)) for name in names])


def _pictures(
    name: str, runs: Sequence[_Run], of_it: Mapping[str, Mapping[int, Measured]], common: int | None
) -> list[Picture]:
    """Return the main numbers against N, and a perturbation at one N, of all runs in one figure each."""
    pictures = []
    if len(runs) > 1 and len({N for run in runs for N in of_it[run.label]}) > 1:
        every = [one for run in runs for one in of_it[run.label].values()]
        for number in main_numbers(every)[-MOST_SUMMARIES:]:
            pictures += _against_N(number, runs, of_it)
    if len(runs) > 1 and common is not None and name.startswith("perturbation"):
        pictures += _perturbation(name, runs, {run.label: of_it[run.label][common].result for run in runs})
    return pictures


def _against_N(number: str, runs: Sequence[_Run], of_it: Mapping[str, Mapping[int, Measured]]) -> list[Picture]:
    Ns = sorted({N for run in runs for N in of_it[run.label]})
    curves = {}
    for group, members in _by_group(runs):
        values = [[one.numbers[number] if (one := of_it[run.label].get(N)) else np.nan for N in Ns] for run in members]
        curves[group] = xr.DataArray(values, dims=("network", "N"), coords={"N": Ns}).dropna("N", how="all")
    if not any(bool(np.isfinite(curve).any()) for curve in curves.values()):
        return []
    ax = plot_against_N(curves, number, looks=looks_of(curves))
    caption = f"{number[0].upper()}{number[1:]} against the largest N that a checkpoint solved. {len(runs)} networks."
    return [drawn(ax, f"{number} against N", caption)]


def _perturbation(name: str, runs: Sequence[_Run], results: Mapping[str, xr.Dataset]) -> list[Picture]:
    sizes = {tuple(one["epsilon"].values) for one in results.values()}
    if len(sizes) > 1:
        # Means over networks need the same sizes of perturbation in all of them.
        return []
    joined = {
        group: xr.concat([results[run.label][["relative_accuracy"]] for run in members], "network")
        for group, members in _by_group(runs)
    }
    ax = plot_perturbation_of_networks(joined, looks=looks_of(joined))
    title = TEXTS[name].title
    return [drawn(ax, f"{title} of all runs", f"{TEXTS[name].captions['']} {len(runs)} networks.")]


def _by_group(runs: Sequence[_Run]) -> Iterable[tuple[str, list[_Run]]]:
    for group in dict.fromkeys(run.group for run in runs):
        yield group, [run for run in runs if run.group == group]


def _missing(runs: Sequence[_Run]) -> Table:
    """Return what is not measured yet, and the commands that measure it."""
    rows = []
    for run in runs:
        missing = not_measured(run.folder, {one.analysis for one in run.results})
        if not run.has_checkpoints:
            why = "no N is solved yet" if run.about.counts_N else "no epoch is over yet"
            rows.append((run.label, "all", f"nothing: {why}"))
        elif missing:
            what = missing[0] if len(missing) == 1 else "all"
            rows.append(
                (run.label, ", ".join(missing), f"tauscope analyze {what} {shlex.quote(run.label)}{run.output}")
            )
    return Table(("run", "not measured", "what measures it"), rows)
