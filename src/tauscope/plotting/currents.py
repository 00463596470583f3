"""Pictures of the currents that units receive."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, legend_below, new_axes


@matplotlib.rc_context(RC)
def plot_input_balance(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the mean inhibition against the mean excitation of every unit.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.input_balance`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: a point for every unit, and the line on which excitation and inhibition cancel.

    Examples
    --------
    >>> units = xr.Dataset({"excitation": ("unit", [1.0, 2.0]), "inhibition": ("unit", [-1.0, -3.0])})
    >>> plot_input_balance(units.assign_attrs(n_trials=5)).lines[0].get_xydata().tolist()
    [[1.0, 1.0], [2.0, 3.0]]
    """
    ax = ax or new_axes()
    excitation, inhibition = result["excitation"].values, -result["inhibition"].values
    ax.plot(excitation, inhibition, "o", ms=3, mew=0, alpha=0.6, color=COLOURS["blue"], label="unit")
    reach = float(np.nanmax([*excitation, *inhibition, 0.0]))
    ax.plot([0, reach], [0, reach], ":", lw=0.8, color="black", label="they cancel")
    ax.set(xlabel="mean excitation (current)", ylabel="mean inhibition (current)")
    n_units, n_trials = (
        count(n, what) for n, what in ((result.sizes["unit"], "unit"), (result.attrs["n_trials"], "trial"))
    )
    legend_below(ax, title=f"1 network, {n_units}, {n_trials}", n_columns=2)
    return ax
