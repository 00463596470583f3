"""Figures 7 and 8 of the paper: accuracy after ablation, perturbation and retraining, and on N beyond training."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope._words import count
from tauscope.papers.emergent_timescales import quantities as q
from tauscope.papers.emergent_timescales.drawing import (
    CURRICULA,
    MEASURED_HERE,
    PUBLISHED,
    draw_measured_here,
    look,
    series,
)
from tauscope.papers.emergent_timescales.figures import MAIN
from tauscope.papers.emergent_timescales.quantities import published
from tauscope.papers.panels import panels
from tauscope.papers.vocabulary import Results
from tauscope.plotting.interventions import plot_perturbation_of_networks
from tauscope.plotting.style import COLOURS, N_axis, draw_mean_and_range, legend_below, note, relative_accuracy_axis
from tauscope.plotting.summary import draw_networks

_GROUPS = {"slowest": ("vermilion", "s"), "fastest": ("blue", "o"), "random": ("grey", "^")}


def figure_7(results: Results) -> Figure | None:
    """Draw the relative accuracy without a slowest, a fastest and a random unit against N."""
    if not any(series(results, "ablation", name, q.without("slowest")) is not None for name in MAIN):
        return None
    with panels(1, 2, 3.8) as (figure, axes):
        for ax, name in zip(axes, ("single", "multi"), strict=True):
            _ablation(ax, results, name)
        for ax in axes:
            ax.set_ylim(min(panel.get_ylim()[0] for panel in axes), max(panel.get_ylim()[1] for panel in axes))
    return figure


def _ablation(ax: Axes, results: Results, name: str) -> None:
    known, shown = published()["ablation"][name], [np.array([1.0])]
    n = 0
    for group, (colour, marker) in _GROUPS.items():
        values = series(results, "ablation", name, q.without(group))
        if values is not None:
            n = values.sizes["network"]
            shown.append(values.values.ravel())
            draw_mean_and_range(ax, values["N"], values, "network", f"without one {group} unit", COLOURS[colour],
                                marker=marker, ms=3)  # fmt: skip
        if group in known["30"]:
            Ns, means = (
                [int(N) for N in known],
                [float(np.mean(published_at[group])) for published_at in known.values()],
            )
            shown.append(np.array(means))
            ax.plot(Ns, means, ls="none", marker=marker, ms=4.5, mfc="white", color=COLOURS[colour],
                    label=f"{group}, {PUBLISHED} [D]")  # fmt: skip
        draw_measured_here(ax, results, "ablation", name, q.without(group), label=group, color=COLOURS[colour],
                           marker=marker)  # fmt: skip
    relative_accuracy_axis(ax, np.concatenate(shown), "intact network", "chance")
    N_axis(ax)
    ax.set_title(results.label(name))
    legend_below(
        ax, title=f"{count(n, 'network')}, mean over 20 units of a group and trials;\nshaded: range of networks"
    )


def figure_8(results: Results) -> Figure | None:
    """Draw the accuracy after perturbation, after retraining, and of a fresh read-out beyond the trained N."""
    drawn = ("perturbation_recurrent", "perturbation_tau", "retraining", "generalisation")
    if all(q.common_N(results, what, *MAIN) is None for what in drawn):
        return None
    with panels(2, 2, 7.2) as (figure, axes):
        for ax, which in zip(axes, ("recurrent", "tau"), strict=False):
            _perturbation(ax, results, which)
        _retraining(axes[2], results)
        _generalisation(axes[3], results)
    return figure


def _joined(results: Results, what: str, N: int) -> dict[str, xr.Dataset]:
    """Return the results of all networks measured at N, along ``network``, by curriculum."""
    return {
        CURRICULA[name]: xr.concat(
            results.measured(what, name, N),
            dim="network",
            combine_attrs="drop_conflicts",
            data_vars="all",
            coords="minimal",
            compat="override",
            join="outer",
        )
        for name in MAIN
    }


def _perturbation(ax: Axes, results: Results, which: str) -> None:
    what = f"perturbation_{which}"
    N = q.common_N(results, what, *MAIN)
    if N is None:
        note(ax, "not measured at a common N")
        return
    plot_perturbation_of_networks(_joined(results, what, N), ax)
    values = published()[what]
    for name in MAIN:
        label = f"{name}-head, {PUBLISHED}, N = {values['N']} [{values['mark']}]"
        ax.plot(values[name]["epsilon"], values[name]["mean"], ls=":", lw=0.8, ms=3.5, mfc="white", zorder=1, label=label,
                **look(name))  # fmt: skip
    _measured_here(ax, results, what)
    legend_below(ax, title=f"N = {N}; mean over networks, shaded: their range")


def _measured_here(ax: Axes, results: Results, what: str) -> None:
    """Draw the published networks that were measured as ours, at the largest N that all of them were measured at."""
    theirs = Results(results.published, {})
    names = [name for name in MAIN if theirs.of(name)]
    N = q.common_N(theirs, what, *names) if names else None
    for name in names if N is not None else ():
        measured = [result["relative_accuracy"].mean("trial") for result in theirs.measured(what, name, N)]
        relative = xr.concat(measured, dim="network").mean("network")[1:]
        ax.plot(relative["epsilon"], relative, ls="--", lw=0.9, ms=4, mec="black", mew=0.8,
                label=f"{name}-head, {MEASURED_HERE}, N = {N}", **look(name))  # fmt: skip


def _retraining(ax: Axes, results: Results) -> None:
    N = q.common_N(results, "retraining", *MAIN)
    if N is None:
        note(ax, "not retrained from a common N")
        return
    joined = _joined(results, "retraining", N)
    for curriculum, result in joined.items():
        draw_networks(ax, result["N"], result["relative_accuracy"].transpose("network", "N"), curriculum)
    every = np.concatenate([result["relative_accuracy"].values.ravel() for result in joined.values()])
    relative_accuracy_axis(ax, every, f"as at N = {N}", "accuracy 0.50")
    N_axis(ax)
    ax.set_xlabel("N it was retrained on alone (bits)")
    legend_below(ax, title=f"from N = {N}; mean over networks, shaded: range")


def _generalisation(ax: Axes, results: Results) -> None:
    N = q.common_N(results, "generalisation", *MAIN)
    if N is None:
        note(ax, "not measured at a common N")
        return
    joined = _joined(results, "generalisation", N)
    for curriculum, result in joined.items():
        draw_networks(ax, result["N"], result["accuracy"].mean("trial").transpose("network", "N"), curriculum)
    result = joined["cumulative"]
    ax.plot(result["N"], result["chance"].isel(network=0, missing_dims="ignore"), ls="--", color=COLOURS["grey"],
            label="chance")  # fmt: skip
    ax.axvline(N + 0.5, ls=":", lw=0.8, color="black", label=f"largest trained N: {N}")
    ax.set(ylabel="accuracy of a fresh read-out", ylim=(0.4, 1.03))
    N_axis(ax)
    legend_below(ax, title="mean over networks, shaded: their range")


def supplement_forgetting(results: Results) -> Figure | None:
    """Draw the accuracy of every network on every N."""
    found = {name: results.measured("forgetting", name) for name in MAIN}
    if not any(found.values()):
        return None
    with panels(1, 2, 3.2) as (figure, axes):
        for ax, (name, measured) in zip(axes, found.items(), strict=True):
            for i, result in enumerate(measured):
                label = f"networks that solved N = {_largest(measured)}" if i == 0 else None
                ax.plot(result["N"], result["accuracy"], lw=1, ms=2.5, label=label, **look(name))
            for result in measured[:1]:
                ax.plot(result["N"], result["chance"], ls="--", lw=1, color=COLOURS["grey"], label="chance")
            ax.set(ylabel="accuracy (fraction right)", ylim=(0.4, 1.03))
            ax.set_title(results.label(name))
            N_axis(ax)
            legend_below(ax, title=f"{count(len(measured), 'network')}, no further training")
    return figure


def _largest(measured: list[xr.Dataset]) -> str:
    return ", ".join(str(int(result["N"][result["trained"].values].max())) for result in measured)
