"""The figures: maps of τ, errors after perturbations, memories, learning rates, and the curriculum under every map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope._words import count
from tauscope.models.timescales import TauMap
from tauscope.papers.panels import finish, panels
from tauscope.papers.stable_reparameterisation import quantities as q
from tauscope.papers.stable_reparameterisation.conditions import COMPARED, KINDS, MULTI_MAPS, NONLINEAR, SINGLE_MAPS
from tauscope.papers.stable_reparameterisation.linear import MAPS
from tauscope.papers.vocabulary import PaperFigure, Results
from tauscope.plotting.stability import draw_errors
from tauscope.plotting.style import COLOURS, N_axis, integer_ticks
from tauscope.tasks.functional import memory_kernel

_COLOURS = dict(zip(MAPS, (*(colour for name, colour in COLOURS.items() if name != "grey"), "black"), strict=True))
_SAID = {name: name for name in MAPS} | {"best": "best, b = 1", "best0.1": "best, b = 0.1"}
_MEMORIES = {"exp": "short memory (exp)", "pol": "long memory (pol)"}
_PARTS = {"all": "all parameters perturbed", "rate": "w alone perturbed"}

_PUBLISHED = {
    8: (0.0221, {0.008: 0.352, 0.032: 18.1, 0.064: 157.0, 0.256: 3555.0}),
    64: (0.0034, {0.008: 0.0164, 0.032: 2.03, 0.064: 23.0, 0.256: 2963.0}),
}
"""Errors by the published logs: diagonal hardtanh networks of so many units, short memory, map direct; β = 0, and others."""


def maps(results: Results) -> Figure | None:
    """Draw the maps, and how far a step of w moves τ."""
    del results
    with panels(1, 2, 3.4) as (figure, (ax, slopes)):
        w = torch.linspace(-6, 6, 600, dtype=torch.float64, device="cpu")
        tau = torch.logspace(0, 2, 200, dtype=torch.float64, device="cpu")
        for name, tau_map in MAPS.items():
            values = tau_map.tau(w)
            there = (values > 0) & (values < 100) & ((w >= 1) | (name != "inverse"))
            ax.plot(w[there], values[there], color=_COLOURS[name], label=_SAID[name])
            if name != "best0.1":
                slopes.plot(tau, tau_map.slope(tau), color=_COLOURS[name])
        ax.set(xlabel="what is trained, w", ylabel="timescale τ = 1/λ (steps)", yscale="log", ylim=(0.3, 100))
        slopes.set(xlabel="timescale τ (steps)", ylabel="size of dτ/dw", xscale="log", yscale="log")
        finish(ax, n_columns=3)
    return figure


def errors(results: Results) -> Figure | None:
    """Draw the errors of linear networks after perturbations, by memory and by what is perturbed."""
    result = q.study(results, "linear")
    if result is None:
        return None
    with panels(2, 2, 6.4) as (figure, axes):
        places = [(rho, part) for part in _PARTS for rho in _MEMORIES]
        for ax, (rho, part) in zip(axes, places, strict=True):
            of = result["error"].sel(rho=rho, part=part).isel(units=-1)
            for name in MAPS:
                _mean_errors(ax, of.sel(map=name), _COLOURS[name], _SAID[name])
            if (rho, part) == ("exp", "all"):
                for m, (_, points) in _PUBLISHED.items():
                    ax.plot(list(points), list(points.values()), "--", marker=".", lw=0.9, color=COLOURS["grey"],
                            label=f"published, direct, hardtanh, {m} units")  # fmt: skip
            _error_axes(ax, f"{_MEMORIES[rho]}, {_PARTS[part]}", q.TRAINS * q.power(rho))
        finish(axes[2], title=f"{result.sizes['network']} networks of {int(result['units'][-1])} units", n_columns=3)
        handles, labels = axes[0].get_legend_handles_labels()
        published = [(handle, label) for handle, label in zip(handles, labels, strict=True) if "published" in label]
        axes[0].legend(*zip(*published, strict=True), loc="lower right")
    return figure


_HIGHEST = 7
"""log10 of the largest error that is drawn."""


def _mean_errors(ax: Axes, error: xr.DataArray, colour: str, label: str, style: str = "-") -> None:
    """Draw the geometric mean over networks."""
    logs = np.log10(error.transpose("network", "beta").values).mean(axis=0)
    values = np.where(logs < _HIGHEST, 10.0 ** np.minimum(logs, _HIGHEST), np.inf)
    draw_errors(ax, error["beta"].values, values, color=colour, label=label, ls=style)


def _error_axes(ax: Axes, title: str, level: float, quantity: str = "loss") -> None:
    ax.axhline(level, ls=":", lw=0.8, color="black")
    ax.set(
        xscale="log", yscale="log", xlabel="largest change of a parameter β", ylabel=f"largest {quantity}", title=title
    )


def memories(results: Results) -> Figure | None:
    """Draw the memories of linear networks under every map beside what is asked."""
    result = q.study(results, "linear")
    if result is None:
        return None
    with panels(1, 2, 3.8) as (figure, axes):
        lag = result["lag"].values if "lag" in result.coords else np.arange(result.sizes["lag"])
        for ax, rho in zip(axes, _MEMORIES, strict=True):
            ax.plot(lag + 1, memory_kernel(rho, len(lag)), "--", color=COLOURS["grey"], label="what is asked")
            for name in MAPS:
                mean = result["memory"].sel(rho=rho, map=name).median("network").values
                # What is smaller than the axis would only stretch it.
                ax.plot(lag + 1, np.where(mean > 1e-6, mean, np.nan), color=_COLOURS[name], label=_SAID[name])
            ax.axvline(100, ls=":", lw=0.8, color="black")
            ax.set(xscale="log", yscale="log", ylim=(1e-5, 3), xlabel="1 + lag (steps)", ylabel="size of the memory",
                   title=_MEMORIES[rho])  # fmt: skip
        finish(
            axes[0],
            title=f"median of {result.sizes['network']} networks of {int(result['units'][0])} units",
            n_columns=3,
        )
    return figure


def rates(results: Results) -> Figure | None:
    """Draw the loss at the end against the learning rate, and the gradient over weight."""
    result = q.study(results, "learning_rates")
    if result is None:
        return None
    with panels(1, 2, 3.8) as (figure, (ax, ratios)):
        for i, name in enumerate(MAPS):
            of = result.sel(map=name).sortby("lr")
            for axis, variable in ((ax, "loss"), (ratios, "largest_ratio")):
                values = of[variable].transpose("lr", "network").values
                spread = of["lr"].values[:, None] * 10 ** (0.05 * (i - 3))
                values = np.where(values < (1e4 if axis is ax else 10.0**_HIGHEST), values, np.nan)
                axis.plot(
                    np.broadcast_to(spread, values.shape), values, "o", ms=2.5, mew=0, alpha=0.6, color=_COLOURS[name]
                )
                axis.plot(spread, _geometric_mean(values), color=_COLOURS[name], lw=1, label=_SAID[name])
        ax.axhline(q.TRAINS, ls=":", lw=0.8, color="black")
        ax.set(ylabel="loss at the end, in parts of that of answering 0")
        ratios.set(ylabel="largest gradient over weight in training")
        for axis in (ax, ratios):
            axis.set(xscale="log", yscale="log", xlabel="learning rate")
        finish(ax, title=f"{result.sizes['network']} networks each, what diverged is left out", n_columns=3)
    return figure


def _geometric_mean(values: np.ndarray) -> np.ndarray:
    """Return geometric means over networks; not a number where one diverged."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: np.ndarray = np.exp(np.log(values).mean(axis=1))
    return mean


def _legend(figure: Figure, axes: Sequence[Axes], title: str) -> None:
    """Put one legend of several panels under all panels, whose widths it then leaves alone."""
    named = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named, loc="outside lower center", ncols=5, title=title, title_fontsize=7)


def _by_size(results: Results, name: str) -> Figure | None:
    """Draw the errors of linear networks of several sizes after perturbations of all parameters."""
    result = q.study(results, name)
    if result is None:
        return None
    shown = (("exp", "direct"), ("pol", "direct"), ("pol", "softplus"))
    with panels(1, 3, 3.2) as (figure, axes):
        shades = np.linspace(0.2, 0.9, result.sizes["units"])
        for ax, (rho, tau_map) in zip(axes, shown, strict=True):
            for shade, m in zip(shades, result["units"].values, strict=True):
                of = result["error"].sel(rho=rho, map=tau_map, part="all", units=m)
                _mean_errors(ax, of, str(1 - shade), f"{int(m)} units")
            _error_axes(ax, f"{rho}, {tau_map}", q.TRAINS * q.power(rho))
            ax.set_xlabel("largest change β")
        _legend(figure, axes, f"{result.sizes['network']} networks, all parameters perturbed")
    return figure


def sizes(results: Results) -> Figure | None:
    """Draw the errors of larger and larger linear networks, each trained until its loss is below that of the one before."""
    return _by_size(results, "sizes")


def optima(results: Results) -> Figure | None:
    """Draw the errors of linear networks of several sizes, each trained to its own optimum."""
    return _by_size(results, "optima")


def nonlinear(results: Results) -> Figure | None:
    """Draw the errors of nonlinear networks after perturbations of all parameters and of w alone."""
    parts = (("all", "-", "all parameters"), ("tau", "--", "w alone"))
    drawn = [
        (f"{afunc}, long memory", [
            (f"pol_{afunc}_{tau_map}", part, tau_map, style, f"{tau_map}, {said}")
            for tau_map in COMPARED for part, style, said in parts
        ])
        for afunc in NONLINEAR
    ]  # fmt: skip
    return _network_errors(results, drawn)


def kinds(results: Results) -> Figure | None:
    """Draw the errors of further kinds of networks, and of a random network as target, after perturbations of w alone."""
    drawn = [
        (f"{kind}, w alone", [
            (f"{rho}_{kind}_{tau_map}", "tau", tau_map, style, f"{tau_map}, {rho}")
            for rho, tau_map, style in (("pol", "direct", "-"), ("pol", "softplus", "-"), ("exp", "direct", "--"))
        ])
        for kind in KINDS
    ]  # fmt: skip
    targets = (("pol_hardtanh_direct", "-", "direct, pol"), ("filter_direct", "--", "direct, random network"))
    drawn.append(("hardtanh, w alone", [(name, "tau", "direct", style, said) for name, style, said in targets]))
    return _network_errors(results, drawn) if results.has("filter_direct") else None


_Lines = list[tuple[str, str, str, str, str]]


def _network_errors(results: Results, drawn: list[tuple[str, _Lines]]) -> Figure | None:
    """Draw panels of errors of trained networks: titles, and conditions with part, map, style and label."""
    found = {
        name: measured for _, lines in drawn for name, *_ in lines
        if (measured := q.last(results, "perturbation_error", name))
    }  # fmt: skip
    if not found:
        return None
    with panels(1, len(drawn), 3.6) as (figure, axes):
        for ax, (title, lines) in zip(axes, drawn, strict=True):
            for name, part, tau_map, style, said in lines:
                if name in found:
                    error = xr.concat([result["error"] for result in found[name]], "network")
                    _mean_errors(ax, error.sel(part=part), _COLOURS[tau_map], said, style)
            _error_axes(ax, title, q.TRAINS, "error, in parts of that of answering 0")
            ax.set_xlabel("largest change β")
        n = max(len(several) for several in found.values())
        _legend(figure, axes, f"means of {count(n, 'network')}")
    return figure


_HEADS = {"cumulative": "multi-head", "single": "single-head"}


def _curricula(has: Callable[[str], bool]) -> dict[str, list[tuple[str, str]]]:
    """Return maps and names of the conditions of each curriculum of which there is something to draw."""
    groups = {
        kind: [
            (tau_map, name)
            for tau_map in dict.fromkeys((*SINGLE_MAPS, *MULTI_MAPS))
            if has(name := f"{kind}_{tau_map}")
        ]
        for kind in _HEADS
    }
    return {kind: named for kind, named in groups.items() if named}


def curriculum(results: Results) -> Figure | None:
    """Draw mean and STD of τ and the share of units at τ = 1 against N, under every map."""
    groups = _curricula(lambda name: bool(q.last(results, "tau", name)))
    if not groups:
        return None
    numbers = {"mean of τ (steps)": q.mean_tau, "STD of τ (steps)": q.std_tau, "share of units at τ = 1": q.frozen}
    with panels(len(groups), 3, 2.8 * len(groups) + 0.4, letters=False) as (figure, axes):
        for row, (kind, named) in enumerate(groups.items()):
            own = axes[3 * row : 3 * row + 3]
            for ax, (said, number) in zip(own, numbers.items(), strict=True):
                for tau_map, name in named:
                    tables = results.against_N("tau", name, number)
                    solved = Counter(N for table in tables for N in table)
                    # Means of fewer networks would be of others than those before.
                    Ns = sorted(N for N in solved if solved[N] > len(tables) / 2)
                    means = [np.mean([table[N] for table in tables if N in table]) for N in Ns]
                    ax.plot(Ns, means, _style(tau_map), color=_colour(tau_map), label=tau_map, lw=1)
                N_axis(ax)
                ax.set(xlabel="N", ylabel=said)
            own[0].set_title(_HEADS[kind])
            if own[1].get_ylim()[1] > _LARGE_TAU:
                own[0].set_yscale("log")
                own[1].set_yscale("log")
        _legend(figure, axes, "means over networks, where most solved N")
    return figure


def progress(results: Results) -> Figure | None:
    """Draw the N that networks have solved against steps of training, under every map."""
    groups = _curricula(lambda name: bool(q.steps_to_solve(results, name)))
    if not groups:
        return None
    with panels(1, len(groups), 3.6, letters=False) as (figure, axes):
        for ax, (kind, named) in zip(axes, groups.items(), strict=True):
            for tau_map, name in named:
                solved = q.steps_to_solve(results, name)
                ax.plot(
                    list(solved.values()), list(solved), _style(tau_map), color=_colour(tau_map), label=tau_map, lw=1
                )
            ax.set(xlabel="steps of training", ylabel="N solved", title=_HEADS[kind])
            integer_ticks(ax.yaxis)
        _legend(figure, axes, "means over networks, where most solved N")
    return figure


_LARGE_TAU = 50.0
"""STD of τ (steps) from which on its axis is logarithmic."""


def _colour(tau_map: str) -> str:
    return _COLOURS[TauMap(tau_map).shape]


def _style(tau_map: str) -> str:
    """Return a dashed line for a map that is matched."""
    return ".--" if TauMap(tau_map).scale != 1 else ".-"


FIGURES = (
    PaperFigure(
        "maps",
        "The maps: (a) timescales τ = 1/λ by what is trained, and (b) how far a step of w moves a timescale. Of direct it is τ², of "
        "inverse, the clamped τ of leaky units, 1.",
        maps,
    ),
    PaperFigure(
        "errors",
        "Linear networks, trained on their exact loss: the largest loss after 30 perturbations up to β, geometric means over networks, of all "
        "parameters (a, b) and of w alone (c, d). Dotted: a tenth of the loss of answering 0. Dashed: published logs (openreview yC2waD70Vj, "
        "code), diagonal hardtanh networks that begin with dead integrators. Lines end where the loss exceeds 10⁷.",
        errors,
    ),
    PaperFigure(
        "memories",
        "Linear networks of 8 units, trained in the same way: the size of the weight of an input so many steps back, medians over networks; "
        "trials have 100 steps (dotted).",
        memories,
    ),
    PaperFigure(
        "sizes",
        "Linear networks of 8 to 64 units, each trained until its loss is below that of the next smaller one, as published: the largest loss "
        "after perturbations of all parameters, geometric means over networks.",
        sizes,
    ),
    PaperFigure(
        "optima",
        "Linear networks of 2 to 16 units, each trained to its own optimum, as far as Adam finds it: the largest loss after perturbations of all "
        "parameters, geometric means over networks.",
        optima,
    ),
    PaperFigure(
        "learning_rates",
        "Linear networks of 16 units on the long memory after 1000 updates, without clipping: (a) the loss at the end, (b) the largest gradient "
        "over weight in training, against the learning rate, a point for each network.",
        rates,
    ),
    PaperFigure(
        "nonlinear",
        "Networks with hardtanh (a) and tanh (b), trained on data: the largest error after perturbations up to β, of all parameters and of w "
        "alone, geometric means over networks. Dotted: a tenth of the error of answering 0.",
        nonlinear,
    ),
    PaperFigure(
        "kinds",
        "Networks with decay in a trained basis (a) and with the state-space kernel (b), and a random network as target (c), trained on data: the largest "
        "error after perturbations of w alone up to β, geometric means over networks. Dotted: a tenth of the error of answering 0.",
        kinds,
    ),
    PaperFigure(
        "curriculum",
        "N-parity under every map of τ: mean and STD of τ and the share of units at τ = 1 against N, means over networks, where most of them solved N. Dashed: maps that are "
        "matched, under which a step of w moves a unit of τ = 1.5 as far as under inverse.",
        curriculum,
    ),
    PaperFigure(
        "progress",
        "N-parity under every map of τ: after how many steps of training N was solved, means over networks, where most of them solved it. Dashed: "
        "maps that are matched.",
        progress,
    ),
)
