"""Affine recurrences y_t = A_t y_{t-1} + b_t, for all steps at once.

Their equations, side by side, are L y = b with a triangular matrix L: ones on the diagonal and -A_t beside it. The reverse
recurrence of gradients is Lᵀ y = b. On a processor that is one call of BLAS for each trial; elsewhere a tree of pairs of
steps, as deep as the logarithm of their number.
"""

from __future__ import annotations

import torch
from scipy.linalg import blas
from torch import Tensor


def affine(A: Tensor, b: Tensor, reverse: bool = False) -> Tensor:
    """Solve an affine recurrence that starts from zero.

    Parameters
    ----------
    A : Tensor [time, batch, to, from] or [time, batch, unit]
        Matrices, or their diagonals; the first is not used.
    b : Tensor [time, batch, unit]
        What is added.
    reverse : bool
        Solve the transposed recurrence, y_t = A_{t+1}ᵀ y_{t+1} + b_t from the last step to the first.

    Returns
    -------
    Tensor [time, batch, unit]
        y_t = A_t y_{t-1} + b_t with y_0 = 0.

    Examples
    --------
    >>> A, b = torch.full((3, 1, 1, 1), 0.5), torch.ones(3, 1, 1)
    >>> affine(A, b).flatten(), affine(A, b, reverse=True).flatten()
    (tensor([1.0000, 1.5000, 1.7500]), tensor([1.7500, 1.5000, 1.0000]))
    """
    dense = A.dim() > b.dim()
    if dense and b.device.type == "cpu" and b.dtype in _SOLVERS:
        return _banded(A, b, reverse)
    if not reverse:
        return tree(A, b)
    turned = A.transpose(-1, -2) if dense else A
    return tree(torch.cat([turned[:1], turned[1:].flip(0)]), b.flip(0)).flip(0)


def tree(A: Tensor, b: Tensor) -> Tensor:
    """Solve an affine recurrence that starts from zero by joining pairs of steps; as `affine`.

    (A_i, b_i) and then (A_j, b_j) are (A_j A_i, A_j b_i + b_j). What the products of A overflow to is not finite.

    Examples
    --------
    >>> tree(torch.full((3, 1, 1), 0.5), torch.ones(3, 1, 1)).flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    n_steps = len(b)
    if n_steps == 1:
        return b
    first, second = slice(0, n_steps // 2 * 2, 2), slice(1, n_steps // 2 * 2, 2)
    joined = A[second] @ A[first] if A.dim() > b.dim() else A[second] * A[first]
    y = torch.empty_like(b)
    y[second] = tree(joined, _times(A[second], b[first]) + b[second])
    y[0] = b[0]
    y[2::2] = _times(A[2::2], y[1 : n_steps - 1 : 2]) + b[2::2]
    return y


def _times(A: Tensor, y: Tensor) -> Tensor:
    return (A @ y.unsqueeze(-1)).squeeze(-1) if A.dim() > y.dim() else A * y


_BAND, _FEWEST = 1 << 17, 16
"""Numbers of a band that stay in the cache; steps of a block at least."""

_SOLVERS = {torch.float32: blas.stbsv, torch.float64: blas.dtbsv}


def _banded(A: Tensor, b: Tensor, reverse: bool) -> Tensor:
    """Solve L y = b, or Lᵀ y = b, with L in the columns that BLAS keeps of a band.

    A call for each trial: the numbers of one that overflows never meet those of another. Blocks of steps share a band that
    stays in the cache, and overlap by the step at which one ends and the next begins.
    """
    n_steps, n_trials, n = b.shape
    y = b.transpose(0, 1).clone(memory_format=torch.contiguous_format)
    solve, right = _SOLVERS[b.dtype], y.view(n_trials, n_steps * n).numpy()
    together = min(n_steps - 1, max(_FEWEST, _BAND // max(2 * n * n * n_trials, 1)))
    # The column of unit q at a step holds its 2 n rows from the diagonal on: A[:, q] of the next step from row n - q.
    band = A.new_zeros(n_trials, together + 1, n, 2 * n)
    columns, below = band.flatten(1, 2).numpy(), A[1:].permute(1, 0, 3, 2)
    starts = range(0, n_steps - 1, max(together, 1))
    for start in reversed(starts) if reverse else starts:
        end = min(start + together, n_steps - 1)
        strides = (band.stride(0), band.stride(1), 2 * n - 1, 1)
        place = band.as_strided((n_trials, end - start, n, n), strides, storage_offset=n)
        torch.neg(below[:, start:end], out=place)
        for matrix, own in zip(columns[:, : (end - start + 1) * n], right[:, start * n : (end + 1) * n], strict=True):
            solve(2 * n - 1, matrix.T, own, lower=1, trans=int(reverse), diag=1, overwrite_x=1)
    return y.transpose(0, 1)
