"""``tauscope train``: teach a network, stop anywhere, go on exactly."""

from __future__ import annotations

import argparse
import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from tauscope._lazy import torch
from tauscope._streams import command_line
from tauscope.cli import flags
from tauscope.cli.progress import Display, reached
from tauscope.errors import InputError, nearest, require_at_least
from tauscope.jobs.signals import collect_signals
from tauscope.learning.state import Training
from tauscope.learning.training import train
from tauscope.runs.asking import read_config
from tauscope.runs.config import SETUPS, Config, allow, config_of, is_own, kind_of, task_names
from tauscope.runs.config.own import FLAGS
from tauscope.runs.folder import CONFIG
from tauscope.runs.run import Run
from tauscope.tasks import Task


def add(parser: flags.Parser) -> None:
    """Add the flags of this command; ``--help`` lists those of the task that is asked for, or those that all have."""
    asked = flags.Parser(add_help=False)
    asked.add_argument("-t", "--task")
    flags.add_own_curriculum(asked)
    given = vars(asked.parse_known_args(parser.arguments)[0])
    task = given["task"]
    if task is None:
        lines = [f"  {name:<10}{config_of({'task': name}).template().question}" for name in SETUPS]
        lines.append(f"  {'neurogym:ID':<10}  an environment of neurogym (needs the extra 'neurogym')")
        lines.append(f"  {'module:Class':<10}  a task of your own")
        parser.epilog = "\n".join(["tasks, whose own options tauscope train --task NAME --help lists:", *lines])
    allow(given)
    # Flags of other tasks are known too, so that they are refused by what they belong to.
    kinds = tuple(dict.fromkeys([kind_of("parity" if task is None else task), *map(kind_of, task_names())]))
    parser.set_defaults(kinds=kinds)
    flags.add_dataclasses(parser, kinds, None if task is None else kinds[0])
    network = parser.add_argument_group("shorthands")
    network.add_argument(
        "--gru", dest="cell", action="store_const", const="gru", default=argparse.SUPPRESS, help="--cell gru"
    )
    network.add_argument(
        "--lstm", dest="cell", action="store_const", const="lstm", default=argparse.SUPPRESS, help="--cell lstm"
    )
    group = parser.add_argument_group("where and how long")
    group.add_argument(
        "-b", "--base_path", "--base-path", type=Path, default=Path("trained_models"), help="folder of the runs"
    )
    group.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on with the run in this folder, by its own options"
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    group.add_argument("--threads", type=int, help="processor threads")
    group.add_argument(
        "--time_limit", "--time-limit", type=flags.duration, help="stop and save after this long, e.g. 90s, 30m, 2h"
    )
    group.add_argument(
        "--save_every", "--save-every", type=float, default=60.0, help="seconds between saved states inside an epoch"
    )
    group.add_argument("--tensorboard", action="store_true", help="log to TensorBoard too (needs the extra 'track')")


def configuration(options: argparse.Namespace) -> tuple[Path, Config]:
    """Return the run folder and the configuration that a command line means."""
    names = dict.fromkeys(option.name for kind in options.kinds for option in fields(kind))
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    if options.resume is None:
        config = config_of(given)
        return options.base_path / config.name, config
    folder = options.resume
    if not (folder / CONFIG).is_file():
        there = [str(path.parent) for path in folder.parent.glob(f"*/{CONFIG}")] if folder.parent.is_dir() else []
        raise InputError(f"no run in {folder} to resume: {nearest(folder, there)}")
    config = read_config(folder)
    if ":" in config.cell and given.pop("cell", None) != config.cell:
        raise InputError(
            f"the run in {folder} is of the cell {config.cell!r}: expected --cell {config.cell} too, to allow importing it"
        )
    # Code of a user's own is named again to allow importing it.
    given = {name: value for name, value in given.items() if name not in FLAGS or value != getattr(config, name)}
    fixed = sorted(set(given) - set(config.setup.extends))
    if fixed:
        raise InputError(
            f"{fixed[0]} cannot change in a resumed run: expected {' or '.join(config.setup.extends)} with --resume, or nothing"
        )
    return folder, config_of(config.to_dict() | given)


def run(options: argparse.Namespace, console: Console) -> int:
    """Train, and return the exit code."""
    folder, config = configuration(options)
    require_at_least("save_every", options.save_every, 0)
    device = flags.device(options.device)
    writer_kind = _writer_kind() if options.tensorboard else None
    flags.use_threads(options.threads)
    with Run(folder, config, device) as opened, collect_signals() as caught:
        config = opened.config
        model, state, notices = opened.begin()
        for notice in notices:
            console.print(f"note: {notice}", highlight=False, soft_wrap=True)
        deadline = time.monotonic() + options.time_limit if options.time_limit is not None else None
        start = f"after epoch {state['epoch']}, step {state['step']}" if state else f"seed {config.seed}"
        console.print(
            f"{folder}: {start}, {device}, {torch.get_num_threads()} threads", highlight=False, soft_wrap=True
        )
        with Display(console) as display, _tensorboard(folder, writer_kind, config.tasks()) as log:

            def on_epoch(training: Training, record: dict[str, Any]) -> None:
                display.on_epoch(training, record)
                log(record)

            training = train(
                model,
                config.template(),
                config.curriculum(),
                config.recipe(),
                state=state,
                store=opened,
                save_every=options.save_every,
                on_step=display.on_step,
                on_epoch=on_epoch,
                stop=lambda: bool(caught) or (deadline is not None and time.monotonic() >= deadline),
            )
    return _report(training, config, folder, caught, console)


def _report(training: Training, config: Config, folder: Path, caught: list[int], console: Console) -> int:
    """Say how the call ended, and return its exit code."""
    if training.finished:
        curriculum = training.curriculum
        # The only stage of a number of epochs lasts as long as it is asked to.
        lasting = curriculum.criterion.epochs is not None and len(curriculum.stages) == 1
        more = "; raise --epochs to go on" if lasting or not curriculum.finished else ""
        how = reached(training.history, curriculum)
        message, code = f"finished after {training.epoch} epochs: {how}{more}", 0
    else:
        named = {flag: getattr(config, name) for name, flag in ({"cell": "--cell"} | FLAGS).items()}
        own = [word for flag, value in named.items() if is_own(value) for word in (flag, str(value))]
        again = command_line(["tauscope", "train", "--resume", str(folder), *own])
        why = signal.Signals(caught[0]).name if caught else "time limit"
        message = (
            f"stopped by {why} in epoch {training.epoch + 1} after step {training.step}, all saved; go on: {again}"
        )
        code = 128 + caught[0] if caught else 0
    console.print(message, highlight=False, soft_wrap=True)
    return code


def _writer_kind() -> Any:
    """Return TensorBoard's writer class."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("tensorboard is not installed: expected pip install 'tauscope[track]'") from error
    return SummaryWriter


@contextlib.contextmanager
def _tensorboard(folder: Path, writer_kind: Any, tasks: Mapping[str, Task]) -> Iterator[Any]:
    """Yield a function that logs the record of an epoch, or does nothing without a writer."""
    if writer_kind is None:
        yield lambda _: None
        return
    from tauscope.plotting.training import metric_of

    with writer_kind(folder / "tensorboard") as writer:

        def log(record: dict[str, Any]) -> None:
            writer.add_scalar("loss", record["loss"], record["epoch"])
            writer.add_scalar("steps_per_second", record["steps_per_second"], record["epoch"])
            heads = list(tasks[record["stage"]].heads)
            writer.add_scalar("stage", list(tasks).index(record["stage"]), record["epoch"])
            for head, score in zip(heads, record[metric_of(tasks)], strict=True):
                writer.add_scalar(f"{metric_of(tasks)}/{head}", score, record["epoch"])

        yield log
