"""Every protocol number is an option, read from the source as it is; what depends on N follows N; small networks."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from typing import Any

import pytest
import torch

import tauscope as ts
from tauscope.errors import InputError
from tauscope.measurements import MEASUREMENTS, NAMES, WHAT, Subject
from tauscope.measurements.costs import COSTS, estimate
from tauscope.measurements.options import SOURCES, options_of
from tauscope.models import ReluRNN, build_model
from tauscope.tasks import TwoAlternativeChoice

# What the network decides, and what is no plain value.
DECIDED = {"repeat", "plus_minus", "seed", "Ns", "generator", "on_epoch", "decoder", "untrained"}
FEW: dict[str, dict[str, Any]] = {
    "performance": {"n_trials": 100},
    "timescales": {"n_trials": 2, "n_steps": 600, "max_lag": 40, "burn_in": 20, "bootstrap": 4},
    "dimensionality": {"n_trials": 2, "n_steps": 60, "burn_in": 5},
    "sequentiality": {"n_trials": 3},
    "balance": {"n_trials": 3},
    "lyapunov": {"n_trials": 2, "n_steps": 20, "burn_in": 5},
    "fixed_points": {"n_starts": 5, "n_trials": 2, "max_iterations": 20},
    "ablation": {"n_trials": 2, "n_steps": 30},
    "perturbation_recurrent": {"n_trials": 2, "n_steps": 30},
    "perturbation_tau": {"n_trials": 2, "n_steps": 30},
    "perturbation_error": {"n_draws": 1, "sizes": (0.1,), "n_trials": 4},
    "memory_function": {"n_steps": 8},
    "retraining": {"n_Ns": 2, "epochs": 1, "steps_per_epoch": 2, "batch_size": 4, "test_steps": 1},
    "forgetting": {"beyond": 2, "n_sequences": 8},
    "generalisation": {"beyond": 2, "n_trials": 5, "n_steps": 40},
    "resolution": {"ks": (1, 2), "n_sequences": 8},
    "parallelizability": {"n_trials": 2, "timed": False},
}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def of_trials(cell: str, n_units: int) -> Subject:
    task = TwoAlternativeChoice(stim_steps=5, delay_steps=(8, 12), resp_steps=6)
    model = ReluRNN(n_units, n_inputs=50, n_outputs=task.n_outputs, generator=generator(), cell=cell, sigma_0=0.0)
    return Subject(model, task, (1, 1), seed=0)


def of_bits(cell: str, n_units: int, last: int = 3) -> Subject:
    if cell == "continuous":
        model = ts.LeakyRNN(n_units, form="continuous", n_heads=last, generator=generator())
    else:
        model = build_model(cell, n_units, n_heads=last, generator=generator())
    return Subject(model, ts.Parity((1,), repeat=2 if cell == "continuous" else 1), (2, last), seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_options_are_the_keywords_that_the_functions_have(name: str) -> None:
    declared: dict[str, Any] = {}
    for source in SOURCES[name]:
        module, function = source.split(":")
        parameters = inspect.signature(getattr(import_module(f"tauscope.{module}"), function)).parameters
        for parameter in parameters.values():
            if parameter.default is not inspect.Parameter.empty and parameter.name not in DECIDED:
                declared.setdefault(parameter.name, parameter.default)
    options = options_of(name)
    # What a text cannot say is no option: pairs, penalties and schedules.
    assert set(options) == set(declared) - {"betas", "terms", "schedule"}
    for option in options.values():
        assert option.help.endswith("."), "each is explained"
        default = declared[option.name]
        if option.default:
            texts = [str(default), ",".join(map(str, default)) if isinstance(default, tuple) else ""]
            assert option.default in texts
        else:
            assert default is None or isinstance(default, tuple)


def test_what_is_given_as_an_option_is_kept_in_the_result() -> None:
    for name, options in FEW.items():
        if name in ("performance", "resolution"):
            continue
        result = MEASUREMENTS[name].measure(of_bits("leaky", 6), **options)
        known = {"n_trials": result.sizes.get("trial")} | result.attrs
        for option in ("n_trials", "n_steps", "burn_in", "n_sequences", "steps_per_epoch", "batch_size"):
            if option in options:
                assert known[option] == options[option], (name, option)


@pytest.mark.parametrize("last", [92, 101, 102, 150])
@pytest.mark.parametrize("name", ["ablation", "perturbation_recurrent", "generalisation", "forgetting", "balance"])
def test_what_depends_on_N_follows_N(name: str, last: int) -> None:
    result = MEASUREMENTS[name].measure(of_bits("leaky", 6, last), **FEW[name])
    if "warm_up" in result.attrs:
        asked = last + FEW[name]["beyond"] if name == "generalisation" else last
        assert result.attrs["warm_up"] == max(100, asked - 1)
    assert MEASUREMENTS[name].numbers(result)


def test_a_warm_up_that_is_given_must_still_be_long_enough() -> None:
    subject = of_bits("leaky", 6, 20)
    assert MEASUREMENTS["ablation"].measure(subject, **FEW["ablation"], warm_up=19).attrs["warm_up"] == 19
    for name in ("ablation", "generalisation"):
        with pytest.raises(InputError, match="expected at least"):
            MEASUREMENTS[name].measure(subject, **FEW[name], warm_up=5)


def test_trials_of_bits_are_as_long_as_they_are_asked() -> None:
    subject = of_bits("leaky", 6, 20)
    assert MEASUREMENTS["sequentiality"].measure(subject, n_trials=2, trial_steps=60).sizes["time"] == 60
    with pytest.raises(InputError, match="trial_steps is 10: expected at least 20"):
        MEASUREMENTS["balance"].measure(subject, n_trials=2, trial_steps=10)
    with pytest.raises(InputError, match="have their own length"):
        MEASUREMENTS["balance"].measure(of_trials("relu", 6), n_trials=2, trial_steps=60)


@pytest.mark.parametrize("name", ["timescales", "dimensionality", "lyapunov"])
def test_an_option_of_other_networks_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=r"burn_in is no option of a network that answers trials: expected one of"):
        MEASUREMENTS[name].measure(of_trials("relu", 6), burn_in=5)


@pytest.mark.parametrize("n_units", [1, 2, 3])
@pytest.mark.parametrize(
    "cell", ["leaky", "gru", "lstm", "continuous", "trials relu", "trials relu_gru", "trials hebbian"]
)
def test_networks_of_few_units_have_every_measurement(cell: str, n_units: int) -> None:
    kind, _, inner = cell.partition(" ")
    subject = of_trials(inner, n_units) if inner else of_bits(kind, n_units)
    for name, measurement in MEASUREMENTS.items():
        if not measurement.lacks(subject):
            options = {"n_trials": 20} if inner and name == "timescales" else FEW.get(name, {})
            if inner and name in ("dimensionality", "lyapunov"):
                options = {"n_trials": 2}
            assert measurement.numbers(measurement.measure(subject, **options)), name


def test_costs_are_known_of_every_measurement_and_grow_with_the_network() -> None:
    assert set(COSTS) == set(NAMES)
    assert sum(COSTS[name] for name in WHAT["all"] if name not in ("performance", "resolution")) < 60
    small, large = (estimate(of_bits("leaky", n), ["lyapunov", "retraining"], epochs=10) for n in (4, 600))
    assert large["lyapunov"] > small["lyapunov"] > 0
    assert large["retraining"] == pytest.approx(large["lyapunov"] * COSTS["retraining"] / COSTS["lyapunov"] / 2)


def test_retraining_says_how_far_it_is() -> None:
    said: list[str] = []
    subject = dataclasses.replace(of_bits("leaky", 6), tell=said.append)
    MEASUREMENTS["retraining"].measure(subject, **FEW["retraining"] | {"epochs": 2})
    assert said == [f"N = {N}, epoch {epoch} of 2" for N in (3, 4) for epoch in (1, 2)]
