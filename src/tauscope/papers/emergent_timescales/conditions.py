"""Conditions, measurements and scales, fixed before any network is trained.

The cost of a scale is estimated from measured times: an optimiser step takes 1.4 + 0.3 N ms of one processor at 128 units
and 64 sequences, 0.5 ms for each of 2.5 N + 2 time steps at 256 units and 128 sequences, and at 500 units and 256 sequences
what ``benchmarks/README.md`` says: 56 ms at N = 10, 150 ms at N = 30 and 490 ms at N = 100 on an AMD EPYC, 1.6 times as much
on an Intel Xeon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tauscope.analysis.resolution import KS
from tauscope.papers.vocabulary import Condition, Measure, Scale

NO_CURRICULUM = (4, 6, 8, 10, 12, 15)
"""N that networks learn from scratch."""

_MULTI, _SINGLE = {"curriculum_type": "cumulative"}, {"curriculum_type": "single"}


def _both(name: str, label: str, options: Mapping[str, Any]) -> tuple[Condition, Condition]:
    """Return a multi-head and a single-head condition with further options."""
    return (
        Condition(f"multi_{name}", f"multi-head, {label}", _MULTI | dict(options)),
        Condition(f"single_{name}", f"single-head, {label}", _SINGLE | dict(options)),
    )


CONDITIONS = (
    Condition("multi", "multi-head", _MULTI),
    Condition("single", "single-head", _SINGLE),
    *_both("dms", "N-DMS", {"task": "dms"}),
    *(condition for tau in (1, 2, 3) for condition in _both(f"tau{tau}", f"τ = {tau}", {"tau": float(tau)})),
    *(
        # The name of a run folder does not contain the first N: the network number tells the folders apart.
        Condition(f"nocurr_{N}", f"no curriculum, N = {N}",
                  {"curriculum_type": "single_nocurr", "ns_init": N, "network_number": 100 * N + 1})
        for N in NO_CURRICULUM
    ),
    *_both("gru", "GRU", {"cell": "gru"}),
    *_both("lstm", "LSTM", {"cell": "lstm"}),
    *_both("mod", "φ of the drive alone", {"model_type": "mod"}),
    *_both("half", "half as many units", {"num_neurons": 250}),
    *_both("double", "twice as many units", {"num_neurons": 1000}),
    Condition("sliding", "sliding window", {"curriculum_type": "sliding", "init_heads": 10, "forget_heads": 5}),
    Condition("continuous", "multi-head, continuous time",
              _MULTI | {"model_type": "continuous", "duplicates": (7, 8, 9, 10)}),
)  # fmt: skip

_MAIN = ("multi", "single")
_TASKS = (*_MAIN, "multi_dms", "single_dms")

MEASURES = (
    Measure("timescales", (*_TASKS, "multi_mod", "single_mod"), at="each"),
    Measure("dimensionality", _TASKS, at="each"),
    Measure("connectivity", _TASKS, at="each"),
    Measure("ablation", _MAIN, at="each"),
    Measure("perturbation_recurrent", _MAIN, at="each"),
    Measure("perturbation_tau", _MAIN, at="each"),
    Measure("retraining", _MAIN, at="each"),
    Measure("forgetting", _MAIN),
    Measure("generalisation", _MAIN, at="each"),
    Measure("resolution", ("continuous",)),
)

_SHORT_RUNS = {"epochs": 30}

SMOKE = Scale(
    name="smoke",
    cost="a minute on 2 processors, 20 MB of disk: 12 units, and bits that are all 1, so that every N is soon learned",
    networks=2,
    options={"num_neurons": 12, "p": 1.0, "batch_size": 8, "steps_per_epoch": 20, "test_steps": 2, "max_N": 4,
             "epochs": 8, "lr": 0.2},
    by_condition={
        **dict.fromkeys(condition.name for condition in CONDITIONS),
        **{name: {} for name in ("multi", "single", "multi_dms", "single_dms", "multi_tau1", "multi_mod")},
        "nocurr_4": {"max_N": 4},
        "nocurr_6": {"max_N": 6},
        "multi_gru": {"lr": 0.01},
        "single_gru": {"lr": 0.01},
        "sliding": {"max_N": 12},
        "continuous": {"max_N": 2},
    },
    measured_Ns=(2, 3, 4),
    measured_at={"retraining": (2,)},
    measurement_options={
        "timescales": {"n_trials": 2, "n_steps": 1000, "burn_in": 50, "max_lag": 40, "bootstrap": 0},
        "dimensionality": {"n_trials": 2, "n_steps": 500, "burn_in": 50},
        "ablation": {"n": 2, "n_trials": 2, "n_steps": 100, "warm_up": 20},
        "perturbation_recurrent": {"n_trials": 2, "n_steps": 100, "warm_up": 20},
        "perturbation_tau": {"n_trials": 2, "n_steps": 100, "warm_up": 20},
        "retraining": {"n_Ns": 3, "epochs": 1, "steps_per_epoch": 5, "batch_size": 8, "test_steps": 2},
        "forgetting": {"beyond": 2, "n_sequences": 64},
        "generalisation": {"beyond": 2, "n_trials": 5, "n_steps": 100, "warm_up": 20},
        "resolution": {"n_sequences": 32},
    },
    out_of_reach={f"C{i}": "machinery only: networks of 12 units, trained on constant bits" for i in range(1, 15)},
)  # fmt: skip

QUICK = Scale(
    name="quick",
    cost="an estimated 24 minutes on 2 processors (3 networks of each condition took 19 min 33 s, with more epochs), 430 MB of "
    "disk: 128 units, 64 sequences a step, 100 steps an epoch, learning rate 0.1",
    networks=5,
    options={"num_neurons": 128, "batch_size": 64, "steps_per_epoch": 100, "test_steps": 20, "max_N": 30, "lr": 0.1,
             "epochs": 140},
    by_condition={
        "multi": {"epochs": 90},
        "multi_dms": {"epochs": 50},
        "single_dms": {"epochs": 50},
        "multi_tau1": _SHORT_RUNS,
        "multi_tau2": _SHORT_RUNS,
        "multi_tau3": _SHORT_RUNS,
        # Single-head networks with fixed τ differ only beyond N = 24, which none reaches at this scale.
        "single_tau1": None,
        "single_tau2": None,
        "single_tau3": None,
        "nocurr_4": _SHORT_RUNS,
        "nocurr_6": {"epochs": 40},
        "nocurr_8": {"epochs": 60},
        "nocurr_10": {"epochs": 60},
        "nocurr_12": None,
        "nocurr_15": None,
        # Learning rates of Adam, the optimiser of gated networks.
        "multi_gru": {"lr": 0.001, "epochs": 15},
        "single_gru": {"lr": 0.001, "epochs": 15},
        "multi_lstm": {"lr": 0.001, "epochs": 20},
        "single_lstm": {"lr": 0.001, "epochs": 20},
        "multi_mod": {"epochs": 25},
        "single_mod": {"epochs": 25},
        "multi_half": {"num_neurons": 64, "epochs": 15},
        "single_half": {"num_neurons": 64, "epochs": 15},
        "multi_double": {"num_neurons": 256, "epochs": 10},
        "single_double": {"num_neurons": 256, "epochs": 10},
        "sliding": {"epochs": 20},
        "continuous": {"epochs": 4, "max_N": 5},
    },
    measured_Ns=(2, 5, 10, 12, 15, 20),
    measured_at={"retraining": (8,)},
    measurement_options={
        "timescales": {"method": "published", "p": "quantiles", "n_steps": 30_000, "max_lag": 60},
        "retraining": {"n_Ns": 4, "epochs": 4, "steps_per_epoch": 100, "batch_size": 64, "test_steps": 20, "lr": 0.1},
        "generalisation": {"beyond": 5},
        "resolution": {"n_sequences": 640},
    },
    out_of_reach={
        "C8": "the published effect is absent at N = 5 and there at N = 30; single-head networks end near N = 10",
    },
)  # fmt: skip

STANDARD = Scale(
    name="standard",
    cost="an estimated 5 hours on 2 processors (35 000 seconds of one), 2 GB of disk: 256 units, 128 sequences a step, 200 "
    "steps an epoch, learning rate 0.2",
    networks=5,
    # Seeds from 10 on: size and learning rate were chosen by trials with seeds 0 and 1.
    options={"num_neurons": 256, "batch_size": 128, "steps_per_epoch": 200, "test_steps": 25, "max_N": 30, "lr": 0.2,
             "epochs": 400, "seed": 10},
    by_condition={
        "multi": {"epochs": 150},
        "multi_dms": {"epochs": 60},
        "single_dms": {"epochs": 60},
        # How fast N is reached tells τ apart before the largest N does.
        **{f"{kind}_tau{tau}": {"epochs": epochs} for kind, epochs in (("multi", 40), ("single", 80)) for tau in (1, 2, 3)},
        "nocurr_4": {"epochs": 30},
        "nocurr_6": {"epochs": 30},
        "nocurr_8": {"epochs": 50},
        "nocurr_10": {"epochs": 80},
        "nocurr_12": None,
        "nocurr_15": None,
        # Learning rate and batch of Adam, the optimiser of gated networks.
        **{f"{kind}_{cell}": {"lr": 0.001, "batch_size": 64, "epochs": 10} for kind in ("multi", "single") for cell in ("gru", "lstm")},
        "multi_mod": {"epochs": 30},
        "single_mod": {"epochs": 30},
        "multi_half": {"num_neurons": 128, "epochs": 20},
        "single_half": {"num_neurons": 128, "epochs": 20},
        "multi_double": None,
        "single_double": None,
        "sliding": {"epochs": 30},
        "continuous": {"batch_size": 64, "steps_per_epoch": 100, "epochs": 5, "max_N": 5, "lr": 0.1},
    },
    measured_Ns=(2, 5, 8, 10, 12, 14, 15, 16, 17, 18, 20, 22, 25, 30),
    measured_at={"retraining": (10, 15)},
    measurement_options={
        "timescales": {"method": "published", "p": "quantiles", "n_steps": 30_000, "max_lag": 60},
        "retraining": {"epochs": 4, "steps_per_epoch": 200, "batch_size": 128, "test_steps": 25, "lr": 0.2},
        "generalisation": {"beyond": 5},
        "resolution": {"n_sequences": 640},
    },
    first=("single", "multi"),
)  # fmt: skip

PAPER_SCALE = Scale(
    name="paper",
    cost="an estimated 3300 hours of one core of an AMD EPYC, 5300 of an Intel Xeon, 60 GB of disk; for a cluster (--slurm). "
    "As published: 500 units, 1000 epochs, N up to 101",
    networks=4,
    options={},
    by_condition={
        **{f"nocurr_{N}": {"epochs": 300} for N in NO_CURRICULUM},
        "continuous": {"epochs": 30},
    },
    measured_Ns=(2, 5, 10, 15, 16, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90, 100),
    measured_at={"retraining": (16,)},
    measurement_options={
        "timescales": {"method": "published", "p": "quantiles", "max_lag": 60},
        "generalisation": {"beyond": 5},
        "resolution": {"ks": KS},
    },
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, STANDARD, PAPER_SCALE)}
