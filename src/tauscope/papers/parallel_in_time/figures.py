"""The figures: iterations against λ1, residuals, speed against length, training by two engines, and memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tauscope._words import count
from tauscope.papers.panels import finish, panels
from tauscope.papers.parallel_in_time import quantities as q
from tauscope.papers.parallel_in_time.conditions import PARITY
from tauscope.papers.parallel_in_time.studies import LIMIT
from tauscope.papers.vocabulary import PaperFigure, Results
from tauscope.plotting.style import COLOURS, CYCLE, log_axis

PUBLISHED = {1000: 18, 3000: 44, 10_000: 138, 30_000: 382, 100_000: 1122, 300_000: 2029}
"""Forward speed-up of the published code by length: GRU of one unit, batch 16, on a V100, over a sequential scan there."""

_MARKERS = "osD^v"


def exponents(results: Results) -> Figure | None:
    """Draw iterations against λ1 of untrained networks, and the residuals of one network of each gain."""
    if "gains" not in results.studies:
        return None
    found = results.studies["gains"]
    with panels(1, 2, 3.4) as (figure, (left, right)):
        newton = found.iterations.sel(solver="newton")
        for kind, marker, colour in (("tanh", "o", COLOURS["blue"]), ("GRU", "s", COLOURS["orange"])):
            chosen = (found.kind == kind).values
            x, y = (values.isel(system=chosen).values.ravel() for values in (found.exponent, newton))
            left.plot(x, y, marker, ms=3.5, mew=0, alpha=0.8, color=colour, label=f"{kind}, solved")
            lost = np.isnan(y)
            left.plot(x[lost], np.full(lost.sum(), LIMIT + 3), marker, ms=3.5, fillstyle="none", color=colour,
                      label=f"{kind}, not within {LIMIT}")  # fmt: skip
        left.axvline(0, ls="--", lw=0.8, color=COLOURS["grey"])
        left.set(
            xlabel="largest Lyapunov exponent λ1 (nats/step)",
            ylabel="iterations of Newton's method",
            ylim=(0, LIMIT + 6),
        )
        finish(left, title=f"{found.sizes['network']} networks of each gain", n_columns=2)
        tanh = np.flatnonzero((found.kind == "tanh").values)
        for i, system in enumerate(tanh):
            residual = found.residual.isel(system=system, network=0)
            right.plot(np.where(np.isfinite(residual) & (residual > 0), residual, np.nan), color=CYCLE[i % len(CYCLE)],
                       ls="-" if i < len(CYCLE) else "--", label=f"gain {float(found.gain[system]):g}")  # fmt: skip
        right.set(yscale="log", xlabel="iterations of Newton's method", ylabel="largest residual")
        finish(right, title="one tanh network of each gain", n_columns=3)
    return figure


def lengths(results: Results) -> Figure | None:
    """Draw iterations against the length, and the speed of every engine against that of torch's kernel."""
    if "speed" not in results.studies or "lengths" not in results.studies:
        return None
    speed, found = results.studies["speed"].seconds, results.studies["lengths"].iterations
    with panels(1, 2, 3.8) as (figure, (left, right)):
        for i, cell in enumerate(found.cell.values):
            for j, size in enumerate(found["size"].values):
                # What lies behind the line of another cell is seen beside it.
                left.plot(
                    found.length,
                    found.sel(cell=cell, size=size).mean("network"),
                    f"{_MARKERS[j]}-",
                    ms=7 - 2 * i,
                    lw=5 - 2 * i,
                    color=CYCLE[i],
                    label=f"{cell}, n = {size}",
                )
        log_axis(left)
        left.set(xlabel="length of the sequence (steps)", ylabel="iterations of Newton's method", ylim=(0, None))
        finish(left, title=f"means over {found.sizes['network']} untrained networks", n_columns=3)
        ratio = speed.sel(engine="loop") / speed.sel(engine=["adjoint", "parallel"])
        batch = int(speed.batch[0])
        for engine, line in (("parallel", "-"), ("adjoint", ":")):
            for j, size in enumerate(speed["size"].values):
                right.plot(speed.length, ratio.sel(engine=engine, batch=batch, size=size), f"{_MARKERS[j]}{line}", ms=3.5,
                           color=CYCLE[j], label=f"{engine}, n = {size}")  # fmt: skip
        shown = [length for length in PUBLISHED if length <= 3 * float(speed.length[-1])]
        right.plot(shown, [PUBLISHED[length] for length in shown], "--", color=COLOURS["grey"],
                   label="published, V100, forward, n = 1")  # fmt: skip
        right.axhline(1, lw=0.8, color=COLOURS["grey"])
        right.set(xscale="log", xlabel="length of the sequence (steps)", ylabel="speed (torch.nn.GRU: 1)")
        log_axis(right, "y")
        finish(right, title=f"loss and gradient, batch {batch}", n_columns=2)
    return figure


def training(results: Results) -> Figure | None:
    """Draw losses of both engines, their difference, and the iterations in the course of training."""
    if "pair" not in results.studies:
        return None
    found = results.studies["pair"]
    with panels(1, 3, 2.8) as (figure, (left, middle, right)):
        for engine, line, colour in (("loop", "-", COLOURS["blue"]), ("parallel", "--", COLOURS["orange"])):
            left.plot(found.loss.sel(engine=engine), line, color=colour, label=engine)
        left.set(xlabel="updates", ylabel="loss (nats)")
        finish(left, n_columns=2)
        apart = abs(found.loss.sel(engine="parallel") - found.loss.sel(engine="loop")).values
        middle.plot(np.where(apart > 0, apart, np.nan), color=COLOURS["blue"])
        middle.set(yscale="log", xlabel="updates", ylabel="difference of the losses (nats)")
        updates = 10 * (0.5 + np.arange(found.sizes["epoch"]))
        right.plot(updates, found.iterations, "o-", ms=3, color=COLOURS["blue"])
        right.set(xlabel="updates", ylabel="iterations (mean of 10 updates)", ylim=(0, None))
    return figure


def memory(results: Results) -> Figure | None:
    """Draw iterations and λ1 against N, and iterations against τ_net, of every trained network."""
    names = [name for name in PARITY if results.measured(q.PARALLEL, name)]
    if not names:
        return None
    numbers: tuple[tuple[Callable[[xr.Dataset], float], str], ...] = (
        (q.iterations, "iterations over 500 steps"),
        (q.exponent, "λ1 (nats/step)"),
    )
    with panels(1, 3, 3.4) as (figure, axes):
        for ax, (number, label) in zip(axes[:2], numbers, strict=True):
            for i, name in enumerate(names):
                for k, points in enumerate(results.against_N(q.PARALLEL, name, number)):
                    ax.plot(list(points), list(points.values()), f"{_MARKERS[i]}-", ms=3, lw=0.8, color=CYCLE[i], alpha=0.8,
                            label=results.label(name) if k == 0 else None)  # fmt: skip
            ax.set(xlabel="solved N", ylabel=label)
            # By itself the locator leaves a single tick in panels as narrow as these.
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes[1].axhline(0, ls="--", lw=0.8, color=COLOURS["grey"])
        _against_tau(axes[2], results, names)
        axes[0].set_ylim(0, None)
        n = sum(len(results.of(name)) for name in names)
        finish(axes[0], title=count(n, "network"), n_columns=2)
    return figure


def _against_tau(ax: Axes, results: Results, names: list[str]) -> None:
    for i, name in enumerate(names):
        points = [point for network in q.pairs(results, name) for point in network]
        if points:
            ax.plot(*zip(*[(time, number) for time, number, _ in points], strict=True), _MARKERS[i], ms=3, mew=0, alpha=0.8,
                    color=CYCLE[i])  # fmt: skip
    ax.set(xlabel="mean τ_net (steps)", ylabel="iterations over 500 steps", ylim=(0, None))


FIGURES = (
    PaperFigure(
        "iterations_against_exponent",
        "Untrained networks of 32 units over 500 steps, residual 1e-10: (a) iterations of Newton's method against the largest "
        "Lyapunov exponent of the driven network, a point for each network; open points were not solved within 60. (b) Largest "
        "residual after every iteration, of one tanh network of each gain.",
        exponents,
    ),
    PaperFigure(
        "lengths_and_speed",
        "(a) Iterations of Newton's method from the cold start against the length, untrained networks, residual 1e-10. (b) How much "
        "faster than torch.nn.GRU a loss and its gradient are on one processor core, engines parallel and adjoint, untrained GRUs "
        "of n units, float32, medians of processor time; beside it the forward speed-up that the published code has on a V100 over "
        "a sequential scan there (batch 16; mean of 5 seeds).",
        lengths,
    ),
    PaperFigure(
        "training",
        "A GRU of 8 units learns 3-parity of streams of 1000 bits, asked at every step, in float64: losses by the loop and by the "
        "engine parallel, their difference, and the iterations of Newton's method.",
        training,
    ),
    PaperFigure(
        "memory",
        "Trained networks at every N that they solved: (a) iterations of Newton's method over 500 random bits, residual 1e-10, 61 where "
        "a trial was not solved within 60; (b) the largest Lyapunov exponent; (c) iterations against the mean τ_net of the units. A "
        "line for each network.",
        memory,
    ),
)
