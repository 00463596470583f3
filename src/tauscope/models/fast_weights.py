"""The recurrence with fast Hebbian weights: a whole sequence in one autograd function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tauscope.models.activations import ACTIVATIONS
from tauscope.models.gemm import matmul_nt
from tauscope.models.recurrence import _held, _limit, _Recurrence, _stacked


class _Hebbian(_Recurrence):
    """h_t = max(0, M [h_{t-1}; x_t; 1] + γ c_t p_{t-1}), with p_t = h_{t-1} and c_t = clip(p_{t-1} · h_{t-1}, 0, C).

    The saved products are few: the states, their predecessors (which differ from the states before where a state was
    held), and M.
    """

    @staticmethod
    def forward(
        ctx: Any,
        M: Tensor,
        initial: Tensor,
        before: Tensor,
        inputs: Tensor,
        gamma: float,
        strongest: float,
        clip: float | None,
        hold: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n_units, phi = len(M), ACTIVATIONS["relu"]
        buffer = _stacked(initial, inputs, M.dtype)
        slots = buffer.unbind(0)
        past = torch.empty_like(buffer[:, :n_units])
        past[0] = before.t()
        for t, held in enumerate(_held(hold, len(inputs))):
            h, p, following = slots[t][:n_units], past[t], slots[t + 1][:n_units]
            overlap = (p * h).sum(dim=0).clamp_(0.0, strongest)
            phi.into(torch.addcmul(matmul_nt(M, slots[t].t()), p, overlap, value=gamma), following)
            past[t + 1] = h if held is None else torch.where(held, p, h)
            if held is not None:
                following.copy_(torch.where(held, h, following))
        ctx.save_for_backward(M, buffer, past, hold)
        ctx.options = gamma, strongest, clip
        return *_Recurrence._outputs(ctx, buffer, n_units, M.dtype), past[-1].t().clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        M, buffer, past, hold = ctx.saved_tensors
        gamma, strongest, clip = ctx.options
        g_states, g_last, g_before = gradients
        n_units, backward = len(M), ACTIVATIONS["relu"].backward
        slots = buffer.unbind(0)
        g = _Recurrence._initial_gradient(g_last, past[0], M.dtype)
        g_p = _Recurrence._initial_gradient(g_before, past[0], M.dtype)
        M_t, g_M, exact = M.t().contiguous(), torch.zeros_like(M), torch.empty_like(g)
        g_inputs = M.new_empty(len(slots) - 1, buffer.shape[1] - n_units - 1, g.shape[1])
        holds = _held(hold, len(slots) - 1)
        for t in range(len(slots) - 2, -1, -1):
            if g_states is not None:
                g = g + g_states[t].t()
            h, p, held = slots[t][:n_units], past[t], holds[t]
            backward(g, slots[t + 1][:n_units], exact)
            _limit(exact, None, held)
            overlap = (p * h).sum(dim=0)
            through = gamma * (exact * p).sum(dim=0) * ((overlap >= 0) & (overlap <= strongest))
            strength = gamma * overlap.clamp_(0.0, strongest)
            delta = exact if clip is None else exact.clamp(-clip, clip)
            g_M += matmul_nt(delta, slots[t])
            back = matmul_nt(M_t, delta.t())
            g_inputs[t] = back[n_units:-1]
            to_h, to_p = back[:n_units].addcmul(p, through).add_(g_p), (exact * strength).addcmul_(h, through)
            if held is not None:
                to_h, to_p = torch.where(held, g, to_h), torch.where(held, g_p, to_p)
            g, g_p = to_h, to_p
        return g_M, g.t(), g_p.t(), g_inputs.transpose(1, 2), None, None, None, None


def hebbian(
    M: Tensor,
    initial: Tensor,
    before: Tensor,
    inputs: Tensor,
    gamma: float,
    strongest: float,
    *,
    clip: float | None = None,
    hold: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run ``h_t = max(0, M [h_{t-1}; x_t; 1] + γ c_t h_{t-2})``, c_t = clip(h_{t-2} · h_{t-1}, 0, C), over a sequence.

    Parameters
    ----------
    M : Tensor [unit, unit + channel + 1]
        Recurrent weights, input weights and bias side by side.
    initial, before : Tensor [batch, unit]
        h_0 and h_{-1}.
    inputs : Tensor [time, batch, channel]
        x_1 … x_T.
    gamma, strongest : float
        γ and C.
    clip, hold
        As in `leaky_inside`; the gradient of the product with M is clipped, that of the Hebbian term is not.

    Returns
    -------
    states : Tensor [time, batch, unit]
        h_1 … h_T.
    last, before : Tensor [batch, unit]
        h_T and h_{T-1}.

    Examples
    --------
    >>> M, one = torch.zeros(1, 3), torch.ones(1, 1)
    >>> hebbian(M, one, 2 * one, torch.zeros(2, 1, 1), 0.1, 100.0)[0].flatten()
    tensor([0.4000, 0.0400])
    """
    return _Hebbian.apply(M, initial, before, inputs, gamma, strongest, clip, hold)
