"""Loss and gradient of small GRUs over long sequences, by every engine: against `torch.nn.GRU`, in processor time."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from rich.table import Table
from torch import Tensor

import tauscope as ts
from benchmarks.limit import Work
from benchmarks.timing import LIMIT, Timing, interleaved
from tauscope.models import Adjoint, Cell, Fast, Loop, Parallel, Solver
from tauscope.models.cell import State

SIZES = tuple(
    (batch, n, T)
    for batch, largest in ((1, 160_000), (16, 16_000))
    for n in (1, 4, 16, 64)
    for T in (100, 1000, 10_000)
    if n * T <= largest
)
"""Batch, units, steps."""
LOOP, FAST, ADJOINT, NEWTON, GENERIC = (
    "loop over the step",
    "cells in two parts",
    "adjoint",
    "parallel",
    "parallel, generic Jacobian",
)


class _Generic(ts.GRUCell):
    """A GRU of which nothing is known but its step."""

    jacobian = Cell.jacobian


class _TwoParts:
    """The recurrence of cells in two parts, also where torch's kernel is faster."""

    def __call__(
        self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, Mapping[str, Tensor]]:
        return *ts.TwoPartCell.sequence(cell, inputs, state, noise=noise, hold=hold), {}  # type: ignore[arg-type]


def target(row: str, batch: int, n_units: int, n_steps: int) -> float:
    """Return how many times as fast as `torch.nn.GRU` a row shall be; 0 where nothing is asked."""
    if n_steps < 1000:
        return 0.0
    small = batch == 1 and n_units <= 4
    return {ADJOINT: 1.3, NEWTON: 10.0 * small, GENERIC: 5.0 * small}.get(row, 0.0)


def timings(rounds: int) -> dict[tuple[int, int, int], list[Timing]]:
    """Time every engine at every size; the first timing of each is `torch.nn.GRU`."""
    found = {}
    for batch, n_units, n_steps in SIZES:
        rows: dict[str, tuple[type[ts.GRUCell], Solver]] = {
            LIMIT: (ts.GRUCell, Fast()),
            LOOP: (ts.GRUCell, Loop()),
            FAST: (ts.GRUCell, _TwoParts()),
            ADJOINT: (ts.GRUCell, Adjoint()),
            NEWTON: (ts.GRUCell, Parallel()),
            GENERIC: (_Generic, Parallel()),
        }
        works = {name: _work(kind, solver, batch, n_units, n_steps) for name, (kind, solver) in rows.items()}
        found[batch, n_units, n_steps] = interleaved(works, 0, n_steps, rounds, clock=_processor_time)
    return found


def table(found: dict[tuple[int, int, int], list[Timing]]) -> Table:
    """Return the table: milliseconds of `torch.nn.GRU`, and how many times as fast others are; "!" misses a target."""
    result = Table(box=None, padding=(0, 2, 0, 0))
    result.add_column("GRU, loss and gradient", no_wrap=True)
    result.add_column("torch.nn.GRU, ms", justify="right", no_wrap=True)
    for name in (LOOP, FAST, ADJOINT, NEWTON, GENERIC):
        result.add_column(f"{name}, times as fast", justify="right")
    for (batch, n_units, n_steps), (limit, *others) in found.items():
        cells = []
        for other in others:
            faster = 1 / other.ratio
            missed = faster < target(other.row, batch, n_units, n_steps)
            cells.append(f"{'! ' if missed else ''}{faster:.2f}")
        title = f"batch {batch}, n = {n_units}, {n_steps} steps"
        result.add_row(title, f"{1e3 * limit.median_seconds:.1f}", *cells)
    result.caption = (
        "processor time of one thread; no claim for dense cells of 100 units or more, of which Jacobians are dear"
    )
    return result


def lines(found: dict[tuple[int, int, int], list[Timing]]) -> list[dict[str, float | int | str]]:
    """Return what the lines of a CSV file hold."""
    return [
        one.to_dict() | {"row": f"GRU, batch {batch}, {n_units} units, {n_steps} steps: {one.row}"}
        for (batch, n_units, n_steps), timed in found.items()
        for one in timed
    ]


def _work(kind: type[ts.GRUCell], solver: Solver, batch: int, n_units: int, n_steps: int) -> Work:
    """Return a loss and its gradient of an untrained network of two inputs."""
    generator = torch.Generator().manual_seed(0)
    model = ts.Model([kind(2, n_units, generator)], ts.Heads(n_units, ["out"], 1, True, generator))
    inputs = torch.randn(n_steps, batch, 2, generator=generator)
    parameters = list(model.cells.parameters())

    def work() -> object:
        return torch.autograd.grad(model.solve(inputs, solver=solver)[0].square().mean(), parameters)

    return work


def _processor_time(work: Work, repeats: int) -> float:
    """Return the processor seconds of one repeat: other work on the machine counts for nothing."""
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats
