"""Pictures of pruned networks."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import CYCLE, RC, draw_mean_and_range, legend_below, new_axes


@matplotlib.rc_context(RC)
def plot_pruning(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the mean score over heads against the share of the synapses that is kept, a line for each rule.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.pruning_curves`.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on; shades are ranges over draws.

    Examples
    --------
    >>> score = xr.DataArray([[[[1.0]], [[0.5]]]], {"rule": ["random"], "share": [1.0, 0.0]}, ("rule", "share", "draw", "head"))
    >>> result = xr.Dataset({"score": score, "chance": ("head", [0.5])}, attrs={"metric": "accuracy", "n_trials": 10})
    >>> plot_pruning(result).lines[0].get_ydata()
    array([1. , 0.5])
    """
    ax = ax or new_axes()
    score = result["score"].mean("head")
    for i, method in enumerate(result["rule"].values):
        own = score.sel(rule=method).transpose("draw", "share")
        draw_mean_and_range(
            ax, result["share"].values, own, "draw", str(method), CYCLE[i % len(CYCLE)], marker="o", ms=3
        )
    chance = float(np.mean(result["chance"].values))
    ax.axhline(chance, ls=":", lw=0.8, color="black", label="chance")
    metric = str(result.attrs["metric"]).replace("_", " ")
    ax.set(xlabel="share of the synapses that is kept", ylabel=metric)
    ax.invert_xaxis()
    trials, draws = count(result.attrs["n_trials"], "trial"), count(result.sizes["draw"], "draw")
    legend_below(ax, title=f"1 network, {trials}, {draws} of each", n_columns=3)
    return ax
