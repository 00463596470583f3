"""Chaotic series and digits, by spiking units (after Chakraborty et al., ICLR 2024)."""

from __future__ import annotations

from tauscope.learning.recipe import Recipe
from tauscope.runs.config.setup import Network, Setup
from tauscope.tasks.digits import Digits
from tauscope.tasks.series import Series

SERIES = Setup(
    Series(),
    network=Network(cell="lif", num_neurons=120),
    recipe=Recipe(epochs=50, steps_per_epoch=50, batch_size=32, test_steps=10, optimizer="adam", lr=3e-3, clip=1.0),
)
"""The defaults are ours: the paper's networks are pruned before they are trained, and no published option is known."""

DIGITS = Setup(
    Digits(),
    network=Network(cell="lif", num_neurons=120),
    recipe=Recipe(epochs=50, steps_per_epoch=50, batch_size=32, test_steps=10, optimizer="adam", lr=3e-3, clip=1.0),
)
