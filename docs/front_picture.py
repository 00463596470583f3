"""Draw ``figures/curricula.png`` and ``curricula_narrow.png``, the first picture of README.md and of the documentation.

It takes a minute, from the networks of ``trained_models``: ``python docs/front_picture.py``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

import tauscope as ts
from tauscope.analysis import is_described
from tauscope.plotting.style import COLOURS, RC

DOCS = Path(__file__).parent
CURRICULA = {"cumulative": ("multi-head curriculum", "blue"), "single": ("single-head curriculum", "vermilion")}


def measured() -> dict[str, tuple[xr.DataArray, xr.Dataset]]:
    """Return accuracies and timescales of both networks."""
    found = {}
    for kind in CURRICULA:
        model = ts.load_model(kind, "parity", network_number=1, N_max=11, base_path=DOCS.parent / "trained_models")
        timescales = ts.analysis.timescales(model, n_trials=10, n_steps=20_000, bootstrap=0)
        found[kind] = ts.evaluate(model, ts.Parity(), Ns=range(2, 12)), timescales
        for taus in (timescales["tau"], timescales["tau_net"][is_described(timescales)]):
            print(f"{CURRICULA[kind][0]}: mean {taus.name} {float(taus.mean()):.2f} steps, of {taus.size} units")
    return found


def draw(found: dict[str, tuple[xr.DataArray, xr.Dataset]], figure: Figure, shape: tuple[int, int]) -> None:
    """Draw both networks into the three parts of a figure, side by side or below each other."""
    accuracy, own, network = figure.subplots(*shape)
    for kind, (scores, timescales) in found.items():
        label, colour = CURRICULA[kind]
        accuracy.plot(scores["N"], scores, "o-", ms=3, color=COLOURS[colour], label=label)
        for ax, taus in ((own, timescales["tau"]), (network, timescales["tau_net"][is_described(timescales)])):
            values = np.sort(taus.values)
            ax.step(np.maximum(values, 0.3), np.arange(1, len(values) + 1) / len(values), color=COLOURS[colour])
    accuracy.axhline(0.5, ls="--", lw=0.8, color=COLOURS["grey"])
    accuracy.text(2, 0.465, "chance", color=COLOURS["grey"], fontsize=7)
    accuracy.set(
        title="What is remembered", xlabel="N: parity of the last N bits", ylabel="accuracy", ylim=(0.45, 1.03)
    )
    accuracy.set_xticks([2, 5, 8, 11])
    own.set(title="Units' own timescales", xlabel=r"$\tau$ (steps)", ylabel="share of units", xscale="log")
    network.set(
        title="Timescales in the network", xlabel=r"$\tau_\mathrm{net}$ (steps)", ylabel="share of units", xscale="log"
    )
    for ax in (own, network):
        ax.xaxis.set_minor_locator(NullLocator())
    own.set_xticks([1, 1.5, 2, 2.5], labels=["1", "1.5", "2", "2.5"])
    network.set_xticks([0.3, 1, 3, 10], labels=["≤ 0.3", "1", "3", "10"])
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside lower center", ncols=2 if shape[0] == 1 else 1)


def main() -> None:
    """Measure both networks, and draw them for wide and for narrow pages."""
    found = measured()
    for name, size, shape in (("curricula", (7.2, 2.5), (1, 3)), ("curricula_narrow", (3.2, 6.6), (3, 1))):
        figure = Figure(figsize=size, layout="constrained", dpi=200)
        draw(found, figure, shape)
        figure.savefig(DOCS / "figures" / f"{name}.png")


if __name__ == "__main__":
    with matplotlib.rc_context(RC):
        main()
