"""Pictures of timescales: autocorrelations with their fits, and distributions over units."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, integer_ticks, legend_below, log_axis, new_axes, note

_QUANTILES = {"short (10 % quantile)": 0.1, "median": 0.5, "long (90 % quantile)": 0.9}
_SHADES = ("sky", "green", "vermilion")
_SHORTEST = 0.2


@matplotlib.rc_context(RC)
def plot_autocorrelations(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot autocorrelation and fit of units with a short, a median and a long τ_net, over those of all units.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.timescales.timescales`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on. Units that could not be fitted are left out.
    """
    ax = ax or new_axes(height=3.0)
    fitted = result.isel(unit=np.flatnonzero(result["tau_net"].notnull()))
    lags = result["lag"].values[: int(result.attrs["fit_lags"]) + 1]
    shown = fitted["autocorrelation"].values[:, : len(lags)]
    if not len(shown):
        note(ax, "no unit was fitted")
    # Many thin lines add up to a dark surface unless each is faint.
    faint = min(0.6, 75 / max(len(shown), 1))
    ax.plot(lags, shown.T, color=COLOURS["grey"], lw=0.3, alpha=faint, rasterized=True)
    order = np.argsort(fitted["tau_net"].values)
    for (name, quantile), shade in zip(_QUANTILES.items(), _SHADES, strict=True):
        if not len(order):
            break
        unit = fitted.isel(unit=order[round(quantile * (len(order) - 1))])
        label = rf"{name}: $\tau_\mathrm{{net}}$ = {float(unit['tau_net']):.2f} steps"
        ax.plot(lags, unit["autocorrelation"].values[: len(lags)], "o", ms=2.5, color=COLOURS[shade])
        ax.plot(lags, fitted_curve(unit, lags), color=COLOURS[shade], label=label)
    ax.axhline(0, color="black", lw=0.5)
    ax.set(
        xlabel="lag (steps)", ylabel="autocorrelation", ylim=(shown.min(initial=0) - 0.04, shown.max(initial=1) + 0.04)
    )
    legend_below(ax, title=f"1 network, {count(len(shown), 'unit')} (grey); dots: measured, lines: fit")
    return ax


def fitted_curve(unit: xr.Dataset, lags: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the chosen fit of a unit at given lags.

    Parameters
    ----------
    unit : Dataset
        A unit of a result of `tauscope.analysis.timescales.timescales`.
    lags : ndarray [lag]
        Lags in steps.

    Returns
    -------
    ndarray [lag]
        A e^{-k/τ}, or the sum of two such terms.

    Examples
    --------
    >>> unit = xr.Dataset({"n_exponentials": 1, "single_tau": 2.0, "single_amplitude": 1.0})
    >>> fitted_curve(unit, np.array([0, 2])).round(3)
    array([1.   , 0.368])
    """
    if int(unit["n_exponentials"]) == 1:
        taus, amplitudes = unit["single_tau"].values[None], unit["single_amplitude"].values[None]
    else:
        taus, amplitudes = unit["double_tau"].values, unit["double_amplitude"].values
    # A component with τ = 0 contributes at lag 0 only.
    with np.errstate(divide="ignore", invalid="ignore"):
        decays = np.where(lags[:, None] == 0, 1.0, np.exp(-lags[:, None] / taus))
    return np.asarray((amplitudes * decays).sum(axis=1))


@matplotlib.rc_context(RC)
def plot_timescale_distribution(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the distributions of τ and τ_net over units.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.timescales.timescales`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = ax or new_axes()
    drawn = {r"$\tau$": ("tau", "orange", True), r"$\tau_\mathrm{net}$": ("tau_net", "blue", False)}
    values = {label: result[name].dropna("unit").values for label, (name, _, _) in drawn.items()}
    largest = max((float(times.max()) for times in values.values() if len(times)), default=1.0)
    edges = np.geomspace(_SHORTEST, max(largest, 1.0) * 1.05, 41)
    for label, (_, colour, fill) in drawn.items():
        times = values[label]
        if len(times):
            label = f"{label}: {count(len(times), 'unit')}, mean {times.mean():.2f}, STD {times.std():.2f} steps"
            counts, _ = np.histogram(np.maximum(times, _SHORTEST), edges)
            ax.stairs(counts, edges, fill=fill, alpha=0.8, color=COLOURS[colour], label=label)
    if not any(len(times) for times in values.values()):
        note(ax, "no unit has a timescale")
    ax.set(xlabel="timescale (steps)", ylabel="units")
    log_axis(ax)
    integer_ticks(ax.yaxis)
    legend_below(ax, title=f"1 network; the first bin holds all below {edges[1]:.2g} steps")
    return ax
