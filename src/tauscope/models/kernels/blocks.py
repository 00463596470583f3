"""Products of a sequence, many steps at once: what the inputs drive, and the gradients of weights and inputs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tauscope.models.kernels.gemm import add_matmul_nt, matmul_nt

_FUSED_BELOW = 1 << 21
"""Below this many multiply-adds a step, one call that multiplies and adds beats the fastest product and a sum."""
_BLOCK = 1 << 20
"""Numbers of z in a block of steps whose inputs are multiplied at once: as many as stay in the cache."""
_COLUMNS = 1024
"""Columns of a block of steps whose weight gradients are one product, at least."""
_NARROW = 16
"""Channels below which a product is bound by memory, and `torch.mm` reads its operands as they lie."""


def driven(W: Tensor, bias: Tensor, inputs: Tensor) -> Iterator[Tensor]:
    """Yield ``W x_t + b`` for every step, ``[batch, row]``, computed for a block of steps at once."""
    _, n_batch, n_channels = inputs.shape
    n_rows, n_driven = len(bias), len(W)
    together = max(1, _BLOCK // max(1, n_batch * n_rows))
    for block in inputs.split(together):
        x = block.flatten(0, 1)
        z = bias.new_empty(len(x), n_rows)
        if n_driven < n_rows:
            z[:, n_driven:] = bias[n_driven:]
        if n_channels < _NARROW:
            torch.addmm(bias[:n_driven], x, W.t(), out=z[:, :n_driven])
        else:
            torch.add(matmul_nt(x, W), bias[:n_driven], out=z[:, :n_driven])
        yield from z.view(len(block), n_batch, n_rows).unbind(0)


def columnwise(U: Tensor) -> Tensor:
    """Return U stored column by column, as ``h Uᵀ`` reads it fastest."""
    return U.t().contiguous().t()


def add_product(z: Tensor, h: Tensor, U: Tensor) -> None:
    """Add ``h Uᵀ`` to z in place; U is `columnwise`."""
    if h.shape[0] * U.numel() < _FUSED_BELOW:
        z.addmm_(h, U.t())
    else:
        z.add_(matmul_nt(h, U))


def added_product(z: Tensor, h: Tensor, U: Tensor) -> Tensor:
    """Return z with ``h Uᵀ`` added to its last rows; U is `columnwise`."""
    if len(U) < z.shape[1]:
        added = z.clone()
        add_product(added[:, -len(U) :], h, U)
        return added
    if h.shape[0] * U.numel() < _FUSED_BELOW:
        return torch.addmm(z, h, U.t())
    return matmul_nt(h, U).add_(z)


def product(delta: Tensor, U: Tensor, added: Tensor | None = None) -> Tensor:
    """Return ``delta U + added``; U is stored row by row."""
    if delta.shape[0] * U.numel() < _FUSED_BELOW:
        return torch.mm(delta, U) if added is None else torch.addmm(added, delta, U)
    through = matmul_nt(delta, U.t())
    return through if added is None else through.add_(added)


def steps_together(inputs: Tensor) -> int:
    """Return how many steps the gradients of weights are summed over in one product, for inputs ``[time, batch, channel]``."""
    n_steps, n_batch, _ = inputs.shape
    return max(1, min(n_steps, -(-_COLUMNS // max(1, n_batch))))


def transposed_product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``aᵀ b``; a is copied by the fastest product, b is not."""
    if a.shape[1] < _NARROW or torch.is_grad_enabled():
        # Bound by memory: whatever reads the operands as they lie.
        return a.t() @ b
    return matmul_nt(a.t(), b.t())


class WeightGradients:
    """Gradients of the maps, and of the inputs, summed over blocks of steps from the last to the first.

    The gradient of z is kept in two pieces, rows that the input alone drives and the others: what products read has to lie
    in one piece.
    """

    def __init__(self, W: Tensor, U: Tensor, bias: Tensor, inputs: Tensor, states: Tensor, of_inputs: bool) -> None:
        n_steps, n_batch, n_channels = inputs.shape
        self._W, self._inputs, self._states, self._n_steps = W, inputs, states, n_steps
        self._together = steps_together(inputs)
        self._pieces = [
            bias.new_empty(self._together, n_batch, n_rows) for n_rows in (len(bias) - len(U), len(U)) if n_rows
        ]
        self._slots = list(zip(*[piece.unbind(0) for piece in self._pieces], strict=True))
        self._of_U = U.new_zeros(U.shape[1], U.shape[0])
        self._of_columns = [bias.new_zeros(n_channels + 1, piece.shape[2]) for piece in self._pieces]
        self.g_inputs = torch.empty_like(inputs) if of_inputs else None

    def slot(self, t: int) -> tuple[Tensor, ...]:
        """Return where the gradient with respect to z of a step has to be written, ``[batch, row]`` each."""
        return self._slots[t % self._together]

    def add(self, t: int) -> None:
        """Note that the gradient of a step is written; the first step of a block closes it."""
        if t % self._together:
            return
        end = min(t + self._together, self._n_steps)
        inputs, states = self._inputs[t:end].flatten(0, 1), self._states[t:end].flatten(0, 1)
        columns = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
        pieces = [piece[: end - t].flatten(0, 1) for piece in self._pieces]
        for total, piece in zip(self._of_columns, pieces, strict=True):
            _add_transposed(total, columns, piece)
        _add_transposed(self._of_U, states, pieces[-1])
        if self.g_inputs is not None:
            first, out = 0, self.g_inputs[t:end].flatten(0, 1).zero_()
            for piece in pieces:
                rows = self._W[first : first + piece.shape[1]]
                out.addmm_(piece[:, : len(rows)], rows)
                first += piece.shape[1]

    def totals(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of W, U and the bias."""
        columns = torch.cat(self._of_columns, dim=1)
        return columns[:-1, : len(self._W)].t(), self._of_U.t(), columns[-1]


def _add_transposed(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add ``aᵀ b`` to a sum; a is copied by the fastest product, b is not."""
    if a.shape[1] < _NARROW:
        # Bound by memory: whatever reads the operands as they lie.
        total.addmm_(a.t(), b)
    else:
        add_matmul_nt(total, a.t(), b.t())
