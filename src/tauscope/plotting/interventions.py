"""Pictures of a network's accuracy after ablation of units and perturbation of parameters."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tauscope._words import count
from tauscope.errors import InputError
from tauscope.plotting.style import (
    COLOURS,
    RC,
    draw_mean_and_range,
    finite,
    legend_below,
    new_axes,
    relative_accuracy_axis,
)
from tauscope.plotting.summary import LOOKS, Look, draw_networks

_GROUP_COLOURS = {"slowest": "vermilion", "fastest": "blue", "random": "grey"}
_PERTURBED_NAMES = {
    "recurrent": "the recurrent weights",
    "tau": r"$\tau$",
    "readout": "the read-out weights",
    "input": "the input weights",
}


@matplotlib.rc_context(RC)
def plot_ablation(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the relative accuracy without each of the ablated units, by group.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.interventions.ablation`, of one network.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: the mean over trials for every ablated unit or jointly ablated group, and the mean over the
        units of a group.

    Examples
    --------
    >>> import torch
    >>> import tauscope as ts
    >>> from tauscope.analysis.interventions import Protocol, ablation
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = ablation(model, ts.Parity([2]), 2, n=2, protocol=Protocol(n_trials=3, n_steps=50))
    >>> [tick.get_text() for tick in plot_ablation(result).get_xticklabels()]
    ['slowest', 'fastest', 'random']
    """
    ax = ax or new_axes(height=3.0)
    relative = finite(result["relative_accuracy"]).mean("trial")
    groups = list(dict.fromkeys(relative["group"].values.tolist()))
    for i, group in enumerate(groups):
        own = relative["group"].values == group
        values, colour = relative.values[own], COLOURS[_GROUP_COLOURS.get(group, "green")]
        ax.plot(i + _spread(len(values)), values, "o", ms=2.5, alpha=0.7, color=colour)
        label = f"{_group_name(result, group, own)}: mean {values.mean():.2f}"
        ax.plot([i - 0.35, i + 0.35], [values.mean()] * 2, color=colour, label=label)
    ax.set(xlabel="ablated units", xlim=(-0.6, len(groups) - 0.4))
    ax.set_xticks(range(len(groups)), groups)
    _relative_axis(ax, result, relative.values)
    drawn = "all units of a group" if "group" in relative.dims else "one unit, lines: mean over units"
    trials = count(result.sizes["trial"], "trial")
    legend_below(ax, title=f"1 network, N = {result.attrs['N']}, mean over {trials};\ndots: without {drawn}")
    return ax


def _spread(n: int) -> NDArray[np.float64]:
    return np.linspace(-0.28, 0.28, n) if n > 1 else np.zeros(1)


def _group_name(result: xr.Dataset, group: str, own: NDArray[np.bool_]) -> str:
    """Return a group's label: number of ablated units, range of τ, and number of equally fast units to choose from."""
    if "group" in result.dims:
        return f"{group} ({int((result['units'].values[own] >= 0).sum())})"
    tau, n = result["tau"].values[own], int(own.sum())
    tied = int(result.attrs.get("n_fastest_tied", 0))
    choice = f"{n} of {tied} equal" if group == "fastest" and tied > n else f"{n}"
    if not np.isfinite(tau).all():
        return f"{group} ({choice})"
    low, high = f"{tau.min():.2f}", f"{tau.max():.2f}"
    return rf"{group} ({choice}, $\tau$ = {low if low == high else f'{low} – {high}'} steps)"


@matplotlib.rc_context(RC)
def plot_perturbation(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the relative accuracy of one network against the size of a perturbation.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.interventions.perturbation`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: the mean over trials, and their range. Below the smallest ε > 0 the axis is linear.

    Examples
    --------
    >>> relative = xr.DataArray([[1.0], [0.5]], dims=("epsilon", "trial"), coords={"epsilon": [0.0, 0.1]})
    >>> data = {"relative_accuracy": relative, "baseline": ("trial", [0.9])}
    >>> result = xr.Dataset(data, attrs={"N": 5, "which": "tau", "chance": 0.5})
    >>> plot_perturbation(result).lines[0].get_ydata()
    array([1. , 0.5])
    """
    ax = ax or new_axes()
    relative = result["relative_accuracy"].transpose("trial", "epsilon")
    epsilon, trials = relative["epsilon"].values, count(relative.sizes["trial"], "trial")
    label = f"mean over {trials}, shaded: range"
    draw_mean_and_range(ax, epsilon, relative, "trial", label, COLOURS["blue"], marker="o", ms=3)
    _epsilon_axis(ax, epsilon, result.attrs["which"])
    _relative_axis(ax, result, relative.values)
    legend_below(ax, title=f"1 network, N = {result.attrs['N']}")
    return ax


@matplotlib.rc_context(RC)
def plot_perturbation_of_networks(
    results: Mapping[str, xr.Dataset], ax: Axes | None = None, *, looks: Mapping[str, Look] = LOOKS
) -> Axes:
    """Plot the relative accuracy of many networks against the size of a perturbation, by curriculum.

    Parameters
    ----------
    results : mapping of str to Dataset
        Results of `tauscope.analysis.interventions.perturbation` joined along a dimension ``network``, by curriculum (a
        key of `tauscope.learning.curricula.CURRICULUM_NAMES`) or another key of ``looks``.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.
    looks : mapping of str to Look
        Name, colour and marker of each group of networks.

    Returns
    -------
    Axes
        The axes drawn on: mean and range over networks, of each network's mean over trials.

    Raises
    ------
    InputError
        If a curriculum is unknown, or the results have different parameters or N.

    Examples
    --------
    >>> dims, coords = ("network", "epsilon", "trial"), {"epsilon": [0.0, 0.1]}
    >>> relative = xr.DataArray([[[1.0], [0.5]], [[1.0], [0.9]]], dims=dims, coords=coords)
    >>> result = xr.Dataset({"relative_accuracy": relative}, attrs={"N": 5, "which": "tau"})
    >>> plot_perturbation_of_networks({"single": result}).lines[0].get_ydata()
    array([1. , 0.7])
    """
    shown = {(result.attrs["which"], int(result.attrs["N"])) for result in results.values()}
    if len(shown) != 1:
        raise InputError(f"results of perturbations {sorted(shown)}: expected one kind of parameters at one N")
    which, N = shown.pop()
    means = {name: finite(result["relative_accuracy"]).mean("trial") for name, result in results.items()}
    ax = ax or new_axes()
    for curriculum, relative in means.items():
        draw_networks(ax, relative["epsilon"], relative.transpose("network", "epsilon"), curriculum, looks)
    _epsilon_axis(ax, np.concatenate([relative["epsilon"].values for relative in means.values()]), which)
    every = np.concatenate([relative.values.ravel() for relative in means.values()])
    relative_accuracy_axis(ax, every, "intact network", "chance")
    legend_below(ax, title=f"N = {N}; mean over networks, shaded: their range")
    return ax


def _epsilon_axis(ax: Axes, epsilon: NDArray[np.float64], which: str) -> None:
    """Make the horizontal axis logarithmic above the smallest ε > 0, and linear below, so that it includes 0."""
    ax.set_xlabel(rf"relative perturbation $\epsilon$ of {_PERTURBED_NAMES[which]}")
    if (epsilon > 0).any():
        ax.set_xscale("symlog", linthresh=epsilon[epsilon > 0].min(), linscale=0.5)


def _relative_axis(ax: Axes, result: xr.Dataset, values: NDArray[np.float64]) -> None:
    """Make the vertical axis show relative accuracy, with the accuracies of the intact network and of chance."""
    intact, chance = float(result["baseline"].mean()), float(result.attrs["chance"])
    relative_accuracy_axis(ax, values, f"intact network (accuracy {intact:.2f})", f"chance (accuracy {chance:.2f})")
