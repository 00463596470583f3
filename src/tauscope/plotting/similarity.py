"""A picture of how alike the dynamics of networks are."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, CYCLE, RC, broken, legend_below, new_axes


@matplotlib.rc_context(RC)
def plot_similarity(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the dynamical distances of pairs of networks: within each group, and between groups.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.dynamical_similarity`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on, with a dot for every pair and a line at the mean of a column.

    Examples
    --------
    >>> distance = [[0.0, 0.1, 0.5], [0.1, 0.0, 0.4], [0.5, 0.4, 0.0]]
    >>> result = xr.Dataset(
    ...     {"distance": (("network", "other"), distance), "p_value": 0.3}, {"group": ("network", ["a", "a", "b"])}
    ... )
    >>> plot_similarity(result).get_legend_handles_labels()[1]
    ['within a: 1 pair', 'a against b: 2 pairs']
    """
    ax = ax or new_axes()
    groups, distance = result["group"].values.tolist(), result["distance"].values
    pairs: dict[tuple[str, str], list[float]] = {}
    order = list(dict.fromkeys(groups))
    for i, j in itertools.combinations(range(len(groups)), 2):
        first, second = sorted((groups[i], groups[j]), key=order.index)
        pairs.setdefault((first, second), []).append(float(distance[i, j]))
    columns = sorted(pairs, key=lambda pair: (pair[0] != pair[1], order.index(pair[0]), order.index(pair[1])))
    for place, pair in enumerate(columns):
        values, same = np.array(pairs[pair]), pair[0] == pair[1]
        colour = CYCLE[order.index(pair[0]) % len(CYCLE)] if same else COLOURS["grey"]
        what = f"within {pair[0]}" if same else f"{pair[0]} against {pair[1]}"
        # Side by side in the order of the pairs: no chance in a figure.
        beside = place + np.linspace(-0.25, 0.25, len(values) + 2)[1:-1]
        label = f"{broken(what, 44)}: {count(len(values), 'pair')}"
        ax.plot(beside, values, "o", ms=3, mew=0, alpha=0.7, color=colour, label=label)
        ax.plot([place - 0.3, place + 0.3], [values.mean()] * 2, color=colour)
    ax.set(ylabel="dynamical distance", xlabel="pairs of networks", ylim=(0, None))
    ax.set_xticks(range(len(columns)), [("within" if first == second else "between") for first, second in columns])
    ax.set_xlim(-0.6, len(columns) - 0.4)
    legend_below(ax, title=f"{count(len(groups), 'network')}, p = {float(result['p_value']):.2g}")
    return ax
