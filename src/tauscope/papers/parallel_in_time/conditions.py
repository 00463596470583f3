"""What is trained and what is measured, and at which scales; all of it is settled before anything is run."""

from __future__ import annotations

from typing import Any

from tauscope.papers.vocabulary import Condition, Measure, Scale

PARITY = ("single", "multi", "multi_gru", "multi_lstm")
"""Conditions of N-parity."""

LEAKY = PARITY[:2]
"""Those of leaky units."""


def _parity(curriculum: str, **cell: Any) -> dict[str, Any]:
    return {"task": "parity", "curriculum_type": curriculum, **cell}


CONDITIONS = (
    Condition("single", "single-head", _parity("single")),
    Condition("multi", "multi-head", _parity("cumulative")),
    Condition("multi_gru", "multi-head, GRU", _parity("cumulative", cell="gru")),
    Condition("multi_lstm", "multi-head, LSTM", _parity("cumulative", cell="lstm")),
    Condition("waves", "travelling waves (T1c)", {"task": "history", "map": "cyclic"}),
)

MEASURES = (
    Measure("parallelizability", PARITY, at="each"),
    Measure("parallelizability", ("waves",)),
    Measure("timescales", LEAKY, at="each"),
)

_FEW = {"num_neurons": 6, "p": 1.0, "batch_size": 8, "steps_per_epoch": 20, "max_N": 3, "lr": 0.2}

SMOKE = Scale(
    name="smoke",
    cost="a minute on 2 processors, 10 MB of disk: 40 optimiser steps, short sequences",
    networks=2,
    options={"epochs": 2, "test_steps": 2},
    by_condition={
        "single": _FEW,
        "multi": _FEW,
        "multi_gru": _FEW,
        "multi_lstm": None,
        "waves": {"num_neurons": 16, "dim": 2, "lags": 2, "horizons": (2, 4), "steps_per_epoch": 5},
    },
    measured_Ns=(2, 3),
    measurement_options={
        "parallelizability": {"timed": False},
        "timescales": {"n_trials": 2, "n_steps": 1000, "burn_in": 50, "max_lag": 40, "bootstrap": 0},
        "agreement": {"n_steps": 20},
        "gains": {"tanh": (0.5, 2.0), "gru": (1.0,), "n_networks": 2, "n_units": 6, "n_steps": 60},
        "lengths": {"sizes": (1, 2), "steps": (20, 60)},
        "pair": {"n_steps": 40, "n_updates": 20},
        "speed": {"sizes": (1, 4), "steps": (20, 60), "batches": (1,), "rounds": 1},
    },
    out_of_reach={
        f"{kind}{i}": "machinery only: short sequences" for kind, n in (("C", 8), ("X", 3)) for i in range(1, n + 1)
    },
)

_LEAKY = {
    "num_neurons": 64,
    "batch_size": 64,
    "steps_per_epoch": 100,
    "test_steps": 10,
    "lr": 0.1,
    "epochs": 60,
    "max_N": 20,
}
_GATED = {"num_neurons": 32, "steps_per_epoch": 100, "test_steps": 10, "lr": 3e-3, "epochs": 20, "max_N": 20}

QUICK = Scale(
    name="quick",
    cost="12 minutes of one processor, 50 MB of disk: untrained networks of 1 to 64 units, sequences of 100 to 10 000 steps; "
    "N-parity with 64 leaky or 32 gated units, 64 sequences a step, 100 steps an epoch",
    networks=3,
    options={},
    by_condition={
        "single": _LEAKY,
        "multi": _LEAKY,
        "multi_gru": _GATED,
        "multi_lstm": _GATED,
        "waves": {"dim": 4, "lags": 4, "num_neurons": 64, "horizons": (8, 16, 32), "epochs": 10},
    },
    measured_Ns=(2, 4, 6, 8, 10, 12, 16, 20),
    measurement_options={
        "parallelizability": {"timed": False},
        "timescales": {"method": "published", "n_steps": 5000, "max_lag": 60},
    },
)

GPU = Scale(
    name="gpu",
    cost="an estimated 20 minutes of an accelerator and one processor, 50 MB of disk; not run by us: the quick scale, but speed is "
    "that of a GPU, sequences of up to a million steps, batch 16",
    networks=3,
    options={},
    by_condition=QUICK.by_condition,
    measured_Ns=QUICK.measured_Ns,
    measurement_options={
        **QUICK.measurement_options,
        "speed": {
            "device": "cuda",
            "steps": (1000, 10_000, 100_000, 1_000_000),
            "batches": (16,),
            "most": 20_000_000,
        },
    },
    out_of_reach={"C8": "a claim about one processor core"},
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, GPU)}
