"""Supplementary figures: fits, other models, other cells, sliding window, network size, continuous time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from tauscope._words import count
from tauscope.papers.emergent_timescales import quantities as q
from tauscope.papers.emergent_timescales.drawing import (
    PUBLISHED,
    by_curriculum,
    draw_progress,
    draw_published,
    longest,
    look,
    published_here,
)
from tauscope.papers.emergent_timescales.figures import MAIN, OVER_NETWORKS, TAU_NET
from tauscope.papers.emergent_timescales.quantities import published
from tauscope.papers.panels import finish, panels
from tauscope.papers.vocabulary import Results
from tauscope.plotting.resolution import few, mark_trained, time_step_axis
from tauscope.plotting.style import COLOURS, CYCLE, RC, draw_mean_and_range, legend_below, new_axes
from tauscope.plotting.summary import plot_against_N
from tauscope.plotting.timescales import plot_autocorrelations

_MOST_ROWS = 3
_TRAINED_KS = (7, 10)


def autocorrelations(results: Results) -> Figure | None:
    """Draw autocorrelations and their fits of one network of each curriculum, at a few N that both solved."""
    Ns = sorted(set.intersection(*(q.measured_Ns(results, "timescales", name) for name in MAIN)))
    if not Ns:
        return None
    rows = [Ns[round(i)] for i in np.linspace(0, len(Ns) - 1, min(len(Ns), _MOST_ROWS))]
    with panels(len(rows), 2, 3.3 * len(rows)) as (figure, axes):
        cells = [(N, name) for N in rows for name in ("single", "multi")]
        for ax, (N, name) in zip(axes, cells, strict=True):
            plot_autocorrelations(results.measured("timescales", name, N)[0], ax)
            ax.set_title(f"{results.label(name)}, N = {N}")
    return figure


def mod(results: Results) -> Figure | None:
    """Draw progress and mean τ_net of networks whose nonlinearity acts on the drive alone."""
    colours = {"multi_mod": "blue", "single_mod": "vermilion"}
    if not longest(results, colours):
        return None
    curves = by_curriculum(results, "timescales", list(colours), q.tau_net_mean)
    with panels(1, 2, 3.4) as (figure, axes):
        draw_progress(axes[0], results, colours)
        finish(axes[0], "lines: networks")
        plot_against_N(curves, "mean " + TAU_NET, axes[1])
        values = published()["tau_net_mod"]
        for name in MAIN:
            draw_published(axes[1], *published_here(values[name]["mean"]), name, values["mark"])
        legend_below(axes[1], title=f"{OVER_NETWORKS};\nunits with τ_net > 1 step")
    return figure


def gated(results: Results) -> Figure | None:
    """Draw the progress of GRU and LSTM networks."""
    return _progress(
        results,
        {cell.upper(): {f"multi_{cell}": "blue", f"single_{cell}": "vermilion"} for cell in ("gru", "lstm")},
    )


def size(results: Results) -> Figure | None:
    """Draw the progress of networks of half and twice the size beside the main networks."""
    colours = {"_half": "sky", "": "blue", "_double": "purple"}
    until = longest(results, [f"{kind}_{which}" for kind in MAIN for which in ("half", "double")])
    if not until:
        return None
    titles = {f"{kind}-head": {f"{kind}{which}": colour for which, colour in colours.items()} for kind in MAIN}
    return _progress(results, titles, until)


def _progress(results: Results, titles: Mapping[str, Mapping[str, str]], until: int | None = None) -> Figure | None:
    """Draw a panel of progress for each title whose conditions were trained, each condition in its colour."""
    shown = {title: conditions for title, conditions in titles.items() if longest(results, conditions)}
    if not shown:
        return None
    with panels(1, len(shown), 3.2) as (figure, axes):
        for ax, (title, conditions) in zip(axes, shown.items(), strict=True):
            draw_progress(ax, results, conditions, until)
            ax.set_title(title)
            finish(ax, "lines: networks")
    return figure


@matplotlib.rc_context(RC)
def sliding(results: Results) -> Figure | None:
    """Draw the progress under a sliding window beside that under the main curricula."""
    until = longest(results, ["sliding"])
    if not until:
        return None
    ax = new_axes(height=3.4)
    draw_progress(ax, results, {"sliding": "green", "multi": "blue", "single": "vermilion"}, until)
    values = published()["epochs_to_solve"]["sliding"]
    taken = [published()["steps_per_epoch"] * epoch for epoch in values["epoch"]]
    ax.plot(taken, values["N"], ls="none", ms=5, mfc="white", label=f"sliding, {PUBLISHED} [D]", **look("sliding"))
    legend_below(ax, title="lines: networks")
    return cast(Figure, ax.figure)


@matplotlib.rc_context(RC)
def continuous_time(results: Results) -> Figure | None:
    """Draw the accuracy of continuous-time networks against the time step."""
    found = results.measured("resolution", "continuous")
    if not found:
        return None
    ax = new_axes(height=3.4)
    mark_trained(ax, _TRAINED_KS)
    joined = xr.concat([result[["accuracy"]] for result in found], dim="network", join="outer")
    for N, colour in zip(few(joined["N"].values.tolist()), CYCLE, strict=False):
        accuracy = joined["accuracy"].sel(N=N).dropna("network", how="all").transpose("network", "k")
        label = f"N = {N}, {count(accuracy.sizes['network'], 'network')}"
        draw_mean_and_range(ax, 1 / accuracy["k"], accuracy, "network", label, colour, marker="o", ms=2.5)
    ax.axhline(float(found[0]["chance"].max()), ls="--", lw=1, color=COLOURS["grey"], label="chance")
    time_step_axis(ax)
    ax.set(ylabel="accuracy (fraction right)", ylim=(0.4, 1.03))
    legend_below(ax, title="mean over networks, shaded: their range", n_columns=2)
    return cast(Figure, ax.figure)
