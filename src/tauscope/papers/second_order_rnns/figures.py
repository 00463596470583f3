"""The figures: bits per character against rank and parameters, courses of training, directions, and parity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope._words import count
from tauscope.papers.panels import finish, panels
from tauscope.papers.second_order_rnns import quantities as q
from tauscope.papers.second_order_rnns.conditions import FULL, PAIRS, PARITY, RIVALS, SERIES, TEXT
from tauscope.papers.vocabulary import PaperFigure, Results
from tauscope.plotting.second_order import plot_singular_values, terms_axis
from tauscope.plotting.style import COLOURS, CYCLE, integer_ticks, log_axis

_RANKS = (0, 4, 16, 75, 256)
_BUDGET = (*RIVALS, *PAIRS)
_MARKERS = dict(zip(_BUDGET, "sXDo^", strict=True))


def _label(results: Results, name: str) -> str:
    return results.labels.get(name, name)


def _here(results: Results, names: Sequence[str], what: str = "language") -> list[str]:
    return [name for name in names if q.measured(results, name, what)]


def _bpc(results: Results, name: str) -> list[float]:
    return list(q.values(results, name, q.bpc).values())


def against_rank(results: Results) -> Figure | None:
    """Draw the bits per character of networks of as many units against their rank, state carried over and set back."""
    names = _here(results, SERIES)
    if not names:
        return None
    with panels(1, 1, 3.6, letters=False) as (figure, (ax,)):
        ranks = [_RANKS[SERIES.index(name)] for name in names]
        for colour, number, said in (
            (COLOURS["blue"], q.bpc, "state carried over"),
            (COLOURS["orange"], lambda result: float(result["bpc_reset"]), "state set back at every window"),
        ):
            found = [list(q.values(results, name, number).values()) for name in names]
            for rank, several in zip(ranks, found, strict=True):
                ax.plot([rank] * len(several), several, "o", ms=3, mew=0, alpha=0.6, color=colour)
            ax.plot(ranks, [np.mean(several) for several in found], color=colour, label=f"CPRNN(32, R), {said}")
        if _here(results, [FULL]):
            ax.axhline(float(np.mean(_bpc(results, FULL))), ls="--", color=COLOURS["vermilion"],
                       label="2RNN(32), which is CPRNN(32, 1024), state carried over")  # fmt: skip
        ax.set_xscale("symlog", linthresh=4)
        ax.set_xlim(-1, 1.2 * max(ranks) + 1)
        ax.set_xticks(ranks, [str(rank) for rank in ranks])
        ax.minorticks_off()
        ax.set(xlabel="rank R", ylabel="bits per character of the test text")
        finish(ax, title=count(sum(len(_bpc(results, name)) for name in names), "network") + " and their means")
    return figure


def against_parameters(results: Results) -> Figure | None:
    """Draw the bits per character of all networks of text against their number of parameters."""
    names = _here(results, TEXT)
    if not names:
        return None
    with panels(1, 1, 3.8, letters=False) as (figure, (ax,)):
        points = {name: (_parameters(results, name), _bpc(results, name)) for name in names}
        series = [name for name in SERIES if name in names]
        ax.plot([points[name][0] for name in series], [np.mean(points[name][1]) for name in series],
                color=COLOURS["blue"], label="CPRNN(32, R), R = 0 … 256")  # fmt: skip
        for i, name in enumerate(name for name in names if name not in SERIES or name in _MARKERS):
            parameters, bpc = points[name]
            ax.plot([parameters] * len(bpc), bpc, _MARKERS.get(name, "v"), ls="none", ms=4.5, mew=0.9, alpha=0.75,
                    # What lies behind a mark of another network is seen through it.
                    fillstyle="none" if name in RIVALS else "full", color=CYCLE[(i + 1) % len(CYCLE)], label=_label(results, name))  # fmt: skip
        for name in series:
            if name not in _MARKERS:
                parameters, bpc = points[name]
                ax.plot([parameters] * len(bpc), bpc, "o", ms=3, mew=0, alpha=0.6, color=COLOURS["blue"])
        log_axis(ax)
        ax.set(xlabel="parameters", ylabel="bits per character of the test text")
        finish(ax, title="a point for each network", n_columns=3)
    return figure


def _parameters(results: Results, name: str) -> float:
    return float(next(iter(q.measured(results, name).values()))["n_parameters"])


def courses(results: Results) -> Figure | None:
    """Draw the bits per character in the course of training, of as many units and of as many parameters."""
    groups = {"as many units": [*SERIES, FULL], "as many parameters": list(_BUDGET)}
    trained = {title: [name for name in names if _histories(results, name)] for title, names in groups.items()}
    if not any(trained.values()):
        return None
    with panels(1, 2, 3.9) as (figure, axes):
        for ax, (title, names) in zip(axes, trained.items(), strict=True):
            for i, name in enumerate(names):
                curves = _histories(results, name)
                n_epochs = min(map(len, curves))
                mean = np.mean([curve[:n_epochs] for curve in curves], axis=0)
                ax.plot(np.arange(1, n_epochs + 1), mean, color=CYCLE[i % len(CYCLE)], label=_label(results, name))
            ax.set(xlabel="epoch", ylabel="bits per character on random windows", title=title)
            integer_ticks(ax.xaxis)
            finish(ax, title="means over networks", n_columns=2)
    return figure


def _histories(results: Results, name: str) -> list[list[float]]:
    histories = (
        [record["bpc"][0] for record in network.history if "bpc" in record]
        for network in results.networks.get(name, ())
    )
    return [history for history in histories if history]


def directions(results: Results) -> Figure | None:
    """Draw the singular values of what inputs change, and effective ranks against the rank."""
    names = _here(results, [*SERIES[1:], "n48_r39", "mi", "second", FULL], "directions")
    if not names:
        return None
    with panels(1, 2, 4.1) as (figure, (ax, ranks)):
        for i, name in enumerate(names):
            first, *_ = q.measured(results, name, "directions").values()
            plot_singular_values(first, ax, label=_label(results, name), colour=CYCLE[i % len(CYCLE)])
            ax.lines[-1].set_linestyle(("-", "--")[i // len(CYCLE)])
            for number, said, marker in (("effective_rank", "effective rank", "o"), ("rank", "rank", "_")):
                found = [float(result[number]) for result in q.measured(results, name, "directions").values()]
                ranks.plot([i] * len(found), found, marker, ls="none", ms=4, alpha=0.7,
                           color=COLOURS["blue" if number == "effective_rank" else "grey"], label=None if i else said)  # fmt: skip
        ax.set_title("singular values of one network each")
        finish(ax, n_columns=2)
        ranks.set_xticks(range(len(names)), [_label(results, name) for name in names], rotation=90)
        ranks.set(ylabel="directions", ylim=(0, None), title="all networks")
        ranks.legend(loc="lower right")
    return figure


def terms(results: Results) -> Figure | None:
    """Draw the bits per character of networks that keep the strongest of their terms alone."""
    names = [name for name in _here(results, [*SERIES[1:], "n48_r39"])
             if any("bpc_by_terms" in result for result in q.measured(results, name).values())]  # fmt: skip
    if not names:
        return None
    with panels(1, 1, 3.6, letters=False) as (figure, (ax,)):
        for i, name in enumerate(names):
            for j, result in enumerate(q.measured(results, name).values()):
                ax.plot(result["terms"], result["bpc_by_terms"], lw=0.9, alpha=0.8, color=CYCLE[i % len(CYCLE)],
                        label=None if j else _label(results, name))  # fmt: skip
        (first, *_) = q.measured(results, names[0]).values()
        ax.axhline(float(first["chance"]), ls="--", lw=0.8, color=COLOURS["grey"], label="entropy of a character")
        terms_axis(ax)
        ax.set(xlabel="strongest terms that are kept", ylabel="bits per character of the test text")
        finish(ax, title="a line for each network", n_columns=3)
    return figure


def parity(results: Results) -> Figure | None:
    """Draw the largest N of parity that networks have solved in the course of training."""
    names = [name for name in PARITY if any(network.history for network in results.networks.get(name, ()))]
    if not names:
        return None
    with panels(1, 2, 3.4) as (figure, (ax, ends)):
        for i, name in enumerate(names):
            curves = [np.maximum.accumulate([record["Ns"][-1] if record["solved"] else 1 for record in network.history])
                      for network in results.networks[name] if network.history]  # fmt: skip
            n_epochs = min(map(len, curves))
            mean = np.mean([curve[:n_epochs] for curve in curves], axis=0)
            ax.plot(np.arange(1, n_epochs + 1), mean, color=CYCLE[i], label=_short(results, name))
            solved = results.solved(name)
            ends.plot(i + np.linspace(-0.2, 0.2, len(solved)), solved, "o", ms=4, mew=0, alpha=0.75, color=CYCLE[i])
        ax.set(xlabel="epoch", ylabel="largest N solved, mean", ylim=(0, None))
        finish(ax, n_columns=2)
        ends.set_xticks(range(len(names)), [_short(results, name) for name in names], rotation=90)
        ends.set(ylabel="largest N solved at the end", ylim=(0, None), xlim=(-0.5, len(names) - 0.5))
        _whole(ax, ends)
    return figure


def _whole(*axes: Axes) -> None:
    for ax in axes:
        integer_ticks(ax.yaxis)
    integer_ticks(axes[0].xaxis)


def _short(results: Results, name: str) -> str:
    return _label(results, name).removesuffix(", N-parity")


FIGURES = (
    PaperFigure(
        "bpc_against_rank",
        "Networks of 32 units: bits per character of the test text against the rank of the second-order term, a point for each "
        "network and the means; with the state carried over the whole text, and set back at the start of every window, as "
        "published. The line is the network with the full tensor.",
        against_rank,
    ),
    PaperFigure(
        "bpc_against_parameters",
        "All networks of text, a point each: bits per character of the test text, state carried over, against the number of "
        "parameters, read-out included. Five kinds have as many parameters as fit into the budget.",
        against_parameters,
    ),
    PaperFigure(
        "training",
        "Bits per character on random windows of the text, state set back at the start of each, after every epoch; means over "
        "networks, (a) of as many units and (b) of as many parameters.",
        courses,
    ),
    PaperFigure(
        "directions",
        "In how many directions the matrices M_c differ between characters: (a) singular values of the matrix whose rows are "
        "M_c - M_0, of one network each; (b) their number and the effective rank, of all networks.",
        directions,
    ),
    PaperFigure(
        "terms",
        "Bits per character of the test text of networks that keep only the strongest of their terms, without further training; "
        "a line for each network.",
        terms,
    ),
    PaperFigure(
        "parity",
        "N-parity with a single head: the largest N that networks of 32 units have solved, (a) in the course of training, means "
        "over networks, and (b) at its end, a point for each network.",
        parity,
    ),
)
