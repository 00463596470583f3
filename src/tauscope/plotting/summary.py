"""Pictures over many networks: any measured number against N, by curriculum."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from tauscope.errors import require_choice
from tauscope.plotting.style import COLOURS, RC, N_axis, count, draw_mean_and_range, legend_below, new_axes

CURRICULUM_COLOURS = {"cumulative": "blue", "single": "vermilion", "sliding": "green", "single_nocurr": "grey"}
CURRICULUM_MARKERS = {"cumulative": "o", "single": "s", "sliding": "^", "single_nocurr": "v"}
CURRICULUM_NAMES = {
    "cumulative": "multi-head",
    "single": "single-head",
    "sliding": "sliding window",
    "single_nocurr": "no curriculum",
}


@matplotlib.rc_context(RC)
def plot_against_N(curves: Mapping[str, xr.DataArray], label: str, ax: Axes | None = None) -> Axes:
    """Plot a number against N: the mean over networks, and their range.

    Parameters
    ----------
    curves : mapping of str to DataArray [network, N]
        By curriculum, a key of `CURRICULUM_NAMES`; NaN where a network did not reach N.
    label : str
        What is plotted, with its unit.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    InputError
        If a curriculum is unknown.

    Examples
    --------
    >>> tau = xr.DataArray([[1.5, 1.4], [1.3, 1.2]], dims=("network", "N"), coords={"N": [2, 3]})
    >>> plot_against_N({"single": tau}, "mean τ (steps)").lines[0].get_ydata()
    array([1.4, 1.3])
    """
    ax = ax or new_axes()
    for curriculum, values in curves.items():
        draw_networks(ax, values["N"], values, curriculum)
    ax.set_ylabel(label)
    N_axis(ax)
    missing = any(bool(values.isnull().any()) for values in curves.values())
    legend_below(ax, title=f"mean over networks{' that reached N' if missing else ''}, shaded: their range")
    return ax


def draw_networks(ax: Axes, x: ArrayLike, values: xr.DataArray, curriculum: str) -> None:
    """Draw the mean over the networks of one curriculum, and their range.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x : array [point]
        Positions.
    values : DataArray [network, point]
        One number for each network and position, NaN where there is none.
    curriculum : str
        A key of `CURRICULUM_NAMES`.

    Raises
    ------
    InputError
        If the curriculum is unknown.

    Examples
    --------
    >>> ax = new_axes()
    >>> draw_networks(ax, [2, 3], xr.DataArray([[1.0, 2.0]], dims=("network", "N")), "cumulative")
    >>> ax.lines[0].get_label()
    'multi-head, 1 network'
    """
    require_choice("curriculum", curriculum, CURRICULUM_NAMES)
    label = f"{CURRICULUM_NAMES[curriculum]}, {count(values.sizes['network'], 'network')}"
    colour, marker = COLOURS[CURRICULUM_COLOURS[curriculum]], CURRICULUM_MARKERS[curriculum]
    draw_mean_and_range(ax, x, values, "network", label, colour, marker=marker, ms=3)
