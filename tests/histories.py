"""History tasks whose theory is known exactly: codes, and the cycles of the signed map that moves their substrate."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

_DIAGONAL = 9241421688590303745

PUBLISHED = {
    "T1": (255, 0, 0),
    "T2": (_DIAGONAL, 0, 0),
    "T3": (_DIAGONAL, 262676, 189),
    "T4": (_DIAGONAL, 38637, 145),
}
"""Codes of the published tasks, of 8 lags and 8 components."""

SMALL = {"T1": (15, 0, 0), "T1c": (15, 21, 1), "T2": (33825, 0, 0), "T3": (33825, 9, 5)}
"""The same for 4 lags and 4 components, and a cyclic one."""


def cycles(boundary: Tensor) -> list[tuple[int, int]]:
    """Return length and sign of every cycle of the map that says from where each place of the substrate is filled.

    Place k is filled from place k + d, and the last d places from where F reads. A cycle of length L and sign ±1 has the
    eigenvalues λ^L = ±1; whatever is on no cycle is forgotten.
    """
    dim, size = boundary.shape
    rows = boundary.int().tolist()
    source = {k: k + dim for k in range(size - dim)}
    sign = dict.fromkeys(source, 1)
    for i, row in enumerate(rows):
        ((column, value),) = ((k, value) for k, value in enumerate(row) if value)
        source[size - dim + i], sign[size - dim + i] = column, value
    found, seen = [], set()
    for start in range(size):
        path, k = [], start
        while k not in path and k not in seen:
            path.append(k)
            k = source[k]
        if k in path:
            ring = path[path.index(k) :]
            found.append((len(ring), math.prod(sign[one] for one in ring)))
        seen |= set(path)
    return found


def unit_eigenvalues(boundary: Tensor) -> np.ndarray:
    """Return the eigenvalues on the unit circle, from the cycles."""
    return np.concatenate([np.exp(1j * np.pi * (2 * np.arange(n) + (sign < 0)) / n) for n, sign in cycles(boundary)])


def period(boundary: Tensor) -> int:
    """Return after how many steps the substrate repeats, from the cycles."""
    return math.lcm(*(n if sign > 0 else 2 * n for n, sign in cycles(boundary)))


def stream(boundary: Tensor, shown: list[list[int]], n_steps: int) -> list[list[int]]:
    """Return the vectors that follow those shown, from the definition of the task, in integers."""
    rows, vectors, lags = boundary.int().tolist(), [list(one) for one in shown], len(shown)
    for _ in range(n_steps):
        past = [value for vector in vectors[-lags:] for value in vector]
        vectors.append([sum(a * b for a, b in zip(row, past, strict=True)) for row in rows])
    return vectors[lags:]
