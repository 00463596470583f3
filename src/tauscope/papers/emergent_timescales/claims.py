"""The paper's claims C1 … C14 as inequalities over networks, fixed before any network is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tauscope.papers.emergent_timescales import quantities as q
from tauscope.papers.emergent_timescales.conditions import NO_CURRICULUM
from tauscope.papers.emergent_timescales.quantities import Number, known, published
from tauscope.papers.statistics import greater, positive, slope, summary
from tauscope.papers.vocabulary import Claim, Finding, Results

TASKS = {"": ("multi", "single"), "N-DMS: ": ("multi_dms", "single_dms")}
"""Multi-head and single-head conditions of every task, by the beginning of the claims' statements."""

FIXED = (1, 2, 3)
"""Values at which τ is fixed, in steps."""

RISE_FROM = 15
"""Smallest N of the rise of mean and STD of τ in single-head networks."""

STD_TOLERANCE = 0.1
"""Largest change, in steps, of an STD of τ that counts as constant."""

TRAINED_K, FINER_KS, FINEST_K = 10, (20, 30, 50, 70, 100), 200
"""Steps a bit at which accuracies are compared in continuous time."""

ACCURACY_LOSS = 0.02
"""Tolerated loss of accuracy at a finer time step: the curriculum's own tolerance, 1 - 98 %."""

FORGOTTEN, REMEMBERED = 0.3, 0.9
"""Loss of accuracy on smaller N that counts as forgetting, and accuracy that counts as remembering."""


def _tasks(results: Results) -> dict[str, tuple[str, str]]:
    return {task: names for task, names in TASKS.items() if results.has(*names)}


def _not_judged(statement: str, reason: str, said: str) -> Finding:
    return Finding(statement, "", "0", "not judged", reason, said)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _ends(curve: Mapping[str, Sequence[float]], mark: str) -> str:
    """Return the first and the last value of a published curve."""
    return ", ".join(f"{curve['value'][i]:g} at N = {curve['N'][i]}" for i in (0, -1)) + f" [{mark}]"


def _largest_N(results: Results, further: str, less_far: str, said: str = "", at_least: bool = False) -> Finding:
    """Compare the largest N that two conditions solved within the epochs that both were trained for."""
    epochs = q.horizon(results, further, less_far)
    first, second = (results.label(name) for name in (further, less_far))
    statement = f"{first} solves {'at least as large an N as' if at_least else 'a larger N than'} {second}"
    groups = [q.solved_within(results, name, epochs) for name in (further, less_far)]
    finding = greater(f"{statement} within {epochs} epochs", *groups, published=said, at_least=at_least)
    bounds = sum(
        network.history[-1]["solved"]
        for network in results.of(further)
        if network.history and len(network.history) <= epochs
    )
    effect = f"{finding.effect}; {bounds} of the larger ended with a solved N: lower bounds"
    return replace(finding, effect=effect) if bounds else finding


def _at_common_N(
    results: Results, what: str, statement: str, larger: str, smaller: str, number: Number, said: str = ""
) -> Finding:
    """Compare a number of two conditions at the largest N at which all their networks were measured."""
    N, groups = q.at_common_N(results, what, (larger, smaller), number)
    return greater(f"{statement} ({'no common N' if N is None else f'N = {N}'})", *groups, published=said)


def _at_largest_N(results: Results, what: str, statement: str, larger: str, smaller: str, number: Number) -> Finding:
    """Compare a number of two conditions, each network at the largest N that it solved."""
    groups = [known(results.values(what, name, number)) for name in (larger, smaller)]
    return greater(f"{statement} (each network at its largest N)", *groups)


def _slopes(results: Results, what: str, condition: str, number: Number, first: int = 2) -> list[float]:
    """Return the slope of a number against N ≥ ``first`` for every network that was measured at two N or more."""
    curves = results.against_N(what, condition, number)
    return known(
        [slope({N: value for N, value in curve.items() if first <= N and math.isfinite(value)}) for curve in curves]
    )


# --- learning ---------------------------------------------------------------------------------------------------------


def _c1(results: Results) -> list[Finding]:
    parity, dms = published()["max_N"], published()["max_N_dms"]
    values = f"{_listed(parity['multi']['trained'])} against {_listed(parity['single']['trained'])} [{parity['mark']}]"
    said = {
        "": f"{values} after {parity['epochs']} epochs",
        "N-DMS: ": f"single-head ≥ {dms['single']['at_least']} after {parity['epochs']} epochs [{dms['mark']}]",
    }
    return [_largest_N(results, *names, said[task]) for task, names in _tasks(results).items()]


def _c2(results: Results) -> list[Finding]:
    names = {N: f"nocurr_{N}" for N in NO_CURRICULUM if results.has(f"nocurr_{N}")}
    if not names:
        return []
    single = dict(zip(*published()["epochs_to_solve"]["single"].values(), strict=True))
    said = {"single": f"single-head: epoch {single[4]} for N = 4, {single[10]} for N = 10 [D]",
            "multi": "multi-head: epoch 10 for N = 10 [D]"}  # fmt: skip
    return [_growth(results, names), *(_from_scratch(results, names, *curriculum) for curriculum in said.items())]


def _growth(results: Results, names: Mapping[int, str]) -> Finding:
    """Judge with which power of N the epochs to solve it grow, for the networks of each seed (a network for each N)."""
    needed: dict[int, dict[int, float]] = {}
    unsolved = 0
    for N, name in names.items():
        for network in results.networks[name]:
            if network.history:
                solved = q.first_solved(network)
                unsolved += N not in solved
                needed.setdefault(network.network, {})[N] = solved.get(N, len(network.history))
    # The slope of one logarithm against the other is that power.
    powers = [q.power(epochs)[0] for epochs in needed.values() if len(epochs) > 1]
    # Two points lie on any power law.
    judged = [q.power(epochs)[1] for epochs in needed.values() if len(epochs) > 2]
    statement = f"no curriculum, N = {_listed(list(names))}: epochs to solve grow faster than N (power of N > 1)"
    finding = positive(statement, powers, threshold=1)
    effect = finding.effect
    if judged:
        effect += f"; r² of the power law {min(judged):.3f} or more"
    if unsolved:
        effect += f"; {unsolved} runs unsolved, counted with their last epoch: lower bounds"
    return replace(finding, effect=effect)


def _from_scratch(results: Results, names: Mapping[int, str], curriculum: str, said: str) -> Finding:
    """Compare the epochs to N from scratch with those under a curriculum, at the largest N that all networks reached."""
    label = results.label(curriculum)
    for N, name in sorted(names.items(), reverse=True):
        scratch = q.epochs_to_solve(results, name, N)
        taught = q.epochs_to_solve(results, curriculum, N)
        # The epochs of a run that ended without solving N are a lower bound of the epochs it needs.
        given_up = [
            len(network.history) for network in results.networks[name] if network.history and network.solved < N
        ]
        if taught and max(taught) < min(given_up, default=math.inf):
            counted = [min([epochs, *given_up]) for epochs in scratch]
            statement = f"N = {N} takes more epochs from scratch than {label} needs up to it"
            return greater(statement, counted, taught, published=said)
    return greater(
        f"N takes more epochs from scratch than {label} needs up to it (no common N)", [], [], published=said
    )


def _c3(results: Results) -> list[Finding]:
    values = published()["max_N"]
    lists = {
        (kind, str(tau)): _listed(values[kind][str(tau)]) for kind in ("single", "multi") for tau in (*FIXED, "trained")
    }
    limit = min(min(values["single"][str(tau)]) for tau in FIXED)
    reached = [N for name in ("single", *(f"single_tau{tau}" for tau in FIXED)) for N in results.solved(name)]
    findings = []
    for tau in FIXED:
        name, said = f"single_tau{tau}", f"{lists['single', 'trained']} against {lists['single', str(tau)]} [D]"
        if not results.has(name):
            statement = f"single-head solves a larger N with trained τ than with τ = {tau}"
            findings.append(_not_judged(statement, "not trained at this scale", said))
        elif max(reached, default=0) >= limit:
            findings.append(_largest_N(results, "single", name, said))
        else:
            findings.append(_slower(results, name, "single", said))
    fixed, trained = lists["multi", "1"], lists["multi", "trained"]
    findings.append(_largest_N(results, "multi_tau1", "multi", f"{fixed} against {trained} [D]", at_least=True))
    for tau in FIXED[1:]:
        said = f"{trained} against {lists['multi', str(tau)]} [D]"
        findings.append(_largest_N(results, "multi", f"multi_tau{tau}", said))
    return findings


def _slower(results: Results, slower: str, faster: str, said: str) -> Finding:
    """Compare the epochs up to the largest N that every network of two conditions solved, short of their largest N."""
    reached = [*results.solved(slower), *results.solved(faster)]
    N = int(min(reached, default=1))
    groups = [known(q.epochs_to_solve(results, name, N)) for name in (slower, faster)]
    first, second = (results.label(name) for name in (slower, faster))
    return greater(f"{first} takes more epochs up to N = {N} than {second}", *groups, published=f"largest N: {said}")


def _c13(results: Results) -> list[Finding]:
    pairs = ((f"multi_{cell}", f"single_{cell}") for cell in ("gru", "lstm"))
    return [_largest_N(results, *pair) for pair in pairs if results.has(*pair)]


# --- timescales -------------------------------------------------------------------------------------------------------


def _c4(results: Results) -> list[Finding]:
    findings = []
    for task, (multi, single) in _tasks(results).items():
        larger = f"{task}mean τ is larger in single-head"
        point = published()["checkpoints"]
        said = f"{point['single']['tau_mean']} against {point['multi']['tau_mean']} at N = {point['N']} [D]"
        findings += [
            *_rises(results, single, task),
            *_falls_and_stays(results, multi, task),
            _at_common_N(results, "timescales", larger, single, multi, q.tau_mean, "" if task else said),
            _at_largest_N(results, "timescales", larger, single, multi, q.tau_mean),
        ]
    return findings


def _rises(results: Results, condition: str, task: str) -> list[Finding]:
    findings = []
    for what, key, number in (("mean", "mean", q.tau_mean), ("STD", "std", q.tau_std)):
        slopes = _slopes(results, "timescales", condition, number, RISE_FROM)
        statement = f"{task}single-head: {what} of τ rises with N from N = {RISE_FROM} on (slope > 0)"
        said = "" if task else _ends(published()["tau"]["single"][key], "G")
        nowhere = f"no network was measured at two N from {RISE_FROM} on"
        findings.append(
            positive(statement, slopes, published=said) if slopes else _not_judged(statement, nowhere, said)
        )
    return findings


def _falls_and_stays(results: Results, condition: str, task: str) -> list[Finding]:
    falls = [-change for change in _slopes(results, "timescales", condition, q.tau_mean)]
    curves = results.against_N("timescales", condition, q.tau_std)
    changes = [
        max(abs(deviation - curve[min(curve)]) for deviation in curve.values()) for curve in curves if len(curve) > 1
    ]
    said = {key: "" if task else _ends(published()["tau"]["multi"][key], "G") for key in ("mean", "std")}
    stays = f"{task}multi-head: STD of τ stays about constant ({STD_TOLERANCE} - its largest change with N > 0)"
    return [
        positive(f"{task}multi-head: mean τ falls with N (fall per unit of N > 0)", falls, published=said["mean"]),
        positive(stays, [STD_TOLERANCE - change for change in known(changes)], published=said["std"]),
    ]


def _c5(results: Results) -> list[Finding]:
    findings = []
    for task, names in _tasks(results).items():
        for name, kind in zip(names, ("multi", "single"), strict=True):
            said = "" if task else _ends(published()["tau_net"][kind]["mean"], "G")
            for what, number, values in (("mean", q.tau_net_mean, said), ("STD", q.tau_net_std, "")):
                statement = f"{task}{kind}-head: {what} of τ_net (units with τ_net > 1) rises with N (slope > 0)"
                slopes = _slopes(results, "timescales", name, number)
                findings.append(positive(statement, slopes, published=values))
    return findings


# --- connectivity and dimensionality ----------------------------------------------------------------------------------


def _c6(results: Results) -> list[Finding]:
    point, findings = published()["checkpoints"], []
    values = f"{point['multi']['mean_weight']:g} against {point['single']['mean_weight']:g} at N = {point['N']} [D]"
    for task, names in _tasks(results).items():
        statement = f"{task}the mean recurrent weight is larger in multi-head"
        findings += [
            _at_common_N(results, "connectivity", statement, *names, q.mean_weight, "" if task else values),
            _at_largest_N(results, "connectivity", statement, *names, q.mean_weight),
        ]
    return findings


def _c7(results: Results) -> list[Finding]:
    values = published()["dimensionality"]
    return [
        positive(
            f"{task}{kind}-head: components for 90 % of the variance rise with N (slope > 0)",
            _slopes(results, "dimensionality", name, q.components),
            published="" if task else _ends(values[kind], values["mark"]),
        )
        for task, names in _tasks(results).items()
        for name, kind in zip(names, ("multi", "single"), strict=True)
    ]


# --- robustness -------------------------------------------------------------------------------------------------------


def _c8(results: Results) -> list[Finding]:
    values = published()["ablation"]
    slow = {kind: summary(values[kind]["30"]["slowest"]) for kind in ("multi", "single")}
    fast = summary(values["single"]["30"]["fastest"])
    N, (harm,) = q.at_common_N(results, "ablation", ("single",), q.without_fast_minus_slow)
    where = "no common N" if N is None else f"N = {N}"
    more = "more accuracy is left without a slowest unit in multi-head than in single-head"
    said = f"{slow['multi']} against {slow['single']} at N = 30 [D]"
    return [
        _at_common_N(results, "ablation", more, "multi", "single", q.without("slowest"), said),
        positive(
            f"single-head: more is left without a fastest unit than without a slowest one ({where}; difference > 0)",
            harm,
            published=f"{fast} against {slow['single']} at N = 30 [D]",
        ),
    ]


def _c9(results: Results) -> list[Finding]:
    findings = []
    for which, changed in (("recurrent", "W"), ("tau", "τ")):
        values = published()[f"perturbation_{which}"]
        # The mean over the perturbation sizes of `robustness`.
        areas = [np.mean(values[kind]["mean"][1:]) for kind in ("multi", "single")]
        said = f"{areas[0]:.3g} against {areas[1]:.3g} at N = {values['N']} [{values['mark']}]"
        statement = f"multi-head keeps more accuracy under the same perturbation of {changed}, mean over log ε"
        findings.append(
            _at_common_N(results, f"perturbation_{which}", statement, "multi", "single", q.robustness, said)
        )
    return findings


def _c10(results: Results) -> list[Finding]:
    statement = "multi-head keeps more relative accuracy than single-head, mean over the larger N it is retrained on"
    return [_at_common_N(results, "retraining", statement, "multi", "single", q.retrained)]


def _c11(results: Results) -> list[Finding]:
    point = published()["checkpoints"]
    multi, single = (point[kind]["accuracy_smaller"] for kind in ("multi", "single"))
    lost = point["single"]["accuracy_own"] - single
    at = f"at N = {point['N']} [D]"
    smaller = {name: known(results.values("forgetting", name, q.accuracy_on_smaller)) for name in ("multi", "single")}
    return [
        positive(f"single-head: accuracy lost on smaller N, from that on its own N, > {FORGOTTEN}",
                 known(results.values("forgetting", "single", q.forgotten)), published=f"{lost:.2g} {at}",
                 threshold=FORGOTTEN),
        positive(f"multi-head: accuracy on smaller N > {REMEMBERED}", smaller["multi"], published=f"{multi:.3f} {at}",
                 threshold=REMEMBERED),
        greater("accuracy on smaller N is larger in multi-head than in single-head", smaller["multi"], smaller["single"],
                published=f"{multi:.3f} against {single:.2f} {at}"),
    ]  # fmt: skip


def _c12(results: Results) -> list[Finding]:
    N = q.common_N(results, "generalisation", "multi", "single")
    statement = "a fresh read-out of multi-head is more accurate than of single-head, mean over N beyond training"
    return [_at_common_N(results, "generalisation", statement, "multi", "single", q.beyond(N or 0))]


def _c14(results: Results) -> list[Finding]:
    cases = ((f"k = {FINER_KS[0]} … {FINER_KS[-1]}", FINER_KS), (f"k = {FINEST_K}", (FINEST_K,)))
    return [
        positive(
            f"accuracy at {finer} steps a bit minus that at k = {TRAINED_K} > -{ACCURACY_LOSS}",
            known(results.values("resolution", "continuous", q.kept_at(ks, TRAINED_K))),
            threshold=-ACCURACY_LOSS,
        )
        for finer, ks in cases
    ]


# --- all --------------------------------------------------------------------------------------------------------------

_Judge = Callable[[Results], list[Finding]]

_ALL: tuple[tuple[str, str, _Judge], ...] = (
    ("The multi-head curriculum reaches a larger N than the single-head one in the same number of updates.",
     "figure 3b, c", _c1),
    ("Without a curriculum, epochs to solve grow steeply with N, and N > 10 is slow.", "figure 3a", _c2),
    ("With τ fixed at 1, 2 or 3, single-head reaches a smaller N than with trained τ; multi-head reaches at least as far "
     "with τ = 1, and less far with τ = 2 and 3.", "figure 4a", _c3),
    ("Single-head: mean and STD of τ rise with N (from N ≈ 15). Multi-head: mean τ falls towards 1 and STD stays about "
     "constant.", "figure 4b", _c4),
    ("Mean and STD of τ_net rise with N under both curricula.", "figure 5c, d", _c5),
    ("The mean recurrent weight is more negative in single-head networks.", "figure 6", _c6),
    ("Dimensionality rises with N.", "figure 6", _c7),
    ("Ablating slow units hurts single-head networks (N = 30) far more than multi-head ones.", "figure 7", _c8),
    ("Multi-head networks lose less accuracy than single-head ones under the same perturbation of W and of τ.",
     "figure 8", _c9),
    ("Multi-head networks keep more accuracy when they are retrained on larger N.", "figure 8", _c10),
    ("Single-head networks forget smaller N; multi-head networks do not.", "text on curricula", _c11),
    ("Multi-head networks generalise further beyond their training range when they are read out there.",
     "text on retraining", _c12),
    ("LSTM and GRU: the multi-head curriculum reaches a larger N than the single-head one in the same epochs.",
     "supplement, LSTM and GRU", _c13),
    ("A continuous-time network trained at k = 7 … 10 steps a bit keeps its accuracy at finer time steps.",
     "supplement, continuous time", _c14),
)  # fmt: skip

CLAIMS = tuple(Claim(f"C{i}", statement, where, judge) for i, (statement, where, judge) in enumerate(_ALL, start=1))
