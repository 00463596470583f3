"""The autocovariance of recorded trials, of one length or of unequal ones, and how far a finite trial lowers it."""

from __future__ import annotations

from dataclasses import dataclass

import scipy.fft
import torch
from torch import Tensor

from tauscope.analysis.autocorrelation import autocovariance, finite_length_bias, standard_error
from tauscope.errors import InputError


@dataclass(frozen=True)
class TrialCovariance:
    """Autocovariance of a recording, in squared units of the activity.

    Attributes
    ----------
    average : Tensor [unit, lag]
        Over all trials.
    trials : Tensor [trial, unit, lag]
        What each trial adds to it, times the number of trials: their mean is `average`, and that of a resample of the trials
        what `average` would be of those.
    bias : Tensor [unit]
        What a finite length has taken from the variance; it is added again where that was asked for.
    error : Tensor [unit]
        Standard error of the autocorrelation at lags where it has decayed.
    mean : Tensor [unit]
        Mean over trials of their mean activity.
    """

    average: Tensor
    trials: Tensor
    bias: Tensor
    error: Tensor
    mean: Tensor


def of_equal(series: Tensor, max_lag: int, correct_bias: bool) -> TrialCovariance:
    """Measure the autocovariance of trials of one length.

    Parameters
    ----------
    series : Tensor [trial, time, unit]
        Finite activity in float64.
    max_lag : int
        Largest lag, in steps, less than half a trial.
    correct_bias : bool
        Add what removing the mean of a finite trial takes.
    """
    n_steps = series.shape[1]
    measured = autocovariance(series.transpose(0, 1), max_lag)
    bias = finite_length_bias(measured.covariance, n_steps)
    covariance = measured.covariance + bias[..., None] * correct_bias
    average = covariance.mean(0)
    # What does not vary has no autocorrelation, and no error of it.
    safe = torch.where(average[:, :1] > 0, covariance, 1.0)
    error = standard_error(safe, n_steps)
    return TrialCovariance(average, covariance, bias.mean(0), error, measured.mean.mean(0))


def of_unequal(series: Tensor, lengths: Tensor, max_lag: int, correct_bias: bool) -> TrialCovariance:
    """Measure the autocovariance of trials of unequal length.

    Parameters
    ----------
    series : Tensor [trial, time, unit]
        Finite activity in float64; what lies behind the end of a trial is not looked at.
    lengths : Tensor [trial]
        Steps of every trial, at least 1.
    max_lag : int
        Largest lag, in steps, less than half of the longest trial: of all lags of a trial, what its mean has taken cannot be told.
    correct_bias : bool
        Add what removing the means of finite trials takes.

    Raises
    ------
    InputError
        If the largest lag is too large.

    Notes
    -----
    Every product of two steps of a trial, less the trial's mean, counts the same: Ĉ(k) = Σ_i S_i(k) / Σ_i (n_i - k), where trials
    of at most k steps have no product. Removing the mean of a trial of n_i steps lowers its products by the variance of that
    mean, v_i = 1/n_i Σ_{|j|<n_i} (1 - |j|/n_i) C(j), so that E[Ĉ] = (1 - B) C with B(k, j) = Σ_i w_i(k) (2 - δ_j0) (1 - j/n_i)⁺ / n_i and
    w_i(k) = (n_i - k)⁺ / Σ_i (n_i - k)⁺; C is solved for on the measured lags. For trials of one length this is
    `tauscope.analysis.autocorrelation.finite_length_bias`. A resample weighs trials by how often it holds them, to first order.
    """
    if 2 * max_lag >= (longest := int(lengths.max())):
        raise InputError(
            f"max_lag is {max_lag}: expected less than half of the longest trial, which has {longest} steps"
        )
    n_trials = len(series)
    lags = torch.arange(max_lag + 1, dtype=series.dtype, device=series.device)
    sizes = lengths.to(series)[:, None]
    means, sums = [], []
    for trial, n_steps in zip(series, lengths.tolist(), strict=True):
        known = trial[:n_steps]
        means.append(known.mean(0))
        sums.append(_lag_products((known - means[-1]).T, max_lag))
    products = torch.stack(sums)
    pairs = (sizes - lags).clamp(min=0)
    total = pairs.sum(0)
    average = products.sum(0) / total
    # The derivative of a ratio of sums tells what a trial adds to it.
    added = average + n_trials * (products - average * pairs[:, None]) / total
    lost = torch.einsum(
        "ik,ij->kj", pairs / total, (1 - lags / sizes).clamp(min=0) * (2 - (lags == 0).to(lags)) / sizes
    )
    undo = torch.linalg.inv(torch.eye(max_lag + 1, dtype=series.dtype, device=series.device) - lost)
    corrected = average @ undo.T
    bias = corrected[:, 0] - average[:, 0]
    if correct_bias:
        average, added = corrected, added @ undo.T
    # As for trials of one length, of which lags up to half a trial are measured.
    measured = (2 * lags < sizes)[:, None]
    own = torch.where(measured, products / pairs.clamp(min=1)[:, None], 0.0)
    if correct_bias:
        weights = (measured[:, 0] * (1 - lags / sizes) * (2 - (lags == 0).to(lags)))[:, None]
        lowered = (own * weights).sum(-1) / (sizes - weights.sum(-1)).clamp(min=1)
        own = torch.where(measured, own + lowered[..., None], 0.0)
    squares = own.square()
    both_sides = 2 * squares.sum(-1) - squares[..., 0]
    whole = (sizes * average[:, 0]).sum(0)
    error = (sizes * both_sides).sum(0).sqrt() / torch.where(whole > 0, whole, 1.0)
    return TrialCovariance(average, added, bias, error, torch.stack(means).mean(0))


def _lag_products(centred: Tensor, max_lag: int) -> Tensor:
    """Return Σ_t x_t x_{t+k} of series ``[unit, time]``, ``[unit, lag]``; 0 at lags that they do not reach."""
    n_fft = scipy.fft.next_fast_len(centred.shape[1] + max_lag, real=True)
    power = torch.fft.rfft(centred, n_fft).abs().square()
    return torch.fft.irfft(power, n_fft)[..., : max_lag + 1]
