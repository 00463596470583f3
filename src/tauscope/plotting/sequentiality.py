"""Pictures of sequences: units in the order of their peaks, weights between units, and a grid of numbers of networks."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import (
    COLOURS,
    RC,
    integer_ticks,
    legend_below,
    new_axes,
    note,
)


@matplotlib.rc_context(RC)
def plot_peak_order(order: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the activity of all active units, each in parts of its peak, sorted by the time of their peak.

    Parameters
    ----------
    order : Dataset
        From `tauscope.analysis.sequentiality.peak_order`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: a sequence is a diagonal, persistent activity fills rows.

    Examples
    --------
    >>> from tauscope.analysis.sequentiality import peak_order
    >>> ax = plot_peak_order(peak_order(2 * np.eye(5)[:, None]))
    >>> ax.images[0].get_array().shape
    (5, 5)
    """
    ax = ax or new_axes(height=2.9)
    n_steps, n_units = order.sizes["time"], order.sizes["rank"]
    ax.set(xlabel="time (steps)", ylabel="unit, by time of its peak")
    if not n_units:
        note(ax, "no unit is active")
        return ax
    # The colour scale starts at 0: units below zero (leaky units can be) look silent.
    activity = order["activity"].transpose("rank", "time").values
    edges = (-0.5, n_steps - 0.5, n_units + 0.5, 0.5)
    image = ax.imshow(activity, cmap="viridis", vmin=0, vmax=1, aspect="auto", extent=edges, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="activity in parts of its peak")
    integer_ticks(ax.xaxis, ax.yaxis)
    ax.set_title(f"mean of {count(order.attrs['n_trials'], 'trial')}")
    return ax


@matplotlib.rc_context(RC)
def plot_weights_by_peak_difference(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot recurrent weights against the peak time of the receiving unit minus that of the sending unit.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.sequentiality.weights_by_peak_difference`; a result without weights is said to have none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: mean and standard deviation over pairs, and the means over positive and negative differences.

    Examples
    --------
    >>> from tauscope.analysis.sequentiality import weights_by_peak_difference
    >>> ax = plot_weights_by_peak_difference(weights_by_peak_difference(np.eye(4, k=-1), 2 * np.eye(4)[:, None]))
    >>> ax.lines[0].get_xdata().tolist()
    [-3, -2, -1, 1, 2, 3]
    """
    ax = ax or new_axes()
    ax.set(xlabel="peak of receiving - peak of sending unit (steps)", ylabel="recurrent weight")
    if "weight" not in result:
        note(ax, "the cell's recurrent weights are not known")
        return ax
    known = result.isel(difference=np.flatnonzero(result["n_pairs"].values > 0))
    if not known.sizes["difference"]:
        note(ax, "fewer than two units are active")
        return ax
    x, mean, spread = (known[name].values for name in ("difference", "weight", "std"))
    ax.plot(x, mean, color=COLOURS["blue"], label="mean")
    ax.fill_between(x, mean - spread, mean + spread, color=COLOURS["blue"], alpha=0.2, lw=0, label="± SD over pairs")
    for name, side, colour in (("forward", x > 0, "vermilion"), ("backward", x < 0, "green")):
        if side.any():
            value = float(result[name])
            label = f"{name}: {value:.3g}"
            ax.plot(x[side][[0, -1]], [value, value], "--", lw=1, color=COLOURS[colour], label=label)
    ax.axhline(0, ls=":", lw=0.8, color="black")
    legend_below(ax, title=f"1 network, {count(result.attrs['n_trials'], 'trial')}", n_columns=2)
    return ax


@matplotlib.rc_context(RC)
def plot_grid(values: xr.DataArray, x: str, y: str, ax: Axes | None = None) -> Axes:
    """Plot a quantity of the networks of a grid of two parameters as colours.

    Parameters
    ----------
    values : DataArray [y, x]
        A value for each network, NaN for a failed network; the attribute ``long_name`` labels the colours.
    x, y : str
        Dimensions of the horizontal and of the vertical axis; their coordinates hold evenly spaced values.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on; failed networks are grey.

    Examples
    --------
    >>> grid = xr.DataArray([[1.0, 2.0]], dims=("a", "b"), coords={"a": [0.9], "b": [0.0, 0.1]})
    >>> plot_grid(grid, "b", "a").images[0].get_array().tolist()
    [[1.0, 2.0]]
    """
    ax = ax or new_axes(height=2.9)
    matrix = np.ma.masked_invalid(values.transpose(y, x).values)
    colours = matplotlib.colormaps["viridis"].with_extremes(bad=COLOURS["grey"])
    edges = (*_edges(values[x].values), *_edges(values[y].values))
    image = ax.imshow(matrix, cmap=colours, origin="lower", aspect="auto", extent=edges, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label=values.attrs.get("long_name", values.name or "value"))
    ax.set(xlabel=values[x].attrs.get("long_name", x), ylabel=values[y].attrs.get("long_name", y))
    n_failed = int(np.ma.count_masked(matrix))
    ax.set_title(f"{count(matrix.size, 'network')}" + (f", {n_failed} failed (grey)" if n_failed else ""))
    return ax


def _edges(centres: np.ndarray) -> tuple[float, float]:
    """Return the outer edges of the first and the last cell around evenly spaced centres."""
    half = (centres[-1] - centres[0]) / (len(centres) - 1) / 2 if len(centres) > 1 else 0.5
    return float(centres[0] - half), float(centres[-1] + half)
