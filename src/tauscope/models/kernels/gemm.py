"""The fastest matrix product of this process, for the inner loop of the recurrence."""

from __future__ import annotations

import ctypes
import sys

import torch
from torch import Tensor

# Below this many multiply-adds the call costs more than the product, and MKL's call is the cheaper one.
_SMALL = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def _onednn_has(dtype: torch.dtype) -> bool:
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


_ONEDNN = {dtype: _onednn_has(dtype) for dtype in (torch.float32, torch.bfloat16)}


def matmul_nt(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a @ b.T`` by the fastest path.

    `torch.mm` sends float32 to MKL, which on an AMD EPYC ran at half of what oneDNN reached (``python -m benchmarks``
    prints both). The choice depends on the operands alone, never on a measurement, so that
    a run repeats bit for bit.

    Parameters
    ----------
    a : Tensor [m, k]
        Left operand.
    b : Tensor [n, k]
        Right operand, transposed.

    Returns
    -------
    Tensor [m, n]
        The product, in the operands' dtype; float32 is accumulated in float32.

    Examples
    --------
    >>> matmul_nt(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """
    if a.device.type == "cpu" and a.shape[0] * a.shape[1] * b.shape[0] >= _SMALL and _ONEDNN.get(a.dtype, False):
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return torch.mm(a, b.t())


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
