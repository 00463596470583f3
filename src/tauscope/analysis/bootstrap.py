"""How uncertain timescales are: the trials of a network resampled, and every resample fitted anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from tauscope.analysis.exponential_fits import TAU_MAX, fit_exponentials

_RESAMPLES_AT_ONCE = 10
_TAIL = 0.025


def resamples(
    p: Tensor, n_resamples: int, generator: torch.Generator, *, neighbours: bool = False
) -> NDArray[np.float64]:
    """Draw how often each trial enters each resample of the trials.

    Parameters
    ----------
    p : Tensor [trial]
        Probability of a 1 in every trial, at least two.
    n_resamples : int
        Number of resamples.
    generator : torch.Generator
        Source of chance.
    neighbours : bool
        Let only trials of neighbouring p stand for each other, as where the p are midpoints of equal parts of (0, 1):
        that p differs between them is then no uncertainty.

    Returns
    -------
    array [resample, trial]
        Weights, which add up to the number of trials.

    Notes
    -----
    Trials are drawn with replacement. Of groups of m neighbours, which are pairs and of an odd number of trials one of
    three, m - 1 are drawn, each with the weight m / (m - 1): the spread of a mean over resamples is then that of
    independent measurements, where m draws of a pair would halve it. What p changes within a group is counted as
    uncertainty, so that the spread is no underestimate. Source: Rao & Wu, J. Am. Stat. Assoc. 83, 231 (1988).

    Examples
    --------
    >>> resamples(torch.tensor([0.25, 0.75]), 3, torch.Generator().manual_seed(0), neighbours=True).sum(1)
    array([2., 2., 2.])
    """
    order = p.argsort().cpu() if neighbours else torch.arange(len(p), device="cpu")
    weights = torch.zeros(n_resamples, len(p), dtype=torch.float64, device="cpu")
    for group in order.tensor_split(len(p) // 2 if neighbours else 1):
        n_drawn = len(group) - neighbours
        drawn = torch.randint(len(group), (n_resamples, n_drawn), generator=generator, device=generator.device).cpu()
        counts = torch.nn.functional.one_hot(drawn, len(group)).sum(1).double()
        weights[:, group] = counts * (len(group) / n_drawn)
    return weights.numpy()


def uncertainty(
    covariance: NDArray[np.float64],
    error: NDArray[np.float64],
    usable: NDArray[np.bool_],
    tau_max: float,
    weights: NDArray[np.float64],
) -> dict[str, tuple[Any, NDArray[np.float64]]]:
    """Measure the spread of τ_net over resamples of the trials.

    Parameters
    ----------
    covariance : array [trial, usable unit, lag]
        Autocovariance of every trial at the fitted lags.
    error : array [usable unit]
        Sampling error of the autocorrelation of a resample.
    usable : array [unit] of bool
        Units that can be fitted.
    tau_max : float
        Upper bound of the fitted timescales, in steps.
    weights : array [resample, trial]
        From `resamples`.

    Returns
    -------
    dict
        Variables ``tau_net_resampled``, ``tau_net_std``, ``tau_net_low`` and ``tau_net_high`` of
        `tauscope.analysis.timescales`, in steps.
    """
    n_resamples, taus, bounds = len(weights), [], []
    for some in np.array_split(weights, -(-n_resamples // _RESAMPLES_AT_ONCE)):
        resampled = np.tensordot(some, covariance, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            fits = fit_exponentials(resampled / resampled[..., :1], tau_max, error)
        taus.append(fits.tau)
        bounds.append(fits.at_bound > 0)
    drawn = torch.full((n_resamples, len(usable)), torch.nan, dtype=torch.float64, device="cpu")
    drawn[:, torch.from_numpy(usable)] = torch.from_numpy(np.concatenate(taus))
    censored = drawn.new_zeros(len(usable))
    censored[torch.from_numpy(usable)] = torch.from_numpy(np.concatenate(bounds).mean(0))
    # A resample in which a unit is silent throughout has no τ_net and is left out.
    n_fitted = drawn.isfinite().sum(0)
    deviation = (drawn - drawn.nanmean(0)).square().nansum(0)
    low, high = drawn.nanquantile(drawn.new_tensor([_TAIL, 1 - _TAIL]), 0)
    std = torch.where(n_fitted > 1, deviation / (n_fitted - 1), torch.nan).sqrt()
    # A τ_net at its upper bound is only known to be longer.
    unbounded = censored > _TAIL
    return {
        "tau_net_resampled": (("resample", "unit"), drawn.numpy()),
        "tau_net_std": ("unit", std.masked_fill(unbounded, torch.nan).numpy()),
        "tau_net_low": ("unit", low.numpy()),
        "tau_net_high": ("unit", high.masked_fill(unbounded, torch.inf).numpy()),
    }


def one_sided(result: xr.Dataset) -> xr.Dataset:
    """Open the intervals of τ_net that end at a bound, and take away those of poor fits.

    At the upper bound all that is known is a lower limit. At 0 the upper limit is the timescale of the largest decay
    that cannot be told from none, e^{-1/τ} = 1.96 standard errors above the autocorrelation at lag 1. The interval of a
    poor fit would be one of a number that describes nothing.
    """
    above, below = result["at_bound"] > 0, result["at_bound"] < 0
    smallest = result["autocorrelation"].isel(lag=1, drop=True).clip(min=0) + 1.96 * result["standard_error"]
    resolved = -1 / np.log(smallest.clip(max=np.exp(-1 / TAU_MAX)))
    high = result["tau_net_high"].where(~below, np.maximum(result["tau_net_high"], resolved)).where(~above, np.inf)
    good = result["n_exponentials"].astype(bool) & ~result["poor_fit"]
    return result.assign(
        tau_net_std=result["tau_net_std"].where(good & ~above & ~below),
        tau_net_low=result["tau_net_low"].where(good),
        tau_net_high=high.where(good),
    )
