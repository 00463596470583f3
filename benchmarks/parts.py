"""Where the time of a training step goes: its parts, timed within the step."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from rich.table import Table
from torch import Tensor

from benchmarks import steps
from benchmarks.limit import Work
from tauscope.learning import training
from tauscope.learning.state import Training
from tauscope.models import trace
from tauscope.models.kernels import buffers, leaky
from tauscope.models.kernels.subnormals import flushing

LIMIT, STEP = "GEMM limit", "whole step"
_BEFORE, _STEPS = 3, 5
"""Steps of a round that do not count, and that do."""


def seconds(N: int, limit: Work, rounds: int) -> dict[str, float]:
    """Time the parts of a float32 step at 2 … N.

    Parameters
    ----------
    N : int
        Largest N.
    limit : callable
        Does the products of a step.
    rounds : int
        Rounds of some steps and the limit.

    Returns
    -------
    dict of float
        Median seconds of every part, of the whole step and of the limit.
    """
    state, clock = steps.training("fp32", N), defaultdict[str, float](float)
    found = defaultdict[str, list[float]](list)
    with flushing(), _timed(state, clock):
        for _ in range(rounds):
            for number in range(_BEFORE + _STEPS):
                clock.clear()
                start = time.perf_counter()
                training._step(state)
                whole = time.perf_counter() - start
                if number >= _BEFORE:
                    for name, spent in _parts(clock, whole).items():
                        found[name].append(spent)
            limit()
            start = time.perf_counter()
            limit()
            found[LIMIT].append(time.perf_counter() - start)
    return {name: statistics.median(spent) for name, spent in found.items()}


def table(found: dict[int, dict[str, float]]) -> Table:
    """Return the table of the parts at every N, in milliseconds."""
    result = Table(box=None, padding=(0, 2, 0, 0))
    result.add_column("parts of a step in float32, ms", no_wrap=True)
    for N in found:
        result.add_column(f"N = {N}", justify="right", no_wrap=True)
    for name in next(iter(found.values())):
        result.add_row(name, *[f"{1e3 * one[name]:.2f}" for one in found.values()])
    return result


def lines(found: dict[int, dict[str, float]]) -> list[dict[str, Any]]:
    """Return what the lines of a CSV file hold."""
    return [
        {"row": f"part: {name}", "N": N, "bits": steps.n_bits(N), "milliseconds": 1e3 * spent}
        for N, one in found.items()
        for name, spent in one.items()
    ]


def _parts(clock: dict[str, float], whole: float) -> dict[str, float]:
    """Take what is timed within another part out of it."""
    parts = {
        "products": clock["products"],
        "nonlinearities, sums, calls of all time steps": clock["forward"] + clock["backward"] - clock["products"],
        "trials": clock["trials"],
        "initial states": clock["initial"],
        "M from the weights, heads, loss": clock["run"] - clock["initial"] - clock["forward"] + clock["loss"],
        "their gradients": clock["autograd"] - clock["backward"],
        "clipping": clock["clip"],
        "optimiser": clock["optimiser"],
    }
    return parts | {"rest": whole - sum(parts.values()), STEP: whole}


@contextlib.contextmanager
def _timed(state: Training, clock: dict[str, float]) -> Iterator[None]:
    """Add up the time that is spent in the functions of a step, by name."""
    with contextlib.ExitStack() as stack:
        for name, owner, attribute in (
            ("products", buffers, "matmul_nt"),
            ("products", buffers, "add_matmul_nt"),
            ("forward", leaky._Inside, "forward"),
            ("backward", leaky._Inside, "backward"),
            ("trials", type(state.task), "sample"),
            ("initial", type(state.model), "initial_state"),
            ("run", trace, "run"),
            ("loss", type(state.task), "loss"),
            ("autograd", Tensor, "backward"),
            ("clip", torch.nn.utils, "clip_grad_norm_"),
            ("optimiser", state.optimizer, "step"),
        ):
            work = _adding_up(getattr(owner, attribute), clock, name)
            static = owner is leaky._Inside
            stack.enter_context(mock.patch.object(owner, attribute, staticmethod(work) if static else work))
        yield


def _adding_up(work: Callable[..., Any], clock: dict[str, float], name: str) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = work(*arguments, **options)
        clock[name] += time.perf_counter() - start
        return result

    return timed
