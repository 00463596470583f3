"""The fast recurrence: a whole sequence of a leaky network in one autograd function.

The state is kept as ``[time, unit + channel + 1, batch]``, with the input and a row of ones stacked below the units
(`tauscope.models.kernels.buffers`). All that is linear in a step is then one product with ``M = [recurrent | input | bias]``, its
gradient is one product with the saved buffer, and one elementwise pass is left in each direction: three products a step,
the least that exact backpropagation through time can do. Gradients of the weights and of τ inside M follow from ordinary
autograd on the small matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.buffers import WeightGradient, prepared, room, stacked_buffer, times, transposed_rows
from tauscope.models.kernels.kernel import Given, Kernel, clip_gradient, held_trials


def _limit(delta: Tensor, clip: float | None, held: Tensor | None) -> None:
    """Clip the gradient with respect to the argument of φ, ``[unit, batch]``, in place; none enters a held state."""
    if clip is not None:
        delta.clamp_(-clip, clip)
    if held is not None:
        delta.masked_fill_(held, 0.0)


def looped(
    step: Callable[[Tensor, Tensor], Tensor], initial: Tensor, inputs: Tensor, hold: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run ``h_t = step(h_{t-1}, [x_t; 1])`` by plain operations.

    Parameters
    ----------
    step : callable
        From state ``[batch, unit]`` and driven columns ``[batch, unit + channel + 1]`` to the next state.
    initial : Tensor [batch, unit]
        h_0.
    inputs : Tensor [time, batch, channel]
        x_1 … x_T.
    hold : Tensor [time, batch] of bool, optional
        Steps at which the state stays as it is.

    Returns
    -------
    states, last : Tensor [time, batch, unit], [batch, unit]
        h_1 … h_T, and h_T.

    Examples
    --------
    >>> looped(lambda h, column: h + column.sum(dim=1, keepdim=True), torch.zeros(1, 1), torch.ones(2, 1, 1))[0].flatten()
    tensor([2., 6.])
    """
    h, states = initial, []
    for t, x in enumerate(inputs.unbind(0)):
        following = step(h, torch.cat([h, x, torch.ones_like(x[:, :1])], dim=1))
        h = following if hold is None else torch.where(hold[t, :, None], h, following)
        states.append(h)
    return torch.stack(states), h


class _Recurrence(Kernel):
    """What both recurrences share: their outputs and the handling of absent gradients."""

    @staticmethod
    def _outputs(ctx: Any, buffer: Tensor, n_units: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        states = buffer[1:, :n_units].transpose(1, 2).to(dtype)
        return states, states[-1].clone()

    @staticmethod
    def _initial_gradient(last: Tensor | None, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the gradient that enters at the last state, ``[unit, batch]``."""
        g = room(1, like.shape[0], like.shape[1], like).to(dtype)[0]
        return g.zero_() if last is None else g.copy_(last.t())


class _LeakyMatrix(Kernel):
    """M = a ⊙ [W | W_in | b] with another diagonal, in one pass over the weights in each direction.

    What stands on the diagonal of W is written over: it counts for nothing and gets no gradient.
    """

    @staticmethod
    def plain(W: Tensor, W_in: Tensor, bias: Tensor, a: Tensor, diagonal: Tensor) -> Tensor:
        empty = 1 - torch.eye(len(W), dtype=W.dtype, device=W.device)
        return torch.cat([a[:, None] * W * empty + torch.diag(diagonal), a[:, None] * W_in, (a * bias)[:, None]], dim=1)

    @staticmethod
    def forward(ctx: Any, W: Tensor, W_in: Tensor, bias: Tensor, a: Tensor, diagonal: Tensor) -> Tensor:
        n_units = len(W)
        M = W.new_empty(n_units, n_units + W_in.shape[1] + 1)
        torch.mul(W, a[:, None], out=M[:, :n_units])
        torch.mul(W_in, a[:, None], out=M[:, n_units:-1])
        torch.mul(bias, a, out=M[:, -1])
        M[:, :n_units].diagonal().copy_(diagonal)
        Kernel.keep(ctx, (W, W_in, bias, a, diagonal))
        return M

    @staticmethod
    def first_derivative(given: Given, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        W, W_in, bias, a, _ = given.arguments
        n_units = len(W)
        g_W, g_in, g_bias = gradients[0][:, :n_units], gradients[0][:, n_units:-1], gradients[0][:, -1]
        g_diagonal = g_W.diagonal().clone()
        g_a = (g_W * W).sum(dim=1).sub_(g_diagonal * W.diagonal())
        g_a += (g_in * W_in).sum(dim=1).addcmul_(g_bias, bias)
        return (g_W * a[:, None]).fill_diagonal_(0.0), g_in * a[:, None], g_bias * a, g_a, g_diagonal


class _Inside(_Recurrence):
    """h_t = φ(M [h_{t-1}; x_t; 1] + leak ⊙ h_{t-1}); without a leak term, M carries it on its diagonal.

    The state is held where ``hold [time, batch]`` is true; the gradient with respect to the argument of φ is clipped
    element by element at ``clip``.
    """

    @staticmethod
    def plain(
        M: Tensor,
        leak: Tensor | None,
        initial: Tensor,
        inputs: Tensor,
        afunc: str,
        clip: float | None,
        hold: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        def step(h: Tensor, column: Tensor) -> Tensor:
            z = (column.to(M.dtype) @ M.t()).to(h.dtype)
            return ACTIVATIONS[afunc].function(clip_gradient(z if leak is None else z + leak * h, clip))

        return looped(step, initial, inputs, hold)

    @staticmethod
    def forward(
        ctx: Any,
        M: Tensor,
        leak: Tensor | None,
        initial: Tensor,
        inputs: Tensor,
        afunc: str,
        clip: float | None,
        hold: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        n_units = len(M)
        phi = ACTIVATIONS[afunc]
        buffer, weights = stacked_buffer(initial, inputs, M), prepared(M, len(initial))
        # Views cost as much as a small product where they are made one by one.
        states, stacked = buffer[:, :n_units].unbind(0), buffer.transpose(1, 2).unbind(0)
        # Of higher precision than M, the state is kept apart.
        h = initial.t() if leak is None else room(1, n_units, len(initial), initial)[0].copy_(initial.t())
        for t, held in enumerate(held_trials(hold, len(inputs))):
            following = states[t + 1]
            z = times(weights, stacked[t], following if leak is None else None)
            if leak is None:
                phi.into(z, following)
                if held is not None:
                    torch.where(held, states[t], following, out=following)
            else:
                before = h if held is None else h.clone()
                phi.into(h.mul_(leak[:, None]).add_(z), h)
                if held is not None:
                    torch.where(held, before, h, out=h)
                following.copy_(h)
        Kernel.keep(ctx, (M, leak, initial, inputs, afunc, clip, hold), buffer)
        outputs, last = _Recurrence._outputs(ctx, buffer, n_units, initial.dtype)
        return outputs, last if leak is None else h.t().clone()

    @staticmethod
    def first_derivative(given: Given, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        M, leak, _, _, afunc, clip, hold = given.arguments
        (buffer,), (g_states, g_last) = given.kept, gradients
        n_units, backward = len(M), ACTIVATIONS[afunc].backward
        wants_initial, wants_inputs = given.wanted[2:4]
        dtype = M.dtype if leak is None else leak.dtype
        states, n_steps = buffer[:, :n_units].unbind(0), len(buffer) - 1
        g = _Recurrence._initial_gradient(g_last, states[0], dtype)
        product = WeightGradient(M, buffer, dtype)
        M_t = transposed_rows(M, M.shape[1] if wants_inputs else n_units, g.shape[1])
        g_inputs = room(n_steps, buffer.shape[1] - n_units - 1, g.shape[1], M) if wants_inputs else None
        holds = held_trials(hold, n_steps)
        for t in range(n_steps - 1, -1, -1):
            if g_states is not None:
                g = g + g_states[t].t()
            (delta, transposed), held = product.slot(t), holds[t]
            # Where δ is of lower precision, the exact one takes the place of the gradient, unless a held state keeps that.
            exact = delta if M.dtype == dtype else g if held is None else torch.empty_like(g)
            backward(g, states[t + 1].to(dtype), exact)
            _limit(exact, clip, held)
            if exact is not delta:
                delta.copy_(exact)
            product.add(t)
            if t == 0 and not (wants_initial or wants_inputs):
                break
            back = times(M_t, transposed)
            if g_inputs is not None:
                g_inputs[t] = back[n_units:-1]
            before, g = g, back[:n_units]
            if leak is not None:
                g = (exact * leak[:, None] if exact is delta else exact.mul_(leak[:, None])).add_(g)
            if held is not None:
                g = torch.where(held, before, g)
        # h_{t-1} enters through the leak as it does through the diagonal of M.
        g_leak = None if leak is None else product.total[:, :n_units].diagonal()
        g_inputs = None if g_inputs is None else g_inputs.transpose(1, 2).to(dtype)
        return product.total.to(M.dtype), g_leak, g.t() if wants_initial else None, g_inputs, None, None, None


class _Outside(_Recurrence):
    """h_t = (1 - a) ⊙ h_{t-1} + a ⊙ φ(M [h_{t-1}; x_t; 1])."""

    @staticmethod
    def plain(M: Tensor, a: Tensor, initial: Tensor, inputs: Tensor, afunc: str) -> tuple[Tensor, Tensor]:
        def step(h: Tensor, column: Tensor) -> Tensor:
            rate = ACTIVATIONS[afunc].function(column.to(M.dtype) @ M.t())
            return (1 - a) * h + a * rate.to(h.dtype)

        return looped(step, initial, inputs)

    @staticmethod
    def forward(ctx: Any, M: Tensor, a: Tensor, initial: Tensor, inputs: Tensor, afunc: str) -> tuple[Tensor, Tensor]:
        n_units = len(M)
        phi = ACTIVATIONS[afunc]
        buffer, weights = stacked_buffer(initial, inputs, M), prepared(M, len(initial))
        slots, stacked = buffer[1:, :n_units].unbind(0), buffer.transpose(1, 2).unbind(0)
        rates = room(len(inputs), n_units, len(initial), M)
        h = initial.t()
        for columns, rate, following in zip(stacked, rates.unbind(0), slots, strict=False):
            phi.into(times(weights, columns, rate), rate)
            h = torch.lerp(h, rate.to(h.dtype), a[:, None])
            following.copy_(h)
        Kernel.keep(ctx, (M, a, initial, inputs, afunc), buffer, rates)
        states, _ = _Recurrence._outputs(ctx, buffer, n_units, initial.dtype)
        return states, h.t().clone()

    @staticmethod
    def first_derivative(given: Given, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        M, a, _, _, afunc = given.arguments
        (buffer, rates), (g_states, g_last) = given.kept, gradients
        n_units, backward = len(M), ACTIVATIONS[afunc].backward
        wants_initial, wants_inputs = given.wanted[2:4]
        states, rates = buffer[:, :n_units].unbind(0), rates.unbind(0)
        g = _Recurrence._initial_gradient(g_last, states[0], a.dtype)
        product = WeightGradient(M, buffer, a.dtype)
        M_t = transposed_rows(M, M.shape[1] if wants_inputs else n_units, g.shape[1])
        g_a = torch.zeros_like(a)
        g_inputs = room(len(rates), buffer.shape[1] - n_units - 1, g.shape[1], M) if wants_inputs else None
        keep, share = (1 - a)[:, None], a[:, None]
        for t in range(len(rates) - 1, -1, -1):
            if g_states is not None:
                g = g + g_states[t].t()
            rate = rates[t].to(a.dtype)
            g_a += (g * (rate - states[t])).sum(dim=1)
            delta, transposed = product.slot(t)
            exact = delta if M.dtype == a.dtype else torch.empty_like(g)
            backward(g * share, rate, exact)
            if exact is not delta:
                delta.copy_(exact)
            product.add(t)
            if t == 0 and not (wants_initial or wants_inputs):
                break
            back = times(M_t, transposed)
            if g_inputs is not None:
                g_inputs[t] = back[n_units:-1]
            g = torch.addcmul(back[:n_units].to(a.dtype), g, keep)
        g_inputs = None if g_inputs is None else g_inputs.transpose(1, 2).to(a.dtype)
        return product.total.to(M.dtype), g_a, g.t() if wants_initial else None, g_inputs, None


def leaky_matrix(W: Tensor, W_in: Tensor, bias: Tensor, a: Tensor, diagonal: Tensor) -> Tensor:
    """Return ``a ⊙ [W | W_in | b]`` with another diagonal, the M of `leaky_inside`.

    Parameters
    ----------
    W : Tensor [unit, unit]
        Recurrent weights; their diagonal counts for nothing.
    W_in : Tensor [unit, channel]
        Input weights.
    bias, a, diagonal : Tensor [unit]
        b, the factor of every unit, and what M has on its diagonal.

    Returns
    -------
    Tensor [unit, unit + channel + 1]
        M.

    Examples
    --------
    >>> one, half = torch.ones(2, 2), torch.full((2,), 0.5)
    >>> leaky_matrix(one, one[:, :1], one[0], half, 3 * half)
    tensor([[1.5000, 0.5000, 0.5000, 0.5000],
            [0.5000, 1.5000, 0.5000, 0.5000]])
    """
    M: Tensor = _LeakyMatrix.run(W, W_in, bias, a, diagonal)
    return M


def leaky_inside(
    M: Tensor,
    initial: Tensor,
    inputs: Tensor,
    afunc: str = "leakyrelu",
    leak: Tensor | None = None,
    *,
    clip: float | None = None,
    hold: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run ``h_t = φ(M [h_{t-1}; x_t; 1] + leak ⊙ h_{t-1})`` over a sequence.

    Parameters
    ----------
    M : Tensor [unit, unit + channel + 1]
        Recurrent weights, input weights and bias side by side.
    initial : Tensor [batch, unit]
        h_0.
    inputs : Tensor [time, batch, channel]
        x_1 … x_T.
    afunc : str
        Name of φ, a key of `tauscope.models.kernels.activations.ACTIVATIONS`.
    leak : Tensor [unit], optional
        Elementwise carry-over kept apart from M; needed where M is of lower precision than the state, because
        bfloat16 rounds ``1 - 1/τ`` to 1 for large τ.
    clip : float, optional
        Largest magnitude of the gradient with respect to the argument of φ, clipped element by element at every step
        of the backward pass.
    hold : Tensor [time, batch] of bool, optional
        Steps at which the state stays as it is.

    Returns
    -------
    states : Tensor [time, batch, unit]
        h_1 … h_T.
    last : Tensor [batch, unit]
        h_T; a loss on it alone spares the backward pass a gradient for every step.

    Examples
    --------
    >>> M = torch.tensor([[0.5, 1.0, 0.0]])
    >>> states, last = leaky_inside(M, torch.zeros(1, 1), torch.ones(3, 1, 1), "relu")
    >>> states.flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    states, last = _Inside.run(M, leak, initial, inputs, afunc, clip, hold)
    return states, last


def leaky_outside(
    M: Tensor, a: Tensor, initial: Tensor, inputs: Tensor, afunc: str = "leakyrelu"
) -> tuple[Tensor, Tensor]:
    """Run ``h_t = (1 - a) ⊙ h_{t-1} + a ⊙ φ(M [h_{t-1}; x_t; 1])`` over a sequence.

    Parameters
    ----------
    M : Tensor [unit, unit + channel + 1]
        Recurrent weights, input weights and bias side by side.
    a : Tensor [unit]
        Step size over time constant, in (0, 1].
    initial : Tensor [batch, unit]
        h_0.
    inputs : Tensor [time, batch, channel]
        x_1 … x_T.
    afunc : str
        Name of φ.

    Returns
    -------
    states : Tensor [time, batch, unit]
        h_1 … h_T.
    last : Tensor [batch, unit]
        h_T.

    Examples
    --------
    >>> M, a = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([0.5])
    >>> leaky_outside(M, a, torch.zeros(1, 1), torch.ones(3, 1, 1), "relu")[0].flatten()
    tensor([0.5000, 0.7500, 0.8750])
    """
    states, last = _Outside.run(M, a, initial, inputs, afunc)
    return states, last
