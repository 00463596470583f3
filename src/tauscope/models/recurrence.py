"""The fast recurrence: a whole sequence of a leaky network in one autograd function.

The state is kept as ``[time, unit + channel + 1, batch]``, with the input and a row of ones stacked below the units, and
stored with the batch innermost where its size suits the product, otherwise with the rows innermost. All that is linear in a step is then one product with ``M = [recurrent | input | bias]``, its
gradient is one product with the saved buffer, and one elementwise pass is left in each direction: three products a
step, the least that exact backpropagation through time can do. Gradients of the weights and of τ inside M follow from
ordinary autograd on the small matrix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tauscope.models.activations import ACTIVATIONS
from tauscope.models.gemm import matmul_nt

_LANES = 16
"""Sequences of which a batch has a multiple where products are fastest with the batch innermost."""
_SMALL_BATCH, _COLUMNS = 64, 400
"""Sequences below which the steps of so many sequences together are taken into one product."""


def _room(n_steps: int, n_rows: int, n_batch: int, like: Tensor) -> Tensor:
    """Return room for ``[step, row, batch]``, in the order of storage in which `_times` is fastest."""
    if n_batch % _LANES:
        return like.new_empty(n_steps, n_batch, n_rows).transpose(1, 2)
    return like.new_empty(n_steps, n_rows, n_batch)


def _prepared(A: Tensor, n_batch: int) -> Tensor:
    """Return a matrix in the order of storage in which `_times` is fastest."""
    return A.t().contiguous().t() if n_batch % _LANES else A.contiguous()


def _times(A: Tensor, columns: Tensor) -> Tensor:
    """Return ``A @ x``, ``[row, batch]``, for ``columns`` xᵀ ``[batch, k]``, in the order of storage of x."""
    return matmul_nt(columns, A).t() if len(columns) % _LANES else matmul_nt(A, columns)


def _stacked(initial: Tensor, inputs: Tensor, like: Tensor) -> Tensor:
    """Return the buffer ``[time + 1, unit + channel + 1, batch]`` with the initial state, inputs and ones in place."""
    (n_steps, n_batch, n_channels), n_units = inputs.shape, initial.shape[1]
    buffer = _room(n_steps + 1, n_units + n_channels + 1, n_batch, like)
    buffer[0, :n_units] = initial.t()
    buffer[:-1, n_units:-1] = inputs.transpose(1, 2)
    buffer[:, -1] = 1
    return buffer


def _steps_a_product(dtype: torch.dtype, n_batch: int) -> int:
    """Return how many steps the gradient of M is summed over in one product.

    A product in bfloat16, or of a small batch, is so fast that adding its result to the sum would cost as much as itself.
    """
    if n_batch < _SMALL_BATCH:
        return -(-_COLUMNS // n_batch)
    return 4 if dtype == torch.bfloat16 else 1


class _WeightGradient:
    """The gradient of M, summed over the steps of the backward pass: Σ_t δ_t [h_{t-1}; x_t; 1]ᵀ.

    Steps are visited from the last to the first; those of one product lie side by side.
    """

    def __init__(self, M: Tensor, buffer: Tensor, dtype: torch.dtype | None = None) -> None:
        self._buffer, self._n_steps = buffer, len(buffer) - 1
        self._together = min(_steps_a_product(M.dtype, buffer.shape[2]), self._n_steps)
        self._deltas = _room(self._together, len(M), buffer.shape[2], M)
        self._slots = list(zip(self._deltas.unbind(0), self._deltas.transpose(1, 2).unbind(0), strict=True))
        self.total = torch.zeros(M.shape, dtype=dtype or M.dtype, device=M.device)

    def slot(self, t: int) -> tuple[Tensor, Tensor]:
        """Return where δ of a step has to be written, ``[unit, batch]``, and its transposed view."""
        return self._slots[t % self._together]

    def add(self, t: int) -> None:
        """Note that δ of a step is written."""
        if t % self._together == 0:
            end = min(t + self._together, self._n_steps)
            self.total += matmul_nt(_side_by_side(self._deltas[: end - t]), _side_by_side(self._buffer[t:end]))


def _side_by_side(steps: Tensor) -> Tensor:
    """Return ``[step, row, batch]`` as one matrix ``[row, step * batch]``."""
    if steps.shape[2] % _LANES:
        return steps.transpose(1, 2).flatten(0, 1).t()
    return steps[0] if len(steps) == 1 else steps.transpose(0, 1).flatten(1)


def _held(hold: Tensor | None, n_steps: int) -> list[Tensor | None]:
    """Return the mask ``[batch]`` of every step, ``None`` where no state is held."""
    if hold is None:
        return [None] * n_steps
    return [mask if some else None for mask, some in zip(hold.unbind(0), hold.any(dim=1).tolist(), strict=True)]


def _limit(delta: Tensor, clip: float | None, held: Tensor | None) -> None:
    """Clip the gradient with respect to the argument of φ, ``[unit, batch]``, in place; none enters a held state."""
    if clip is not None:
        delta.clamp_(-clip, clip)
    if held is not None:
        delta.masked_fill_(held, 0.0)


class _Recurrence(torch.autograd.Function):
    """What both recurrences share: their outputs and the handling of absent gradients."""

    @staticmethod
    def _outputs(ctx: Any, buffer: Tensor, n_units: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        states = buffer[1:, :n_units].transpose(1, 2).to(dtype)
        return states, states[-1].clone()

    @staticmethod
    def _initial_gradient(last: Tensor | None, like: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the gradient that enters at the last state, ``[unit, batch]``."""
        g = _room(1, like.shape[0], like.shape[1], like).to(dtype)[0]
        return g.zero_() if last is None else g.copy_(last.t())


class _LeakyMatrix(torch.autograd.Function):
    """M = a ⊙ [W | W_in | b] with another diagonal, in one pass over the weights in each direction.

    What stands on the diagonal of W is written over: it counts for nothing and gets no gradient.
    """

    @staticmethod
    def forward(ctx: Any, W: Tensor, W_in: Tensor, bias: Tensor, a: Tensor, diagonal: Tensor) -> Tensor:
        n_units = len(W)
        M = W.new_empty(n_units, n_units + W_in.shape[1] + 1)
        torch.mul(W, a[:, None], out=M[:, :n_units])
        torch.mul(W_in, a[:, None], out=M[:, n_units:-1])
        torch.mul(bias, a, out=M[:, -1])
        M[:, :n_units].diagonal().copy_(diagonal)
        ctx.save_for_backward(W, W_in, bias, a)
        return M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        W, W_in, bias, a = ctx.saved_tensors
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
        buffer, weights = _stacked(initial, inputs, M), _prepared(M, len(initial))
        # Views cost as much as a small product where they are made one by one.
        states, stacked = buffer[:, :n_units].unbind(0), buffer.transpose(1, 2).unbind(0)
        h = initial.t()
        for t, held in enumerate(_held(hold, len(inputs))):
            z, following = _times(weights, stacked[t]), states[t + 1]
            if leak is None:
                phi.into(z, following)
                if held is not None:
                    torch.where(held, states[t], following, out=following)
            else:
                before, h = h, z.to(h.dtype, copy=True).addcmul_(leak[:, None], h)
                phi.into(h, h)
                if held is not None:
                    h = torch.where(held, before, h)
                following.copy_(h)
        ctx.save_for_backward(M, leak, buffer, hold)
        ctx.afunc, ctx.clip = afunc, clip
        outputs, last = _Recurrence._outputs(ctx, buffer, n_units, initial.dtype)
        return outputs, last if leak is None else h.t().clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        M, leak, buffer, hold = ctx.saved_tensors
        g_states, g_last = gradients
        n_units, backward = len(M), ACTIVATIONS[ctx.afunc].backward
        wants_initial, wants_inputs = ctx.needs_input_grad[2:4]
        dtype = M.dtype if leak is None else leak.dtype
        states, n_steps = buffer[:, :n_units].unbind(0), len(buffer) - 1
        g = _Recurrence._initial_gradient(g_last, states[0], dtype)
        product = _WeightGradient(M, buffer, dtype)
        M_t = _prepared((M if wants_inputs else M[:, :n_units]).t(), g.shape[1])
        g_inputs = _room(n_steps, buffer.shape[1] - n_units - 1, g.shape[1], M) if wants_inputs else None
        holds = _held(hold, n_steps)
        for t in range(n_steps - 1, -1, -1):
            if g_states is not None:
                g = g + g_states[t].t()
            (delta, transposed), held = product.slot(t), holds[t]
            exact = delta if M.dtype == dtype else torch.empty_like(g)
            backward(g, states[t + 1].to(dtype), exact)
            _limit(exact, ctx.clip, held)
            if exact is not delta:
                delta.copy_(exact)
            product.add(t)
            if t == 0 and not (wants_initial or wants_inputs):
                break
            back = _times(M_t, transposed)
            if g_inputs is not None:
                g_inputs[t] = back[n_units:-1]
            kept, g = g, back[:n_units]
            if leak is not None:
                g = g.to(dtype).addcmul(leak[:, None], exact)
            if held is not None:
                g = torch.where(held, kept, g)
        # h_{t-1} enters through the leak as it does through the diagonal of M.
        g_leak = None if leak is None else product.total[:, :n_units].diagonal()
        g_inputs = None if g_inputs is None else g_inputs.transpose(1, 2).to(dtype)
        return product.total.to(M.dtype), g_leak, g.t() if wants_initial else None, g_inputs, None, None, None


class _Outside(_Recurrence):
    """h_t = (1 - a) ⊙ h_{t-1} + a ⊙ φ(M [h_{t-1}; x_t; 1])."""

    @staticmethod
    def forward(ctx: Any, M: Tensor, a: Tensor, initial: Tensor, inputs: Tensor, afunc: str) -> tuple[Tensor, Tensor]:
        n_units = len(M)
        phi = ACTIVATIONS[afunc]
        buffer, weights = _stacked(initial, inputs, M), _prepared(M, len(initial))
        slots, stacked = buffer[1:, :n_units].unbind(0), buffer.transpose(1, 2).unbind(0)
        rates = _room(len(inputs), n_units, len(initial), M)
        h = initial.t()
        for columns, rate, following in zip(stacked, rates.unbind(0), slots, strict=False):
            phi.into(_times(weights, columns), rate)
            h = torch.lerp(h, rate.to(h.dtype), a[:, None])
            following.copy_(h)
        ctx.save_for_backward(M, a, buffer, rates)
        ctx.afunc = afunc
        states, _ = _Recurrence._outputs(ctx, buffer, n_units, initial.dtype)
        return states, h.t().clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        M, a, buffer, rates = ctx.saved_tensors
        g_states, g_last = gradients
        n_units, backward = len(M), ACTIVATIONS[ctx.afunc].backward
        wants_initial, wants_inputs = ctx.needs_input_grad[2:4]
        states, rates = buffer[:, :n_units].unbind(0), rates.unbind(0)
        g = _Recurrence._initial_gradient(g_last, states[0], a.dtype)
        product = _WeightGradient(M, buffer, a.dtype)
        M_t = _prepared((M if wants_inputs else M[:, :n_units]).t(), g.shape[1])
        g_a = torch.zeros_like(a)
        g_inputs = _room(len(rates), buffer.shape[1] - n_units - 1, g.shape[1], M) if wants_inputs else None
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
            back = _times(M_t, transposed)
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
    M: Tensor = _LeakyMatrix.apply(W, W_in, bias, a, diagonal)
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
        Name of φ, a key of `tauscope.models.activations.ACTIVATIONS`.
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
    return _Inside.apply(M, leak, initial, inputs, afunc, clip, hold)


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
    return _Outside.apply(M, a, initial, inputs, afunc)
