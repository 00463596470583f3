"""The paper's claims as inequalities over networks, fixed before any network is trained.

A mark beside each value tells its source: [trial] a trial with this method and a single seed, [run] untrained networks.
"""

from __future__ import annotations

from tauscope.papers.balanced_networks import quantities as q
from tauscope.papers.balanced_networks.conditions import SIGNALS, TRACKING
from tauscope.papers.statistics import positive
from tauscope.papers.vocabulary import Claim, Finding, Results

BROKEN_UP = ("two", "three")
"""Conditions of several signals."""

_DOUBLING, _RATIO = (1.6, 2.6), 2.0
_INFORMATION = "2.48, 5.80, 12.7, 24.0, 39.6 bits/τ at b = 1, 2, 4, 8, 16 [run]"


def _untrained(results: Results) -> list[Finding]:
    if not results.trained(["one"]):
        return []
    low, high = _DOUBLING
    findings = [
        positive("the information rate rises from each b to the next",
                 q.values(results, "one", "untrained", q.least_rise), published=_INFORMATION)
    ]  # fmt: skip
    for b in (1.0, 2.0):
        ratios = q.values(results, "one", "untrained", q.doubling(b))
        said = f"{ {1.0: 2.34, 2.0: 2.19}[b]:.3g} [run]"
        findings += [
            positive(
                f"from b = {b:g} to {2 * b:g} it grows more than {low:g}-fold", ratios, threshold=low, published=said
            ),
            positive(f"and less than {high:g}-fold", [high - ratio for ratio in ratios], published=said),
        ]
    return findings


def _tighter(results: Results) -> list[Finding]:
    findings = []
    for name in results.trained(["one"]):
        fall = [1 - least for least in q.values(results, name, "course", lambda result: float(result["balance"].min()))]
        findings += [
            positive("the balance first falls below that at the start", fall, published="falls to 0.26 of it [trial]"),
            positive("and is above it at the end", q.values(results, name, "course", q.final("balance")), threshold=1.0,
                     published="1.23 of it after 1600 steps [trial]"),
        ]  # fmt: skip
    return findings


def _balanced(results: Results) -> list[Finding]:
    return [
        positive(f"with {results.label(name)} the balance is more than {_RATIO:g} times that at the start",
                 q.values(results, name, "course", q.final("balance")), threshold=_RATIO,
                 published="4.76 times with two [trial]")
        for name in results.trained(BROKEN_UP)
    ]  # fmt: skip


def _subnetworks(results: Results) -> list[Finding]:
    findings = []
    for name in results.trained(BROKEN_UP):
        label, course = results.label(name), "course"
        findings += [
            positive(f"with {label} weights within {SIGNALS[name]} subnetworks are more than {_RATIO:g} times those between",
                     q.values(results, name, course, q.weight_ratio), threshold=_RATIO, published="3.9 times with two [trial]"),
            positive(f"with {label} input and read-out weights of a signal are correlated",
                     q.values(results, name, course, q.own_correlation), published="0.995 with two [trial]"),
            positive(f"with {label} those of different signals are anticorrelated",
                     [-correlation for correlation in q.values(results, name, course, q.other_correlation)],
                     published="-0.985 with two [trial]"),
        ]  # fmt: skip
    return findings


def _tracks(results: Results) -> list[Finding]:
    return [
        positive(f"with {results.label(name)} the outputs tell more of their signals after training (bits/τ)",
                 q.values(results, name, "information", lambda result: float(result["after"] - result["before"])),
                 published="loss from 0.19 to 0.029 with one [trial]")
        for name in results.trained(TRACKING)
    ]  # fmt: skip


CLAIMS = (
    Claim("C1", "In untrained networks the information rate grows with the balance b, about in proportion while b is small.",
          "theory and simulations", _untrained),
    Claim("C2", "Training on one signal makes a network more tightly balanced, after its balance has first fallen.",
          "training on one signal", _tighter),
    Claim("C3", "Training on two and three signals makes it more tightly balanced too.", "training on several signals",
          _balanced),
    Claim("C4", "It then breaks up into as many subnetworks, weakly connected with each other, each tracking one signal.",
          "training on several signals", _subnetworks),
    Claim("C5", "Trained networks track their signals.", "training", _tracks),
)  # fmt: skip
