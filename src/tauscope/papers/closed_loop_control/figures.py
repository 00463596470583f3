"""The figures: matrices at the start, returns under shifts, what structure gains, and the dynamics of trained CfC networks."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from tauscope.papers.closed_loop_control import quantities as q
from tauscope.papers.closed_loop_control.conditions import (
    ALL,
    CELLS,
    DENSE,
    GRID,
    LOW,
    MEMORYLESS,
    MIDDLE,
    Structure,
    name_of,
    told,
)
from tauscope.papers.panels import finish, panels
from tauscope.papers.statistics import CONFIDENCE
from tauscope.papers.vocabulary import PaperFigure, Results
from tauscope.plotting.style import COLOURS, CYCLE

_STYLES = {DENSE: ("black", "o"), MIDDLE: (COLOURS["blue"], "s"), LOW: (COLOURS["vermilion"], "D")}
_WORDS = {"none": "no shift"}


def _interval(values: np.ndarray) -> float:
    """Return half of the 95 % interval of a mean over networks."""
    n = len(values)
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / n**0.5) if n > 1 else 0.0


def starts(results: Results) -> Figure | None:
    """Draw radius and norm of matrices at the start against their sparsity, by rank, with what theory says of the radius."""
    if "starts" not in results.studies:
        return None
    found = results.studies["starts"]
    with panels(2, 2, 5.4) as (figure, axes):
        for row, what in enumerate(("radius", "norm")):
            for ax, start in zip(axes[2 * row : 2 * row + 2], found.start.values, strict=True):
                for i, rank in enumerate(found["rank"].values):
                    own = found[what].sel(start=start, rank=rank)
                    ax.errorbar(found.sparsity, own.mean("matrix"), own.std("matrix"), fmt="o", ms=3, lw=1, color=CYCLE[i],
                                label=f"r = {rank}")  # fmt: skip
                    if what == "radius":
                        ax.plot(found.sparsity, found.theory.sel(start=start, rank=rank), "--", lw=1, color=CYCLE[i])
                ax.set(xlabel="sparsity s", ylabel={"radius": "spectral radius", "norm": "norm"}[what], ylim=(0, None))
                ax.set_title(f"{start} start", fontsize=8)
        n, matrices = found.attrs["n_units"], found.sizes["matrix"]
        finish(axes[2], title=f"{n} units, {matrices} matrices; dashed: theory", n_columns=3)
    return figure


def returns(results: Results) -> Figure | None:
    """Draw the return under every shift, in parts of the expert's without one, by cell and structure."""
    cells = [cell for cell in CELLS if q.by_seed(results, "closed_loop", name_of(cell, DENSE))]
    if not cells:
        return None
    with panels(2, 2, 5.4) as (figure, axes):
        for ax, cell in zip(axes, cells, strict=False):
            for i, (structure, (colour, mark)) in enumerate(_STYLES.items()):
                found = list(q.by_seed(results, "closed_loop", name_of(cell, structure)).values())
                if found:
                    _draw_returns(ax, found, 0.2 * (i - 1), colour, mark, told(structure))
            if cell == "cfc" and (found := list(q.by_seed(results, "closed_loop", MEMORYLESS).values())):
                _draw_returns(ax, found, 0.4, COLOURS["grey"], "x", "CfC without memory")
            ax.set_title(CELLS[cell], fontsize=8)
            ax.set(ylabel="return (expert without shift = 1)")
        n = len(q.by_seed(results, "closed_loop", name_of(cells[0], DENSE)))
        finish(axes[0], title=f"{n} networks of each kind", n_columns=3)
        for ax in axes[len(cells) :]:
            ax.set_axis_off()
    return figure


def _draw_returns(ax: Axes, found: list[xr.Dataset], offset: float, colour: str, mark: str, label: str) -> None:
    shifts = found[0]["shift"].values
    of_expert = xr.concat([result["expert"].mean("episode") for result in found], "network")
    rows = np.array(
        [
            (result["return_"].mean("episode") / result["expert"].sel(shift=q.UNSHIFTED).mean()).values
            for result in found
        ]
    )
    place = np.arange(len(shifts))
    halves = [_interval(column) for column in rows.T]
    ax.errorbar(place + offset, rows.mean(axis=0), halves, fmt=mark, ms=3, lw=1, color=colour, label=label)
    level = (of_expert / of_expert.sel(shift=q.UNSHIFTED)).mean("network").values
    known = "expert" in ax.get_legend_handles_labels()[1]
    ax.hlines(level, place - 0.45, place + 0.45, color=COLOURS["green"], lw=0.8, label="_" if known else "expert")
    ax.set_xticks(place, [_WORDS.get(str(name), str(name)) for name in shifts], rotation=30)
    ax.axhline(0, lw=0.6, color="black")


def grid(results: Results) -> Figure | None:
    """Draw returns and ranks of CfC networks over rank and sparsity."""
    if not q.by_seed(results, "closed_loop", name_of("cfc", DENSE)):
        return None
    ranks = q.mean_ranks(results, ALL)
    titles = ("return, no shift", "return, mean of the shifts", "mean rank, 1 is best")
    numbers: dict[str, dict[Structure, float]] = {title: {} for title in titles}
    for structure in GRID:
        found = list(q.by_seed(results, "closed_loop", name_of("cfc", structure)).values())
        if not found:
            continue
        own = [
            [q.kept(result, [q.UNSHIFTED]) for result in found],
            [q.kept(result) for result in found],
            ranks[name_of("cfc", structure)].tolist(),
        ]
        for title, values in zip(titles, own, strict=True):
            numbers[title][structure] = sum(values) / len(values)
    with panels(1, 3, 2.6) as (figure, axes):
        for ax, (title, table) in zip(axes, numbers.items(), strict=True):
            _draw_grid(ax, table, "viridis_r" if "rank" in title else "viridis")
            ax.set_title(title, fontsize=8)
        axes[0].set_ylabel("rank r")
    return figure


def _draw_grid(ax: Axes, values: dict[Structure, float], colours: str) -> None:
    rows, columns = list(dict.fromkeys(r for r, _ in GRID)), sorted({s for _, s in GRID})
    table = np.array([[values.get((r, s), np.nan) for s in columns] for r in rows])
    image = ax.imshow(table, cmap=colours, aspect="auto")
    for i, j in zip(*np.nonzero(np.isfinite(table)), strict=True):
        red, green, blue, _ = image.cmap(image.norm(table[i, j]))
        shade = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "black"
        ax.text(j, i, f"{table[i, j]:.3g}", ha="center", va="center", fontsize=7, color=shade)
    ax.set_xticks(range(len(columns)), [f"{s:g}" for s in columns])
    ax.set_yticks(range(len(rows)), ["n" if r is None else str(r) for r in rows])
    ax.set_xlabel("sparsity s")


def gains(results: Results) -> Figure | None:
    """Draw by how much more structured networks keep than dense ones of the same seed, by shift and cell."""
    found = {cell: q.by_seed(results, "closed_loop", name_of(cell, DENSE)) for cell in CELLS}
    shown = [cell for cell in CELLS if found[cell]]
    if not shown:
        return None
    shifts = next(iter(found[shown[0]].values()))["shift"].values
    with panels(1, 2, 3.8) as (figure, axes):
        for ax, structure in zip(axes, (MIDDLE, LOW), strict=True):
            for i, cell in enumerate(shown):
                rows = [
                    q.gains(results, name_of(cell, structure), name_of(cell, DENSE), shifts=[name]) for name in shifts
                ]
                place = np.arange(len(shifts)) + 0.17 * (i - (len(shown) - 1) / 2)
                means, halves = [row.mean() if len(row) else np.nan for row in rows], [_interval(row) for row in rows]
                ax.errorbar(means, place, xerr=halves, fmt="osD^"[i], ms=3, lw=1, color=CYCLE[i], label=CELLS[cell])
            ax.axvline(0, lw=0.8, color="black")
            ax.set_yticks(range(len(shifts)), [_WORDS.get(str(name), str(name)) for name in shifts])
            ax.invert_yaxis()
            ax.set(xlabel="return above the dense network's (expert = 1)")
            ax.set_title(told(structure), fontsize=8)
        finish(axes[0], title=f"{len(found[shown[0]])} pairs of networks", n_columns=4)
    return figure


def dynamics(results: Results) -> Figure | None:
    """Draw radius, decay of gradients and dimension of trained CfC networks, by structure."""
    present = [structure for structure in GRID if q.by_seed(results, "gradient_decay", name_of("cfc", structure))]
    if not present:
        return None
    with panels(1, 3, 3.4) as (figure, (left, middle, right)):
        for i, structure in enumerate(present):
            name, colour = name_of("cfc", structure), (*CYCLE, "black", COLOURS["grey"])[i]
            radii = np.array([q.radius(result) for result in q.by_seed(results, "connectivity", name).values()])
            left.errorbar(i, radii.mean(), radii.std(ddof=1) if len(radii) > 1 else 0, fmt="o", ms=3, color=colour)
            norms = [result["log_norm"].mean("trial") for result in q.by_seed(results, "gradient_decay", name).values()]
            mean = xr.concat(norms, "network").mean("network")
            middle.plot(mean["lag"], np.exp(mean), "-", lw=1.2, color=colour, label=told(structure))
            shares = [
                [share(result) for result in q.by_seed(results, "drives", name).values()]
                for share in (q.recurrent_share, q.state_share)
            ]
            for values, mark in zip(shares, "o^", strict=True):
                right.errorbar(
                    i, np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0, fmt=mark, ms=3, color=colour
                )
        middle.set(yscale="log", xlabel="lag k (steps)", ylabel="norm of ∂h(t+k)/∂h(t)")
        for ax in (left, right):
            ax.set_xticks(range(len(present)), [told(structure) for structure in present], rotation=70)
        left.set(ylabel="spectral radius, trained", ylim=(0, None))
        right.set(ylabel="variance in 5 components")
        n = len(q.by_seed(results, "gradient_decay", name_of("cfc", present[0])))
        finish(middle, title=f"{n} networks of each kind", n_columns=2)
    return figure


FIGURES = (
    PaperFigure(
        "returns",
        "Return in the closed loop without and with each shift, in parts of the expert's return without a shift: means and 95 % intervals over "
        "networks of dense, r = 16 and r = 4 recurrent weights, by cell. Green lines: the expert itself under the same shift. Shifts of the "
        "sensors: noise of .3 SD, observations held with probability .3, a bias of .3 SD; of the body: mass and inertia × 1.5, gear × .7. "
        "Without memory, all recurrent weights of a CfC network are 0.",
        returns,
    ),
    PaperFigure(
        "gains",
        "By how much more of the expert's return networks keep whose recurrent weights are of low rank and sparse than dense networks of the same "
        "seed: means and 95 % intervals over pairs, under each shift, by cell.",
        gains,
    ),
    PaperFigure(
        "grid",
        "CfC networks by rank and sparsity of their recurrent weights: return without a shift and averaged over the five shifts, in parts of the "
        "expert's return without a shift, and the rank of the return among all kinds of networks, averaged over shifts and seeds. Means over networks; "
        "n is the number of units.",
        grid,
    ),
    PaperFigure(
        "dynamics",
        "Trained CfC networks: (a) spectral radius of the recurrent weights, averaged over gates; (b) norm of the derivative of the state with respect to "
        "that k steps earlier, geometric mean over networks; (c) share of the variance in five principal components, of W h of the first candidate "
        "(circles) and of the units (triangles). Bars: standard deviation over networks.",
        dynamics,
    ),
    PaperFigure(
        "starts",
        "Recurrent matrices at the start: spectral radius (above) and norm (below, the largest singular value) against the sparsity of the mask, "
        "by the rank of the product under it, from Gaussian (Glorot) and orthogonal full matrices. Means and standard deviations over "
        "matrices; dashed, theory for many units, √(1 - s) ‖A B‖_F / √n.",
        starts,
    ),
)
