"""Pictures of a training run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.learning.curricula import SOLVED
from tauscope.plotting.style import COLOURS, CYCLE, RC, broken, integer_ticks, legend_below, new_axes, note
from tauscope.tasks import Head, Task

_FEW = 60
# Number of characters of a run's name that fit beside its line in a legend.
_NAME_WIDTH = 48
_ROOM = 0.06
_LARGEST = 1e300


@matplotlib.rc_context(RC)
def plot_progress(histories: Mapping[str, Sequence[Mapping[str, Any]]], ax: Axes | None = None) -> Axes:
    """Plot the largest N that each run has solved, after every epoch.

    Parameters
    ----------
    histories : mapping of str to sequence of dict
        Records of every epoch (`Training.history`, ``metrics.jsonl``) by name of the run.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on. A line ends at the last epoch of its run.

    Examples
    --------
    >>> history = [{"epoch": 1, "Ns": [2], "solved": True}, {"epoch": 2, "Ns": [2, 3], "solved": False}]
    >>> plot_progress({"network 1": history}).lines[0].get_xydata().tolist()
    [[1.0, 2.0], [2.0, 2.0]]
    """
    ax = ax or _axes_for(histories)
    for i, (name, history) in enumerate(histories.items()):
        solved = [(record["epoch"], record["Ns"][-1]) for record in history if record["solved"]]
        if solved:
            solved.append((history[-1]["epoch"], solved[-1][1]))
        ax.step(*np.reshape(solved, (-1, 2)).T, where="post", label=broken(name, _NAME_WIDTH), **_line(i))
    if not any(record["solved"] for history in histories.values() for record in history):
        note(ax, "no N was solved")
    ax.set(xlabel="epoch", ylabel=f"largest N solved (> {SOLVED:.0%})")
    integer_ticks(ax.xaxis, ax.yaxis)
    legend_below(ax, title=count(len(histories), "run"))
    return ax


@matplotlib.rc_context(RC)
def plot_scores(histories: Mapping[str, Sequence[Mapping[str, Any]]], metric: str, ax: Axes | None = None) -> Axes:
    """Plot the score of each run's newest head after every epoch, against frames where all runs were taken in environments.

    Parameters
    ----------
    histories : mapping of str to sequence of dict
        Records of every epoch by the run's name.
    metric : str
        Name of the score in the records, such as ``"fractional_loss"``.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on. A line ends at the last epoch of its run.

    Examples
    --------
    >>> history = [{"epoch": 1, "fractional_loss": [0.9]}, {"epoch": 2, "fractional_loss": [0.4]}]
    >>> plot_scores({"network 1": history}, "fractional_loss").lines[0].get_xydata().tolist()
    [[1.0, 0.9], [2.0, 0.4]]
    """
    ax = ax or _axes_for(histories)
    course = _course(itertools.chain.from_iterable(histories.values()))
    for i, (name, history) in enumerate(histories.items()):
        scores = _drawable(record[metric][-1] for record in history)
        ax.plot(
            _drawable(record[course] for record in history),
            scores,
            label=broken(name, _NAME_WIDTH),
            **_markers(history),
            **_line(i),
        )
    if not any(histories.values()):
        note(ax, "no finished epoch")
    ax.set(xlabel=course, ylabel=f"{words(metric)} on fresh trials")
    integer_ticks(ax.xaxis)
    legend_below(ax, title=count(len(histories), "run"))
    return ax


@matplotlib.rc_context(RC)
def plot_training(
    history: Sequence[Mapping[str, Any]], tasks: Mapping[str, Task] | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the score of a run's newest and worst head and its loss after every epoch, in an environment against frames.

    Parameters
    ----------
    history : sequence of dict
        Records of every epoch.
    tasks : dict of Task, optional
        Tasks by name of the stage, for the metric and its chance level; by default accuracies are drawn, with the
        accuracy at which an N is solved.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

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
    metric = metric_of(tasks)
    if metric == "accuracy" or not tasks:
        _draw_accuracy(ax, history)
    else:
        _draw_scores(ax, history, metric, {name: list(task.heads.values())[-1] for name, task in tasks.items()})
        unit = next(iter(tasks.values())).unit
        ax.set_ylabel(f"{words(metric)}{'' if unit == '1' else f' ({unit})'} on fresh trials")
    course = _course(history)
    ax.set_xlabel(course)
    integer_ticks(ax.xaxis)
    if not history:
        note(ax, "no finished epoch")
    losses = ax.twinx()
    losses.spines["right"].set_visible(True)
    at = _drawable(record[course] for record in history)
    (loss,) = losses.plot(at, _drawable(record["loss"] for record in history), color=COLOURS["green"], lw=0.8)
    losses.set_ylabel("loss (nats, summed over heads)" if metric == "accuracy" else "loss")
    # The legend lists the artists of the first axes: an empty line stands for the loss.
    ax.plot([], [], color=loss.get_color(), lw=0.8, label="loss (right axis)")
    legend_below(ax, title="1 network", n_columns=2)
    return ax


def _course(records: Iterable[Mapping[str, Any]]) -> str:
    """Return what the course of training is drawn against: the frames of environments, or epochs."""
    records = list(records)
    return "frames" if records and all("frames" in record for record in records) else "epoch"


def metric_of(tasks: Mapping[str, Task] | None) -> str:
    """Return the common metric of tasks; accuracy without tasks.

    Examples
    --------
    >>> metric_of(None)
    'accuracy'
    """
    return next(iter(tasks.values())).metric if tasks else "accuracy"


def raises_N(history: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the records say which Ns every stage of a curriculum asked for.

    Examples
    --------
    >>> raises_N([{"epoch": 1, "stage": "easy"}])
    False
    """
    return all("Ns" in record for record in history)


def words(metric: str) -> str:
    """Return the name of a metric in figures.

    Examples
    --------
    >>> words("fractional_loss")
    'fractional loss'
    """
    return metric.replace("_", " ")


def _draw_accuracy(ax: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    epochs = [record["epoch"] for record in history]
    newest = _drawable(record["accuracy"][-1] for record in history)
    worst = _drawable(min(record["accuracy"]) for record in history)
    ax.plot(epochs, newest, color=COLOURS["blue"], label="newest head", **_markers(history))
    if worst != newest:
        ax.plot(epochs, worst, ls=":", color=COLOURS["vermilion"], label="worst head")
    ax.axhline(SOLVED, ls="--", lw=0.8, color="black", label=f"solved ({SOLVED:.0%})")
    ax.set(ylabel="accuracy on fresh sequences", ylim=(min([0.48, *worst]) - 0.03, 1.02))


def _draw_scores(ax: Axes, history: Sequence[Mapping[str, Any]], metric: str, heads: Mapping[str, Head]) -> None:
    """Draw the score of the newest head, with chance and the optimum, which is the highest or the lowest score."""
    (optimum,) = {head.optimum for head in heads.values()}
    course = _course(history)
    at = _drawable(record[course] for record in history)
    scores = _drawable(record[metric][-1] for record in history)
    chances = [heads[record["stage"]].chance for record in history]
    ax.plot(at, scores, color=COLOURS["blue"], label=words(metric), **_markers(history))
    # An epoch ends behind its number, and with its last frame.
    ends = at if course == "frames" else [epoch + 0.5 for epoch in at]
    # Of an environment of others, the levels may not be known.
    if history and not all(map(math.isnan, chances)):
        # Tasks that are learnt in turn have different chance levels.
        level = f" ({chances[0]:.3g})" if len(set(chances)) == 1 else ""
        first = 0 if course == "frames" else at[0] - 0.5
        ax.stairs(
            chances, [first, *ends], baseline=None, ls="--", lw=0.8, color=COLOURS["grey"], label=f"chance{level}"
        )
    stages = [record["stage"] for record in history]
    changes = [end for end, (one, other) in zip(ends, itertools.pairwise(stages), strict=False) if one != other]
    for i, change in enumerate(changes):
        ax.axvline(change, ls="-.", lw=0.8, color=COLOURS["grey"], label="" if i else "next task")
    if not math.isnan(optimum):
        ax.axhline(optimum, ls=":", lw=0.8, color="black", label=f"optimum ({optimum:g})")
    known = [value for value in [*scores, *chances, optimum] if np.isfinite(value)] or [0.0]
    room = _ROOM * (max(known) - min(known) or 1.0)
    ax.set(ylim=(min(known) - room, max(known) + room))


def _drawable(values: Iterable[float]) -> list[float]:
    """Return values without those so near the largest float that matplotlib's ticks beyond them would be infinite."""
    return [math.copysign(_LARGEST, value) if _LARGEST < abs(value) < math.inf else value for value in values]


def _markers(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"marker": "o" if len(history) <= _FEW else "", "ms": 3}


def _axes_for(histories: Mapping[str, Any]) -> Axes:
    """Return axes with room for a legend of all runs' names."""
    n_lines = sum(1 + broken(name, _NAME_WIDTH).count("\n") for name in histories)
    return new_axes(height=2.5 + 0.14 * n_lines)


def _line(i: int) -> dict[str, Any]:
    """Return the look of a line; the first lines are wider, so that they show under later lines that coincide."""
    style = ("-", "--", ":")[i // len(CYCLE) % 3]
    return {"lw": max(1.0, 2.4 - 0.4 * i), "color": CYCLE[i % len(CYCLE)], "ls": style}
