"""What stands for τ where memory is gated: the timescale of the mean gate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import xarray as xr

from tauscope.analysis.checked import checked
from tauscope.analysis.simulation import probabilities, random_bits
from tauscope.errors import InputError, require_at_least
from tauscope.models.model import Model


@checked
@torch.no_grad()
def gate_timescales(
    model: Model,
    *,
    n_trials: int = 10,
    n_steps: int = 1000,
    burn_in: int = 200,
    p: float | Sequence[float] | str | None = None,
    repeat: int = 1,
    plus_minus: bool = False,
    generator: torch.Generator | None = None,
) -> xr.DataArray:
    """Measure over how many steps each unit's own gate keeps its memory, under random bits.

    Parameters
    ----------
    model : Model
        GRU, LSTM or leaky; any network whose cells say what a step keeps, run with its private noise if it has any.
    n_trials : int
        Trials, each with its own initial state and input.
    n_steps, burn_in : int
        Steps over which the gate is averaged, and steps before them.
    p : float, sequence of float, "quantiles" or "uniform", optional
        Probability of a 1, for all trials or each, or how it is drawn from U(0, 1): as the midpoints of equal parts in
        random order ("quantiles", the default), or freely for every trial ("uniform").
    repeat : int
        Number of steps for which each bit is shown.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.
    generator : torch.Generator, optional
        Source of p, initial states, inputs and noise; seeded with 0 if not given.

    Returns
    -------
    DataArray [unit]
        1 / (1 - ⟨f⟩) in steps, with f the update gate z of a GRU, the forget gate of an LSTM, and 1 - 1/τ of a
        leaky unit, for which this is τ itself.

    Raises
    ------
    InputError
        If an option is out of range, or a cell does not say what a step keeps.

    Notes
    -----
    With no input to the cell, a memory that is multiplied by f at each step decays as f^t; averaging the gate before
    inverting gives every step the same weight. Source: Tallec & Ollivier, ICLR 2018, section 2.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(2, tau=4.0, generator=torch.Generator().manual_seed(0))
    >>> gate_timescales(model, n_trials=2, n_steps=10).round(3).values.tolist()
    [4.0, 4.0]
    """
    require_at_least("number of steps", n_steps, 1)
    require_at_least("burn-in", burn_in, 0)
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    chances = probabilities(p, n_trials, generator)
    state = model.initial_state(n_trials, generator)
    bits = random_bits(chances, burn_in + n_steps, model.n_inputs, generator, repeat=repeat, plus_minus=plus_minus).to(
        model.hidden(state)
    )
    noise = model.draw_noise(len(bits), n_trials, generator)
    total = torch.zeros(model.n_units, dtype=torch.float64, device=bits.device)
    for t, x in enumerate(bits.unbind(0)):
        if t >= burn_in:
            kept = model.retention(x, state)
            if kept is None:
                raise InputError("this network's cells do not say what a step keeps: expected leaky, GRU or LSTM cells")
            total += kept.double().mean(dim=0)
        state = model.step(x, state, None if noise is None else noise[t])
    timescale = 1 / (1 - total / n_steps)
    attributes = {"long_name": "gate timescale", "units": "steps", "n_trials": n_trials, "n_steps": n_steps}
    return xr.DataArray(timescale.cpu().numpy(), dims="unit", name="gate_tau", attrs=attributes)
