"""A picture of the timescales of recordings and networks on one axis."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from tauscope._words import count
from tauscope.analysis.fit_quality import is_described
from tauscope.errors import InputError, require_positive
from tauscope.plotting.style import CYCLE, RC, broken, legend_below, log_axis, new_axes, note


@matplotlib.rc_context(RC)
def plot_timescale_comparison(results: Mapping[str, xr.Dataset], step: float = 1.0, ax: Axes | None = None) -> Axes:
    """Plot the cumulative distributions of timescales over units, of recordings and networks together.

    Parameters
    ----------
    results : mapping of Dataset
        By the names in the legend, from `tauscope.analysis.timescales_of` (recordings, whose steps have a duration) and
        `tauscope.analysis.timescales` (networks, whose steps have none).
    step : float
        Duration of a network's step, in the time unit of the recordings.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on. Units that were not fitted, or poorly, are left out; a timescale of 0 lies at the left edge.

    Raises
    ------
    InputError
        If there is nothing to draw, or two recordings have different time units.
    """
    require_positive("step", step, finite=True)
    units = {str(result.attrs["time_unit"]) for result in results.values() if "time_unit" in result.attrs}
    if not results or len(units) > 1:
        raise InputError(
            f"results with the time units {sorted(units)}: expected at least one result, and one time unit"
        )
    ax = ax or new_axes()
    values = {}
    for name, result in results.items():
        taus = result["tau_net"].values[is_described(result).values]
        values[name] = np.sort(taus) * float(result.attrs.get("dt", step))
    above = np.concatenate([*values.values()])
    above = above[above > 0]
    edge = float(above.min()) / 2 if len(above) else 1.0
    for (name, taus), colour in zip(values.items(), CYCLE * len(values), strict=False):
        if len(taus):
            label = f"{broken(name, 40)}:\n{count(len(taus), 'unit')}, median {np.median(taus):.3g}"
            shown = np.maximum(np.concatenate([taus[:1], taus]), edge)
            ax.step(shown, np.arange(len(taus) + 1) / len(taus), where="post", color=colour, label=label)
    if not len(above):
        note(ax, "no unit has a timescale")
    unit = next(iter(units), "steps")
    ax.set(xlabel=f"timescale ({unit})", ylabel="share of units", ylim=(0, 1.02))
    log_axis(ax)
    if len(above) and above.max() > 100 * edge:
        ax.xaxis.set_major_locator(LogLocator())
    networks = any("dt" not in result.attrs for result in results.values())
    legend_below(ax, title=f"a network's step is {step:g} {unit}" if networks and units else None)
    return ax
