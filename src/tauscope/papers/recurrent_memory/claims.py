"""The paper's claims as inequalities over networks, fixed before any network is trained.

Each inequality states which of two groups of networks is more sequential. A mark beside the paper's direction tells its
source: [trial] a single trial with this method, [third party] a reimplementation by other authors, [recalled] our memory
of the paper, [open] no direction is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from tauscope.papers.recurrent_memory import quantities as q
from tauscope.papers.recurrent_memory.conditions import CHANGED, LABELS, LEARNT, MAIN, PAIRS, RHO
from tauscope.papers.statistics import positive, rising
from tauscope.papers.vocabulary import Claim, Finding, Results

_STEP = 0.2
"""Difference of σ0 for which its effect is reported."""


def _counted(finding: Finding, results: Results, *conditions: str) -> Finding:
    """Add to a finding how many networks did not learn their task."""
    networks = [network for name in conditions for network in results.of(name)]
    lost = sum(not q.learnt(network) for network in networks)
    if not lost:
        return finding
    said = f"{lost} of {len(networks)} networks diverged or have a fractional loss above {LEARNT:g}"
    return replace(finding, effect=f"{finding.effect}; {said}" if finding.effect else said)


def _paired(results: Results, statement: str, more: str, less: str, published: str) -> Finding:
    """Judge whether the networks of one condition are more sequential than their partners of another."""
    finding = positive(statement, q.differences(results, more, less), published=published)
    return _counted(finding, results, more, less)


def _spread(results: Results) -> list[Finding]:
    said = {
        "2afc": "1.75 → 2.57 from σ0 = 0.05 to 0.25 [trial]; 3.22 → 3.76 from 0.05 to 0.15 [third party]",
    }
    return [
        _counted(
            rising(f"SI rises with σ0 in {label}", *q.against_sigma(results, f"basic_{task}"),
                   published=said.get(task, "rises [trial]"), unit=_STEP),
            results, f"basic_{task}",
        )
        for task, label in LABELS.items()
        if results.has(f"basic_{task}")
    ]  # fmt: skip


def _complexity(results: Results) -> list[Finding]:
    said = {"comp": "3.25 against 2.10 [trial], 3.36 against 3.22 [third party]"}
    return [
        _paired(results, f"SI of {LABELS[task]} is above that of 2AFC", f"basic_{task}", "basic_2afc",
                said.get(task, "above [recalled]"))
        for task in ("comp", "cd", "de1")
        if results.has(f"basic_{task}", "basic_2afc")
    ]  # fmt: skip


def _changed(kind: str, published: str, *, less: bool = False) -> Callable[[Results], Sequence[Finding]]:
    """Return a function that judges the effect of a condition on the index in every task."""

    def judge(results: Results) -> list[Finding]:
        findings = []
        for task, label in LABELS.items():
            changed, basic = f"{kind}_{task}", f"basic_{task}"
            if not results.has(changed, basic):
                continue
            of = f"ρ = {RHO:g}" if kind == "rho" else CHANGED[kind]
            pair = (basic, changed) if less else (changed, basic)
            findings.append(
                _paired(results, f"SI of {label} is {'lower' if less else 'higher'} with {of} than in the basic condition",
                        *pair, published)
            )  # fmt: skip
        return findings

    return judge


def _weights(results: Results) -> list[Finding]:
    findings = []
    for task in MAIN:
        name = f"basic_{task}"
        if not results.has(name):
            continue
        surplus = [
            (q.value(network, q.index), q.value(network, q.forward_surplus)) for network in results.networks[name]
        ]
        known = sorted((si, more) for si, more in surplus if math.isfinite(si) and math.isfinite(more))
        upper = known[len(known) // 2 :]
        findings += [
            _counted(positive(f"weights to later peaks exceed those to earlier ones in the more sequential half of "
                              f"{LABELS[task]} networks", [more for _, more in upper], published="stronger [recalled]"),
                     results, name),
            _counted(rising(f"the surplus of forward weights rises with SI in {LABELS[task]}",
                            [si for si, _ in known], [more for _, more in known], published="stronger [recalled]"),
                     results, name),
        ]  # fmt: skip
    return findings


def _taught(results: Results) -> list[Finding]:
    return [
        _paired(results, f"SI of {LABELS[second]} is higher after {LABELS[first]} than without",
                f"multitask_{first}_{second}", f"basic_{second}", "a difference is reported, its direction is not known [open]")
        for first, second in PAIRS
        if results.has(f"multitask_{first}_{second}", f"basic_{second}")
    ]  # fmt: skip


CLAIMS = (
    Claim("C1", "Stronger random connections at the start (σ0) make networks more sequential.", "intrinsic circuit properties, figure 2", _spread),
    Claim("C2", "Tasks of higher temporal complexity make networks more sequential.", "tasks; place not known to us", _complexity),
    Claim("C3", "A structured input that changes over the trial makes networks more sequential.", "tasks; place not known to us",
          _changed("dynamic", "higher [recalled]")),
    Claim("C4", "Hebbian plasticity makes networks more sequential.", "circuits; place not known to us",
          _changed("hebbian", "higher [recalled]")),
    Claim("C5", "A cost of the weights (ρ) makes networks less sequential.", "circuits; place not known to us",
          _changed("rho", "3.30 against 3.36 in COMP with an L2 of 1e-3 against 1e-5 [third party]", less=True)),
    Claim("C6", "A delay of variable length makes networks less sequential.", "tasks; place not known to us",
          _changed("vardelay", "lower [recalled]", less=True)),
    Claim("C7", "In sequential networks, weights from earlier to later peaking units are stronger.", "mechanism; place not known to us", _weights),
    Claim("C8", "Activity that is tethered to zero at the end of a trial makes networks more sequential.",
          "no claim of the paper: the direction is that of a trial",
          _changed("tethered", "3.18 against 1.75 in 2AFC at σ0 = 0.05 [trial]")),
    Claim("C9", "What a network learnt before changes how sequential it is: more after another task than without.",
          "multitask condition; the direction is ours", _taught),
)  # fmt: skip
