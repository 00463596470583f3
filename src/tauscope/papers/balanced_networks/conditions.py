"""Conditions, measurements and scales, fixed before any network is trained.

The cost of a scale is estimated from measured times: an optimiser step of 50 units on 10 trials takes 3 ms of one
processor.
"""

from __future__ import annotations

from tauscope.papers.vocabulary import Condition, Measure, Scale

TRACKING = ("one", "two", "three")
"""Conditions by the number of signals: the published example scripts runOneStimulus, runTwoStimuli, runThreeStimuli."""

PARITY = ("parity_multi", "parity_single")

CONDITIONS = (
    Condition("one", "one signal", {"task": "tracking", "signals": "1"}),
    Condition("two", "two signals", {"task": "tracking", "signals": "2"}),
    Condition("three", "three signals", {"task": "tracking", "signals": "3"}),
    Condition("two_ei", "two signals, E/I start", {"task": "tracking", "signals": "2", "start": "ei"}),
    Condition("parity_multi", "N-parity, multi-head", {"task": "parity", "curriculum_type": "cumulative"}),
    Condition("parity_single", "N-parity, single-head", {"task": "parity", "curriculum_type": "single"}),
)

SIGNALS = {"one": 1, "two": 2, "three": 3, "two_ei": 2}

MEASURES = (
    Measure("course", tuple(SIGNALS)),
    Measure("information", tuple(SIGNALS)),
    Measure("untrained", ("one",)),
    Measure("balance", (*SIGNALS, *PARITY)),
)

SMOKE = Scale(
    name="smoke",
    cost="a minute on 2 processors, 10 MB of disk: 12 units and a few steps",
    networks=2,
    options={"num_neurons": 12, "test_steps": 2, "steps_per_epoch": 20},
    by_condition={
        **{name: {"epochs": 2} for name in TRACKING},
        "two_ei": None,
        **{name: {"p": 1.0, "max_N": 3, "lr": 0.2, "epochs": 8, "batch_size": 8} for name in PARITY},
    },
    measurement_options={
        "information": {"n_steps": 2000},
        "untrained": {"n_units": 20, "n_steps": 2000},
        "balance": {"n_trials": 5},
    },
    out_of_reach={f"C{i}": "machinery only: networks of 12 units, trained for 40 steps" for i in range(1, 6)},
)

QUICK = Scale(
    name="quick",
    cost="12 minutes on 2 processors (11 min 46 s when it was measured, beside other work), 60 MB of disk: 50 units, 6000 optimiser steps (12 000 for three signals), learning "
    "rate 0.003, but 0.001 for one signal",
    networks=5,
    options={"num_neurons": 50, "steps_per_epoch": 250},
    by_condition={
        "one": {"epochs": 24},
        "two": {"epochs": 24, "lr": 0.003},
        "three": {"epochs": 48, "lr": 0.003},
        "two_ei": {"epochs": 24, "lr": 0.003},
        **{name: {"num_neurons": 100, "max_N": 10, "lr": 0.1, "batch_size": 64, "steps_per_epoch": 100,
                                 "test_steps": 20, "epochs": 40} for name in PARITY},
    },
)  # fmt: skip

PAPER_SCALE = Scale(
    name="paper",
    cost="an estimated 5 hours on 2 processors, 500 MB of disk: as published, 100 units and 100 000 optimiser steps",
    networks=5,
    options={},
    by_condition={name: {"max_N": 30, "epochs": 100} for name in PARITY},
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, PAPER_SCALE)}
