"""One look for every figure: column width, colour-blind safe, readable in print."""

from __future__ import annotations

from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMN_WIDTH = 3.4
"""Inches."""

# Okabe & Ito's palette, distinguishable with any common colour vision.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "grey": "#8C8C8C",
}

RC: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "figure.dpi": 150,
}


def new_axes(width: float = COLUMN_WIDTH, height: float = 2.8) -> Axes:
    """Return the axes of a new figure in the common style, without touching pyplot's state.

    Parameters
    ----------
    width, height : float
        Size in inches.

    Returns
    -------
    Axes
        Its figure is ``axes.figure``.

    Examples
    --------
    >>> new_axes().get_xlabel()
    ''
    """
    with matplotlib.rc_context(RC):
        return Figure(figsize=(width, height), layout="constrained").add_subplot()


def legend_below(ax: Axes, title: str | None = None, n_columns: int = 1) -> None:
    """Put the legend under the axes, where it can hide no data.

    Parameters
    ----------
    ax : Axes
        Axes with labelled artists.
    title : str, optional
        Above the entries; the place for the number of networks.
    n_columns : int
        Columns of entries.
    """
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=n_columns, title=title, title_fontsize=7)
