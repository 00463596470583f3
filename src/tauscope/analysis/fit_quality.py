"""How well exponentials describe an autocorrelation: the goodness of the fit of every unit, and which units it leaves out."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

SAMPLING = 2.0
"""Root-mean-square residual of a fit, in standard errors of the autocorrelation, up to which sampling explains it."""

TOLERANCE = 0.15
"""Residual at one lag, in units of the variance, up to which a fit still describes the autocorrelation."""

_LONG_NAMES = {
    "residual_ratio": ("root-mean-square residual of the chosen fit", "standard errors"),
    "largest_residual": ("largest residual of the chosen fit", "1"),
    "poor_fit": ("the chosen fit does not describe the autocorrelation", "1"),
    "oscillates": ("fitted poorly, with an autocorrelation below zero", "1"),
}


def fitted_curve(fits: xr.Dataset, lags: ArrayLike) -> xr.DataArray:
    """Return the chosen fit of every unit at given lags.

    Parameters
    ----------
    fits : Dataset
        Result of `tauscope.analysis.timescales.timescales`, or one unit of it.
    lags : array [lag]
        In steps.

    Returns
    -------
    DataArray [..., lag]
        A e^{-k/τ}, or the sum of two such terms; NaN for a unit that was not fitted.

    Examples
    --------
    >>> unit = xr.Dataset({"n_exponentials": 1, "single_tau": 2.0, "single_amplitude": 1.0})
    >>> fitted_curve(unit, [0, 2]).values.round(3)
    array([1.   , 0.368])
    """
    lag = xr.DataArray(np.asarray(lags), dims="lag")
    n_exponentials = fits["n_exponentials"]

    def decays(tau: xr.DataArray) -> xr.DataArray:
        # A component of no duration is there at lag 0 alone.
        with np.errstate(divide="ignore", invalid="ignore"):
            return xr.where(lag == 0, 1.0, np.exp(-lag / tau))

    curve = fits["single_amplitude"] * decays(fits["single_tau"]) if "single_tau" in fits else xr.zeros_like(lag)
    if "double_tau" in fits:
        both = (fits["double_amplitude"] * decays(fits["double_tau"])).sum("component")
        curve = xr.where(n_exponentials == 2, both, curve)
    return curve.where(n_exponentials > 0).transpose(..., "lag")


def with_goodness(result: xr.Dataset) -> xr.Dataset:
    """Add to a result of `timescales` how well each unit's fit describes its autocorrelation.

    Parameters
    ----------
    result : Dataset
        Of `tauscope.analysis.timescales.timescales` or `tauscope.analysis.trials.trial_timescales`, of any version.

    Returns
    -------
    Dataset
        The same with ``residual_ratio``, the root-mean-square residual over the fitted lags in standard errors,
        ``largest_residual``, and the flags ``poor_fit`` and ``oscillates``; unchanged where it has them, or holds no
        autocorrelation with its standard error.

    Notes
    -----
    A unit is fitted poorly if its residuals are more than sampling error, √(RSS/n) > 2 s, *and* the fit misses the
    autocorrelation by more than 0.15 at some lag. Sampling error alone does not decide: in a recording of a million
    steps it is 0.001, and no network's autocorrelation is a sum of two exponentials so exactly. At the upper bound of τ
    only an autocorrelation below the fit counts: above it, the bound holds the fit back. A poorly fitted unit
    oscillates if its autocorrelation falls below -0.15, where no sum of decays with positive weights can follow.

    Examples
    --------
    >>> from tauscope.analysis.exponential_fits import fit_exponentials
    >>> from tauscope.analysis.timescales import fit_variables
    >>> lags = np.arange(31)
    >>> rho = np.stack([np.exp(-lags / 5), np.exp(-lags / 30) * np.cos(2 * np.pi * lags / 10)])
    >>> result = fit_variables(fit_exponentials(rho)).assign_attrs(fit_lags=30)
    >>> result = result.assign(autocorrelation=(("unit", "lag"), rho), standard_error=("unit", [0.01, 0.01]))
    >>> result = with_goodness(result)
    >>> result.poor_fit.values, result.oscillates.values
    (array([False,  True]), array([False,  True]))
    """
    if "poor_fit" in result or not {"autocorrelation", "standard_error"} <= set(result):
        return result
    n_lags = int(result.attrs.get("fit_lags", result.sizes["lag"] - 1)) + 1
    measured = result["autocorrelation"].isel(lag=slice(n_lags)).drop_vars("lag", errors="ignore")
    residual = measured - fitted_curve(result, np.arange(n_lags))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt((residual**2).mean("lag")) / result["standard_error"]
    largest = abs(residual).max("lag")
    # At its upper bound a fit may fall short of a slower decay: there only what lies below the fit speaks against it.
    missed = largest if "at_bound" not in result else largest.where(result["at_bound"] <= 0, (-residual).max("lag"))
    poor = (ratio > SAMPLING) & (missed > TOLERANCE)
    result = result.assign(
        residual_ratio=ratio,
        largest_residual=largest,
        poor_fit=poor,
        oscillates=poor & (measured.min("lag") < -TOLERANCE),
    )
    for name, (long_name, units) in _LONG_NAMES.items():
        result[name].attrs = {"long_name": long_name, "units": units}
    return result


def is_described(result: xr.Dataset) -> xr.DataArray:
    """Return for every unit whether its τ_net describes it: what means, medians, distributions and claims count.

    Parameters
    ----------
    result : Dataset
        Of `tauscope.analysis.timescales.timescales`, of any version; where it holds no autocorrelation, every fit counts.

    Returns
    -------
    DataArray [unit] of bool
        Units that were fitted, and not poorly. ``method="published"`` counts every unit that was fitted, as the paper.

    Examples
    --------
    >>> is_described(xr.Dataset({"tau_net": ("unit", [2.0, float("nan")])})).values
    array([ True, False])
    """
    fitted = result["tau_net"].notnull()
    if result.attrs.get("method") == "published":
        return fitted
    result = with_goodness(result)
    return fitted & ~result["poor_fit"] if "poor_fit" in result else fitted
