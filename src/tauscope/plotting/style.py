"""The common style of figures: column width, colours for any colour vision, text readable in print."""

from __future__ import annotations

import re
from typing import Any, Literal

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike, NDArray

COLUMN_WIDTH = 3.4
"""Width of a figure, in inches."""

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

CYCLE = tuple(colour for name, colour in COLOURS.items() if name != "grey")
"""Colours of lines without a fixed colour; grey is for references such as chance."""

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

# Space between the axes and a legend for tick labels and the axis label, in points.
_LEGEND_DROP = 29
# Number of characters of a title that fit the width of a column.
_TITLE_WIDTH = 40


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
    """Put the legend under the axes, where it hides no data; without labelled artists it has only the title.

    Parameters
    ----------
    ax : Axes
        Axes whose horizontal axis has a label of one line.
    title : str, optional
        Title above the entries, such as the number of networks.
    n_columns : int
        Number of columns of entries.

    Examples
    --------
    >>> ax = new_axes()
    >>> legend_below(ax, title="4 networks")
    >>> ax.get_legend().get_title().get_text()
    '4 networks'
    """
    handles, labels = ax.get_legend_handles_labels()
    below = ax.transAxes + ScaledTranslation(0, -_LEGEND_DROP / 72, ax.figure.dpi_scale_trans)
    legend = ax.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, borderaxespad=0,
        ncols=n_columns, title=title, title_fontsize=7,
    )  # fmt: skip
    legend.get_title().set_multialignment("center")


def integer_ticks(*axes: Axis) -> None:
    """Put ticks at integers only, even if the axis contains a single integer.

    Examples
    --------
    >>> ax = new_axes()
    >>> _ = ax.plot([3], [1])
    >>> integer_ticks(ax.xaxis)
    >>> [tick for tick in ax.get_xticks() if 2 < tick < 4]
    [np.float64(3.0)]
    """
    for axis in axes:
        axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def N_axis(ax: Axes) -> None:
    """Make the horizontal axis show the memory demand N.

    Examples
    --------
    >>> ax = new_axes()
    >>> N_axis(ax)
    >>> ax.get_xlabel()
    'N (bits to remember)'
    """
    ax.set_xlabel("N (bits to remember)")
    integer_ticks(ax.xaxis)


def log_axis(ax: Axes, which: Literal["x", "y"] = "x") -> None:
    """Make an axis logarithmic, with plain numbers that do not overlap.

    Examples
    --------
    >>> ax = new_axes()
    >>> log_axis(ax)
    >>> ax.get_xscale()
    'log'
    """
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def finite(values: xr.DataArray) -> xr.DataArray:
    """Return values with infinities replaced by NaN, which means and ranges skip.

    Examples
    --------
    >>> finite(xr.DataArray([1.0, float("inf")])).values
    array([ 1., nan])
    """
    return values.where(np.isfinite(values))


def draw_mean_and_range(
    ax: Axes, x: ArrayLike, values: xr.DataArray, over: str, label: str, colour: str, **line: Any
) -> None:
    """Draw the mean over samples as a line and their range as a shade; values that are not finite are left out.

    Parameters
    ----------
    ax : Axes
        Axes to draw on.
    x : array [point]
        Positions.
    values : DataArray [over, point]
        Samples at every position.
    over : str
        Dimension of the samples.
    label : str
        Label of the line.
    colour : str
        Colour of line and shade.
    **line
        Further properties of the line.

    Examples
    --------
    >>> ax = new_axes()
    >>> draw_mean_and_range(ax, [1, 2], xr.DataArray([[0.0, 1.0], [1.0, 3.0]], dims=("trial", "N")), "trial", "", "k")
    >>> ax.lines[0].get_ydata()
    array([0.5, 2. ])
    """
    known = finite(values)
    ax.plot(x, known.mean(over), color=colour, label=label, **line)
    if values.sizes[over] > 1:
        ax.fill_between(x, known.min(over), known.max(over), color=colour, alpha=0.2, lw=0)


def note(ax: Axes, text: str) -> None:
    """Write a text in the middle of empty axes.

    Examples
    --------
    >>> ax = new_axes()
    >>> note(ax, "no unit was fitted")
    >>> ax.texts[0].get_text()
    'no unit was fitted'
    """
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center")


def relative_accuracy_axis(ax: Axes, values: NDArray[np.float64], one: str, zero: str) -> None:
    """Make the vertical axis show relative accuracy, with lines at 1 and 0.

    Parameters
    ----------
    ax : Axes
        Axes to draw on.
    values : array
        Relative accuracies; the axis includes all finite values, and shows a note if there are none.
    one, zero : str
        Meaning of the relative accuracies 1 and 0.

    Examples
    --------
    >>> ax = new_axes()
    >>> relative_accuracy_axis(ax, np.array([0.5, 1.3]), "intact network", "chance")
    >>> [round(float(limit), 2) for limit in ax.get_ylim()]
    [-0.08, 1.35]
    """
    known = values[np.isfinite(values)]
    if not known.size:
        note(ax, "no relative accuracy: 1 and 0 coincide")
    ax.axhline(1, ls="--", lw=0.8, color="black", label=f"1: {one}")
    ax.axhline(0, ls=":", lw=0.8, color="black", label=f"0: {zero}")
    ylim = min(-0.08, known.min(initial=0) - 0.05), max(1.08, known.max(initial=1) + 0.05)
    ax.set(ylabel="relative accuracy", ylim=ylim)


def title(ax: Axes, run: str, checkpoint: str) -> None:
    r"""Write the names of run and checkpoint above the axes, with long names of runs broken into lines.

    Examples
    --------
    >>> ax = new_axes()
    >>> title(ax, "single_parity_network_1", "rnn_N5_N5")
    >>> ax.get_title()
    'single_parity_network_1\nrnn_N5_N5'
    """
    ax.set_title(f"{broken(run, _TITLE_WIDTH)}\n{checkpoint}", fontsize="small")


def broken(name: str, width: int) -> str:
    r"""Break a long name into lines that end with an underscore.

    Parameters
    ----------
    name : str
        Name, such as that of a run.
    width : int
        Largest number of characters of a line; a longer part between underscores is not broken.

    Examples
    --------
    >>> broken("single_parity_network_1", 14)
    'single_parity_\nnetwork_1'
    """
    lines = [""]
    for part in re.split("(?<=_)", name):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
