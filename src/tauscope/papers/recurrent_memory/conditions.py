"""Conditions, measurements and scales, fixed before any network is trained.

Each network of a condition has a start of its own, (λ0, σ0). Networks of the same number have the same initial weights in
all conditions with the same inputs, so that conditions are compared in pairs of networks.

The cost of a scale is estimated from measured times: an optimiser step of 100 units on 50 trials of 60 steps takes 6.5 ms
of one processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tauscope.papers.vocabulary import Condition, Measure, Scale

LEARNT = 0.5
"""Fractional loss above which a network does not count, as published."""

LABELS = {"2afc": "2AFC", "comp": "COMP", "cd": "CD", "de1": "DE-1", "de2": "DE-2", "gde": "GDE", "sine": "Sine"}
"""Names of the tasks in the paper."""

MAIN = ("2afc", "comp")
"""A task of the lowest and a task of a high temporal complexity; every condition is trained on both."""

CHANGED = {"hebbian": "Hebbian", "tethered": "tethered", "dynamic": "dynamic input", "vardelay": "variable delay"}
"""Conditions that change one thing of the basic condition."""

RHO = 1e-3
"""Cost of the squared weights in the condition with a weight cost."""

PAIRS = (("cd", "2afc"), ("comp", "2afc"), ("2afc", "cd"), ("2afc", "comp"))
"""First and second task of the multitask condition."""


def _conditions() -> tuple[Condition, ...]:
    basic = [Condition(f"basic_{task}", f"{label}", {"task": task}) for task, label in LABELS.items()]
    changed = [
        Condition(f"{kind}_{task}", f"{LABELS[task]}, {label}", {"task": task, "condition": kind})
        for kind, label in CHANGED.items()
        for task in LABELS
        if (kind, task) not in (("dynamic", "sine"), ("vardelay", "sine"))
    ]
    regularised = [
        Condition(f"rho_{task}", f"{label}, ρ = {RHO:g}", {"task": task, "rho_val": RHO})
        for task, label in LABELS.items()
    ]
    multitask = [
        Condition(f"multitask_{first}_{second}", f"{LABELS[second]} after {LABELS[first]}",
                  {"task": first, "condition": "multitask", "then": second})
        for first, second in PAIRS
    ]  # fmt: skip
    parity = [
        Condition("parity_multi", "N-parity, multi-head", {"task": "parity", "curriculum_type": "cumulative"}),
        Condition("parity_single", "N-parity, single-head", {"task": "parity", "curriculum_type": "single"}),
    ]
    return (*basic, *changed, *regularised, *multitask, *parity)


CONDITIONS = _conditions()

BASIC = tuple(f"basic_{task}" for task in LABELS)

PARITY = ("parity_multi", "parity_single")

_MEMORY = tuple(condition.name for condition in CONDITIONS if condition.name not in PARITY)

MEASURES = (
    Measure("sequences", (*_MEMORY, *PARITY)),
    Measure("timescales", BASIC),
    Measure("dimensionality", BASIC),
    Measure("lyapunov", BASIC),
)

Start = Mapping[str, float]


def starts(lambdas: tuple[float, ...], sigmas: tuple[float, ...], n: int = 1) -> tuple[Start, ...]:
    """Return a grid of starts, each n times.

    Examples
    --------
    >>> starts((0.9,), (0.05, 0.25))
    ({'lambda_val': 0.9, 'sigma_0': 0.05}, {'lambda_val': 0.9, 'sigma_0': 0.25})
    """
    return tuple({"lambda_val": a, "sigma_0": b} for a in lambdas for b in sigmas for _ in range(n))


def grid(stride: int) -> tuple[Start, ...]:
    """Return every ``stride``-th of the paper's 10 values of λ0 (0.80 to 0.98) with every of 10 σ0 (0 to 0.018 √500).

    Examples
    --------
    >>> len(grid(1)), len(grid(3)), grid(3)[-1]
    (100, 16, {'lambda_val': 0.98, 'sigma_0': 0.4025})
    """
    lambdas = tuple(round(0.80 + 0.02 * i, 2) for i in range(0, 10, stride))
    sigmas = tuple(round(0.002 * i * 500**0.5, 4) for i in range(0, 10, stride))
    return starts(lambdas, sigmas)


def _scaled(
    shown: int, delay: int, basic: Mapping[str, Any], others: tuple[str, ...], parity: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options by condition.

    Parameters
    ----------
    shown, delay : int
        Steps of the stimulus and of the response, and of the delay.
    basic : dict
        Further options of the basic condition by task; tasks without an entry are left out.
    others : tuple of str
        Tasks of the other conditions.
    parity : dict
        Options of the N-parity networks.
    """
    by_condition: dict[str, Any] = dict.fromkeys(PARITY, parity)
    for name in _MEMORY:
        options = next(condition.options for condition in CONDITIONS if condition.name == name)
        task, kind = options["task"], options.get("condition", "basic")
        if task not in (basic if name in BASIC or kind == "multitask" else others):
            by_condition[name] = None
            continue
        delays = tuple(round(share * delay) for share in (0.1, 0.4, 0.7, 1.0)) if kind == "vardelay" else (delay,)
        trial = {"stim_steps": shown, "delay_steps": delays, "resp_steps": shown, "score_step": -5}
        by_condition[name] = trial | (basic[task] if name in BASIC else {})
    return by_condition


_PAIR = starts((0.9,), (0.05, 0.25), 3)
_SMOKE_PAIR = starts((0.9,), (0.05, 0.25))

SMOKE = Scale(
    name="smoke",
    cost="a minute on 2 processors, 10 MB of disk: 12 units and a few steps",
    networks=2,
    options={"num_neurons": 12, "batch_size": 8, "steps_per_epoch": 10, "test_steps": 2, "epochs": 2},
    by_condition={
        **_scaled(6, 10, {task: {} for task in MAIN}, ("comp",),
                  {"p": 1.0, "max_N": 3, "lr": 0.2, "epochs": 8, "steps_per_epoch": 20}),
        **dict.fromkeys(name for name in _MEMORY if name.startswith("multitask") and name != "multitask_comp_2afc"),
    },
    each={condition.name: _SMOKE_PAIR for condition in CONDITIONS if condition.name not in PARITY},
    measurement_options={
        "sequences": {"n_trials": 20},
        "timescales": {"n_trials": 20},
        "dimensionality": {"n_trials": 20},
        "lyapunov": {"n_trials": 2, "n_exponents": 2},
    },
    out_of_reach={f"C{i}": "machinery only: networks of 12 units, trained for 20 steps" for i in range(1, 10)},
)  # fmt: skip


def _of_100_units(epochs: int, pairs: tuple[Start, ...]) -> dict[str, Any]:
    """Return what quick and standard have in common: 100 units, trials of 10 + 40 + 10 steps, epochs of 500 optimiser steps.

    Parameters
    ----------
    epochs : int
        Of every condition; CD and DE-1 have twice as many.
    pairs : tuple of Start
        Starts of the conditions, as from `starts`.
    """
    basic = {"2afc": {}, "comp": {}, "cd": {"epochs": 2 * epochs}, "de1": {"epochs": 2 * epochs}}
    parity = {"max_N": 10, "lr": 0.1, "batch_size": 64, "steps_per_epoch": 100, "test_steps": 20, "epochs": 40}
    return {
        "options": {"num_neurons": 100, "test_steps": 10, "epochs": epochs, "steps_per_epoch": 500},
        # After 2AFC, CD is not learnt in as many steps as the other tasks.
        "by_condition": _scaled(10, 40, basic, MAIN, parity) | {"multitask_2afc_cd": None},
        "each": {
            **{condition.name: pairs for condition in CONDITIONS if condition.name not in PARITY},
            **{f"basic_{task}": (*pairs, *grid(3)) for task in MAIN},
        },
        "measurement_options": {
            "sequences": {"n_trials": 300},
            "timescales": {"n_trials": 300},
            "dimensionality": {"n_trials": 300},
            "lyapunov": {"n_trials": 10, "n_exponents": 5},
        },
    }


QUICK = Scale(
    name="quick",
    cost="18 minutes on 2 processors, 300 MB of disk: 100 units, trials of 10 + 40 + 10 steps, 1500 optimiser steps (3000 for "
    "CD and DE-1); GDE and DE-2, which need more than 3000, are left out, as is Sine, which has no stimulus to remember",
    networks=3,
    **_of_100_units(3, _PAIR),
)

STANDARD = Scale(
    name="standard",
    cost="an estimated 2.5 hours on 2 processors (18 000 seconds of one), 1.2 GB of disk: as quick, but with 24 networks of "
    "each condition and 3000 optimiser steps (6000 for CD and DE-1)",
    networks=5,
    **_of_100_units(6, starts((0.9,), (0.05, 0.25), 12)),
)

PAPER_SCALE = Scale(
    name="paper",
    cost="an estimated 3500 hours of one processor; for a cluster. As published: 500 units, trials of 25 + 100 + 25 steps, "
    "25 000 optimiser steps, 100 networks of each condition, one for each of the paper's starts",
    networks=4,
    options={},
    by_condition=_scaled(25, 100, {task: {} for task in LABELS}, tuple(LABELS), {"max_N": 30}),
    each={condition.name: grid(1) for condition in CONDITIONS if condition.name not in PARITY},
)  # fmt: skip

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, STANDARD, PAPER_SCALE)}
