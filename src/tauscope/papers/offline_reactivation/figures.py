"""The figures: positions and components without input over those of the task, the matrix of divergences, and all networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope.papers.offline_reactivation import quantities as q
from tauscope.papers.offline_reactivation.conditions import PLACE, RING, SCALES_OF_TIME
from tauscope.papers.panels import panels
from tauscope.papers.vocabulary import PaperFigure, Results
from tauscope.plotting.reactivation import animate_silence, plot_trajectories
from tauscope.plotting.style import COLOURS, CYCLE

_COLUMNS = {
    "nu": "noisy", "nb": "noisy, biased", "du": "noise-free", "db": "noise-free, biased",
    "hd_u": "noisy", "hd_b": "noisy, biased", "hd_du": "noise-free",
}  # fmt: skip
"""Short labels of the conditions."""

_RUNS = {"active": "task states", "common": "common state", "rest": "rest", "shuffled": "shuffled units", "still": "no noise",
         "untrained": "untrained"}  # fmt: skip
"""Short labels of the silent runs, in their order in figures."""


def _here(results: Results, names: Sequence[str]) -> list[str]:
    return [name for name in names if q.measured(results, name)]


def _first(results: Results, name: str) -> xr.Dataset:
    return next(iter(q.measured(results, name).values()))


def trajectories(results: Results) -> Figure | None:
    """Draw silent positions of one network of each of four conditions over those of the task."""
    names = _here(results, ["nu", "nb", "hd_u", "hd_b"])
    if not names:
        return None
    with panels(2, 2, 7.2) as (figure, axes):
        for ax, name in zip(axes, names, strict=False):
            plot_trajectories(_first(results, name), ax=ax)
            ax.legend().remove()
            ax.set_title(results.label(name))
        for ax in axes[len(names) :]:
            ax.set_axis_off()
    return figure


def matrix(results: Results) -> Figure | None:
    """Draw the divergences of silent positions from those of the task, means over networks of the same number."""
    active = _here(results, PLACE)
    if not active:
        return None
    rows: list[tuple[str, str, str]] = [(name, "active", _COLUMNS[name]) for name in active]
    rows += [(name, "still", f"{_COLUMNS[name]}, no noise") for name in active]
    rows += [(active[0], "untrained", "untrained")]
    found = np.full((len(rows), len(active)), np.nan)
    for i, (name, run, _) in enumerate(rows):
        for j, other in enumerate(active):
            if several := q.across(results, name, other, run):
                found[i, j] = np.mean(several)
    with panels(1, 1, 4.4, letters=False) as (figure, (ax,)):
        shades = np.log10(np.maximum(found, 1e-3))
        middle = (np.nanmin(shades) + np.nanmax(shades)) / 2
        image = ax.imshow(shades, cmap="viridis", aspect="auto")
        for (i, j), value in np.ndenumerate(found):
            if np.isfinite(value):
                ax.text(
                    j,
                    i,
                    f"{value:.2g}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="black" if shades[i, j] > middle else "white",
                )
        ax.set_xticks(range(len(active)), [_COLUMNS[name] for name in active])
        ax.set_yticks(range(len(rows)), [said for *_, said in rows])
        ax.set(xlabel="positions of the task", ylabel="silent positions")
        figure.colorbar(image, ax=ax, label="log10 of the KL divergence (nats)")
    return figure


def _points(
    ax: Axes, results: Results, names: Sequence[str], kinds: Sequence[tuple[str, Callable[[str], q.Number]]],
    labels: Mapping[str, str] = _COLUMNS,
) -> None:  # fmt: skip
    """Draw a number of every network, a column for each condition and a colour for each kind."""
    for kind, (said, number) in enumerate(kinds):
        for place, name in enumerate(names):
            found = q.values(results, name, number(name))
            at = place + 0.22 * (kind - (len(kinds) - 1) / 2)
            ax.plot([at] * len(found), found, "o^sDv"[kind], ls="none", ms=3.5, mew=0, alpha=0.75, color=CYCLE[kind],
                    label=None if place else said)  # fmt: skip
    ax.set_xticks(range(len(names)), [labels[name] for name in names], rotation=20)
    ax.set_xlim(-0.6, len(names) - 0.4)


def _legend_above(ax: Axes) -> None:
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.08), borderaxespad=0, fontsize=6, ncols=2)


def _run(what: str, run: str) -> Callable[[str], q.Number]:
    return lambda _: q.of_run(what, run)


def movement(results: Results) -> Figure | None:
    """Draw variance within a run, step length, share of the task's components and growth of activity of all networks."""
    names = _here(results, PLACE)
    if not names:
        return None
    kinds = [
        (said, run) for run, said in (("active", "silence, noise"), ("still", "silence, no noise"), ("task", "task"))
    ]
    with panels(2, 2, 6.2) as (figure, axes):
        shown = (("variance", "variance within a run (m²)"), ("step", "mean step (m)"), ("share", "share in the task's components"),
                 ("norm_ratio", "norm over that in the task"))  # fmt: skip
        for ax, (what, said) in zip(axes, shown, strict=True):
            _points(ax, results, names, [(label, _run(what, run)) for label, run in kinds])
            ax.set(ylabel=said, yscale="linear" if what == "share" else "log")
            _legend_above(ax)
    return figure


def controls(results: Results) -> Figure | None:
    """Draw the late divergence from the task of every kind of silent run, for all networks."""
    names = _here(results, PLACE)
    if not names:
        return None
    with panels(2, 2, 6.4) as (figure, axes):
        for ax, name in zip(axes, names, strict=False):
            for place, run in enumerate(_RUNS):
                found = q.values(results, name, q.of_run("kl_late", run))
                ax.plot([place] * len(found), found, "o", ls="none", ms=3.5, mew=0, alpha=0.75, color=COLOURS["blue"])
            uniform = q.values(results, name, q.scalar("kl_uniform"))
            ax.axhline(float(np.mean(uniform)), ls=":", lw=0.8, color="black")
            ax.set_xticks(range(len(_RUNS)), list(_RUNS.values()), rotation=40, ha="right")
            ax.set(ylabel="KL, later half (nats)", yscale="log", title=results.label(name))
        for ax in axes[len(names) :]:
            ax.set_axis_off()
    return figure


def components(results: Results) -> Figure | None:
    """Draw two principal components of the task, in the task and in silence, coloured by x or by the bearing."""
    names = _here(results, ["nu", "hd_u"])
    if not names:
        return None
    with panels(len(names), 2, 3.2 * len(names)) as (figure, axes):
        for row, name in enumerate(names):
            result = _first(results, name)
            periodic = bool(result.attrs["periodic"])
            for ax, run in zip(axes[2 * row :], ("task", "active"), strict=False):
                at = result.sel(run=run)
                x, y = at["scores"].values[:, :2].T
                colours = "twilight" if periodic else "viridis"
                points = ax.scatter(x, y, s=4, c=at["scores_at"].values[:, 0], lw=0, cmap=colours)
                ax.set(xlabel="component 1", ylabel="component 2")
                ax.set_title(f"{results.label(name)}: {'task' if run == 'task' else 'silence'}", fontsize=8)
                figure.colorbar(points, ax=ax, label="bearing (rad)" if periodic else "x (m)")
    return figure


def ring(results: Results) -> Figure | None:
    """Draw steps, velocities and divergence from uniform of silent bearings, for all networks of head direction."""
    names = _here(results, RING)
    if not names:
        return None
    kinds = (("silence", "active"), ("task", "task"), ("untrained, silence", "untrained"))
    with panels(1, 3, 3.0) as (figure, axes):
        for ax, (what, said) in zip(
            axes, (("step", "mean step (rad)"), ("velocity", "mean velocity (rad a step)")), strict=False
        ):
            _points(ax, results, names, [(label, _run(what, run)) for label, run in kinds])
            ax.set(ylabel=said)
            _legend_above(ax)
        _points(axes[2], results, names, [("silence", lambda _: q.from_uniform)])
        axes[2].set(ylabel="KL from uniform (nats)", ylim=(0, None))
    return figure


def timescales(results: Results) -> Figure | None:
    """Draw how far replay gets, and the timescales of units with input and without, by the timescales of the units."""
    names = _here(results, list(SCALES_OF_TIME))
    if len(names) < 2:
        return None
    with panels(1, 3, 3.2) as (figure, axes):
        for colour, name in zip(CYCLE, names, strict=False):
            found = list(q.measured(results, name).values())
            msd = np.array([result["msd"].sel(run="active").values for result in found])
            axes[0].plot(
                found[0]["lag"], msd.mean(axis=0), "o-", ms=3, lw=0.9, color=colour, label=SCALES_OF_TIME[name]
            )
        axes[0].set(xlabel="lag (steps)", ylabel="mean squared displacement (m²)", xscale="log", yscale="log")
        _points(axes[1], results, names, [("variance", _run("variance", "active"))], SCALES_OF_TIME)
        axes[1].set(ylabel="variance within a run (m²)")
        _points(
            axes[2],
            results,
            names,
            [("in the task", lambda _: q.scalar("tau_action")), ("in silence", lambda _: q.scalar("tau_silence"))],
            SCALES_OF_TIME,
        )
        axes[2].set(ylabel="median τ_net (steps)", yscale="log")
        for ax in (axes[0], axes[2]):
            _legend_above(ax)
    return figure


def moving(results: Results) -> FuncAnimation | None:
    """Animate silent positions in the box and on the ring over those of the task."""
    names = _here(results, ["nu", "hd_u"])
    if not names:
        return None
    return animate_silence({results.label(name): _first(results, name) for name in names})


FIGURES = (
    PaperFigure(
        "trajectories",
        "One network of each of four conditions, left without input from states of its task: decoded positions of six runs (blue) over "
        "positions of the task (grey). Head direction: bearing against the step.",
        trajectories,
    ),
    PaperFigure(
        "divergences",
        "KL divergence of decoded positions without input from those of the task, means over networks of the same number, which have the "
        "same place cells. Rows: under noise (of noise-free networks, that of the noisy ones), without noise, and untrained.",
        matrix,
    ),
    PaperFigure(
        "movement",
        "All networks of the box, a point each: variance of positions within a run (later half), mean step, share of the variance of the "
        "states in the components that hold 90 % of it in the task, and norm of the states over that in the task.",
        movement,
    ),
    PaperFigure(
        "controls",
        "KL divergence from the task in the later half of silent runs, by where they begin, without noise, and of untrained networks; a "
        "point a network. Dotted: uniform positions.",
        controls,
    ),
    PaperFigure(
        "components",
        "Two principal components of the task's states, in the task and in silence, one network each, coloured by the decoded x or "
        "bearing.",
        components,
    ),
    PaperFigure(
        "ring",
        "All networks of head direction, a point each: mean step and velocity of the bearing in silence, in the task and of untrained "
        "networks in silence; KL divergence of silent bearings from uniform ones.",
        ring,
    ),
    PaperFigure(
        "timescales",
        "Networks that differ in the timescales of their units: mean squared displacement of silent positions, means over networks; "
        "variance within a run and median τ_net in the task and in as many steps of silence, a point a network.",
        timescales,
    ),
)

ANIMATIONS = (
    PaperFigure(
        "silence_moving",
        "Positions without input of six runs each, over positions of the task: one network in the box, one on the ring.",
        moving,
    ),
)
