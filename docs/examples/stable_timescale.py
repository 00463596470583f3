"""
Timescales that are trained stably
==================================

A cell of your own with a slow unit's timescale behind a stable map, in three lines, and how fragile its memory is.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import tauscope as ts
from tauscope.models import StableReparam, State, Weight, init
from tauscope.plotting.stability import plot_perturbation_error
from tauscope.tasks import Functional


class SlowCell(ts.Cell):
    """h ← h + (tanh(W_in x + b) - h) / τ, with a trained τ of every unit."""

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator, tau_map: str = "sigmoid") -> None:
        super().__init__(n_inputs, n_units)
        self.input = init.linear(n_inputs, n_units, generator)
        # A stable timescale in three lines: a parameter, its map, and its role.
        self.slow = nn.Parameter(init.uniform((n_units,), 2.0, 20.0, generator))
        parametrize.register_parametrization(self, "slow", StableReparam(tau_map))

    def weights(self) -> dict[str, Weight]:
        """Name what can be perturbed."""
        return {"slow": Weight("tau", self, "slow"), "input": Weight("input", self.input, "weight")}

    @property
    def tau(self) -> Tensor:
        """Timescales in steps."""
        return self.slow

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state."""
        (h,) = state
        drive = self.input(x) if noise is None else self.input(x) + noise
        return (h + (torch.tanh(drive) - h) / self.tau,)


# %%
# Train it
# --------
# The optimiser moves w, the step computes with τ(w) = 1 + e^-w.

if __name__ == "__main__":
    generator = torch.Generator().manual_seed(0)
    task = Functional("pol", n_steps=40)
    model = ts.Model([SlowCell(1, 8, generator)], ts.Heads(8, ["out"], 1, False, generator))
    recipe = ts.Recipe(epochs=4, steps_per_epoch=50, batch_size=32, test_steps=2, optimizer="adam", lr=0.02, clip=0.5)
    training = ts.train(
        model, task, ts.Curriculum([ts.Stage("memory40")], ts.Criterion(task.metric, goes_on=True)), recipe
    )
    print(f"relative error {training.history[-1]['relative_error'][0]:.3f}")

# %%
# How large a change of w does it bear?
# -------------------------------------
# The same network with its rates 1/τ as parameters bears less: the error after the worst of several random changes of w, none
# of which is larger than β.

if __name__ == "__main__":
    direct = SlowCell(1, 8, generator, "direct")
    direct.input = model.layers[0].input
    direct.slow = model.tau.detach()
    for name, network in {"sigmoid": model, "direct": ts.Model([direct], model.heads)}.items():
        result = ts.analysis.perturbation_error(network, task, parts=["tau"])
        print(f"{name}: error {float(result.error[0, 0]):.3f}, bears {float(result.beta_star[0]):.3f}")
    print(f"half of its memory passes in {float(ts.analysis.memory_function(model, n_steps=200).half_life):g} steps")
    picture = plot_perturbation_error(result)
