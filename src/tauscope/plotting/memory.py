"""Pictures of a network's memory: accuracy after retraining, on smaller N, and of a fresh read-out."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tauscope._words import count
from tauscope.plotting.style import (
    COLOURS,
    RC,
    N_axis,
    draw_mean_and_range,
    integer_ticks,
    legend_below,
    new_axes,
    note,
    relative_accuracy_axis,
)


@matplotlib.rc_context(RC)
def plot_retraining(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the relative accuracy of a network after it was retrained on each N.

    Parameters
    ----------
    result : Dataset
        From `tauscope.measurements.retraining.retrain`, of one network.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> data = {"relative_accuracy": ("N", [1.0, 0.8]), "accuracy": (("N", "epoch"), [[1.0], [0.9]])}
    >>> plot_retraining(xr.Dataset(data, coords={"N": [16, 17]})).lines[0].get_ydata()
    array([1. , 0.8])
    """
    ax = ax or new_axes()
    relative = result["relative_accuracy"]
    first, epochs = int(relative["N"][0]), count(result.sizes["epoch"], "epoch")
    ax.plot(relative["N"], relative, "o-", ms=3, color=COLOURS["blue"], label=f"retrained on N alone, {epochs}")
    best = float(result["accuracy"].isel(N=0, epoch=-1))
    relative_accuracy_axis(ax, relative.values, f"as at N = {first} (accuracy {best:.2f})", "accuracy 0.50")
    N_axis(ax)
    legend_below(ax, title="1 network")
    return ax


@matplotlib.rc_context(RC)
def plot_generalisation(result: xr.Dataset, trained: tuple[int, int] | None = None, ax: Axes | None = None) -> Axes:
    """Plot the accuracy of a fresh linear read-out of the frozen network for each N.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.generalisation.generalise`, of one network.
    trained : (int, int), optional
        Smallest and largest N that the network was trained on, shaded.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: the mean over trials, their range, and the chance level.

    Examples
    --------
    >>> data = {"accuracy": (("N", "trial"), [[1.0, 0.8], [0.5, 0.5]]), "chance": ("N", [0.5, 0.5])}
    >>> plot_generalisation(xr.Dataset(data, coords={"N": [2, 3]})).lines[0].get_ydata()
    array([0.9, 0.5])
    """
    ax = ax or new_axes()
    accuracy = result["accuracy"].transpose("trial", "N")
    label = f"fresh read-out, mean over {count(accuracy.sizes['trial'], 'trial')}, shaded: range"
    draw_mean_and_range(ax, accuracy["N"], accuracy, "trial", label, COLOURS["blue"], marker="o", ms=3)
    _accuracy_axes(ax, result["N"].values, result["chance"].values, trained, accuracy.values)
    return ax


@matplotlib.rc_context(RC)
def plot_forgetting(accuracy: xr.DataArray, trained: tuple[int, int] | None = None, ax: Axes | None = None) -> Axes:
    """Plot the accuracy of a trained network on every N, smaller and larger than the trained N.

    Parameters
    ----------
    accuracy : DataArray [N] or [head, N]
        From `tauscope.measurements.retraining.forgetting` or `tauscope.evaluate`; several heads are drawn as a matrix.
    trained : (int, int), optional
        Smallest and largest trained N, marked; by default those of the coordinate ``trained``, if it exists.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on.

    Examples
    --------
    >>> import torch
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> ax = plot_forgetting(ts.evaluate(model, ts.Parity([2]), [2, 3, 4], n_sequences=64), trained=(3, 3))
    >>> ax.get_legend().get_title().get_text()
    '1 network, 64 sequences'
    """
    if trained is None and "trained" in accuracy.coords:
        Ns = accuracy["N"].values[accuracy["trained"].values]
        trained = (int(Ns[0]), int(Ns[-1])) if len(Ns) else None
    if accuracy.sizes.get("head", 1) > 1:
        return _plot_matrix(accuracy.transpose("head", "N"), trained, ax or new_axes(height=3.0))
    ax = ax or new_axes()
    label = "own head"
    if "head" in accuracy.dims:
        accuracy = accuracy.isel(head=0)
        label = f"head for N = {int(accuracy['head'])}"
    known = accuracy.dropna("N")
    errors = np.stack([known - known["low"], known["high"] - known])
    ax.errorbar(
        known["N"], known, errors, fmt="o-", ms=3, color=COLOURS["blue"], label=f"{label}, 95 % interval over sequences"
    )
    title = f"1 network, {accuracy.attrs['n_sequences']} sequences"
    _accuracy_axes(ax, accuracy["N"].values, accuracy["chance"].values, trained, accuracy["low"].values, title)
    return ax


def _plot_matrix(accuracy: xr.DataArray, trained: tuple[int, int] | None, ax: Axes) -> Axes:
    heads, Ns, chance = accuracy["head"].values, accuracy["N"].values, accuracy["chance"].values
    colours = matplotlib.colormaps["cividis"].with_extremes(bad=COLOURS["grey"])
    mesh = ax.pcolormesh(_edges(Ns), _edges(heads), accuracy, vmin=0.5, vmax=1, cmap=colours)
    colorbar = ax.figure.colorbar(mesh, ax=ax, extend="min")
    range_ = f"{chance.min():.2g}" if np.ptp(chance) < 0.005 else f"{chance.min():.2g} – {chance.max():.2g}"
    colorbar.set_label(f"accuracy (chance {range_})")
    if trained is not None:
        corner, side = trained[0] - 0.5, trained[1] - trained[0] + 1
        box = Rectangle((corner, corner), side, side, fill=False, lw=1.2, color=COLOURS["vermilion"], clip_on=False)
        box.set_label("trained N")
        ax.add_patch(box)
    ax.set(xlabel="N asked (bits to remember)", ylabel="head (N it answers)")
    integer_ticks(ax.xaxis, ax.yaxis)
    legend_below(ax, title=f"1 network, {accuracy.attrs['n_sequences']} sequences")
    return ax


def _edges(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the borders of cells around ascending integers."""
    return np.concatenate([[values[0] - 0.5], (values[1:] + values[:-1]) / 2, [values[-1] + 0.5]])


def _accuracy_axes(
    ax: Axes,
    Ns: NDArray[np.int64],
    chance: NDArray[np.float64],
    trained: tuple[int, int] | None,
    accuracy: NDArray[np.float64],
    title: str = "1 network",
) -> None:
    """Make the axes show accuracy against N, with chance and the trained Ns."""
    ax.plot(Ns, chance, ls="--", color=COLOURS["grey"], label="chance (best constant answer)")
    if trained is not None:
        ax.axvspan(trained[0] - 0.5, trained[1] + 0.5, color=COLOURS["sky"], alpha=0.2, lw=0, label="trained N")
    if not np.isfinite(accuracy).any():
        note(ax, "no accuracy: no N has a head")
    lowest = accuracy[np.isfinite(accuracy)].min(initial=0.45)
    ax.set(ylabel="accuracy (fraction right)", ylim=(lowest - 0.02, 1.02))
    N_axis(ax)
    legend_below(ax, title=title)
