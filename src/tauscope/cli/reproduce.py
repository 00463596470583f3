"""``tauscope reproduce``: a paper's networks trained and measured anew, and its claims beside our numbers."""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tauscope._lazy import torch
from tauscope._streams import command_line
from tauscope._words import count
from tauscope.cli import flags, slurm_flags
from tauscope.cli.progress import NetworksDisplay
from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.jobs.pool import processors, share
from tauscope.jobs.signals import collect_signals
from tauscope.jobs.slurm import script
from tauscope.models import CELLS
from tauscope.models.names import NOISY_CELLS
from tauscope.papers import PAPERS, paper
from tauscope.papers.vocabulary import SCALES
from tauscope.runs.config import allow, kind_of
from tauscope.runs.environment import environment
from tauscope.runs.files import require_writable
from tauscope.runs.folder import read_metrics
from tauscope.runs.setups.memory import START_CELLS

if TYPE_CHECKING:
    from tauscope.jobs.slurm import Request
    from tauscope.papers.reproduce.judging import Judged
    from tauscope.papers.reproduce.output import Reproduced
    from tauscope.papers.reproduce.planning import Plan

FAILED = 3
"""Exit code where the table is made but a training, a measurement, or the paper's judge of a claim failed."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.epilog = (
        "exit code: 0 if the table is complete; 3 if a network or a measurement is missing, or the paper has a mistake"
    )
    parser.add_argument("paper", nargs="?", help=f"{', '.join(PAPERS)}, or module:NAME; without one, all are listed")
    parser.add_argument("--scale", default="quick", help="how large; the list of papers says what each takes")
    parser.add_argument(
        "-b", "--base_path", "--base-path", type=Path, help="folder of the runs; by default reproductions/PAPER-SCALE"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="folder of tables, figures and page; by default results in that of the runs"
    )
    parser.add_argument("--networks", type=int, help="networks of every condition; by default those of the scale")
    parser.add_argument("--cell", help="ask the same of another cell: leaky, gru, lstm, or module:Class")
    parser.add_argument("-t", "--task", help="ask the same of another task: parity, dms")
    parser.add_argument("-s", "--seed", type=flags.seed, default=0, help="added to the seeds, which are 0, 1, 2, ...")
    parser.add_argument(
        "--published", type=Path, help="folder of the published code's networks, to be measured and drawn beside ours"
    )
    parser.add_argument("--jobs", type=int, help="networks at a time; by default one for each processor, one on a GPU")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--dry_run", "--dry-run", action="store_true", help="print what would be done, and end")
    slurm_flags.add(parser, "networks")


def run(options: argparse.Namespace, console: Console) -> int:
    """Train, measure, judge, print and write, and return the exit code: 3 if something failed."""
    if options.paper is None:
        _list(console)
        return 0
    _refuse(options)
    request = slurm_flags.request(options)

    from tauscope.papers.reproduce.output import conclude, require_own, write_results
    from tauscope.papers.reproduce.planning import Choice, make_plan
    from tauscope.papers.reproduce.running import run_plan
    from tauscope.report.claims_page import claims_page

    choice = Choice(options.networks, options.cell, options.task, options.seed, options.published)
    plan = make_plan(options.paper, options.scale, options.base_path, choice)
    output = options.output or plan.base / "results"
    require_own(output, plan)
    device = flags.device(options.device)
    n_processes = _processes(options.jobs, device, len(plan.networks))
    _print_plan(plan, output, n_processes, console)
    if options.dry_run:
        if request is not None:
            print(script(request, plan.base, min(len(plan.networks), request.array_size)))
        return 0
    _require_a_task(plan)
    if request is not None and _queue(request, plan, options, console):
        return 0
    with collect_signals() as caught, NetworksDisplay(console) as display:
        results = run_plan(
            plan,
            n_processes,
            device=device,
            on_plan=display.on_plan,
            on_start=display.on_start,
            on_progress=display.on_progress,
            on_end=display.on_end,
            stop=lambda: bool(caught),
        )
    words = _words(options)
    if results is None:
        why = signal.Signals(caught[0]).name
        console.print(f"stopped by {why}, all saved; go on: {command_line(words)}", soft_wrap=True)
        return 128 + caught[0]
    here = environment(device) | {"threads": share(n_processes), "networks_at_a_time": n_processes}
    reproduced = conclude(plan, results, command_line(words, "utf-8"), here)
    write_results(reproduced, output, claims_page(reproduced))
    return _report(reproduced, output, console)


def _queue(request: Request, plan: Plan, options: argparse.Namespace, console: Console) -> bool:
    """Put the networks that are not complete into SLURM's queue, and return whether there are any."""
    from tauscope.papers.reproduce.queueing import QueuedNetwork, as_sweep, incomplete

    remaining = incomplete(plan)
    if remaining:
        # Published networks are measured where the claims are judged.
        choice = replace(plan.choice, published=None)
        job = partial(QueuedNetwork, paper=options.paper, scale=options.scale, choice=choice)
        slurm_flags.queue(request, as_sweep(plan), remaining, options.device, console, job)
        console.print("judge the claims when all networks are finished: the same command", soft_wrap=True)
    return bool(remaining)


def _refuse(options: argparse.Namespace) -> None:
    """Refuse what can be refused without the paper's module, which imports all that measures and draws."""
    if ":" not in options.paper:
        require_choice("paper", options.paper, [*PAPERS, "module:NAME"])
        require_choice("scale", options.scale, SCALES)
    for name in ("networks", "jobs"):
        if (value := getattr(options, name)) is not None:
            require_at_least(name, value, 1)
    if options.cell is not None and ":" not in options.cell:
        require_choice(
            "cell", options.cell, dict.fromkeys([*CELLS, *START_CELLS, "balanced", *NOISY_CELLS, "module:Class"])
        )
    if options.task is not None:
        allow({"task": options.task})
        kind_of(options.task)
    for folder in (options.base_path, options.output):
        if folder is not None:
            require_writable(folder)


def _require_a_task(plan: Plan) -> None:
    """Refuse a plan of which no task can be drawn here, as for want of a package, before anything is written."""
    tasks = {repr(network.config.template()): network.config.template() for network in plan.networks}
    problems = []
    for task in tasks.values():
        try:
            task.sample(1, torch.Generator().manual_seed(0))
        except InputError as error:
            problems.append(error)
    if problems and len(problems) == len(tasks):
        raise problems[0]


def _list(console: Console) -> None:
    """Print every paper with its scales."""
    for name in PAPERS:
        found = paper(name)
        table = Table("scale", "networks a condition", "cost", "claims out of reach", title=f"{name}: {found.title}")
        for scale in found.scales.values():
            table.add_row(scale.name, str(scale.networks), scale.cost, ", ".join(scale.out_of_reach) or "none")
        console.print(table)
    console.print("tauscope reproduce PAPER --scale NAME --dry-run prints what would be done")


def _processes(jobs: int | None, device: str, networks: int) -> int:
    if jobs is None:
        return min(processors() if device == "cpu" else 1, networks)
    return jobs


def _print_plan(plan: Plan, output: Path, n_processes: int, console: Console) -> None:
    """Print what will be done and what it takes."""
    table = Table("condition", "networks", "how", "epochs", title=f"{plan.paper.title}, scale {plan.scale.name}")
    for condition in plan.paper.conditions:
        of_it = [network for network in plan.networks if condition.name in dict(network.numbers)]
        if condition.name in plan.left_out:
            table.add_row(condition.name, "left out", plan.left_out[condition.name], "")
        else:
            epochs = (
                sum(len(read_metrics(network.folder)) for network in of_it),
                sum(network.config.recipe().epochs for network in of_it),
            )
            table.add_row(condition.name, str(len(of_it)), condition.label, f"{epochs[0]} of {epochs[1]} at most")
    console.print(table)
    out_of_reach: dict[str, list[str]] = {}
    for key, why in plan.scale.out_of_reach.items():
        out_of_reach.setdefault(why, []).append(key)
    lines = [
        f"cost: {plan.scale.cost}",
        f"{count(len(plan.networks), 'network')}, {n_processes} at a time, in {plan.base}; results in {output}",
        *([f"measured without a network: {', '.join(study.name for study in plan.studies)}"] if plan.studies else []),
        *([f"measured beside ours: {', '.join(network.name for network in plan.published)}"] if plan.published else []),
        *(f"{', '.join(keys)} cannot be judged at this scale: {why}" for why, keys in out_of_reach.items()),
    ]
    for line in lines:
        console.print(line, soft_wrap=True)


def _report(reproduced: Reproduced, output: Path, console: Console) -> int:
    """Print the claims and what is missing, and return the exit code."""
    from tauscope.papers.reproduce.output import PAGE

    console.print(_table(reproduced.judged))
    for network in reproduced.failed():
        flags.print_error(f"{network.condition} {network.network} is missing: {network.missing}")
    for name, why in reproduced.results.failed_studies.items():
        flags.print_error(f"study {name} is missing: {why}")
    for name, why in reproduced.undrawn.items():
        flags.print_error(f"{name} cannot be drawn: {why}")
    for name, why in reproduced.errors().items():
        flags.print_error(f"{name} {why}")
    console.print(f"wrote {output / PAGE} and its tables and figures", soft_wrap=True)
    return FAILED if reproduced.failed() or reproduced.results.failed_studies or reproduced.errors() else 0


def _table(judged: list[Judged]) -> Table:
    from tauscope.papers.reproduce.judging import HEADING, claim_rows

    table = Table(*HEADING)
    for row in claim_rows(judged):
        table.add_row(*row, style="bold" if row[0] else None)
    return table


def _words(options: argparse.Namespace) -> list[str]:
    """Return the words of the command line that makes the same."""
    parts = ["tauscope", "reproduce", options.paper, "--scale", options.scale]
    for flag in ("base_path", "output", "networks", "cell", "task", "published", "jobs"):
        value = getattr(options, flag)
        parts += [] if value is None else [f"--{flag}", str(value)]
    parts += ["--seed", str(options.seed)] if options.seed else []
    return parts + (["--device", options.device] if options.device != "auto" else [])
