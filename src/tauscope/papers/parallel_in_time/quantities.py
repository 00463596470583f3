"""The numbers of trained networks that the claims compare and the figures show."""

from __future__ import annotations

import math

import xarray as xr
from scipy import stats

from tauscope.papers.parallel_in_time.studies import LIMIT
from tauscope.papers.statistics import slope
from tauscope.papers.vocabulary import Results

PARALLEL, TIMESCALES = "parallelizability", "timescales"


def iterations(result: xr.Dataset) -> float:
    """Return the mean iterations of Newton's method over the longest sequence; one more than the limit where there was no end.

    Examples
    --------
    >>> found = xr.DataArray([[[4.0, float("nan")]]], {"solver": ["newton"], "length": [500], "trial": [0, 1]})
    >>> iterations(xr.Dataset({"iterations": found}))
    32.5
    """
    found = result["iterations"].sel(solver="newton").isel(length=-1)
    return float(found.fillna(LIMIT + 1).mean())


def exponent(result: xr.Dataset) -> float:
    """Return the largest Lyapunov exponent, averaged over trials, in nats a step."""
    return float(result["largest_exponent"].mean())


def tau_net(result: xr.Dataset) -> float:
    """Return the mean τ_net of the units that were fitted, in steps; NaN where none was."""
    return float(result["tau_net"].mean())


def tau(result: xr.Dataset) -> float:
    """Return the mean τ of the units, in steps; of gated units that of their gates."""
    return float(result["tau"].mean())


def slopes(results: Results, condition: str, what: str) -> list[float]:
    """Return the slope against N of iterations or of the exponent, of every network with two N or more."""
    number = {"iterations": iterations, "exponent": exponent}[what]
    found = [slope(points) for points in results.against_N(PARALLEL, condition, number)]
    return [value for value in found if math.isfinite(value)]


def pairs(results: Results, condition: str) -> list[list[tuple[float, float, float]]]:
    """Return (τ_net, iterations, λ1) at every N of every network of a condition."""
    found = []
    for network in results.of(condition):
        Ns = [N for what, N in sorted(network.measured) if what == PARALLEL and (TIMESCALES, N) in network.measured]
        both = [(network.measured[TIMESCALES, N], network.measured[PARALLEL, N]) for N in Ns]
        found.append([(tau_net(times), iterations(result), exponent(result)) for times, result in both])
    return found


def correlations(results: Results, condition: str) -> list[float]:
    """Return the rank correlation of iterations with τ_net over the N of every network with three N or more.

    Of a network of which iterations or τ_net are all alike, it is 0.
    """
    found = []
    for points in pairs(results, condition):
        kept = [(time, count) for time, count, _ in points if math.isfinite(time)]
        if len(kept) >= 3:
            times, counts = zip(*kept, strict=True)
            alike = len(set(times)) == 1 or len(set(counts)) == 1
            found.append(0.0 if alike else float(stats.spearmanr(times, counts).statistic))
    return found
