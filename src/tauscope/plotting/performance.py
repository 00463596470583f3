"""Pictures of a network's scores on trials."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, integer_ticks, legend_below, new_axes


@matplotlib.rc_context(RC)
def plot_performance(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the fractional loss at every delay, or the score of every head, beside chance and the ideal observer.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.performance` or `tauscope.analysis.scores`, of one network.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> of_delay = {name: ("delay", [0.1, 0.4]) for name in ("loss_at_delay", "error_at_delay")}
    >>> result = xr.Dataset({"chance": 1.0, **of_delay}, coords={"delay": [10, 40]}, attrs={"n_trials": 100})
    >>> plot_performance(result).lines[0].get_xydata().tolist()
    [[10.0, 0.1], [40.0, 0.4]]
    """
    if "score" in result:
        return _plot_scores(result, ax or new_axes())
    ax = ax or new_axes()
    x, loss, error = (result[name].values for name in ("delay", "loss_at_delay", "error_at_delay"))
    chance = float(result["chance"])
    label = "network, bars: 2 standard errors over trials"
    ax.errorbar(x, loss, 2 * error, fmt="o-", ms=3, color=COLOURS["blue"], label=label)
    ax.axhline(chance, ls="--", lw=0.8, color=COLOURS["grey"], label=f"chance: {chance:.3g}")
    ax.axhline(0, ls=":", lw=0.8, color="black", label="0: ideal observer")
    low, high = min(0.0, float(np.nanmin(loss))), max(chance, float(np.nanmax(loss)))
    room = 0.06 * (high - low)
    ax.set(xlabel="delay (steps)", ylabel="fractional loss", ylim=(low - room, high + room))
    integer_ticks(ax.xaxis)
    if len(x) == 1:
        ax.set_xlim(x[0] - 1, x[0] + 1)
    legend_below(ax, title=f"1 network, {count(int(result.attrs['n_trials']), 'trial')}")
    return ax


def _plot_scores(result: xr.Dataset, ax: Axes) -> Axes:
    """Plot the score of every head, with the scores of chance and of the best answer."""
    x = np.arange(result.sizes["head"])
    score, error = result["score"].values, result["standard_error"].values
    label = "network, bars: 2 standard errors over trials"
    ax.errorbar(x, score, 2 * error, fmt="o", ms=3, color=COLOURS["blue"], label=label)
    ax.plot(x, result["chance"].values, "_", ms=14, color=COLOURS["grey"], label="chance")
    ax.plot(x, result["optimum"].values, "_", ms=14, color="black", label="best answer")
    metric, unit = str(result.attrs["metric"]).replace("_", " "), result["score"].attrs.get("units", "1")
    ax.set(xlabel="head", ylabel=metric if unit == "1" else f"{metric} ({unit})", xlim=(-0.6, len(x) - 0.4))
    ax.set_xticks(x, [str(name) for name in result["head"].values])
    legend_below(ax, title=f"1 network, {count(int(result.attrs['n_trials']), 'trial')}")
    return ax
