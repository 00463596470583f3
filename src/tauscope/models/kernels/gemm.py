"""The fastest matrix product of this process, for the inner loop of the recurrence."""

from __future__ import annotations

import ctypes
import functools
import os
import sys

import torch
from torch import Tensor

from tauscope.errors import require_choice
from tauscope.models.kernels.processor import vendor

PATHS = ("mkl", "onednn")
FORCED = "TAUSCOPE_PRODUCTS"
"""Environment variable that forces the path of the products, one of `PATHS`."""

# Below this many multiply-adds the call costs more than the product, and the call of `torch.mm` is the cheaper one.
_SMALL = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@functools.cache
def product_path(dtype: torch.dtype) -> str:
    """Return the path that large products take on the processor of this process.

    ``"mkl"`` is `torch.mm`, which sends float32 to MKL where torch has it; ``"onednn"`` is oneDNN's linear map. MKL is the
    faster one on Intel's processors, oneDNN on AMD's, by a little or by a factor of two (``python -m benchmarks`` prints both). The
    path follows from the vendor, never from a measurement, so that a run repeats bit for bit on its machine.

    Parameters
    ----------
    dtype : torch.dtype
        Of the operands.

    Returns
    -------
    {"mkl", "onednn"}
        The path; what the environment variable ``TAUSCOPE_PRODUCTS`` says, where oneDNN has the dtype.

    Raises
    ------
    InputError
        If the variable names no path.

    Examples
    --------
    >>> product_path(torch.float64)
    'mkl'
    """
    forced = os.environ.get(FORCED, "")
    if forced:
        require_choice(f"{FORCED}, the path of products,", forced, PATHS)
    if not _onednn_has(dtype):
        return "mkl"
    return forced or ("mkl" if vendor() == "intel" else "onednn")


def _onednn_has(dtype: torch.dtype) -> bool:
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _takes_onednn(a: Tensor, b: Tensor) -> bool:
    return (
        a.device.type == "cpu" and a.shape[0] * a.shape[1] * b.shape[0] >= _SMALL and product_path(a.dtype) == "onednn"
    )


def matmul_nt(a: Tensor, b: Tensor, room: Tensor | None = None) -> Tensor:
    """Return ``a @ b.T`` by the fastest path.

    Parameters
    ----------
    a : Tensor [m, k]
        Left operand.
    b : Tensor [n, k]
        Right operand, transposed.
    room : Tensor [m, n], optional
        Where the product is written if its path can write to a given place.

    Returns
    -------
    Tensor [m, n]
        The product, in the operands' dtype; float32 is accumulated in float32. It is ``room`` or a new tensor.

    Examples
    --------
    >>> matmul_nt(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """
    if _takes_onednn(a, b):
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return torch.mm(a, b.t()) if room is None else torch.mm(a, b.t(), out=room)


def add_matmul_nt(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Add ``a @ b.T`` to a sum in place.

    Parameters
    ----------
    total : Tensor [m, n]
        The sum.
    a, b : Tensor [m, k], [n, k]
        Operands.

    Returns
    -------
    Tensor [m, n]
        The sum.

    Examples
    --------
    >>> add_matmul_nt(torch.ones(1, 1), torch.tensor([[2.0]]), torch.tensor([[3.0]]))
    tensor([[7.]])
    """
    if total.dtype == a.dtype and not _takes_onednn(a, b):
        return total.addmm_(a, b.t())
    return total.add_(matmul_nt(a, b))


def keep_freed_memory() -> None:
    """Let this process keep freed memory for its next allocation, where the C library is glibc.

    A training step allocates and frees the same tens of megabytes; given back to the system each time, they come back
    through page faults, which cost a noticeable part of the step.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
