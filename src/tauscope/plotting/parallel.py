"""Pictures of recurrences that are solved for all steps at once."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, CYCLE, RC, legend_below, new_axes, note

LABELS = {"newton": "Newton (Jacobian)", "quasi": "quasi-Newton (diagonal)", "jacobi": "Jacobi (none)"}
"""Methods of `tauscope.solve` in words."""


@matplotlib.rc_context(RC)
def plot_iterations(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot how many iterations each method takes against the length of the sequence.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.parallelizability`, of one network.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: means over trials, without lengths at which a trial did not converge.

    Examples
    --------
    >>> iterations = xr.DataArray([[[3.0], [4.0]]], {"solver": ["newton"], "length": [50, 500], "trial": [0]})
    >>> exponent = xr.DataArray([-0.4], dims="trial")
    >>> plot_iterations(xr.Dataset({"iterations": iterations, "largest_exponent": exponent})).get_xlabel()
    'length of the sequence (steps)'
    """
    ax = ax or new_axes()
    iterations, lengths = result["iterations"].mean("trial", skipna=False), result["length"].values
    for name, colour in zip(result["solver"].values, CYCLE, strict=False):
        ax.plot(lengths, iterations.sel(solver=name), "o-", ms=3, color=colour, label=LABELS.get(str(name), str(name)))
    if "max_iter" in result.attrs:
        ax.axhline(result.attrs["max_iter"], ls="--", lw=0.8, color=COLOURS["grey"], label="limit")
    if not iterations.notnull().any():
        note(ax, "no method converged")
    ax.set(xscale="log", xlabel="length of the sequence (steps)", ylabel="iterations", ylim=(0, None))
    exponent = float(result["largest_exponent"].mean())
    legend_below(ax, title=f"1 network, {count(result.sizes['trial'], 'trial')}; λ1 = {exponent:.2g} nats/step")
    return ax


@matplotlib.rc_context(RC)
def plot_residuals(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the residual of Newton's method after every iteration.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.parallelizability`, of one network.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on, a line for every trial; residuals that are 0 or not finite are left out.

    Examples
    --------
    >>> residual = xr.DataArray([[0.1], [1e-3], [1e-7]], dims=("iteration", "trial"), coords={"iteration": [0, 1, 2]})
    >>> plot_residuals(xr.Dataset({"residual": residual})).get_yscale()
    'log'
    """
    ax = ax or new_axes()
    residual = result["residual"].where((result["residual"] > 0) & np.isfinite(result["residual"]))
    for trial in range(residual.sizes["trial"]):
        ax.plot(residual["iteration"], residual.isel(trial=trial), "o-", ms=3, color=CYCLE[trial % len(CYCLE)])
    if not residual.notnull().any():
        note(ax, "no residual is finite and above 0")
    ax.set(yscale="log", xlabel="iterations of Newton's method", ylabel="largest residual")
    legend_below(ax, title=f"1 network, {count(residual.sizes['trial'], 'trial')}")
    return ax
