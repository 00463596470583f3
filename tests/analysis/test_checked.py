"""Analyses refuse what is no network, task or generator, and follow from the seed alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import xarray as xr

import tauscope as ts
from defaults import DEFAULTS, default
from tauscope import InputError, analysis
from tauscope.models import BalancedRNN
from tauscope.tasks import Tracking

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
