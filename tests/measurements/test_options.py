"""Every protocol number is an option, read from the source as it is; what depends on N follows N; small networks."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from typing import Any

import pytest
import torch

import tauscope as ts
from few import applicable, few
from tauscope.errors import InputError
from tauscope.measurements import MEASUREMENTS, WHAT, Subject
from tauscope.measurements.costs import estimate
from tauscope.measurements.options import options_of
from tauscope.models import ReluRNN, build_model
from tauscope.tasks import TwoAlternativeChoice

# What the network decides, and what is no plain value.
DECIDED = {"repeat", "plus_minus", "seed", "Ns", "generator", "on_epoch", "decoder", "untrained"}


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


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_options_are_the_keywords_that_the_functions_have(name: str) -> None:
    declared: dict[str, Any] = {}
    listed = MEASUREMENTS[name]
    for source in (listed.measure.where, *listed.hands_on):
        module, function = source.split(":")
        parameters = inspect.signature(getattr(import_module(f"tauscope.{module}"), function)).parameters
        for parameter in parameters.values():
            if parameter.default is not inspect.Parameter.empty and parameter.name not in DECIDED:
                declared.setdefault(parameter.name, parameter.default)
    options = options_of(name)
    # What a text cannot say is no option: pairs, penalties, schedules and shifts.
    assert set(options) == set(declared) - {"betas", "terms", "schedule", "shifts"}
    for option in options.values():
        assert option.help.endswith("."), "each is explained"
        default = declared[option.name]
        if option.default:
            texts = [str(default), ",".join(map(str, default)) if isinstance(default, tuple) else ""]
            assert option.default in texts
        else:
            assert default is None or isinstance(default, tuple)


@pytest.mark.parametrize("name", applicable(of_bits("leaky", 6)))
def test_what_is_given_as_an_option_is_kept_in_the_result(name: str) -> None:
    subject = of_bits("leaky", 6)
    options = few(name, subject)
    result = MEASUREMENTS[name].measure(subject, **options)
    known = {"n_trials": result.sizes.get("trial"), "epochs": result.sizes.get("epoch")} | result.attrs
    for option in ("n_trials", "n_steps", "burn_in", "n_sequences", "epochs", "steps_per_epoch", "batch_size"):
        if option in options:
            assert known[option] == options[option], option
    lengths = {"max_lag": ("lag", 1), "n_Ns": ("N", 0), "beyond": ("N", 2)}
    for option, (dimension, more) in lengths.items():
        if option in options:
            assert result.sizes[dimension] == options[option] + more
    assert MEASUREMENTS[name].numbers(result)


@pytest.mark.parametrize(
    ("name", "option", "value", "dimension"),
    [
        ("lyapunov", "n_exponents", 2, "exponent"),
        ("fixed_points", "n_trials", 3, "trial"),
        ("perturbation_recurrent", "epsilons", [0.0, 0.1, 1.0], "epsilon"),
        ("perturbation_tau", "epsilons", [0.0, 0.5], "epsilon"),
        ("ablation", "n", 1, "unit"),
    ],
)
def test_an_option_of_one_measurement_changes_its_result(name: str, option: str, value: Any, dimension: str) -> None:
    subject = of_bits("leaky", 6)
    result = MEASUREMENTS[name].measure(subject, **few(name, subject) | {option: value})
    expected = 3 if option == "n" else len(value) if isinstance(value, list) else value
    assert result[dimension].size == expected


@pytest.mark.parametrize("name", applicable(of_bits("leaky", 6)))
def test_an_option_that_a_measurement_does_not_have_is_not_passed_over(name: str) -> None:
    with pytest.raises((TypeError, ts.InputError), match="n_trails"):
        MEASUREMENTS[name].measure(of_bits("leaky", 6), n_trails=2)


@pytest.mark.parametrize("last", [92, 101, 102, 150])
@pytest.mark.parametrize("name", ["ablation", "perturbation_recurrent", "generalisation", "forgetting", "balance"])
def test_what_depends_on_N_follows_N(name: str, last: int) -> None:
    subject = of_bits("leaky", 6, last)
    options = few(name, subject)
    result = MEASUREMENTS[name].measure(subject, **options)
    if "warm_up" in result.attrs:
        asked = last + options["beyond"] if name == "generalisation" else last
        assert result.attrs["warm_up"] == max(100, asked - 1)
    assert MEASUREMENTS[name].numbers(result)


def test_a_warm_up_that_is_given_must_still_be_long_enough() -> None:
    subject = of_bits("leaky", 6, 20)
    assert MEASUREMENTS["ablation"].measure(subject, **few("ablation", subject), warm_up=19).attrs["warm_up"] == 19
    for name in ("ablation", "generalisation"):
        with pytest.raises(InputError, match="expected at least"):
            MEASUREMENTS[name].measure(subject, **few(name, subject), warm_up=5)


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
            assert measurement.numbers(measurement.measure(subject, **few(name, subject))), name


def test_costs_are_known_of_every_measurement_and_grow_with_the_network() -> None:
    costs = {name: listed.cost for name, listed in MEASUREMENTS.items()}
    assert min(costs.values()) > 0
    assert sum(costs[name] for name in WHAT["all"] if name not in ("performance", "resolution")) < 60
    small, large = (estimate(of_bits("leaky", n), ["lyapunov", "retraining"], epochs=10) for n in (4, 600))
    assert large["lyapunov"] > small["lyapunov"] > 0
    assert large["retraining"] == pytest.approx(large["lyapunov"] * costs["retraining"] / costs["lyapunov"] / 2)


def test_retraining_says_how_far_it_is() -> None:
    said: list[str] = []
    subject = dataclasses.replace(of_bits("leaky", 6), tell=said.append)
    MEASUREMENTS["retraining"].measure(subject, **few("retraining", subject))
    assert said == [f"N = {N}, epoch {epoch} of 2" for N in (3, 4) for epoch in (1, 2)]
