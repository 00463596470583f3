"""The figures: returns against frames, copying, what is kept, staleness."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope._words import count
from tauscope.papers.panels import finish, panels
from tauscope.papers.real_time_recurrent_learning import quantities as q
from tauscope.papers.real_time_recurrent_learning.conditions import METHODS, PARITY, SEGMENTS, SHOWN
from tauscope.papers.vocabulary import PaperFigure, Results
from tauscope.plotting.style import COLOURS, CYCLE, integer_ticks, log_axis

_COLOURS = {"rtrl": COLOURS["blue"], "bptt": COLOURS["orange"]}


def _draw(ax: Axes, results: Results, condition: str, colour: str, label: str, per_epoch: float = 1.0) -> None:
    """Draw a thin line for every network of a condition and their mean."""
    found = list(q.curves(results, condition).values())
    if not found:
        return
    n_epochs = min(map(len, found))
    at = per_epoch * np.arange(1, n_epochs + 1)
    for scores in found:
        ax.plot(at, scores[:n_epochs], lw=0.5, alpha=0.5, color=colour)
    mean = np.mean([scores[:n_epochs] for scores in found], axis=0)
    # What lies behind a curve of the same numbers is seen through its gaps.
    ax.plot(at, mean, ls="--" if "bptt" in condition else "-", color=colour, label=label)


def returns(results: Results) -> Figure | None:
    """Draw the return against frames, for every length of a segment and with the cue always shown."""
    if not results.of(f"game{SEGMENTS[0]}_rtrl"):
        return None
    with panels(2, 2, 4.8) as (figure, axes):
        for ax, every in zip(axes, SEGMENTS, strict=False):
            for method, label in METHODS.items():
                networks = results.of(f"game{every}_{method}")
                if networks:
                    _draw(ax, results, f"game{every}_{method}", _COLOURS[method], label, q.frames(networks[0]))
            ax.set(xlabel="frames", ylabel="return", ylim=(-1.05, 1.05), title=f"segments of {every} steps")
            finish(ax, n_columns=2)
        ax = axes[3]
        for condition, colour in zip(SHOWN, CYCLE, strict=False):
            networks = results.of(condition.name)
            if networks:
                _draw(ax, results, condition.name, colour, condition.label.partition(",")[0], q.frames(networks[0]))
        ax.set(xlabel="frames", ylabel="return", ylim=(-1.05, 1.05), title="cue always shown")
        finish(ax, n_columns=3)
    return figure


def copying(results: Results) -> Figure | None:
    """Draw the share of copied sequences against epochs."""
    if not results.of("copy_rtrl"):
        return None
    with panels(1, 1, 2.9, letters=False) as (figure, (ax,)):
        for method, label in METHODS.items():
            _draw(ax, results, f"copy_{method}", _COLOURS[method], f"{label}, an update at every step")
        ax.axhline(q.LEVEL, ls="--", lw=0.8, color=COLOURS["grey"])
        ax.set(xlabel="epoch", ylabel="sequences copied", ylim=(0, 1.02))
        finish(ax, title=f"{count(len(results.of('copy_rtrl')), 'network')} of each and their mean", n_columns=2)
    return figure


def costs(results: Results) -> Figure | None:
    """Draw what is kept against the length of a trial, and how stale sensitivities are against the learning rate."""
    if not {"memory", "staleness"} <= results.studies.keys():
        return None
    kept, stale = results.studies["memory"].bytes, results.studies["staleness"].error
    with panels(1, 2, 2.9) as (figure, (left, right)):
        for method, label in (("rtrl", "RTRL"), ("bptt", "backpropagation")):
            left.plot(kept.length, kept.sel(gradient=method) / 1e6, "o-", ms=3.5, color=_COLOURS[method], label=label)
        log_axis(left)
        log_axis(left, "y")
        left.set(xlabel="length of a trial (steps)", ylabel="kept for the gradient (MB)")
        finish(left, n_columns=2)
        moving = stale.isel(rate=slice(1, None))
        for network in range(moving.sizes["network"]):
            right.plot(
                moving.rate, moving.isel(network=network), "o-", ms=2.5, lw=0.6, alpha=0.6, color=COLOURS["blue"]
            )
        log_axis(right)
        right.set(xlabel="learning rate", ylabel="1 - cosine with the exact gradient", yscale="log")
        finish(right, title=count(moving.sizes["network"], "network"))
    return figure


def parity(results: Results) -> Figure | None:
    """Draw the largest N of parity that networks have solved, and their timescales at the end."""
    names = [condition.name for condition in PARITY if any(network.history for network in results.of(condition.name))]
    if not names:
        return None
    with panels(1, 2, 3.2) as (figure, (ax, scales)):
        for i, name in enumerate(names):
            label, colour = results.label(name).removesuffix(" N-parity"), CYCLE[i]
            for j, network in enumerate(network for network in results.of(name) if network.history):
                solved = [record["Ns"][-1] if record["solved"] else 1 for record in network.history]
                ax.plot(np.arange(1, len(solved) + 1), np.maximum.accumulate(solved), color=colour, lw=1.6 - 0.3 * i,
                        drawstyle="steps-post", ls="--" if "bptt" in name else "-", label=None if j else label)  # fmt: skip
            for key, marker in (("tau_mean", "o"), ("tau_net_mean", "s")):
                found = [q.timescale(result, key) for result in results.measured("timescales", name)]
                scales.plot([i] * len(found), found, marker, ls="none", ms=4, mfc="none", color=colour)
        ax.set(xlabel="epoch", ylabel="largest N solved", ylim=(0, None))
        integer_ticks(ax.xaxis, ax.yaxis)
        finish(ax, n_columns=2)
        scales.set_xticks(
            range(len(names)), [results.label(name).removesuffix(" N-parity") for name in names], rotation=90
        )
        scales.set(ylabel="mean timescale (steps)", ylim=(0, None), xlim=(-0.5, len(names) - 0.5))
        scales.set_title("circles: τ, squares: τ_net")
    return figure


FIGURES = (
    PaperFigure(
        "returns",
        "Return of fresh episodes of the cue game against frames of training, by RTRL and by truncated backpropagation with the same "
        "segments: a thin line for each network, a thick one for their mean. In the last panel nothing has to be remembered.",
        returns,
    ),
    PaperFigure(
        "copying",
        "Share of fresh sequences that are copied without an error, in the course of training with an update at every step.",
        copying,
    ),
    PaperFigure(
        "memory_and_staleness",
        "(a) What is kept for the gradient of a trial of an eLSTM of 16 units. (b) One minus the cosine of the gradient at the last step of "
        "a copied trial, after an update at every step before it, with the gradient of a trial that is run anew with these weights; "
        "learning rates above 0, a line for each network.",
        costs,
    ),
    PaperFigure(
        "parity",
        "N-parity by leaky units without recurrent weights, asked at every bit: by RTRL with an update every 5 steps and by "
        "backpropagation through whole trials, with a head for every N and with one. (a) The largest N that each network has solved; "
        "(b) the means over units of its timescales τ and τ_net at the end.",
        parity,
    ),
)
