"""Pictures of a continuous-time network's accuracy at other time steps than those of its training."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import xarray as xr
from matplotlib.axes import Axes

from tauscope.plotting.style import COLOURS, CYCLE, RC, legend_below, log_axis, new_axes

_MOST_CURVES = 4


@matplotlib.rc_context(RC)
def plot_resolution(result: xr.Dataset, trained: Sequence[int] = (), ax: Axes | None = None) -> Axes:
    """Plot the accuracy of a continuous-time network against its time step.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.resolution.resolution`, of one network.
    trained : sequence of int
        Steps a bit in training; the range from the smallest to the largest is shaded.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: the accuracy for a few Ns, with the smallest and the largest, its 95 % interval over
        sequences, and the chance level.

    Examples
    --------
    >>> data = {name: (("k", "N"), [[0.9], [1.0]]) for name in ("accuracy", "low", "high")} | {"chance": ("N", [0.5])}
    >>> coords = {"k": [1, 10], "dt": ("k", [1.0, 0.1]), "N": [2]}
    >>> plot_resolution(xr.Dataset(data, coords, attrs={"n_sequences": 64})).lines[0].get_xdata()
    array([1. , 0.1])
    """
    ax = ax or new_axes()
    if len(trained):
        mark_trained(ax, trained)
    for N, colour in zip(few(result["N"].values.tolist()), CYCLE, strict=False):
        curve = result.sel(N=N)
        ax.plot(curve["dt"], curve["accuracy"], "o-", ms=2.5, color=colour, label=f"N = {N}")
        ax.fill_between(curve["dt"], curve["low"], curve["high"], color=colour, alpha=0.2, lw=0)
    ax.axhline(float(result["chance"].max()), ls="--", lw=1, color=COLOURS["grey"], label="chance")
    time_step_axis(ax)
    lowest = float(result["low"].min())
    ax.set(ylabel="accuracy (fraction right)", ylim=(min(0.45, lowest - 0.02), 1.02))
    title = f"1 network, {result.attrs['n_sequences']} sequences, shaded: 95 % interval"
    legend_below(ax, title=title, n_columns=2)
    return ax


def few(Ns: Sequence[int]) -> list[int]:
    """Return at most four of the Ns, evenly spread, with the first and the last.

    Examples
    --------
    >>> few([2, 3, 4, 5, 6, 7, 8]), few([2, 3])
    ([2, 4, 6, 8], [2, 3])
    """
    n = min(len(Ns), _MOST_CURVES)
    return [Ns[round(i * (len(Ns) - 1) / max(n - 1, 1))] for i in range(n)]


def mark_trained(ax: Axes, trained: Sequence[int]) -> None:
    """Shade the time steps of the training.

    Examples
    --------
    >>> ax = new_axes()
    >>> mark_trained(ax, [7, 8, 9, 10])
    >>> ax.patches[0].get_label()
    'trained time steps'
    """
    # The shade is 5 % wider on each side, so that a single time step is visible.
    ax.axvspan(0.95 / max(trained), 1.05 / min(trained), color=COLOURS["sky"], alpha=0.3, lw=0,
               label="trained time steps")  # fmt: skip


def time_step_axis(ax: Axes) -> None:
    r"""Make the horizontal axis show time steps.

    Examples
    --------
    >>> ax = new_axes()
    >>> time_step_axis(ax)
    >>> ax.get_xlabel()
    'time step $\\Delta t$ (bits)'
    """
    ax.set_xlabel(r"time step $\Delta t$ (bits)")
    log_axis(ax)
