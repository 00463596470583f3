"""The paper's claims as inequalities over networks, fixed before the reproduction is run.

A mark beside each value tells its source: [notebook] printed in a published notebook, [trial] trials of the quick scale
with this method and other seeds. Thresholds were set after the trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tauscope.errors import InputError
from tauscope.papers.statistics import greater, positive
from tauscope.papers.travelling_waves import quantities as q
from tauscope.papers.travelling_waves.conditions import SMALL, SOLVED
from tauscope.papers.vocabulary import Claim, Finding, Results

_COUNTED = ("T1", "T1c", "T2")
_SAME_COUNT = 1
_PHASE, _OF_NULL = 0.05, 0.1
_ACCURATE, _SMALL_ACCURACY, _CHANCE, _SOLVED = 0.99, 0.95, 0.55, 0.98
_INTERTWINING = {"T1": 0.02, "T1c": 0.02, "T2": 0.1, "T3": 0.3}
_WAVES = 0.95
_EXACT = 1e-6
_TABLE = {
    "T1": "0.0005 rad with 128 units",
    "T2": "0.0055 … 0.0075 rad without decay",
    "T3": "0.0026 … 0.0031 rad without decay",
}

Where = Callable[[xr.Dataset], bool]


def _below(statement: str, values: Sequence[float], threshold: float, published: str = "") -> Finding:
    """Judge whether the values of networks are below a threshold, by the t interval of their mean."""
    shown = positive(statement, values, threshold=threshold, published=published)
    negative = positive(statement, [-value for value in values], threshold=-threshold)
    return replace(shown, verdict=negative.verdict)


def _same_count(result: xr.Dataset) -> bool:
    return q.surplus(result) <= _SAME_COUNT


def _counts(results: Results) -> list[Finding]:
    findings = []
    for name in results.trained(_COUNTED):
        label = results.label(name)
        findings += [
            _below(f"{label}: slow modes differ from the theory's by at most {_SAME_COUNT}",
                   q.values(results, name, q.surplus), _SAME_COUNT + 0.5, "64 of 64 in T1 with 128 units [notebook]"),
            _below(f"{label}: no slow mode before training", q.values(results, name, q.scalar("count_before")), 0.5),
        ]  # fmt: skip
    return findings


def _phases(results: Results) -> list[Finding]:
    findings = []
    for name in results.trained(SOLVED):
        label, said = results.label(name), f"{_TABLE[name]} [notebook]" if name in _TABLE else ""
        findings += [
            _below(f"{label}: phases differ by less than {_PHASE:g} rad (networks with the right number of slow modes)",
                   q.values(results, name, q.scalar("phase_error"), _same_count), _PHASE, said),
            _below(f"{label}: and by less than {_OF_NULL:g} of what those of random matrices do",
                   q.values(results, name, q.relative_phase_error, _same_count), _OF_NULL),
        ]  # fmt: skip
    return findings


def _generalises(results: Results) -> list[Finding]:
    return [
        positive(f"{results.label(name)}: accuracy at twice the longest trained horizon is above {_ACCURATE:g}",
                 q.values(results, name, q.beyond), threshold=_ACCURATE, published="0.9999 at 200 after 100 in T1 [notebook]")
        for name in results.trained(SOLVED)
    ]  # fmt: skip


def _too_small(results: Results) -> list[Finding]:
    return [
        _below(f"{results.label(name)}: accuracy at the longest horizon is below {_SMALL_ACCURACY:g}",
               q.values(results, name, q.longest), _SMALL_ACCURACY, "no network of 32 units in the table [notebook]")
        for name in results.trained(SMALL)
    ]  # fmt: skip


def _decays(results: Results) -> list[Finding]:
    findings = []
    for name in results.trained(["T1_decay"]):
        label = results.label(name)
        findings += [
            _below(f"{label}: accuracy at the longest horizon is below {_CHANCE:g}", q.values(results, name, q.longest),
                   _CHANCE, "0.50 [notebook]"),
            _below(f"{label}: no slow mode", q.values(results, name, q.scalar("count")), 0.5),
        ]  # fmt: skip
    return findings


def _weak_decay(results: Results) -> list[Finding]:
    if len(results.trained(["T2", "T2_decay"])) < 2:
        return []
    none, weak = (
        q.values(results, name, q.scalar("phase_error"), lambda result: q.longest(result) > _SOLVED)
        for name in ("T2", "T2_decay")
    )
    return [
        greater("T2: phases of networks that solve it differ more from the theory's without decay than with L2 0.001",
                none, weak, published="5 of 5 pairs, such as 0.0055 against 0.0031 rad [notebook]")
    ]  # fmt: skip


def _intertwines(results: Results) -> list[Finding]:
    return [
        _below(f"{results.label(name)}: the intertwining error is below {_INTERTWINING[name]:g}",
               q.values(results, name, q.scalar("intertwining_error")), _INTERTWINING[name], "our measure [trial]")
        for name in results.trained(SOLVED)
    ]  # fmt: skip


def _hidden(results: Results) -> list[Finding]:
    findings = []
    for name in results.trained(SOLVED):
        label = results.label(name)
        findings += [
            positive(f"{label}: a place and the next one a step before correlate above {_WAVES:g}",
                     q.values(results, name, q.scalar("wave_correlation")), threshold=_WAVES),
            positive(f"{label}: and more than any unit with another one a step before",
                     q.values(results, name, q.hidden)),
        ]  # fmt: skip
    return findings


def _sooner(results: Results) -> list[Finding]:
    pair = ("T1_random", "T1_theory")
    if len(results.trained(pair)) < 2:
        return []
    random, theory = (q.epochs_to_solve(results, name) for name in pair)
    return [
        greater("T1: epochs of 20 steps until the last horizon is solved, random start more than that of the theory", random, theory)
    ]  # fmt: skip


def _embedded(results: Results) -> list[Finding]:
    """Judge the networks that embed the theory, without an interval: each task has a single, exact network."""
    if "theory" not in results.studies:
        raise InputError("the theory was not studied: expected the study 'theory'")
    theory = results.studies["theory"]
    oldest = theory["oldest"].values == 1
    found = {
        f"accuracy is 1 at a horizon of {theory.attrs['horizon']} where F reads the oldest vector alone ({_tasks(theory, oldest)})":
            (theory["accuracy"].values[oldest], theory["accuracy"].values[oldest] == 1),
        f"accuracy is below {_SMALL_ACCURACY:g} there where F reads others ({_tasks(theory, ~oldest)})":
            (theory["accuracy"].values[~oldest], theory["accuracy"].values[~oldest] < _SMALL_ACCURACY),
        f"phases differ by less than {_EXACT:g} rad in all tasks":
            (theory["phase_error"].values, theory["phase_error"].values < _EXACT),
    }  # fmt: skip
    return [
        Finding(statement, f"{values.min():.3g} … {values.max():.3g}", f"{len(values)} tasks",
                "holds" if right.all() else "does not hold")
        for statement, (values, right) in found.items()
    ]  # fmt: skip


def _tasks(theory: xr.Dataset, where: NDArray[np.bool_]) -> str:
    return "; ".join(str(name) for name in theory["task"].values[where])


CLAIMS = (
    Claim("C0", "A network that is made to obey the theory, without training, solves tasks that read the oldest vector, and "
          "no others.", "derived; the measure is ours", _embedded),
    Claim("C1", "A trained network has as many slow modes as the theory's operator.", "table 1 and figure of spectra", _counts),
    Claim("C2", "The phases of its slow modes are those of the theory.", "table 1", _phases),
    Claim("C3", "It goes on beyond the horizons that it was trained on.", "table 1 and demonstration", _generalises),
    Claim("C4", "With fewer units than waves, long horizons are not learnt.", "table 1, 32 units", _too_small),
    Claim("C5", "Strong weight decay leaves a network at chance.", "table 1", _decays),
    Claim("C6", "Weak weight decay brings phases nearer to those of the theory.", "table 1", _weak_decay),
    Claim("C7", "In the basis of what will be read out, the recurrent weights are the theory's operator.",
          "figure of the weights in the basis; the measure is ours", _intertwines),
    Claim("C8", "Waves travel through a basis of the network and are hidden from its single units.",
          "figure of the evolving state; the measure is ours", _hidden),
    Claim("C9", "A network that starts as the theory has it learns long horizons sooner than one that starts at random.",
          "derived from the theory", _sooner),
)  # fmt: skip
