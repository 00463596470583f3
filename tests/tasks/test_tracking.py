"""Tracking: signals have the moments of their closed form, and every step is asked that is to be asked."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tauscope import InputError
from tauscope.learning.objectives import answer_penalty
from tauscope.tasks import Tracking
from tauscope.tasks.tracking import ornstein_uhlenbeck

N_MANY = 40_000


def closed_form(n_steps: int, rho: float, from_mean: bool) -> np.ndarray:
    """Return the covariance ``[time, time]`` of an Ornstein-Uhlenbeck process of stationary variance 1."""
    t = np.arange(n_steps)
    variance = 1 - rho ** (2 * t) if from_mean else np.ones(n_steps)
    return rho ** np.abs(t[:, None] - t) * np.minimum(variance[:, None], variance)


@pytest.mark.parametrize("from_mean", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.135, 0.6, 0.97])
def test_signals_have_the_closed_form_covariance(rho: float, from_mean: bool, generator: torch.Generator) -> None:
    signal = ornstein_uhlenbeck(9, (N_MANY,), rho, generator, from_mean=from_mean).double().numpy()
    expected = closed_form(9, rho, from_mean)
    # A product of two Gaussians has the variance C_ii C_jj + C_ij².
    error = np.sqrt((np.outer(expected.diagonal(), expected.diagonal()) + expected**2) / N_MANY)
    assert (np.abs(signal @ signal.T / N_MANY - expected) <= 5 * error + 1e-12).all()
    assert (np.abs(signal.mean(axis=1)) <= 5 * np.sqrt(expected.diagonal() / N_MANY)).all()


@settings(deadline=None, max_examples=60)
@given(n_steps=st.integers(1, 40), rho=st.floats(0, 0.999), from_mean=st.booleans(), seed=st.integers(0, 2**31))
def test_signals_are_those_of_the_recursion(n_steps: int, rho: float, from_mean: bool, seed: int) -> None:
    found = ornstein_uhlenbeck(n_steps, (2, 3), rho, torch.Generator().manual_seed(seed), from_mean=from_mean)
    noise = torch.randn(n_steps, 2, 3, generator=torch.Generator().manual_seed(seed)).double().numpy()
    signal = np.zeros_like(noise)
    for t in range(n_steps):
        if t == 0:
            signal[t] = 0 if from_mean else noise[t]
        else:
            signal[t] = rho * signal[t - 1] + math.sqrt(1 - rho**2) * noise[t]
    np.testing.assert_allclose(found.numpy(), signal, rtol=1e-4, atol=1e-5)


def test_defaults_are_the_published_ones() -> None:
    task = Tracking()
    assert (task.n_steps, task.n_answers, task.mean) == (50, 41, 1.0)
    assert task.std == pytest.approx(0.2236, abs=1e-4)
    # The published code adds this much noise at a step.
    published = 0.1 * math.sqrt((1 - math.exp(-2 * 0.2 / 0.1)) / (2 * 0.1))
    assert task.std * math.sqrt(1 - task.rho**2) == pytest.approx(published)


@settings(deadline=None, max_examples=60)
@given(
    n_signals=st.integers(1, 4),
    n_steps=st.integers(1, 60),
    percent=st.integers(0, 99),
    batch_size=st.integers(1, 5),
    reference=st.booleans(),
)
def test_the_last_steps_are_asked_from_the_given_share_on(
    n_signals: int, n_steps: int, percent: int, batch_size: int, reference: bool
) -> None:
    task = Tracking(n_signals=n_signals, n_steps=n_steps, burn_in=percent / 100, reference=reference)
    batch = task.sample(batch_size, torch.Generator().manual_seed(0))
    asked = [t for t in range(1, n_steps + 1) if t >= Fraction(percent, 100) * n_steps]
    assert batch.inputs.shape == (n_steps, batch_size, n_signals)
    assert batch.targets.shape == (len(asked), batch_size, 1, n_signals)
    assert torch.equal(batch.targets[:, :, 0], batch.inputs[asked[0] - 1 :])
    assert (task.n_inputs, task.heads["out"].n_outputs) == (n_signals, n_signals)
    assert bool((batch.inputs[0] == task.mean).all()) == reference


def test_signals_have_their_mean_and_variance_and_are_independent(generator: torch.Generator) -> None:
    task = Tracking(n_signals=2, n_steps=3, mean=4.0, amplitude=0.3, tau_signal=0.7)
    x = task.sample(N_MANY, generator).inputs.double()
    sd = 0.3 / math.sqrt(1.4)
    assert float(x.mean()) == pytest.approx(4.0, abs=5 * sd / math.sqrt(N_MANY))
    assert float(x.std()) == pytest.approx(sd, rel=0.01)
    (a, b) = x[1].t()
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 5 / math.sqrt(N_MANY)


def some_answers(task: Tracking, batch_size: int = 5) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    generator = torch.Generator().manual_seed(3)
    batch = task.sample(batch_size, generator)
    outputs = torch.randn(batch.targets.shape, generator=generator)
    return batch, outputs, batch.inputs.double().numpy(), outputs.double().numpy()


def test_loss_is_the_published_sum() -> None:
    task = Tracking(n_signals=3)
    batch, outputs, s, r = some_answers(task)
    total = sum(((r[i, trial, 0] - s[50 - 41 + i, trial]) ** 2).sum() for i in range(41) for trial in range(5))
    assert float(task.loss(outputs, batch)) == pytest.approx(total / (5 * 50 * 3), rel=1e-5)


def test_activity_is_the_published_sum_whatever_comes_before_the_asked_steps() -> None:
    batch = Tracking(n_signals=2).sample(4, torch.Generator().manual_seed(0))
    states = torch.randn(50, 4, 7, generator=torch.Generator().manual_seed(0))
    x = states.double().numpy()
    expected = sum((x[t - 1, trial] ** 2).sum() for t in range(10, 51) for trial in range(4)) / (4 * 50 * 2)
    for given_states in (states, states[-41:], states[-45:]):
        assert float(answer_penalty(given_states, batch)) == pytest.approx(expected, rel=1e-5)
    # It is a mean over trials, so that parts of a batch add up by their share.
    parts = 0.25 * answer_penalty(states[:, :1], batch) + 0.75 * answer_penalty(states[:, 1:], batch)
    assert float(parts) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reference", [False, True])
def test_score_is_0_for_the_signal_and_1_for_its_mean(reference: bool, generator: torch.Generator) -> None:
    task = Tracking(n_signals=2, mean=3.0, amplitude=0.5, reference=reference)
    batch = task.sample(4000, generator)
    assert float(task.score(batch.targets, batch)) == task.heads["out"].optimum == 0
    blind = torch.full_like(batch.targets, task.mean)
    assert float(task.score(blind, batch)) == pytest.approx(task.heads["out"].chance, rel=0.01)
    assert task.score(blind, batch).shape == (1,)


def test_chance_comes_from_the_given_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = (Tracking().sample(3, torch.Generator().manual_seed(5)).inputs for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_signals": 0}, "number of signals is 0: expected at least 1"),
        ({"n_steps": 0}, "number of steps is 0: expected at least 1"),
        ({"dt": 0.0}, "dt is 0.0: expected a finite number above 0"),
        ({"tau_signal": math.nan}, "tau_signal is nan: expected a finite number above 0"),
        ({"amplitude": math.inf}, "amplitude is inf: expected a finite number above 0"),
        ({"mean": math.inf}, "mean is inf: expected a finite number"),
        ({"burn_in": 1.0}, r"burn_in is 1.0: expected a share of a trial in \[0, 1\)"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tracking(**options)


def test_a_batch_has_at_least_one_trial(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="batch size is 0"):
        Tracking().sample(0, generator)
