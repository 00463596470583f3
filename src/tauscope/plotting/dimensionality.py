"""Pictures of dimensionality: the variance of principal components."""

from __future__ import annotations

import matplotlib
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, draw_mean_and_range, legend_below, log_axis, new_axes, note


@matplotlib.rc_context(RC)
def plot_variance_spectrum(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the share of the variance of each principal component, and the cumulative share.

    Parameters
    ----------
    result : Dataset
        Result of one network from `tauscope.analysis.dimensionality.dimensionality`, or for all trials together from
        `tauscope.analysis.trials.trial_dimensionality`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on. Trials without variance are left out.

    Examples
    --------
    >>> variance = xr.DataArray([[3.0, 1.0]], dims=("trial", "component"), coords={"component": [1, 2]})
    >>> result = xr.Dataset({"variance": variance, "n_components": ("trial", [2])}, attrs={"fraction": 0.9})
    >>> plot_variance_spectrum(result).lines[0].get_ydata()
    array([0.75, 0.25])
    """
    ax = ax or new_axes()
    moving = result.isel(trial=(result["variance"].sum("component") > 0).values)
    fraction, pooled = float(result.attrs["fraction"]), "n_trials" in result.attrs
    if moving.sizes["trial"]:
        share = moving["variance"] / moving["variance"].sum("component")
        x, mean = moving["component"].values, float(moving["n_components"].mean())
        draw_mean_and_range(ax, x, share, "trial", "each component", COLOURS["blue"], marker="o", ms=2)
        draw_mean_and_range(ax, x, share.cumsum("component"), "trial", "cumulative", COLOURS["vermilion"])
        ax.axhline(fraction, ls="--", lw=0.8, color=COLOURS["grey"], label=f"{fraction:.0%} of the variance")
        of = "" if pooled else " (mean over trials)"
        ax.axvline(mean, ls=":", color="black", label=f"{mean:.3g} components hold it{of}")
    else:
        note(ax, "the activity has no variance")
    ax.set(xlabel="principal component", ylabel="share of the variance", ylim=(-0.02, 1.04))
    log_axis(ax)
    n_trials = int(result.attrs["n_trials"]) if pooled else moving.sizes["trial"]
    legend_below(ax, title=f"1 network, {count(n_trials, 'trial')}{' together' if pooled else ': mean, shaded: range'}")
    return ax
