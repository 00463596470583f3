"""The recurrence with fast Hebbian weights: a whole sequence in one autograd function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.buffers import WeightGradient, prepared, room, stacked_buffer, times, transposed_rows
from tauscope.models.kernels.kernel import Given, Kernel, clip_gradient, held_trials
from tauscope.models.kernels.leaky import _limit, _Recurrence


class _Hebbian(_Recurrence):
    """h_t = max(0, M [h_{t-1}; x_t; 1] + γ c_t p_{t-1}), with p_t = h_{t-1} and c_t = clip(p_{t-1} · h_{t-1}, 0, C).

    The predecessors p differ from the states one step before only where a state was held, and are kept only then.
    """

    @staticmethod
    def plain(
        M: Tensor,
        initial: Tensor,
        before: Tensor,
        inputs: Tensor,
        gamma: float,
        strongest: float,
        clip: float | None,
        hold: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        h, p, states = initial, before, []
        for t, x in enumerate(inputs.unbind(0)):
            strength = (p * h).sum(dim=1, keepdim=True).clamp(0.0, strongest)
            z = clip_gradient(torch.cat([h, x, torch.ones_like(x[:, :1])], dim=1) @ M.t(), clip)
            moved = torch.relu(z + gamma * strength * p), h
            h, p = (
                moved
                if hold is None
                else (torch.where(hold[t, :, None], *pair) for pair in zip((h, p), moved, strict=True))
            )
            states.append(h)
        return torch.stack(states), h, p

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
        buffer, weights = stacked_buffer(initial, inputs, M), prepared(M, len(initial))
        states, stacked = buffer[:, :n_units].unbind(0), buffer.transpose(1, 2).unbind(0)
        own = None if hold is None else room(len(buffer), n_units, len(initial), M)
        first = before.t()
        if own is not None:
            own[0] = first
        pasts = _predecessors(first, states, own)
        overlaps = M.new_empty(len(inputs), len(initial))
        for t, held in enumerate(held_trials(hold, len(inputs))):
            h, p, following, overlap = states[t], pasts[t], states[t + 1], overlaps[t]
            torch.sum(p * h, dim=0, out=overlap)
            strength = overlap.clamp(0.0, strongest)
            phi.into(times(weights, stacked[t], following).addcmul_(p, strength, value=gamma), following)
            if held is not None:
                torch.where(held, h, following, out=following)
            if own is not None:
                own[t + 1] = h if held is None else torch.where(held, p, h)
        arguments = (M, initial, before, inputs, gamma, strongest, clip, hold)
        Kernel.keep(ctx, arguments, buffer, own, overlaps)
        return *_Recurrence._outputs(ctx, buffer, n_units, M.dtype), pasts[len(inputs)].t().clone()

    @staticmethod
    def first_derivative(given: Given, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        M, _, before, _, gamma, strongest, clip, hold = given.arguments
        buffer, own, overlaps = given.kept
        first, (g_states, g_last, g_before) = before.t(), gradients
        n_units, n_steps, backward = len(M), len(buffer) - 1, ACTIVATIONS["relu"].backward
        states = buffer[:, :n_units].unbind(0)
        pasts = _predecessors(first, states, own)
        strengths = (gamma * overlaps.clamp(0.0, strongest)).unbind(0)
        slopes = (gamma * ((overlaps >= 0) & (overlaps <= strongest)).to(M.dtype)).unbind(0)
        g = _Recurrence._initial_gradient(g_last, first, M.dtype)
        g_p = _Recurrence._initial_gradient(g_before, first, M.dtype)
        product, exact = WeightGradient(M, buffer), torch.empty_like(g)
        wants_inputs = given.wanted[3]
        M_t = transposed_rows(M, M.shape[1] if wants_inputs else n_units, g.shape[1])
        g_inputs = room(n_steps, buffer.shape[1] - n_units - 1, g.shape[1], M) if wants_inputs else None
        holds = held_trials(hold, n_steps)
        for t in range(n_steps - 1, -1, -1):
            if g_states is not None:
                g = g + g_states[t].t()
            h, p, held = states[t], pasts[t], holds[t]
            backward(g, states[t + 1], exact)
            _limit(exact, None, held)
            through = (exact * p).sum(dim=0).mul_(slopes[t])
            delta, transposed = product.slot(t)
            torch.clamp(exact, -clip, clip, out=delta) if clip is not None else delta.copy_(exact)
            product.add(t)
            back = times(M_t, transposed)
            if g_inputs is not None:
                g_inputs[t] = back[n_units:-1]
            to_h = back[:n_units].addcmul_(p, through).add_(g_p)
            to_p = (exact * strengths[t]).addcmul_(h, through)
            if held is not None:
                to_h, to_p = torch.where(held, g, to_h), torch.where(held, g_p, to_p)
            g, g_p = to_h, to_p
        g_inputs = None if g_inputs is None else g_inputs.transpose(1, 2)
        return product.total, g.t(), g_p.t(), g_inputs, None, None, None, None


def _predecessors(first: Tensor, states: Sequence[Tensor], own: Tensor | None) -> Sequence[Tensor]:
    """Return h_{t-2} as every step t finds it, ``[unit, batch]`` each: the state before last, where none was held."""
    return [first, *states] if own is None else own.unbind(0)


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
    states, last, before = _Hebbian.run(M, initial, before, inputs, gamma, strongest, clip, hold)
    return states, last, before
