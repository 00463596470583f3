"""What must be said again after a while, by networks that learn online (Irie, Gopalakrishnan & Schmidhuber, ICLR 2024)."""

from __future__ import annotations

from tauscope.learning.recipe import Recipe
from tauscope.runs.config.setup import Network, Setup
from tauscope.tasks.cues import Copy, Cue, CueGame
from tauscope.tasks.gym import Gymnasium

COPY = Setup(
    Copy(),
    network=Network(cell="elstm", num_neurons=64),
    recipe=Recipe(
        epochs=100, steps_per_epoch=50, batch_size=32, test_steps=10, optimizer="adam", lr=3e-3, clip=1.0, eps=1e-9
    ),
)
"""Half a minute of one processor at the defaults; the published task has up to 50 or 500 bits and 2048 units."""

CUE = Setup(
    Cue(),
    network=Network(cell="elstm", num_neurons=64),
    recipe=Recipe(epochs=50, steps_per_epoch=100, batch_size=32, test_steps=10, optimizer="adam", lr=2e-3, clip=1.0),
)

CUE_GAME = Setup(
    CueGame(),
    network=Network(cell="elstm", num_neurons=64),
    recipe=Recipe(epochs=50, steps_per_epoch=24, batch_size=16, test_steps=13, optimizer="adam", lr=2e-3, clip=40.0),
)
"""An epoch has 24 · 16 episodes, 8064 frames at the default span; it ends with 208 episodes of a test."""

GYMNASIUM = Setup(
    Gymnasium(),
    network=Network(cell="elstm", num_neurons=64),
    recipe=Recipe(epochs=50, steps_per_epoch=10, batch_size=16, test_steps=4, optimizer="adam", lr=2e-3, clip=40.0),
)
"""An epoch has 160 episodes and a test of 64, with the other values of `CUE_GAME`."""
