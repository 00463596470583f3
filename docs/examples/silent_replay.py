"""
Does a network of your own replay?
==================================

A network holds the angle of a dial while it is turned, and is then left alone with its noise. Does it go on visiting angles
that it saw, or does it only stay where it was? The task, the network and the decoder are one's own; the measurement is that of
:doc:`../offline_reactivation`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import tauscope as ts
from tauscope.analysis import Decoder, reactivation
from tauscope.plotting.reactivation import plot_divergences, plot_trajectories

# %%
# A task and its network
# ----------------------
#
# The input is the turn of a dial at every step, the answer the sine and cosine of its angle, the start those of the first angle.


@dataclass(frozen=True)
class Dial(ts.Task):
    """Report the angle of a dial that is turned at random.

    Attributes
    ----------
    n_steps : int
        Turns of a trial.
    """

    n_steps: int = 30

    source = "an example of the tauscope documentation"

    @property
    def heads(self) -> dict[str, ts.Head]:
        """Sine and cosine; (0, 0) is the best answer that ignores the input."""
        return {"out": ts.Head(2, 0.5, 0.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        """Draw angles, and turns of 0.2 rad."""
        del split
        start = 2 * math.pi * torch.rand(1, batch_size, 1, generator=generator)
        turns = 0.2 * torch.randn(self.n_steps, batch_size, 1, generator=generator)
        angles = torch.cat([start, turns]).cumsum(dim=0)
        answers = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return ts.Batch(turns, answers[1:].unsqueeze(-2), start=answers[0])

    def loss(self, outputs: Tensor, batch: ts.Batch) -> Tensor:
        """Return the mean squared error."""
        return (outputs - batch.targets).square().mean().unsqueeze(0)

    def tally(self, outputs: Tensor, batch: ts.Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of squared errors and their number."""
        squares = (outputs - batch.targets).square()
        return squares.sum().unsqueeze(0), squares.new_tensor([squares.numel()])


def network(seed: int) -> ts.Model:
    """Return a network of 40 leaky tanh units with private noise, which starts from the first answer."""
    generator = torch.Generator().manual_seed(seed)
    cell = ts.LeakyCell(1, 40, generator, "mod", "tanh", tau=2.0, diagonal=True, sigma=0.1)
    start = torch.nn.utils.skip_init(torch.nn.Linear, 2, 40)
    torch.nn.init.normal_(start.weight, std=0.7, generator=generator)
    torch.nn.init.zeros_(start.bias)
    return ts.Model([cell], ts.Heads(40, ["out"], 2, False, generator), start=start)


# %%
# A decoder
# ---------
#
# It reads positions of states and outputs, here the angle of the two outputs. A task that subclasses `tauscope.tasks.CodedTask`
# decodes its answers itself; without a decoder, positions are the first two principal components of the task's states.

DIAL = Decoder(
    lambda _, outputs: torch.atan2(outputs[..., 0, :1], outputs[..., 0, 1:]),
    periodic=True,
    unit="rad",
)

# %%
# Train, and leave it alone
# -------------------------

if __name__ == "__main__":
    model, untrained = network(0), network(0)
    recipe = ts.Recipe(epochs=1, steps_per_epoch=600, batch_size=32, optimizer="adam", lr=3e-3, clip=1.0, test_steps=2)
    stages = ts.Curriculum([ts.Stage("dial")], ts.Criterion("score", goes_on=True, better="less"))
    training = ts.train(model, Dial(), stages, recipe)
    print(f"squared error {training.history[-1]['score'][0]:.3f} (chance 0.5)")
    result = reactivation(
        model, Dial(), decoder=DIAL, untrained=untrained, n_steps=300, n_trajectories=30, n_samples=900
    )
    shown = result[["kl_late", "variance", "step", "norm_ratio"]].sel(
        run=["task", "active", "still", "common", "untrained"]
    )
    print(shown.to_dataframe().round(3).to_string())
    silent = plot_trajectories(result)
    controls = plot_divergences(result)
