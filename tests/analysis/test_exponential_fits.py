"""The batched fits against known parameters, other starting points and scipy's fit of one series at a time."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import OptimizeWarning, curve_fit

import tauscope as ts
from tauscope.analysis.autocorrelation import autocovariance
from tauscope.analysis.exponential_fits import ExponentialFits, fit_exponentials
from tauscope.errors import InputError

LAGS = np.arange(31.0)
SINGLE_STARTS = [(0.5, tau) for tau in (0.3, 1, 5, 50)]
DOUBLE_STARTS = [(0.9, *pair, c) for pair in ((0.3, 3), (0.5, 20), (2, 8), (2, 40)) for c in (0.1, 0.9)]


def one(lags, a, tau):
    return a * np.exp(-lags / tau)


def two(lags, a, tau1, tau2, c):
    return a * (c * np.exp(-lags / tau1) + (1 - c) * np.exp(-lags / tau2))


def scipy_rss(model, series: np.ndarray, starts, upper) -> float:
    """Smallest residual sum of `curve_fit` over the starting points; ``None`` is its own, the middle of the bounds."""
    best = np.inf
    for start in starts:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (RuntimeWarning, OptimizeWarning))
            try:
                found, _ = curve_fit(model, LAGS, series, p0=start, bounds=(np.zeros(len(upper)), upper), maxfev=2000)
            except RuntimeError:
                continue
        best = min(best, np.square(model(LAGS, *found) - series).sum())
    return best


def scipy_fits(data: np.ndarray, singles=(None,), doubles=(None,)) -> tuple[np.ndarray, np.ndarray]:
    """Residual sums [series, 2] and numbers of exponentials [series] of `curve_fit`."""
    rss = np.array([[scipy_rss(one, y, singles, (1, 100)), scipy_rss(two, y, doubles, (1, 100, 100, 1))] for y in data])
    aic = 2 * np.array([2, 4]) + LAGS.size * np.log(rss / LAGS.size)
    return rss, 1 + (aic[:, 1] < aic[:, 0])


def noisy_autocorrelations(n: int, seed: int = 0) -> np.ndarray:
    """Autocorrelations such as networks have: one or two exponentials, some oscillating, and noise."""
    generator = np.random.default_rng(seed)
    tau = np.exp(generator.uniform(np.log(0.3), np.log(40), (2, n, 1)))
    c = generator.uniform(0, 1, (n, 1)) ** 2
    turn = np.where(generator.random((n, 1)) < 0.3, generator.uniform(0, 2, (n, 1)), 0)
    data = c * np.exp(-LAGS / tau[0]) + (1 - c) * np.exp(-LAGS / tau[1]) * np.cos(turn * LAGS)
    data[:, 1:] += generator.normal(0, 0.01, (n, LAGS.size - 1))
    return data


def reconstructed(fits: ExponentialFits) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(LAGS == 0, 1.0, np.exp(-LAGS / fits.double_tau[..., None]))
    return np.nansum(fits.double_amplitude[..., None] * terms, -2)


@settings(max_examples=50, deadline=None)
@given(tau=st.floats(0.2, 99), amplitude=st.floats(0.05, 1))
@example(tau=52.3125, amplitude=0.96875)
def test_one_exponential_is_recovered(tau, amplitude):
    fits = fit_exponentials(one(LAGS, amplitude, tau))
    assert fits.n_exponentials == 1
    assert fits.tau == pytest.approx(tau, rel=1e-4)
    assert fits.single_amplitude == pytest.approx(amplitude, rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(fast=st.floats(0.3, 4), ratio=st.floats(4, 20), c=st.floats(0.1, 0.9), amplitude=st.floats(0.3, 1))
def test_two_exponentials_are_recovered(fast, ratio, c, amplitude):
    fits = fit_exponentials(two(LAGS, amplitude, fast, fast * ratio, c))
    assert fits.n_exponentials == 2
    assert fits.tau == pytest.approx(fast * ratio, rel=1e-3)
    np.testing.assert_allclose(fits.double_tau, [fast * ratio, fast], rtol=1e-3)
    np.testing.assert_allclose(fits.double_amplitude, [amplitude * (1 - c), amplitude * c], rtol=1e-2)


def test_results_are_what_they_say():
    data = noisy_autocorrelations(300)
    fits = fit_exponentials(data)
    np.testing.assert_allclose(np.square(reconstructed(fits) - data).sum(-1), fits.rss[:, 1], rtol=1e-9)
    np.testing.assert_allclose(fits.aic, [4, 8] + LAGS.size * np.log(fits.rss / LAGS.size))
    np.testing.assert_array_equal(fits.n_exponentials, 1 + np.argmin(fits.aic, -1))
    slower = np.where(fits.n_exponentials == 1, fits.single_tau, fits.double_tau[:, 0])
    np.testing.assert_array_equal(fits.tau, slower)
    assert (fits.rss[:, 1] <= fits.rss[:, 0] * (1 + 1e-9)).all(), "the larger model contains the smaller one"
    assert (fits.double_amplitude >= 0).all(), "bounds"
    assert fits.double_amplitude.sum(-1).max() <= 1 + 1e-12, "bounds"
    assert np.nanmax(fits.double_tau) <= 100 + 1e-9, "bounds"


def test_no_series_affects_another():
    data = noisy_autocorrelations(200)
    together, alone = fit_exponentials(data), fit_exponentials(data[77])
    # The sum of squares is flat at its optimum, whose place is known to the square root of the precision.
    np.testing.assert_allclose(together.tau[77], alone.tau, rtol=np.finfo(float).eps ** 0.5)
    cube = fit_exponentials(data.reshape(4, 50, -1))  # which are the same calls
    np.testing.assert_array_equal(cube.tau.ravel(), together.tau)
    assert cube.aic.shape == (4, 50, 2)


def test_agrees_with_curve_fit_from_many_starting_points():
    data = noisy_autocorrelations(50)
    rss, chosen = scipy_fits(data, SINGLE_STARTS, DOUBLE_STARTS)
    fits = fit_exponentials(data)
    assert (fits.rss <= rss * (1 + 1e-6)).all()
    assert (fits.n_exponentials == chosen).mean() >= 0.98


def test_where_curve_fit_from_its_own_start_differs_the_batched_fit_is_closer():
    data = noisy_autocorrelations(60)
    rss, chosen = scipy_fits(data)
    fits = fit_exponentials(data)
    assert (fits.rss <= rss * (1 + 1e-6)).all()
    differs = fits.n_exponentials != chosen
    assert (fits.rss < rss * (1 - 1e-4)).any(-1)[differs].all()


@pytest.mark.reference
@pytest.mark.parametrize("checkpoint", ["cumulative_parity_network_1/rnn_N2_N8", "single_parity_network_1/rnn_N8_N8"])
def test_published_networks(checkpoint, reference, generator):
    model = ts.load(reference / "trained_models" / checkpoint)
    bits = (torch.rand(3000, 10, 1, generator=generator) < torch.rand(10, 1, generator=generator)).float()
    with torch.no_grad():
        states, _ = model(bits, model.initial_state(10, generator))
    covariance = autocovariance(states[500:, :, ::20], 30, normalization="published").covariance.mean(0).numpy()
    data = covariance / covariance[:, :1]
    fits = fit_exponentials(data)
    rss, chosen = scipy_fits(data)
    assert (fits.rss <= rss * (1 + 1e-6)).all()
    assert (fits.rss < rss * (1 - 1e-4)).any(-1)[fits.n_exponentials != chosen].all()
    _, chosen = scipy_fits(data, SINGLE_STARTS, DOUBLE_STARTS)
    assert (fits.n_exponentials == chosen).mean() >= 0.98


def test_one_exponential_is_kept_where_it_fits_within_the_sampling_error():
    drift = one(LAGS, 1, 5) + 0.01 * (LAGS > 0) * np.exp(-LAGS / 80)
    assert fit_exponentials(drift).n_exponentials == 2
    kept, dropped = fit_exponentials(np.stack([drift, drift]), standard_error=np.array([0.01, 0.001])).n_exponentials
    assert (kept, dropped) == (1, 2)


def test_bounds_are_flagged():
    slower, white = one(LAGS, 0.9, 300.0), np.where(LAGS == 0, 1.0, -0.01)
    fits = fit_exponentials(np.stack([slower, white, one(LAGS, 1, 7)]))
    assert fits.at_bound.tolist() == [1, -1, 0]
    assert fits.tau[0] == pytest.approx(100)
    assert fits.tau[1] == 0
    assert fit_exponentials(slower, tau_max=1000).at_bound == 0


def test_a_component_of_no_amplitude_has_no_timescale():
    white = np.where(LAGS == 0, 1.0, -0.01)
    fits = fit_exponentials(white)
    np.testing.assert_array_equal(np.isnan(fits.double_tau), fits.double_amplitude == 0)


def test_series_that_are_not_finite_are_not_fitted():
    data = np.stack([np.full(31, np.nan), one(LAGS, 1, 5)])
    data = np.concatenate([data, np.where(LAGS == 3, np.inf, data[1:])])
    fits = fit_exponentials(data)
    assert fits.n_exponentials.tolist() == [0, 1, 0]
    assert np.isnan(fits.tau).tolist() == [True, False, True]
    assert np.isnan(fits.aic[0]).all()


def test_nothing_to_fit():
    assert fit_exponentials(np.empty((0, 31))).tau.shape == (0,)
    assert np.isnan(fit_exponentials(np.full((2, 31), np.nan)).tau).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(4),), "at least 5 lags"),
        ((np.array(1.0),), "at least 5 lags"),
        ((np.ones(31), 0.0), "tau_max is 0.0"),
        ((np.ones(31), np.inf), "tau_max is inf"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        fit_exponentials(*arguments)
