"""Pictures of balance: modes in the complex plane, aligned weights, and rates of information."""

from __future__ import annotations

from typing import Any, cast

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, draw_mean_and_range, legend_below, log_axis, new_axes

_MARGIN = 0.06


@matplotlib.rc_context(RC)
def plot_modes(eigenvalues: xr.DataArray, ax: Axes | None = None) -> Axes:
    """Plot the eigenvalues of a network's feedback in the complex plane, over training.

    Parameters
    ----------
    eigenvalues : DataArray [step, eigenvalue, part]
        ``eigenvalues`` of `tauscope.analysis.modes` for one trial, by training step.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: a point for every eigenvalue, coloured by training step, and the limit of stability.

    Examples
    --------
    >>> from tauscope.analysis import modes
    >>> from tauscope.models import BalancedRNN
    >>> from tauscope.tasks import Tracking
    >>> import torch
    >>> result = modes(BalancedRNN(8, generator=torch.Generator().manual_seed(0)), Tracking(), n_trials=1)
    >>> ax = plot_modes(result.eigenvalues.rename(trial="step").assign_coords(step=[0]))
    >>> len(ax.collections[0].get_offsets())
    8
    """
    ax = ax or new_axes(height=3.0)
    x, y, step = _points(eigenvalues)
    drawn = ax.scatter(x, y, c=step, s=5, cmap="viridis", lw=0, alpha=0.8, zorder=2)
    ax.figure.colorbar(drawn, ax=ax, label="training step", format=StrMethodFormatter("{x:g}"))
    _complex_plane(ax, eigenvalues)
    legend_below(ax, title=f"1 network, {eigenvalues.sizes['eigenvalue']} units")
    return ax


def animate_modes(eigenvalues: xr.DataArray, *, milliseconds: int = 100) -> FuncAnimation:
    """Animate the eigenvalues of a network's feedback in the complex plane over training.

    Parameters
    ----------
    eigenvalues : DataArray [step, eigenvalue, part]
        As in `plot_modes`.
    milliseconds : int
        Duration of a frame.

    Returns
    -------
    FuncAnimation
        A frame for each step; write it with ``animation.save("modes.gif", writer="pillow")``.

    Examples
    --------
    >>> import tempfile
    >>> steps = xr.DataArray(np.zeros((2, 8, 2)), dims=("step", "eigenvalue", "part"), coords={"step": [0, 10]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     animate_modes(steps).save(f"{folder}/modes.gif", writer="pillow")
    """
    with matplotlib.rc_context(RC):
        ax = new_axes(height=3.0)
        first = eigenvalues.isel(step=0)
        ax.plot(*first.values.T, "o", ms=2.5, mew=0, color=COLOURS["grey"], label=f"step {first['step'].item()}")
        title = ax.set_title("training step")
        (now,) = ax.plot([], [], "o", ms=3, mew=0, color=COLOURS["blue"], label="now")
        _complex_plane(ax, eigenvalues)
        legend_below(ax, n_columns=3)

    def draw(frame: int) -> list[Any]:
        points = eigenvalues.isel(step=frame)
        now.set_data(*points.values.T)
        title.set_text(f"training step {points['step'].item()}")
        return [now, title]

    return FuncAnimation(cast(Figure, ax.figure), draw, frames=eigenvalues.sizes["step"], interval=milliseconds)


@matplotlib.rc_context(RC)
def plot_alignment(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the read-out weights of units against their input weights.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.alignment`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: a point for every unit, channel and output. Its colour tells whether channel and output have
        the same number; the legend states the range of correlations.

    Examples
    --------
    >>> from tauscope.analysis import alignment
    >>> from tauscope.models import BalancedRNN
    >>> import torch
    >>> ax = plot_alignment(alignment(BalancedRNN(8, n_inputs=2, generator=torch.Generator().manual_seed(0))))
    >>> [len(points.get_xdata()) for points in ax.lines]
    [16, 16]
    """
    ax = ax or new_axes(height=3.0)
    into, out, correlation = (result[name].values for name in ("input_weight", "output_weight", "correlation"))
    same = np.arange(into.shape[1])[:, None] == np.arange(out.shape[1])
    for pairs, label, marker, colour in ((same, "own output", "o", "vermilion"), (~same, "other output", "x", "blue")):
        channel, output = np.nonzero(pairs)
        if channel.size:
            ends = (np.nanmin(correlation[pairs]), np.nanmax(correlation[pairs]))
            span = " … ".join(dict.fromkeys(f"{end:.2f}" for end in ends))
            ax.plot(
                into[:, channel].ravel(), out[:, output].ravel(), marker, ms=3, mew=0.6, alpha=0.7, color=COLOURS[colour],
                label=f"{label}: correlation {span}",
            )  # fmt: skip
    ax.set(xlabel="input weight", ylabel="read-out weight")
    legend_below(ax, title=f"1 network, {len(into)} units")
    return ax


@matplotlib.rc_context(RC)
def plot_information(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the information rate of untrained networks against balance, with the linear theory.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.information_against_balance`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on, both axes logarithmic.

    Examples
    --------
    >>> from tauscope.analysis import information_against_balance
    >>> plot_information(information_against_balance((1.0, 2.0), n_units=20, n_steps=1000)).get_ylabel()
    'information rate (bits/τ)'
    """
    ax = _against_balance(result, "information_rate", "linear_rate", ax)
    bias = float(result["bias"])
    ax.axhline(bias, ls=":", lw=0.8, color="black", label=f"found without information: {bias:.2g}")
    _close(ax, result)
    return ax


@matplotlib.rc_context(RC)
def plot_response_time(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the population response time of untrained networks against balance, with the linear theory τ / (1 + b).

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.information_against_balance`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on, both axes logarithmic.

    Examples
    --------
    >>> from tauscope.analysis import information_against_balance
    >>> plot_response_time(information_against_balance((1.0, 2.0), n_units=20, n_steps=1000)).get_ylabel()
    'population response time (τ)'
    """
    ax = _against_balance(result, "response_time", "linear_time", ax)
    _close(ax, result)
    return ax


def _against_balance(result: xr.Dataset, measured: str, theory: str, ax: Axes | None) -> Axes:
    ax = ax or new_axes()
    b = result["balance"].values
    draw_mean_and_range(ax, b, result[measured], "network", "measured", COLOURS["blue"], marker="o", ms=3)
    ax.plot(b, result[theory], "--", lw=1, color=COLOURS["vermilion"], label="linear theory")
    attributes = result[measured].attrs
    ax.set(xlabel="balance b", ylabel=f"{attributes['long_name']} ({attributes['units']})")
    log_axis(ax)
    log_axis(ax, "y")
    return ax


def _close(ax: Axes, result: xr.Dataset) -> None:
    title = f"{count(result.sizes['network'], 'network')} of {result.attrs['n_units']} units a point; shaded: range"
    legend_below(ax, title=title, n_columns=2)


def _points(eigenvalues: xr.DataArray) -> tuple[Any, Any, Any]:
    """Return real part, imaginary part and training step of every eigenvalue, the last steps on top."""
    values = eigenvalues.transpose("step", "eigenvalue", "part").values
    step = np.repeat(eigenvalues["step"].values, values.shape[1])
    return *values.reshape(-1, 2).T, step


def _complex_plane(ax: Axes, eigenvalues: xr.DataArray) -> None:
    """Draw the limit of stability, and make room for the eigenvalues of all steps."""
    ax.axvline(1, ls=":", lw=0.8, color="black", label="limit of stability")
    x, y, _ = _points(eigenvalues)
    low, high = min(np.nanmin(x), 0.0), max(np.nanmax(x), 1.0)
    reach = max(float(np.nanmax(np.abs(y))), 0.1 * (high - low))
    room = _MARGIN * (high - low)
    ax.set(
        xlim=(low - room, high + room), ylim=(-reach - room, reach + room),
        xlabel="real part of eigenvalue", ylabel="imaginary part",
    )  # fmt: skip
