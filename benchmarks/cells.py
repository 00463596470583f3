"""Training steps of cells in two parts: against the products of each, torch's kernels, and a plain loop over the step."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from rich.table import Table
from torch import nn

import tauscope as ts
from benchmarks.limit import Work, fastest
from benchmarks.steps import TorchCell, n_bits
from benchmarks.timing import LIMIT, Timing, interleaved
from tauscope.learning.training import _step
from tauscope.models.solvers import loop

SIZES = ((500, 256, 10), (500, 256, 30), (100, 64, 10))
"""Units, batch, N."""
GATES = {"GRU": 3, "LSTM": 4, "AdaptingCell": 1}
OURS, KERNEL, TORCH, LOOP = "tauscope", "the recurrence of ours that it does not take", "torch.nn", "loop over the step"
TARGET, LARGE = 1.3, 500
"""Largest ratio to the products of a cell that is asked for, and at how many units."""
FASTER = {("GRU", TORCH): 1.9, ("LSTM", TORCH): 1.0, ("LSTM", KERNEL): 1.0}
"""How many times as fast as another row ours shall be; twice as fast as the loop."""
_EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "examples" / "adapting_cell.py"


def timings(rounds: int) -> dict[tuple[str, int, int, int], list[Timing]]:
    """Time every cell at every size; the first timing of each is the limit of the products of that cell, all its gates."""
    found = {}
    for n_units, batch, N in SIZES:
        _, products, _ = fastest(torch.float32, batch, n_units)
        for name, n_gates in GATES.items():
            limit = partial(_repeated, products, n_gates * n_bits(N))
            cell = _cell(name, n_units)
            rows: dict[str, Work] = {LIMIT: limit, OURS: _work(cell, batch, N)}
            if isinstance(cell, ts.GRUCell | ts.LSTMCell):
                if n_gates * batch * n_units**2 < cell.fast_from:
                    rows[KERNEL] = _work(_always_ours(_cell(name, n_units)), batch, N)
                rows[TORCH] = _work(TorchCell(getattr(nn, name), 1, n_units), batch, N)
            rows[LOOP] = _work(_looped(_cell(name, n_units)), batch, N)
            found[name, n_units, batch, N] = interleaved(rows, N, n_bits(N), rounds)
    return found


def table(found: dict[tuple[str, int, int, int], list[Timing]]) -> Table:
    """Return the table of ratios to each cell's own products, and of how many times as fast ours is; "!" misses a target."""
    result = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("cells in two parts, a training step", "ms", "of its products", "ours is faster by"):
        result.add_column(heading, no_wrap=True)
    for (name, n_units, batch, N), (limit, ours, *others) in found.items():
        title = f"{name}, {n_units} units, {batch} trials, N = {N}: products"
        result.add_row(title, f"{1e3 * limit.median_seconds:.1f}", "", "")
        missed = n_units >= LARGE and ours.ratio > TARGET
        result.add_row(f"  {OURS}", *_numbers(ours, missed), "")
        for other in others:
            faster = other.ratio / ours.ratio
            short = n_units >= LARGE and faster < FASTER.get((name, other.row), 2.0)
            result.add_row(f"  {other.row}", *_numbers(other, False), f"{'! ' if short else ''}{faster:.2f}")
    return result


def lines(found: dict[tuple[str, int, int, int], list[Timing]]) -> list[dict[str, float | int | str]]:
    """Return what the lines of a CSV file hold."""
    return [
        one.to_dict() | {"row": f"{name}, {n_units} units, {batch} trials: {one.row}"}
        for (name, n_units, batch, _), timed in found.items()
        for one in timed
    ]


def _numbers(one: Timing, missed: bool) -> tuple[str, str]:
    low, high = one.spread
    return f"{1e3 * one.median_seconds:.1f}", f"{'! ' if missed else ''}{one.ratio:.2f} ± {(high - low) / 2:.2f}"


def _cell(name: str, n_units: int) -> ts.Cell:
    generator = torch.Generator().manual_seed(0)
    if name == "GRU":
        return ts.GRUCell(1, n_units, generator)
    if name == "LSTM":
        return ts.LSTMCell(1, n_units, generator)
    cell: ts.Cell = _example().AdaptingCell(1, n_units, generator)
    return cell


def _example() -> ModuleType:
    """Return the documentation's example of a cell of one's own."""
    spec = importlib.util.spec_from_file_location(_EXAMPLE.stem, _EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _always_ours(cell: ts.Cell) -> ts.Cell:
    """Let a gated cell run sequences by the recurrence of cells in two parts, whatever their size."""
    assert isinstance(cell, ts.GRUCell | ts.LSTMCell)
    cell.fast_from = 0
    return cell


def _looped(cell: ts.Cell) -> ts.Cell:
    """Let a cell run sequences by the loop over its step."""
    cell.sequence = lambda inputs, state, *, noise=None, hold=None: loop(cell, inputs, state, noise, hold)  # type: ignore[method-assign]
    return cell


def _work(cell: ts.Cell, batch: int, N: int) -> Work:
    """Return a training step of a network of this cell at 2 … N: data, both passes, clipping, optimiser."""
    heads = ts.Heads(cell.n_units, [f"N{n}" for n in range(2, N + 1)], 2, False, torch.Generator().manual_seed(0))
    curriculum = ts.Curriculum(ts.cumulative(start=N - 1, last=N))
    state = ts.Training(ts.Model([cell], heads), ts.Parity(length=n_bits(N)), curriculum, ts.Recipe(batch_size=batch))
    return lambda: _step(state)


def _repeated(work: Work, times: int) -> None:
    for _ in range(times):
        work()
