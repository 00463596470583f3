"""What rounding may change between two right computations of one number, in one place for all tests.

Two computations agree bit for bit only if they are the same calls on the same shapes, or if their arithmetic is exact
(copies, whole numbers, factors of 0 and 1): another batch size, another order of a sum or another processor chooses
other instructions. Everything else is compared within `tolerance`, and what hangs on a threshold, an argmax or an
order of equal values is compared where rounding cannot decide it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

MARGIN = 8.0


def tolerance(dtype: torch.dtype, length: int = 1, steps: int = 1) -> float:
    """Return the relative difference that rounding may leave between two right computations.

    A sum of ``length`` terms that is taken in another order differs by about √length units in the last place of the
    sum of its absolute terms, because the errors of its terms have no common sign (Higham, Accuracy and Stability of
    Numerical Algorithms, 2002, section 2.8). The errors of ``steps`` successive steps may have one, and add up. The
    margin is for the largest of many thousand differences, and for sums in which a few terms cancel.
    """
    return MARGIN * torch.finfo(dtype).eps * math.sqrt(length) * steps


def undecided(logits: Tensor, within: float) -> Tensor:
    """Return where rounding may choose the answer: the two largest of ``logits [..., class]`` are as near as this."""
    first, second = logits.topk(2, dim=-1).values.unbind(-1)
    return first - second <= within


def assert_same_spectrum(found: Iterable[complex], expected: Iterable[complex], atol: float) -> None:
    """Assert that every eigenvalue has one of the other set beside it; the order of near equal ones is rounding's."""
    left = list(expected)
    for value in found:
        nearest = min(left, key=lambda other: abs(other - value))
        assert abs(nearest - value) < atol
        left.remove(nearest)
    assert not left
