"""Threads that take a part each of many series.

On several processors this beats several threads inside every small operation where the parts have much to do between two
meetings, as in a recording of many thousand steps.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar("T")

# Below, what Python does between two products takes a thread longer than the products, and only one thread at a time
# can do it.
_FEWEST_STATES = 1 << 15


class Threads:
    """Threads that work side by side, each with its share of the processor threads.

    Parameters
    ----------
    n : int
        How many; with one, the calling thread does the work and keeps all processor threads.

    Notes
    -----
    Inside ``with threads:`` the calling thread uses no more processor threads than each of them. Those that it had
    used before would go on spinning in wait for its next operation, in the way of the others.

    Examples
    --------
    >>> with Threads(2) as threads:
    ...     threads.map(abs, [-1, -2])
    [1, 2]
    """

    def __init__(self, n: int) -> None:
        self._n_all = torch.get_num_threads()
        self._n_each = max(1, self._n_all // n)
        self._pool: ThreadPoolExecutor | None = None
        if n > 1:
            self._pool = ThreadPoolExecutor(n, "part", functools.partial(torch.set_num_threads, self._n_each))
            # A number set in one thread is also that of all that start later, so start these now and set it back.
            started = threading.Barrier(n)
            list(self._pool.map(lambda _: started.wait(), range(n)))
            torch.set_num_threads(self._n_all)

    def __enter__(self) -> Threads:
        if self._pool is not None:
            torch.set_num_threads(self._n_each)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            torch.set_num_threads(self._n_all)

    def map(self, work: Callable[[Any], T], over: Sequence[Any]) -> list[T]:
        """Return what the work gives for each of several things; an error in one is raised here."""
        return list(map(work, over) if self._pool is None else self._pool.map(work, over))


def cuts(n: int, n_parts: int) -> list[tuple[int, int]]:
    """Return the bounds of parts of equal size, but for one.

    Examples
    --------
    >>> cuts(5, 2)
    [(0, 2), (2, 5)]
    """
    return list(itertools.pairwise(i * n // n_parts for i in range(n_parts + 1)))


def n_parts(device: torch.device, n_units: int, n_series: int) -> int:
    """Return into how many parts series are best cut.

    It depends on the number of processor threads and the sizes alone, never on a measurement, so that a run repeats
    bit for bit on the same number of threads.

    Parameters
    ----------
    device : torch.device
        Where the network is; only a processor's work is cut.
    n_units, n_series : int
        Units of the network, number of series.

    Examples
    --------
    >>> n_parts(torch.device("cpu"), 8, 4)
    1
    """
    most = min(n_series, n_series * n_units // _FEWEST_STATES)
    return max(1, min(torch.get_num_threads() if device.type == "cpu" else 1, most))
