"""Analyses refuse what is no network, task or generator, and follow from the seed alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import tauscope as ts
from defaults import DEFAULTS, default
from tauscope import InputError, analysis
from tauscope.models import BalancedRNN
from tauscope.tasks import DelayedSine, Tracking
from tauscope.tasks.text import Text

OF_NETWORKS = {
    name: found
    for name in analysis.__all__
    if callable(found := getattr(analysis, name)) and "model" in inspect.signature(found).parameters
}
OF_TASKS = {name: found for name, found in OF_NETWORKS.items() if "task" in inspect.signature(found).parameters}


def network() -> ts.LeakyRNN:
    return ts.LeakyRNN(6, form="continuous", afunc="tanh", n_heads=2, generator=torch.Generator().manual_seed(0))


def arguments(found: Callable[..., Any], **given: Any) -> dict[str, Any]:
    """Return the given arguments, and something for every other one that an analysis needs."""
    needed = {
        name: None
        for name, parameter in inspect.signature(found).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    return needed | given


def test_there_are_analyses_to_judge() -> None:
    assert {"timescales", "lyapunov", "ablate", "evaluate", "modes"} <= OF_NETWORKS.keys()
    assert {"evaluate", "ablation", "trial_lyapunov", "information"} <= OF_TASKS.keys()


@pytest.mark.parametrize("name", OF_NETWORKS)
@pytest.mark.parametrize(
    "model", [ts.LeakyRNN, None, "runs/model", ts.Parity(), torch.zeros(3, 2, 1), torch.nn.Identity()]
)
def test_what_is_no_network_is_refused(name: str, model: Any) -> None:
    with pytest.raises(InputError, match=r"^the network is .*: expected a tauscope Model") as caught:
        OF_NETWORKS[name](**arguments(OF_NETWORKS[name], model=model))
    assert "\n" not in str(caught.value)


class FullyShardedDataParallel(torch.nn.Module):
    """Named as torch's, and it hands on every name of the network within, as torch's does."""

    def __init__(self, module: ts.Model) -> None:
        super().__init__()
        self.module = module

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__["_modules"]
        return modules[name] if name in modules else getattr(modules["module"], name)


@pytest.mark.parametrize("kind", [torch.nn.DataParallel, FullyShardedDataParallel])
@pytest.mark.parametrize("name", OF_NETWORKS)
def test_a_network_inside_another_is_named(name: str, kind: Any) -> None:
    line = rf"^the network is of type {kind.__name__}: expected the Model in it, .module"
    with pytest.raises(InputError, match=line):
        OF_NETWORKS[name](**arguments(OF_NETWORKS[name], model=kind(network())))


class DTensor(torch.nn.Parameter):
    """Named as the weights that `torch.distributed.fsdp.fully_shard` makes of a network's own."""


@pytest.mark.parametrize("name", OF_NETWORKS)
def test_a_network_in_parts_on_several_processes_is_refused(name: str) -> None:
    model = network()
    model.heads.linears[0].weight = DTensor(model.heads.linears[0].weight.detach())
    with pytest.raises(InputError, match=r"^the weights of the network \(LeakyRNN\) are distributed over processes"):
        OF_NETWORKS[name](**arguments(OF_NETWORKS[name], model=model))


@pytest.mark.parametrize("name", OF_TASKS)
@pytest.mark.parametrize("task", [ts.Parity, None, "parity", network()])
def test_what_is_no_task_is_refused(name: str, task: Any) -> None:
    with pytest.raises(InputError, match=r"^task is .*: expected a .*, such as tauscope.Parity"):
        OF_TASKS[name](**arguments(OF_TASKS[name], model=network(), task=task))


@pytest.mark.parametrize("generator", [0, torch.Generator])
def test_chance_of_an_analysis_comes_from_a_generator(generator: Any) -> None:
    with pytest.raises(InputError, match=r"^generator is .*: expected a torch.Generator, or None"):
        analysis.dimensionality(network(), generator=generator)


PLAIN = {
    (name, parameter.name, option)
    for name, found in (OF_NETWORKS | {"timescales_of": analysis.timescales_of}).items()
    for parameter in inspect.signature(found).parameters.values()
    for option in ("int", "float", "bool", "str", "Sequence[int]", "Sequence[float]", "Sequence[str]")
    if str(parameter.annotation).removesuffix(" | None") == option
}
"""Analyses, their parameters of one plain type, and that type."""

OTHERS = {
    "int": ["3", 2.5, float("nan"), True, [1, 2], torch.tensor([1, 2]), torch.tensor(2.0), int],
    "float": ["0.1", None, 1j, [0.1], np.ones(2)],
    "bool": ["no", 2, 0.5, None, np.ones(2)],
    "str": [3, None, b"test", ["test"], np.ones(2)],
    "Sequence[int]": [3, "12", [2.5], [None], 1j],
    "Sequence[float]": [0.1, "0.1", ["x"], {}],
    "Sequence[str]": ["tau", 3, [1], None.__class__],
}


def test_there_are_plain_parameters() -> None:
    assert {
        ("timescales", "n_trials", "int"),
        ("perturbation_error", "parts", "Sequence[str]"),
        ("reactivation", "k", "float"),
        ("bits_per_character", "reset", "bool"),
        ("timescales_of", "bootstrap", "int"),
    } <= PLAIN


@pytest.mark.parametrize(("name", "parameter", "option"), sorted(PLAIN))
def test_numbers_and_words_of_another_kind_are_refused_before_anything_is_computed(
    name: str, parameter: str, option: str
) -> None:
    found = getattr(analysis, name)
    task = next((str(p.annotation) for p in inspect.signature(found).parameters.values() if p.name == "task"), "")
    tasks = {"Text": Text("hmm:2"), "Tracking": Tracking(), "DelayedResponseTask": DelayedSine()}
    given = {"model": network(), "activity": np.zeros((1, 9, 1)), "task": tasks.get(task, ts.Parity())}
    given = {known: value for known, value in given.items() if known in inspect.signature(found).parameters}
    for value in OTHERS[option]:
        if value is None and "None" in str(inspect.signature(found).parameters[parameter].annotation):
            continue
        rest = arguments(found, **given)
        # What stands before it is right, or not looked at.
        before = list(rest)[: list(rest).index(parameter)] if parameter in rest else list(rest)
        if any(rest[known] is None for known in before):
            continue
        with pytest.raises(InputError, match=rf"^{parameter} is .*: expected ") as caught:
            found(**rest | {parameter: value})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["x", None, {}, [[1, "a"]], [[1], [1, 2]], object(), 1j])
def test_matrices_and_times_that_are_no_numbers_are_refused(value: Any) -> None:
    matrix = np.eye(3)
    calls: dict[str, Callable[[], object]] = {
        "recurrent": lambda: analysis.wave_spectrum(value, matrix),
        "operator": lambda: analysis.wave_spectrum(matrix, value),
        "boundary": lambda: analysis.wave_operator(value),
        "readout": lambda: analysis.readout_basis(matrix, value, matrix[:1]),
        "coordinates": lambda: analysis.travelling_waves(value, np.ones((4, 1, 3))),
        "trials": lambda: analysis.bin_spikes([[0.1]], 0.1, value),
        "spike_times": lambda: analysis.bin_spikes([value], 0.1, [(0.0, 1.0)]),
        "autocorrelation": lambda: analysis.fit_exponentials(value),
    }
    for name, call in calls.items():
        if value is None and name == "spike_times":
            continue  # NumPy takes it for a time that is not known
        with pytest.raises(InputError, match=r"expected|no trials") as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"^threshold is 'x': expected a number"):
        analysis.wave_spectrum(matrix, matrix, threshold="x")  # type: ignore[arg-type]


def test_whole_numbers_of_numpy_and_torch_are_taken() -> None:
    expected = analysis.dimensionality(network(), n_trials=2, n_steps=60, burn_in=5)
    found = analysis.dimensionality(network(), n_trials=torch.tensor(2), n_steps=np.int64(60), burn_in=np.int8(5))  # type: ignore[arg-type]
    assert found.equals(expected)
    with pytest.raises(InputError, match=r"^protocol is of type float: expected a Protocol"):
        analysis.ablation(network(), ts.Parity(), 2, n=1, protocol=0.5)  # type: ignore[arg-type]
    for tau in ([1.0], "fast", 3.0, np.ones((6, 1)), {}):
        with pytest.raises(InputError, match=r"^tau is of shape .*: expected 6 numbers, one a unit"):
            analysis.ablation(network(), ts.Parity(), 2, tau=tau)  # type: ignore[arg-type]
    for groups in (3, None, "random", [3]):
        with pytest.raises(InputError, match=r"^groups is .*: expected several texts"):
            analysis.ablation(network(), ts.Parity(), 2, groups=groups)  # type: ignore[arg-type]


RESULTS: dict[str, Callable[[], xr.Dataset | xr.DataArray]] = {
    "evaluate": lambda: ts.evaluate(network(), ts.Parity(), [2, 3], n_sequences=32),
    "timescales": lambda: analysis.timescales(
        network(), n_trials=2, n_steps=200, burn_in=10, max_lag=8, fit_lags=8, bootstrap=3
    ),
    "dimensionality": lambda: analysis.dimensionality(network(), n_trials=2, n_steps=60, burn_in=5),
    "lyapunov": lambda: analysis.lyapunov(network(), 2, n_trials=2, n_steps=9, burn_in=2),
    "ablation": lambda: analysis.ablation(
        network(), ts.Parity(), 2, n=2, protocol=analysis.Protocol(n_trials=3, n_steps=9, warm_up=5)
    ),
    "perturbation": lambda: analysis.perturbation(
        network(), ts.Parity(), 2, which="tau", protocol=analysis.Protocol(n_trials=3, n_steps=9, warm_up=5)
    ),
    "generalise": lambda: analysis.generalise(network(), ts.Parity(), [2, 3], n_trials=5, n_steps=9, warm_up=5),
    "resolution": lambda: analysis.resolution(network(), ts.Parity(), [2], ks=[1, 2], n_sequences=8),
    "sequentiality": lambda: analysis.sequentiality(network(), ts.Parity(length=9), n_trials=2),
    "gates": lambda: analysis.gate_timescales(network(), n_trials=2, n_steps=9, burn_in=2),
    "modes": lambda: analysis.modes(BalancedRNN(8, generator=torch.Generator().manual_seed(0)), Tracking(), n_trials=2),
}


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("result", RESULTS)
def test_results_follow_from_the_seed_alone(result: str, name: str) -> None:
    expected = RESULTS[result]()
    with default(name):
        found = RESULTS[result]()
    assert found.equals(expected)


def test_a_network_without_parameters_is_measured() -> None:
    model = ts.wrap(lambda x, h: torch.tanh(0.5 * h + x), 1, 3)
    assert analysis.sequentiality(model, ts.Parity(length=9), n_trials=2).sizes["trial"] == 2
    assert analysis.lyapunov(model, 2, n_trials=1, n_steps=5, burn_in=1).sizes["exponent"] == 2
