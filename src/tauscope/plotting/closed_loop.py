"""Pictures of clones that act."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import CYCLE, RC, legend_below, new_axes


@matplotlib.rc_context(RC)
def plot_closed_loop(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the return of a clone under every shift as bars, and that of its expert as lines across them.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.closed_loop`.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on; dots are episodes, bars and lines their means.

    Examples
    --------
    >>> returns = ("shift", "episode"), [[9.0, 7.0], [5.0, 3.0]]
    >>> coords = {"shift": ["none", "hold"], "kind": ("shift", ["none", "sensors"])}
    >>> ax = plot_closed_loop(xr.Dataset({"return_": returns, "expert": returns}, coords, {"environment": "springs"}))
    >>> [float(bar.get_height()) for bar in ax.patches]
    [8.0, 4.0]
    """
    ax = ax or new_axes()
    own, expert, places = (
        result["return_"].transpose("shift", "episode"),
        result["expert"],
        np.arange(result.sizes["shift"]),
    )
    for i, kind in enumerate(dict.fromkeys(result["kind"].values)):
        chosen = places[result["kind"].values == kind]
        label = "as it is" if kind == "none" else f"shift of the {kind}"
        ax.bar(chosen, own[chosen].mean("episode"), width=0.6, color=CYCLE[i % len(CYCLE)], alpha=0.6, label=label)
    ax.plot(np.repeat(places, own.shape[1]), own.values.ravel(), ls="", marker="o", ms=2, color="black")
    ax.hlines(expert.mean("episode"), places - 0.4, places + 0.4, color="black", lw=1.2, label="expert")
    ax.set_xticks(places, result["shift"].values)
    ax.set(xlabel=f"shift of {result.attrs['environment']}", ylabel="return of an episode")
    ax.axhline(0, lw=0.5, color="black")
    legend_below(ax, title=f"1 network, {count(own.shape[1], 'episode')}", n_columns=2)
    return ax
