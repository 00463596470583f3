"""What is trained and measured, at which scales; all of it is settled before anything is run.

Linear networks are no conditions but studies: their loss is exact, and no data are needed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tauscope.papers.vocabulary import Condition, Measure, Scale

NONLINEAR = ("hardtanh", "tanh")
"""Nonlinearities of the networks that are trained on data."""

COMPARED = ("direct", "softplus")
"""Their maps."""

MULTI_MAPS = ("inverse", "sigmoid", "best")
"""Maps of τ of multi-head networks on N-parity."""

SINGLE_MAPS = ("inverse", "sigmoid", "matched_sigmoid", "matched_best", "exp", "softplus", "direct")
"""Maps of τ of single-head networks; those that are matched move a unit of τ = 1.5 as far as ``inverse`` does."""

_SEED = 1900
"""Of the first network of every condition: no trial had it."""


def _functional(afunc: str, tau_map: str) -> Condition:
    name = f"pol_{afunc}_{tau_map}"
    options = {
        "task": "functional",
        "rho": "pol",
        "cell": "residual",
        "afunc": afunc,
        "tau_map": tau_map,
        "seed": _SEED,
    }
    return Condition(name, f"pol, {afunc}, {tau_map}", options)


def _further(task: str, kind: str, tau_map: str, **options: Any) -> Condition:
    """Return a condition of another kind of network or target, otherwise as that of the long memory with hardtanh."""
    name = "_".join(filter(None, (task, kind, tau_map)))
    target = {"task": "filter"} if task == "filter" else {"task": "functional", "rho": task}
    return Condition(name, name.replace("_", ", "), {**target, "tau_map": tau_map, "seed": _SEED, **options})


def _parity(curriculum: str, tau_map: str) -> Condition:
    heads = {"cumulative": "multi-head", "single": "single-head"}[curriculum]
    options: dict[str, Any] = {"task": "parity", "curriculum_type": curriculum, "tau_map": tau_map, "seed": _SEED}
    return Condition(f"{curriculum}_{tau_map}", f"{heads}, {tau_map}", options)


KINDS: dict[str, dict[str, Any]] = {"mixed": {"mixed_decay": True}, "ssm": {"cell": "ssm"}}
"""Networks with decay in a trained basis, Pᵀ diag(λ) P, and with the kernel of StableSSM."""

FUNCTIONALS = tuple(_functional(afunc, tau_map) for afunc in NONLINEAR for tau_map in COMPARED)
FURTHER = (
    *(
        _further(rho, kind, tau_map, **options)
        for kind, options in KINDS.items()
        for rho, tau_map in (*(("pol", tau_map) for tau_map in COMPARED), ("exp", "direct"))
    ),
    _further("filter", "", "direct"),
)
MULTI = tuple(_parity("cumulative", tau_map) for tau_map in MULTI_MAPS)
SINGLE = tuple(_parity("single", tau_map) for tau_map in SINGLE_MAPS)

CONDITIONS = (*FUNCTIONALS, *FURTHER, *MULTI, *SINGLE)

_NAMES = tuple(tuple(condition.name for condition in group) for group in (FUNCTIONALS, FURTHER, MULTI, SINGLE))

MEASURES = (
    Measure("perturbation_error", (*_NAMES[0], *_NAMES[1])),
    Measure("memory_function", (*_NAMES[0], *_NAMES[1])),
    Measure("tau", (*_NAMES[2], *_NAMES[3]), at="each"),
)


def _scaled(*groups: dict[str, Any] | None) -> dict[str, dict[str, Any] | None]:
    """Return the options by condition, of functionals, further kinds, multi-head and single-head networks."""
    return {name: options for names, options in zip(_NAMES, groups, strict=True) for name in names}


_DATA = {
    "C8b": "needs the images of MNIST and a corpus, which are not part of the package, and trainings of many hours on 2 processors"
}
_TAILS = ("X2", "X2b", "X2c", "X3")
_SINGLE = dict.fromkeys(
    _TAILS,
    "the STD of single-head τ rises from N ≈ 12 on, which 128 units do not reach in so many steps; see scale standard",
)

_KINDS = dict.fromkeys(
    ("C4b", "C8"), "asked at scale standard, where further kinds of networks and targets are trained"
)
_SMALL = {"num_neurons": 24, "epochs": 4, "steps_per_epoch": 50, "batch_size": 16, "lr": 0.2, "max_N": 3}

SMOKE = Scale(
    name="smoke",
    cost="2 minutes on 2 processors, 20 MB of disk: 20 updates, of N-parity 200",
    networks=2,
    options={"epochs": 2, "steps_per_epoch": 10, "batch_size": 4, "test_steps": 2, "num_neurons": 6},
    by_condition=_scaled({"n_steps": 20}, {"n_steps": 20}, _SMALL, _SMALL),
    measured_Ns=(2,),
    measurement_options={
        "perturbation_error": {"parts": ["all", "tau"], "n_draws": 2, "n_trials": 8},
        "memory_function": {"n_steps": 32},
        "linear": {"n_networks": 2, "n_units": [4, 8], "n_updates": 20, "n_draws": 3},
        "matched": {"n_networks": 2, "n_units": 4, "n_updates": 30, "n_draws": 3},
        "sizes": {"n_networks": 2, "n_units": [4, 8], "first_updates": 10, "n_updates": 20, "n_draws": 3},
        "optima": {"n_networks": 2, "n_units": [2, 4, 8], "n_updates": 10, "n_draws": 3},
        "learning_rates": {"n_networks": 2, "n_units": 4, "n_updates": 20},
    },
    out_of_reach=dict.fromkeys(
        ("C1", "C2", "C3", "C4", "C4b", "C5", "C6", "C6b", "C7", "C8", "X1", *_TAILS), "machinery only"
    )
    | _DATA,
)

_FUNCTIONAL = {"num_neurons": 16, "epochs": 20, "steps_per_epoch": 40, "batch_size": 64}
_MULTI = {
    "num_neurons": 128,
    "epochs": 30,
    "steps_per_epoch": 50,
    "batch_size": 64,
    "lr": 0.1,
    "test_steps": 10,
    "max_N": 60,
}

QUICK = Scale(
    name="quick",
    cost="an estimated 13 minutes on 2 processors (an hour beside much other work), 40 MB of disk: linear networks of 8 to 64 units by their exact loss, "
    "nonlinear ones of 16 units, 800 updates; N-parity with 128 units and many heads, 1500 steps",
    networks=5,
    options={},
    by_condition=_scaled(_FUNCTIONAL, None, _MULTI, None),
    measured_Ns=(2, 3, 5, 8, 10, 15, 20),
    measurement_options={
        "perturbation_error": {"parts": ["all", "tau"]},
        "linear": {"n_networks": 12},
        "optima": {"n_updates": 5000},
    },
    out_of_reach=_KINDS | _DATA | _SINGLE,
)

STANDARD = replace(
    QUICK,
    name="standard",
    cost="an estimated 3 hours of one processor, 150 MB of disk: as quick; networks with decay in a trained basis, of the state-space kernel, and with a random network as target; and N-parity with a single head and 256 units, 15 000 steps under each of "
    "seven maps, 6 minutes a network; N = 13 is expected, where in a trial of another seed the STD of τ had risen from 0.33 to 0.45",
    networks=4,
    by_condition=_scaled(
        _FUNCTIONAL,
        _FUNCTIONAL,
        _MULTI,
        {
            "num_neurons": 256,
            "epochs": 75,
            "steps_per_epoch": 200,
            "batch_size": 128,
            "lr": 0.2,
            "test_steps": 10,
            "max_N": 40,
        },
    ),
    measured_Ns=tuple(range(2, 21)),
    out_of_reach=_DATA,
)

SCALES = {scale.name: scale for scale in (SMOKE, QUICK, STANDARD)}
