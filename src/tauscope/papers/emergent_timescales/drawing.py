"""Common parts of this paper's figures: curves over networks, and published values beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tauscope._words import count
from tauscope.papers.emergent_timescales.quantities import Number, steps
from tauscope.papers.vocabulary import Results
from tauscope.plotting.style import COLOURS
from tauscope.plotting.summary import CURRICULUM_COLOURS, CURRICULUM_MARKERS

MOST_N = 35
"""Largest N of the published values in figures."""

CURRICULA = {"multi": "cumulative", "single": "single", "sliding": "sliding"}
"""Key of `tauscope.plotting.summary.CURRICULUM_NAMES` of every kind of condition."""

PUBLISHED = "published (500 units)"

MEASURED_HERE = "published, measured here"
"""What networks of the published code are called that were measured as ours."""


def kind(condition: str) -> str:
    """Return the kind of a condition's curriculum: ``multi``, ``single`` or ``sliding``.

    Examples
    --------
    >>> kind("multi_dms"), kind("sliding")
    ('multi', 'sliding')
    """
    return condition.partition("_")[0]


def series(results: Results, what: str, condition: str, number: Number) -> xr.DataArray | None:
    """Return a number of every network of a condition at every N; NaN where not measured, ``None`` without results.

    Examples
    --------
    >>> from tauscope.papers.vocabulary import Trained
    >>> network = Trained("multi", 1, (), {("connectivity", 2): xr.Dataset({"mean": -0.1})})
    >>> series(Results({"multi": [network]}, {}), "connectivity", "multi", lambda result: float(result["mean"])).values
    array([[-0.1]])
    """
    curves = [curve for curve in results.against_N(what, condition, number) if curve]
    if not curves:
        return None
    Ns = sorted({N for curve in curves for N in curve})
    values = [[curve.get(N, np.nan) for N in Ns] for curve in curves]
    return xr.DataArray(values, dims=("network", "N"), coords={"N": Ns})


def by_curriculum(results: Results, what: str, conditions: Sequence[str], number: Number) -> dict[str, xr.DataArray]:
    """Return the `series` of several conditions by curriculum; conditions without results are left out."""
    curves = {CURRICULA[kind(name)]: series(results, what, name, number) for name in conditions}
    return {curriculum: values for curriculum, values in curves.items() if values is not None}


def published_here(curve: Mapping[str, Sequence[float]]) -> tuple[list[float], list[float]]:
    """Return the part of a published curve up to `MOST_N`: our networks rarely solve larger N.

    Examples
    --------
    >>> published_here({"N": [2, 30, 99], "value": [1.5, 1.3, 1.2]})
    ([2, 30], [1.5, 1.3])
    """
    shown = [(N, value) for N, value in zip(curve["N"], curve["value"], strict=True) if N <= MOST_N]
    return [N for N, _ in shown], [value for _, value in shown]


def look(condition: str) -> dict[str, Any]:
    """Return colour and marker of a kind of condition."""
    curriculum = CURRICULA[kind(condition)]
    return {"color": COLOURS[CURRICULUM_COLOURS[curriculum]], "marker": CURRICULUM_MARKERS[curriculum]}


def draw_published(ax: Axes, x: Sequence[float], y: Sequence[float], condition: str, mark: str) -> None:
    """Draw published values of a kind of condition with open markers.

    Examples
    --------
    >>> from tauscope.plotting.style import new_axes
    >>> ax = new_axes()
    >>> draw_published(ax, [2, 5], [1.5, 1.4], "multi", "G")
    >>> ax.lines[0].get_label()
    'multi-head, published (500 units) [G]'
    """
    label = f"{kind(condition)}-head, {PUBLISHED} [{mark}]"
    ax.plot(x, y, ls=":", lw=0.8, ms=4, mfc="white", zorder=1, label=label, **look(condition))


def draw_measured_here(
    ax: Axes, results: Results, what: str, condition: str, number: Number, *, label: str = "", **style: Any
) -> None:
    """Draw a number of the published networks of a condition that were measured as ours, if there are any.

    Examples
    --------
    >>> from tauscope.papers.vocabulary import Trained
    >>> from tauscope.plotting.style import new_axes
    >>> network = Trained("published multi", 1, (), {("connectivity", 2): xr.Dataset({"mean": -0.1})})
    >>> ax, results = new_axes(), Results({}, {}, published={"multi": [network]})
    >>> draw_measured_here(ax, results, "connectivity", "multi", lambda result: float(result["mean"]))
    >>> ax.lines[0].get_label(), ax.lines[0].get_xydata().tolist()
    ('multi-head, published, measured here (1 network)', [[2.0, -0.1]])
    """
    values = series(Results(results.published, {}), what, condition, number)
    if values is not None:
        name = f"{label or f'{kind(condition)}-head'}, {MEASURED_HERE} ({count(values.sizes['network'], 'network')})"
        ax.plot(values["N"], values.mean("network"), ls="--", lw=0.9, ms=4.5, mec="black", mew=0.8, label=name,
                **(look(condition) | style))  # fmt: skip


def longest(results: Results, conditions: Iterable[str]) -> int:
    """Return the largest number of optimiser steps of a network of these conditions."""
    return max(
        (steps(network)[-1] for name in conditions for network in results.of(name) if network.history), default=0
    )


def draw_progress(ax: Axes, results: Results, conditions: Mapping[str, str], until: int | None = None) -> None:
    """Draw the largest N that every network solved against its optimiser steps.

    Parameters
    ----------
    ax : Axes
        Panel.
    results : Results
        Results of the reproduction.
    conditions : mapping of str to str
        Colour of each condition.
    until : int, optional
        Optimiser steps at which all lines end.

    Examples
    --------
    >>> from tauscope.papers.vocabulary import Trained
    >>> from tauscope.plotting.style import new_axes
    >>> record = {"epoch": 1, "Ns": [2], "solved": True, "seconds": 1.0, "steps_per_second": 100.0}
    >>> results = Results({"multi": [Trained("multi", 1, (record,), {})]}, {"multi": "multi-head"})
    >>> ax = new_axes()
    >>> draw_progress(ax, results, {"multi": "blue"})
    >>> ax.lines[0].get_xydata().tolist()
    [[100.0, 2.0], [100.0, 2.0]]
    """
    for condition, colour in conditions.items():
        networks = [
            network for network in results.of(condition)
            if network.history and (until is None or steps(network)[0] <= until)
        ]  # fmt: skip
        label: str | None = f"{results.label(condition)}, {count(len(networks), 'network')}"
        for network in networks:
            taken = [step for step in steps(network) if until is None or step <= until]
            solved = [(step, record["Ns"][-1]) for step, record in zip(taken, network.history, strict=False)
                      if record["solved"]]  # fmt: skip
            x, y = np.array([*solved, (taken[-1], max((N for _, N in solved), default=1))]).T
            ax.step(x, y, where="post", lw=1, color=COLOURS[colour], alpha=0.8, label=label)
            label = None
    ax.set(xlabel="optimiser steps", ylabel="largest N solved")
    ax.xaxis.set_major_locator(MaxNLocator(5))


def draw_points(ax: Axes, x: float, values: Sequence[float], condition: str, label: str | None = None) -> None:
    """Draw the values of the networks of a condition side by side, and their mean as a bar.

    Examples
    --------
    >>> from tauscope.plotting.style import new_axes
    >>> ax = new_axes()
    >>> draw_points(ax, 0, [1.0, 3.0], "multi")
    >>> ax.lines[1].get_ydata()
    array([2., 2.])
    """
    spread = np.linspace(-0.07, 0.07, len(values)) if len(values) > 1 else np.zeros(len(values))
    style = look(condition)
    ax.plot(x + spread, values, ls="none", ms=4, label=label, **style)
    if len(values):
        ax.plot([x - 0.12, x + 0.12], [np.mean(values)] * 2, color=style["color"], lw=1)


def draw_published_points(
    ax: Axes, x: float, values: Sequence[float], condition: str, label: str | None = None
) -> None:
    """Draw the published values of networks with open markers, a little to the right of ours."""
    spread = np.linspace(-0.05, 0.05, len(values)) if len(values) > 1 else np.zeros(len(values))
    ax.plot(x + 0.23 + spread, values, ls="none", ms=4, mfc="white", label=label, **look(condition))


def n_networks(curves: Mapping[str, xr.DataArray]) -> str:
    """Return the number of networks of each curve, in words for the title of a legend.

    Examples
    --------
    >>> curve = xr.DataArray(np.zeros((3, 1)), dims=("network", "N"))
    >>> n_networks({"cumulative": curve, "single": curve})
    '3 + 3 networks'
    """
    sizes = [values.sizes["network"] for values in curves.values()]
    return count(sizes[0], "network") if len(sizes) == 1 else f"{' + '.join(map(str, sizes))} networks"
