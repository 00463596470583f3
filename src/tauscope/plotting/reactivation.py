"""Figures of networks that are left without input: their positions beside those of the task, in a box or on a ring."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tauscope.errors import InputError
from tauscope.plotting.style import COLOURS, COLUMN_WIDTH, CYCLE, RC, legend_below, new_axes, note

_TAIL = 25
"""Steps of a trajectory that are seen behind where it is."""
_DOTS = 800
"""Positions that stand for a density."""


@matplotlib.rc_context(RC)
def plot_trajectories(result: xr.Dataset, run: str = "active", ax: Axes | None = None) -> Axes:
    """Plot decoded positions of a silent run over those of the task.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.reactivation`.
    run : str
        Which of its runs.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on: for positions in a plane the plane, for angles the angle against the step.

    Raises
    ------
    InputError
        If there is no such run.

    Examples
    --------
    >>> at = np.zeros((2, 3, 5, 2))
    >>> result = xr.Dataset({"positions": (("run", "sample", "coordinate"), at[:, 0]), "trajectories":
    ...     (("run", "time", "trajectory", "coordinate"), at)}, {"run": ["task", "active"]}, {"periodic": 0, "unit": "m"})
    >>> len(plot_trajectories(result).lines)
    6
    """
    ax = ax or new_axes()
    paths = _trajectories(result, run)
    if result.attrs["periodic"] or paths.shape[-1] == 1:
        _draw_angles(ax, result, paths)
    else:
        task = result["positions"].sel(run="task").values[:_DOTS]
        ax.plot(*task[:, :2].T, ".", ms=2.5, mew=0, color=COLOURS["grey"], label="task")
        for i in range(paths.shape[1]):
            ax.plot(
                *paths[:, i, :2].T,
                lw=0.5,
                color=COLOURS["blue"],
                label=None if i else f"without input, {_START[run]}",
            )
        unit = result.attrs["unit"]
        ax.set(xlabel=f"x ({unit})", ylabel=f"y ({unit})", aspect="equal")
    legend_below(ax, title=f"{paths.shape[1]} runs of 1 network")
    return ax


_START = {
    "task": "the task",
    "active": "task states",
    "common": "common state",
    "rest": "rest",
    "shuffled": "shuffled units",
    "narrow": "k / 2",
    "wide": "2 k",
    "still": "no noise",
    "untrained": "untrained",
}
"""What the runs are, in words."""


def _draw_angles(ax: Axes, result: xr.Dataset, paths: NDArray[np.float32]) -> None:
    task = result["trajectories"].sel(run="task").values[..., 0]
    for values, colour, said in ((task, COLOURS["grey"], "task"), (paths[..., 0], COLOURS["blue"], "without input")):
        for i in range(values.shape[1]):
            ax.plot(_broken(values[:, i]), lw=0.6, color=colour, label=None if i else said)
    ax.set(xlabel="step", ylabel=f"angle ({result.attrs['unit']})")


def _broken(angles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return angles with gaps where they go round the end of the scale."""
    jumps = np.abs(np.diff(angles, prepend=angles[:1])) > math.pi
    return np.where(jumps, np.nan, angles)


def _trajectories(result: xr.Dataset, run: str) -> NDArray[np.float32]:
    known = [str(name) for name in result["run"].values]
    if run not in known:
        raise InputError(f"run {run!r} was not made: expected one of {', '.join(known)}")
    found: NDArray[np.float32] = result["trajectories"].sel(run=run).values
    return found[np.isfinite(found).any(axis=(1, 2))]


@matplotlib.rc_context(RC)
def plot_divergences(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot how far the positions of every silent run are from those of the task.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.reactivation`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on; a line marks uniform positions.

    Examples
    --------
    >>> runs = ["task", "active"]
    >>> result = xr.Dataset({"kl_late": ("run", [0.0, 0.1]), "kl_uniform": 0.2}, {"run": runs})
    >>> [text.get_text() for text in plot_divergences(result).get_yticklabels()]
    ['task states']
    """
    ax = ax or new_axes()
    runs = [str(name) for name in result["run"].values if name != "task"]
    values = [float(result["kl_late"].sel(run=run)) for run in runs]
    places = np.arange(len(runs))[::-1]
    ax.plot(values, places, "o", ms=4, mew=0, color=COLOURS["blue"], label="later half of the run")
    ax.axvline(float(result["kl_uniform"]), ls=":", lw=0.8, color=COLOURS["grey"], label="uniform positions")
    if not np.isfinite(values).any():
        note(ax, "no run has a density")
    ax.set_yticks(places, [_START[run] for run in runs])
    ax.set(xlabel="KL divergence from the task (nats)", ylabel="begins at", ylim=(-0.6, len(runs) - 0.4))
    legend_below(ax, title="1 network")
    return ax


def animate_silence(results: dict[str, xr.Dataset], *, n_frames: int = 60, milliseconds: int = 100) -> FuncAnimation:
    """Animate silent runs over the positions of the task, a network beside the other.

    Parameters
    ----------
    results : dict of Dataset
        From `tauscope.analysis.reactivation`, by what stands above each; angles are drawn on a ring.
    n_frames : int
        Frames; steps between them are left out evenly.
    milliseconds : int
        Duration of a frame.

    Returns
    -------
    FuncAnimation
        Write it with ``animation.save("silence.gif", writer="pillow")``.

    Raises
    ------
    InputError
        If there is no result.

    Examples
    --------
    >>> import tempfile
    >>> at = np.zeros((2, 9, 5, 2))
    >>> result = xr.Dataset({"positions": (("run", "sample", "coordinate"), at[:, 0]), "trajectories":
    ...     (("run", "time", "trajectory", "coordinate"), at)}, {"run": ["task", "active"]}, {"periodic": 0, "unit": "m"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     animate_silence({"a network": result}, n_frames=2).save(f"{folder}/silence.gif", writer="pillow")
    """
    if not results:
        raise InputError("there is nothing to animate: expected at least one result")
    paths = [_plane(result, _trajectories(result, "active")) for result in results.values()]
    n_steps = min(len(path) for path in paths)
    shown = np.unique(np.linspace(0, n_steps - 1, n_frames).astype(int))
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(COLUMN_WIDTH, 2.2), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(results)))
        moving = [
            _prepared(ax, name, result, path.shape[1])
            for ax, (name, result), path in zip(axes, results.items(), paths, strict=True)
        ]
        title = figure.suptitle("without input, step 0", fontsize=8)

    def draw(frame: int) -> list[Any]:
        step = shown[frame]
        for (tails, heads), path in zip(moving, paths, strict=True):
            tail = path[max(0, step - _TAIL) : step + 1]
            for i, line in enumerate(tails):
                line.set_data(*tail[:, i].T)
            heads.set_data(*path[step].T)
        title.set_text(f"without input, step {step}")
        return [title]

    return FuncAnimation(figure, draw, frames=len(shown), interval=milliseconds)


def _plane(result: xr.Dataset, positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return positions in the plane of the figure."""
    if result.attrs["periodic"]:
        return np.concatenate([np.cos(positions), np.sin(positions)], axis=-1)
    return positions[..., :2]


def _prepared(ax: Axes, name: str, result: xr.Dataset, n_paths: int) -> tuple[list[Any], Any]:
    """Draw the positions of the task, and return the lines that will move."""
    task = _plane(result, result["positions"].sel(run="task").values[:_DOTS])
    ax.plot(*task.T, ".", ms=2, mew=0, color=COLOURS["grey"])
    tails = [ax.plot([], [], lw=0.8, color=CYCLE[i % len(CYCLE)])[0] for i in range(n_paths)]
    (heads,) = ax.plot([], [], "o", ms=3, mew=0, color="black")
    room = 1.05 * float(np.abs(task).max()) or 1.0
    ax.set(xticks=[], yticks=[], aspect="equal", xlim=(-room, room), ylim=(-room, room), title=name)
    return tails, heads
