"""The GEMM limit: what the matrix products of a training step cost at best.

Exact backpropagation through time needs three products for each time step: the state's, its gradient's and the weight
gradient's. The limit of a step of M time steps is the time of 3 M products [256 x 500] · [500 x 500] by whichever path
to a BLAS is the fastest in this process, on operands that stay in the cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

BATCH, UNITS = 256, 500
Work = Callable[[], object]


def paths(dtype: torch.dtype = torch.float32, batch: int = BATCH, units: int = UNITS) -> dict[str, Work]:
    """Return the ways to compute three products of a batch, by name."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(3, batch, units, generator=generator).to(dtype)
    b = torch.randn(3, units, units, generator=generator).to(dtype)
    out = torch.zeros(batch, units, dtype=dtype)
    pairs = list(zip(a.unbind(0), b.unbind(0), strict=True))
    ways: dict[str, Work] = {
        "torch.mm": lambda: [torch.mm(x, y) for x, y in pairs],
        "torch.mm, transposed": lambda: [torch.mm(x, y.t()) for x, y in pairs],
        "torch.addmm, in place": lambda: [torch.addmm(out, x, y, beta=0, out=out) for x, y in pairs],
        "torch.bmm": lambda: torch.bmm(a, b),
    }
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        linear = torch.ops.mkldnn._linear_pointwise
        ways["oneDNN linear"] = lambda: [linear(x, y, None, "none", [], "") for x, y in pairs]
    return ways


def fastest(
    dtype: torch.dtype = torch.float32, batch: int = BATCH, units: int = UNITS, rounds: int = 15, repeats: int = 5
) -> tuple[str, Work, dict[str, float]]:
    """Return the fastest path and the speed of all of them.

    Parameters
    ----------
    dtype : torch.dtype
        Of the operands.
    batch, units : int
        Rows of the left one; rows and columns of the right one.
    rounds, repeats : int
        Rounds of measurement over all paths; repeats of three products a round.

    Returns
    -------
    name : str
        Of the fastest path.
    work : callable
        Computes three products by it.
    speeds : dict of float
        GFLOP/s of every path in its best round: what else the machine does can only slow a path down, so the best
        round misjudges none, as a median may on a machine at work.
    """
    ways = paths(dtype, batch, units)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        work()
    for _ in range(rounds):
        for name, work in ways.items():
            start = time.perf_counter()
            for _ in range(repeats):
                work()
            seconds[name].append((time.perf_counter() - start) / repeats)
    flops = 3 * 2 * batch * units * units
    speeds = {name: flops / min(times) / 1e9 for name, times in seconds.items()}
    best = max(speeds, key=lambda name: speeds[name])
    return best, ways[best], speeds
