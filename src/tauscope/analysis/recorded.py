"""Timescales of recorded activity: neurons, or a network that ran elsewhere, by the estimator that measures our networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tauscope.analysis.bootstrap import one_sided, resamples, uncertainty
from tauscope.analysis.checked import checked, real_array
from tauscope.analysis.exponential_fits import TAU_MAX, fit_exponentials
from tauscope.analysis.fit_quality import with_goodness
from tauscope.analysis.timescales import fit_variables, with_units
from tauscope.analysis.trial_covariance import of_equal, of_unequal
from tauscope.errors import InputError, require_at_least, require_count, require_instance, require_positive

DIMENSIONS = ("trial", "time", "unit")
"""The order of a recording's dimensions."""

FEWEST_CHANGES = 10
"""Samples that differ from a unit's median, below which the unit is silent."""

FEWEST_SAMPLES = 10.0
"""Independent samples, as many as have the same sampling error, below which a recording is too short for a unit."""

_MAX_LAG, _FIT_LAGS, _FEWEST_LAGS = 200, 30, 4


@dataclass(frozen=True)
class _Lags:
    """How far the autocorrelation of trials of so many steps is measured, and how far it is fitted."""

    largest: int
    fitted: int

    @classmethod
    def of(cls, n_steps: int, max_lag: int | None, fit_lags: int | None) -> _Lags:
        longest = n_steps // 2 - 1
        if max_lag is None:
            max_lag = max(min(_MAX_LAG, longest), _FEWEST_LAGS, fit_lags or 0)
        if fit_lags is None:
            fit_lags = min(_FIT_LAGS, max_lag)
        require_count("max_lag", max_lag, _FEWEST_LAGS)
        require_count("fit_lags", fit_lags, _FEWEST_LAGS)
        if fit_lags > max_lag:
            raise InputError(f"fit_lags is {fit_lags}: expected at most max_lag, which is {max_lag}")
        if max_lag > max(longest, _FEWEST_LAGS):
            raise InputError(
                f"max_lag {max_lag} is too long for trials of {n_steps} steps: expected at most "
                f"{max(longest, _FEWEST_LAGS)}"
            )
        return cls(max_lag, fit_lags)


@checked
def timescales_of(
    activity: ArrayLike | Tensor | xr.DataArray | Sequence[ArrayLike],
    dt: float = 1.0,
    *,
    time_unit: str | None = None,
    max_lag: int | None = None,
    fit_lags: int | None = None,
    tau_max: float = TAU_MAX,
    correct_bias: bool = True,
    bootstrap: int | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the timescale of every unit of a recording.

    Parameters
    ----------
    activity : array [trial, time, unit]
        Rates, counts of spikes in bins (`bin_spikes`), membrane potentials, states of a network, all sampled every `dt`. Of
        trials of unequal length a list of arrays [time, unit], or an array in which all units of a trial are NaN behind its end.
    dt : float
        Duration of one step of the recording, in `time_unit`.
    time_unit : str, optional
        Such as "s" or "ms"; by default "steps", and "s" where `dt` is not 1.
    max_lag : int, optional
        Largest lag of the autocorrelation, in steps; by default 200, or nearly half a trial where that is less. Of trials of
        unequal length, the longest length that trials with half of all steps have counts as that of a trial.
    fit_lags : int, optional
        Largest lag that is fitted, in steps; by default 30, or `max_lag` where that is less.
    tau_max : float
        Upper bound of the fitted timescales, in steps.
    correct_bias : bool
        Add to the autocovariance what removing the mean of a finite trial takes from it.
    bootstrap : int, optional
        Number of resamples of the trials, each fitted anew; by default 50, and 0 of a single trial.
    generator : torch.Generator, optional
        Source of the resamples; seeded with 0 if not given.

    Returns
    -------
    Dataset [unit, lag]
        As `tauscope.analysis.timescales` gives it, in steps; ``tau`` is NaN, because a recording does not tell it. In
        `time_unit`: ``timescale``, which is ``tau_net`` times `dt`, with a bootstrap its interval ``timescale_low`` and
        ``timescale_high``, and the autocorrelation windows ``acw_50`` and ``acw_0``, NaN where `max_lag` does not reach
        them. Flags of units that are not fitted: ``dead`` (fewer than 10 samples differ from the unit's median),
        ``too_short`` (the recording holds fewer than 10 independent samples of the unit, or a trial fewer than 10
        steps) and ``diverged`` (a sample that is no finite number, or too large to be squared).

    Raises
    ------
    InputError
        If the activity is no array of three dimensions, or an option is out of range; if a trial has no steps, or another
        number of units.

    Notes
    -----
    The mean of every trial is removed and the autocovariances of all trials are averaged, C(k) = ⟨x_t x_{t+k}⟩ with a
    divisor of n - k; ρ(k) = C(k) / C(0) is fitted as in `tauscope.analysis.timescales`. Removing the mean of a trial
    of n steps lowers every C(k) by the variance of that mean, about 2 τ / n of the variance, which makes timescales of
    short trials too short; `correct_bias` adds it again (`tauscope.analysis.autocorrelation.finite_length_bias`), as far
    as lags up to `max_lag` tell it. Trials of unequal length weigh as many products as they have
    (`tauscope.analysis.trial_covariance.of_unequal`). Counts of spikes have a variance of their own at lag 0 alone, which the fit with
    two exponentials gives a timescale of 0. The windows are the lags, linearly interpolated, at which ρ falls to 1/2
    and to 0: half of the full width that Honey et al., Neuron 76, 423 (2012), define; a single exponential has an
    ``acw_50`` of τ ln 2. The windows need no fit, but count a variance at lag 0 alone as decay.

    Examples
    --------
    >>> noise = torch.randn(20, 2000, 3, generator=torch.Generator().manual_seed(0))
    >>> activity = noise.clone()
    >>> for t in range(1, 2000):
    ...     activity[:, t] += 0.9 * activity[:, t - 1]
    >>> result = timescales_of(activity, dt=0.01)  # τ = -10 ms / ln 0.9 = 95 ms
    >>> result.timescale.round(2).values, result.timescale.units
    (array([0.09, 0.09, 0.1 ]), 's')
    """
    series, lengths = _series(activity)
    require_positive("dt", dt, finite=True)
    if time_unit is not None:
        require_instance("time_unit", time_unit, str, "a text, such as 'ms'")
        require_count("length of time_unit", len(time_unit.strip()))
    n_trials, longest, n_units = series.shape
    n_steps = _usual_length(lengths)
    if bootstrap is None:
        bootstrap = 50 if n_trials > 1 else 0
    require_count("bootstrap", bootstrap, 0)
    if bootstrap and n_trials == 1:
        raise InputError("bootstrap resamples trials: expected at least 2 trials, or bootstrap=0")
    lags = _Lags.of(n_steps, max_lag, fit_lags)
    if n_steps > 2 * lags.largest + 1:
        result = _measured(series, lengths, lags, tau_max, correct_bias)
    else:
        result = _unmeasured(n_units, lags, tau_max)
    result = with_goodness(result.assign_attrs(fit_lags=lags.fitted))
    if bootstrap and bool(result["n_exponentials"].any()):
        generator = generator or torch.Generator().manual_seed(0)
        result = _resampled(result, tau_max, bootstrap, generator)
    result = result.drop_vars("trial_covariance").assign(tau=("unit", np.full(n_units, np.nan)))
    if time_unit is None:
        time_unit = "steps" if dt == 1 else "s"
    fewest = int(lengths.min())
    unequal = {} if fewest == longest else {"fewest_steps": fewest}
    return _in_time(with_units(result), float(dt), time_unit).assign_attrs(
        unequal, n_trials=n_trials, n_steps=longest, max_lag=lags.largest, tau_max=tau_max, correct_bias=int(correct_bias),
        bootstrap=bootstrap, units="steps", dt=float(dt), time_unit=time_unit, method="default",
    )  # fmt: skip


def bin_spikes(
    spike_times: Sequence[ArrayLike], width: float, trials: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Count the spikes of every unit in bins of equal width.

    Parameters
    ----------
    spike_times : sequence of array [spike]
        Times of the spikes of every unit.
    width : float
        Of a bin, in the unit of the times.
    trials : sequence of (float, float)
        Start and stop of every trial, which gets the bins that fit into it.

    Returns
    -------
    array [trial, time, unit]
        Counts; a bin holds the times from its start up to, but not including, its end. NaN behind the end of a trial that is
        shorter than others.

    Raises
    ------
    InputError
        If there is no trial, a trial ends before it starts, or a bin is longer than the shortest trial.

    Examples
    --------
    >>> bin_spikes([[0.1, 0.15, 0.9], []], 0.25, [(0.0, 1.0)])[0].T
    array([[2., 0., 0., 1.],
           [0., 0., 0., 0.]])
    """
    require_positive("width of a bin", width)
    bounds = real_array("trials", trials)
    if not bounds.size:
        raise InputError("no trials: expected the start and the stop of at least one")
    if bounds.ndim != 2 or bounds.shape[1] != 2:
        raise InputError(f"trials are of shape {bounds.shape}: expected [trial, 2], the start and the stop of each")
    require_instance("spike_times", spike_times, (Sequence, np.ndarray), "the times of the spikes of every unit")
    duration = bounds[:, 1] - bounds[:, 0]
    # A trial that lasts a whole number of bins has them all, however its length is rounded.
    n_bins = np.floor(np.where(np.isfinite(duration), duration, 0) / width * (1 + 1e-9) + 1e-9).astype(int)
    if n_bins.min() < 1:
        shortest = float(duration[n_bins.argmin()])
        raise InputError(f"a bin of {width:g} does not fit into the shortest trial, of {shortest:g}: expected less")
    counts = np.full((len(bounds), n_bins.max(), len(spike_times)), np.nan)
    for unit, times in enumerate(spike_times):
        ordered = np.sort(real_array(f"spike_times of unit {unit}", times).reshape(-1))
        for trial, (start, n) in enumerate(zip(bounds[:, 0], n_bins, strict=True)):
            edges = np.searchsorted(ordered, start + width * np.arange(n + 1))
            counts[trial, :n, unit] = np.diff(edges)
    return counts


def _series(activity: ArrayLike | Tensor | xr.DataArray | Sequence[ArrayLike]) -> tuple[Tensor, Tensor]:
    """Return a recording as a tensor [trial, time, unit] in float64, and the number of steps of every trial."""
    if isinstance(activity, xr.DataArray) and set(activity.dims) == set(DIMENSIONS):
        activity = activity.transpose(*DIMENSIONS)
    if isinstance(activity, list | tuple) and len({np.shape(trial) for trial in activity}) > 1:
        activity = _side_by_side([np.asarray(trial) for trial in activity])
    values = activity.detach().cpu().numpy() if isinstance(activity, Tensor) else np.asarray(activity)
    if values.dtype.kind not in "buif":
        raise InputError(f"the activity is of type {values.dtype}: expected real numbers [trial, time, unit]")
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(
            f"the activity has shape {values.shape}: expected [trial, time, unit], none empty; activity[None] is one trial"
        )
    series = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
    there = ~series.isnan().all(2)
    steps = torch.arange(1, series.shape[1] + 1, device="cpu")
    lengths = (there * steps).amax(1)
    # One that is all NaN is no trial that has ended, but one that was not recorded.
    lengths = torch.where(lengths > 0, lengths, series.shape[1])
    return series[:, : int(lengths.max())], lengths


def _side_by_side(trials: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Return trials [time, unit] of unequal length as an array with NaN behind their ends."""
    for i, trial in enumerate(trials):
        if (
            trial.ndim != 2
            or 0 in trial.shape
            or trial.dtype.kind not in "buif"
            or trial.shape[1] != trials[0].shape[1]
        ):
            raise InputError(
                f"trial {i} has shape {trial.shape} and type {trial.dtype}: expected real numbers [time, unit], at least one step, and "
                f"as many units as in trial 0, of shape {trials[0].shape}"
            )
    padded = np.full((len(trials), max(map(len, trials)), trials[0].shape[1]), np.nan)
    for row, trial in zip(padded, trials, strict=True):
        row[: len(trial)] = trial
    return padded


def _usual_length(lengths: Tensor) -> int:
    """Return the longest length that trials with half of all steps have; that of all trials where they are equal."""
    longest_first = lengths.sort(descending=True).values
    enough = 2 * longest_first.cumsum(0) >= longest_first.sum()
    return int(longest_first[int(enough.int().argmax())])


def _measured(series: Tensor, lengths: Tensor, lags: _Lags, tau_max: float, correct_bias: bool) -> xr.Dataset:
    """Return the fits of all units, and the covariance of every trial, from trials that are long enough for the lags."""
    inside = (torch.arange(series.shape[1], device="cpu") < lengths[:, None])[..., None]
    finite = (series.isfinite() | ~inside).all(1).all(0)
    known = torch.where(finite & inside, series, 0.0)
    if bool(inside.all()):
        measured = of_equal(known, lags.largest, correct_bias)
    else:
        measured = of_unequal(known, lengths, lags.largest, correct_bias)
    # Squares of finite numbers may be none.
    finite &= measured.average[:, 0].isfinite()
    silent = finite & _is_silent(known[inside[..., 0]])
    # The bias of white noise may take more than there is; what has no variance left cannot be fitted either.
    varying = finite & ~silent & (measured.average[:, 0] > 0)
    average = torch.where(varying[:, None], measured.average, 1.0)
    short = varying & ~(measured.error.square() * FEWEST_SAMPLES < 1) | finite & ~silent & ~varying
    usable = (varying & ~short).numpy()
    rho = np.where(usable[:, None], (average / average[:, :1]).numpy(), np.nan)
    errors = np.where(usable, measured.error.numpy(), np.nan)
    return fit_variables(fit_exponentials(rho[:, : lags.fitted + 1], tau_max, errors)).assign(
        autocorrelation=(("unit", "lag"), rho),
        bias=("unit", np.where(usable, (measured.bias / average[:, 0]).numpy(), np.nan)),
        mean=("unit", np.where(finite, measured.mean.numpy(), np.nan)),
        variance=("unit", np.where(finite, measured.average[:, 0].numpy(), np.nan)),
        standard_error=("unit", errors),
        dead=("unit", silent.numpy()),
        too_short=("unit", short.numpy()),
        diverged=("unit", ~finite.numpy()),
        trial_covariance=(("trial", "unit", "lag"), measured.trials.numpy()),
    ).assign_coords(lag=np.arange(lags.largest + 1), unit=np.arange(series.shape[2]))  # fmt: skip


def _unmeasured(n_units: int, lags: _Lags, tau_max: float) -> xr.Dataset:
    """Return the result of trials that are too short for the fewest lags: no unit is fitted."""
    nothing = np.full((n_units, lags.largest + 1), np.nan)
    variables: dict[str, Any] = dict.fromkeys(("bias", "mean", "variance", "standard_error"), ("unit", nothing[:, 0]))
    return fit_variables(fit_exponentials(nothing[:, : lags.fitted + 1], tau_max)).assign(
        **variables,
        dead=("unit", np.zeros(n_units, dtype=bool)),
        too_short=("unit", np.ones(n_units, dtype=bool)),
        diverged=("unit", np.zeros(n_units, dtype=bool)),
        autocorrelation=(("unit", "lag"), nothing),
        trial_covariance=(("trial", "unit", "lag"), nothing[None]),
    ).assign_coords(lag=np.arange(lags.largest + 1), unit=np.arange(n_units))  # fmt: skip


def _is_silent(samples: Tensor) -> Tensor:
    """Return which units of ``samples [sample, unit]`` all but keep one value, as a neuron does that hardly fires."""
    median = samples.median(0).values
    rounding = 8 * torch.finfo(torch.float32).eps * median.abs() + torch.finfo(torch.float32).tiny
    return ((samples - median).abs() > rounding).sum(0) < FEWEST_CHANGES


def _resampled(result: xr.Dataset, tau_max: float, n_resamples: int, generator: torch.Generator) -> xr.Dataset:
    """Add the spread of τ_net over resamples of the trials."""
    usable = result["n_exponentials"].values.astype(bool)
    n_lags = int(result.attrs["fit_lags"]) + 1
    covariance = result["trial_covariance"].values[:, usable, :n_lags]
    weights = resamples(torch.zeros(len(covariance), dtype=torch.float64, device="cpu"), n_resamples, generator)
    # A resample scatters about the truth with twice the variance.
    error = 2**0.5 * result["standard_error"].values[usable]
    return one_sided(result.assign(uncertainty(covariance, error, usable, tau_max, weights)))


def _in_time(result: xr.Dataset, dt: float, time_unit: str) -> xr.Dataset:
    """Add what is asked for in units of time: timescales with their intervals, and windows."""
    names = {"tau_net": "timescale", "tau_net_low": "timescale_low", "tau_net_high": "timescale_high"}
    result = result.assign({new: result[name] * dt for name, new in names.items() if name in result})
    rho = result["autocorrelation"].values
    result = result.assign({f"acw_{level}": ("unit", dt * first_below(rho, level / 100)) for level in (50, 0)})
    described = {
        "timescale": "timescale of the activity",
        "timescale_low": "2.5 % bootstrap quantile of the timescale",
        "timescale_high": "97.5 % bootstrap quantile of the timescale",
        "acw_50": "lag at which the autocorrelation falls to 1/2",
        "acw_0": "lag at which the autocorrelation falls to 0",
    }
    for name in set(described) & set(result):
        result[name].attrs = {"long_name": described[name], "units": time_unit}
    result["dead"].attrs["long_name"] = "silent: hardly a sample differs from the median; not fitted"
    result["too_short"].attrs = {"long_name": "recorded for too few timescales; not fitted", "units": "1"}
    result["diverged"].attrs["long_name"] = "a sample is not finite; not fitted"
    return result


def first_below(autocorrelation: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Return the first lag at which autocorrelations fall to a level, linearly interpolated.

    Parameters
    ----------
    autocorrelation : array [unit, lag]
        1 at lag 0.
    level : float
        Below 1.

    Returns
    -------
    array [unit]
        In lags; NaN where the level is not reached.

    Raises
    ------
    InputError
        If the level is not below 1.

    Examples
    --------
    >>> first_below(np.array([[1.0, 0.8, 0.4, 0.1], [1.0, 0.9, 0.8, 0.7]]), 0.5)
    array([1.75,  nan])
    """
    if not level < 1:
        raise InputError(f"level is {level}: expected less than 1, the autocorrelation at lag 0")
    require_at_least("number of lags", autocorrelation.shape[-1], 2)
    below = autocorrelation <= level
    after = np.maximum(below.argmax(-1), 1)
    rows = np.arange(len(autocorrelation))
    high, low = autocorrelation[rows, after - 1], autocorrelation[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below.any(-1), after - 1 + (high - level) / (high - low), np.nan)
