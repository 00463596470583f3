"""What is trained and at which scales; all of it is settled before anything is run."""

from __future__ import annotations

from typing import Any

from tauscope.papers.vocabulary import Condition, Measure, Scale

METHODS = {"rtrl": "RTRL", "bptt": "TBPTT"}

SPAN = 20
"""Steps from the cue to the signal."""

SEGMENTS = (5, 10, 25)
"""Steps of a segment, M; the last is longer than an episode."""


def _game(method: str, every: int, **further: Any) -> dict[str, Any]:
    return {"task": "cue-game", "cell": "elstm", "gradient": method, "every": every, **further}


GAMES = tuple(
    Condition(f"game{every}_{method}", f"{label}, M = {every}", _game(method, every))
    for every in SEGMENTS
    for method, label in METHODS.items()
)

MEMORYLESS = "tauscope.papers.real_time_recurrent_learning.memoryless:MemorylessCell"

SHOWN = (
    *(
        Condition(f"shown_{method}", f"{label}, cue always shown", _game(method, 5, shown=True))
        for method, label in METHODS.items()
    ),
    Condition("shown_none", "feed-forward, cue always shown", {**_game("bptt", 5, shown=True), "cell": MEMORYLESS}),
)

COPIES = tuple(
    Condition(
        f"copy_{method}", f"{label}, copy, M = 1", {"task": "copy", "cell": "elstm", "gradient": method, "every": 1}
    )
    for method, label in METHODS.items()
)

HEADS = {"cumulative": "multi-head", "single": "single-head"}

_PARITY = {"task": "parity", "cell": "leaky_units", "labels": "every"}

PARITY = tuple(
    Condition(f"{curriculum}_{method}", f"{method.upper()}, {label} N-parity", {**_PARITY, "curriculum_type": curriculum, **gradient})
    for curriculum, label in HEADS.items()
    for method, gradient in {"rtrl": {"gradient": "rtrl", "every": 5}, "bptt": {}}.items()
)  # fmt: skip
"""Leaky units with trained τ, asked at every bit: online with an update every 5 steps, and after whole trials."""

CONDITIONS = (*GAMES, *SHOWN, *COPIES, *PARITY)

MEASURES = (Measure("timescales", tuple(condition.name for condition in PARITY)),)


def _scaled(
    game: dict[str, Any], shown: dict[str, Any], copy: dict[str, Any], parity: dict[str, Any]
) -> dict[str, dict[str, Any] | None]:
    """Return the options by condition."""
    groups = ((GAMES, game), (SHOWN, shown), (COPIES, copy), (PARITY, parity))
    return {condition.name: options for conditions, options in groups for condition in conditions}


SMOKE = Scale(
    name="smoke",
    cost="a minute on 2 processors, 10 MB of disk: 4 updates of a few trials",
    networks=2,
    options={"epochs": 2, "steps_per_epoch": 1, "batch_size": 2, "test_steps": 1, "num_neurons": 4},
    by_condition=_scaled({"span": 3}, {"span": 3}, {"longest": 2}, {"max_N": 3}),
    measurement_options={
        "timescales": {"n_trials": 2, "n_steps": 300, "burn_in": 10, "max_lag": 20},
        "exactness": {"n_steps": 12, "segments": (1, 5)},
        "layers": {"n_steps": 6, "n_networks": 2},
        "memory": {"lengths": (10, 100)},
        "staleness": {"rates": (0.0, 1e-2), "n_networks": 2},
        "cost": {"sizes": ((2, 8, 4, 5),), "rounds": 1},
    },
    out_of_reach=dict.fromkeys(("C2", "C3", "C4", "C5", "C6", "C9", "X1"), "machinery only: a few updates"),
)

QUICK = Scale(
    name="quick",
    cost="an estimated 20 minutes on 2 processors, 50 MB of disk: the cue game over 20 steps, 400 000 frames, copying up to 3 bits, and "
    "N-parity; 64 units",
    networks=5,
    options={"num_neurons": 64},
    by_condition=_scaled(
        {"span": SPAN, "epochs": 50},
        {"span": SPAN, "epochs": 12},
        {"longest": 3, "epochs": 60},
        {
            "max_N": 20,
            "epochs": 20,
            "steps_per_epoch": 100,
            "batch_size": 64,
            "test_steps": 10,
            "optimizer": "adam",
            "lr": 0.01,
        },
    ),
    each={condition.name: ({}, {}) for condition in PARITY},
)

PAPER_SCALE = Scale(
    name="paper",
    cost="days on 2 processors, 1 GB of disk; not run by us: copying up to 50 bits as published, with 2048 units and an update at every step, "
    "and the cue game of quick with a million frames. DMLab, ProcGen and Atari are left out: they take 30 to 200 million steps, and "
    "the first two do not install from the package index",
    networks=3,
    options={},
    by_condition=_scaled(
        {"span": SPAN, "epochs": 125},
        {"span": SPAN, "epochs": 12},
        {"longest": 50, "num_neurons": 2048, "epochs": 500, "steps_per_epoch": 78, "batch_size": 128, "lr": 3e-5},
        {"batch_size": 64, "optimizer": "adam", "lr": 0.01},
    ),
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, PAPER_SCALE)}
