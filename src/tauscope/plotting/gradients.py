"""Pictures of how gradients fade, and of what drives units."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, finite, integer_ticks, legend_below, new_axes, note


@matplotlib.rc_context(RC)
def plot_gradient_decay(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the norm of the derivative of a state with respect to an earlier one against the lag.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.gradient_decay.gradient_decay`, of one network.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on, with the range over trials shaded.

    Examples
    --------
    >>> norms = xr.DataArray([[-1.0, -2.0, -3.0]], dims=("trial", "lag"), coords={"lag": [1, 2, 3]})
    >>> result = xr.Dataset({"log_norm": norms, "rate": ("trial", [1.0])}, attrs={"first_lag": 1})
    >>> plot_gradient_decay(result).get_xlabel()
    'lag k (steps)'
    """
    ax = ax or new_axes()
    logs, rate = finite(result["log_norm"]), float(result["rate"].mean())
    lags, mean = logs["lag"].values, np.exp(logs.mean("trial").values)
    if np.isfinite(mean).any():
        low, high = np.exp(logs.min("trial").values), np.exp(logs.max("trial").values)
        ax.fill_between(lags, low, high, color=COLOURS["blue"], alpha=0.2, lw=0, label="range over trials")
        ax.plot(lags, mean, "o-", ms=3, color=COLOURS["blue"], label="geometric mean over trials")
        ax.set_yscale("log")
    else:
        note(ax, "every derivative is 0")
    first = result.attrs["first_lag"]
    ax.axvline(first, ls=":", lw=0.8, color=COLOURS["grey"], label=f"from here on the fit: {rate:.3g} nats/step")
    ax.set(xlabel="lag k (steps)", ylabel="norm of ∂z(t+k)/∂z(t)")
    integer_ticks(ax.xaxis)
    legend_below(ax, title=f"1 network, {count(result.sizes['trial'], 'trial')}")
    return ax


@matplotlib.rc_context(RC)
def plot_drives(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the share of the variance in the first components, of drives and activity.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.drives.drives`, of one network.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> parts = {"source": ("part", ["recurrent", "state"]), "gate": ("part", ["recurrent", ""])}
    >>> result = xr.Dataset({"share": ("part", [0.9, 0.8])}, parts, {"n_components": 5, "n_trials": 3})
    >>> [label.get_text() for label in plot_drives(result).get_yticklabels()]
    ['recurrent', 'state']
    """
    ax = ax or new_axes()
    colours = {"recurrent": COLOURS["blue"], "input": COLOURS["orange"], "state": COLOURS["grey"]}
    parts = list(zip(result["source"].values, result["gate"].values, strict=True))
    labels = [" ".join(dict.fromkeys(part)).strip() for part in parts]
    ax.barh(labels, result["share"].values, color=[colours[source] for source, _ in parts])
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel=f"variance in the first {result.attrs['n_components']} components (share)")
    ax.set_title(f"1 network, {count(result.attrs['n_trials'], 'trial')}")
    return ax
