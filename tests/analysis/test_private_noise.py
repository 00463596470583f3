"""No analysis leaves out the private noise that a network is trained with."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tauscope as ts
from tauscope import analysis
from tauscope.analysis.interventions import Protocol
from tauscope.analysis.resolution import resolution
from tauscope.models import BalancedRNN, Model
from tauscope.tasks import TwoAlternativeChoice

SHORT = Protocol(n_trials=2, n_steps=40, warm_up=10)
BITS = ts.Parity([2], length=12)
TRIALS = TwoAlternativeChoice(delay_steps=(4, 8), stim_steps=4, resp_steps=5)

ANALYSES: dict[str, Callable[[Model], Any]] = {
    "evaluate": lambda model: ts.evaluate(model, BITS, [2, 3], n_sequences=200),
    "timescales": lambda model: analysis.timescales(model, n_trials=2, n_steps=400, max_lag=30, bootstrap=0).tau_net,
    "dimensionality": lambda model: analysis.dimensionality(model, n_trials=2, n_steps=200).to_array(),
    "lyapunov": lambda model: analysis.lyapunov(model, 2, n_trials=2, n_steps=40).exponents,
    "generalise": lambda model: analysis.generalise(model, BITS, [2], n_trials=5, n_steps=50).error,
    "resolution": lambda model: resolution(model, BITS, [2], ks=[1, 3], n_sequences=200).accuracy,
    "ablation": lambda model: analysis.ablation(model, BITS, 2, groups={"one": [1]}, protocol=SHORT).accuracy,
    "perturbation": lambda model: analysis.perturbation(model, BITS, 2, epsilons=[0.1], protocol=SHORT).accuracy,
    "task_states": lambda model: analysis.task_states(model, BITS, 3)[0].numpy(),
    "modes": lambda model: analysis.modes(model, BITS, n_trials=2).step_eigenvalues,
}


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_runs_a_network_with_its_noise(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    form = "continuous" if name == "resolution" else "default"
    cell = ts.LeakyCell(1, 6, generator, form=form, afunc="tanh", sigma=2.0)
    model = Model([cell], ts.Heads(6, range(2, 5), 2, False, generator))
    quiet = copy.deepcopy(model)
    quiet.layers[0].sigma = 0.0
    found, without = (np.asarray(ANALYSES[name](one)) for one in (model, quiet))
    assert not np.array_equal(found, without, equal_nan=True)
    # It is the noise of the analysis's own generator.
    assert np.array_equal(found, np.asarray(ANALYSES[name](model)), equal_nan=True)


def test_units_that_only_noise_moves_have_the_timescale_of_their_leak() -> None:
    generator = torch.Generator().manual_seed(0)
    model = BalancedRNN(8, generator=generator, balance=0.0, g=0.0, dt=0.1, afunc="tanh")
    with torch.no_grad():
        model.layers[0].input.weight.zero_()
    result = analysis.timescales(model, n_trials=4, n_steps=40_000, max_lag=60, fit_lags=30, bootstrap=0)
    assert not result.dead.any()
    np.testing.assert_allclose(result.tau_net, -1 / math.log(0.9), rtol=0.1)


def test_the_exponents_of_a_noisy_network_are_those_of_its_noisy_course() -> None:
    """A lone tanh unit multiplies a small difference with its slope at every step: λ = ⟨ln(w φ')⟩."""
    generator = torch.Generator().manual_seed(0)
    cell = ts.LeakyCell(1, 1, generator, afunc="tanh", tau=1.0, bias=False, diagonal=True, sigma=1.0, start=0.0)
    model = Model([cell], ts.Heads(1, [2], 2, False, generator)).double()
    with torch.no_grad():
        cell.recurrent.weight.fill_(0.5)
        cell.input.weight.zero_()
    found = analysis.lyapunov(model, 1, n_trials=20, n_steps=2000, burn_in=100).exponents.mean().item()
    h, growth, rng = np.zeros(20), [], np.random.default_rng(0)
    for t in range(2100):
        h = np.tanh(0.5 * h + rng.standard_normal(20))
        if t >= 100:
            growth.append(np.log(0.5 * (1 - h**2)).mean())
    assert found == pytest.approx(np.mean(growth), abs=0.03)
    assert found < math.log(0.5) - 0.1


def test_trials_are_run_with_noise_too() -> None:
    generator = torch.Generator().manual_seed(0)
    cell = ts.LeakyCell(50, 6, generator, afunc="tanh", sigma=2.0)
    model = Model([cell], ts.Heads(6, (1,), 1, True, generator))
    quiet = copy.deepcopy(model)
    quiet.layers[0].sigma = 0.0
    noisy, silent = (analysis.trial_lyapunov(one, TRIALS, 2, n_trials=5).exponents for one in (model, quiet))
    assert not np.array_equal(noisy, silent)
