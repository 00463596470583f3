"""Training steps of noisy networks that integrate paths, at the published size, against the GEMM limit."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from rich.table import Table

from benchmarks.limit import Work, fastest
from benchmarks.timing import LIMIT, Timing, interleaved
from tauscope.learning.state import Training
from tauscope.learning.training import _step
from tauscope.runs.config import config_of

TARGET = 1.3
UNITS, BATCH, STEPS = 512, 200, 100
"""The published network, its place cells and its walks."""


def step() -> Work:
    """Return a training step of tauscope's loop: walks, noise, start, both passes, loss, optimiser."""
    config = config_of(
        {"task": "path-integration", "num_neurons": UNITS, "n_cells": UNITS, "batch_size": BATCH, "seed": 0}
    )
    state = Training(config.model(), config.template(), config.curriculum(), config.recipe())
    return lambda: _step(state)


def timings(rounds: int) -> list[Timing]:
    """Time a step against the three products of the recurrence and the three of the read-out of every time step.

    By the time of the process, not of the clock on the wall: other work on the machine then counts for less.
    """
    _, three, _ = fastest(torch.float32, BATCH, UNITS)

    def products() -> None:
        for _ in range(2 * STEPS):
            three()

    return interleaved({LIMIT: products, "tauscope": step()}, 1, STEPS, rounds, clock=_process_seconds)


def _process_seconds(work: Callable[[], object], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def table(found: list[Timing]) -> Table:
    """Return the table: how many times the GEMM limit, by the medians and by the least times of all rounds; "!" misses the target."""
    limit, ours = found
    result = Table(box=None, padding=(0, 2, 0, 0))
    for heading in (
        f"noisy network, {UNITS} units and cells, {BATCH} walks of {STEPS} steps",
        "ms",
        "of the limit",
        "least times",
    ):
        result.add_column(heading, no_wrap=True)
    result.add_row("GEMM limit", f"{1e3 * limit.median_seconds:.1f}", "", "")
    low, high = ours.spread
    least = min(ours.seconds) / min(limit.seconds)
    missed = "! " if least > TARGET else ""
    result.add_row(
        "tauscope",
        f"{1e3 * ours.median_seconds:.1f}",
        f"{ours.ratio:.2f} ± {(high - low) / 2:.2f}",
        f"{missed}{least:.2f}",
    )
    return result
