"""Clones of experts that act in a closed loop (after Tumma et al., ICLR 2024)."""

from __future__ import annotations

from tauscope.learning.recipe import Recipe
from tauscope.runs.config.setup import Network, Setup
from tauscope.tasks.cloning import Cloning

CLONING = Setup(
    Cloning(),
    network=Network(cell="cfc", num_neurons=64),
    recipe=Recipe(epochs=10, steps_per_epoch=30, batch_size=16, test_steps=4, optimizer="adam", lr=3e-3, clip=1.0),
    schedule="geometric",
)
"""The defaults are ours, 300 steps in all: the paper's are not known."""
