"""Subnormal numbers taken for zero, in every thread that computes.

The gradients of a long sequence fade until they are smaller than the smallest normal number, 1.2e-38 in float32. An Intel
processor takes a hundred times longer for each of these; none of them changes a weight.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_TINY = 2.0**-126
_POOL_SIZE = 1 << 16
"""Numbers in an operation that torch shares among its threads."""


def is_flushing() -> bool:
    """Return whether every thread that computes takes subnormal numbers for zero.

    Examples
    --------
    >>> with flushing(False):
    ...     is_flushing()
    False
    """
    return not bool(_halved(torch.get_num_threads() * _POOL_SIZE).any())


@contextlib.contextmanager
def flushing(on: bool = True) -> Iterator[bool]:
    """Take subnormal numbers for zero, or keep them, as long as the context lasts.

    The mode belongs to a thread. It is set in the calling thread and in the threads that torch shares an operation among,
    also in those that have run already; the mode of before comes back on every way out.

    Parameters
    ----------
    on : bool
        Whether to flush.

    Yields
    ------
    bool
        Whether subnormals are flushed now: false where a processor has no such mode.

    Examples
    --------
    >>> with flushing(False):
    ...     bool(torch.tensor([1e-38]).mul(0.1) > 0)
    True
    """
    before = _here()
    # Where the calling thread is in that mode, its pool may still not be.
    if before == on and is_flushing() == on:
        yield on
        return
    _set(on)
    try:
        yield is_flushing() if on else False
    finally:
        _set(before)


def can_flush() -> bool:
    """Return whether this processor, as torch uses it, can take subnormal numbers for zero.

    Examples
    --------
    >>> isinstance(can_flush(), bool)
    True
    """
    with flushing() as flushed:
        return flushed


def _here() -> bool:
    """Return whether the calling thread flushes; a number alone is computed in no other."""
    return not bool(_halved(1))


def _halved(n: int) -> Tensor:
    """Return half of the smallest normal number, so many times: zero where it is flushed."""
    return torch.full((n,), _TINY, dtype=torch.float32, device="cpu") * 0.5


def _set(on: bool) -> None:
    """Set the mode of the calling thread and of every thread of its pool."""
    torch.set_flush_denormal(on)
    in_every_thread = _parallel_region()
    if torch.get_num_threads() == 1 or in_every_thread is None:
        return
    each = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: torch.set_flush_denormal(on) and None)
    in_every_thread(each, None, ctypes.c_uint(torch.get_num_threads()), ctypes.c_uint(0))


@functools.cache
def _parallel_region() -> Any | None:
    """Return the function by which torch opens a parallel region of OpenMP, where it can be found.

    A new thread takes the mode of the thread that starts it; only a region of OpenMP's own reaches those that exist. A
    process may hold other OpenMP libraries (scikit-learn brings its own), each with a pool that torch never uses; torch's is
    found as the loader found it: in what the whole process shares, else in what torch itself is linked with.
    """
    for library in (None, torch._C.__file__):
        with contextlib.suppress(AttributeError, OSError, TypeError):
            return ctypes.CDLL(library).GOMP_parallel
    return None
