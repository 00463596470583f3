"""What memory a network has: how its answer goes on changing after its input stepped up."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from tauscope.analysis.checked import checked
from tauscope.errors import InputError, require_at_most, require_count
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run

LONGEST = 10_000_000
"""Lags that can be asked for: more would take days."""

_CHUNK = 256
"""Steps that are run at a time: memory does not grow with the length."""


@checked
@torch.no_grad()
def memory_function(
    model: Model,
    *,
    head: str | None = None,
    amplitude: float = 1.0,
    n_steps: int = 1024,
    reference: bool = False,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure how much of an input is still in a network's answer after some steps.

    From t = 0 on the input is constant. The memory at lag t is how much the answer changes from step t - 1 to step t, in
    parts of the input: of a linear network ``|ρ(t)|``, the size of the weight of an input t steps back.

    Parameters
    ----------
    model : Model
        The network, run without private noise; nothing of it is changed.
    head : str, optional
        Name of the head that answers; by default the network's last one.
    amplitude : float
        Of the input, in every channel; not 0.
    n_steps : int
        Number of lags.
    reference : bool
        As published, without subtracting the answer to no input: what biases do enters, and the lag 0 is left out (NaN).
    generator : torch.Generator, optional
        Source of the initial state; seeded with 0 if not given.

    Returns
    -------
    Dataset [lag]
        ``memory [lag]``, the norm over outputs; ``half_life``, the first lag at which half of all memory has passed (NaN if the answer
        is not finite); ``log_log_slope`` and ``semi_log_slope``, the least-squares slopes of log memory against log(1 + lag) and
        against the lag over the second half of the lags, -α of a power law and -1/τ of an exponential.

    Raises
    ------
    InputError
        If there is no such head, or an option is out of range.

    Notes
    -----
    Source: Wang, Li & Li, ICLR 2024 (arXiv 2305.19190), and published code.

    Examples
    --------
    >>> from tauscope.models import Heads, Model, ResidualCell
    >>> generator = torch.Generator().manual_seed(0)
    >>> cell = ResidualCell(1, 1, generator, afunc="identity")
    >>> model = Model([cell], Heads(1, ["out"], 1, False, generator))
    >>> result = memory_function(model, n_steps=4)
    >>> bool(abs(result.memory[2] / result.memory[1] - (1 - cell.rate.item())) < 1e-4)
    True
    """
    require_count("number of steps", n_steps, 4)
    require_at_most("number of steps", n_steps, LONGEST)
    if not np.isfinite(amplitude) or amplitude == 0:
        raise InputError(f"amplitude is {amplitude}: expected a finite number that is not 0, such as 1.0")
    generator = generator_for(model, generator)
    largest = torch.finfo(model.hidden(model.initial_state(1)).dtype).max
    if abs(amplitude) > largest:
        raise InputError(f"amplitude is {amplitude}: expected at most {largest:g}, the largest number of the network")
    head = model.heads.names[-1] if head is None else head
    model.heads.index(head)
    seed = generator.initial_seed()
    response = _answers(model, head, amplitude, n_steps, generator.manual_seed(seed))
    silence = np.zeros_like(response) if reference else _answers(model, head, 0.0, n_steps, generator.manual_seed(seed))
    with np.errstate(invalid="ignore", over="ignore"):
        moved = response - silence
        changes = np.diff(moved, axis=0, prepend=np.full_like(moved[:1], np.nan) if reference else 0 * moved[:1])
        memory = np.linalg.norm(changes, axis=1) / abs(amplitude)
    lag = np.arange(n_steps, dtype=float)
    of = {"units": "change of the answer per unit of input"}
    return xr.Dataset(
        {
            "memory": ("lag", memory, {"long_name": "memory function", **of}),
            "half_life": ((), _half_life(memory), {"long_name": "half of all memory", "units": "steps"}),
            "log_log_slope": ((), _slope(memory, np.log1p(lag)), {"long_name": "slope of log memory by log lag", "units": "1"}),
            "semi_log_slope": ((), _slope(memory, lag), {"long_name": "slope of log memory", "units": "1/step"}),
        },
        coords={"lag": ("lag", np.arange(n_steps), {"long_name": "lag", "units": "steps"})},
        attrs={"head": head, "amplitude": amplitude, "n_steps": n_steps, "reference": int(reference), "seed": str(seed)},
    )  # fmt: skip


def _answers(model: Model, head: str, level: float, n_steps: int, generator: torch.Generator) -> NDArray[np.float64]:
    """Return what a head says under a constant input, ``[time, output]``, run piece by piece."""
    state, answers = model.initial_state(1, generator), []
    like = model.hidden(state)
    for first in range(0, n_steps, _CHUNK):
        inputs = like.new_full((min(_CHUNK, n_steps - first), 1, model.n_inputs), level)
        trace = run(model, inputs, generator, heads=[head], noise=0.0, state=state)
        state = trace.final
        answers.append(trace.outputs[:, 0, 0].double())
    values: NDArray[np.float64] = torch.cat(answers).cpu().numpy()
    return values


def _half_life(memory: NDArray[np.float64]) -> float:
    total = np.nancumsum(memory)
    if not np.isfinite(total[-1]) or total[-1] == 0:
        return float("nan")
    return float(np.argmax(total >= total[-1] / 2))


def _slope(memory: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """Return the slope of log memory against x over the second half of the lags, where there is memory at all."""
    used = (np.arange(len(memory)) >= len(memory) // 2) & np.isfinite(memory) & (memory > 0)
    return float(np.polyfit(x[used], np.log(memory[used]), 1)[0]) if used.sum() >= 2 else float("nan")
