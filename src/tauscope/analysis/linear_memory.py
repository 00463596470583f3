"""Linear networks of units that decay by themselves, exactly: memory and loss without data."""

from __future__ import annotations

import torch
from torch import Tensor

from tauscope.tasks.functional import lag_weights, memory_kernel, time_weights


def linear_memory(rate: Tensor, gain: Tensor, n_steps: int) -> Tensor:
    """Return ρ̂(s) = Σ_i g_i (1 - λ_i)^s, the weight of an input s steps back in the answer of a linear network.

    Parameters
    ----------
    rate : Tensor [..., unit]
        Decay rates λ a step.
    gain : Tensor [..., unit]
        g, what a unit receives times what the answer takes of it: c U of a `tauscope.models.ResidualCell`.
    n_steps : int
        Number of lags.

    Returns
    -------
    Tensor [..., lag]
        ρ̂.

    Examples
    --------
    >>> linear_memory(torch.tensor([0.5]), torch.tensor([2.0]), 3)
    tensor([2.0000, 1.0000, 0.5000])
    """
    return (gain.unsqueeze(-2) @ _powers(rate, n_steps)).squeeze(-2)


def _powers(rate: Tensor, n_steps: int) -> Tensor:
    """Return (1 - λ)^s for lags s, ``[..., unit, lag]``."""
    kept = (1 - rate).unsqueeze(-1)
    powers = torch.ones_like(kept)
    # Every pass doubles the lags: products alone, whose gradient is finite at λ = 1 too.
    while powers.shape[-1] < n_steps:
        powers, kept = torch.cat([powers, powers * kept], dim=-1), kept * kept
    return powers[..., :n_steps]


def linear_loss(
    rate: Tensor, input: Tensor, bias: Tensor, readout: Tensor, offset: Tensor, rho: str, n_steps: int
) -> Tensor:
    """Return the expected loss of linear networks on a linear functional under white inputs, without data.

    Parameters
    ----------
    rate, input, bias, readout : Tensor [..., unit]
        λ, U, b and c of h ← h + U x + b - λ h with h = 0 at first and the answer c · h + c₀.
    offset : Tensor [...]
        c₀.
    rho, n_steps
        As in `tauscope.tasks.functional.Functional`.

    Returns
    -------
    Tensor [...]
        L = Σ_s W_s (ρ̂(s) - ρ(s))² + Σ_t w_t² d_t² / T with d_t = c₀ + Σ_i c_i b_i Σ_{k ≤ t} (1 - λ_i)^k.

    Examples
    --------
    One unit of λ = 1 - 1/e holds e^-t exactly:

    >>> one, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    >>> bool(linear_loss(1 - (-one).exp(), one, none, one, none[0], "exp", 100) < 1e-20)
    True
    """
    gains = torch.stack([readout * input, readout * bias], dim=-2)
    memory, driven = (gains @ _powers(rate, n_steps)).unbind(-2)
    drift = offset.unsqueeze(-1) + driven.cumsum(-1)
    missed = memory - memory_kernel(rho, n_steps).to(memory)
    return (lag_weights(n_steps).to(memory) * missed.square()).sum(-1) + (
        time_weights(n_steps).square().to(memory) * drift.square()
    ).mean(-1)
