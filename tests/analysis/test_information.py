"""Information rates against closed forms of linear channels, and against scipy's coherence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import linear_model
from tauscope import InputError
from tauscope.analysis import information, information_rate, linear_information_rate
from tauscope.analysis.information import noisy_states
from tauscope.models import BalancedRNN
from tauscope.tasks import Tracking
from tauscope.tasks.tracking import ornstein_uhlenbeck


@pytest.mark.parametrize(("snr", "dt"), [(0.1, 1.0), (1.0, 0.2), (20.0, 0.05)])
def test_a_white_channel_has_shannons_capacity(snr: float, dt: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_000)
    y = 3 - 0.4 * (math.sqrt(snr) * x + rng.normal(size=x.shape))
    result = information_rate(x, y, dt, segment=128)
    expected = 0.5 * math.log2(1 + snr) / dt
    assert result.information_rate.item() - result.bias.item() == pytest.approx(expected, rel=0.03)
    assert result.frequency.values[-1] == pytest.approx(0.5 / dt)


def test_what_is_filtered_afterwards_tells_as_much() -> None:
    """Signal and noise pass one filter, which cancels from the coherence."""
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=(2, 100_000))
    plain = information_rate(x, x + noise, 1.0).information_rate.item()
    filtered = scipy.signal.lfilter([1.0], [1.0, -0.6], x + noise)
    assert information_rate(x, filtered, 1.0).information_rate.item() == pytest.approx(plain, rel=0.01)


def test_one_trial_has_the_coherence_of_scipy() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=3000)
    y = np.cumsum(x) * 0.1 + rng.normal(size=3000)
    frequency, coherence = scipy.signal.coherence(x, y, fs=5.0, nperseg=200)
    result = information_rate(x, y, 0.2, segment=200)
    np.testing.assert_allclose(result.coherence, coherence)
    np.testing.assert_allclose(result.frequency, frequency)
    expected = scipy.integrate.trapezoid(-np.log2(1 - coherence), frequency)
    assert result.information_rate.item() == pytest.approx(expected)


def test_trials_count_as_one_long_recording() -> None:
    rng = np.random.default_rng(3)
    x, noise = rng.normal(size=(2, 40_000))
    whole = information_rate(x, x + noise, 1.0, segment=100)
    cut = information_rate(x.reshape(20, -1).T, (x + noise).reshape(20, -1).T, 1.0, segment=100)
    assert cut.information_rate.item() == pytest.approx(whole.information_rate.item(), rel=0.02)
    assert cut.attrs["n_trials"] == 20


@pytest.mark.parametrize(("n_steps", "segment", "n_trials"), [(20_000, 256, 1), (4000, 100, 5)])
def test_bias_is_what_is_found_where_there_is_nothing(n_steps: int, segment: int, n_trials: int) -> None:
    rng = np.random.default_rng(4)
    found, bias = [], 0.0
    for _ in range(30):
        x, y = rng.normal(size=(2, n_steps, n_trials))
        result = information_rate(x, y, 0.5, segment=segment)
        found.append(result.information_rate.item())
        bias = result.bias.item()
    error = np.std(found) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(bias, abs=4 * error + 0.02 * bias)


@settings(deadline=None, max_examples=25)
@given(gain=st.floats(0.01, 100), shift=st.floats(-10, 10), seed=st.integers(0, 2**31))
def test_units_and_offsets_tell_nothing(gain: float, shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, 1000))
    plain = information_rate(x, x + noise, 1.0, segment=100).information_rate.item()
    scaled = information_rate(shift - gain * x, gain * (x + noise) + shift, 1.0, segment=100)
    assert scaled.information_rate.item() == pytest.approx(plain, rel=1e-6)


def test_perfect_and_constant_responses() -> None:
    x = np.random.default_rng(5).normal(size=1000)
    assert 40 < information_rate(x, 2 * x, 1.0, segment=100).information_rate.item() / 0.5 <= 52.1
    assert information_rate(x, np.zeros(1000), 1.0, segment=100).information_rate.item() == 0


@pytest.mark.parametrize(
    ("x", "y", "segment", "message"),
    [
        (np.ones(10), np.ones(9), 2, r"signal \(10, 1\) and response \(9, 1\)"),
        (np.ones(10), np.full(10, np.nan), 2, "expected finite numbers"),
        (np.ones(10), np.ones(10), 6, "a window of 6 steps: expected 2 ... 5, half the 10 steps"),
        (np.ones(10), np.ones(10), 1, "a window of 1 steps"),
    ],
)
def test_recordings_that_cannot_be_used_are_refused(x: np.ndarray, y: np.ndarray, segment: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        information_rate(x, y, 1.0, segment=segment)


@pytest.mark.parametrize("std", [0.05, 0.4, 3.0])
@pytest.mark.parametrize("dt", [0.2, 0.01])
def test_the_linear_rate_is_the_integral_of_its_coherence(std: float, dt: float) -> None:
    rho = math.exp(-dt / 0.5)

    def integrand(f: float) -> float:
        signal = std**2 * dt * (1 - rho**2) / (1 - 2 * rho * math.cos(2 * math.pi * f * dt) + rho**2)
        coherence = signal / (signal + 1.7**2 / 80)
        return -math.log2(1 - coherence)

    expected = scipy.integrate.quad(integrand, 0, 0.5 / dt, limit=200)[0]
    found = linear_information_rate(std, n_units=80, sigma=1.7, tau_signal=0.5, dt=dt)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_the_linear_rate_without_time_steps() -> None:
    K = 2 * 80 * 0.4**2 * 0.5 / 1.7**2
    expected = (math.sqrt(1 + K) - 1) / (2 * 0.5 * math.log(2))
    found = linear_information_rate(0.4, n_units=80, sigma=1.7, tau_signal=0.5, dt=1e-6)
    assert float(found) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("b", [0.0, 2.0, 8.0])
def test_a_network_in_its_linear_range_has_the_linear_rate(b: float, generator: torch.Generator) -> None:
    """With every unit active at all times, rectification does nothing; the rate does not depend on the feedback."""
    n, dt, mean = 50, 0.05, 15.0 * (1 + b)
    model = BalancedRNN(n, generator=generator, balance=b, g=0.0, dt=dt, mean_input=mean)
    task = Tracking(dt=dt, tau_signal=0.5, mean=mean, amplitude=0.6)
    result = information(model, task, n_steps=20_000, n_trials=2)
    expected = linear_information_rate(task.std, n_units=n, sigma=1.0, tau_signal=0.5, dt=dt)
    assert result.rate_information.item() - result.bias.item() == pytest.approx(float(expected), rel=0.06)


def test_outputs_tell_of_the_signals_that_they_follow() -> None:
    """Unit k of a linear network repeats signal k, and the outputs read units 2 and 1."""
    model = linear_model(np.zeros((2, 2)), np.eye(2))
    model.heads.shared = True
    with torch.no_grad():
        model.heads.linears[0].weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    task = Tracking(n_signals=2)
    result = information(model, task, n_steps=6000, segment=64)
    rates = result.output_information.values
    assert (rates[[0, 1], [1, 0]] > 50).all()
    assert (rates.diagonal() < 5 * result.bias.item()).all()
    # Each signal is half of what the mean of both units does.
    capacity = 0.5 / task.dt
    np.testing.assert_allclose(result.rate_information, capacity, rtol=0.1)
    assert result.rate_coherence.dims == ("signal", "frequency")


def test_a_network_that_does_not_fit_its_task_is_refused(generator: torch.Generator) -> None:
    model = BalancedRNN(4, generator=generator)
    with pytest.raises(InputError, match="a network with 1 inputs: expected one for each of the 2 signals"):
        information(model, Tracking(n_signals=2))
    with pytest.raises(InputError, match=r"the network's dt is 0.2, the task's 0.1"):
        information(model, Tracking(dt=0.1))
    with torch.no_grad():
        model.layers[0].recurrent.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="the activity is not finite"):
        information(model, Tracking(), n_steps=600)


def test_networks_run_with_their_noise_if_they_have_any(generator: torch.Generator) -> None:
    inputs = torch.ones(50, 3, 1)
    noisy = noisy_states(BalancedRNN(6, generator=generator), inputs, generator)
    assert float(noisy.std(dim=1).mean()) > 0.3
    quiet = noisy_states(BalancedRNN(6, generator=generator, sigma=0.0), inputs, generator)
    assert float(quiet.std(dim=1).max()) < 1e-6
    assert noisy_states(linear_model(np.eye(2) / 2, np.ones((2, 1))), inputs, generator).shape == (50, 3, 2)


def test_the_signal_of_the_task_is_what_is_shown(generator: torch.Generator) -> None:
    """The information of a noiseless read-out is that of its double precision, for signals of any time constant."""
    signal = ornstein_uhlenbeck(4000, (1,), 0.9, generator)[:, 0].double().numpy()
    result = information_rate(signal, signal + np.random.default_rng(0).normal(size=4000), 1.0)
    rho = 0.9
    A = 1 + rho**2 + (1 - rho**2)
    expected = math.log2((A + math.sqrt(A * A - 4 * rho**2)) / 2) / 2
    assert result.information_rate.item() - result.bias.item() == pytest.approx(expected, rel=0.15)
