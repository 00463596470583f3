"""Pictures of timescales: autocorrelations with their fits, and distributions over units."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from tauscope._words import count
from tauscope.analysis.fit_quality import fitted_curve, is_described, with_goodness
from tauscope.plotting.style import COLOURS, RC, integer_ticks, legend_below, log_axis, new_axes, note

_QUANTILES = {"short (10 % quantile)": 0.1, "median": 0.5, "long (90 % quantile)": 0.9}
_SHADES = ("sky", "green", "vermilion")
_SHORTEST = 0.2


@matplotlib.rc_context(RC)
def plot_autocorrelations(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot autocorrelation and fit of units with a short, a median and a long τ_net, over those of all units.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.timescales.timescales`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on. Units without activity are left out, and so, from the three, are those fitted poorly.
    """
    ax = ax or new_axes(height=3.0)
    fitted = result.isel(unit=np.flatnonzero(result["tau_net"].notnull()))
    described = fitted.isel(unit=np.flatnonzero(is_described(fitted)))
    lags = result["lag"].values[: int(result.attrs["fit_lags"]) + 1]
    shown = fitted["autocorrelation"].values[:, : len(lags)]
    if not described.sizes["unit"]:
        note(ax, "no unit was fitted" + " well" * bool(len(shown)))
    # Many thin lines add up to a dark surface unless each is faint.
    faint = min(0.6, 75 / max(len(shown), 1))
    ax.plot(lags, shown.T, color=COLOURS["grey"], lw=0.3, alpha=faint, rasterized=True)
    order = np.argsort(described["tau_net"].values)
    for (name, quantile), shade in zip(_QUANTILES.items(), _SHADES, strict=True):
        if not len(order):
            break
        unit = described.isel(unit=order[round(quantile * (len(order) - 1))])
        label = rf"{name}: $\tau_\mathrm{{net}}$ = {float(unit['tau_net']):.2f} steps"
        ax.plot(lags, unit["autocorrelation"].values[: len(lags)], "o", ms=2.5, color=COLOURS[shade])
        ax.plot(lags, fitted_curve(unit, lags).values, color=COLOURS[shade], label=label)
    ax.axhline(0, color="black", lw=0.5)
    ax.set(
        xlabel="lag (steps)", ylabel="autocorrelation", ylim=(shown.min(initial=0) - 0.04, shown.max(initial=1) + 0.04)
    )
    legend_below(ax, title=f"{_subject(result)}, {fit_counts(result)};\ngrey: all; dots: measured, lines: fit")
    return ax


def _subject(result: xr.Dataset) -> str:
    return "1 recording" if "dt" in result.attrs else "1 network"


def fit_counts(result: xr.Dataset) -> str:
    r"""Return in words how many units a τ_net describes, and what keeps it from the others, in at most two lines.

    Examples
    --------
    >>> result = xr.Dataset({"tau_net": ("unit", [2.0, 100.0, 3.0]), "at_bound": ("unit", [0, 1, 0])})
    >>> fit_counts(result.assign(poor_fit=("unit", [False, False, True]), oscillates=("unit", [False, False, True])))
    '2 of 3 units fitted well,\n1 poorly (1 oscillates), 1 at the bound'

    The published method counts poor fits too.

    >>> judged = result.assign(poor_fit=("unit", [False, False, True]), oscillates=("unit", [False, False, True]))
    >>> fit_counts(judged.assign_attrs(method="published"))
    '3 of 3 units fitted,\n1 poorly (1 oscillates), 1 at the bound'
    """
    known = with_goodness(result)
    described = is_described(known)
    fitted = "fitted" if result.attrs.get("method") == "published" else "fitted well"
    counted, parts = f"{int(described.sum())} of {count(result.sizes['unit'], 'unit')} {fitted}", []
    if "poor_fit" in known and (poor := int(known["poor_fit"].sum())):
        oscillating = int(known["oscillates"].sum())
        parts.append(f"{poor} poorly" + (f" ({oscillating} oscillate{'s' * (oscillating == 1)})" * bool(oscillating)))
    if "at_bound" in known and (censored := int((described & (known["at_bound"] > 0)).sum())):
        parts.append(f"{censored} at the bound")
    return ",\n".join([counted, ", ".join(parts)] if parts else [counted])


@matplotlib.rc_context(RC)
def plot_timescale_distribution(result: xr.Dataset, ax: Axes | None = None) -> Axes:
    """Plot the distributions of τ and τ_net over units.

    Parameters
    ----------
    result : Dataset
        From `tauscope.analysis.timescales.timescales`.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes drawn on; τ_net of units that are fitted poorly is left out.
    """
    ax = ax or new_axes()
    described = result.assign(tau_net=result["tau_net"].where(is_described(result)))
    drawn = {r"$\tau$": ("tau", "orange", True), r"$\tau_\mathrm{net}$": ("tau_net", "blue", False)}
    values = {label: described[name].dropna("unit").values for label, (name, _, _) in drawn.items()}
    largest = max((float(taus.max()) for taus in values.values() if len(taus)), default=1.0)
    edges = np.geomspace(_SHORTEST, max(largest, 1.0) * 1.05, 41)
    for label, (_, colour, fill) in drawn.items():
        taus = values[label]
        if len(taus):
            label = f"{label}: {count(len(taus), 'unit')}, mean {taus.mean():.2f}, STD {taus.std():.2f} steps"
            counts, _ = np.histogram(np.maximum(taus, _SHORTEST), edges)
            ax.stairs(counts, edges, fill=fill, alpha=0.8, color=COLOURS[colour], label=label)
    if not any(len(taus) for taus in values.values()):
        note(ax, "no unit has a timescale")
    ax.set(xlabel="timescale (steps)", ylabel="units")
    log_axis(ax)
    integer_ticks(ax.yaxis)
    legend_below(
        ax, title=f"{_subject(result)}, {fit_counts(result)};\nthe first bin holds all below {edges[1]:.2g} steps"
    )
    return ax
