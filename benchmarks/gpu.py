"""Training steps on a GPU against the products of a step there: ``python -m benchmarks --device cuda``.

The limit is, as on a processor, the time of 3 M products [256 x 500] · [500 x 500]. Called one by one from Python, products
this small may end before the next is called; replayed from a CUDA graph, they show what the GPU can do.
TensorFloat-32 is off everywhere, in cuDNN too, so that all rows but those in bfloat16 compute in float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from rich.table import Table

from benchmarks import steps
from benchmarks.limit import BATCH, UNITS, Work
from benchmarks.timing import LIMIT, Timing, interleaved

ROWS = {
    "fp32": "tauscope, fp32",
    "bf16": "tauscope, bf16",
    "rnn": "torch.nn.RNN, ReLU (cuDNN)",
    "gru": "torch.nn.GRU (cuDNN)",
    "lstm": "torch.nn.LSTM (cuDNN)",
}
CALLS, LIMIT16, CALLS16 = "calls", "limit16", "calls16"
PRODUCTS = {
    CALLS: "torch.mm, call by call, fp32",
    LIMIT16: "GEMM limit in bf16",
    CALLS16: "torch.mm, call by call, bf16",
}
_WARM_UP = 3


def absence() -> str | None:
    """Return why nothing can be measured on a GPU here, in one line; nothing where it can."""
    if torch.cuda.is_available():
        return None
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    return f"no CUDA device: torch {torch.__version__} ({built}) finds none"


def description() -> str:
    """Return the line that names the GPU and how it computes."""
    name, cudnn = torch.cuda.get_device_name(), torch.backends.cudnn.version()
    return f"GPU: {name}, CUDA {torch.version.cuda}, cuDNN {cudnn}; TF32 off in products and in cuDNN"


def without_tf32() -> None:
    """Let float32 be float32, in products and in cuDNN."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def difference(row: str, device: str = "cuda") -> float:
    """Return how far the gradient that a device computes is from the processor's, relative to its length.

    TF32, which rounds operands to 11 bits, would be off by some 1e-4, float32 by far less.
    """
    network, generator = steps.network(row), torch.Generator().manual_seed(0)
    inputs = torch.rand(steps.n_bits(10), BATCH, 1, generator=generator).round()
    gradients = []
    for place in ("cpu", device):
        twin = copy.deepcopy(network).to(place)
        twin.hidden(twin(inputs.to(place))[1]).square().mean().backward()
        parts = [one.grad.flatten().cpu().double() for one in twin.cells.parameters() if one.grad is not None]
        gradients.append(torch.cat(parts))
    right, found = gradients
    return float((found - right).norm() / right.norm())


def agreement(rows: Sequence[str], say: Callable[[str], object]) -> None:
    """Say of every row how far its gradient is from the processor's, or by what it fails."""
    without_tf32()
    for row in rows:
        try:
            say(f"{row}: gradient within {difference(row):.1e} of the processor's")
        except Exception as error:
            say(f"{row}: gradient not compared, {one_line(error)}")


def one_line(error: Exception) -> str:
    """Return the kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def products(dtype: torch.dtype, n_steps: int) -> Work:
    """Return the three products of so many time steps, one call of `torch.mm` after the other."""
    generator = torch.Generator("cuda").manual_seed(0)
    a = torch.randn(3, BATCH, UNITS, generator=generator, device="cuda").to(dtype).unbind(0)
    b = torch.randn(3, UNITS, UNITS, generator=generator, device="cuda").to(dtype).unbind(0)
    out = torch.empty(3, BATCH, UNITS, device="cuda", dtype=dtype).unbind(0)

    def work() -> None:
        for _ in range(n_steps):
            for x, y, product in zip(a, b, out, strict=True):
                torch.mm(x, y, out=product)

    return work


@dataclass(frozen=True)
class _Replay:
    """A graph, and the work that was captured: the graph knows no more of its operands than their addresses."""

    graph: torch.cuda.CUDAGraph
    work: Work

    def __call__(self) -> None:
        self.graph.replay()


def limit(dtype: torch.dtype, n_steps: int) -> Work:
    """Return the three products of so many time steps, replayed from a CUDA graph."""
    work, side = products(dtype, n_steps), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        # cuBLAS takes its workspace before the capture.
        work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()

    return _Replay(graph, work)


def seconds(work: Work, repeats: int) -> float:
    """Return the seconds of one repeat between two CUDA events, after repeats that do not count."""
    for _ in range(_WARM_UP):
        work()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / repeats


def working(builders: dict[str, Callable[[], Work]], where: str, say: Callable[[str], object]) -> dict[str, Work]:
    """Build rows and run each for the first time; one that fails is left out, and its error said in one line."""
    rows: dict[str, Work] = {}
    for name, build in builders.items():
        try:
            work = build()
            # Errors of a GPU come to light where it is waited for.
            seconds(work, 1)
        except Exception as error:
            say(f"{where}: {name} is left out, {one_line(error)}")
        else:
            rows[name] = work
    return rows


def timings(
    Ns: Sequence[int], rows: Sequence[str], rounds: int, say: Callable[[str], object]
) -> Iterator[list[Timing]]:
    """Time rows and products at every N, interleaved.

    Parameters
    ----------
    Ns : sequence of int
        Largest Ns.
    rows : sequence of str
        Keys of `ROWS`.
    rounds : int
        Rounds in which every row is timed once.
    say : callable
        Told in one line of a row that fails.

    Yields
    ------
    list of Timing
        Those of one N; ratios are to the limit in float32.
    """
    without_tf32()
    for N in Ns:
        n_steps = steps.n_bits(N)
        builders: dict[str, Callable[[], Work]] = {
            LIMIT: partial(limit, torch.float32, n_steps),
            CALLS: partial(products, torch.float32, n_steps),
            LIMIT16: partial(limit, torch.bfloat16, n_steps),
            CALLS16: partial(products, torch.bfloat16, n_steps),
        }
        builders |= {row: partial(steps.step, row, N, "cuda") for row in rows}
        works = working(builders, f"N = {N}", say)
        if LIMIT not in works and CALLS in works:
            works[LIMIT] = works.pop(CALLS)
            say(f"N = {N}: the limit is {PRODUCTS[CALLS]}")
        if LIMIT in works:
            yield interleaved(works, N, n_steps, rounds, clock=seconds)


def table(found: Sequence[Timing]) -> Table:
    """Return the table: milliseconds and the ratio to the limit, the median over rounds ± half the distance of its quartiles."""
    by_place = {(one.row, one.N): one for one in found}
    Ns = sorted({one.N for one in found})
    result = Table(box=None, padding=(0, 2, 0, 0))
    result.add_column("ms, ratio to the GEMM limit in fp32", no_wrap=True)
    for N in Ns:
        result.add_column(f"N = {N}", justify="right", no_wrap=True)
    result.add_row("time steps", *[str(steps.n_bits(N)) for N in Ns])
    for row, label in ({LIMIT: "GEMM limit in fp32"} | PRODUCTS | ROWS).items():
        cells = [by_place.get((row, N)) for N in Ns]
        if any(cells):
            result.add_row(label, *[_cell(one) for one in cells])
    if any(("bf16", N) in by_place for N in Ns):
        shares = [_ratio(by_place.get(("bf16", N)), by_place.get((LIMIT16, N))) for N in Ns]
        result.add_row("tauscope, bf16, to the limit in bf16", *shares)
    return result


def _cell(one: Timing | None) -> str:
    if one is None:
        return ""
    low, high = one.spread
    ratio = "" if one.row == LIMIT else f"  {one.ratio:.2f} ± {(high - low) / 2:.2f}"
    return f"{1e3 * one.median_seconds:.2f}{ratio}"


def _ratio(one: Timing | None, to: Timing | None) -> str:
    if one is None or to is None:
        return ""
    return f"{np.median(np.divide(one.seconds, to.seconds)):.2f}"
