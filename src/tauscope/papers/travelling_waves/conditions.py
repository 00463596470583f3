"""Conditions, measurements and scales, fixed before any network is trained.

The cost of the scale paper is estimated from measured times: 2000 steps of 64 units take 13 s of one processor; of 12 or 8
units, which stay at the shortest horizon, 3 s.
"""

from __future__ import annotations

from tauscope.papers.vocabulary import Condition, Measure, Scale

CODES = {
    4: {"T1": "15,0,0", "T1c": "15,21,1", "T2": "33825,0,0", "T3": "33825,9,5"},
    8: {
        "T1": "255,0,0",
        "T1c": f"255,{sum(8**i for i in range(7))},1",
        "T2": "9241421688590303745,0,0",
        "T3": "9241421688590303745,262676,189",
        "T4": "9241421688590303745,38637,145",
    },
}
"""Maps of the history task by the number of components (and of lags); T1c is ours, T3 is published for 8 only."""

SOLVED = ("T1", "T1c", "T2", "T3")
"""Conditions that should solve the task: enough units and no strong weight decay."""

SMALL = ("T1_12", "T1_8")
"""Conditions with fewer units than the theory has waves."""

CONDITIONS = (
    Condition("T1", "T1, repeat copy", {"task": "history", "map": "copy"}),
    Condition("T1c", "T1c, cyclic copy", {"task": "history", "map": "cyclic"}),
    Condition("T2", "T2, one lag a component", {"task": "history", "map": "diagonal"}),
    Condition("T3", "T3, permuted and signed", {"task": "history", "map": CODES[4]["T3"]}),
    Condition("T1_12", "T1, 12 units", {"task": "history", "map": "copy", "num_neurons": 12}),
    Condition("T1_8", "T1, 8 units", {"task": "history", "map": "copy", "num_neurons": 8}),
    Condition("T1_decay", "T1, L2 0.1", {"task": "history", "map": "copy", "weight_cost": 0.05}),
    Condition("T2_decay", "T2, L2 0.001", {"task": "history", "map": "diagonal", "weight_cost": 5e-4}),
    Condition("T1_random", "T1, tested every 20 steps", {"task": "history", "map": "copy"}),
    Condition("T1_theory", "T1, start of the theory", {"task": "history", "map": "copy", "weights": "theory"}),
)

SHORT = {"epochs": 40, "steps_per_epoch": 20}
"""Options of the last two conditions, which ask only when the last horizon is solved."""

COLUMNS = {
    **{name: name for name in SOLVED},
    "T2_decay": "T2, L2 0.001",
    "T1_12": "T1, few units",
    "T1_8": "T1, fewer",
    "T1_decay": "T1, L2 0.1",
}
"""Short labels of the conditions, in their order in figures."""

MEASURES = (Measure("waves", tuple(COLUMNS)),)

SMOKE = Scale(
    name="smoke",
    cost="a minute on 2 processors, 10 MB of disk: 40 optimiser steps",
    networks=2,
    options={
        "dim": 2,
        "lags": 2,
        "num_neurons": 16,
        "horizons": (2, 4),
        "epochs": 2,
        "steps_per_epoch": 20,
        "test_steps": 2,
    },
    measurement_options={
        "waves": {"horizon": 4, "n_batches": 1, "n_trials": 16},
        "theory": {"n_trials": 4, "horizon": 20},
    },
    by_condition={
        "T1": None,
        "T3": None,
        "T1_12": {"num_neurons": 3},
        "T1_8": None,
        "T1_decay": None,
        "T2_decay": None,
        "T1_random": None,
        "T1_theory": None,
    },
    out_of_reach={f"C{i}": "machinery only: two vectors of two components, 40 steps" for i in range(1, 10)},
)

QUICK = Scale(
    name="quick",
    cost="10 minutes on 2 processors beside other work, 20 MB of disk: 4 vectors of 4 components, 64 units, "
    "2000 optimiser steps",
    networks=5,
    options={
        "dim": 4,
        "lags": 4,
        "num_neurons": 64,
        "horizons": (8, 16, 32, 48),
        "epochs": 20,
        "weights": "units",
    },
    measurement_options={"waves": {"horizon": 48}},
    by_condition={"T1_random": SHORT, "T1_theory": SHORT},
)

PAPER_SCALE = Scale(
    name="paper",
    cost="an estimated 5 hours on 2 processors, 100 MB of disk: as published, 8 vectors of 8 components, 128 units, 20 000 "
    "optimiser steps; T1 with 32 units in place of 12 and 8",
    networks=5,
    options={
        "dim": 8,
        "lags": 8,
        "num_neurons": 128,
        "horizons": (10, 20, 40, 60, 100),
        "epochs": 200,
        "weights": "units",
    },
    measurement_options={"waves": {"horizon": 100}},
    by_condition={
        "T3": {"map": CODES[8]["T3"]},
        "T1_12": {"num_neurons": 32},
        "T1_8": None,
        "T1_random": SHORT | {"epochs": 100},
        "T1_theory": SHORT | {"epochs": 100},
    },
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, PAPER_SCALE)}
