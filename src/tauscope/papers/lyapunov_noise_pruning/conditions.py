"""What is trained, what is measured without training, and at which scales; all of it is settled before anything is run."""

from __future__ import annotations

from typing import Any

from tauscope.papers.vocabulary import Condition, Measure, Scale

PARITY = ("single", "multi", "multi_gru")
"""Conditions of N-parity: trained memories, which recurrence alone can hold."""

CONDITIONS = (
    Condition("single", "single-head", {"task": "parity", "curriculum_type": "single"}),
    Condition("multi", "multi-head", {"task": "parity", "curriculum_type": "cumulative"}),
    Condition("multi_gru", "multi-head, GRU", {"task": "parity", "curriculum_type": "cumulative", "cell": "gru"}),
)
"""The paper's own networks are not trained: they are drawn, pruned and read out in the studies."""

MEASURES = (Measure("pruning", PARITY),)

_ALL_STEPS: dict[str, Any] = {"lnp_steps": (1, 2, 3)}

NOT_JUDGED = {
    "C8": "digits do not tell: without recurrent weights .93 of them are told, by the dense network .94 (trials before)",
    "C9": "CIFAR10, CIFAR100, stock prices and wind speed cannot be had from the package index; 57 % and 50 % are of networks of 5000 units",
}

_FEW = {"num_neurons": 6, "p": 1.0, "batch_size": 8, "steps_per_epoch": 20, "max_N": 3, "lr": 0.2}
_SMALL: dict[str, Any] = {"n_units": 16, "n_neighbours": 8, "steps": (20, 100, 40, 40), "exponent_steps": (10, 30)}

SMOKE = Scale(
    name="smoke",
    cost="two minutes on 2 processors, 10 MB of disk: networks of 16 units, 200 steps",
    networks=2,
    options={"epochs": 2, "test_steps": 2},
    by_condition=dict.fromkeys(PARITY, _FEW),
    measurement_options={
        "pruning": {"n_trials": 20, "n_draws": 1, "shares": (0.5,), **_ALL_STEPS},
        "prunings": {"n_networks": 2, **_SMALL},
        "shares": {"n_networks": 2, "kept": (0.5,), **_SMALL},
        "spectra": {"n_units": 16, "n_neighbours": 8, "exponent_steps": (10, 30), "slopes": (1.0, 5.0)},
    },
    out_of_reach={
        **dict.fromkeys((*(f"C{i}" for i in range(8)), "X1", "X2"), "machinery only: small networks, short series"),
        **NOT_JUDGED,
    },
)

_LEAKY = {
    "num_neurons": 64,
    "batch_size": 64,
    "steps_per_epoch": 100,
    "test_steps": 10,
    "lr": 0.1,
    "epochs": 40,
    "max_N": 12,
}
_GATED = {"num_neurons": 32, "steps_per_epoch": 100, "test_steps": 10, "lr": 3e-3, "epochs": 15, "max_N": 12}

QUICK = Scale(
    name="quick",
    cost="an estimated 35 minutes of one processor, 50 MB of disk: 10 networks of 120 spiking units, of each with timescales of both kinds 47 "
    "pruned variants, series of 4695 steps; N-parity with 64 leaky or 32 gated units, 100 steps an epoch",
    networks=3,
    options={},
    by_condition={"single": _LEAKY, "multi": _LEAKY, "multi_gru": _GATED},
    measurement_options={"pruning": _ALL_STEPS},
    out_of_reach=NOT_JUDGED,
)

_LARGE: dict[str, Any] = {"n_units": 1000, "n_neighbours": 200}

PAPER_SCALE = Scale(
    name="paper",
    cost="an estimated two days of one processor, 1 GB of disk; not run by us: the quick scale with 1000 units of 200 synapses each, all of whose "
    "exponents are measured. The published numbers are of up to 5000 units",
    networks=4,
    options={},
    by_condition=QUICK.by_condition,
    measurement_options={
        "pruning": _ALL_STEPS,
        "prunings": {"n_networks": 5, **_LARGE},
        "shares": {"n_networks": 3, **_LARGE},
        "spectra": _LARGE,
    },
    out_of_reach=NOT_JUDGED,
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, PAPER_SCALE)}
