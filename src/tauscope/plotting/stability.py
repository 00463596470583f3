"""Pictures of how stable a memory is: memory functions, errors after perturbations, and maps of τ."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from tauscope.plotting.style import COLOURS, CYCLE, RC, legend_below, new_axes, note


@matplotlib.rc_context(RC)
def plot_memory_function(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot how much of an input is still in the answer against how long ago it was, on logarithmic axes.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.memory_function`, with the memory that was asked for as ``target [lag]`` where there is one.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on; lags without memory are left out.

    Examples
    --------
    >>> result = xr.Dataset({"memory": ("lag", [1.0, 0.5, 0.0]), "half_life": 0.0}, {"lag": [0, 1, 2]})
    >>> plot_memory_function(result).lines[0].get_xdata()
    array([1, 2])
    """
    ax = ax or new_axes()
    half = float(result["half_life"])
    lines = {"memory": (f"network, half of it after {half:g} steps", COLOURS["blue"], "-")}
    if "target" in result:
        lines["target"] = ("what is asked", COLOURS["grey"], "--")
    for name, (label, colour, style) in lines.items():
        values = result[name].values
        there = np.isfinite(values) & (values > 0)
        ax.plot(result["lag"].values[there] + 1, values[there], style, color=colour, label=label)
    if not ax.lines[0].get_xdata().size:  # type: ignore[union-attr]
        note(ax, "the answer does not depend on the input")
    ax.set(xscale="log", yscale="log", xlabel="1 + lag (steps)", ylabel="change of the answer per input")
    legend_below(ax, title="1 network")
    return ax


@matplotlib.rc_context(RC)
def plot_perturbation_error(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the largest error after perturbations against their size, a line for each block of parameters.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.perturbation_error`.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on; the error of the network itself is a line without perturbation.

    Examples
    --------
    >>> sizes = {"part": ["all"], "beta": [0.0, 0.1]}
    >>> result = xr.Dataset({"error": (("part", "beta"), [[0.1, 0.4]]), "beta_star": ("part", [0.0])}, sizes)
    >>> plot_perturbation_error(result.assign_attrs(n_draws=2)).lines[0].get_xdata()
    array([0.1])
    """
    ax = ax or new_axes()
    for i, part in enumerate(result["part"].values):
        of = result.sel(part=part)
        label = f"{part}: borne up to {float(of['beta_star']):.2g}"
        draw_errors(ax, of["beta"].values, of["error"].values, label=label, color=CYCLE[i % len(CYCLE)])
    ax.axhline(float(result["error"][0, 0]), ls=":", lw=0.8, color="black", label="not perturbed")
    ax.set(xscale="log", yscale="log", xlabel="largest change of a parameter", ylabel="largest error")
    legend_below(ax, title=f"1 network, {result.attrs['n_draws']} perturbations of each size", n_columns=2)
    return ax


def draw_errors(ax: Axes, sizes: ArrayLike, errors: ArrayLike, **line: object) -> None:
    """Draw errors against sizes of perturbations, without the size 0 and up to the first error that is not finite.

    Examples
    --------
    >>> ax = new_axes()
    >>> draw_errors(ax, [0.0, 0.1, 0.2], [1.0, 2.0, np.inf])
    >>> ax.lines[0].get_ydata()
    array([2.])
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(errors, dtype=float)
    shown = (x > 0) & (np.cumsum(~np.isfinite(y)) == 0)
    ax.plot(x[shown], y[shown], **line)  # type: ignore[arg-type]
