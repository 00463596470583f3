"""Pictures of travelling waves: spectra on the unit circle, operators in the basis of waves, and moving waves."""

from __future__ import annotations

from typing import Any, cast

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope.errors import InputError
from tauscope.plotting.style import COLOURS, COLUMN_WIDTH, RC, integer_ticks, legend_below, new_axes

_COLOURMAP = "RdBu_r"


@matplotlib.rc_context(RC)
def plot_wave_spectrum(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the slow eigenvalues of a network beside those of the theory's operator.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.wave_spectrum.wave_spectrum`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: the unit circle, crosses for the operator, circles for the network.

    Examples
    --------
    >>> from tauscope.analysis.wave_spectrum import wave_spectrum
    >>> ax = plot_wave_spectrum(wave_spectrum(np.diag([1.0, 0.99]), np.diag([1.0, -1.0])))
    >>> [len(line.get_xdata()) for line in ax.lines[1:]]
    [2, 2]
    """
    ax = ax or new_axes(height=3.6)
    angle = np.linspace(0, 2 * np.pi, 201)
    ax.plot(np.cos(angle), np.sin(angle), ls="--", lw=0.8, color=COLOURS["grey"], label="unit circle")
    for name, marker, colour, label in (
        ("eigenvalues", "o", COLOURS["blue"], f"network: {int(result['count'])} slow modes"),
        ("expected", "x", COLOURS["vermilion"], f"theory: {int(result['rank'])}"),
    ):
        values = result[name].values
        ax.plot(*values.T, marker, ls="none", ms=5, mew=0.9, fillstyle="none", color=colour, label=label)
    ax.set(xlabel="real part", ylabel="imaginary part")
    ax.set_aspect("equal", adjustable="datalim")
    legend_below(ax, title=_phase_error(result), n_columns=2)
    return ax


def _phase_error(result: xr.Dataset) -> str:
    if not result.sizes["pair"]:
        return "1 network without slow modes"
    error, null = float(result["phase_error"]), float(result["null_phase_error"])
    return f"1 network; phases differ by {error:.2g} rad\n(random matrices: {null:.2g} rad)"


@matplotlib.rc_context(RC)
def plot_operator(operator: xr.DataArray, dim: int, ax: Axes | None = None) -> Axes:
    """Plot an operator on a wave substrate, white at zero, with lines between the vectors of the substrate.

    Parameters
    ----------
    operator : DataArray [to, from]
        ``operator`` or ``theory`` of `tauscope.analysis.wave_basis.readout_basis`. Colours saturate at ±1.
    dim : int
        Number of components of a vector; the first rows belong to the oldest vector.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on.

    Raises
    ------
    InputError
        If the operator is not a square matrix of blocks of that size.

    Examples
    --------
    >>> operator = xr.DataArray(np.eye(4, k=2), dims=("to", "from"))
    >>> len(plot_operator(operator, 2).lines)
    2
    """
    size = operator.sizes.get("to", 0)
    if operator.dims != ("to", "from") or size != operator.sizes["from"] or dim < 1 or not size or size % dim:
        raise InputError(f"operator has dimensions {dict(operator.sizes)}: expected to and from, multiples of {dim}")
    ax = ax or new_axes(height=2.9)
    image = ax.imshow(operator.values, cmap=_COLOURMAP, vmin=-1, vmax=1, interpolation="nearest")
    ax.figure.colorbar(
        image, ax=ax, label="weight", shrink=0.85, extend="both" if np.abs(operator).max() > 1 + 1e-6 else "neither"
    )
    for edge in np.arange(dim, size, dim) - 0.5:
        ax.axhline(edge, lw=0.5, color=COLOURS["grey"])
        ax.axvline(edge, lw=0.5, color=COLOURS["grey"])
    ax.set(xlabel="from place of the substrate", ylabel="to place of the substrate")
    integer_ticks(ax.xaxis, ax.yaxis)
    return ax


@matplotlib.rc_context(RC)
def plot_substrate(substrate: xr.DataArray, component: int = 0, trial: int = 0, ax: Axes | None = None) -> Axes:
    """Plot a component of a wave substrate over time; a wave is a stripe that moves by one place a step.

    Parameters
    ----------
    substrate : DataArray [time, trial, lag, component]
        From `tauscope.analysis.travelling_waves.project`.
    component, trial : int
        Indices of component and trial.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: steps to the right, places upwards, where waves start at the top.

    Raises
    ------
    InputError
        If the component or the trial does not exist.

    Examples
    --------
    >>> substrate = xr.DataArray(np.ones((6, 1, 4, 2)), dims=("time", "trial", "lag", "component"))
    >>> plot_substrate(substrate).images[0].get_array().shape
    (4, 6)
    """
    for name, value in (("component", component), ("trial", trial)):
        if not 0 <= value < substrate.sizes[name]:
            raise InputError(f"{name} is {value}: expected 0 ... {substrate.sizes[name] - 1}")
    ax = ax or new_axes(height=1.9)
    values = substrate.isel(component=component, trial=trial).transpose("lag", "time").values
    limit = float(np.abs(values).max()) or 1.0
    image = ax.imshow(
        values, cmap=_COLOURMAP, vmin=-limit, vmax=limit, aspect="auto", origin="lower", interpolation="nearest"
    )
    ax.figure.colorbar(image, ax=ax, label="what will be said")
    ax.set(xlabel="step", ylabel="steps until it is said")
    integer_ticks(ax.xaxis, ax.yaxis)
    return ax


def animate_waves(
    substrate: xr.DataArray, states: xr.DataArray, *, trial: int = 0, milliseconds: int = 400
) -> FuncAnimation:
    """Animate a wave substrate beside the activity of the units.

    Parameters
    ----------
    substrate : DataArray [time, trial, lag, component]
        From `tauscope.analysis.travelling_waves.project`.
    states : DataArray [time, trial, unit]
        Activity of the units at the same steps.
    trial : int
        Index of the trial.
    milliseconds : int
        Duration of a frame.

    Returns
    -------
    FuncAnimation
        A frame for each step; write it with ``animation.save("waves.gif", writer="pillow")``.

    Raises
    ------
    InputError
        If substrate and states have different numbers of steps.

    Examples
    --------
    >>> import tempfile
    >>> substrate = xr.DataArray(np.zeros((2, 1, 4, 3)), dims=("time", "trial", "lag", "component"))
    >>> states = xr.DataArray(np.zeros((2, 1, 9)), dims=("time", "trial", "unit"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     animate_waves(substrate, states).save(f"{folder}/waves.gif", writer="pillow")
    """
    if substrate.sizes["time"] != states.sizes["time"]:
        raise InputError(f"{substrate.sizes['time']} and {states.sizes['time']} steps: expected as many of both")
    moving = substrate.isel(trial=trial).transpose("time", "component", "lag").values
    units = _grid(states.isel(trial=trial).transpose("time", "unit").values)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(COLUMN_WIDTH, 1.9), layout="constrained")
        images = []
        for ax, values, name in zip(figure.subplots(1, 2), (moving, units), ("substrate", "units"), strict=True):
            limit = float(np.nanmax(np.abs(values))) or 1.0
            images.append(ax.imshow(values[0], cmap=_COLOURMAP, vmin=-limit, vmax=limit, interpolation="nearest"))
            ax.set_title(name)
        figure.axes[0].set(xlabel="steps until it is said", ylabel="component")
        figure.axes[1].set(xlabel="units", xticks=[], yticks=[])
        integer_ticks(figure.axes[0].xaxis, figure.axes[0].yaxis)
        title = figure.suptitle("step 0", fontsize=8)

    def draw(frame: int) -> list[Any]:
        for image, values in zip(images, (moving, units), strict=True):
            image.set_data(values[frame])
        title.set_text(f"step {frame}")
        return [*images, title]

    return FuncAnimation(figure, draw, frames=len(moving), interval=milliseconds)


def _grid(values: np.ndarray) -> np.ndarray:
    """Arrange units ``[time, unit]`` in a nearly square picture ``[time, row, column]``, padded with NaN."""
    n = values.shape[1]
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    padded = np.full((len(values), rows * columns), np.nan)
    padded[:, :n] = values
    return cast(np.ndarray, padded.reshape(len(values), rows, columns))
