"""
A curriculum of your own
========================

Every solved N is followed by twice as much.
"""

import torch

import tauscope as ts
from tauscope.plotting.training import plot_progress


def doubling(last: int) -> tuple[ts.Stage, ...]:
    """Return stages of N = 2, 4, 8, … each with its own head, all asked together."""
    Ns = [2**i for i in range(1, last.bit_length())]
    return tuple(
        ts.Stage(f"N2_N{N}", ask={"Ns": tuple(Ns[: i + 1])}, heads=tuple(f"N{N}" for N in Ns[: i + 1]))
        for i, N in enumerate(Ns)
    )


def up_to_eight(task: ts.Task) -> tuple[ts.Stage, ...]:
    """Return its stages for any task that has Ns, for the command line: ``-c doubling_curriculum:up_to_eight``."""
    del task  # whose options could say how far to go
    return doubling(last=8)


# %%
# Train by it
# -----------

if __name__ == "__main__":
    model = ts.LeakyRNN(50, generator=torch.Generator().manual_seed(0))
    recipe = ts.Recipe(epochs=10, steps_per_epoch=200, batch_size=64, lr=0.1)
    training = ts.train(model, ts.DelayedMatchToSample(), doubling(last=8), recipe)
    for record in training.history:
        print(record["epoch"], record["Ns"], [round(accuracy, 3) for accuracy in record["accuracy"]])
    progress = plot_progress({"doubling": training.history})
