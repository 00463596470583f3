"""How a sequence is stored, and the products that suit it.

The states of a sequence and their gradients are kept as ``[time, row, batch]``, stored with the batch innermost where its
size suits the product, otherwise with the rows innermost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tauscope.models.kernels.gemm import add_matmul_nt, matmul_nt

_LANES = 16
"""Products are fastest with the batch innermost where its size is a multiple of this."""
_SMALL_BATCH, _COLUMNS = 64, 400
"""Of batches smaller than the first, steps are taken together into products of at least the second number of columns."""


def room(n_steps: int, n_rows: int, n_batch: int, like: Tensor) -> Tensor:
    """Return room for a series, in the order of storage in which `times` is fastest.

    Parameters
    ----------
    n_steps, n_rows, n_batch : int
        Its shape.
    like : Tensor
        Where the room is, and of which dtype.

    Returns
    -------
    Tensor [step, row, batch]
        Not filled in.

    Examples
    --------
    >>> room(2, 3, 16, torch.ones(1)).stride(), room(2, 3, 5, torch.ones(1)).stride()
    ((48, 16, 1), (15, 1, 3))
    """
    if n_batch % _LANES:
        return like.new_empty(n_steps, n_batch, n_rows).transpose(1, 2)
    return like.new_empty(n_steps, n_rows, n_batch)


def prepared(A: Tensor, n_batch: int) -> Tensor:
    """Return a matrix in the order of storage in which `times` is fastest.

    Parameters
    ----------
    A : Tensor [row, k]
        The matrix.
    n_batch : int
        Number of sequences that it is to be multiplied with.

    Returns
    -------
    Tensor [row, k]
        The same numbers.

    Examples
    --------
    >>> prepared(torch.ones(2, 3), 16).stride(), prepared(torch.ones(2, 3), 5).stride()
    ((3, 1), (1, 2))
    """
    return A.t().contiguous().t() if n_batch % _LANES else A.contiguous()


def transposed_rows(M: Tensor, n_rows: int, n_batch: int) -> Tensor:
    """Return the first rows of Mᵀ in the order of storage in which `times` is fastest.

    Parameters
    ----------
    M : Tensor [k, column]
        The matrix.
    n_rows : int
        How many rows.
    n_batch : int
        Number of sequences that they are to be multiplied with.

    Returns
    -------
    Tensor [row, k]
        The rows.

    Examples
    --------
    >>> transposed_rows(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, 16)
    tensor([[1., 3.]])
    """
    # A whole matrix is transposed block by block, a part of it element by element.
    return M[:, :n_rows].contiguous().t() if n_batch % _LANES else M.t().contiguous()[:n_rows]


def times(A: Tensor, columns: Tensor, room: Tensor | None = None) -> Tensor:
    """Return ``A @ x`` in the order of storage of x.

    Parameters
    ----------
    A : Tensor [row, k]
        Left operand, as `prepared` or `transposed_rows` gives it.
    columns : Tensor [batch, k]
        xᵀ: views are cheaper to make of all steps at once than one by one.
    room : Tensor [row, batch], optional
        Where the product is written if its path can write to a given place.

    Returns
    -------
    Tensor [row, batch]
        The product.

    Examples
    --------
    >>> times(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    tensor([[3., 2.]])
    """
    if len(columns) % _LANES:
        return matmul_nt(columns, A, None if room is None else room.t()).t()
    return matmul_nt(A, columns, room)


def stacked_buffer(initial: Tensor, inputs: Tensor, like: Tensor) -> Tensor:
    """Return the buffer of a sequence with the initial state, all inputs and ones in place.

    Parameters
    ----------
    initial : Tensor [batch, unit]
        h_0.
    inputs : Tensor [time, batch, channel]
        x_1 … x_T; the input of a step lies beside the state before it.
    like : Tensor
        Where the buffer is, and of which dtype.

    Returns
    -------
    Tensor [time + 1, unit + channel + 1, batch]
        h_0, all x and ones; the later states are not filled in.

    Examples
    --------
    >>> stacked_buffer(torch.zeros(1, 2), torch.full((1, 1, 1), 5.0), torch.ones(1))[0].flatten()
    tensor([0., 0., 5., 1.])
    """
    (n_steps, n_batch, n_channels), n_units = inputs.shape, initial.shape[1]
    buffer = room(n_steps + 1, n_units + n_channels + 1, n_batch, like)
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


class WeightGradient:
    """The gradient of M, summed over the steps of the backward pass: ``total = Σ_t δ_t [h_{t-1}; x_t; 1]ᵀ``.

    Steps are visited from the last to the first; those of one product lie side by side.

    Parameters
    ----------
    M : Tensor [unit, row]
        Recurrent weights, input weights and bias side by side.
    buffer : Tensor [time + 1, row, batch]
        States, inputs and ones.
    dtype : torch.dtype, optional
        Of the sum, that of M by default.

    Attributes
    ----------
    total : Tensor [unit, row]
        The sum over the steps so far.

    Examples
    --------
    >>> gradient = WeightGradient(torch.zeros(1, 2), torch.tensor([[[3.0], [1.0]], [[0.0], [1.0]]]))
    >>> _ = gradient.slot(0)[0].fill_(2.0)
    >>> gradient.add(0)
    >>> gradient.total
    tensor([[6., 2.]])
    """

    total: Tensor

    def __init__(self, M: Tensor, buffer: Tensor, dtype: torch.dtype | None = None) -> None:
        self._buffer, self._n_steps = buffer, len(buffer) - 1
        self._together = min(_steps_a_product(M.dtype, buffer.shape[2]), self._n_steps)
        self._deltas = room(self._together, len(M), buffer.shape[2], M)
        self._slots = list(zip(self._deltas.unbind(0), self._deltas.transpose(1, 2).unbind(0), strict=True))
        # Views made one by one cost as much as a small product; those of one step lie side by side as they are.
        self._single = buffer.unbind(0) if self._together == 1 else ()
        self._dtype = dtype or M.dtype

    def slot(self, t: int) -> tuple[Tensor, Tensor]:
        """Return where δ of a step has to be written, ``[unit, batch]``, and its transposed view."""
        return self._slots[t % self._together]

    def add(self, t: int) -> None:
        """Note that δ of a step is written."""
        if t % self._together:
            return
        end = min(t + self._together, self._n_steps)
        operands = self._operands(t, end)
        if end == self._n_steps:
            self.total = matmul_nt(*operands).to(self._dtype)
        else:
            add_matmul_nt(self.total, *operands)

    def _operands(self, t: int, end: int) -> tuple[Tensor, Tensor]:
        if self._single:
            return self._slots[0][0], self._single[t]
        return _side_by_side(self._deltas[: end - t]), _side_by_side(self._buffer[t:end])


def _side_by_side(steps: Tensor) -> Tensor:
    """Return ``[step, row, batch]`` as one matrix ``[row, step * batch]``."""
    if steps.shape[2] % _LANES:
        return steps.transpose(1, 2).flatten(0, 1).t()
    return steps.transpose(0, 1).flatten(1)
