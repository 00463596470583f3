"""How fast the population rate of a network follows its input."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from tauscope.analysis.balance import mean_rates
from tauscope.analysis.checked import checked
from tauscope.errors import InputError, require_at_least
from tauscope.models.model import Model
from tauscope.models.trace import generator_for


@checked
@torch.no_grad()
def response_time(
    model: Model,
    mean: float,
    *,
    step: float = 0.1,
    dt: float = 1.0,
    burn_in: int = 200,
    n_steps: int = 200,
    n_trials: int = 10,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure how long the population rate takes to follow a small step of all inputs.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any; nothing of it is changed.
    mean, step : float
        Level of all inputs before the step, and its height.
    dt : float
        Time step; its unit is that of the result.
    burn_in, n_steps : int
        Steps before the input is raised, and steps after; the response is taken as complete in the second half of the
        latter.
    n_trials : int
        Number of trials, each run with the step and without it, in the same noise.
    generator : torch.Generator, optional
        Source of initial states and noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [time]
        ``response [time]``, the difference that the step makes, averaged over trials, in parts of its final value, and
        ``response_time``, Σ (1 - response) dt from the last step before the change: for an exponential its time constant,
        τ / (1 + b) in a linear network with J = -b/N.

    Raises
    ------
    InputError
        If an option is out of range, or the rate does not respond.

    Examples
    --------
    >>> from tauscope.models import BalancedRNN
    >>> model = BalancedRNN(50, balance=3.0, g=0.0, sigma=0.0, generator=torch.Generator().manual_seed(0))
    >>> round(response_time(model, 1.0, dt=0.2).response_time.item(), 2)
    0.25
    """
    require_at_least("number of trials", n_trials, 1)
    require_at_least("burn-in", burn_in, 0)
    require_at_least("number of steps", n_steps, 2)
    generator = generator_for(model, generator)
    initial = model.initial_state(n_trials, generator)
    noise = model.draw_noise(burn_in + n_steps, n_trials, generator)
    inputs = model.hidden(initial).new_full((burn_in + n_steps, n_trials, model.n_inputs), mean)
    rates = []
    for height in (0.0, step):
        inputs[burn_in:] += height
        states, _ = model(inputs, initial, noise=noise)
        rates.append(mean_rates(model, states[burn_in:]).double().mean(dim=1))
    difference = (rates[1] - rates[0]).cpu().numpy()
    final = difference[n_steps // 2 :].mean()
    if not np.isfinite(final) or final == 0:
        raise InputError(f"the population rate changes by {final} with the input: expected a finite response")
    response = np.concatenate([[0.0], difference / final])
    return xr.Dataset(
        {
            "response": ("time", response, {"long_name": "response in parts of its final value", "units": "1"}),
            "response_time": (
                (), (1 - response).sum() * dt, {"long_name": "population response time", "units": "units of dt"}
            ),
        },
        coords={"time": ("time", dt * np.arange(len(response)), {"long_name": "time", "units": "units of dt"})},
        attrs={"mean": mean, "step": step, "dt": dt, "n_trials": n_trials},
    )  # fmt: skip
