"""The figures: spectra, operators in the basis of waves, waves beside units, and errors of all networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope.papers.panels import panels
from tauscope.papers.travelling_waves import quantities as q
from tauscope.papers.travelling_waves.conditions import COLUMNS, SOLVED
from tauscope.papers.vocabulary import PaperFigure, Results
from tauscope.plotting.style import COLOURS, CYCLE, integer_ticks
from tauscope.plotting.waves import animate_waves, plot_operator, plot_substrate, plot_wave_spectrum

_PUBLISHED = {"T1": 0.0005, "T2": 0.0055, "T3": 0.0031, "T2_decay": 0.0031}
"""Phase errors in radians of the published table, 128 units."""


def _here(results: Results, names: Sequence[str]) -> list[str]:
    return [name for name in names if q.measured(results, name)]


def _first(results: Results, name: str) -> xr.Dataset:
    return q.measured(results, name)[0]


def spectra(results: Results) -> Figure | None:
    """Draw the slow eigenvalues of one network of each task beside those of the theory."""
    names = _here(results, SOLVED)
    if not names:
        return None
    with panels(2, 2, 7.4) as (figure, axes):
        for ax, name in zip(axes, names, strict=False):
            plot_wave_spectrum(_first(results, name), ax)
            ax.set_title(results.label(name))
        for ax in axes[len(names) :]:
            ax.set_axis_off()
    return figure


def operators(results: Results) -> Figure | None:
    """Draw theory and recurrent weights in the basis of one network of each of two tasks."""
    names = _here(results, ["T1c", "T2"])
    if not names:
        return None
    with panels(2, 2, 6.0) as (figure, axes):
        for row, name in enumerate(names):
            result = _first(results, name)
            for ax, what, said in zip(axes[2 * row :], ("theory", "operator"), ("theory", "network"), strict=False):
                plot_operator(result[what], result.sizes["component"], ax)
                ax.set_title(f"{results.label(name)}: {said}")
        for ax in axes[2 * len(names) :]:
            ax.set_axis_off()
    return figure


def evolving_state(results: Results) -> Figure | None:
    """Draw a trial of one network: two components of its substrate, and its units."""
    names = _here(results, ["T1c", "T1", "T2"])
    if not names:
        return None
    result = _first(results, names[0])
    with panels(3, 1, 5.4) as (figure, axes):
        for component, ax in enumerate(axes[:2]):
            plot_substrate(result["substrate"].expand_dims("trial"), component, ax=ax)
            ax.set_title(f"{results.label(names[0])}, component {component + 1} of the substrate")
        _units(axes[2], result)
    return figure


def _units(ax: Axes, result: xr.Dataset) -> None:
    states = result["states"].transpose("unit", "time").values
    limit = float(np.abs(states).max()) or 1.0
    image = ax.imshow(
        states, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", origin="lower", interpolation="nearest"
    )
    ax.figure.colorbar(image, ax=ax, label="activity")
    ax.set(xlabel="step", ylabel="unit", title="the same trial, units")
    integer_ticks(ax.xaxis, ax.yaxis)


def moving_waves(results: Results) -> FuncAnimation | None:
    """Animate a trial of one network: its substrate beside its units."""
    names = _here(results, ["T1c", "T1"])
    if not names:
        return None
    result = _first(results, names[0])
    return animate_waves(result["substrate"].expand_dims("trial"), result["states"].expand_dims("trial"))


def _columns(ax: Axes, names: Sequence[str]) -> None:
    ax.set_xticks(range(len(names)), [COLUMNS[name] for name in names], rotation=90, fontsize=7)
    ax.set_xlim(-0.6, len(names) - 0.4)


def errors(results: Results) -> Figure | None:
    """Draw numbers of slow modes, phase errors and intertwining errors of all networks."""
    names = _here(results, list(COLUMNS))
    if not names:
        return None
    with panels(1, 3, 3.4) as (figure, axes):
        for ax, what, said in zip(axes, ("count", "phase_error", "intertwining_error"),
                                  ("slow modes", "difference of phases (rad)", "intertwining error"), strict=True):  # fmt: skip
            for place, name in enumerate(names):
                _points(ax, place, q.values(results, name, q.scalar(what)), None if place else "network")
                _reference(ax, place, what, name, _first(results, name))
            _columns(ax, names)
            ax.set(ylabel=said)
            if what != "count" and any(np.any(np.asarray(line.get_ydata()) > 0) for line in ax.lines):
                ax.set_yscale("log")
            _legend_above(ax)
    return figure


def _points(ax: Axes, place: float, found: Sequence[float], label: str | None, kind: int = 0) -> None:
    ax.plot(
        [place] * len(found), found, "o^"[kind], ls="none", ms=3.5, mew=0, alpha=0.7, color=CYCLE[kind], label=label
    )


def _reference(ax: Axes, place: int, what: str, name: str, result: xr.Dataset) -> None:
    """Draw the reference of a column: the theory's count, random matrices, or the published value."""
    first = None if place else True
    span = [place - 0.3, place + 0.3]
    if what == "count":
        ax.plot(span, [int(result["rank"])] * 2, color=COLOURS["vermilion"], label=first and "theory")
    elif what == "phase_error":
        ax.plot(span, [float(result["null_phase_error"])] * 2, ls=":", color="black", label=first and "random matrices")
        if name in _PUBLISHED:
            ax.plot(place, _PUBLISHED[name], "D", ms=4, fillstyle="none", color=COLOURS["vermilion"],
                    label=first and "published, 128 units")  # fmt: skip


def _legend_above(ax: Axes) -> None:
    """Put the legend above a panel, whose labels below are long."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.08), borderaxespad=0, fontsize=6)


def accuracies(results: Results) -> Figure | None:
    """Draw the accuracy at the longest trained horizon and at twice as many steps."""
    names = _here(results, list(COLUMNS))
    if not names:
        return None
    with panels(1, 1, 3.4, letters=False) as (figure, (ax,)):
        for kind, (number, said) in enumerate(
            ((q.longest, "longest trained horizon"), (q.beyond, "twice as many steps"))
        ):
            for place, name in enumerate(names):
                found = q.values(results, name, number)
                _points(ax, place + 0.2 * kind - 0.1, found, None if place else said, kind)
        ax.axhline(0.5, ls=":", lw=0.8, color=COLOURS["grey"], label="chance")
        _columns(ax, names)
        ax.set(ylabel="accuracy of signs", ylim=(0.4, 1.04))
        _legend_above(ax)
    return figure


def hidden(results: Results) -> Figure | None:
    """Draw the correlation of waves in the substrate and between units, and the number of units that are a place."""
    names = _here(results, SOLVED)
    if not names:
        return None
    with panels(1, 2, 3.0) as (figure, (ax, count)):
        both = (("wave_correlation", "place with the next"), ("unit_correlation", "best pair of units"))
        for kind, (what, said) in enumerate(both):
            for place, name in enumerate(names):
                found = q.values(results, name, q.scalar(what))
                _points(ax, place + 0.2 * kind - 0.1, found, None if place else said, kind)
        for place, name in enumerate(names):
            _points(count, place, q.values(results, name, q.open_units), None)
        for panel in (ax, count):
            panel.set_xticks(range(len(names)), [COLUMNS[name] for name in names])
            panel.set_xlim(-0.5, len(names) - 0.5)
        ax.set(ylabel="correlation with a step before")
        count.set(ylabel="units that are a place", ylim=(-0.5, None))
        _legend_above(ax)
    return figure


FIGURES = (
    PaperFigure(
        "spectra",
        "Slow eigenvalues (modulus above 0.9) of the recurrent weights of one network of each task, and those of the "
        "theory's operator. In T1 each eigenvalue of the theory is as many-fold as there are components.",
        spectra,
    ),
    PaperFigure(
        "operators",
        "The theory's operator (left) and the recurrent weights of one network in the basis of what will be read out, with "
        "moduli set to 1 (right). In T2 both are seen on the part of the substrate that lasts.",
        operators,
    ),
    PaperFigure(
        "evolving_state",
        "A trial of one network after its input has ended: two components of its substrate, in which waves are stripes that "
        "move towards being said, and its units.",
        evolving_state,
    ),
    PaperFigure(
        "errors",
        "All networks, a point each: number of slow modes and that of the theory; mean difference of phases from the "
        "theory's, beside random orthogonal matrices and the published table; intertwining error of the recurrent weights in "
        "the basis of what will be read out.",
        errors,
    ),
    PaperFigure(
        "accuracies",
        "All networks, a point each: fraction of right signs over the longest trained horizon and over twice as many steps.",
        accuracies,
    ),
    PaperFigure(
        "hidden",
        "Networks that solve the task, a point each: (a) correlation of a place of the substrate with the next one a step "
        "before, mean over places, and the largest that any unit has with another a step before; (b) number of units whose "
        "activity is that of one place of the substrate (correlation above 0.95).",
        hidden,
    ),
)

ANIMATIONS = (
    PaperFigure(
        "waves_moving",
        "A trial of one network: its substrate, a row for each component, and its units, as they are numbered.",
        moving_waves,
    ),
)
