"""Pictures of how far back in time a gradient reaches."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, legend_below, new_axes, note


@matplotlib.rc_context(RC)
def plot_credit(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the cosine of truncated gradients with the full one, and their norm, against the steps of credit.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.credit`, with ``rtrl_cosine`` where there is real-time recurrent learning.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> curves = {"cosine": ("window", [0.5, 1.0]), "norm_ratio": ("window", [0.2, 1.0])}
    >>> result = xr.Dataset(curves, {"window": [1, 4]}, {"n_trials": 8, "n_answers": 1})
    >>> plot_credit(result).lines[1].get_ydata()
    array([0.5, 1. ])
    """
    ax = ax or new_axes()
    k = result["window"].values
    ax.plot(
        k, result["norm_ratio"].values, "s--", ms=3, color=COLOURS["grey"], label="norm over that of the full gradient"
    )
    ax.plot(k, result["cosine"].values, "o-", ms=3, color=COLOURS["blue"], label="cosine with the full gradient")
    if "rtrl_cosine" in result:
        ax.axhline(float(result["rtrl_cosine"]), ls=":", lw=1.2, color=COLOURS["vermilion"], label="cosine of RTRL")
    if not np.isfinite(result["cosine"].values).any():
        note(ax, "the full gradient is 0")
    ax.axhline(0, lw=0.6, color="black")
    ax.set(xscale="log", xlabel="steps of credit k", ylabel="truncated beside full gradient")
    trials, answers = count(result.attrs["n_trials"], "trial"), count(result.attrs["n_answers"], "answer")
    legend_below(ax, title=f"1 network, {trials}, {answers} of each")
    return ax
