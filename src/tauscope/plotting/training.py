"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from tauscope.curricula import SOLVED
from tauscope.plotting.style import COLOURS, CYCLE, RC, count, integer_ticks, legend_below, new_axes, note

_FEW = 60


@matplotlib.rc_context(RC)
def plot_progress(histories: Mapping[str, Sequence[Mapping[str, Any]]], ax: Axes | None = None) -> Axes:
    """Plot the largest N that each run had solved after every epoch.

    Parameters
    ----------
    histories : mapping of str to sequence of dict
        Records of every epoch (`Training.history`, ``metrics.jsonl``) by the run's name.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on. A line ends where its run did.

    Examples
    --------
    >>> history = [{"epoch": 1, "Ns": [2], "solved": True}, {"epoch": 2, "Ns": [2, 3], "solved": False}]
    >>> plot_progress({"network 1": history}).lines[0].get_xydata().tolist()
    [[1.0, 2.0], [2.0, 2.0]]
    """
    ax = ax or new_axes(height=2.5 + 0.14 * len(histories))
    for i, (name, history) in enumerate(histories.items()):
        solved = [(record["epoch"], record["Ns"][-1]) for record in history if record["solved"]]
        if solved:
            solved.append((history[-1]["epoch"], solved[-1][1]))
        # Runs often coincide: the first ones are wide enough to be seen under the later ones.
        ax.step(*np.reshape(solved, (-1, 2)).T, where="post", lw=max(1.0, 2.4 - 0.4 * i), label=name,
                color=CYCLE[i % len(CYCLE)], ls=("-", "--", ":")[i // len(CYCLE) % 3])  # fmt: skip
    if not any(record["solved"] for history in histories.values() for record in history):
        note(ax, "no N was solved")
    ax.set(xlabel="epoch", ylabel=f"largest N solved (> {SOLVED:.0%})")
    integer_ticks(ax.xaxis, ax.yaxis)
    legend_below(ax, title=count(len(histories), "run"))
    return ax


@matplotlib.rc_context(RC)
def plot_training(history: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Plot the accuracy of a run's newest and worst head and its loss after every epoch.

    Parameters
    ----------
    history : sequence of dict
        Records of every epoch.
    ax : Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    Axes
        The axes drawn on; the loss has an axis of its own on the right.

    Examples
    --------
    >>> plot_training([{"epoch": 1, "accuracy": [0.9, 0.7], "loss": 0.8}]).lines[0].get_ydata()
    array([0.7])
    """
    ax = ax or new_axes()
    epochs = [record["epoch"] for record in history]
    newest, worst = [one["accuracy"][-1] for one in history], [min(one["accuracy"]) for one in history]
    marker = "o" if len(history) <= _FEW else ""
    ax.plot(epochs, newest, marker=marker, ms=3, color=COLOURS["blue"], label="newest head")
    if worst != newest:
        ax.plot(epochs, worst, ls=":", color=COLOURS["vermilion"], label="worst head")
    ax.axhline(SOLVED, ls="--", lw=0.8, color="black", label=f"solved ({SOLVED:.0%})")
    ax.set(xlabel="epoch", ylabel="accuracy on fresh sequences", ylim=(min([0.48, *worst]) - 0.03, 1.02))
    integer_ticks(ax.xaxis)
    if not history:
        note(ax, "no finished epoch")
    losses = ax.twinx()
    losses.spines["right"].set_visible(True)
    (loss,) = losses.plot(epochs, [record["loss"] for record in history], color=COLOURS["green"], lw=0.8)
    losses.set_ylabel("loss (nats, summed over heads)")
    # The legend is that of the first axes; an empty line stands there for the loss.
    ax.plot([], [], color=loss.get_color(), lw=0.8, label="loss (right axis)")
    legend_below(ax, title="1 network", n_columns=2)
    return ax
