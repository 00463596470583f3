"""
A cell of your own
==================

Rectified units that tire: a cell with two state variables, trained and measured like any other.
"""

import torch
from torch import Tensor, nn

import tauscope as ts
from tauscope.models import State, Weight, init
from tauscope.plotting.timescales import plot_autocorrelations


class AdaptingCell(ts.TwoPartCell):
    """h ← relu(W h + W_in x + b - β a + noise), a ← ρ a + (1 - ρ) h, with trainable β for every unit and ρ = 0.8."""

    n_states = 2

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        self.input = init.linear(n_inputs, n_units, generator)
        self.recurrent = init.linear(n_units, n_units, generator)
        self.beta = nn.Parameter(init.uniform((n_units,), 0.0, 0.5, generator))
        self.rho = 0.8

    def maps(self) -> ts.Maps:
        """Return what the cell multiplies."""
        return ts.Maps.of(self.input, self.recurrent)

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return what each unit does with its drive z."""
        h, a = state
        drive = z - self.beta * a
        h = torch.relu(drive if noise is None else drive + noise)
        return h, torch.lerp(h, a, self.rho)

    def weights(self) -> dict[str, Weight]:
        """Name what can be measured and perturbed."""
        return {
            "recurrent": Weight("recurrent", self.recurrent, "weight"),
            "input": Weight("input", self.input, "weight"),
        }


# %%
# Train it
# --------
# The cell replaces the leaky cell; heads, task, curriculum and recipe work with every cell.

if __name__ == "__main__":
    generator = torch.Generator().manual_seed(0)
    model = ts.Model(
        [AdaptingCell(1, 50, generator)], ts.Heads(50, [f"N{N}" for N in range(2, 12)], 2, False, generator)
    )
    recipe = ts.Recipe(epochs=10, steps_per_epoch=200, batch_size=64, lr=0.1)
    training = ts.train(model, ts.Parity(), ts.cumulative(last=4), recipe)
    print(f"{training.epoch} epochs, stage {training.curriculum.stage.name}")
    print(ts.evaluate(model, ts.Parity(p=0.5), Ns=[2, 3, 4, 5]).to_series())

# %%
# Measure it
# ----------
# What it has no parameter for, such as τ, is not a number; everything else is measured.

if __name__ == "__main__":
    timescales = ts.analysis.timescales(model, n_trials=4, n_steps=10_000, max_lag=60)
    print(ts.analysis.timescales_summary(timescales).round(2).to_dataframe())
    print(ts.analysis.lyapunov(model, 3, n_trials=2, n_steps=200).exponents.mean("trial").round(decimals=3).values)
    print(f"spectral radius {ts.analysis.connectivity(model).spectral_radius.item():.2f}")
    autocorrelations = plot_autocorrelations(timescales)
