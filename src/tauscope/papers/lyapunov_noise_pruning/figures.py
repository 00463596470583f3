"""The figures: errors against the share kept, differences from random removal, spectra, units, and trained memories."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from tauscope.papers.lyapunov_noise_pruning import quantities as q
from tauscope.papers.lyapunov_noise_pruning.conditions import PARITY
from tauscope.papers.lyapunov_noise_pruning.networks import LNP, LNP_1, PLAIN, RIVALS
from tauscope.papers.lyapunov_noise_pruning.studies import BARE, DRAWN, SETTINGS, SYSTEMS, WHOLE
from tauscope.papers.panels import finish, panels
from tauscope.papers.statistics import CONFIDENCE
from tauscope.papers.vocabulary import PaperFigure, Results
from tauscope.plotting.style import COLOURS, CYCLE, draw_mean_and_range

STYLES = {name: (CYCLE[i], "osD^v"[i]) for i, name in enumerate(DRAWN)}
"""Colour and mark of every method that is drawn as a line."""

_SPIKES_OF = (WHOLE, BARE, "random", "magnitude", "activity", "noise on W", LNP_1, LNP)


def errors(results: Results) -> Figure | None:
    """Draw errors against the share of the synapses that is kept, by system and kind of timescales."""
    if "shares" not in results.studies:
        return None
    found = results.studies["shares"].nrmse
    with panels(2, 2, 5.6) as (figure, axes):
        places = [(kind, system) for kind in found.timescales.values for system in SYSTEMS]
        for ax, (kind, system) in zip(axes, places, strict=True):
            own = found.sel(timescales=kind, system=system)
            for i, (name, (colour, mark)) in enumerate(STYLES.items()):
                values = own.sel(rule=name).transpose("network", "share")
                # Bars that would lie on each other stand side by side.
                place = found.share.values + 0.006 * (i - 2)
                spread = values.std("network", ddof=1) if values.sizes["network"] > 1 else 0 * values[0]
                ax.errorbar(place, values.mean("network"), spread, fmt=f"{mark}-", ms=3, lw=1, color=colour, label=name)
            for share, line, label in ((1.0, "--", WHOLE), (0.0, ":", BARE)):
                level = float(own.sel(share=share, rule=DRAWN[0]).mean())
                ax.axhline(level, ls=line, lw=0.8, color="black", label=label)
            ax.set(xlabel="share of the synapses that is kept", ylabel="error (NRMSE)")
            ax.invert_xaxis()
            ax.set_title(f"{q.LABELS[system]}, {kind} τ", fontsize=8)
        finish(axes[2], title=f"{found.sizes['network']} networks", n_columns=3)
    return figure


def differences(results: Results) -> Figure | None:
    """Draw by how much the error of every method differs from that of random removal, network by network."""
    if "prunings" not in results.studies:
        return None
    found = results.studies["prunings"].nrmse.sel(timescales="gamma")
    names = [str(name) for name in found.rule.values if name != "random"]
    with panels(1, 3, 4.6) as (figure, axes):
        for ax, (setting, (synapses, units)) in zip(axes, SETTINGS.items(), strict=True):
            for j, (system, colour) in enumerate(zip(SYSTEMS, (COLOURS["blue"], COLOURS["orange"]), strict=True)):
                own = found.sel(setting=setting, system=system)
                _draw_differences(ax, own, names, 0.16 * (2 * j - 1), colour, q.LABELS[system])
            ax.axvline(0, lw=0.8, color="black")
            _limit(ax, found.sel(setting=setting))
            ax.set(xlabel="error minus random", ylim=(len(names) - 0.5, -0.5))
            ax.set_yticks(range(len(names)), names if ax is axes[0] else [""] * len(names))
            ax.set_title(f"{setting}: {synapses:.0%} of the synapses,\n{units:.0%} of the units", fontsize=7)
        finish(axes[1], title=f"{found.sizes['network']} networks", n_columns=2)
    return figure


def _draw_differences(ax: Axes, own: xr.DataArray, names: list[str], offset: float, colour: str, label: str) -> None:
    apart = (own - own.sel(rule="random")).transpose("network", "rule")
    n = apart.sizes["network"]
    width = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) / n**0.5 if n > 1 else 0.0
    for i, name in enumerate(names):
        values = apart.sel(rule=name).values
        if np.isfinite(values).all():
            half = width * values.std(ddof=1) if n > 1 else 0.0
            ax.errorbar(values.mean(), i + offset, xerr=half, fmt="o", ms=3, lw=1, color=colour, label=label)
            label = "_"


def _limit(ax: Axes, found: xr.DataArray) -> None:
    """Let an axis reach over all differences but those of weights over their probabilities, of which single ones are huge."""
    apart = abs(found - found.sel(rule="random"))
    shown = apart.isel(rule=[i for i, name in enumerate(found.rule.values) if "/ p" not in str(name)])
    reach = 1.1 * float(shown.max()) or 1.0
    ax.set_xlim(-reach, reach)


def spectra(results: Results) -> Figure | None:
    """Draw all exponents of a network, dense and pruned, at several slopes of the surrogate derivative."""
    if "spectra" not in results.studies:
        return None
    found = results.studies["spectra"]
    with panels(1, found.sizes["slope"], 2.9) as (figure, axes):
        place = np.arange(found.sizes["exponent"]) / found.sizes["exponent"]
        for ax, slope in zip(axes, found.slope.values, strict=True):
            for i, name in enumerate(found.rule.values):
                values = found.exponents.sel(slope=slope, rule=name).values
                ax.plot(place, values, lw=1, color=CYCLE[i], ls="-" if i % 2 == 0 else "--", label=str(name))
            ax.plot(place, found.leak.values, ":", lw=1, color="black", label="-1/τ")
            ax.axhline(0, lw=0.6, color=COLOURS["grey"])
            ax.set(xlabel="rank / units", ylim=(-2, None))
            ax.set_title(f"k = {slope:g}", fontsize=8)
        axes[0].set_ylabel("exponent (nats/step)")
        finish(axes[0], title="1 network", n_columns=2)
    return figure


def units(results: Results) -> Figure | None:
    """Draw spikes against error, the timescales of units that go and stay, and how localised eigenvectors are."""
    if "prunings" not in results.studies:
        return None
    found = results.studies["prunings"].sel(timescales="gamma")
    with panels(1, 3, 3.6) as (figure, (left, middle, right)):
        own = found.sel(setting="B", system="lorenz")
        for i, name in enumerate(_SPIKES_OF):
            x, y = (own[what].sel(rule=name).values for what in ("nrmse", "rate"))
            left.plot(x.mean(), y.mean(), "os^vD<>*"[i], ms=5, color=(*CYCLE, *CYCLE)[i], label=name)
            left.plot(x, y, ".", ms=2, color=(*CYCLE, *CYCLE)[i], alpha=0.6)
        left.set(xlabel="error (NRMSE, Lorenz63)", ylabel="spikes per step and unit")
        left.set_title("setting B", fontsize=8)
        finish(left, n_columns=2)
        chosen = ("random", "activity", "LNP 2", LNP)
        for what, offset, colour, label in (
            ("tau_kept", -0.15, "blue", "kept"),
            ("tau_removed", 0.15, "orange", "removed"),
        ):
            values = [found[what].sel(setting="B", rule=name).values for name in chosen]
            for i, each in enumerate(values):
                middle.plot(np.full(len(each), i + offset), each, "o", ms=3, mew=0, alpha=0.8, color=COLOURS[colour],
                            label=label if i == 0 else None)  # fmt: skip
        middle.set_xticks(range(len(chosen)), chosen, fontsize=6)
        middle.set(ylabel="mean τ of the units (steps)", ylim=(0, None))
        middle.set_title("setting B", fontsize=8)
        finish(middle, title=f"{found.sizes['network']} networks", n_columns=2)
        shown = (WHOLE, *RIVALS, LNP_1, LNP)
        for i, name in enumerate(shown):
            values_of = found.participation.sel(setting="C", rule=name).values
            right.plot(np.full(len(values_of), i), values_of, "o", ms=3, mew=0, alpha=0.8, color=COLOURS["blue"])
        right.set_xticks(range(len(shown)), shown, rotation=60, ha="right")
        right.set(ylabel="inverse participation ratio", ylim=(0, None))
        right.set_title("setting C", fontsize=8)
    return figure


def memories(results: Results) -> Figure | None:
    """Draw what trained networks still answer, against the share of their synapses that is kept."""
    names = [name for name in PARITY if results.measured(q.PRUNING, name)]
    if not names:
        return None
    with panels(1, len(names), 3.2) as (figure, axes):
        for ax, name in zip(axes, names, strict=True):
            networks = results.measured(q.PRUNING, name)
            scores = xr.concat([own["score"].mean(("draw", "head")) for own in networks], "network")
            for i, method in enumerate(scores.rule.values):
                own = scores.sel(rule=method).transpose("network", "share")
                draw_mean_and_range(
                    ax, scores.share.values, own, "network", str(method), CYCLE[i], marker="osD^v"[i], ms=3, lw=1
                )
            ax.axhline(0.5, ls=":", lw=0.8, color="black", label="chance")
            ax.set(xlabel="share of the synapses kept", ylabel="accuracy", ylim=(0.4, 1.03))
            ax.invert_xaxis()
            ax.set_title(f"{results.label(name)}, {len(networks)} networks", fontsize=8)
        finish(axes[0], n_columns=2)
    return figure


FIGURES = (
    PaperFigure(
        "error_against_share",
        "Networks of spiking units, whose read-outs alone are fitted: error of predicting (x, y, z) five steps ahead from x, against the share of "
        "the recurrent synapses that is kept. Means and standard deviations over networks; weights are rescaled to the spectral radius "
        "of the dense network, no unit is removed. Dashed: the dense network; dotted: no recurrent weights. Above, timescales from a gamma "
        "distribution; below, one timescale of the same mean.",
        errors,
    ),
    PaperFigure(
        "differences_from_random",
        "Error (NRMSE) of each method minus that of random removal in the same network, at equal numbers of synapses and units: means and 95 % "
        "intervals over networks with gamma-distributed timescales. Where a method is missing, it is the same as another one, because no unit is "
        f'removed. Methods whose names end in "{PLAIN.removeprefix(", ")}" are compared with random removal that is rescaled.',
        differences,
    ),
    PaperFigure(
        "units",
        "Networks with gamma-distributed timescales. (a) Spikes per step and living unit against error in setting B (15 % of the synapses, "
        "half of the units): small points are networks, marks their means. (b) Mean τ of the units that are kept and removed, a point for each "
        "network. (c) Mean inverse participation ratio of the eigenvectors of the recurrent weights in setting C (20 % of the synapses): "
        "1 over the number of units where eigenvectors spread over all, 1 where each is of one unit.",
        units,
    ),
    PaperFigure(
        "spectra",
        "All Lyapunov exponents of the membranes of one network along Lorenz's series, dense and with half of its synapses, at the slope k of the "
        "surrogate derivative that is written above; dotted: -1/τ of its units, sorted. Exponents below -2 are not shown.",
        spectra,
    ),
    PaperFigure(
        "trained_memories",
        "Trained N-parity networks that are pruned and not trained again: mean accuracy over the N that they solved, against the share of the "
        "recurrent synapses that is kept. Means over networks and their ranges; weights are not rescaled. Random and activity are the same: no "
        "unit is removed.",
        memories,
    ),
)
