"""Pictures of networks that multiply state and input."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope.plotting.style import COLOURS, RC, integer_ticks, legend_below, new_axes, note


@matplotlib.rc_context(RC)
def plot_singular_values(
    result: xr.Dataset, ax: Axes | None = None, *, label: str = "", colour: str = COLOURS["blue"]
) -> Axes:
    """Plot the singular values of what inputs change of the matrix that the state is multiplied with.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.second_order.effective_rank`.
    ax : Axes, optional
        Where to draw; a new figure if not given.
    label : str
        Of the line; by default the effective rank.
    colour : str
        Of the line.

    Returns
    -------
    Axes
        The axes drawn on; what is zero but for rounding is left out.

    Examples
    --------
    >>> result = xr.Dataset({"singular_values": ("direction", [2.0, 1.0, 0.0]), "rank": 2, "effective_rank": 1.9})
    >>> plot_singular_values(result).lines[0].get_xdata()
    array([1, 2])
    """
    alone = ax is None
    ax = ax or new_axes()
    rank = int(result["rank"])
    ax.plot(
        np.arange(1, rank + 1),
        result["singular_values"].values[:rank],
        color=colour,
        label=label or f"effective rank {float(result['effective_rank']):.3g} of {rank}",
    )
    if not rank:
        note(ax, "the input changes no matrix")
    top = max(float(np.asarray(line.get_ydata()).max(initial=0.0)) for line in ax.lines)
    ax.set(xlabel="direction", ylabel="singular value of $M_c - M_0$", ylim=(0, 1.05 * top or 1.0))
    integer_ticks(ax.xaxis)
    if alone:
        legend_below(ax, title="1 network")
    return ax


@matplotlib.rc_context(RC)
def plot_bpc_by_terms(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the bits per character of a network with the strongest of its CP terms alone.

    Parameters
    ----------
    result : Dataset
        With ``bpc_by_terms [terms]``, ``chance`` and ``bigram``; of a network without terms, nothing is drawn but these.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> found = xr.Dataset({"bpc_by_terms": ("terms", [4.0, 3.0])}, {"terms": [0, 1]})
    >>> plot_bpc_by_terms(found.assign(chance=4.5, bigram=3.5)).lines[0].get_ydata()
    array([4., 3.])
    """
    ax = ax or new_axes()
    if "bpc_by_terms" in result:
        ax.plot(result["terms"], result["bpc_by_terms"], "o-", ms=3, color=COLOURS["blue"], label="strongest terms")
        terms_axis(ax)
    else:
        note(ax, "the network has no CP terms")
    for name, said, style in (("chance", "entropy of a character", "--"), ("bigram", "given the one before", ":")):
        ax.axhline(float(result[name]), ls=style, lw=0.8, color=COLOURS["grey"], label=said)
    ax.set(xlabel="terms", ylabel="bits per character")
    legend_below(ax, title="1 network")
    return ax


def terms_axis(ax: Axes) -> None:
    """Make the horizontal axis one of numbers of terms: 0, and from 1 on logarithmic.

    Examples
    --------
    >>> ax = new_axes()
    >>> terms_axis(ax)
    >>> ax.get_xscale(), ax.get_xlim()[0]
    ('symlog', np.float64(-0.2))
    """
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(left=-0.2)
    ax.xaxis.set_major_formatter("{x:g}")
