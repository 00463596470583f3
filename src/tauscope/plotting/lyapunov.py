"""Pictures of Lyapunov exponents."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, finite, integer_ticks, legend_below, new_axes, note


@matplotlib.rc_context(RC)
def plot_lyapunov_spectrum(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the leading Lyapunov exponents: their mean over trials, and their range.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.lyapunov.lyapunov`, of one network.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on. Exponents that are -inf in some trial are counted, not drawn.

    Examples
    --------
    >>> exponents = xr.DataArray([[-1.0, -2.0]], dims=("trial", "exponent"), coords={"exponent": [1, 2]})
    >>> plot_lyapunov_spectrum(xr.Dataset({"exponents": exponents})).get_ylabel()
    'Lyapunov exponent (nats/step)'
    """
    ax = ax or new_axes()
    drawn = finite(result["exponents"]).notnull().all("trial").values
    known = result["exponents"].isel(exponent=drawn)
    mean = known.mean("trial")
    ax.axhline(0, ls="--", lw=0.8, color=COLOURS["grey"], label="0: nearby states neither part nor meet")
    if drawn.any():
        errors = np.stack([mean - known.min("trial"), known.max("trial") - mean])
        ax.errorbar(
            known["exponent"], mean, errors, fmt="o", ms=3, color=COLOURS["blue"], label="mean over trials, bars: range"
        )
    else:
        note(ax, "no exponent is finite")
    ax.set(xlabel="exponent (1: the largest)", ylabel="Lyapunov exponent (nats/step)")
    integer_ticks(ax.xaxis)
    missing = f"; {count(int((~drawn).sum()), 'exponent')} not finite" if not drawn.all() else ""
    legend_below(ax, title=f"1 network, {count(result.sizes['trial'], 'trial')}{missing}")
    return ax
