"""The claims as inequalities, fixed before anything is run; those of C0 and C2 were set after trials by another implementation.

All are paired: a network is compared with itself, pruned in another way. C1 to C7 are judged where C0 holds alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tauscope.papers.lyapunov_noise_pruning import quantities as q
from tauscope.papers.lyapunov_noise_pruning.conditions import PARITY
from tauscope.papers.lyapunov_noise_pruning.networks import COMBINATIONS, LNP, PLAIN, RIVALS
from tauscope.papers.lyapunov_noise_pruning.studies import BARE, SETTINGS, SYSTEMS, WHOLE
from tauscope.papers.statistics import positive, summary
from tauscope.papers.vocabulary import Claim, Finding, Results

LEAST = 0.03
"""Error that recurrent weights have to take away for anything about pruning to be judged."""

DEAREST = 1.1
"""Error of a pruned network in that of the dense one."""

SPARSE = ("A", "C")
"""Settings in which all units are left: half and a fifth of the synapses."""


def _gate(results: Results, system: str, timescales: str = "gamma") -> Finding:
    dense, bare = (q.numbers(results, "nrmse", name, system, timescales=timescales) for name in (WHOLE, BARE))
    finding = positive(
        f"{q.LABELS[system]}, {timescales} τ: without recurrent weights the error is larger than that of the dense network by more "
        f"than {LEAST:g}",
        list(bare - dense),
        threshold=LEAST,
    )
    return replace(finding, ours=f"{summary(list(bare))} against {summary(list(dense))}")


def _judged(results: Results, find: Callable[[str], Sequence[Finding]], timescales: str = "gamma") -> list[Finding]:
    """Return the findings of every system, not judged where recurrence takes too little away from the error."""
    found = []
    for system in SYSTEMS:
        gate = _gate(results, system, timescales)
        for finding in find(system):
            if gate.verdict != "holds":
                finding = replace(finding, verdict="not judged", effect=f"C0 is not met: {gate.effect}")
            found.append(finding)
    return found


def _less(
    results: Results, system: str, larger: str, smaller: str, setting: str, timescales: str = "gamma", what: str = "nrmse"
) -> Finding:  # fmt: skip
    """Return the judgement that a number of one method is below that of another one."""
    high, low = (q.numbers(results, what, name, system, setting, timescales) for name in (larger, smaller))
    words = {"nrmse": "error", "rate": "spikes per step and unit"}[what]
    finding = positive(f"{q.LABELS[system]}, {setting}: {words} of {larger} above {smaller}", list(high - low))
    return replace(finding, ours=f"{summary(list(high))} against {summary(list(low))}")


def _control(results: Results) -> list[Finding]:
    return [_gate(results, system) for system in SYSTEMS]


def _heterogeneity(results: Results) -> list[Finding]:
    def find(system: str) -> list[Finding]:
        findings = []
        for method in (WHOLE, LNP):
            equal, gamma = (q.numbers(results, "nrmse", method, system, timescales=kind) for kind in ("equal", "gamma"))
            words = f"{q.LABELS[system]}, {method}: error with equal τ above that with gamma τ of the same mean"
            finding = positive(words, list(equal - gamma))
            findings.append(replace(finding, ours=f"{summary(list(equal))} against {summary(list(gamma))}"))
        return findings

    return _judged(results, find)


def _cheap(results: Results) -> list[Finding]:
    def find(system: str) -> list[Finding]:
        dense, pruned = (q.numbers(results, "nrmse", name, system) for name in (WHOLE, LNP))
        words = f"{q.LABELS[system]}: error with half of the synapses below {DEAREST:g} times that of the dense network"
        finding = positive(words, list(DEAREST * dense - pruned))
        return [replace(finding, ours=f"{summary(list(pruned / dense))} times")]

    return _judged(results, find)


def _activity(results: Results) -> list[Finding]:
    return _judged(results, lambda system: [_less(results, system, "activity", LNP, "B")])


def _rivals(results: Results) -> list[Finding]:
    def find(system: str) -> list[Finding]:
        return [
            _less(results, system, rival + ending, LNP + ending, setting)
            for setting in SPARSE
            for ending in ("", PLAIN)
            for rival in RIVALS
        ]

    return _judged(results, find)


def _dynamics(results: Results) -> list[Finding]:
    def find(system: str) -> list[Finding]:
        findings = []
        for setting in SETTINGS:
            by_chance, by_rule = (q.exponent_change(results, name, system, setting) for name in ("random", LNP))
            words = f"{q.LABELS[system]}, {setting}: random removal changes λ1 (k = 5) by more than {LNP}"
            finding = positive(words, list(by_chance - by_rule))
            findings.append(replace(finding, ours=f"{summary(list(by_chance))} against {summary(list(by_rule))}"))
        return findings

    return _judged(results, find)


def _spikes(results: Results) -> list[Finding]:
    return _judged(results, lambda system: [_less(results, system, "activity", LNP, "B", what="rate")])


def _steps(results: Results) -> list[Finding]:
    def find(system: str) -> list[Finding]:
        findings = []
        for setting in SETTINGS:
            for step in (1, 2, 3) if setting == "B" else (1, 3):
                values = list(q.step_effect(results, step, system, setting))
                finding = positive(f"{q.LABELS[system]}, {setting}: error with step {step}, minus that without", values)
                findings.append(replace(finding, verdict="not judged"))
        for name in COMBINATIONS:
            values = list(q.numbers(results, "nrmse", name, system, "B"))
            findings.append(
                Finding(f"{q.LABELS[system]}, B: error by {name}", summary(values), str(len(values)), "not judged")
            )
        return findings

    return _judged(results, find)


def _not_judged(results: Results) -> list[Finding]:
    del results
    return []


def _homogeneous(results: Results) -> list[Finding]:
    def find(system: str) -> list[Finding]:
        return [
            _less(results, system, rival + PLAIN, LNP + PLAIN, setting, "equal")
            for setting in SPARSE
            for rival in RIVALS
        ]

    return _judged(results, find, "equal")


def _memory(results: Results) -> list[Finding]:
    findings = []
    for condition in PARITY:
        ours = q.trained(results, condition, "lyapunov", 0.5)
        for rival in ("random", "magnitude") if ours else ():
            theirs = q.trained(results, condition, rival, 0.5)
            words = f"{results.label(condition)}: accuracy with half of the synapses by LNP 1-3 above {rival}"
            finding = positive(words, list(np.array(ours) - np.array(theirs)))
            findings.append(replace(finding, ours=f"{summary(ours)} against {summary(theirs)}"))
    return findings


CLAIMS = (
    Claim("C0", "Recurrence is worth something here: the control without which nothing about pruning can be judged.", "ours", _control),
    Claim("C1", "A spread of membrane time constants lowers the error, in dense and in pruned networks.", "abstract", _heterogeneity),
    Claim("C2", "Half of the synapses can go at little cost.", "abstract", _cheap),
    Claim("C3", "Lyapunov noise pruning predicts better than activity pruning, at equal numbers of units and synapses.", "abstract",
          _activity),
    Claim("C4", "It predicts better than random removal, magnitude, and noise-prune on the weights.", "asked for in the reviews", _rivals),
    Claim("C5", "It keeps the dynamics: the largest exponent changes less than by random removal.", "the paper's \"stable\"", _dynamics),
    Claim("C6", "It leaves fewer spikes per unit than activity pruning.", "abstract, \"efficiency\"", _spikes),
    Claim("C7", "What each of its steps is worth; no direction is claimed.", "asked for in the reviews", _steps),
    Claim("C8", "It needs no task: the same pruned network tells digits as well.", "abstract", _not_judged),
    Claim("C9", "CIFAR10, CIFAR100, stock prices, wind speed; 57 % of the units and 50 % of the synapses.", "tables", _not_judged),
    Claim("X1", "Where recurrence is worth most, with equal τ and weights as they are, it is better than its rivals.", "a question of ours",
          _homogeneous),
    Claim("X2", "It keeps more of a trained memory than random removal and magnitude.", "a question of ours", _memory),
)  # fmt: skip
