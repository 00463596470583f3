"""The fast recurrence of rate networks: a whole sequence with private noise in one autograd function.

Here the nonlinearity stands before the weights, and noise behind them, so that the state keeps its sign and cannot be
had from the rate. Batch first, ``[time, batch, unit]``: at the sizes of these networks, calls cost as much as products,
and this layout needs no transposition. All input and noise is laid into the states beforehand; what is left of a step
is one sum, one nonlinearity and one product in place, and backwards one product and two sums. The gradient of the
recurrent weights is one product over all steps in the end.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.gemm import matmul_nt
from tauscope.models.kernels.kernel import Given, Kernel

# Below this many multiply-adds a step, one call that multiplies and adds beats the fastest product and a sum.
_FUSED_BELOW = 1 << 20


def _is_fused(A: Tensor, n_batch: int) -> bool:
    return n_batch * A.numel() < _FUSED_BELOW


class _RateRecurrence(Kernel):
    """x_t = keep x_{t-1} + A φ(x_{t-1}) + W s_t + b + scale ξ_t."""

    @staticmethod
    def plain(
        A: Tensor,
        W: Tensor,
        bias: Tensor,
        initial: Tensor,
        inputs: Tensor,
        noise: Tensor | None,
        keep: float,
        scale: float,
        afunc: str,
    ) -> Tensor:
        x, states = initial, []
        drives = inputs @ W.t() + bias
        for drive in (drives if noise is None else drives + scale * noise).unbind(0):
            x = keep * x + ACTIVATIONS[afunc].function(x) @ A.t() + drive
            states.append(x)
        return torch.stack(states)

    @staticmethod
    def forward(
        ctx: Any,
        A: Tensor,
        W: Tensor,
        bias: Tensor,
        initial: Tensor,
        inputs: Tensor,
        noise: Tensor | None,
        keep: float,
        scale: float,
        afunc: str,
    ) -> Tensor:
        n_steps, n_batch, _ = inputs.shape
        buffer = A.new_empty(n_steps + 1, n_batch, len(A))
        buffer[0] = initial
        states = buffer[1:]
        torch.addmm(bias, inputs.flatten(0, 1), W.t(), out=states.flatten(0, 1))
        if noise is not None:
            states.add_(noise, alpha=scale)
        phi, fused, A_t = ACTIVATIONS[afunc].function, _is_fused(A, n_batch), A.t()
        for now, following in itertools.pairwise(buffer.unbind(0)):
            following.add_(now, alpha=keep)
            if fused:
                following.addmm_(phi(now), A_t)
            else:
                following.add_(matmul_nt(phi(now), A))
        Kernel.keep(ctx, (A, W, bias, initial, inputs, noise, keep, scale, afunc), buffer)
        return states

    @staticmethod
    def first_derivative(given: Given, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        A, W, _, _, inputs, _, keep, scale, afunc = given.arguments
        (buffer,) = given.kept
        wants_A, wants_W, wants_bias, wants_initial, wants_inputs, wants_noise = given.wanted[:6]
        phi, fused = ACTIVATIONS[afunc], _is_fused(A, buffer.shape[1])
        rates = phi.function(buffer[:-1])
        deltas = torch.empty_like(buffer)
        deltas[0], deltas[-1] = 0, gradients[0][-1]
        slots, own = deltas.unbind(0), (torch.zeros_like(deltas[0]), *gradients[0].unbind(0))
        if fused:
            phi.backward(torch.ones_like(rates), rates, slopes := torch.empty_like(rates))
        else:
            slopes, A_t = rates, A.t().contiguous()
        steps = list(zip(slots, slots[1:], own, slopes.unbind(0), strict=False))
        for now, following, direct, slope in reversed(steps if wants_initial else steps[1:]):
            torch.add(direct, following, alpha=keep, out=now)
            if fused:
                now.addcmul_(torch.mm(following, A), slope)
            else:
                # Slopes follow from the rates; a step of them is still in the cache, all of them would not be.
                back = matmul_nt(following, A_t)
                phi.backward(back, slope, back)
                now.add_(back)
        after = deltas[1:]
        delta, rates = after.flatten(0, 1), rates.flatten(0, 1)
        # Operands as small as these cost more to bring into the order of the fastest product than it saves.
        g_A = (delta.t() @ rates if fused else matmul_nt(delta.t(), rates.t())) if wants_A else None
        return (
            g_A,
            delta.t() @ inputs.flatten(0, 1) if wants_W else None,
            delta.sum(dim=0) if wants_bias else None,
            deltas[0] if wants_initial else None,
            after @ W if wants_inputs else None,
            scale * after if wants_noise else None,
            *[None] * 3,
        )


def rate_recurrence(
    A: Tensor,
    W: Tensor,
    bias: Tensor,
    initial: Tensor,
    inputs: Tensor,
    noise: Tensor | None = None,
    *,
    keep: float,
    scale: float = 1.0,
    afunc: str = "relu",
) -> Tensor:
    """Run ``x_t = keep x_{t-1} + A φ(x_{t-1}) + W s_t + b + scale ξ_t`` over a sequence.

    Parameters
    ----------
    A : Tensor [unit, unit]
        Recurrent weights, times the time step as are the two that follow.
    W : Tensor [unit, channel]
        Input weights.
    bias : Tensor [unit]
        b.
    initial : Tensor [batch, unit]
        x_0.
    inputs : Tensor [time, batch, channel]
        s_1 … s_T.
    noise : Tensor [time, batch, unit], optional
        ξ_1 … ξ_T; none at all if not given.
    keep : float
        Share of the state that a step keeps, one minus the time step.
    scale : float
        Standard deviation that the noise is given.
    afunc : str
        Name of φ, a key of `tauscope.models.kernels.activations.ACTIVATIONS`.

    Returns
    -------
    Tensor [time, batch, unit]
        x_1 … x_T.

    Examples
    --------
    >>> one = torch.ones(1, 1)
    >>> rate_recurrence(-one, one, torch.zeros(1), 0 * one, torch.ones(3, 1, 1), keep=0.5).flatten()
    tensor([1.0000, 0.5000, 0.7500])
    """
    states: Tensor = _RateRecurrence.run(A, W, bias, initial, inputs, noise, keep, scale, afunc)
    return states
