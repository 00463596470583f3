"""What balance does for networks that were not trained: information rate and response time against b."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from tauscope.analysis.information import information, linear_information_rate
from tauscope.analysis.response import response_time
from tauscope.errors import InputError, require_at_least
from tauscope.models.balanced import BalancedRNN
from tauscope.tasks.tracking import Tracking


def information_against_balance(
    balances: Sequence[float] = (1.0, 2.0, 4.0, 8.0, 16.0),
    *,
    n_units: int = 200,
    g: float = 0.5,
    sigma: float = 1.0,
    contrast: float = 0.2,
    tau_signal: float = 0.5,
    dt: float = 0.05,
    n_steps: int = 16_000,
    n_networks: int = 1,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure information rate and response time of untrained networks against b.

    The input is b (1 + contrast · s), s an Ornstein-Uhlenbeck signal of variance 1, and J = g/√N Z - b/N, so that the
    mean rate is much the same for every b.

    Parameters
    ----------
    balances : sequence of float
        b, above 0.
    n_units, g, sigma, dt
        As of `tauscope.models.BalancedCell`.
    contrast, tau_signal : float
        Standard deviation of the input over its mean; its time constant in units of τ.
    n_steps : int
        Length of a recording.
    n_networks : int
        Networks drawn at every b.
    generator : torch.Generator, optional
        Source of chance; seeded with 0 if not given.

    Returns
    -------
    Dataset [network, balance]
        ``information_rate`` of the population rate about the signal in bits per τ and ``response_time`` in τ, ``[network,
        balance]``; of the linear theory ``linear_rate`` (`linear_information_rate`) and ``linear_time``, 1 / (1 + b),
        ``[balance]``; and the ``bias`` of the measured rate.

    Notes
    -----
    Source: Engelken & Goedeke, NeurIPS 2022. Rectified units that are silent do not feed back, so that the response takes
    longer than in the linear theory: 1 / (1 + b f) with a share f of active units.

    Examples
    --------
    >>> result = information_against_balance((1.0, 4.0), n_units=50, n_steps=4000)
    >>> result.information_rate.shape, bool(result.information_rate[0, 1] > result.information_rate[0, 0])
    ((1, 2), True)
    """
    require_at_least("number of networks", n_networks, 1)
    generator = generator or torch.Generator().manual_seed(0)
    seed, measured = generator.initial_seed(), []
    for b in [b for _ in range(n_networks) for b in balances]:
        if not b > 0:
            raise InputError(f"a balance of {b}: expected numbers above 0, such as 1.0")
        model = BalancedRNN(n_units, generator=generator, balance=b, g=g, sigma=sigma, dt=dt, mean_input=b)
        amplitude = contrast * b * math.sqrt(2 * tau_signal)
        task = Tracking(dt=dt, tau_signal=tau_signal, mean=b, amplitude=amplitude)
        told = information(model, task, n_steps=n_steps, generator=generator)
        time = response_time(model, b, step=contrast * b, dt=dt, generator=generator)
        measured.append((told.rate_information.item(), time.response_time.item(), told.bias.item()))
    rates, times, biases = (np.array(column).reshape(n_networks, -1) for column in zip(*measured, strict=True))
    strength = np.array(balances, dtype=float)
    theory = linear_information_rate(contrast * strength, n_units=n_units, sigma=sigma, tau_signal=tau_signal, dt=dt)
    each, bits = ("network", "balance"), "bits/τ"
    return xr.Dataset(
        {
            "information_rate": (each, rates, {"long_name": "information rate", "units": bits}),
            "response_time": (each, times, {"long_name": "population response time", "units": "τ"}),
            "linear_rate": ("balance", theory, {"long_name": "information rate, linear theory", "units": bits}),
            "linear_time": ("balance", 1 / (1 + strength), {"long_name": "response time, linear theory", "units": "τ"}),
            "bias": ((), biases[0, 0], {"long_name": "information rate without any information", "units": bits}),
        },
        coords={"balance": ("balance", strength, {"long_name": "balance b", "units": "1"})},
        attrs={"n_units": n_units, "g": g, "sigma": sigma, "contrast": contrast, "tau_signal": tau_signal, "dt": dt,
               "n_steps": n_steps, "seed": str(seed)},
    )  # fmt: skip
