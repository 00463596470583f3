"""Pictures of fixed and slow points: where they lie among trajectories, and their modes."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.plotting.style import COLOURS, RC, legend_below, new_axes

_KINDS = (("stable", "o", "full", "blue"), ("unstable", "o", "none", "vermilion"), ("slow", "x", "full", "green"))
"""Stable and unstable fixed points, and slow ones: the marker and its filling of a point, and the colour of its modes."""


def _by_kind(result: xr.Dataset, variable: str) -> Iterator[tuple[np.ndarray, str, str, str, str]]:
    """Yield the values of all points of a kind, where there are any, with how many they are in words, and their looks."""
    fixed, unstable = result["fixed"].values, result["n_unstable"].values > 0
    for (kind, marker, filling, colour), of_kind in zip(
        _KINDS, (fixed & ~unstable, fixed & unstable, ~fixed), strict=True
    ):
        if of_kind.any():
            noun = "slow point" if kind == "slow" else f"{kind} fixed point"
            yield result[variable].values[of_kind], count(int(of_kind.sum()), noun), marker, filling, colour


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
    for points, label, marker, filling, _ in _by_kind(result, "projection"):
        ax.plot(*_plane(points), marker, ls="none", ms=6, fillstyle=filling, color=COLOURS["vermilion"], label=label)
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
    for values, name, _, _, colour in _by_kind(result, "eigenvalues"):
        ax.plot(
            values[..., 0].ravel(), values[..., 1].ravel(), "o", ms=3, mew=0.8, fillstyle="none", color=COLOURS[colour],
            label=f"{count(values.shape[1], 'mode')} of {name}",
        )  # fmt: skip
    ax.set(xlabel="real part of the eigenvalue", ylabel="imaginary part")
    ax.set_aspect("equal", adjustable="datalim")
    legend_below(ax, title=_title(result))
    return ax
