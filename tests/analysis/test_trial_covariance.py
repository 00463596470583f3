"""Trials of unequal length: products by brute force, the bias in closed form, and the timescales of cut autoregressions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rounding import tolerance
from tauscope import InputError
from tauscope.analysis import timescales_of
from tauscope.analysis.trial_covariance import of_equal, of_unequal

Trials = list[NDArray[np.float64]]


def autoregression(tau: float, lengths: list[int], n_units: int, seed: int = 0) -> Trials:
    """Return stationary trials [time, unit] of variance 1 with ρ(k) = e^{-k/τ}."""
    rng, decay = np.random.default_rng(seed), np.exp(-1 / tau)
    trials = []
    for length in lengths:
        trial = rng.standard_normal((length, n_units))
        trial[1:] *= np.sqrt(1 - decay**2)
        for t in range(1, length):
            trial[t] += decay * trial[t - 1]
        trials.append(trial)
    return trials


def padded(trials: Trials, beyond: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(trial) for trial in trials])
    series = torch.full((len(trials), int(lengths.max()), trials[0].shape[1]), beyond, dtype=torch.float64)
    for row, trial in zip(series, trials, strict=True):
        row[: len(trial)] = torch.from_numpy(trial)
    return series, lengths


def products(trial: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    centred = trial - trial.mean(axis=0)
    return (centred[: max(len(trial) - lag, 0)] * centred[lag:]).sum(axis=0)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6), max_lag=st.integers(1, 9), seed=st.integers(0, 99))
def test_products_are_those_of_a_loop_over_pairs_of_steps(lengths: list[int], max_lag: int, seed: int) -> None:
    lengths = [*lengths, 2 * max_lag + 1]
    trials = autoregression(3.0, lengths, 2, seed)
    found = of_unequal(*padded(trials, beyond=np.nan), max_lag, correct_bias=False)
    for lag in range(max_lag + 1):
        pairs = sum(max(length - lag, 0) for length in lengths)
        expected = sum(products(trial, lag) for trial in trials) / pairs
        np.testing.assert_allclose(found.average[:, lag], expected, atol=1e-11)
    np.testing.assert_allclose(found.trials.mean(0), found.average, atol=1e-11)


@pytest.mark.parametrize("max_lag", [3, 4, 5])
def test_lags_of_half_of_the_longest_trial_are_refused(max_lag: int) -> None:
    series, lengths = padded(autoregression(3.0, [1, 6], 2))
    with pytest.raises(InputError, match="expected less than half of the longest trial, which has 6 steps"):
        of_unequal(series, lengths, max_lag, correct_bias=False)


@pytest.mark.parametrize("correct_bias", [True, False])
def test_trials_of_one_length_are_measured_as_ever(correct_bias: bool) -> None:
    series, lengths = padded(autoregression(4.0, [50] * 7, 3))
    equal, unequal = of_equal(series, 12, correct_bias), of_unequal(series, lengths, 12, correct_bias)
    for name in ("average", "trials", "bias", "error", "mean"):
        ours, theirs = getattr(unequal, name), getattr(equal, name)
        close = tolerance(torch.float64, 50 * 7, steps=10)
        torch.testing.assert_close(ours, theirs, rtol=close, atol=close)


def test_the_lost_variance_is_that_of_the_means_in_closed_form() -> None:
    lengths, tau, n_lags = [6, 9, 14, 30], 1.5, 14
    n_draws = 4000
    decay = np.exp(-np.arange(n_lags + 1) / tau)
    trials = autoregression(tau, lengths * n_draws, 3)
    found = of_unequal(*padded(trials), n_lags, correct_bias=True)
    raw = of_unequal(*padded(trials), n_lags, correct_bias=False)
    # E[S_i(k)] of the centred trial, from the covariance matrix of its steps.
    sums, pairs = np.zeros(n_lags + 1), np.zeros(n_lags + 1)
    for length in lengths:
        steps = np.arange(length)
        centre = np.eye(length) - 1 / length
        covariance = centre @ np.exp(-np.abs(np.subtract.outer(steps, steps)) / tau) @ centre
        for lag in range(min(length, n_lags + 1)):
            sums[lag] += np.trace(covariance, lag)
            pairs[lag] += length - lag
    np.testing.assert_allclose(raw.average.mean(0), sums / pairs, atol=0.02)
    # The formula holds but for what lies at the edges of trials, of which the worst here is 0.019.
    np.testing.assert_allclose(found.average.mean(0), decay, atol=0.03)
    assert float(raw.average[:, 0].mean()) < 0.85


@pytest.mark.parametrize("tau", [3.0, 8.0])
def test_cut_autoregressions_have_the_timescale_of_their_decay(tau: float) -> None:
    lengths = np.random.default_rng(1).integers(10, 300, 120).tolist()
    trials = autoregression(tau, lengths, 8)
    result = timescales_of(trials, dt=0.5, time_unit="ms")
    assert float(result.timescale.mean()) == pytest.approx(0.5 * tau, rel=0.08)
    inside = (result.timescale_low <= 0.5 * tau) & (0.5 * tau <= result.timescale_high)
    assert int(inside.sum()) >= 5
    assert (result.attrs["n_steps"], result.attrs["fewest_steps"]) == (max(lengths), min(lengths))
    # With the shortest length of all, to which they could be cut, far less is known.
    cut = timescales_of(np.stack([trial[: min(lengths)] for trial in trials]), bootstrap=0)
    spread = [float(abs(measured.tau_net - tau).mean()) for measured in (result, cut)]
    assert spread == sorted(spread)


def test_a_list_and_an_array_that_ends_in_nan_are_the_same_recording_in_any_order() -> None:
    trials = autoregression(5.0, [200, 60, 130, 40, 250], 3)
    result = timescales_of(trials, bootstrap=0)
    array, _ = padded(trials, beyond=np.nan)
    longer = torch.cat([array, torch.full((5, 20, 3), torch.nan, dtype=torch.float64)], dim=1)
    for same in (array, longer.numpy(), xr.DataArray(longer.numpy(), dims=("trial", "time", "unit"))):
        xr.testing.assert_equal(timescales_of(same, bootstrap=0), result)
    other = timescales_of(trials[::-1], bootstrap=0)
    np.testing.assert_allclose(other.tau_net, result.tau_net, rtol=1e-6)
    equal = autoregression(5.0, [100] * 4, 2)
    xr.testing.assert_equal(timescales_of(equal), timescales_of(np.stack(equal)))


def test_units_are_flagged_by_what_lies_within_trials() -> None:
    trials = autoregression(5.0, [200, 60, 130, 90], 4)
    for trial in trials:
        trial[:, 0] = 2.5
    trials[1][7, 1] = np.nan
    trials[2][-1, 2] = np.inf
    result = timescales_of(trials, bootstrap=0)
    assert result.dead.values.tolist() == [True, False, False, False]
    assert result.diverged.values.tolist() == [False, True, True, False]
    assert result.timescale.notnull().values.tolist() == [False, False, False, True]


def test_a_trial_that_was_not_recorded_is_not_an_end() -> None:
    series = np.stack(autoregression(5.0, [100] * 4, 2))
    series[1] = np.nan
    assert timescales_of(series, bootstrap=0).diverged.all()


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        ([np.zeros((30, 2)), np.zeros((20, 3))], r"trial 1 has shape \(20, 3\)"),
        ([np.zeros((30, 2)), np.zeros((0, 2))], r"trial 1 has shape \(0, 2\)"),
        ([np.zeros((30, 2)), np.zeros(30)], r"trial 1 has shape \(30,\)"),
        ([np.zeros((30, 2)), np.full((20, 2), "a")], "trial 1 has shape"),
        ([np.zeros((30, 2)), np.zeros((20, 2), complex)], "of type|and type complex128"),
        ([np.zeros((30, 0)), np.zeros((20, 0))], "trial 0 has shape"),
        ([], "none empty"),
    ],
)
def test_trials_that_are_no_recording_are_refused_in_a_line(trials: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        timescales_of(trials)
    assert "\n" not in str(raised.value)


def test_the_longest_lag_is_that_of_the_usual_trials() -> None:
    trials = autoregression(2.0, [10] * 5 + [40] * 5, 2)
    assert timescales_of(trials, bootstrap=0).attrs["max_lag"] == 19
    with pytest.raises(InputError, match="max_lag 20 is too long for trials of 40 steps"):
        timescales_of(trials, max_lag=20)
    assert timescales_of(autoregression(2.0, [3, 4, 5], 2), bootstrap=0).too_short.all()
