"""
A curriculum of your own
========================

Every solved N is followed by twice as much.
"""

import torch

import tauscope as ts
from tauscope.plotting.training import plot_progress


class Doubling(ts.Curriculum):
    """N = 2, 4, 8, … each with its own head, all asked together."""

    def _next(self) -> tuple[int, ...]:
        return (*self.Ns, 2 * self.Ns[-1])


# %%
# Train by it
# -----------

if __name__ == "__main__":
    model = ts.LeakyRNN(50, generator=torch.Generator().manual_seed(0))
    recipe = ts.Recipe(epochs=10, steps_per_epoch=200, batch_size=64, lr=0.1)
    training = ts.train(model, ts.DelayedMatchToSample([2]), Doubling(max_N=8), recipe)
    for record in training.history:
        print(record["epoch"], record["Ns"], [round(accuracy, 3) for accuracy in record["accuracy"]])
    progress = plot_progress({"doubling": training.history})
