"""``tauscope compare --metric dsa``: how alike the dynamics of networks are, between groups and within."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tauscope.cli import flags
from tauscope.errors import InputError
from tauscope.runs.environment import environment
from tauscope.runs.loading import find_checkpoint

METRICS = ("dsa",)
_OPTIONS = ("n_components", "n_delays", "rank", "score", "n_permutations")
_OWN = (*_OPTIONS, "against", "n_trials", "seed", "force", "cell")
_SUFFIXES = (".nc", ".csv", ".png")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of comparisons of dynamics."""
    group = parser.add_argument_group("distances between dynamics (needs the extra 'dsa')")
    group.add_argument("--metric", choices=METRICS, help="measure distances instead of writing a page")
    group.add_argument(
        "--against",
        type=Path,
        nargs="+",
        metavar="run",
        help="networks of the other group; by default runs are grouped by their options",
    )
    _flag(group, "n_trials", type=int, help="trials on which the activity is recorded (default: 20)")
    group.add_argument("-s", "--seed", type=flags.seed, help="of the trials (default: 0)")
    _flag(group, "n_components", type=int, help="principal components that are kept (default: 10)")
    _flag(group, "n_delays", type=int, help="steps in the delay embedding (default: 5)")
    group.add_argument("--rank", type=int, help="of the fitted operators (default: 20)")
    group.add_argument("--score", help="wasserstein (default), angular or euclidean")
    _flag(group, "n_permutations", type=int, help="random groups that the difference is compared with (default: 2000)")
    group.add_argument("--force", action="store_true", default=None, help="compare again and overwrite")
    group.add_argument("--cell", help="module:Class of a cell of your own")


def _flag(group: argparse._ArgumentGroup, name: str, **options: object) -> None:
    group.add_argument(f"--{name}", f"--{name.replace('_', '-')}", dest=name, **options)  # type: ignore[arg-type]


def refuse(options: argparse.Namespace) -> None:
    """Raise an `InputError` if a flag of distances is given without a metric."""
    given = [name for name in _OWN if getattr(options, name) is not None]
    if given:
        raise InputError(f"--{given[0]} without a metric: expected --metric {METRICS[0]}")


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure the distances, print and keep them, and return the exit code.

    Raises
    ------
    InputError
        If there are not two groups of networks, a network cannot be used, or dsa-metric is not installed.
    """
    flags.own(options)
    if options.results is not None:
        raise InputError(f"--results {options.results} with --metric: expected none, distances are of the networks")
    against = [] if options.against is None else options.against
    checkpoints = [find_checkpoint(path) for path in (*options.paths, *against)]
    for checkpoint in checkpoints:
        if not checkpoint.is_file():
            raise InputError(f"{checkpoint} does not exist: expected a checkpoint or a run folder")
    twice = [path for i, path in enumerate(checkpoints) if path in checkpoints[:i]]
    if twice:
        raise InputError(f"{twice[0]} is named twice: expected every network once")

    from tauscope.measurements.similarity import TRIALS, SimilarityAsked, similarity
    from tauscope.report.comparison import short_names

    asked = SimilarityAsked(
        tuple(checkpoints),
        tuple(short_names(checkpoints)),
        _groups(checkpoints, len(options.paths) if against else None),
        _target(options.output),
        0 if options.seed is None else options.seed,
        TRIALS if options.n_trials is None else options.n_trials,
        {name: getattr(options, name) for name in _OPTIONS if getattr(options, name) is not None},
    )
    with console.status("recording and comparing", spinner="line") as status:
        result = similarity(asked, environment("cpu"), force=bool(options.force), cell=options.cell, tell=status.update)
    table = Table("quantity", "value")
    table.add_row("mean distance within groups", f"{float(result['within']):.4g}")
    table.add_row("mean distance between groups", f"{float(result['between']):.4g}")
    table.add_row("p, groups exchanged at random", f"{float(result['p_value']):.3g}")
    table.add_row("dsa-metric", str(result.attrs["dsa_metric"]))
    console.print(table)
    console.print(f"results (netCDF, CSV, PNG): {asked.target}", highlight=False, soft_wrap=True, markup=False)
    return 0


def _groups(checkpoints: list[Path], n_first: int | None) -> tuple[str, ...]:
    """Return the group of each network: which side of ``--against`` it is on, or the options of its run."""
    from tauscope.report.comparison import kinds_of

    kinds = kinds_of([checkpoint.parent for checkpoint in checkpoints])
    if n_first is None:
        if len(set(kinds)) < 2:
            raise InputError(f"all runs are of one kind, {kinds[0]}: expected two kinds, or --against and the others")
        return tuple(kinds)
    names = []
    for side, other, usual in (
        (kinds[:n_first], kinds[n_first:], "first group"),
        (kinds[n_first:], kinds[:n_first], "second group"),
    ):
        # A kind is the name of a side that has no other one.
        named = len(set(side)) == 1 and side[0] not in other
        names += [side[0] if named else usual] * len(side)
    return tuple(names)


def _target(output: Path | None) -> Path:
    """Return the file of the result."""
    given = Path(os.path.abspath(output or "comparison_dsa"))
    if given.suffix == ".html":
        raise InputError(f"--output {output} with --metric: expected a name for .nc, .csv and .png files")
    return given.with_name(f"{given.stem if given.suffix in _SUFFIXES else given.name}.nc")
