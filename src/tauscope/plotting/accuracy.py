"""Pictures of a network's accuracy for every N."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope.plotting.style import COLOURS, RC, N_axis, legend_below, new_axes


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
        Axes to draw on; by default those of a new figure.

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
    ax.set(ylabel="accuracy (fraction right)", ylim=(0.4, 1.02))
    N_axis(ax)
    legend_below(ax, title=f"1 network, {accuracy.attrs['n_sequences']} sequences")
    return ax
