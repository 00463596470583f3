"""The figures: maps of τ, errors after perturbations, memories, learning rates, and the curriculum under every map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope._words import count
from tauscope.papers.panels import finish, panels
from tauscope.papers.stable_reparameterisation import quantities as q
from tauscope.papers.stable_reparameterisation.conditions import COMPARED, CURRICULUM_MAPS, NONLINEAR
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


def _legend(figure: Figure, ax: Axes, title: str) -> None:
    """Put the legend of a panel under all panels, whose widths it then leaves alone."""
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=6, title=title, title_fontsize=7)


def sizes(results: Results) -> Figure | None:
    """Draw the errors of larger and larger linear networks, each trained until its loss is below that of the one before."""
    result = q.study(results, "sizes")
    if result is None:
        return None
    shown = (("exp", "direct"), ("pol", "direct"), ("pol", "softplus"))
    with panels(1, 3, 3.2) as (figure, axes):
        shades = np.linspace(0.2, 0.9, result.sizes["units"])
        for ax, (rho, name) in zip(axes, shown, strict=True):
            for shade, m in zip(shades, result["units"].values, strict=True):
                of = result["error"].sel(rho=rho, map=name, part="all", units=m)
                _mean_errors(ax, of, str(1 - shade), f"{int(m)} units")
            _error_axes(ax, f"{rho}, {name}", q.TRAINS * q.power(rho))
            ax.set_xlabel("largest change β")
        _legend(figure, axes[0], f"{result.sizes['network']} networks, all parameters perturbed")
    return figure


def nonlinear(results: Results) -> Figure | None:
    """Draw the errors of nonlinear networks after perturbations of all parameters and of w alone."""
    found = {
        (afunc, tau_map): q.last(results, "perturbation_error", f"pol_{afunc}_{tau_map}")
        for afunc in NONLINEAR
        for tau_map in COMPARED
    }
    if not any(found.values()):
        return None
    with panels(1, 2, 3.6) as (figure, axes):
        for ax, afunc in zip(axes, NONLINEAR, strict=True):
            for tau_map in COMPARED:
                if not found[afunc, tau_map]:
                    continue
                error = xr.concat([one["error"] for one in found[afunc, tau_map]], "network")
                for part, style, said in (("all", "-", "all parameters"), ("tau", "--", "w alone")):
                    _mean_errors(ax, error.sel(part=part), _COLOURS[tau_map], f"{tau_map}, {said}", style)
            _error_axes(ax, f"{afunc}, long memory", q.TRAINS, "error, in parts of that of answering 0")
        n = max(len(several) for several in found.values())
        finish(axes[0], title=f"means of {count(n, 'network')}", n_columns=2)
    return figure


def curriculum(results: Results) -> Figure | None:
    """Draw mean and STD of τ and the share of units at τ = 1 against N, and the largest N, under every map."""
    groups: Mapping[str, Sequence[str]] = {
        kind: [name for name in CURRICULUM_MAPS if q.last(results, "tau", f"{kind}_{name}")]
        for kind in ("cumulative", "single")
    }
    kinds = [kind for kind, names in groups.items() if names]
    if not kinds:
        return None
    numbers = {"mean of τ (steps)": q.mean_tau, "STD of τ (steps)": q.std_tau, "share of units at τ = 1": q.frozen}
    with panels(len(kinds), 4, 2.9 * len(kinds) + 0.4, letters=False) as (figure, axes):
        for row, kind in enumerate(kinds):
            own = axes[4 * row : 4 * row + 4]
            for i, name in enumerate(groups[kind]):
                condition = f"{kind}_{name}"
                for ax, (said, number) in zip(own, numbers.items(), strict=False):
                    tables = results.against_N("tau", condition, number)
                    Ns = sorted(set().union(*map(set, tables)))
                    means = [np.mean([table[N] for table in tables if N in table]) for N in Ns]
                    ax.plot(Ns, means, ".-", color=_COLOURS[name], label=_SAID[name], lw=1)
                    ax.set_ylabel(said)
                solved = results.solved(condition)
                own[3].plot([i] * len(solved), solved, "o", ms=4, mew=0, alpha=0.6, color=_COLOURS[name])
            for ax in own[:3]:
                N_axis(ax)
                ax.set_xlabel("N")
            own[0].set_title({"cumulative": "multi-head", "single": "single-head"}[kind])
            own[3].set_xticks(range(len(groups[kind])), groups[kind], rotation=90)
            own[3].set(ylabel="largest N solved")
            integer_ticks(own[3].yaxis)
        _legend(figure, axes[-4], "means over networks")
    return figure


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
        "code), diagonal hardtanh networks that begin with dead integrators.",
        errors,
    ),
    PaperFigure(
        "memories",
        "The same networks: the size of the weight of an input so many steps back, medians over networks; trials have 100 steps (dotted).",
        memories,
    ),
    PaperFigure(
        "sizes",
        "Linear networks of 8 to 64 units, each trained until its loss is below that of the next smaller one, as published: the largest loss "
        "after perturbations of all parameters, geometric means over networks.",
        sizes,
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
        "curriculum",
        "N-parity under every map of τ: mean and STD of τ, the share of units at τ = 1 against N, means over networks, and the largest N "
        "that each network solved.",
        curriculum,
    ),
)
