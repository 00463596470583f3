"""Pictures of what a network answers for every N."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tauscope.plotting.style import COLOURS, RC, legend_below, new_axes


@matplotlib.rc_context(RC)
def plot_accuracy(accuracy: xr.DataArray, trained: tuple[int, int] | None = None, ax: Axes | None = None) -> Axes:
    """Plot the accuracy for each N with its confidence interval, the chance level and the trained range.

    Parameters
    ----------
    accuracy : DataArray [N]
        From `tauscope.evaluate`.
    trained : (int, int), optional
        Smallest and largest trained N, shaded.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = ax or new_axes()
    known = accuracy.dropna("N")
    N = known["N"].values
    if trained is not None:
        ax.axvspan(trained[0] - 0.5, trained[1] + 0.5, color=COLOURS["sky"], alpha=0.2, lw=0, label="trained N")
    ax.plot(accuracy["N"], accuracy["chance"], ls="--", color=COLOURS["grey"], label="chance (best constant answer)")
    errors = np.stack([known - known["low"], known["high"] - known])
    ax.errorbar(N, known, errors, fmt="o-", ms=3, color=COLOURS["blue"], label="own head, 95 % interval")
    ax.set(xlabel="N (bits to remember)", ylabel="accuracy (fraction right)", ylim=(0.4, 1.02))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(ax, title=f"1 network, {accuracy.attrs['n_sequences']} sequences")
    return ax


@matplotlib.rc_context(RC)
def plot_accuracy_matrix(accuracy: xr.DataArray, ax: Axes | None = None) -> Axes:
    """Plot the accuracy of every head on each N.

    Parameters
    ----------
    accuracy : DataArray [head, N]
        From `tauscope.evaluate` with a list of heads.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = ax or new_axes(height=3.0)
    mesh = ax.pcolormesh(accuracy["N"], accuracy["head"], accuracy, vmin=0.5, vmax=1, cmap="cividis", shading="nearest")
    colorbar = ax.figure.colorbar(mesh, ax=ax, extend="min")
    colorbar.set_label(f"accuracy ({accuracy.attrs['n_sequences']} sequences; constant answers score 0.5 - 0.67)")
    ax.set(xlabel="N asked (bits to remember)", ylabel="head (N it was trained for)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return ax
