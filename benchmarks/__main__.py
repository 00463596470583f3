"""``python -m benchmarks``: the speed tables, of a training step and of measuring a network."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import balanced, cells, delayed, gpu, machine, measuring, memory, noisy, parallel, parts, saving, steps
from benchmarks.limit import Work, fastest
from benchmarks.timing import LIMIT, Timing, interleaved
from tauscope.errors import InputError
from tauscope.models.kernels.gemm import keep_freed_memory
from tauscope.models.kernels.processor import instruction_sets, vendor
from tauscope.models.kernels.subnormals import flushing

LIMIT16 = "limit16"
ROWS = {
    "fp32": "tauscope, fp32",
    "bf16": "tauscope, bf16",
    LIMIT16: "GEMM limit in bf16",
    "rnn": "torch.nn.RNN, ReLU",
    "gru": "torch.nn.GRU",
    "lstm": "torch.nn.LSTM",
    "neuralrnn": "NeuralRNN, CTRNNModel",
    "published": "published code",
    "data": "data, % of the fp32 step",
    "memory": "peak memory in fp32, MB",
    "saving": "saving the state",
    "parts": "parts of a step",
    "cells": "cells in two parts",
    "parallel": "engines of training",
    "delayed": "delayed-response networks",
    "balanced": "balanced networks",
    "noisy": "noisy networks that integrate paths",
    "measuring": "measuring a network",
}
ALONE = ("parts", "cells", "parallel", "delayed", "balanced", "noisy", "measuring")
"""Rows that are tables of their own."""
OTHERS = ("rnn", "gru", "lstm", "neuralrnn", "published")
"""Other people's steps. Nothing flushes subnormal numbers for their users: long sequences are measured both ways, so that what
flushing saves is not taken for what our step saves."""
KEPT, LONG = ", subnormals kept", 30
"""What is added to the name of a row that does not flush them, and the smallest N at which there is one."""
LARGEST = 101
"""N of the last of the 100 heads."""


def targets() -> tuple[float, float]:
    """Return the largest ratios asked of float32 from N = 10 on, and of bfloat16 from N = 20 on, in this process."""
    alone = 1.2 if vendor() == "intel" else 1.15
    return 1.25 if torch.get_num_threads() > 1 else alone, 0.4 if "AMX BF16" in instruction_sets() else 0.65


def missed(row: str, N: int, value: float) -> bool:
    """Return whether a ratio to the GEMM limit (for data: a percentage) is above what is asked of it."""
    fp32, bf16 = targets()
    if row == "fp32":
        return value > (fp32 if N >= 10 else 1.5)
    if row == "bf16":
        return N >= 20 and value > bf16
    return row == "data" and N == 30 and value > 3


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed of training and of measuring.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to measure")
    parser.add_argument("--N", type=_numbers, help="largest N, e.g. 2,10,30")
    parser.add_argument("--rows", type=_rows, help=f"some of {','.join(ROWS)}; on cuda of {','.join(gpu.ROWS)}")
    parser.add_argument("--rounds", type=_integer, default=7, help="interleaved measurements of every row")
    parser.add_argument("--threads", type=_integer, default=torch.get_num_threads(), help="processor threads")
    parser.add_argument("--published", type=Path, metavar="DIR", help="checkout of LevinaLab/rnn_timescale_public")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the measurements there too")
    given = parser.parse_args(arguments)
    on_gpu = given.device == "cuda"
    known = gpu.ROWS if on_gpu else ROWS
    given.N = given.N or ([10, 30, 60] if on_gpu else [2, 5, 10, 20, 30, 60, 100])
    given.rows = given.rows or list(known)
    for row in given.rows:
        if row not in known:
            parser.error(f"row {row!r} is measured on the CPU alone: expected some of {','.join(known)}")
    if given.published is not None:
        for file in (Path("src", "models", "RNN_Stack.py"), measuring.SCRIPT):
            if not (given.published / file).is_file():
                parser.error(f"{given.published} has no {file}: expected a checkout of the published code")
    if "measuring" in given.rows and not measuring.NETWORK.is_file():
        parser.error(f"{measuring.NETWORK} does not exist: expected the network that is measured")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = options(arguments)
    torch.set_num_threads(given.threads)
    # Lines are as long as they are, also where they are redirected to a file.
    console = Console(width=400, highlight=False, markup=False)
    with flushing() as flushed:
        for line in machine.description(flushed):
            console.print(line)
    if given.device == "cuda":
        _on_gpu(given, console)
        return
    keep_freed_memory()
    steps_of = _builders(given, console)
    lines = []
    if steps_of or {"memory", "saving"} & set(given.rows):
        lines += _train(given, steps_of, flushed, console)
    lines += _alone(given, console)
    if given.csv is not None:
        _write(given.csv, lines)


def measure(
    given: argparse.Namespace, steps_of: dict[str, Callable[[int], Work]], limits: dict[str, Work], flushed: bool
) -> list[Timing]:
    """Time all rows at every N, those of other people's code both ways where that matters."""
    timings = []
    for N in given.N:
        bits = steps.n_bits(N)
        rows: dict[str, Work] = {LIMIT: _repeated(limits[LIMIT], bits)}
        for row, step_of in steps_of.items():
            rows[row] = _repeated(limits[row], bits) if row == LIMIT16 else step_of(N)
        kept = {row + KEPT: steps_of[row](N) for row in OTHERS if row in steps_of and N >= LONG and flushed}
        timings += interleaved(rows | kept, N, bits, given.rounds, kept=kept)
    return timings


def table(timings: list[Timing], sizes: dict[int, int]) -> Table:
    """Return the table: of a ratio, the median over rounds ± half the distance between its quartiles."""
    found = {(one.row, one.N): one for one in timings}
    Ns = sorted({one.N for one in timings})
    result = Table(box=None, padding=(0, 2, 0, 0))
    result.add_column("ratio to the GEMM limit", no_wrap=True)
    for N in Ns:
        result.add_column(f"N = {N}", justify="right", no_wrap=True)
    result.add_row("time steps", *[str(steps.n_bits(N)) for N in Ns])
    result.add_row("GEMM limit, ms", *[f"{1e3 * found[LIMIT, N].median_seconds:.1f}" for N in Ns])
    for row, label in ROWS.items():
        for addition in ("", KEPT):
            ratios = [_ratio(found.get((row + addition, N))) for N in Ns]
            if row != "data" and any(ratios):
                result.add_row(label + addition, *ratios)
    if ("data", Ns[0]) in found and ("fp32", Ns[0]) in found:
        result.add_row(ROWS["data"], *[_share(N, found) for N in Ns])
    if sizes:
        result.add_row(ROWS["memory"], *[f"{sizes[N] / 1e6:.1f}" for N in Ns])
    return result


def _ratio(one: Timing | None) -> str:
    if one is None:
        return ""
    low, high = one.spread
    return f"{'! ' if missed(one.row, one.N, one.ratio) else ''}{one.ratio:.2f} ± {(high - low) / 2:.2f}"


def _share(N: int, found: dict[tuple[str, int], Timing]) -> str:
    share = 100 * found["data", N].ratio / found["fp32", N].ratio
    return f"{'! ' if missed('data', N, share) else ''}{share:.2f}"


def _builders(given: argparse.Namespace, console: Console) -> dict[str, Callable[[int], Work]]:
    """Return what makes the work of every row at an N; of a row that cannot be measured here, the reason is printed."""
    builders: dict[str, Callable[[int], Work]] = {}
    for row in given.rows:
        if row in ("memory", "saving", *ALONE):
            continue
        if row == "published" and given.published is None:
            console.print("published: skipped, expected --published DIR")
        elif row == "neuralrnn":
            try:
                console.print(f"neuralrnn: NeuralRNN {steps.neuralrnn_version()}")
                builders[row] = steps.neuralrnn_step
            except ImportError as error:
                console.print(f"neuralrnn: skipped, {error} (expected pip install NeuralRNN==0.4.0)")
        elif row == "published":
            builders[row] = partial(steps.published_step, given.published)
        elif row == "data":
            builders[row] = steps.data
        else:
            builders[row] = partial(steps.step, row)
    return builders


def _train(
    given: argparse.Namespace, steps_of: dict[str, Callable[[int], Work]], flushed: bool, console: Console
) -> list[dict[str, Any]]:
    """Measure and print what belongs to a training step; returns the lines of the CSV file."""
    limits = {}
    for row, name, dtype in ((LIMIT, "fp32", torch.float32), (LIMIT16, "bf16", torch.bfloat16)):
        best, limits[row], speeds = fastest(dtype)
        listed = ", ".join(f"{path} {speed:.0f}" for path, speed in speeds.items())
        console.print(f"products in {name}: {best} is the fastest (GFLOP/s: {listed})")
    timings = measure(given, steps_of, limits, flushed)
    console.print(f"load average at the end of the timings {os.getloadavg()[0]:.1f}, of which {given.threads} ours")
    sizes = memory.growths(given.N, given.threads) if "memory" in given.rows else {}
    console.print(table(timings, sizes))
    fp32, bf16 = targets()
    console.print(f"! above target: fp32 1.5, from N = 10 {fp32}; bf16 from N = 20 {bf16}; data at N = 30 3 %")
    if len(sizes) > 2:
        slope, miss = memory.line({steps.n_bits(N): size for N, size in sizes.items()})
        console.print(
            f"peak memory is linear in time: {slope / 1e6:.3f} MB a step, within {100 * miss:.1f} % of the largest"
        )
    if "saving" in given.rows:
        for n_epochs in (0, 1000):
            cost = saving.seconds(given.rounds, n_epochs)
            share = f"{100 * cost / 60:.2f} % of the 60 s between two (target 1 %)"
            console.print(f"saving the state after {n_epochs} epochs: {1e3 * cost:.0f} ms, {share}")
    return [
        one.to_dict() | ({"peak_megabytes": sizes[one.N] / 1e6} if sizes and one.row == "fp32" else {})
        for one in timings
    ]


def _alone(given: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Measure and print the tables of their own; returns the lines of the CSV file."""
    lines = []
    if "parts" in given.rows:
        _, limit, _ = fastest()
        spent = {N: parts.seconds(N, _repeated(limit, steps.n_bits(N)), given.rounds) for N in given.N}
        console.print(parts.table(spent))
        lines += parts.lines(spent)
    for row, tables in (("cells", cells), ("parallel", parallel)):
        if row in given.rows:
            timed: Any = tables.timings(given.rounds)
            console.print(tables.table(timed))
            console.print("! misses its target")
            lines += tables.lines(timed)
    for row, module in (("delayed", delayed), ("balanced", balanced), ("noisy", noisy)):
        if row in given.rows:
            timings = module.timings(given.rounds)
            console.print(module.table(timings))
            console.print("! misses its target")
            lines += [one.to_dict() for one in timings]
    if "measuring" in given.rows:
        found = measuring.costs(given.rounds, given.threads, given.published)
        console.print(measuring.table(found))
        console.print(f"load average at the end {os.getloadavg()[0]:.1f}, of which {given.threads} ours")
        lines += measuring.lines(found)
    return lines


def _on_gpu(given: argparse.Namespace, console: Console) -> None:
    """Measure and print the table of the GPU; stopped early, it has the Ns that were finished."""
    absence = gpu.absence()
    if absence is not None:
        console.print(f"cuda: skipped, {absence}")
        return
    console.print(gpu.description())
    gpu.agreement(given.rows, console.print)
    found: list[Timing] = []
    try:
        for timings in gpu.timings(given.N, given.rows, given.rounds, console.print):
            found += timings
            if given.csv is not None:
                _write(given.csv, [one.to_dict() for one in found])
    finally:
        if found:
            console.print(gpu.table(found))


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for line in lines for name in line))
        writer.writeheader()
        writer.writerows(lines)


def _repeated(work: Work, times: int) -> Work:
    def repeated() -> None:
        for _ in range(times):
            work()

    return repeated


def _numbers(text: str) -> list[int]:
    return sorted({_integer(one, 2, LARGEST) for one in text.split(",")})


def _integer(text: str, smallest: int = 1, largest: int | None = None) -> int:
    wanted = f"of at least {smallest}" if largest is None else f"from {smallest} to {largest}"
    if not text.strip().isdigit() or int(text) < smallest or (largest is not None and int(text) > largest):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used: expected an integer {wanted}")
    return int(text)


def _rows(text: str) -> list[str]:
    for row in text.split(","):
        if row not in ROWS:
            raise argparse.ArgumentTypeError(f"{row!r} is unknown: expected some of {','.join(ROWS)}")
    return text.split(",")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"python -m benchmarks: {error}")
