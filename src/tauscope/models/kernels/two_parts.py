"""The recurrence of cells in two parts whose pointwise part torch differentiates.

What a step multiplies is two nodes of torch's graph: the inputs of a block of steps, multiplied at once, whose node computes
the weight gradients of the block as one product each on the way back; and the product of a step with its state. What lies
between is torch's own affair: the pointwise part, held states, noise, and when memory is freed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tauscope.models.kernels.blocks import (
    added_product,
    columnwise,
    driven,
    product,
    steps_together,
    transposed_product,
)
from tauscope.models.kernels.kernel import clip_gradient, is_transformed

State = tuple[Tensor, ...]
Maps = tuple[Tensor, Tensor, Tensor]
Pointwise = Callable[[Tensor, State, Tensor | None], State]

_PLAIN_BELOW = 1 << 25
"""Below this many multiply-adds a step, nodes of our own cost more than they save: the step is plain operations."""


def joined(from_x: Tensor, from_h: Tensor, bias: Tensor) -> Tensor:
    """Return z: rows of the input first, rows of the units last, their sum where they overlap, and the bias.

    Parameters
    ----------
    from_x, from_h : Tensor [batch, input row], [batch, recurrent row]
        Products of the input and of the state.
    bias : Tensor [row]
        Of all rows.

    Returns
    -------
    Tensor [batch, row]
        z.

    Examples
    --------
    >>> joined(torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, 20.0]]), torch.zeros(3))
    tensor([[ 1., 12., 20.]])
    """
    alone, shared = len(bias) - from_h.shape[-1], from_x.shape[-1] + from_h.shape[-1] - len(bias)
    if alone == 0 and from_x.shape == from_h.shape:
        return from_x + from_h + bias
    both = from_x[..., alone:] + from_h[..., :shared]
    return torch.cat([from_x[..., :alone], both, from_h[..., shared:]], dim=-1) + bias


class _Sequence:
    """What the nodes of a sequence know: U as products read it, the rows that the input alone drives, the clipping."""

    def __init__(self, U: Tensor, n_alone: int, clip: float | None) -> None:
        self.stored, self.n_alone, self.clip = columnwise(U.detach()), n_alone, clip


class _Driven(torch.autograd.Function):
    """W x_t + b of a block of steps; on the way back, the gradients of all maps.

    ``states`` is where the products of the steps leave the states that they had, of which nothing is kept afterwards.
    """

    @staticmethod
    def forward(
        ctx: Any, n_alone: int, states: list[Tensor | None], W: Tensor, U: Tensor, bias: Tensor, inputs: Tensor
    ) -> tuple[Tensor, ...]:
        del U
        ctx.n_alone, ctx.states = n_alone, states
        ctx.save_for_backward(W, inputs)
        ctx.set_materialize_grads(False)
        return tuple(driven(W, bias, inputs))

    @staticmethod
    def backward(ctx: Any, *deltas: Tensor | None) -> tuple[Tensor | None, ...]:
        W, inputs = ctx.saved_tensors
        some = next((delta for delta in deltas if delta is not None), None)
        if some is None:
            return (None,) * 6
        # There is no gradient of steps that nothing depends on, and no state.
        delta = torch.cat([torch.zeros_like(some) if delta is None else delta for delta in deltas])
        x = inputs.flatten(0, 1)
        of_columns = transposed_product(torch.cat([x, torch.ones_like(x[:, :1])], dim=1), delta)
        g_U = g_inputs = None
        if ctx.needs_input_grad[3] and not _is_plain(delta):
            found = next(h for h in ctx.states if h is not None)
            states = torch.cat([torch.zeros_like(found) if h is None else h for h in ctx.states])
            g_U = transposed_product(states, delta[:, ctx.n_alone :].contiguous()).t()
        ctx.states[:] = [None] * len(inputs)
        if ctx.needs_input_grad[5]:
            g_inputs = (delta.narrow(1, 0, len(W)) @ W).view_as(inputs)
        return None, None, of_columns[:-1, : len(W)].t(), g_U, of_columns[-1], g_inputs


class _Product(torch.autograd.Function):
    """z + U h, for the last rows of z."""

    @staticmethod
    def forward(
        ctx: Any, sequence: _Sequence, states: list[Tensor | None], t: int, z: Tensor, h: Tensor, U: Tensor
    ) -> Tensor:
        ctx.sequence, ctx.states, ctx.t = sequence, states, t
        ctx.save_for_backward(h, U)
        ctx.set_materialize_grads(False)
        return added_product(z, h, sequence.stored)

    @staticmethod
    def backward(ctx: Any, delta: Tensor | None) -> tuple[Tensor | None, ...]:
        if delta is None:
            return (None,) * 6
        (h, U), sequence = ctx.saved_tensors, ctx.sequence
        if sequence.clip is not None:
            delta = delta.clamp(-sequence.clip, sequence.clip)
        own, g_h = delta.narrow(1, sequence.n_alone, len(U)), None
        if _is_plain(delta):
            return None, None, None, delta, own @ U, own.t() @ h
        # Without its history, which would hold this very graph.
        ctx.states[ctx.t] = h.detach()
        if ctx.needs_input_grad[4]:
            g_h = product(own.contiguous(), U)
        return None, None, None, delta, g_h, None


def _is_plain(delta: Tensor) -> bool:
    """Return whether torch follows the backward pass itself, which then consists of plain operations."""
    return torch.is_grad_enabled() or is_transformed((delta,))


class _Products:
    """z of one step after the other, by nodes of our own."""

    def __init__(self, maps: Maps, inputs: Tensor, clip: float | None) -> None:
        self._maps, (_, U, bias) = maps, maps
        self._sequence = _Sequence(U, len(bias) - len(U), clip)
        self._together = steps_together(inputs)
        self._blocks = iter(inputs.split(self._together))

    def __call__(self, t: int, h: Tensor) -> Tensor:
        """Return z of a step, ``[batch, row]``."""
        place, U = t % self._together, self._maps[1]
        if place == 0:
            block = next(self._blocks)
            self._states: list[Tensor | None] = [None] * len(block)
            self._driven = _Driven.apply(self._sequence.n_alone, self._states, *self._maps, block)
        z: Tensor = _Product.apply(self._sequence, self._states, place, self._driven[place], h, U)
        return z


def plain_products(maps: Maps, inputs: Tensor, clip: float | None) -> Callable[[int, Tensor], Tensor]:
    """Return what computes z of a step, from its number and h ``[batch, unit]``, by plain operations.

    Examples
    --------
    >>> one = torch.ones(1, 1)
    >>> plain_products((one, one, one[0]), torch.ones(2, 1, 1), None)(0, one)
    tensor([[3.]])
    """
    W, U, bias = maps
    from_x = (inputs @ W.t()).unbind(0)
    return lambda t, h: clip_gradient(joined(from_x[t], h @ U.t(), bias), clip)


def looped(
    pointwise: Pointwise,
    products: Callable[[int, Tensor], Tensor],
    state: State,
    n_steps: int,
    noise: Tensor | None,
    hold: Tensor | None,
) -> tuple[Tensor, State]:
    """Run a sequence as a loop over its steps.

    Parameters
    ----------
    pointwise : callable
        From z, state and noise to the next state.
    products : callable
        From the number of a step and h ``[batch, unit]`` to z.
    state, n_steps, noise, hold
        As `two_parts` has them.

    Returns
    -------
    states, state
        As `two_parts` does.

    Examples
    --------
    >>> looped(lambda z, state, noise: (z,), lambda t, h: h + t, (torch.ones(1, 1),), 3, None, None)[0].flatten()
    tensor([1., 2., 4.])
    """
    noises = [None] * n_steps if noise is None else noise.unbind(0)
    holds = [None] * n_steps if hold is None else hold.unsqueeze(-1).unbind(0)
    states = []
    for t, (noise_t, held) in enumerate(zip(noises, holds, strict=True)):
        after = pointwise(products(t, state[0]), state, noise_t)
        state = after if held is None else tuple(map(torch.where, [held] * len(state), state, after))
        states.append(state[0])
    return torch.stack(states), state


def two_parts(
    pointwise: Pointwise,
    maps: Maps,
    inputs: Tensor,
    state: State,
    noise: Tensor | None = None,
    hold: Tensor | None = None,
    *,
    clip: float | None = None,
) -> tuple[Tensor, State]:
    """Run ``state_t = pointwise(W x_t + U h_{t-1} + b, state_{t-1}, noise_t)`` over a sequence.

    Parameters
    ----------
    pointwise : callable
        From z ``[batch, row]``, state and noise to the next state, by operations that torch differentiates.
    maps : tuple of Tensor [input row, channel], [recurrent row, unit], [row]
        W, U and b; see `joined` for which rows are whose.
    inputs : Tensor [time, batch, channel]
        x_1 … x_T.
    state : tuple of Tensor [batch, ...]
        State before the first step; its first tensor is h_0.
    noise : Tensor [time, batch, unit], optional
        What the pointwise part is given as noise.
    hold : Tensor [time, batch] of bool, optional
        Steps at which the state stays as it is.
    clip : float, optional
        Largest magnitude of the gradient with respect to z, element by element at every step.

    Returns
    -------
    states : Tensor [time, batch, unit]
        h_1 … h_T.
    state : tuple of Tensor [batch, ...]
        State after the last step.

    Examples
    --------
    >>> one = torch.ones(1, 1)
    >>> maps = (one, 0 * one, one[0])
    >>> two_parts(lambda z, state, noise: (torch.tanh(z),), maps, torch.ones(2, 1, 1), (one,))[0].flatten()
    tensor([0.9640, 0.9640])
    """
    small = inputs.shape[1] * maps[1].numel() < _PLAIN_BELOW
    plain = small or is_transformed((*maps, inputs, *state, noise))
    products = (plain_products if plain else _Products)(maps, inputs, clip)
    return looped(pointwise, products, state, len(inputs), noise, hold)
