"""Network-mediated timescales: how slowly the activity of each unit decorrelates while the network runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from tauscope.analysis.autocorrelation import (
    Autocovariance,
    finite_length_bias,
    standard_error,
)
from tauscope.analysis.bootstrap import one_sided, resamples, uncertainty
from tauscope.analysis.checked import checked
from tauscope.analysis.exponential_fits import TAU_MAX, ExponentialFits, fit_exponentials
from tauscope.analysis.fit_quality import is_described, with_goodness
from tauscope.analysis.recording import Network, record
from tauscope.analysis.simulation import probabilities
from tauscope.errors import InputError, require_at_least, require_choice

METHODS = ("default", "published")

# The batch at which the recurrent product of a wide network nears its best speed.
_FAST_BATCH = 100
_MINIMA = {"n_trials": 1, "n_steps": 1, "burn_in": 0, "fit_lags": 4, "repeat": 1, "split": 1, "bootstrap": 0}


@dataclass(frozen=True)
class _Options:
    """The arguments of `timescales`, with the method's choices filled in and all of them checked."""

    method: str
    n_trials: int
    n_steps: int
    burn_in: int
    max_lag: int
    fit_lags: int
    p: float | Sequence[float] | str
    repeat: int
    plus_minus: bool
    tau_max: float
    split: int
    correct_bias: bool
    bootstrap: int

    def __post_init__(self) -> None:
        for name, minimum in _MINIMA.items():
            require_at_least(name, getattr(self, name), minimum)
        if self.fit_lags > self.max_lag:
            raise InputError(f"fit_lags is {self.fit_lags}: expected at most max_lag, which is {self.max_lag}")
        if self.segment_steps < 2 * self.max_lag + 2:
            raise InputError(
                f"max_lag {self.max_lag} is too long for {self.segment_steps} steps (n_steps {self.n_steps} / split "
                f"{self.split}): expected at least {2 * self.max_lag + 2} steps"
            )
        if self.bootstrap and self.n_trials == 1:
            raise InputError("bootstrap resamples trials: expected n_trials of at least 2, or bootstrap=0")

    @property
    def is_stratified(self) -> bool:
        """Whether the trials have p of their own parts of (0, 1)."""
        return isinstance(self.p, str) and self.p == "quantiles"

    @property
    def segment_steps(self) -> int:
        """Recorded steps of a segment: whole bits."""
        return -(-self.n_steps // (self.split * self.repeat)) * self.repeat


@checked
def timescales(
    model: Network,
    *,
    method: str = "default",
    n_trials: int = 10,
    n_steps: int = 100_500,
    burn_in: int = 500,
    max_lag: int = 200,
    fit_lags: int = 30,
    p: float | Sequence[float] | str | None = None,
    repeat: int = 1,
    plus_minus: bool = False,
    tau_max: float = TAU_MAX,
    split: int | None = None,
    correct_bias: bool | None = None,
    bootstrap: int | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the timescale of every unit of a network that is driven by random bits.

    Parameters
    ----------
    model : Network
        The network; nothing of it is changed.
    method : {"default", "published"}
        "published" follows the paper: products at lag k divided by n-1-k, the smaller AIC decides, no correction of
        the bias, no bootstrap, each trial in one piece. "default" divides by n-k, takes a second exponential only
        where one does not fit within the sampling error, corrects the bias, resamples 50 times and splits trials.
    n_trials : int
        Trials, each with its own initial state and input.
    n_steps : int
        Recorded steps of each trial, rounded up to whole segments of whole bits.
    burn_in : int
        Steps before them that are not recorded, rounded up to whole bits.
    max_lag : int
        Largest lag of the autocorrelation, in steps.
    fit_lags : int
        Largest lag that is fitted, in steps.
    p : float, sequence of float, "quantiles" or "uniform", optional
        Probability of a 1, for all trials or each, or how it is drawn from U(0, 1): as the midpoints of equal parts in
        random order ("quantiles", the default), or freely for every trial ("uniform", that of "published").
    repeat : int
        Number of steps for which each bit is shown.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.
    tau_max : float
        Upper bound of the fitted timescales, in steps.
    split : int, optional
        Segments into which each trial is cut. They run side by side, each with its own initial state and burn-in but
        with the trial's p, and share the trial's mean: the same statistics, faster. ``None`` leaves it to the method,
        which never makes a segment shorter than 50 times `max_lag` or 20 times `burn_in`.
    correct_bias : bool, optional
        Add to the autocovariance what removing the mean of a finite series takes from it.
    bootstrap : int, optional
        Number of resamples of the trials, each fitted anew; with p at quantiles only trials of neighbouring p stand for
        each other.
    generator : torch.Generator, optional
        Source of p, initial states, inputs and resamples; seeded with 0 if not given.

    Returns
    -------
    Dataset
        Per ``unit``: ``tau`` and ``tau_net`` in steps, ``n_exponentials``, ``aic`` and ``rss`` of both fits and their
        parameters, ``mean``, ``variance``, ``autocorrelation`` [unit, lag], its ``bias`` and ``standard_error``, the
        flags ``at_bound`` (-1: 0, 1: `tau_max`), ``dead`` (no variance) and ``diverged`` (not finite), the goodness of
        the fit, ``residual_ratio``, ``largest_residual`` and the flags ``poor_fit`` and ``oscillates``
        (`tauscope.analysis.with_goodness`), and with a bootstrap ``tau_net_resampled`` [resample, unit] and
        ``tau_net_std``, ``tau_net_low``, ``tau_net_high`` (2.5, 97.5 %): one-sided at a bound, up to infinity at
        `tau_max`, and NaN where the fit is poor. The attributes hold all options.

    Raises
    ------
    InputError
        If an option is out of range, a lag is too long for the series, or no unit stays finite.

    Notes
    -----
    The covariances of all trials are averaged, then normalised: ρ(k) = Σ_trials C(k) / Σ_trials C(0). Lags
    0 … `fit_lags` are fitted with A e^{-k/τ} and A [c e^{-k/τ₁} + (1-c) e^{-k/τ₂}]; the smaller AIC decides, and
    τ_net is τ or the slower of τ₁ and τ₂. Source: Khajehabdollahi et al., ICLR 2024, and its code. The published
    least-squares fit starts from one point and stops in local minima for several percent of the units; here the search
    is global, also for "published".

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = timescales(model, n_trials=4, n_steps=2000, max_lag=40, bootstrap=10)
    >>> result.tau_net.dims, result.autocorrelation.dims, float(result.autocorrelation[0, 0])
    (('unit',), ('unit', 'lag'), 1.0)
    """
    require_choice("method", method, METHODS)
    published = method == "published"
    if split is None:
        split = 1 if published else _automatic_split(n_trials, n_steps, burn_in, max_lag)
    if correct_bias is None:
        correct_bias = not published
    if p is None:
        p = "uniform" if published else "quantiles"
    if bootstrap is None:
        bootstrap = 0 if published or n_trials == 1 else 50
    options = _Options(
        method, n_trials, n_steps, burn_in, max_lag, fit_lags, p, repeat, plus_minus, tau_max, split, correct_bias,
        bootstrap,
    )  # fmt: skip
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    seed = generator.initial_seed()
    chances = probabilities(p, n_trials, generator)
    measured = record(
        model, chances, generator, n_steps=options.segment_steps, burn_in=burn_in, max_lag=max_lag, split=split,
        repeat=repeat, plus_minus=plus_minus, normalization="published" if published else "unbiased",
    )  # fmt: skip
    result = _analyse(measured, chances, options, generator)
    tau = model.tau
    result["tau"] = ("unit", np.full(model.n_units, np.nan) if tau is None else tau.detach().double().cpu().numpy())
    result["p"] = ("trial", chances.cpu().numpy())
    return _described(result, options, seed)


def timescales_summary(result: xr.Dataset, above: float = 1.0) -> xr.Dataset:
    """Mean and standard deviation of τ and τ_net over units, with and without the paper's filter on τ_net.

    Parameters
    ----------
    result : Dataset
        From `timescales`; further dimensions, such as a network's number, are kept.
    above : float
        The filter keeps units with τ_net above this many steps; the published plots use 1.

    Returns
    -------
    Dataset [units]
        ``tau_net_mean``, ``tau_net_std``, ``tau_mean``, ``tau_std`` in steps, the standard deviations those of the
        population, and ``n_units``, for ``units`` "all" (that could be fitted) and "tau_net > 1". τ_net of a poorly
        fitted unit enters none of them (`tauscope.analysis.is_described`); its own τ does. Where the trials were
        resampled also ``tau_net_error``, the standard error of ``tau_net_mean``: its spread over the resamples, in
        each of which the filter is applied anew. It is that of one network; over networks, n is their number.

    Notes
    -----
    The filter drops units whose activity decorrelates within a step, so its mean exceeds that of all units.

    Examples
    --------
    >>> result = xr.Dataset({"tau_net": ("unit", [0.5, 2.0, 4.0]), "tau": ("unit", [1.0, 1.0, 2.0])})
    >>> summary = timescales_summary(result)
    >>> summary.tau_net_mean.sel(units="tau_net > 1").item(), summary.n_units.values.tolist()
    (3.0, [3, 2])
    """
    described = is_described(result)
    long, units = described & (result.tau_net > above), xr.Variable("units", ["all", f"tau_net > {above:g}"])
    kept = {
        "tau_net": xr.concat([described, long], dim=units),
        "tau": xr.concat([result.tau_net.notnull(), long], dim=units),
    }
    summary = xr.Dataset({"n_units": kept["tau_net"].sum("unit")})
    for name, counted in kept.items():
        values = result[name].where(counted)
        for statistic in ("mean", "std"):
            summary[f"{name}_{statistic}"] = getattr(values, statistic)("unit").assign_attrs(units="steps")
    if "tau_net_resampled" in result:
        resampled = result["tau_net_resampled"].where(described)
        means = xr.concat([resampled, resampled.where(resampled > above)], dim=units).mean("unit")
        summary["tau_net_error"] = means.std("resample", ddof=1).assign_attrs(units="steps")
    return summary


def _automatic_split(n_trials: int, n_steps: int, burn_in: int, max_lag: int) -> int:
    shortest = max(50 * max_lag, 20 * burn_in, 1)
    return max(1, min(_FAST_BATCH // max(n_trials, 1), n_steps // shortest))


def _analyse(measured: Autocovariance, p: torch.Tensor, options: _Options, generator: torch.Generator) -> xr.Dataset:
    """Everything that follows from the autocovariance of all trials."""
    bias = finite_length_bias(measured.covariance, measured.n_steps)
    corrected = measured.covariance + bias[..., None] if options.correct_bias else measured.covariance
    covariance = corrected.cpu().numpy()
    diverged = ~np.isfinite(covariance).all((0, 2))
    if diverged.all():
        raise InputError("the network diverged: no unit has a finite variance in every trial")
    dead = ~diverged & _is_dead(measured)
    usable = ~(dead | diverged)
    average = np.full(covariance.shape[1:], np.nan)
    average[usable] = covariance[:, usable].mean(0)
    autocorrelation = average / average[:, :1]
    error = np.where(usable, standard_error(corrected, measured.n_steps).cpu().numpy(), np.nan)
    needed = 0 * error if options.method == "published" else error
    fits = fit_exponentials(autocorrelation[:, : options.fit_lags + 1], options.tau_max, needed)
    result = fit_variables(fits)
    result = result.assign(
        autocorrelation=(("unit", "lag"), autocorrelation),
        bias=("unit", np.where(usable, bias.mean(0).cpu().numpy(), np.nan) / average[:, 0]),
        mean=("unit", measured.mean.mean(0).cpu().numpy()),
        variance=("unit", np.where(diverged, np.nan, corrected[..., 0].mean(0).cpu().numpy())),
        standard_error=("unit", error),
        dead=("unit", dead),
        diverged=("unit", diverged),
    ).assign_coords(lag=np.arange(options.max_lag + 1), unit=np.arange(len(usable)))
    result = with_goodness(result.assign_attrs(fit_lags=options.fit_lags))
    if options.bootstrap:
        # A resample scatters about the truth with twice the variance.
        parts = covariance[:, usable, : options.fit_lags + 1], 2**0.5 * needed[usable]
        weights = resamples(p, options.bootstrap, generator, neighbours=options.is_stratified)
        result = one_sided(result.assign(uncertainty(*parts, usable, options.tau_max, weights)))
    return result


def _is_dead(measured: Autocovariance) -> np.ndarray:
    """Units that never leave their mean by more than the rounding of float32, in any trial."""
    variance, mean = measured.covariance[..., 0], measured.mean
    smallest = torch.finfo(torch.float32)
    bound = (8 * smallest.eps * mean.abs()).square().clamp(min=smallest.tiny)
    return (variance <= bound).all(0).cpu().numpy()


def fit_variables(fits: ExponentialFits) -> xr.Dataset:
    """Return the fits of all units ``[unit]`` as a Dataset, their timescale under the name of ``tau_net``.

    Examples
    --------
    >>> fits = fit_exponentials(0.5 ** np.arange(9)[None])
    >>> fit_variables(fits).tau_net.round(3).values
    array([1.443])
    """
    values = vars(fits).copy()
    values["tau_net"] = values.pop("tau")
    second = dict.fromkeys(("aic", "rss"), "exponentials") | dict.fromkeys(
        ("double_tau", "double_amplitude"), "component"
    )
    return xr.Dataset(
        {name: (("unit", second[name]) if name in second else "unit", array) for name, array in values.items()},
        coords={"exponentials": [1, 2], "component": ["slow", "fast"]},
    )


_LONG_NAMES = {
    "tau": ("single-unit timescale", "steps"),
    "tau_net": ("network-mediated timescale", "steps"),
    "tau_net_std": ("bootstrap standard deviation of tau_net", "steps"),
    "tau_net_resampled": ("network-mediated timescale in every bootstrap resample", "steps"),
    "tau_net_low": ("2.5 % bootstrap quantile of tau_net", "steps"),
    "tau_net_high": ("97.5 % bootstrap quantile of tau_net; infinite at its upper bound", "steps"),
    "single_tau": ("timescale of the fit with one exponential", "steps"),
    "double_tau": ("timescales of the fit with two exponentials", "steps"),
    "single_amplitude": ("amplitude of the fit with one exponential", "1"),
    "double_amplitude": ("amplitudes of the fit with two exponentials", "1"),
    "n_exponentials": ("exponentials of the chosen fit; 0: not fitted", "1"),
    "aic": ("Akaike information criterion", "1"),
    "rss": ("residual sum of squares", "1"),
    "at_bound": ("tau_net lies on a bound of the fit: -1 at 0, 1 at tau_max", "1"),
    "autocorrelation": ("autocorrelation, averaged over trials", "1"),
    "standard_error": ("sampling error of the autocorrelation", "1"),
    "bias": ("what removing the mean took from the autocorrelation", "1"),
    "mean": ("mean activity", "activity"),
    "variance": ("variance of the activity, averaged over trials", "activity^2"),
    "dead": ("no variance in any trial; not fitted", "1"),
    "diverged": ("not finite in some trial; not fitted", "1"),
    "p": ("probability of a 1", "1"),
    "lag": ("lag", "steps"),
}


def with_units(result: xr.Dataset) -> xr.Dataset:
    """Write into a result's variables what they are and their units, and return it.

    Examples
    --------
    >>> with_units(xr.Dataset({"tau_net": ("unit", [2.0])})).tau_net.attrs["units"]
    'steps'
    """
    for name, (long_name, units) in _LONG_NAMES.items():
        if name in result.variables:
            result[name].attrs.update(long_name=long_name, units=units)
    return result


def _described(result: xr.Dataset, options: _Options, seed: int) -> xr.Dataset:
    """The result with units on every variable and all options in its attributes, as netCDF can hold them."""
    attributes: dict[str, Any] = {**asdict(options), "segment_steps": options.segment_steps, "seed": str(seed)}
    attributes["p"] = options.p if isinstance(options.p, str) else np.asarray(options.p, dtype=float)
    attributes |= {name: int(attributes[name]) for name in ("plus_minus", "correct_bias")}
    return with_units(result).assign_attrs(attributes, units="steps")
