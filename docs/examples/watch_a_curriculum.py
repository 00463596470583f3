"""
Watch a curriculum
==================

Two small networks learn N-parity: is the number of ones among the last N bits odd? The multi-head network has a head
for every N and must answer all the Ns it has met; the single-head network has one head, which moves from N to N + 1.
"""

import torch

import tauscope as ts
from tauscope.plotting.memory import plot_forgetting
from tauscope.plotting.training import plot_progress, plot_training

recipe = ts.Recipe(epochs=12, steps_per_epoch=200, batch_size=64, test_steps=20, lr=0.1)


def learn(stages: tuple[ts.Stage, ...], *, shared_head: bool = False) -> ts.Training:
    """Train a network of 100 units and print what every epoch came to."""
    generator = torch.Generator().manual_seed(0)
    model = ts.LeakyRNN(100, shared_head=shared_head, generator=generator)
    training = ts.train(model, ts.Parity(), stages, recipe)
    for record in training.history:
        Ns, worst, solved = record["Ns"], min(record["accuracy"]), "solved" * record["solved"]
        print(f"epoch {record['epoch']:2}: N = {Ns[0]} … {Ns[-1]}, worst head {worst:.3f} {solved}")
    return training


# %%
# Multi-head
# ----------
# An epoch ends with a test on fresh sequences. A stage is solved when the mean over its heads and the newest head both
# exceed 98 %; then the next N is added.

multi = learn(ts.cumulative(last=10))
learning = plot_training(multi.history)

# %%
# Single-head
# -----------
# The same rule, for one N at a time.

single = learn(ts.single(last=10), shared_head=True)
progress = plot_progress({"multi-head": multi.history, "single-head": single.history})

# %%
# What is left of the smaller N
# -----------------------------
# Both networks are asked every N from 2 to 10, with bits that are 1 with probability 1/2, so that no constant answer
# beats 1/2. The shade marks the Ns of the last epoch.


def plot_kept(training: ts.Training):
    """Plot the accuracy of a trained network on every N."""
    Ns = training.history[-1]["Ns"]
    trained = Ns[0], Ns[-1]
    return plot_forgetting(ts.analysis.forgetting(training.model, ts.Parity(), trained, Ns=range(2, 11)), trained)


kept = plot_kept(multi)

# %%
# The one head of the other network answers for every N.

forgotten = plot_kept(single)
