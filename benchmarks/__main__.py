"""``python -m benchmarks``: the speed tables, of a training step and of measuring a network."""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import balanced, delayed, measuring, memory, parts, saving, steps
from benchmarks.limit import Work, fastest
from benchmarks.timing import LIMIT, Timing, interleaved
from tauscope.models.kernels.gemm import keep_freed_memory

LIMIT16 = "limit16"
ROWS = {
    "fp32": "tauscope, fp32",
    "bf16": "tauscope, bf16",
    LIMIT16: "GEMM limit in bf16",
    "rnn": "torch.nn.RNN, ReLU",
    "gru": "torch.nn.GRU",
    "lstm": "torch.nn.LSTM",
    "published": "published code",
    "data": "data, % of the fp32 step",
    "memory": "peak memory in fp32, MB",
    "saving": "saving the state",
    "parts": "parts of a step",
    "delayed": "delayed-response networks",
    "balanced": "balanced networks",
    "measuring": "measuring a network",
}
ALONE = ("parts", "delayed", "balanced", "measuring")
"""Rows that are tables of their own."""


def missed(row: str, N: int, value: float) -> bool:
    """Return whether a ratio to the GEMM limit (for data: a percentage) is above what is asked of it."""
    if row == "fp32":
        return value > (1.15 if N >= 10 else 1.5)
    if row == "bf16":
        return N >= 20 and value > 0.65
    return row == "data" and N == 30 and value > 3


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed of training and of measuring.")
    parser.add_argument("--N", type=_numbers, default=[2, 5, 10, 20, 30, 60, 100], help="largest N, e.g. 2,10,30")
    parser.add_argument("--rows", type=_rows, default=list(ROWS), help=f"some of {','.join(ROWS)}")
    parser.add_argument("--rounds", type=_integer, default=7, help="interleaved measurements of every row")
    parser.add_argument("--threads", type=_integer, default=torch.get_num_threads(), help="processor threads")
    parser.add_argument("--published", type=Path, metavar="DIR", help="checkout of LevinaLab/rnn_timescale_public")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the measurements there too")
    given = parser.parse_args()
    if given.published is None:
        given.rows = [row for row in given.rows if row != "published"]
    else:
        for file in (Path("src", "models", "RNN_Stack.py"), measuring.SCRIPT):
            if not (given.published / file).is_file():
                parser.error(f"{given.published} has no {file}: expected a checkout of the published code")
    if "measuring" in given.rows and not measuring.NETWORK.is_file():
        parser.error(f"{measuring.NETWORK} does not exist: expected the network that is measured")
    return given


def measure(given: argparse.Namespace, limits: dict[str, Work]) -> list[Timing]:
    """Time all rows at every N."""
    timings = []
    for N in given.N:
        bits = steps.n_bits(N)
        rows: dict[str, Work] = {LIMIT: _repeated(limits[LIMIT], bits)}
        for row in given.rows:
            if row == LIMIT16:
                rows[row] = _repeated(limits[row], bits)
            elif row == "data":
                rows[row] = steps.data(N)
            elif row == "published":
                rows[row] = steps.published_step(given.published, N)
            elif row not in ("memory", "saving", *ALONE):
                rows[row] = steps.step(row, N)
        timings += interleaved(rows, N, bits, given.rounds)
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
        if row != "data" and (row, Ns[0]) in found:
            result.add_row(label, *[_ratio(found[row, N]) for N in Ns])
    if ("data", Ns[0]) in found and ("fp32", Ns[0]) in found:
        result.add_row(ROWS["data"], *[_share(N, found) for N in Ns])
    if sizes:
        result.add_row(ROWS["memory"], *[f"{sizes[N] / 1e6:.1f}" for N in Ns])
    return result


def _ratio(one: Timing) -> str:
    low, high = one.spread
    return f"{'! ' if missed(one.row, one.N, one.ratio) else ''}{one.ratio:.2f} ± {(high - low) / 2:.2f}"


def _share(N: int, found: dict[tuple[str, int], Timing]) -> str:
    share = 100 * found["data", N].ratio / found["fp32", N].ratio
    return f"{'! ' if missed('data', N, share) else ''}{share:.2f}"


def main() -> None:
    """Measure and print."""
    given = options()
    # Lines are as long as they are, also where they are redirected to a file.
    console = Console(width=400, highlight=False)
    torch.set_num_threads(given.threads)
    threads = f"{given.threads} thread{'s' if given.threads > 1 else ''} on {os.cpu_count()} processors"
    console.print(f"torch {torch.__version__}, {threads}; load average before the start {os.getloadavg()[0]:.1f}")
    lines = []
    if set(given.rows) - set(ALONE):
        lines += _train(given, console)
    if "parts" in given.rows:
        keep_freed_memory()
        _, limit, _ = fastest()
        spent = {N: parts.seconds(N, _repeated(limit, steps.n_bits(N)), given.rounds) for N in given.N}
        console.print(parts.table(spent))
        lines += parts.lines(spent)
    for row, module in (("delayed", delayed), ("balanced", balanced)):
        if row in given.rows:
            keep_freed_memory()
            timings = module.timings(given.rounds)
            console.print(module.table(timings))
            console.print("! misses its target")
            lines += [one.to_dict() for one in timings]
    if "measuring" in given.rows:
        found = measuring.costs(given.rounds, given.threads, given.published)
        console.print(measuring.table(found))
        console.print(f"load average at the end {os.getloadavg()[0]:.1f}, of which {given.threads} ours")
        lines += measuring.lines(found)
    if given.csv is not None:
        _write(given.csv, lines)


def _train(given: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """Measure and print what belongs to a training step; returns the lines of the CSV file."""
    keep_freed_memory()
    limits = {}
    for row, name, dtype in ((LIMIT, "fp32", torch.float32), (LIMIT16, "bf16", torch.bfloat16)):
        best, limits[row], speeds = fastest(dtype)
        listed = ", ".join(f"{path} {speed:.0f}" for path, speed in speeds.items())
        console.print(f"products in {name}: {best} is the fastest (GFLOP/s: {listed})")
    timings = measure(given, limits)
    console.print(f"load average at the end of the timings {os.getloadavg()[0]:.1f}, of which {given.threads} ours")
    sizes = memory.growths(given.N, given.threads) if "memory" in given.rows else {}
    console.print(table(timings, sizes))
    console.print("! above target: fp32 1.5, from N = 10 1.15; bf16 from N = 20 0.65; data at N = 30 3 %")
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
    return sorted({_integer(one, 2) for one in text.split(",")})


def _integer(text: str, smallest: int = 1) -> int:
    if not text.strip().isdigit() or int(text) < smallest:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used: expected an integer of at least {smallest}")
    return int(text)


def _rows(text: str) -> list[str]:
    for row in text.split(","):
        if row not in ROWS:
            raise argparse.ArgumentTypeError(f"{row!r} is unknown: expected some of {','.join(ROWS)}")
    return text.split(",")


if __name__ == "__main__":
    main()
