"""Whether a fit describes what it was fitted to: systems whose autocorrelation is known, and is or is no decay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from problems import linear_model
from tauscope import Model
from tauscope.analysis.fit_quality import SAMPLING, TOLERANCE, fitted_curve, is_described, with_goodness
from tauscope.analysis.timescales import timescales, timescales_summary
from tauscope.measurements.numbers import timescale_numbers

QUICK: dict[str, Any] = {"n_trials": 5, "n_steps": 4000, "burn_in": 200, "max_lag": 60, "p": 0.5, "bootstrap": 20}
FLAGS = ("residual_ratio", "largest_residual", "poor_fit", "oscillates")


def block_diagonal(*blocks: np.ndarray) -> Model:
    """Return a linear network of independent parts, each driven by the bits in its first unit."""
    size = sum(len(block) for block in blocks)
    W, V, first = np.zeros((size, size)), np.zeros((size, 1)), 0
    for block in blocks:
        W[first : first + len(block), first : first + len(block)] = block
        V[first], first = 1, first + len(block)
    return linear_model(W, V)


def oscillator(decay: float, period: float) -> np.ndarray:
    """Two units whose autocorrelation is a cosine of this period under e^{-k/decay}, up to a phase."""
    angle = 2 * np.pi / period
    return np.exp(-1 / decay) * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def decay(tau: float) -> np.ndarray:
    """One unit whose autocorrelation is e^{-k/τ}."""
    return np.array([[np.exp(-1 / tau)]])


@pytest.mark.parametrize(
    "system",
    [oscillator(30, 10), oscillator(100, 4), oscillator(20, 40), oscillator(5, 8), np.array([[-0.8]])],
    ids=["30/10", "100/4", "20/40", "5/8", "alternating"],
)
def test_an_oscillation_is_no_timescale(system: np.ndarray) -> None:
    result = timescales(block_diagonal(system), **QUICK)
    assert result.poor_fit.all()
    assert result.oscillates.all()
    assert (result.residual_ratio > SAMPLING).all()
    assert result.tau_net.notnull().all(), "what the fit found is kept"
    assert result.tau_net_low.isnull().all()
    assert timescales_summary(result).n_units.values.tolist() == [0, 0]


def test_a_plateau_that_ends_is_fitted_poorly_but_does_not_oscillate() -> None:
    # Each unit hands on the bits of the last 12 steps: the last one's sum has an autocorrelation that falls linearly.
    line = np.diag(np.ones(11), -1)
    W, V = np.zeros((13, 13)), np.zeros((13, 1))
    W[:12, :12], W[12, :12], V[0] = line, 1.0, 1.0
    unit = timescales(linear_model(W, V), **QUICK | {"n_steps": 20_000, "max_lag": 40}).isel(unit=12)
    expected = np.clip(1 - np.arange(31) / 12, 0, None)
    np.testing.assert_allclose(unit.autocorrelation[:31], expected, atol=0.05)
    assert not bool(unit.oscillates)
    assert float(unit.largest_residual) > 0.1
    assert float(unit.residual_ratio) > SAMPLING


@pytest.mark.parametrize("tau", [0.7, 3.0, 12.0])
@pytest.mark.parametrize("n_steps", [200, 4000])
def test_what_decays_is_described_also_by_a_short_recording(tau: float, n_steps: int) -> None:
    result = timescales(block_diagonal(*[decay(tau)] * 3), **QUICK | {"n_steps": n_steps, "split": 1})
    assert not result.poor_fit.any()
    assert is_described(result).all()
    assert (result.residual_ratio < SAMPLING).all()


def test_goodness_is_that_of_the_residuals() -> None:
    result = timescales(block_diagonal(decay(3), oscillator(30, 10)), **QUICK)
    lags = np.arange(31)
    for i in range(3):
        unit = result.isel(unit=i)
        residual = unit.autocorrelation.values[:31] - fitted_curve(unit, lags).values
        rss = float(unit.rss.sel(exponentials=int(unit.n_exponentials)))
        assert np.square(residual).sum() == pytest.approx(rss, rel=1e-6)
        assert float(unit.residual_ratio) == pytest.approx((rss / 31) ** 0.5 / float(unit.standard_error))
        assert float(unit.largest_residual) == pytest.approx(np.abs(residual).max())
        assert bool(unit.poor_fit) == (float(unit.residual_ratio) > 2 and np.abs(residual).max() > TOLERANCE)


def test_means_and_numbers_count_what_is_described_and_say_what_is_not() -> None:
    result = timescales(block_diagonal(decay(3), decay(6), oscillator(30, 10)), **QUICK | {"n_steps": 20_000})
    good = result.tau_net.values[:2]
    np.testing.assert_allclose(good, [3, 6], rtol=0.1)
    numbers = timescale_numbers(result)
    assert numbers["mean tau_net, all units (steps)"] == pytest.approx(good.mean())
    assert numbers["STD tau_net, units > 1 (steps)"] == pytest.approx(good.std())
    counts = ("units", "units fitted", "units fitted poorly", "units fitted poorly that oscillate")
    assert [numbers[name] for name in counts] == [4, 2, 2, 2]


def test_results_of_earlier_versions_are_judged_too() -> None:
    result = timescales(block_diagonal(decay(3), oscillator(30, 10)), **QUICK)
    earlier = result.drop_vars(FLAGS)
    assert is_described(earlier).values.tolist() == [True, False, False]
    assert timescale_numbers(earlier) == timescale_numbers(result)
    xr.testing.assert_identical(with_goodness(earlier)[list(FLAGS)], result[list(FLAGS)])


def test_the_published_method_counts_every_unit_as_the_paper() -> None:
    result = timescales(block_diagonal(decay(3), oscillator(30, 10)), method="published", **QUICK | {"bootstrap": 0})
    assert result.poor_fit.values.tolist() == [False, True, True]
    assert is_described(result).all()
    assert timescales_summary(result).n_units[0] == 3


def test_at_the_upper_bound_an_interval_has_a_lower_limit_alone() -> None:
    result = timescales(block_diagonal(decay(400), decay(5)), **QUICK | {"n_steps": 20_000})
    slow, fast = result.isel(unit=0), result.isel(unit=1)
    assert int(slow.at_bound) == 1
    assert np.isposinf(slow.tau_net_high)
    assert 5 < float(slow.tau_net_low) <= 100 + 1e-9
    assert np.isnan(slow.tau_net_std), "a spread of numbers that are cut off is no spread"
    assert float(fast.tau_net_low) < 5 < float(fast.tau_net_high) < 6
    assert timescale_numbers(result)["units with tau_net at its bound of 100 steps"] == 1


def test_near_the_upper_bound_an_interval_is_open_if_resamples_reach_it() -> None:
    model = block_diagonal(*[decay(80)] * 10)
    result = timescales(model, **QUICK | {"n_steps": 4000, "max_lag": 200, "burn_in": 400, "split": 1})
    inside = (result.at_bound == 0) & ~result.poor_fit
    assert not (result.tau_net_high[inside.values] == 100).any()
    assert (np.isinf(result.tau_net_high) | (result.tau_net_high < 100)).all()


def test_at_zero_an_interval_reaches_as_far_as_the_error_of_the_first_lag() -> None:
    # Each unit shows the bit of so many steps ago: nothing is left after a step.
    result = timescales(block_diagonal(np.diag(np.ones(11), -1)), **QUICK)
    zero = result.isel(unit=np.flatnonzero(result.at_bound < 0))
    assert zero.sizes["unit"] > 0
    assert (zero.tau_net_low == 0).all()
    largest = zero.autocorrelation.isel(lag=1).clip(min=0) + 1.96 * zero.standard_error
    assert (zero.tau_net_high >= -1 / np.log(largest) - 1e-12).all()
    assert (zero.tau_net_high < 0.5).all()
    assert zero.tau_net_std.isnull().all()
    assert not zero.poor_fit.any()


def test_one_exponential_is_its_closed_form():
    unit = xr.Dataset({"n_exponentials": 1, "single_tau": 3.0, "single_amplitude": 0.8})
    lags = np.arange(10)
    assert np.allclose(fitted_curve(unit, lags), 0.8 * np.exp(-lags / 3))


def test_two_exponentials_are_the_sum_of_both():
    unit = xr.Dataset(
        {"n_exponentials": 2, "double_tau": ("component", [5.0, 0.5]), "double_amplitude": ("component", [0.7, 0.2])}
    )
    lags = np.arange(10)
    assert np.allclose(fitted_curve(unit, lags), 0.7 * np.exp(-lags / 5) + 0.2 * np.exp(-2 * lags))


@pytest.mark.parametrize("n", [1, 2])
def test_a_component_of_no_duration_is_there_at_lag_0_alone(n):
    unit = xr.Dataset(
        {
            "n_exponentials": n,
            "single_tau": 0.0,
            "single_amplitude": 0.9,
            "double_tau": ("component", [0.0, 0.0]),
            "double_amplitude": ("component", [0.5, 0.4]),
        }
    )
    assert fitted_curve(unit, np.array([0, 1, 2])).values.tolist() == [0.9, 0.0, 0.0]
