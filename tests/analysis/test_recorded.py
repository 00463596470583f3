"""Timescales of recordings whose timescales are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tauscope import InputError
from tauscope.analysis import bin_spikes, timescales_of
from tauscope.analysis.recorded import first_below


def autoregression(tau: float, n_trials: int, n_steps: int, n_units: int, seed: int = 0) -> NDArray[np.float64]:
    """Return stationary series [trial, time, unit] of variance 1 with ρ(k) = e^{-k/τ}."""
    rng, decay = np.random.default_rng(seed), np.exp(-1 / tau)
    series = rng.standard_normal((n_trials, n_steps, n_units))
    series[:, 1:] *= np.sqrt(1 - decay**2)
    for t in range(1, n_steps):
        series[:, t] += decay * series[:, t - 1]
    return series


def test_autoregressions_have_the_timescale_of_their_decay_in_units_of_time() -> None:
    result = timescales_of(autoregression(8.0, 40, 1000, 6), dt=0.02)
    np.testing.assert_allclose(result.timescale, 0.16, rtol=0.15)
    assert result.timescale.attrs["units"] == "s"
    np.testing.assert_allclose(result.acw_50, 0.16 * np.log(2), rtol=0.1)
    assert ((result.timescale_low < 0.17) & (result.timescale_high > 0.15)).all()
    assert (result.n_exponentials == 1).all()


def test_the_autocorrelation_is_that_of_a_loop_over_pairs_of_steps() -> None:
    series = autoregression(3.0, 3, 60, 2)
    result = timescales_of(series, correct_bias=False, max_lag=5, fit_lags=5, bootstrap=0)
    centred = series - series.mean(axis=1, keepdims=True)
    lagged = [np.mean([np.mean(x[: 60 - k] * x[k:], axis=0) for x in centred], axis=0) for k in range(6)]
    np.testing.assert_allclose(result.autocorrelation, (np.stack(lagged) / lagged[0]).T, atol=1e-10)


@pytest.mark.parametrize(("n_steps", "lost"), [(50, 0.4), (100, 0.25), (200, 0.1)])
def test_short_trials_bias_timescales_down_and_the_correction_takes_half_of_that_away(
    n_steps: int, lost: float
) -> None:
    series = autoregression(10.0, 200, n_steps, 6)
    raw, corrected = (
        timescales_of(series, correct_bias=correct, bootstrap=0, fit_lags=20).timescale.mean().item()
        for correct in (False, True)
    )
    assert raw < (1 - lost) * 10
    assert abs(corrected - 10) < (10 - raw) / 2


def test_spikes_of_a_doubly_stochastic_poisson_process_have_the_timescale_of_their_rate() -> None:
    rate = np.clip(1 + 0.5 * autoregression(10.0, 100, 400, 6), 0, None)
    spikes = np.random.default_rng(1).poisson(rate)
    result = timescales_of(spikes, dt=10.0, time_unit="ms")
    assert result.timescale.mean().item() == pytest.approx(100, rel=0.15)
    assert (result.n_exponentials == 2).all(), "the variance of the counts at lag 0 is an exponential of its own"
    assert ((result.timescale_low < 100) & (result.timescale_high > 100)).sum() >= 5


def test_what_cannot_be_fitted_is_flagged_and_has_no_timescale() -> None:
    series = autoregression(5.0, 20, 200, 6)
    series[:, :, 0] = 3.7
    series[:, :, 1] = 0
    series[0, :9, 1] = 1
    series[4, 7, 2] = np.nan
    series[:, :, 3] = np.linspace(0, 1, 200) + np.arange(20)[:, None]
    series[:, :, 4] *= 1e300
    result = timescales_of(series)
    assert result.dead.values.tolist() == [True, True, False, False, False, False]
    assert result.diverged.values.tolist() == [False, False, True, False, True, False]
    unfitted = result.timescale.isnull().values
    assert unfitted.tolist() == (result.dead | result.diverged | result.too_short).values.tolist()
    assert unfitted.tolist()[:3] == [True] * 3
    assert not unfitted[5:].any()


@pytest.mark.parametrize("shape", [(3, 6, 2), (5, 1, 2), (1, 9, 1), (1, 24, 2)])
def test_too_short_a_recording_fits_nothing(shape: tuple[int, ...]) -> None:
    result = timescales_of(np.cumsum(np.random.default_rng(0).standard_normal(shape), axis=1))
    assert result.too_short.all()
    assert result.timescale.isnull().all()
    assert result.acw_50.isnull().all()


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(1e-6, 1e6), offset=st.floats(-10, 10), seed=st.integers(0, 99))
def test_timescales_do_not_depend_on_the_unit_of_the_activity(scale: float, offset: float, seed: int) -> None:
    series = autoregression(4.0, 5, 120, 2, seed)
    options = {"bootstrap": 0, "max_lag": 12, "fit_lags": 12}
    plain, other = timescales_of(series, **options), timescales_of(scale * (series + offset), **options)
    np.testing.assert_allclose(other.autocorrelation, plain.autocorrelation, atol=1e-6)


def test_named_dimensions_may_come_in_any_order_and_tensors_are_arrays() -> None:
    series = autoregression(4.0, 5, 120, 2)
    expected = timescales_of(series, bootstrap=3)
    named = xr.DataArray(series, dims=("trial", "time", "unit")).transpose("unit", "trial", "time")
    for same in (named, torch.from_numpy(series)):
        xr.testing.assert_equal(timescales_of(same, bootstrap=3), expected)


@pytest.mark.parametrize(
    ("activity", "options", "message"),
    [
        (np.zeros((30, 2)), {}, r"expected \[trial, time, unit\]"),
        (np.zeros((0, 30, 2)), {}, "none empty"),
        (np.full((2, 30, 2), "a"), {}, "real numbers"),
        (np.zeros((2, 30, 2), dtype=complex), {}, "real numbers"),
        (np.zeros((2, 30, 2)), {"dt": 0}, "dt is 0"),
        (np.zeros((2, 30, 2)), {"max_lag": 15}, "expected at most 14"),
        (np.zeros((2, 30, 2)), {"max_lag": 3}, "max_lag is 3: expected at least 4"),
        (np.zeros((2, 30, 2)), {"max_lag": 6, "fit_lags": 7}, "fit_lags is 7: expected at most max_lag"),
        (np.zeros((2, 30, 2)), {"bootstrap": -1}, "bootstrap is -1"),
        (np.zeros((1, 30, 2)), {"bootstrap": 5}, "at least 2 trials"),
        (np.ones((2, 30, 2)), {"tau_max": 0}, "tau_max is 0"),
        (np.ones((2, 30, 2)), {"tau_max": 1e-300}, r"tau_max is 1e-300: expected 0.01 to 1e\+09 lags"),
        (np.ones((2, 30, 2)), {"tau_max": 1e300}, r"nearest valid value: 1e\+09"),
        (np.zeros((2, 30, 2)), {"dt": np.inf}, "dt is inf: expected a finite number above 0"),
        (np.zeros((2, 30, 2)), {"dt": "0.1"}, "dt is '0.1': expected a number"),
        (np.zeros((2, 30, 2)), {"time_unit": " "}, "length of time_unit is 0"),
        (np.zeros((2, 30, 2)), {"time_unit": 1}, "time_unit is 1: expected a text"),
    ],
)
def test_bad_input_is_refused_in_a_line(
    activity: NDArray[np.float64], options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        timescales_of(activity, **options)  # type: ignore[arg-type]


def test_windows_are_interpolated_between_lags() -> None:
    lags = np.arange(80)
    rho = np.stack([np.exp(-lags / 10), 1 - lags / 16, np.full(80, np.nan)])
    np.testing.assert_allclose(first_below(rho, 0.5), [10 * np.log(2), 8, np.nan], rtol=1e-3)
    np.testing.assert_allclose(first_below(rho, 0.0), [np.nan, 16, np.nan])


def test_binned_spikes_are_counted_once_each() -> None:
    rng = np.random.default_rng(0)
    times = [rng.uniform(0, 10, n) for n in (200, 0, 37)]
    counts = bin_spikes(times, 0.1, [(0, 4), (4, 10)])
    assert counts.shape == (2, 60, 3)
    assert np.isnan(counts[0, 40:]).all(), "the first trial has ended"
    for unit, spikes in enumerate(times):
        expected, _ = np.histogram(spikes, np.linspace(0, 10, 101))
        assert [*counts[0, :40, unit], *counts[1, :, unit]] == expected.tolist()


@pytest.mark.parametrize(
    ("width", "trials", "message"),
    [
        (0.0, [(0, 1)], "width of a bin"),
        (2.0, [(0, 1)], "does not fit"),
        (0.1, [(1, 0)], "does not fit"),
        (0.1, [], "at least one"),
        (0.1, [(0, np.nan)], "does not fit"),
    ],
)
def test_bins_that_hold_nothing_are_refused(width: float, trials: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        bin_spikes([[0.5]], width, trials)
