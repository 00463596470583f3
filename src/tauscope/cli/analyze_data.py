"""``tauscope analyze timescales --data``: the timescales of a recording, and beside them those of networks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tauscope.cli import flags
from tauscope.cli.measurement_flags import given_options
from tauscope.errors import InputError, require_positive
from tauscope.runs.environment import environment
from tauscope.runs.loading import find_checkpoint

if TYPE_CHECKING:
    from tauscope.measurements.recordings import RecordingAsked

_READING = ("dt", "time_unit", "variable", "bin_width", "step")
_OPTIONS = ("max_lag", "fit_lags", "tau_max", "correct_bias", "bootstrap")
_OF_NETWORKS = ("device", "jobs", "epochs", "cell", "task", "curriculum_type")
"""Flags that a recording has no use for."""


def add(parser: flags.Parser) -> None:
    """Add the flags of recordings."""
    group = parser.add_argument_group("recorded activity (timescales alone)")
    group.add_argument(
        "--data", type=Path, metavar="FILE", help="a recording: .npz, .npy, .csv, .nc or .nwb; see measuring"
    )
    group.add_argument("--dt", type=float, help="duration of a step of the recording, where its file does not tell")
    _flag(group, "time_unit", metavar="UNIT", help="of the step, such as ms")
    group.add_argument("--variable", metavar="NAME", help="of the array in a .npz or .nc file that holds several")
    _flag(
        group,
        "bin_width",
        type=float,
        metavar="SECONDS",
        help="of the bins in which spikes of an .nwb file are counted",
    )
    group.add_argument(
        "--step",
        type=float,
        help="duration of a step of the networks after it, with which it is compared (default: dt)",
    )


def _flag(group: Any, name: str, **options: Any) -> None:
    group.add_argument(f"--{name}", f"--{name.replace('_', '-')}", dest=name, **options)


def refuse(options: argparse.Namespace) -> None:
    """Raise an `InputError` if a flag of recordings is given without a recording."""
    given = [name for name in _READING if getattr(options, name) is not None]
    if given:
        raise InputError(f"--{given[0]} without a recording: expected --data FILE")


def run(options: argparse.Namespace, console: Console) -> int:
    """Measure a recording, print and keep the numbers, and return the exit code.

    Raises
    ------
    InputError
        If anything but timescales is asked for, or the recording or a network cannot be used.
    """
    if options.what != "timescales":
        raise InputError(f"{options.what} of a recording: expected timescales, which alone needs no network")
    for name in _OF_NETWORKS:
        if getattr(options, name) != options.parser.get_default(name):
            raise InputError(f"--{name} {getattr(options, name)} with a recording: expected it with networks alone")
    results = [_kept(Path(path)) for path in options.paths]
    if options.step is not None:
        require_positive("step", options.step, finite=True)
        if not results:
            raise InputError(
                f"--step {options.step:g} without a network: expected a run or a checkpoint to compare with"
            )
    given = given_options("timescales", options)
    foreign = [name for name in given if name not in _OPTIONS]
    if foreign:
        raise InputError(f"--{foreign[0]} is decided by a recording: expected one of --{', --'.join(_OPTIONS)}")
    reading = {name: getattr(options, name) for name in _READING[:-1] if getattr(options, name) is not None}
    for name in ("dt", "bin_width"):
        if name in reading:
            require_positive(name, reading[name], finite=True)
    if not options.data.is_file():
        raise InputError(f"{options.data} does not exist: expected a file with recorded activity")
    flags.use_threads(options.threads)

    from tauscope.measurements import number_table
    from tauscope.measurements.recordings import RecordingAsked, recording_numbers, recording_timescales

    asked = RecordingAsked(options.data, options.output, options.seed, reading, given)
    result = recording_timescales(asked, environment("cpu"), force=options.force)
    table = Table("recording", "quantity", "value")
    for i, row in enumerate(number_table(recording_numbers(result))):
        table.add_row(escape(options.data.name) if i == 0 else "", *row)
    console.print(table)
    if results:
        _compare(asked, results, float(result.attrs["dt"]) if options.step is None else options.step)
    console.print(f"results (netCDF, CSV, PNG) in {asked.target.parent}", highlight=False, soft_wrap=True, markup=False)
    return 0


def _kept(path: Path) -> Path:
    """Return the file with the timescales of a network that were measured before."""
    checkpoint = find_checkpoint(path)
    kept = checkpoint.parent / "analysis" / f"{checkpoint.name}_timescales.nc"
    if not kept.is_file():
        raise InputError(
            f"{kept} does not exist: expected it measured before, by tauscope analyze timescales {path} --last"
        )
    return kept


def _compare(asked: RecordingAsked, networks: list[Path], step: float) -> None:
    """Draw the timescales of a recording and of networks on one axis."""
    from tauscope.measurements.keeping import png
    from tauscope.plotting.recorded import plot_timescale_comparison
    from tauscope.runs.files import write_atomically
    from tauscope.runs.results import load_result

    files = {asked.data.name: asked.target}
    files |= {f"{path.parent.parent.name}/{path.stem.removesuffix('_timescales')}": path for path in networks}
    drawn = plot_timescale_comparison({name: load_result(path)[0] for name, path in files.items()}, step)
    write_atomically(asked.target.with_name(f"{asked.target.stem}_compared.png"), png(drawn, asked.data))
