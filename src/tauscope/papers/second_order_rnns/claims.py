"""The paper's claims as inequalities over networks, fixed before anything is run.

Thresholds were set after trials of the quick scale with other seeds of their own numbering and one thread; X1 is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tauscope.papers.second_order_rnns import quantities as q
from tauscope.papers.second_order_rnns.conditions import PAIRS, RIVALS, SERIES
from tauscope.papers.statistics import greater, positive
from tauscope.papers.vocabulary import Claim, Finding, Results

STEP, MARGIN, CHOICE = 0.02, 0.05, 0.01
"""Bits a character by which a larger rank, the better pair, and one pair before the other have to be better."""

_RANKS = dict(zip(SERIES, (0, 4, 16, 75, 256), strict=True))


def _label(results: Results, name: str) -> str:
    return results.labels.get(name, name)


def _pairs(results: Results, statement: str, larger: str, smaller: str, threshold: float) -> list[Finding]:
    """Judge by how much the bpc of one condition is above that of another, pair by pair; nothing if one was not trained."""
    if larger not in results.networks or smaller not in results.networks:
        return []
    found = q.differences(results, larger, smaller)
    means = [np.mean(list(q.values(results, name, q.bpc).values()) or [math.nan]) for name in (larger, smaller)]
    said = f"{statement} ({means[0]:.3f}, {means[1]:.3f})" if found else statement
    return [positive(said, found, threshold=threshold)]


def _falls(results: Results) -> list[Finding]:
    return [
        finding
        for few, many in pairwise(SERIES[:4])
        for finding in _pairs(
            results, f"bpc of {_label(results, few)} is above that of {_label(results, many)} by more than {STEP:g}",
            few, many, STEP,
        )
    ]  # fmt: skip


def _saturates(results: Results) -> list[Finding]:
    few, some, many = SERIES[2:]
    if not all(name in results.networks for name in (few, some, many)):
        return []
    bpc = [q.values(results, name, q.bpc) for name in (few, some, many)]
    doublings = math.log2(_RANKS[some] / _RANKS[few]), math.log2(_RANKS[many] / _RANKS[some])
    falls = [
        (bpc[0][i] - bpc[1][i]) / doublings[0] - (bpc[1][i] - bpc[2][i]) / doublings[1]
        for i in bpc[0]
        if i in bpc[1] and i in bpc[2]
    ]
    return [positive("bpc falls more for a doubling of the rank from 16 to 75 than from 75 to 256", falls)]


def _beats(results: Results, rivals: Sequence[str], threshold: float) -> list[Finding]:
    best = q.better(results, PAIRS)
    if best is None:
        return []
    by = f" by more than {threshold:g}" if threshold else ""
    return [
        finding
        for rival in rivals
        for finding in _pairs(
            results,
            f"bpc of {_label(results, rival)} is above that of {_label(results, best)}{by}",
            rival,
            best,
            threshold,
        )
    ]


def _choice(results: Results) -> list[Finding]:
    many, few = PAIRS
    statement = f"bpc of {_label(results, many)} is above that of {_label(results, few)} by more than {CHOICE:g}"
    return _pairs(results, statement, many, few, CHOICE)


def _parity(results: Results, rival: str) -> list[Finding]:
    if not results.solved(rival):
        return []
    return [
        greater(f"a network of rank {rank} solves a larger N than one of {_label(results, rival)}",
                results.solved(f"parity_r{rank}"), results.solved(rival))
        for rank in (1, 2, 4)
    ]  # fmt: skip


_FIRST = tuple(name for name in RIVALS if name != "mi")

CLAIMS = (
    Claim("C1", "With as many units, bits per character fall with the rank.", "figure of bpc against the rank", _falls),
    Claim("C2", "They saturate: every doubling of the rank brings less.", "figure, and theory of the largest rank", _saturates),
    Claim("C3", "With as many parameters, a network of CP terms is better than a first-order and a second-order one.", "abstract",
          lambda results: _beats(results, _FIRST, MARGIN)),
    Claim("C4", "It is better than multiplicative integration too.", "abstract",
          lambda results: _beats(results, ("mi",), 0.0)),
    Claim("C5", "Of as many parameters, it matters how many are spent on units and how many on the rank.", "abstract", _choice),
    Claim("X1", "On N-parity, which is of second order by nature, a network of few CP terms gets further than a leaky one in "
          "as many steps.", "a question of ours", lambda results: _parity(results, "parity_leaky")),
    Claim("X2", "The terms are the reason: it gets further than a first-order network too.", "a question of ours",
          lambda results: _parity(results, "parity_r0")),
)  # fmt: skip
