"""What is trained and what is measured, and at which scales; all of it is settled before anything is run.

What a scale costs is estimated from measured times: 1000 steps of the quick scale take 5 to 12 s of one processor.
"""

from __future__ import annotations

from typing import Any

from tauscope.models.budget import largest_n
from tauscope.papers.vocabulary import Condition, Measure, Scale

SERIES = ("n32_r0", "n32_r4", "n32_r16", "n32_r75", "n32_r256")
"""Conditions that differ in the rank alone, in its order."""

FULL = "n32_full"
"""The condition of the full tensor with as many units."""

PAIRS = ("n32_r75", "n48_r39")
"""Conditions of CP terms within the budget: of many terms, and of many units."""

RIVALS = {"rnn": "RNN", "second": "2RNN", "mi": "MIRNN"}
"""Conditions of other networks within the budget, with their names."""

PUBLISHED = ((32, 4), (75, 34), (128, 192), (400, 210), (512, 1183), (1024, 2550))
"""The paper's numbers of units and terms."""

BUDGET = 15_000
"""Parameters at most, read-out included, of `PAIRS` and `RIVALS`."""

PARITY = ("parity_leaky", "parity_r0", "parity_r1", "parity_r2", "parity_r4")
"""Conditions of the question across systems."""


def _cp(n_units: int, rank: int) -> dict[str, Any]:
    """Return the options of CP terms; without any, a first-order network is trained, which has the same parameters."""
    cell = {"cell": "cp", "rank": rank} if rank else {"cell": "elman"}
    return {"task": "text", "num_neurons": n_units, **cell}


def _parity(**cell: Any) -> dict[str, Any]:
    return {"task": "parity", "curriculum_type": "single", "num_neurons": 32, **cell}


_CHARACTERS = 65
"""Different characters of Paradise Lost."""

_RIVALS: dict[str, dict[str, Any]] = {
    name: {"task": "text", "num_neurons": largest_n(cell, BUDGET, _CHARACTERS), "cell": cell}
    for name, cell in (("rnn", "elman"), ("second", "second_order"), ("mi", "mi"))
}

_SERIES = tuple(
    Condition(name, f"CPRNN(32, {rank})" if rank else "RNN(32)", _cp(32, rank))
    for name, rank in zip(SERIES, (0, 4, 16, 75, 256), strict=True)
)
_LARGER = tuple(Condition(f"n{n}_r{rank}", f"CPRNN({n}, {rank})", _cp(n, rank)) for n, rank in PUBLISHED if n != 32)

CONDITIONS = (
    *_SERIES,
    Condition(FULL, "2RNN(32)", {"task": "text", "cell": "second_order", "num_neurons": 32}),
    Condition("n48_r39", "CPRNN(48, 39)", _cp(48, 39)),
    *(Condition(name, f"{RIVALS[name]}({options['num_neurons']})", options) for name, options in _RIVALS.items()),
    *_LARGER,
    Condition("parity_leaky", "leaky, N-parity", _parity()),
    Condition("parity_r0", "RNN, N-parity", _parity(cell="elman")),
    *(
        Condition(f"parity_r{rank}", f"CPRNN of rank {rank}, N-parity", _parity(cell="cp", rank=rank))
        for rank in (1, 2, 4)
    ),
)

TEXT = tuple(condition.name for condition in CONDITIONS if condition.options["task"] == "text")

MEASURES = (
    Measure("language", TEXT),
    Measure("directions", tuple(name for name in TEXT if name not in ("n32_r0", "rnn"))),
)

_HERE = tuple(name for name in TEXT if name not in {condition.name for condition in _LARGER})


def _scaled(text: dict[str, Any], parity: dict[str, Any] | None, larger: dict[str, Any] | None) -> dict[str, Any]:
    """Return the options by condition: of networks of text, of parity, and of the larger published pairs."""
    return {
        **dict.fromkeys(_HERE, text),
        **{condition.name: larger for condition in _LARGER},
        **dict.fromkeys(PARITY, parity),
    }


_ADAM = {"p": 0.5, "plus_minus": True, "optimizer": "adam", "lr": 3e-3, "clip": 1.0}

SMOKE = Scale(
    name="smoke",
    cost="a minute on 2 processors, 20 MB of disk: 20 optimiser steps",
    networks=2,
    options={"epochs": 2, "steps_per_epoch": 10, "batch_size": 4, "test_steps": 2},
    by_condition=_scaled({"window": 8}, {**_ADAM, "max_N": 3}, None),
    measurement_options={"language": {"n_rows": 2048}},
    out_of_reach=dict.fromkeys(("C1", "C2", "C3", "C4", "C5", "X1", "X2"), "machinery only: 20 steps"),
)

QUICK = Scale(
    name="quick",
    cost="10 minutes on 2 processors beside other work, 50 MB of disk: Paradise Lost, windows of 32 characters, 1000 "
    "optimiser steps",
    networks=5,
    options={},
    by_condition=_scaled(
        {"window": 32, "epochs": 20, "steps_per_epoch": 50, "batch_size": 48, "test_steps": 4},
        {**_ADAM, "max_N": 60, "epochs": 60, "steps_per_epoch": 50, "batch_size": 64, "test_steps": 10},
        None,
    ),
)

_PUBLISHED_TRAINING: dict[str, Any] = {
    "window": 50,
    "epochs": 1000,
    "steps_per_epoch": 100,
    "batch_size": 128,
    "test_steps": 10,
    "lr": 1e-3,
    "clip": None,
    "schedule": "plateau",
    "patience": 150,
}

PAPER_SCALE = Scale(
    name="paper",
    cost="days on 2 processors, 1 GB of disk: Paradise Lost, trained as published: windows of 50 characters, 100 steps of 128 windows "
    "an epoch, until 150 epochs bring nothing; all six published pairs of units and rank",
    networks=3,
    options={},
    by_condition=_scaled(
        _PUBLISHED_TRAINING,
        {**_ADAM, "max_N": 101, "epochs": 1000, "steps_per_epoch": 100, "batch_size": 64},
        _PUBLISHED_TRAINING,
    ),
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, PAPER_SCALE)}
