"""Closed-form continuous-time units: two candidates, and a gate between them that moves with the time a step takes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tauscope._draws import require_generator
from tauscope.errors import InputError, require_instance
from tauscope.models import init
from tauscope.models.cell import State
from tauscope.models.two_parts import Maps, TwoPartCell
from tauscope.models.weights import Weight

GATES = ("first", "second", "rate", "offset")
"""Blocks of the weights, each of one row for every unit."""


class CfCCell(TwoPartCell):
    """A closed-form continuous-time layer: h ← (1 - t) ⊙ f + t ⊙ g (+ noise), t = σ(a Δt + b).

    f = tanh(z_f), g = tanh(z_g), a and b are four linear maps of the input and the units, with biases.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights: W and U of each map together Xavier-uniform on [x; h], biases 0.
    timed : bool
        Whether the last channel of the input is Δt, the time since the step before, for records at uneven times;
        otherwise Δt = 1.

    Raises
    ------
    InputError
        If the only channel is the time.

    Notes
    -----
    Source: Hasani et al., Nature Machine Intelligence 4, 992 (2022); initial weights and parametrisation of the form without a
    backbone, whose recurrent maps are matrices between units, as in the published library. What the gate keeps is another
    candidate, not the state, so that no share of the state is retained by it.

    Examples
    --------
    >>> cell = CfCCell(2, 4, torch.Generator().manual_seed(0))
    >>> cell.step(torch.ones(3, 2), cell.initial_state(3))[0].shape
    torch.Size([3, 4])
    """

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator, *, timed: bool = False) -> None:
        super().__init__(n_inputs, n_units)
        require_generator(generator)
        require_instance("timed", timed, bool, "true or false")
        shown = self.n_inputs - timed
        if shown < 1:
            raise InputError(f"{n_inputs} channels of the input, timed {timed}: expected one beside the time")
        self.timed = timed
        rows = len(GATES) * self.n_units
        bound = (6 / (shown + 2 * self.n_units)) ** 0.5
        self.input = init.linear_of(init.uniform((rows, shown), -bound, bound, generator))
        self.recurrent = init.linear_of(init.uniform((rows, self.n_units), -bound, bound, generator), bias=False)

    def maps(self) -> Maps:
        """Return the four maps, and before them, where steps are timed, Δt for every unit."""
        maps = Maps.of(self.input, self.recurrent)
        if not self.timed:
            return maps
        time = maps.input.new_zeros(self.n_units, self.n_inputs)
        time[:, -1] = 1.0
        shown = torch.nn.functional.pad(maps.input, (0, 1))
        return Maps(torch.cat([time, shown]), maps.recurrent, torch.cat([maps.bias.new_zeros(self.n_units), maps.bias]))

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation; z has the rows that `maps` says."""
        del state  # what is kept is another candidate
        first, second, rate, offset = z[:, -len(GATES) * self.n_units :].chunk(len(GATES), dim=-1)
        if self.timed:
            rate = rate * z[:, : self.n_units]
        h = torch.lerp(torch.tanh(first), torch.tanh(second), torch.sigmoid(rate + offset))
        return (h if noise is None else h + noise,)

    def weights(self) -> Mapping[str, Weight]:
        """Return W, U and the biases, the four maps stacked."""
        return {
            "input.weight": Weight("input", self.input, "weight", gates=GATES),
            "recurrent.weight": Weight("recurrent", self.recurrent, "weight", gates=GATES),
            "input.bias": Weight("bias", self.input, "bias", gates=GATES),
        }
