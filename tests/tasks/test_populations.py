"""Poisson populations against their likelihood written out, and spreading against independent counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rounding import tolerance
from tauscope import InputError
from tauscope.tasks.populations import CircularTuning, GaussianTuning, Tuning, spread, sweeping_bump

P_VALUE = 1e-3


def log_likelihood(tuning: Tuning, counts: np.ndarray, stimuli: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Return the Poisson log-likelihood ``[trial, stimulus]`` of counts ``[trial, neuron]``, count by count."""
    rates = gain * tuning.rates(torch.as_tensor(stimuli)).numpy()
    return np.array([[stats.poisson.logpmf(one, rate).sum() for rate in rates] for one in counts])


def circular_rates(phi: np.ndarray, s: float, kappa: float) -> np.ndarray:
    return np.exp(kappa * (np.cos(2 * (s - phi)) - 1))


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=12), n_slots=st.integers(1, 9), seed=st.integers(0, 2**31)
)
def test_spread_spikes_are_whole_and_sum_to_their_counts(counts: list[int], n_slots: int, seed: int) -> None:
    given_counts = torch.tensor(counts, dtype=torch.float32).view(-1, 1)
    slots = spread(given_counts, n_slots, torch.Generator().manual_seed(seed))
    assert slots.shape == (n_slots, len(counts), 1)
    assert slots.dtype == torch.float32
    assert torch.equal(slots, slots.round())
    assert bool((slots >= 0).all())
    assert torch.equal(slots.sum(dim=0), given_counts)
    assert torch.equal(slots, spread(given_counts, n_slots, torch.Generator().manual_seed(seed)))


def test_spread_poisson_counts_are_independent_poisson_counts(generator: torch.Generator) -> None:
    n, mean, n_slots = 60_000, 1.2, 3
    slots = spread(torch.poisson(torch.full((n,), mean), generator=generator), n_slots, generator).numpy()
    expected = stats.poisson.pmf(np.arange(4), mean / n_slots)
    # All combinations of counts in two slots: this tests their distribution and their independence at once.
    table, *_ = np.histogram2d(slots[0], slots[2], bins=[np.arange(5) - 0.5] * 2)
    joint = np.outer(expected, expected)
    common = joint * n > 5
    observed = np.append(table[common], n - table[common].sum())
    assert stats.chisquare(observed, n * np.append(joint[common], 1 - joint[common].sum())).pvalue > P_VALUE


def test_circular_rates_are_those_of_the_equation() -> None:
    tuning = CircularTuning(7, kappa=1.5)
    phi = np.pi * np.arange(7) / 7
    np.testing.assert_allclose(tuning.preferred().numpy(), phi, rtol=tolerance(torch.float32))
    for s in (0.0, 0.4, 3.0):
        rates = tuning.rates(torch.tensor(s, dtype=torch.float64))
        # By the slope of log rate in φ, at most 2κ, from orientations of up to π in float32.
        allowed = 2 * 1.5 * math.pi * tolerance(torch.float32)
        np.testing.assert_allclose(rates.numpy(), circular_rates(phi, s, 1.5), rtol=allowed)


def test_every_orientation_is_met_with_as_many_spikes_unless_two_neurons_stand_at_one_place() -> None:
    stimuli = torch.linspace(0, math.pi, 100, dtype=torch.float64)
    total = CircularTuning().rates(stimuli).sum(dim=-1)
    assert float(total.max() - total.min()) < 1e-5
    both = CircularTuning(both_ends=True)
    assert both.preferred()[[0, -1]].tolist() == pytest.approx([0.0, math.pi])
    excess = both.rates(stimuli).sum(dim=-1).numpy() - CircularTuning(49).rates(stimuli).sum(dim=-1).numpy()
    np.testing.assert_allclose(excess, circular_rates(np.array(0.0), stimuli.numpy(), 2.0), atol=1e-5)


def test_an_estimate_is_the_most_likely_orientation_of_a_grid(generator: torch.Generator) -> None:
    tuning = CircularTuning()
    stimuli = math.pi * torch.rand(20, generator=generator, dtype=torch.float64)
    counts = torch.poisson(tuning.rates(stimuli), generator=generator)
    grid = np.arange(720) * np.pi / 720
    best = grid[log_likelihood(tuning, counts.numpy(), grid).argmax(axis=1)]
    found = tuning.estimate(counts).numpy()
    assert ((found >= 0) & (found < np.pi)).all()
    distance = np.abs(found - best)
    assert np.minimum(distance, np.pi - distance).max() <= np.pi / 720


def test_resultant_and_posterior_mean_of_an_orientation(generator: torch.Generator) -> None:
    tuning = CircularTuning(20)
    counts = torch.poisson(torch.full((5, 20), 0.4), generator=generator)
    vectors = [sum(r * np.exp(2j * np.pi * i / 20) for i, r in enumerate(one)) for one in counts.tolist()]
    length, angle = tuning.resultant(counts)
    np.testing.assert_allclose(length.numpy(), np.abs(vectors), rtol=1e-6)
    np.testing.assert_allclose(angle.numpy(), np.angle(vectors), rtol=1e-5)
    grid = np.arange(400) * np.pi / 400
    posterior = np.exp(log_likelihood(tuning, counts.numpy(), grid))
    mean = np.angle((posterior * np.exp(2j * grid)).sum(axis=1)) / 2 % np.pi
    np.testing.assert_allclose(tuning.estimate(counts).numpy(), mean, atol=1e-5)


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_posterior_of_places_is_that_of_their_poisson_likelihood(gain: float, generator: torch.Generator) -> None:
    tuning = GaussianTuning(50, 10.0, 50.0)
    places = torch.linspace(-40, 40, 33, dtype=torch.float64)
    counts = torch.poisson(gain * tuning.rates(places[::4]), generator=generator)
    likelihood = np.exp(log_likelihood(tuning, counts.numpy(), places.numpy(), gain))
    expected = likelihood / likelihood.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(tuning.posterior(counts, places, gain).numpy(), expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("in_units", [True, False])
@pytest.mark.parametrize("tuning", [CircularTuning(30), GaussianTuning(30, 15.0, 40.0)])
def test_a_bump_has_the_rates_of_its_equation_in_every_trial(
    tuning: Tuning, in_units: bool, generator: torch.Generator
) -> None:
    n_trials, amplitude = 2000, 0.7
    spikes = sweeping_bump(tuning, amplitude, 40, n_trials, generator, in_units=in_units)
    assert spikes.shape == (40, n_trials, 30)
    low, high = tuning.span
    place, scale = np.linspace(low, high, 40)[:, None], 1.0 if in_units else np.pi / (high - low)
    rates = amplitude * np.exp(-10 * (scale * (place - tuning.preferred().numpy())) ** 2)
    z = (spikes.sum(dim=1).numpy() - n_trials * rates) / np.sqrt(n_trials * np.maximum(rates, 1e-3))
    assert np.abs(z[rates > 1e-3]).max() < 5
    # Spikes of two trials have nothing in common: their covariance about the known mean is 0.
    first, second = spikes[:, 0::2].numpy() - rates[:, None], spikes[:, 1::2].numpy() - rates[:, None]
    covariance, error = (first * second).mean(), (rates**2).mean() ** 0.5 / np.sqrt(first.size)
    assert abs(covariance) < 5 * error


def test_in_units_of_the_axis_the_bump_falls_between_the_neurons_of_a_line(generator: torch.Generator) -> None:
    line = GaussianTuning(50, 15.0, 40.0)
    in_units, scaled = (
        sweeping_bump(line, 1.0, 150, 200, generator, in_units=one).mean().item() for one in (True, False)
    )
    circle = sweeping_bump(CircularTuning(50, both_ends=True), 1.0, 150, 200, generator).mean().item()
    assert scaled == pytest.approx(circle, rel=0.05)
    assert in_units < scaled / 15


@pytest.mark.parametrize("make", [CircularTuning, lambda n: GaussianTuning(n, 1.0, 1.0)])
def test_a_population_needs_two_neurons_and_a_bump_a_step(make: object, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="number of neurons is 1: expected at least 2"):
        make(1)  # type: ignore[operator]
    with pytest.raises(InputError, match="a bump over 0 steps: expected at least 1"):
        sweeping_bump(make(2), 1.0, 0, 1, generator)  # type: ignore[operator]
