"""Pictures of fixed and slow points: where they lie among trajectories, and their modes."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, legend_below, new_axes

_KINDS = (("stable", "o", "full"), ("unstable", "o", "none"), ("slow", "x", "full"))


def _kind(result: xr.Dataset) -> np.ndarray:
    """Return of every point whether it is a stable or unstable fixed point, or a slow one."""
    return np.where(~result["fixed"].values, "slow", np.where(result["n_unstable"].values == 0, "stable", "unstable"))


def _title(result: xr.Dataset) -> str:
    missed = int(result.attrs["n_not_converged"]) + int(result.attrs["n_out_of_reach"])
    shown = ", ".join(f"{value:g}" for value in np.atleast_1d(result.attrs["input"]))
    return f"1 network, input {shown}; {count(int(result.attrs['n_starts']), 'start')}, {missed} without a point"


@matplotlib.rc_context(RC)
def plot_fixed_points(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot fixed and slow points over the first two principal components of visited states, with trajectories.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.fixed_points`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: filled circles for stable points, open ones for unstable points, crosses for slow points.

    Examples
    --------
    >>> import torch
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(6, tau=4.0, generator=torch.Generator().manual_seed(0))
    >>> result = ts.analysis.fixed_points(model, ts.Parity((2,), length=9), n_starts=9, n_trials=3)
    >>> plot_fixed_points(result).get_legend_handles_labels()[1]
    ['3 trials', '1 stable fixed point']
    """
    ax = ax or new_axes(height=3.4)
    paths = result["trajectory"].transpose("trial", "time", "component").values
    for i, path in enumerate(paths):
        label = count(len(paths), "trial") if i == 0 else None
        ax.plot(*_plane(path), lw=0.6, alpha=0.5, color=COLOURS["grey"], label=label)
    kinds, points = _kind(result), result["projection"].values
    for kind, marker, style in _KINDS:
        found = points[kinds == kind]
        if len(found):
            label = count(len(found), f"{kind} {'point' if kind == 'slow' else 'fixed point'}")
            ax.plot(*_plane(found), marker, ls="none", ms=6, fillstyle=style, color=COLOURS["vermilion"], label=label)
    ax.set(xlabel="principal component 1", ylabel="principal component 2")
    legend_below(ax, title=_title(result), n_columns=2)
    return ax


def _plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two components; zeros where a network has a single coordinate."""
    return points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))


@matplotlib.rc_context(RC)
def plot_modes(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the eigenvalues of a step at every fixed and slow point, with the unit circle.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.fixed_points`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on; eigenvalues outside the circle belong to modes that grow.

    Examples
    --------
    >>> import torch
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(6, tau=4.0, generator=torch.Generator().manual_seed(0))
    >>> result = ts.analysis.fixed_points(model, ts.Parity((2,), length=9), n_starts=9, n_trials=3)
    >>> plot_modes(result).get_legend_handles_labels()[1]
    ['unit circle', '6 modes of 1 stable fixed point']
    """
    ax = ax or new_axes(height=3.6)
    angle = np.linspace(0, 2 * np.pi, 201)
    ax.plot(np.cos(angle), np.sin(angle), ls="--", lw=0.8, color=COLOURS["grey"], label="unit circle")
    kinds, colours = _kind(result), (COLOURS["blue"], COLOURS["vermilion"], COLOURS["green"])
    for (kind, _, _), colour in zip(_KINDS, colours, strict=True):
        values = result["eigenvalues"].values[kinds == kind]
        if len(values):
            name = count(len(values), f"{kind} {'point' if kind == 'slow' else 'fixed point'}")
            label = f"{count(values.shape[1], 'mode')} of {name}"
            ax.plot(
                values[..., 0].ravel(),
                values[..., 1].ravel(),
                "o",
                ms=3,
                mew=0.8,
                fillstyle="none",
                color=colour,
                label=label,
            )
    ax.set(xlabel="real part of the eigenvalue", ylabel="imaginary part")
    ax.set_aspect("equal", adjustable="datalim")
    legend_below(ax, title=_title(result))
    return ax
