"""Interleaved measurements: every round times every row once, so that what slows the machine slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from tauscope.models.kernels.subnormals import flushing

Clock = Callable[[Callable[[], object], int], float]
"""Takes a row and a number of repeats, and returns the seconds of one repeat."""
LIMIT = "limit"
_PAUSE = 0.05


@dataclass(frozen=True)
class Timing:
    """One row at one N.

    Attributes
    ----------
    row : str
        What was measured.
    N, n_bits : int
        Largest N; length of the sequences.
    seconds : tuple of float
        Time of one step in every round.
    ratios : tuple of float
        The same over the GEMM limit of that round.
    """

    row: str
    N: int
    n_bits: int
    seconds: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        """Median time of one step."""
        return float(np.median(self.seconds))

    @property
    def ratio(self) -> float:
        """Median ratio to the GEMM limit."""
        return float(np.median(self.ratios))

    @property
    def spread(self) -> tuple[float, float]:
        """Quartiles of that ratio over rounds."""
        low, high = np.percentile(self.ratios, (25, 75))
        return float(low), float(high)

    def to_dict(self) -> dict[str, float | int | str]:
        """Return what a line of a CSV file holds."""
        low, high = self.spread
        return {
            "row": self.row,
            "N": self.N,
            "bits": self.n_bits,
            "milliseconds": 1e3 * self.median_seconds,
            "ratio": self.ratio,
            "ratio_lower_quartile": low,
            "ratio_upper_quartile": high,
            "rounds": len(self.seconds),
        }


def interleaved(
    rows: dict[str, Callable[[], object]],
    N: int,
    n_bits: int,
    rounds: int,
    *,
    kept: Collection[str] = (),
    shortest: float = 0.2,
    clock: Clock | None = None,
) -> list[Timing]:
    """Time rows against the one named "limit".

    Parameters
    ----------
    rows : dict of callable
        Each takes one step; "limit" does the products of one step.
    N, n_bits : int
        What they run on.
    rounds : int
        Rounds in which every row is timed once.
    kept : collection of str
        Rows that compute with subnormal numbers; the others take them for zero, as a training does.
    shortest : float
        Seconds that a row is repeated for in a round, at least.
    clock : callable, optional
        Measures repeats of a row; the processor's time by default.

    Returns
    -------
    list of Timing
        One for each row.
    """
    measured = clock or processor_seconds
    repeats = {}
    for name, work in rows.items():
        with flushing(name not in kept):
            work()
            repeats[name] = max(1, round(shortest / measured(work, 1)))
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, work in rows.items():
            with flushing(name not in kept):
                seconds[name].append(measured(work, repeats[name]))
    limits = seconds[LIMIT]
    return [
        Timing(name, N, n_bits, tuple(times), tuple(one / limit for one, limit in zip(times, limits, strict=True)))
        for name, times in seconds.items()
    ]


def processor_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the seconds of one repeat on the processor, after a short pause and repeats that do not count."""
    # The threads of the row before go on spinning for some milliseconds, and the first steps after a pause find nothing in
    # the caches; a training has neither.
    time.sleep(_PAUSE)
    start = time.perf_counter()
    while time.perf_counter() - start < _PAUSE:
        work()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats
