"""Conditions, measurements and scales, fixed before any network is trained.

What a scale costs is estimated from measured times: a network of the quick scale takes 24 s of one processor to train and 6 s to
measure in the box, 16 s and 1 s for head direction.
"""

from __future__ import annotations

from typing import Any

from tauscope.papers.vocabulary import Condition, Measure, Scale

PLACE = ("nu", "nb", "du", "db")
"""Conditions of the box: noisy or noise-free ("deterministic"), unbiased or biased."""

RING = ("hd_u", "hd_b", "hd_du")
"""Conditions of the head direction."""

GRU = ("gru_u", "gru_b")

SCALES_OF_TIME = {"nu": "τ = 5", "fast": "τ = 1", "mixed": "different τ", "learnt": "trained τ"}
"""Conditions of the question of ours that differ in the timescales of the units alone, with their short labels."""

_BOX: dict[str, Any] = {"task": "path-integration"}
_HEAD: dict[str, Any] = {"task": "head-direction"}

CONDITIONS = (
    Condition("nu", "noisy, unbiased", {**_BOX}),
    Condition("nb", "noisy, biased", {**_BOX, "biased": True}),
    Condition("du", "noise-free, unbiased", {**_BOX, "sigma": 0.0}),
    Condition("db", "noise-free, biased", {**_BOX, "biased": True, "sigma": 0.0}),
    Condition("hd_u", "head, noisy, unbiased", {**_HEAD}),
    Condition("hd_b", "head, noisy, biased", {**_HEAD, "biased": True}),
    Condition("hd_du", "head, noise-free, unbiased", {**_HEAD, "sigma": 0.0}),
    Condition("gru_u", "GRU, noisy, unbiased", {**_BOX, "cell": "noisy_gru"}),
    Condition("gru_b", "GRU, noisy, biased", {**_BOX, "biased": True, "cell": "noisy_gru"}),
    Condition("fast", "noisy, unbiased, τ = 1", {**_BOX, "tau": 1.0}),
    Condition("mixed", "noisy, unbiased, different τ", {**_BOX, "timescales": "different"}),
    Condition("learnt", "noisy, unbiased, trained τ", {**_BOX, "timescales": "trained"}),
)

NAMES = tuple(condition.name for condition in CONDITIONS)

MEASURES = (Measure("replay", NAMES),)

_OURS = ("fast", "mixed", "learnt")
_SHORT: dict[str, Any] = {"steps_per_epoch": 50, "batch_size": 50, "test_steps": 2, "lr": 3e-3, "schedule": "steps"}


def _own_places(networks: int, few: int, *names: str) -> dict[str, list[dict[str, Any]]]:
    """Return the option that gives every network place cells of its own, the same for networks of one number."""
    return {name: [{"place_seed": i} for i in range(few if name in _OURS else networks)] for name in names}


SMOKE = Scale(
    name="smoke",
    cost="a minute on 2 processors, 20 MB of disk: 12 units, 20 optimiser steps",
    networks=2,
    options={
        **_SHORT,
        "num_neurons": 12,
        "n_cells": 16,
        "n_steps": 20,
        "epochs": 2,
        "steps_per_epoch": 10,
        "batch_size": 4,
    },
    by_condition={name: None for name in NAMES if name not in ("nu", "nb", "du", "db", "hd_u", "hd_b", "fast")},
    each=_own_places(2, 2, "nu", "nb", "du", "db", "fast"),
    measurement_options={"replay": {"n_steps": 40, "n_trajectories": 8, "n_samples": 150}},
    out_of_reach=dict.fromkeys(
        ("C1", "C2", "C3", "C5", "C5m", "C6", "C7", "C8", "C8b", "C9", "C10", "X1", "X2", "X3", "X4"),
        "machinery only: 12 units, 20 steps",
    )
    | {"C4": "no room: the kernel estimate of uniform positions is as far from a nearly uniform density"},
)

_NO_ROOM = {"C4": SMOKE.out_of_reach["C4"]}
_QUICK_BOX = {"num_neurons": 100, "n_cells": 100, "epochs": 16}
_QUICK_RING = {"num_neurons": 64, "n_cells": 64, "epochs": 20}

QUICK = Scale(
    name="quick",
    cost="an estimated 15 minutes on 2 processors, 100 MB of disk: 100 units and place cells, 800 optimiser steps of 50 walks; "
    "64 units and head-direction cells, 1000 steps",
    networks=5,
    options=_SHORT,
    by_condition={
        **dict.fromkeys((*PLACE, *_OURS), _QUICK_BOX),
        **dict.fromkeys(RING, _QUICK_RING),
        **dict.fromkeys(GRU, None),
    },
    each=_own_places(5, 3, *PLACE, *_OURS),
    out_of_reach={**_NO_ROOM, "C9": "no GRU is trained at this scale"},
)

STANDARD = Scale(
    name="standard",
    cost="an estimated 6 hours on 2 processors, 300 MB of disk: 256 units and place cells, 2500 optimiser steps of 100 walks",
    networks=5,
    options={"batch_size": 100, "steps_per_epoch": 100, "epochs": 25, "test_steps": 2, "schedule": "steps", "lr": 2e-3},
    by_condition={
        **{name: {"num_neurons": 256, "n_cells": 256} for name in (*PLACE, *_OURS, *GRU)},
        **{name: {"num_neurons": 128, "n_cells": 128, "epochs": 50} for name in RING},
    },
    each=_own_places(5, 5, *PLACE, *_OURS, *GRU),
    measurement_options={"replay": {"n_trajectories": 100}},
    out_of_reach=_NO_ROOM,
)

PAPER_SCALE = Scale(
    name="paper",
    cost="an estimated 2 days on 2 processors, 1 GB of disk: as published, 512 units and place cells, 2500 optimiser steps of 200 walks; "
    "128 units and 512 head-direction cells, 20 000 steps",
    networks=5,
    options={},
    by_condition=dict.fromkeys(_OURS, None),
    each=_own_places(5, 5, *PLACE, *GRU),
    measurement_options={"replay": {"n_trajectories": 200}},
    out_of_reach={**_NO_ROOM, **dict.fromkeys(("X2", "X3", "X4"), "a question of ours, asked at smaller scales")},
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, STANDARD, PAPER_SCALE)}
