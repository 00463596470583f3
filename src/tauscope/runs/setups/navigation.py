"""Navigation of Krishna et al. (2024): noisy networks that integrate displacements in a box, or turns of the head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.recipe import Recipe
from tauscope.models.names import NOISES, NOISY_CELLS, TIMESCALES
from tauscope.runs.config.base import OWN_CLASS, check_options, option, values
from tauscope.runs.config.setup import Setup, cell_of, outputs
from tauscope.tasks import HeadDirection, PathIntegration, Stage, Task

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model
    from tauscope.tasks import Head


@dataclass(frozen=True)
class Noisy:
    """One layer of noisy units that starts from the code of the first position, and a linear read-out; no biases.

    Examples
    --------
    >>> import torch
    >>> task = HeadDirection(n_cells=8)
    >>> model = Noisy(num_neurons=5).build(task, task.heads, torch.Generator().manual_seed(0))
    >>> model.initial_state(3, start=torch.ones(3, 8))[0][0].shape
    torch.Size([3, 5])
    """

    cell: str = option("noisy_rate", "noisy_rate, noisy_gru, or a cell of your own as module:Class",
                       choices=(*NOISY_CELLS, OWN_CLASS), group="network")  # fmt: skip
    num_neurons: int = option(512, "units", "nn", group="network", at_least=1)
    tau: float = option(5.0, "timescale of the units in steps (>= 1)", "T", group="network", at_least=1.0,
                        cells=NOISY_CELLS)  # fmt: skip
    timescales: str = option("equal", "the same timescale for all units, or of their own for each: fixed (different), or trained",
                             choices=TIMESCALES, group="network", cells=("noisy_rate",))  # fmt: skip
    sigma: float = option(0.01, "size of the noise that is added to the state at every step", group="network",
                          at_least=0.0, cells=NOISY_CELLS)  # fmt: skip
    noise: str = option("normal", "distribution of the noise: normal, or uniform on [0, 1) as in the published code",
                        choices=NOISES, group="network", cells=NOISY_CELLS)  # fmt: skip

    def __post_init__(self) -> None:
        check_options(self)

    def build(self, task: Task, heads: Mapping[str, Head], generator: torch.Generator) -> Model:
        """Return the network for a task, with fresh weights."""
        from tauscope.models import Cell, Heads, Model, NoisyGRUCell, NoisyRateCell, init

        n_units, n_cells = self.num_neurons, outputs(heads)
        noisy: dict[str, Any] = values(self, "tau", "sigma", "noise")
        cell: Cell
        if self.cell == "noisy_rate":
            cell = NoisyRateCell(task.n_inputs, n_units, generator, timescales=self.timescales, **noisy)
        elif self.cell == "noisy_gru":
            cell = NoisyGRUCell(task.n_inputs, n_units, generator, **noisy)
        else:
            cell = cell_of(self.cell, task.n_inputs, n_units, generator)
        readout = Heads(n_units, tuple(heads), n_cells, False, generator, bias=False)
        return Model([cell], readout, start=init.linear(n_cells, n_units, generator, bias=False))


@dataclass(frozen=True)
class OneLength:
    """One stage, named by the steps of its trials, for all epochs, each of which keeps the network.

    Examples
    --------
    >>> [stage.name for stage in OneLength().build(HeadDirection(n_steps=50)).stages]
    ['steps50']
    """

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start."""
        name = f"steps{getattr(task, 'n_steps', 1)}"
        return Curriculum([Stage(name, {}, tuple(task.heads))], Criterion(task.metric, goes_on=True))


def _recipe(epochs: int) -> Recipe:
    return Recipe(
        epochs=epochs, steps_per_epoch=100, batch_size=200, test_steps=2, optimizer="adam", lr=1e-3, clip=math.inf
    )


PATH_INTEGRATION = Setup(PathIntegration(), network=Noisy(), teaching=OneLength(), recipe=_recipe(25))
"""The published options: 512 units and place cells, α = 0.2, σ² = 1e-4, 2500 optimiser steps of 200 walks."""

HEAD_DIRECTION = Setup(
    HeadDirection(), network=Noisy(num_neurons=128, tau=2.0, sigma=0.1), teaching=OneLength(), recipe=_recipe(200)
)
"""The published options: 128 units, 512 cells, α = 0.5, σ² = 1e-2, 20 000 optimiser steps of 200 trials."""
