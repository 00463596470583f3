"""Modes: Jacobians against automatic and finite differences, eigenvalues against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from problems import linear_model
from rounding import assert_same_spectrum
from tauscope import InputError, LeakyRNN, Model, Parity
from tauscope.analysis.lyapunov import flatten
from tauscope.analysis.modes import modes, step_jacobian
from tauscope.models import BalancedRNN
from tauscope.tasks import Tracking
from zoo import ZOO


def as_complex(values: np.ndarray) -> np.ndarray:
    return values[..., 0] + 1j * values[..., 1]


@pytest.mark.parametrize("name", list(ZOO))
def test_jacobians_are_those_of_finite_differences(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator).double()
    state = tuple(
        tuple(torch.rand(2, h.shape[1], generator=generator, dtype=torch.float64) - 0.4 for h in one)
        for one in model.initial_state(2)
    )
    x = torch.ones(2, 1, dtype=torch.float64)
    found = step_jacobian(model, state, x).detach()
    z, step = flatten(model, state)
    h = 1e-6
    for j in range(z.shape[1]):
        up, down = z.clone(), z.clone()
        up[:, j] += h
        down[:, j] -= h
        torch.testing.assert_close(
            found[:, :, j], (step(x, up) - step(x, down)).detach() / (2 * h), rtol=1e-5, atol=1e-8
        )


def states_at_the_end(model: BalancedRNN, task: Tracking, n_trials: int, seed: int) -> Tensor:
    """Return the states before the last step, from the same chances as `modes`."""
    generator = torch.Generator().manual_seed(seed)
    inputs = task.sample(n_trials, generator).inputs.to(next(model.parameters()))
    noise = model.draw_noise(len(inputs) - 1, n_trials, generator)
    return model(inputs[:-1], noise=noise)[0][-1].detach()


@pytest.mark.parametrize("dt", [0.2, 0.05])
@pytest.mark.parametrize("afunc", ["relu", "tanh"])
def test_eigenvalues_are_those_of_J_times_the_slopes(afunc: str, dt: float, generator: torch.Generator) -> None:
    model = BalancedRNN(15, n_inputs=2, generator=generator, g=0.9, balance=2.0, afunc=afunc, dt=dt).double()
    task = Tracking(n_signals=2, n_steps=20)
    result = modes(model, task, n_trials=3, generator=torch.Generator().manual_seed(4))
    x = states_at_the_end(model, task, 3, 4).numpy()
    slopes = (x > 0).astype(float) if afunc == "relu" else 1 - np.tanh(x) ** 2
    J = model.layers[0].recurrent_weights.detach().numpy()
    for trial in range(3):
        K = J @ np.diag(slopes[trial])
        found = as_complex(result.eigenvalues.values[trial])
        assert_same_spectrum(found, np.linalg.eigvals(K), 1e-8)
        assert result.outlier.values[trial] == pytest.approx(np.linalg.eigvals(K).real.min())
        assert result.uniform_mode.values[trial] == pytest.approx(K.sum() / 15)
        step = (1 - dt) * np.eye(15) + dt * K
        assert_same_spectrum(as_complex(result.step_eigenvalues.values[trial]), np.linalg.eigvals(step), 1e-8)
        assert (np.diff(np.abs(found)) <= 1e-9).all()
    assert 0 < slopes.mean() < 1


@pytest.mark.parametrize("b", [1.0, 5.0])
def test_the_outlier_is_b_times_the_share_of_active_units(b: float, generator: torch.Generator) -> None:
    """J = -b/N off the diagonal and k active units: -b (k - 1)/N once, b/N otherwise, 0 for the silent ones."""
    n = 40
    model = BalancedRNN(n, generator=generator, balance=b, g=0.0).double()
    result = modes(model, Tracking(), n_trials=4, generator=torch.Generator().manual_seed(2))
    active = (states_at_the_end(model, Tracking(), 4, 2) > 0).sum(dim=1).numpy()
    assert ((active > 5) & (active < n)).all()
    np.testing.assert_allclose(result.outlier, -b * (active - 1) / n, rtol=1e-6)
    np.testing.assert_allclose(result.uniform_mode, -b * active * (n - 1) / n**2, rtol=1e-6)
    for trial, k in enumerate(active):
        expected = np.array([-b * (k - 1) / n, *[b / n] * (k - 1), *[0.0] * (n - k)])
        np.testing.assert_allclose(np.sort(result.eigenvalues.values[trial, :, 0]), np.sort(expected), atol=1e-7)


def test_a_leaky_network_has_the_eigenvalues_of_its_weights(generator: torch.Generator) -> None:
    model = LeakyRNN(8, form="mod", afunc="relu", tau=4.0, generator=generator).double()
    with torch.no_grad():
        model.layers[0].input.bias.fill_(10.0)
    result = modes(model, Parity([2], length=6), n_trials=2)
    W = model.layers[0].recurrent_weights.detach().numpy()
    for trial in range(2):
        assert_same_spectrum(as_complex(result.eigenvalues.values[trial]), np.linalg.eigvals(W), 1e-8)


def test_without_one_common_timescale_only_the_step_is_measured(generator: torch.Generator) -> None:
    W = np.random.default_rng(0).normal(size=(5, 5)) / 4
    model: Model = linear_model(W, np.ones((5, 1)))
    for one in (model, LeakyRNN(5, generator=generator)):
        result = modes(one, Parity([2], length=5), n_trials=1)
        assert result[["eigenvalues", "outlier", "uniform_mode"]].to_array().isnull().all()
        assert result.step_eigenvalues.notnull().all()
    result = modes(model, Parity([2], length=5), n_trials=1)
    assert_same_spectrum(as_complex(result.step_eigenvalues.values[0]), np.linalg.eigvals(W), 1e-9)


def test_the_network_runs_with_its_noise(generator: torch.Generator) -> None:
    model = BalancedRNN(30, generator=generator, balance=3.0)
    result = modes(model, Tracking(amplitude=1e-6), n_trials=5)
    # Without noise all trials would be alike, and all units active.
    assert float(result.uniform_mode.std()) > 0.05


def test_a_trial_of_one_step_is_enough(generator: torch.Generator) -> None:
    result = modes(BalancedRNN(4, generator=generator), Tracking(n_steps=1), n_trials=2)
    assert result.eigenvalues.shape == (2, 4, 2)


def test_a_network_that_runs_away_is_refused(generator: torch.Generator) -> None:
    model = BalancedRNN(4, generator=generator)
    with torch.no_grad():
        model.layers[0].recurrent.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="the activity is not finite"):
        modes(model, Tracking(), n_trials=1)
    with pytest.raises(InputError, match="number of trials is 0"):
        modes(model, Tracking(), n_trials=0)
