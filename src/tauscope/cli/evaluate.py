"""``tauscope evaluate``: what a trained network answers for every N."""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.table import Table

from tauscope._lazy import torch
from tauscope._streams import command_line
from tauscope.cli import flags
from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.jobs.pool import reason
from tauscope.runs.config.own import is_own
from tauscope.runs.files import outdated, write_atomically
from tauscope.runs.loading import find_checkpoint, load, trained_Ns, trained_task
from tauscope.tasks import TASKS, BinaryMemoryTask

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

FAILED = 3
"""Exit code where the picture could not be drawn; the table is there."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("path", type=Path, help="a checkpoint, or a run folder for its furthest one")
    parser.add_argument(
        "--Ns", type=flags.integers, help="which N, e.g. 1-20 or 2,5,9; by default 1 to 5 beyond the trained ones"
    )
    parser.add_argument(
        "--heads", choices=("own", "all"), default="own", help="read N by its own head, or by every trained head"
    )
    parser.add_argument("-t", "--task", help=f"{' or '.join(TASKS)}, by default the trained one; one of your own to allow "
                        "importing it")  # fmt: skip
    parser.add_argument("--p", type=float, help="probability of a 1; by default as in training")
    parser.add_argument("--length", type=int, help="bits in a sequence; by default as in training")
    parser.add_argument(
        "--k", type=int, help="steps for which a bit is shown (continuous time); by default the most in training"
    )
    parser.add_argument("--sequences", type=int, default=2560, help="fresh sequences")
    parser.add_argument("-s", "--seed", type=flags.seed, default=0, help="of the sequences")
    parser.add_argument(
        "-o", "--output", type=Path, help="folder of the table and the picture; by default that of the checkpoint"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--cell", help="module:Class of a cell of your own")
    flags.add_own_curriculum(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Evaluate, print the table, write CSV and PNG, and return the exit code."""
    path = find_checkpoint(options.path)
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}: expected a file such as rnn_N2_N10, or a run folder")
    require_at_least("number of sequences", options.sequences, 1)
    flags.own(options)
    if options.task is not None and not is_own(options.task):
        require_choice("task", options.task, TASKS)
    task = _task(path, options)

    from tauscope.analysis.accuracy import evaluate

    device = flags.device(options.device)
    model = load(path, device, options.cell)
    if task.repeat > 1:
        model = model.at_resolution(task.repeat)
    trained = trained_Ns(path)
    last = trained[1] if trained else 10
    Ns = options.Ns or tuple(range(1, last + 6))
    answering = [2] if model.heads.shared else _trained_heads(model.heads.names, trained)
    if not answering:
        raise InputError(
            f"{path} has the heads {', '.join(model.heads.names)}: expected heads that are named after an N, such as N2"
        )
    heads = "own" if options.heads == "own" else answering
    generator = torch.Generator(device).manual_seed(options.seed)
    accuracy = evaluate(model, task, Ns, heads=heads, n_sequences=options.sequences, generator=generator)
    if accuracy.ndim == 1:
        console.print(_table(accuracy))
    stem = _write_table(path, options, accuracy)
    try:
        picture = _picture(accuracy, trained, path)
    except Exception as error:  # fonts, TeX and backends can fail in any way; the table is there
        console.print(f"wrote {stem}.csv", highlight=False, soft_wrap=True, markup=False)
        flags.print_error(f"{stem}.png cannot be drawn, its table is kept: {reason(error)}")
        return FAILED
    write_atomically(stem.with_name(f"{stem.name}.png"), picture)
    console.print(f"wrote {stem}.csv and .png", highlight=False, soft_wrap=True, markup=False)
    return 0


def _task(path: Path, options: argparse.Namespace) -> BinaryMemoryTask:
    """Return the task that the network was trained on, with the options that were given."""
    longest = max(options.Ns) if options.Ns else 1
    if options.length is not None and options.length < longest:
        raise InputError(f"length is {options.length}: expected at least the largest N, {longest}")
    given = {"p": options.p, "length": options.length, "repeat": options.k}
    task = trained_task(path, options.task)
    if not isinstance(task, BinaryMemoryTask):
        raise InputError(
            f"{path.parent.name} answers trials, of no N: expected a network of N-parity or N-DMS; what it loses is "
            f"measured by: {command_line(['tauscope', 'analyze', 'performance', options.path])}"
        )
    return task.replace(Ns=(longest,), **{name: value for name, value in given.items() if value is not None})


def _trained_heads(names: tuple[str, ...], trained: tuple[int, int] | None) -> list[int]:
    # Other heads are those of a curriculum of a user's own.
    Ns = [int(name[1:]) for name in names if re.fullmatch(r"N\d+", name)]
    return [N for N in Ns if trained is None or trained[0] <= N <= trained[1]]


def _table(accuracy: xr.DataArray) -> Table:
    table = Table("N", "accuracy", "95 % interval", "chance", title=f"{accuracy.attrs['n_sequences']} sequences")
    for share in accuracy:
        N, chance = str(int(share["N"])), f"{float(share['chance']):.3f}"
        if share.isnull():
            table.add_row(N, "no head", "", chance)
        else:
            table.add_row(N, f"{float(share):.3f}", f"{float(share['low']):.3f} - {float(share['high']):.3f}", chance)
    return table


def _write_table(path: Path, options: argparse.Namespace, accuracy: xr.DataArray) -> Path:
    """Write the table, take away the picture of an earlier one, and return the path of both without its suffix."""
    folder = options.output or path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror}; expected a writable folder as --output"
        ) from error
    stem = f"evaluation_{path.name}" + ("" if accuracy.ndim == 1 else "_all_heads")
    with outdated([folder / f"{stem}.png"]):
        write_atomically(folder / f"{stem}.csv", accuracy.to_dataframe().to_csv().encode())
    return Path(folder / stem)


def _picture(accuracy: xr.DataArray, trained: tuple[int, int] | None, path: Path) -> bytes:
    """Return the figure of the table as PNG."""
    from tauscope.plotting.accuracy import plot_accuracy
    from tauscope.plotting.memory import plot_forgetting
    from tauscope.plotting.style import title

    ax = plot_accuracy(accuracy, trained=trained) if accuracy.ndim == 1 else plot_forgetting(accuracy, trained)
    title(ax, path.parent.name, path.name)
    content = io.BytesIO()
    cast("Figure", ax.figure).savefig(content, format="png", dpi=200)
    return content.getvalue()
