"""The recurrence of cells in two parts whose pointwise part has a derivative of its own: one autograd function.

Units innermost, ``[time, batch, row]``: so the pointwise part finds what it expects, and the products of many steps are products
of matrices that lie there as they are. Forward, the inputs of a block of steps are multiplied at once, and one product with
the state is left of every step. Backward, the gradients with respect to z are kept for a block of steps, whose weight
gradients are one product each. How the pointwise part is computed and differentiated is the affair of a `UnitWise`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from tauscope.models.kernels.blocks import WeightGradients, add_product, columnwise, driven, product
from tauscope.models.kernels.kernel import Given, Kernel, held_trials
from tauscope.models.kernels.two_parts import Maps, State, looped, plain_products


class UnitWise(Protocol):
    """How the pointwise part of a step is computed and differentiated."""

    def plain(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by operations that torch differentiates."""

    def forward(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state; z is written over with what `backward` needs of it."""

    def backward(
        self, z: Tensor, state: State, gradients: Sequence[Tensor | None], delta: tuple[Tensor, ...]
    ) -> tuple[Tensor | None, ...]:
        """Write the gradient of z to ``delta``, and return those of the state before.

        ``z`` is as `forward` left it, ``state`` the one before the step; ``delta`` is in two pieces where rows of z are the
        input's alone, these first. The gradient of the noise is that of h.
        """


class _Recurrence(Kernel):
    """state_t = pointwise(W x_t + U h_{t-1} + b, state_{t-1}) (+ noise_t), h the first tensor of the state."""

    @staticmethod
    def plain(
        rule: UnitWise,
        clip: float | None,
        W: Tensor,
        U: Tensor,
        bias: Tensor,
        inputs: Tensor,
        noise: Tensor | None,
        hold: Tensor | None,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        products = plain_products((W, U, bias), inputs, clip)
        states, last = looped(rule.plain, products, state, len(inputs), noise, hold)
        return states, *last

    @staticmethod
    def forward(
        ctx: Any,
        rule: UnitWise,
        clip: float | None,
        W: Tensor,
        U: Tensor,
        bias: Tensor,
        inputs: Tensor,
        noise: Tensor | None,
        hold: Tensor | None,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        wanted, initial = any(ctx.needs_input_grad), state
        room = inputs.new_empty(len(inputs) + 1, *state[0].shape)
        room[0] = state[0]
        zs: list[Tensor] = []
        stored = columnwise(U)
        behind: list[Tensor] = []
        for t, (z, held) in enumerate(zip(driven(W, bias, inputs), held_trials(hold, len(inputs)), strict=True)):
            before = (room[t], *state[1:])
            add_product(z[:, len(bias) - len(U) :], room[t], stored)
            state = rule.forward(z, before, None if noise is None else noise[t])
            if held is not None:
                state = tuple(map(torch.where, [held[:, None]] * len(state), before, state))
            room[t + 1] = state[0]
            if wanted:
                zs.append(z)
                behind += before[1:]
        Kernel.keep(ctx, (rule, clip, W, U, bias, inputs, noise, hold, *initial), room, *zs, *behind)
        ctx.set_materialize_grads(False)
        return room[1:], *[part.clone() for part in state]

    @staticmethod
    def first_derivative(given: Given, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        rule, clip, W, U, bias, inputs, noise, hold, *_ = given.arguments
        n_steps, (g_states, *last) = len(inputs), gradients
        room, zs, behind = given.kept[0], given.kept[1 : n_steps + 1], given.kept[n_steps + 1 :]
        n_behind, holds = len(last) - 1, held_trials(hold, n_steps)
        g: list[Any] = [None if part is None else part.clone() for part in last]
        weights = WeightGradients(W, U, bias, inputs, room, bool(given.wanted[5]))
        g_noise = torch.zeros_like(noise) if given.wanted[6] else None
        for t in range(n_steps - 1, -1, -1):
            if g_states is not None:
                g[0] = g_states[t] if g[0] is None else g[0].add_(g_states[t])
            held, delta = holds[t], weights.slot(t)
            free = [_free(part, held) for part in g]
            if g_noise is not None and free[0] is not None:
                g_noise[t] = free[0]
            back = rule.backward(zs[t], (room[t], *behind[t * n_behind : (t + 1) * n_behind]), free, delta)
            if clip is not None:
                for piece in delta:
                    piece.clamp_(-clip, clip)
            weights.add(t)
            through = product(delta[-1], U, back[0])
            g = [_kept(old, new, held) for old, new in zip(g, (through, *back[1:]), strict=True)]
        return None, None, *weights.totals(), weights.g_inputs, g_noise, None, *g


def _free(gradient: Tensor | None, held: Tensor | None) -> Tensor | None:
    """Return the gradient of what a step computed: nothing of it was taken where the state was held."""
    return gradient if gradient is None or held is None else gradient.masked_fill(held[:, None], 0.0)


def _kept(before: Tensor | None, after: Tensor | None, held: Tensor | None) -> Tensor | None:
    """Return the gradient of the state before a step: that of the step, and where it was held, that of the state after."""
    if held is None or before is None:
        return after
    own = before.masked_fill(~held[:, None], 0.0)
    return own if after is None else after.masked_fill(held[:, None], 0.0).add_(own)


def unit_wise(
    rule: UnitWise,
    maps: Maps,
    inputs: Tensor,
    state: State,
    noise: Tensor | None = None,
    hold: Tensor | None = None,
    *,
    clip: float | None = None,
) -> tuple[Tensor, State]:
    """Run ``state_t = rule(W x_t + U h_{t-1} + b, state_{t-1}, noise_t)`` over a sequence, as `two_parts` would.

    Parameters
    ----------
    rule : UnitWise
        How the pointwise part is computed and differentiated.
    maps, inputs, state, noise, hold, clip
        As `two_parts` has them.

    Returns
    -------
    states, state
        As `two_parts` does.

    Examples
    --------
    >>> from tauscope.models.kernels.gates import GRUGates
    >>> zeros = torch.zeros(3, 1)
    >>> unit_wise(GRUGates(), (zeros, zeros, torch.zeros(4)), torch.ones(2, 1, 1), (torch.ones(1, 1),))[0].flatten()
    tensor([0.5000, 0.2500])
    """
    states, *last = _Recurrence.run(rule, clip, *maps, inputs, noise, hold, *state)
    return states, tuple(last)
