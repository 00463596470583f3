"""Figures 3 to 6 of the paper: our results with the published values beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from tauscope.analysis.fit_quality import is_described
from tauscope.learning.curricula import CURRICULUM_NAMES
from tauscope.papers.emergent_timescales import quantities as q
from tauscope.papers.emergent_timescales.conditions import NO_CURRICULUM
from tauscope.papers.emergent_timescales.drawing import (
    PUBLISHED,
    by_curriculum,
    draw_measured_here,
    draw_points,
    draw_progress,
    draw_published,
    draw_published_points,
    look,
    published_here,
)
from tauscope.papers.emergent_timescales.quantities import Number, published
from tauscope.papers.panels import finish, panels
from tauscope.papers.vocabulary import Results
from tauscope.plotting.style import COLOURS, RC, N_axis, legend_below, log_axis, new_axes
from tauscope.plotting.summary import plot_against_N
from tauscope.plotting.timescales import plot_autocorrelations

MAIN = ("multi", "single")
TASKS = {"": MAIN, "N-DMS": ("multi_dms", "single_dms")}
"""Conditions of every task, by the title of their panels; panels of the main task have no title."""

TAU_NET = r"$\tau_\mathrm{net}$ (steps)"
OVER_NETWORKS = "mean over networks that reached N, shaded: their range"


def figure_3(results: Results) -> Figure | None:
    """Draw training without a curriculum, N against optimiser steps, and the largest N of every network."""
    if not any(network.history for name in MAIN for network in results.of(name)):
        return None
    with panels(1, 3, 3.6) as (figure, axes):
        _no_curriculum(axes[0], results)
        draw_progress(axes[1], results, {"multi": "blue", "single": "vermilion", "sliding": "green"})
        _published_progress(axes[1])
        finish(axes[1], "lines: networks")
        _largest(axes[2], results)
    return figure


def _no_curriculum(ax: Axes, results: Results) -> None:
    """Draw the steps to N from scratch, beside the steps to N under both curricula."""
    label: str | None = "no curriculum"
    given_up: str | None = "no curriculum, not solved by then"
    for N in NO_CURRICULUM:
        for network in results.of(f"nocurr_{N}"):
            taken = q.steps(network)
            epoch = q.first_solved(network).get(N)
            if epoch is not None:
                ax.plot(N, taken[epoch - 1], "o", ms=4, color="black", label=label)
                label = None
            elif taken:
                ax.plot(N, taken[-1], "^", ms=4, mfc="white", color="black", label=given_up)
                given_up = None
    for name in MAIN:
        solved = [(q.first_solved(network), q.steps(network)) for network in results.of(name)]
        Ns = sorted({N for epochs, _ in solved for N in epochs if max(NO_CURRICULUM) >= N})
        means = [np.mean([taken[epochs[N] - 1] for epochs, taken in solved if N in epochs]) for N in Ns]
        ax.plot(Ns, means, "-", lw=1, color=look(name)["color"], label=f"{results.label(name)}, up to N")
    ax.set(yscale="log", ylabel="optimiser steps to solve N")
    N_axis(ax)
    finish(ax)


def _published_progress(ax: Axes) -> None:
    """Draw the published progress of a network, up to the last step of our networks."""
    right = ax.get_xlim()[1]
    values = published()["epochs_to_solve"]
    for name in ("multi", "single", "sliding"):
        taken = published()["steps_per_epoch"] * np.array(values[name]["epoch"])
        here = taken <= right
        label = PUBLISHED + " [D]" if name == "single" else None
        style = look(name)
        ax.plot(
            taken[here], np.array(values[name]["N"])[here], ls=":", lw=0.8, ms=3.5, mfc="white", label=label, **style
        )
    ax.set_xlim(right=right)


def _largest(ax: Axes, results: Results) -> None:
    """Draw the largest N that every network solved in all its epochs."""
    places = {"multi": "multi", "single": "single", "sliding": "sliding", "multi_dms": "multi\nDMS",
              "single_dms": "single\nDMS"}  # fmt: skip
    shown = [name for name in places if results.solved(name)]
    known = published()["max_N"]
    for i, name in enumerate(shown):
        draw_points(ax, i, results.solved(name), name)
        if name in MAIN:
            label = f"{PUBLISHED},\n{known['epochs']} epochs [D]" if name == shown[0] else None
            draw_published_points(ax, i, known[name]["trained"], name, label)
    ax.set_xticks(range(len(shown)), [places[name] for name in shown])
    _N_scale(ax)
    finish(ax, "points: networks, bars: means")


def _N_scale(ax: Axes) -> None:
    """Make the vertical axis show the largest N, in logarithms."""
    ax.set(yscale="log", ylabel="largest N solved")
    ax.set_yticks([2, 5, 10, 20, 50, 100])
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


@matplotlib.rc_context(RC)
def figure_4a(results: Results) -> Figure | None:
    """Draw the largest N by how τ is constrained."""
    fixed = {
        kind: [name for name in (f"{kind}_tau{tau}" for tau in (1, 2, 3)) if results.solved(name)] for kind in MAIN
    }
    if not any(fixed.values()):
        return None
    ax, known, epochs = new_axes(height=3.2), published()["max_N"], {}
    for kind, shift in zip(MAIN, (-0.34, 0.11), strict=True):
        names = [kind, *fixed[kind]]
        epochs[kind] = q.horizon(results, *names)
        for name in names:
            key = "trained" if name == kind else name[-1]
            x = ("trained", "1", "2", "3").index(key) + shift
            label = f"{results.label(kind)}, within {epochs[kind]} epochs" if name == kind else None
            draw_points(ax, x, q.solved_within(results, name, epochs[kind]), kind, label)
        for i, key in enumerate(("trained", "1", "2", "3")):
            label = f"{kind}-head, {PUBLISHED}, {known['epochs']} epochs [D]" if i == 0 else None
            draw_published_points(ax, i + shift, known[kind][key], kind, label)
    ax.set_xticks(range(4), ["trained", "1", "2", "3"])
    ax.set_xlabel("τ (steps)")
    _N_scale(ax)
    legend_below(ax, title="points: networks, bars: means")
    return cast(Figure, ax.figure)


def figure_4b(results: Results) -> Figure | None:
    """Draw mean and STD of τ against N."""
    rows = (("mean τ (steps)", q.tau_mean, "mean"), ("STD of τ (steps)", q.tau_std, "std"))
    return _against_N(results, [("timescales", *row, published()["tau"]) for row in rows])


def figure_5c_d(results: Results) -> Figure | None:
    """Draw mean and STD of τ_net against N."""
    rows = (("mean " + TAU_NET, q.tau_net_mean, "mean"), ("STD of " + TAU_NET, q.tau_net_std, "std"))
    return _against_N(results, [("timescales", *row, published()["tau_net"]) for row in rows])


def figure_6(results: Results) -> Figure | None:
    """Draw the mean recurrent weight and the dimensionality against N."""
    point, components = published()["checkpoints"], published()["dimensionality"]
    weights = {
        "mark": point["mark"],
        **{name: {"mean": {"N": [point["N"]], "value": [point[name]["mean_weight"]]}} for name in MAIN},
    }
    counts = {"mark": components["mark"], **{name: {"mean": components[name]} for name in MAIN}}
    return _against_N(
        results,
        [
            ("connectivity", "mean recurrent weight", q.mean_weight, "mean", weights),
            ("dimensionality", "components for 90 % of variance", q.components, "mean", counts),
        ],
    )


_Column = tuple[str, str, Number, str, Mapping[str, Any]]


def _against_N(results: Results, columns: Sequence[_Column]) -> Figure | None:
    """Draw numbers against N by curriculum, a row of panels for each task, with published values in the first row.

    A column is a measurement, a label, a function of the result, and the key and dict of the published values.
    """
    rows = {task: names for task, names in TASKS.items()
            if any(by_curriculum(results, column[0], names, column[2]) for column in columns)}  # fmt: skip
    if not rows:
        return None
    with panels(len(rows), len(columns), 3.1 * len(rows)) as (figure, axes):
        cells = [(task, column) for task in rows for column in columns]
        for ax, (task, (what, label, number, key, values)) in zip(axes, cells, strict=True):
            plot_against_N(by_curriculum(results, what, rows[task], number), label, ax)
            ax.set_title(task)
            for name in MAIN if not task else ():
                if key in values[name]:
                    draw_published(ax, *published_here(values[name][key]), name, values["mark"])
            for name in rows[task]:
                draw_measured_here(ax, results, what, name, number)
            legend_below(ax, title=OVER_NETWORKS)
    return figure


def figure_5a_b(results: Results) -> Figure | None:
    """Draw autocorrelations of one network of each curriculum, and the distributions of τ_net and τ."""
    N = q.common_N(results, "timescales", *MAIN)
    if N is None:
        return None
    with panels(2, 2, 7.0) as (figure, axes):
        for ax, name in zip(axes, ("single", "multi"), strict=False):
            plot_autocorrelations(results.measured("timescales", name, N)[0], ax)
            ax.set_title(f"{results.label(name)}, N = {N}")
        for ax, (variable, label) in zip(axes[2:], (("tau_net", TAU_NET), ("tau", "τ (steps)")), strict=True):
            _distribution(ax, results, variable, N)
            ax.set_xlabel(label)
    return figure


def _counted(result: xr.Dataset, variable: str) -> xr.DataArray:
    return result[variable].where(is_described(result)) if variable == "tau_net" else result[variable]


def _distribution(ax: Axes, results: Results, variable: str, N: int) -> None:
    """Draw how a timescale is distributed over the units of all networks of each curriculum."""
    found = {
        name: [_counted(result, variable).dropna("unit").values for result in results.measured("timescales", name, N)]
        for name in MAIN
    }
    values = {name: np.concatenate(arrays) for name, arrays in found.items()}
    largest = max((float(times.max()) for times in values.values() if times.size), default=1.0)
    edges = np.geomspace(0.2, max(largest, 1.0) * 1.05, 31)
    for name, times in values.items():
        share = np.histogram(np.maximum(times, edges[0]), edges)[0] / max(times.size, 1)
        label = f"{CURRICULUM_NAMES['cumulative' if name == 'multi' else name]}: mean {times.mean():.2f}, STD {times.std():.2f}"
        ax.stairs(share, edges, color=look(name)["color"], label=label, fill=name == "multi", alpha=0.6)
    ax.set_ylabel("share of units")
    log_axis(ax)
    ax.axvline(1, ls=":", lw=0.8, color=COLOURS["grey"])
    sizes = " + ".join(str(len(arrays)) for arrays in found.values())
    legend_below(ax, title=f"N = {N}, all units of {sizes} networks; below {edges[1]:.2g}: first bin")
