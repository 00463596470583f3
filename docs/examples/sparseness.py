"""
An analysis of your own
=======================

How often is a unit active? An analysis is a pure function from a network to a Dataset. It draws from the generator it is
given, writes nothing, and names its dimensions and units.
"""

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes

import tauscope as ts
from tauscope.analysis.simulation import probabilities, simulate
from tauscope.measurements import Measurement, Subject
from tauscope.plotting.style import COLOURS, legend_below, new_axes


def sparseness(
    model: ts.Model, *, n_trials: int = 10, n_steps: int = 1000, generator: torch.Generator | None = None
) -> xr.Dataset:
    """Measure the sparseness of every unit under random bits: ⟨h⟩² / ⟨h²⟩, 1 for constant activity.

    Source: Treves & Rolls, Network 2, 371 (1991).
    """
    generator = generator or torch.Generator().manual_seed(0)
    p = probabilities(None, n_trials, generator)
    total, squares = torch.zeros(2, model.n_units, dtype=torch.float64)
    for block in simulate(model, p, n_steps, generator=generator):
        total += block.double().sum(dim=(0, 1))
        squares += block.double().square().sum(dim=(0, 1))
    share = (total.square() / (squares * n_trials * n_steps)).numpy()
    return xr.Dataset({"sparseness": ("unit", share, {"long_name": "sparseness", "units": "1"})})


# %%
# A figure takes a result and returns Axes.


def plot_sparseness(result: xr.Dataset) -> Axes:
    """Plot the distribution of the sparseness over units."""
    values = result["sparseness"].dropna("unit").values
    ax = new_axes()
    ax.hist(values, np.linspace(0, 1, 21), color=COLOURS["blue"], label=f"mean {values.mean():.2f}")
    ax.set(xlabel="sparseness (1: constant activity)", ylabel="units")
    legend_below(ax, title=f"1 network, {len(values)} active units")
    return ax


# %%
# A measurement puts both together with a few numbers for the tables: what ``tauscope analyze`` has of each of its
# measurements, and a paper of those of its own. A subject is a network with the task it learned.

SPARSENESS = Measurement(
    lambda subject, **options: sparseness(subject.model, generator=subject.generator(), **options),
    {"": lambda result, _: plot_sparseness(result)},
    lambda result: {"mean sparseness": float(result["sparseness"].mean())},
)

# %%
# Try it
# ------

if __name__ == "__main__":
    model = ts.load_model("cumulative", "parity", network_number=1, N_max=11, base_path="../../trained_models")
    subject = Subject(model, ts.Parity([11]), trained=(2, 11), seed=0)
    result = SPARSENESS.measure(subject, n_trials=4)
    print(SPARSENESS.numbers(result))
    distribution = plot_sparseness(result)
