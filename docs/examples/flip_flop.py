"""
Where three bits are kept: fixed points
=======================================

Three switches, each flipped up or down by a pulse now and then: the network must say at every step how all of them stand.
It has to keep eight memories for as long as nobody pulses, and keeps them in eight stable fixed points (Sussillo & Barak,
Neural Computation 2013). The task, the network and its training are all our own here.
"""

import itertools
from dataclasses import dataclass

import torch

import tauscope as ts
from tauscope.plotting.fixed_points import plot_fixed_points, plot_modes
from tauscope.tasks import ClassificationTask


@dataclass(frozen=True)
class FlipFlop(ClassificationTask):
    """Three switches: which way was the last pulse on each?

    Attributes
    ----------
    n_steps : int
        Of a trial.
    chance : float
        Of a pulse, on each switch at each step.
    """

    n_steps: int = 40
    chance: float = 0.15

    source = "an example of the tauscope documentation, after Sussillo & Barak 2013"
    n_inputs = 3

    @property
    def heads(self) -> dict[str, ts.Head]:
        """A head for each switch, with two answers."""
        return {f"switch{i}": ts.Head(n_outputs=2, chance=0.5, optimum=1.0) for i in range(self.n_inputs)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        """Draw pulses of -1 and 1; the first step sets every switch."""
        del split  # every trial is drawn anew
        shape = (self.n_steps, batch_size, self.n_inputs)
        signs = torch.randint(2, shape, generator=generator) * 2.0 - 1
        pulsed = torch.rand(shape, generator=generator) < self.chance
        pulsed[0] = True
        # The step of the last pulse tells how a switch stands.
        last = torch.where(pulsed, torch.arange(self.n_steps)[:, None, None], 0).cummax(dim=0).values
        return ts.Batch(signs * pulsed, targets=(signs.gather(0, last) > 0).long())


# %%
# Train
# -----
# A layer of PyTorch with three read-outs, and PyTorch's optimiser; the task draws the trials and says what a mistake costs.

task, generator = FlipFlop(), torch.Generator().manual_seed(0)
torch.manual_seed(0)
names = list(task.heads)
model = ts.wrap(torch.nn.GRU(3, 24), heads={name: torch.nn.Linear(24, 2) for name in names})
optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(300):
    batch = task.sample(64, generator)
    states, _ = model(batch.inputs)
    loss = task.loss(model.readout(states, names), batch).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

test = task.sample(500, generator)
accuracy = task.score(model.readout(model(test.inputs)[0], names), test)
print(f"accuracy of each switch: {[round(value, 4) for value in accuracy.tolist()]}")

# %%
# Fixed points
# ------------
# Without input, which states does the network keep? The stable ones are one for each way in which three switches can
# stand, and each is read out as another.

points = ts.analysis.fixed_points(model, task, n_starts=200, n_trials=100)
stable = points.isel(point=((points.n_unstable == 0) & points.fixed).values)
states = torch.from_numpy(stable.state.values).float()
standing = model.readout(states, names).argmax(dim=-1).tolist()
print(f"{len(standing)} stable points of {points.sizes['point']}, which read {sorted(standing)}")
print(f"all eight: {sorted(map(tuple, standing)) == list(itertools.product((0, 1), repeat=3))}")
print(f"their slowest modes decay in {stable.timescale.isel(mode=0).round(1).values} steps")

where = plot_fixed_points(points)

# %%
# States that the network visits lead to stable points alone; the unstable ones on the borders between memories, which a search
# from elsewhere finds, are not needed to keep anything. All modes decay within a few steps: a memory is no slow mode here, but
# the choice among points.

modes = plot_modes(points)
