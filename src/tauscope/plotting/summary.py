"""Pictures of many networks: any measured number against N, by curriculum."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import matplotlib
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from tauscope._words import count
from tauscope.errors import require_choice
from tauscope.learning.curricula import CURRICULUM_NAMES
from tauscope.plotting.style import COLOURS, CYCLE, RC, N_axis, draw_mean_and_range, legend_below, new_axes

# Number of characters of a label that fit beside axes with a legend below.
_LABEL_WIDTH = 32

CURRICULUM_COLOURS = {"cumulative": "blue", "single": "vermilion", "sliding": "green", "single_nocurr": "grey"}
CURRICULUM_MARKERS = {"cumulative": "o", "single": "s", "sliding": "^", "single_nocurr": "v"}


_MARKERS = ("o", "s", "^", "v", "D", "P", "X")


@dataclass(frozen=True)
class Look:
    """Name in the legend, colour and marker of a group of networks."""

    name: str
    colour: str
    marker: str


LOOKS = {key: Look(name, COLOURS[CURRICULUM_COLOURS[key]], CURRICULUM_MARKERS[key])
         for key, name in CURRICULUM_NAMES.items()}  # fmt: skip
"""Looks of networks by curriculum."""


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """Return different looks for groups of networks with any names.

    Examples
    --------
    >>> looks_of(["gru", "lstm"])["lstm"]
    Look(name='lstm', colour='#E69F00', marker='s')
    """
    return {name: Look(name, CYCLE[i % len(CYCLE)], _MARKERS[i % len(_MARKERS)]) for i, name in enumerate(names)}


@matplotlib.rc_context(RC)
def plot_against_N(
    curves: Mapping[str, xr.DataArray], label: str, ax: Axes | None = None, *, looks: Mapping[str, Look] = LOOKS
) -> Axes:
    """Plot a number against N: the mean over networks, and their range.

    Parameters
    ----------
    curves : mapping of str to DataArray [network, N]
        Numbers by curriculum (a key of `tauscope.learning.curricula.CURRICULUM_NAMES`) or another key of ``looks``; NaN
        where a network did not reach N.
    label : str
        Name of the number, with its unit.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.
    looks : mapping of str to Look
        Name, colour and marker of each group of networks.

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
        draw_networks(ax, values["N"], values, curriculum, looks)
    ax.set_ylabel(textwrap.fill(label, _LABEL_WIDTH))
    N_axis(ax)
    missing = any(bool(values.isnull().any()) for values in curves.values())
    legend_below(ax, title=f"mean over networks{' that reached N' if missing else ''}, shaded: their range")
    return ax


def draw_networks(
    ax: Axes, x: ArrayLike, values: xr.DataArray, curriculum: str, looks: Mapping[str, Look] = LOOKS
) -> None:
    """Draw the mean over the networks of a curriculum, and their range.

    Parameters
    ----------
    ax : Axes
        Axes to draw on.
    x : array [point]
        Positions.
    values : DataArray [network, point]
        A number for each network and position, NaN where it is unknown.
    curriculum : str
        Key of ``looks``.
    looks : mapping of str to Look
        Name, colour and marker of each group of networks.

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
    require_choice("curriculum", curriculum, looks)
    look = looks[curriculum]
    label = f"{look.name}, {count(values.sizes['network'], 'network')}"
    draw_mean_and_range(ax, x, values, "network", label, look.colour, marker=look.marker, ms=3)
