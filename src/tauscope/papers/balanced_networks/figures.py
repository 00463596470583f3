"""The figures: balance, eigenvalues, subnetworks and timescales over training, information, balance of the input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope._words import count
from tauscope.papers.balanced_networks import quantities as q
from tauscope.papers.balanced_networks.conditions import PARITY, SIGNALS, TRACKING
from tauscope.papers.panels import finish, panels
from tauscope.papers.vocabulary import PaperFigure, Results, Trained
from tauscope.plotting.balance import (
    animate_modes,
    plot_alignment,
    plot_information,
    plot_modes,
    plot_response_time,
)
from tauscope.plotting.style import COLOURS, CYCLE

_COLOURS = dict(zip(SIGNALS, CYCLE, strict=False))


def _here(results: Results, names: Sequence[str], what: str) -> list[str]:
    return [name for name in names if q.measured(results, name, what)]


def _courses(results: Results, name: str) -> list[tuple[Trained, xr.Dataset]]:
    """Return the networks of a condition whose course of training was measured, each with its course."""
    courses = ((network, network.last("course")) for network in results.of(name))
    return [(network, course) for network, course in courses if course is not None]


def _steps(network: Trained, course: xr.Dataset) -> np.ndarray:
    """Return the optimiser steps of a network's checkpoints."""
    return np.asarray(course["epoch"].values * network.options["steps_per_epoch"])


def over_training(results: Results) -> Figure | None:
    """Draw balance, outlier, and weights within and between subnetworks over training."""
    names = _here(results, list(SIGNALS), "course")
    if not names:
        return None
    with panels(1, 3, 3.1) as (figure, axes):
        for name in names:
            networks = _courses(results, name)
            for i, (network, course) in enumerate(networks):
                x, colour = _steps(network, course), _COLOURS[name]
                label = f"{results.label(name)}, n = {len(networks)}" if i == 0 else None
                axes[0].plot(x, course["balance"], lw=0.9, color=colour, label=label)
                axes[1].plot(x, course["outlier"], lw=0.9, color=colour, label=label)
                if SIGNALS[name] > 1:
                    axes[2].plot(x, course["within"], lw=0.9, color=colour, label=label and f"{label}: within")
                    axes[2].plot(x, course["between"], lw=0.9, ls="--", color=colour, label=label and "between")
        axes[0].axhline(1, ls=":", lw=0.8, color="black")
        for ax, what in zip(axes, ("balance, in parts of the start", "least real part of an eigenvalue",
                                   "mean weight in subnetworks"), strict=True):  # fmt: skip
            ax.set(xlabel="optimiser step", ylabel=what)
            finish(ax)
    return figure


def eigenvalues(results: Results) -> Figure | None:
    """Draw the eigenvalues over training of one network of each number of signals."""
    names = _here(results, TRACKING, "course")
    if not names:
        return None
    with panels(1, 3, 2.9) as (figure, axes):
        for ax, name in zip(axes, names, strict=False):
            network, course = _courses(results, name)[0]
            spectra = course["eigenvalues"].rename(epoch="step").assign_coords(step=_steps(network, course))
            plot_modes(spectra, ax)
            ax.set_title(results.label(name))
        for ax in axes[len(names) :]:
            ax.set_axis_off()
    return figure


def moving_eigenvalues(results: Results) -> FuncAnimation | None:
    """Animate the eigenvalues over training of one network of two signals."""
    if not _here(results, ["two"], "course"):
        return None
    network, course = _courses(results, "two")[0]
    return animate_modes(course["eigenvalues"].rename(epoch="step").assign_coords(step=_steps(network, course)))


def weights(results: Results) -> Figure | None:
    """Draw the recurrent weights, sorted by subnetwork, and input against read-out weights."""
    names = [name for name in _here(results, TRACKING, "course") if SIGNALS[name] > 1]
    if not names:
        return None
    with panels(2, 2, 5.6) as (figure, axes):
        for row, name in enumerate(names):
            _, course = _courses(results, name)[0]
            _matrix(axes[2 * row], course, results.label(name))
            plot_alignment(course, axes[2 * row + 1])
        for ax in axes[2 * len(names) :]:
            ax.set_axis_off()
    return figure


def _matrix(ax: Axes, course: xr.Dataset, label: str) -> None:
    matrix = course["weights"].values
    reach = float(np.abs(matrix).max())
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="recurrent weight")
    for edge in np.cumsum(course["size"].values)[:-1] - 0.5:
        ax.axhline(edge, lw=0.6, color="black")
        ax.axvline(edge, lw=0.6, color="black")
    ax.set(xlabel="sending unit, by subnetwork", ylabel="receiving unit", title=label)


def untrained(results: Results) -> Figure | None:
    """Draw information rate and response time of untrained networks against balance."""
    found = q.measured(results, "one", "untrained")
    if not found:
        return None
    everything = xr.concat(
        found,
        "network",
        combine_attrs="override",
        compat="override",
        coords="minimal",
        data_vars=["information_rate", "response_time"],
    )
    with panels(1, 2, 3.0) as (figure, axes):
        plot_information(everything, axes[0])
        plot_response_time(everything, axes[1])
    return figure


def timescales(results: Results) -> Figure | None:
    """Draw the median τ_net against balance."""
    names = _here(results, list(SIGNALS), "course")
    if not names:
        return None
    with panels(1, 2, 3.0) as (figure, (ax, over)):
        for name in names:
            networks = _courses(results, name)
            label = f"{results.label(name)}, n = {len(networks)}"
            for i, (network, course) in enumerate(networks):
                ax.plot(-course["feedback"], course["tau_net"], "o", ms=2, mew=0, alpha=0.7, color=_COLOURS[name],
                        label=label if i == 0 else None)  # fmt: skip
                over.plot(_steps(network, course), course["tau_net"], lw=0.8, color=_COLOURS[name],
                          label=label if i == 0 else None)  # fmt: skip
        ax.set(xlabel="balance b (inhibition less excitation)", ylabel=r"median $\tau_\mathrm{net}$ (steps)")
        over.set(xlabel="optimiser step", ylabel=r"median $\tau_\mathrm{net}$ (steps)")
        finish(ax, "points: networks after every epoch")
        finish(over)
    return figure


def balance_of_parity(results: Results) -> Figure | None:
    """Draw how far excitation and inhibition cancel, in tracking and in N-parity networks."""
    names = _here(results, [*SIGNALS, *PARITY], "balance")
    if not names:
        return None
    with panels(1, 2, 3.0) as (figure, axes):
        for ax, quantity in zip(axes, ("imbalance", "correlation"), strict=True):
            for place, name in enumerate(names):
                found = q.values(results, name, "balance", lambda result, of=quantity: float(result[of].mean()))  # type: ignore[misc]
                known = [value for value in found if math.isfinite(value)]
                colour = COLOURS["vermilion" if name in PARITY else "blue"]
                ax.plot([place] * len(known), known, "o", ms=4, color=colour)
                if known:
                    ax.plot([place - 0.2, place + 0.2], [np.mean(known)] * 2, color=colour)
            labels = [
                results.label(name).replace(", ", "\n").replace("-head", "-\nhead").replace(" s", "\ns")
                for name in names
            ]
            ax.set_xticks(range(len(names)), labels, fontsize=6)
        axes[0].set(ylabel="mean current over its\nexcitation and inhibition", ylim=(0, None))
        axes[1].set(ylabel="correlation of excitation\nand inhibition in time")
        n = len(q.measured(results, names[0], "balance"))
        for ax in axes:
            ax.set_title(f"{count(n, 'network')} a column at most, and their mean")
    return figure


FIGURES = (
    PaperFigure(
        "over_training",
        "Over training, a line for each network: (a) balance, the mean recurrent weight in parts of that at the start; (b) "
        "least real part of an eigenvalue of J diag(φ') at the end of a trial; (c) mean weight between units of one "
        "subnetwork (lines) and of different ones (dashed), found by k-means with as many clusters as signals.",
        over_training,
    ),
    PaperFigure(
        "eigenvalues",
        "Eigenvalues of J diag(φ') at the end of a trial over training, for one network of each number of signals. An "
        "outlier far to the left is a balanced population; each signal gets its own.",
        eigenvalues,
    ),
    PaperFigure(
        "weights",
        "Networks that learnt two (above) and three signals (below). Left: recurrent weights, units sorted by subnetwork "
        "(lines). Right: read-out against input weights of every unit for each signal. 1 network each.",
        weights,
    ),
    PaperFigure(
        "information_against_balance",
        "Untrained networks: information rate of the population rate about the signal, and time in which it follows a step "
        "of the input, against the balance b, with the theory of a linear network.",
        untrained,
    ),
    PaperFigure(
        "timescales",
        "Network-mediated timescale τ_net, median over units, of the fluctuations under a constant mean input and private "
        "noise, against the balance b and over training. A step is 0.2 time constants; a unit alone has 4.5 steps.",
        timescales,
    ),
    PaperFigure(
        "input_balance",
        "How far excitation and inhibition cancel in what units receive, in networks that track signals (blue) and in "
        "networks that learnt N-parity (vermilion): (a) on average, 0 is a perfect balance; (b) from moment to moment, 1 is "
        "a tight balance. Means over units.",
        balance_of_parity,
    ),
)

ANIMATIONS = (
    PaperFigure(
        "eigenvalues_moving",
        "Eigenvalues of J diag(φ') over training of one network that learns two signals; grey: at the start.",
        moving_eigenvalues,
    ),
)
