"""The figures: the index by start, condition and task, sequences, and the index beside other measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope._words import count
from tauscope.analysis.fit_quality import is_described
from tauscope.papers.panels import finish, panels
from tauscope.papers.recurrent_memory import quantities as q
from tauscope.papers.recurrent_memory.conditions import BASIC, CHANGED, LABELS, LEARNT, MAIN, PAIRS, PARITY, RHO
from tauscope.papers.vocabulary import PaperFigure, Results, Trained
from tauscope.plotting.sequentiality import plot_grid, plot_peak_order, plot_weights_by_peak_difference
from tauscope.plotting.style import COLOURS, CYCLE, RC, integer_ticks

SI = "sequentiality index (nats)"
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def _here(results: Results, names: Sequence[str]) -> list[str]:
    """Return the conditions in which at least one network learnt its task."""
    return [name for name in names if q.values(results, name)]


def _looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour and marker of every task."""
    return {
        name: {"color": colour, "marker": marker} for name, colour, marker in zip(names, CYCLE, _MARKERS, strict=False)
    }


def against_sigma(results: Results) -> Figure | None:
    """Draw the index against σ0 for every task."""
    names = _here(results, BASIC)
    if not names:
        return None
    with panels(1, 1, 3.4, letters=False) as (figure, (ax,)):
        looks = _looks(BASIC)
        for name in names:
            sigma, index = q.against_sigma(results, name)
            task = LABELS[name.removeprefix("basic_")]
            ax.plot(sigma, index, ls="none", ms=4, label=f"{task}, {count(len(index), 'network')}", **looks[name])
            means = {
                spread: np.mean([y for x, y in zip(sigma, index, strict=True) if x == spread])
                for spread in sorted(set(sigma))
            }
            ax.plot(list(means), list(means.values()), lw=1, color=looks[name]["color"])
        ax.set(xlabel=r"spread of the initial recurrent weights $\sigma_0$", ylabel=SI)
        finish(ax, "points: networks, lines: means over networks of the same $\\sigma_0$", n_columns=4)
    return figure


def conditions(results: Results) -> Figure | None:
    """Draw the index of every network in every condition, and the index of its control."""
    kinds = {"basic": "basic", **CHANGED, "rho": f"ρ = {RHO:g}"}
    columns = [(kind, label) for kind, label in kinds.items() if _here(results, [f"{kind}_{task}" for task in MAIN])]
    if len(columns) < 2:
        return None
    with panels(1, 2, 3.2) as (figure, axes):
        for ax, task in zip(axes, MAIN, strict=True):
            names = [f"{kind}_{task}" for kind, _ in columns]
            starts = {q.start(network) for network in results.of(names[-1])}
            for place, name in enumerate(names):
                _columns_of_points(ax, place, [network for network in results.of(name) if q.start(network) in starts])
            ax.set_xticks(range(len(columns)), [label.replace(" ", "\n", 1) for _, label in columns], fontsize=6)
            ax.set(ylabel=SI, title=LABELS[task])
            finish(ax, "points: networks, bars: means", n_columns=2)
    return figure


def _columns_of_points(ax: Axes, place: int, networks: Sequence[Trained]) -> None:
    """Draw the networks of a condition side by side: their index by σ0, and the index of the shuffled control."""
    sigmas = sorted({q.start(network)[1] for network in networks})
    for i, (sigma, colour) in enumerate(zip(sigmas, CYCLE, strict=False)):
        index = [q.value(network, q.index) for network in networks if q.start(network)[1] == sigma]
        known = [si for si in index if math.isfinite(si)]
        x = place - 0.15 + 0.3 * i / max(len(sigmas) - 1, 1)
        label = rf"$\sigma_0$ = {sigma:g}" if place == 0 else None
        ax.plot([x] * len(known), known, "o", ms=3.5, color=colour, label=label)
        if known:
            ax.plot([x - 0.1, x + 0.1], [np.mean(known)] * 2, lw=1, color=colour)
    control = [q.value(network, lambda result: float(result["baseline"])) for network in networks]
    ax.plot([place] * len(control), control, "_", ms=10, mew=0.6, color="black", alpha=0.6,
            label="the same with time shuffled" if place == 0 else None)  # fmt: skip


def multitask(results: Results) -> Figure | None:
    """Draw the index on a task that was learnt alone, and after another task."""
    shown = [(first, second) for first, second in PAIRS if _here(results, [f"multitask_{first}_{second}"])]
    if not shown:
        return None
    with panels(1, 1, 3.0, letters=False) as (figure, (ax,)):
        for place, (first, second) in enumerate(shown):
            after = f"multitask_{first}_{second}"
            starts = {q.start(network) for network in results.networks[after]}
            for x, name, colour in ((-0.12, f"basic_{second}", "blue"), (0.12, after, "vermilion")):
                indices = [q.value(network, q.index) for network in results.of(name) if q.start(network) in starts]
                known = [si for si in indices if math.isfinite(si)]
                label = (
                    {"blue": "learnt alone", "vermilion": "learnt after the other task"}[colour] if not place else None
                )
                ax.plot([place + x] * len(known), known, "o", ms=4, color=COLOURS[colour], label=label)
                if known:
                    ax.plot([place + x - 0.08, place + x + 0.08], [np.mean(known)] * 2, color=COLOURS[colour])
        ax.set_xticks(range(len(shown)), [f"{LABELS[second]} after {LABELS[first]}" for first, second in shown])
        ax.set(ylabel=SI)
        finish(ax, "points: networks, bars: means", n_columns=2)
    return figure


def start_grid(results: Results) -> Figure | None:
    """Draw the index over λ0 and σ0."""
    found = {task: _grid(results.of(f"basic_{task}")) for task in MAIN}
    grids = {task: grid for task, grid in found.items() if grid is not None}
    if not grids:
        return None
    with panels(1, 2, 2.9) as (figure, axes):
        for ax, (task, grid) in zip(axes, grids.items(), strict=False):
            plot_grid(grid, "sigma_0", "lambda_0", ax)
            ax.set_title(f"{LABELS[task]}: {ax.get_title()}")
    return figure


def _grid(networks: Sequence[Trained]) -> xr.DataArray | None:
    """Return the index at every start of a single network; NaN where the network did not learn its task."""
    values = {start: network for network in networks if (start := q.start(network))}
    counts = {start: sum(q.start(network) == start for network in networks) for start in values}
    once = {start: network for start, network in values.items() if counts[start] == 1}
    lambdas, sigmas = (sorted({start[i] for start in once}) for i in (0, 1))
    if len(lambdas) < 2 or len(once) != len(lambdas) * len(sigmas):
        return None
    index = [[q.value(once[a, b], q.index) for b in sigmas] for a in lambdas]
    return xr.DataArray(
        index, dims=("lambda_0", "sigma_0"), attrs={"long_name": SI},
        coords={"lambda_0": ("lambda_0", lambdas, {"long_name": r"$\lambda_0$"}),
                "sigma_0": ("sigma_0", sigmas, {"long_name": r"$\sigma_0$"})},
    )  # fmt: skip


def extremes(results: Results) -> Figure | None:
    """Draw the activity and the weights of the least and of the most sequential network."""
    known = [
        (q.index(result), name, network, result)
        for name in _here(results, BASIC)
        for network in results.of(name)
        if (result := network.last("sequences")) is not None and math.isfinite(q.value(network, q.index))
    ]
    if len(known) < 2:
        return None
    ordered = sorted(known, key=lambda entry: entry[0])
    with panels(2, 2, 5.8) as (figure, axes):
        for entry, (above, below) in zip((ordered[0], ordered[-1]), (axes[:2], axes[2:]), strict=True):
            index, name, network, result = entry
            plot_peak_order(result[["activity"]].assign_attrs(n_trials=result.attrs["n_trials"]), above)
            lambda_0, sigma_0 = q.start(network)
            task = LABELS[name.removeprefix("basic_")]
            above.set_title(rf"{task}, $\lambda_0$ = {lambda_0:g}, $\sigma_0$ = {sigma_0:g}: SI {index:.2f}")
            plot_weights_by_peak_difference(result.assign_attrs(n_trials=q.POOLED_TRIALS), below)
    return figure


def spectrum(results: Results) -> Figure | None:
    """Draw how the index is distributed over all networks of the basic condition."""
    names = _here(results, BASIC)
    if not names:
        return None
    with panels(1, 1, 2.8, letters=False) as (figure, (ax,)):
        values = {LABELS[name.removeprefix("basic_")]: q.values(results, name) for name in names}
        everything = np.concatenate(list(values.values()))
        edges = np.linspace(everything.min(), everything.max() + 1e-9, 16).tolist()
        labels = [f"{task}, {count(len(indices), 'network')}" for task, indices in values.items()]
        ax.hist(list(values.values()), edges, stacked=True, label=labels, color=CYCLE[: len(values)])
        ax.set(xlabel=SI, ylabel="networks")
        integer_ticks(ax.yaxis)
        finish(ax, n_columns=4)
    return figure


@matplotlib.rc_context(RC)
def company(results: Results) -> Figure | None:
    """Draw timescales, dimensionality and the largest Lyapunov exponent against the index."""
    quantities = (
        (
            "timescales",
            r"median $\tau_\mathrm{net}$ (steps)",
            lambda result: float(result["tau_net"].where(is_described(result)).median()),
        ),
        ("dimensionality", "components for 90 % of the variance", lambda result: float(result["n_components"].mean())),
        (
            "lyapunov",
            "largest Lyapunov exponent (nats/step)",
            lambda result: float(result["exponents"].mean("trial")[0]),
        ),
    )
    names = _here(results, BASIC)
    if not names:
        return None
    with panels(1, 3, 3.0) as (figure, axes):
        looks = _looks(BASIC)
        for ax, (what, label, number) in zip(axes, quantities, strict=True):
            for name in names:
                points = [
                    (q.value(network, q.index), q.value(network, number, what)) for network in results.networks[name]
                ]
                known = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
                if known:
                    task = f"{LABELS[name.removeprefix('basic_')]}, n = {len(known)}"
                    ax.plot(*zip(*known, strict=True), ls="none", ms=3.5, label=task, **looks[name])
            ax.set(xlabel=SI, ylabel=label)
            finish(ax, n_columns=2)
    return figure


def parity(results: Results) -> Figure | None:
    """Draw the index of networks that learnt N-parity."""
    names = _here(results, PARITY)
    if not names:
        return None
    with panels(1, 2, 3.0) as (figure, (ax, below)):
        for place, (name, colour) in enumerate(zip(names, ("blue", "vermilion"), strict=False)):
            counted = [network for network in results.networks[name] if math.isfinite(q.value(network, q.index))]
            index = [q.value(network, q.index) for network in counted]
            control = [q.value(network, lambda result: float(result["baseline"])) for network in counted]
            label = f"{results.labels[name].partition(', ')[2]}, {count(len(index), 'network')}"
            ax.plot(place + np.linspace(-0.1, 0.1, len(index)), index, "o", ms=4, color=COLOURS[colour], label=label)
            ax.plot(place + np.linspace(-0.1, 0.1, len(index)), control, "_", ms=10, color="black",
                    label="the same with time shuffled" if place == 0 else None)  # fmt: skip
            below.plot([network.solved for network in counted], index, "o", ms=4, color=COLOURS[colour], label=label)
        ax.set_xticks(range(len(names)), [results.labels[name].partition(", ")[2] for name in names])
        ax.set(ylabel=SI, xlim=(-0.5, len(names) - 0.5))
        below.set(xlabel="largest N solved", ylabel=SI)
        finish(ax)
        finish(below)
    return figure


_COUNTS = f"Networks with a fractional loss above {LEARNT:g} do not count. "

FIGURES = (
    PaperFigure(
        "spread_of_initial_weights",
        "Sequentiality index (SI) of networks of the basic condition against the spread σ0 of their initial recurrent "
        "weights, for every task. " + _COUNTS + "The number of networks is in the legend.",
        against_sigma,
    ),
    PaperFigure(
        "conditions",
        "Sequentiality index (SI) in the basic condition and in those that change one thing, for the same starts, at two "
        "spreads σ0. Black: the index of the same activity with the time steps of every unit shuffled, above which an index "
        "is evidence of a sequence. " + _COUNTS,
        conditions,
    ),
    PaperFigure(
        "start_grid",
        "Sequentiality index (SI) of one network for every pair of λ0, the diagonal of the initial recurrent weights, and "
        "σ0, the spread of the others. Grey: the network diverged or has a fractional loss above 0.5.",
        start_grid,
    ),
    PaperFigure(
        "extremes",
        "The least (above) and the most sequential network (below) of the basic condition. "
        + _COUNTS
        + "Left: mean activity of every "
        "active unit in parts of its peak, the earliest peak first. Right: mean recurrent weight against how much later the "
        "receiving unit peaks than the sending one, shaded: standard deviation over pairs; dashed: means over all positive and all "
        "negative differences.",
        extremes,
    ),
    PaperFigure(
        "spectrum",
        "How the sequentiality index (SI) is distributed over all networks of the basic condition, from persistent (low) to "
        "sequential (high). " + _COUNTS + "The number of networks is in the legend.",
        spectrum,
    ),
    PaperFigure(
        "multitask",
        "Sequentiality index (SI) on a task that was learnt alone, and by the same starts after another task. "
        + _COUNTS,
        multitask,
    ),
    PaperFigure(
        "timescales_dimensionality_lyapunov",
        "What goes along with the sequentiality index (SI) in networks of the basic condition: the median network-mediated "
        "timescale of the fluctuations from trial to trial in the delay, the number of principal components that hold 90 % "
        "of the variance of the activity over steps and trials, and the largest Lyapunov exponent along the trials. A point "
        "is a network. " + _COUNTS,
        company,
    ),
    PaperFigure(
        "parity",
        f"Sequentiality index (SI) of networks that learnt N-parity with many heads or with one, on trials of {q.BITS} bits. "
        "Black: the index of the same activity with the time steps of every unit shuffled. A point is a network.",
        parity,
    ),
)
