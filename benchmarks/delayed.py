"""Training steps of the networks of Orhan & Ma (2019) at their published size, against the GEMM limit of that size."""

from __future__ import annotations

from typing import Any

import torch
from rich.table import Table

from benchmarks.limit import UNITS, Work, fastest
from benchmarks.timing import LIMIT, Timing, interleaved
from tauscope.learning.state import Training
from tauscope.learning.training import _step
from tauscope.runs.config import config_of

TARGET = 1.3
ROWS: dict[str, dict[str, Any]] = {
    "ReLU": {},
    "ReLU, variable delay": {"condition": "vardelay"},
    "Hebbian": {"condition": "hebbian"},
    "GRU": {"cell": "gru"},
}


def step(**options: Any) -> Work:
    """Return a training step on COMP: 500 units, 50 trials of 150 steps."""
    config = config_of({"task": "comp", "lambda_val": 0.9, "sigma_val": 0.005, "seed": 0, **options})
    state = Training(config.model(), config.template(), config.curriculum(), config.recipe())

    return lambda: _step(state)


def timings(rounds: int) -> list[Timing]:
    """Time all rows against the limit."""
    config = config_of({"task": "de1"})
    _, products, _ = fastest(batch=config.batch_size)
    n_steps = len(config.template().sample(1, torch.Generator().manual_seed(0)).inputs)

    def limit() -> None:
        for _ in range(n_steps):
            products()

    rows = {LIMIT: limit} | {name: step(**options) for name, options in ROWS.items()}
    return interleaved(rows, 1, n_steps, rounds)


def table(found: list[Timing]) -> Table:
    """Return the table: of a ratio, the median over rounds ± half the distance between its quartiles."""
    result = Table(box=None, padding=(0, 2, 0, 0))
    for heading in (
        f"delayed response, {UNITS} units, 50 trials of {found[0].n_bits} steps",
        "ms",
        "of the GEMM limit",
    ):
        result.add_column(heading, no_wrap=True)
    for one in found:
        low, high = one.spread
        mark = "! " if one.row != "GRU" and one.ratio > TARGET else ""
        ratio = "" if one.row == LIMIT else f"{mark}{one.ratio:.2f} ± {(high - low) / 2:.2f}"
        name = "GEMM limit" if one.row == LIMIT else one.row
        result.add_row(name, f"{1e3 * one.median_seconds:.1f}", ratio)
    return result
