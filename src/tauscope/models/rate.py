"""What leaky, rectified and balanced units have in common: each adds up what it receives."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tauscope.models.cell import Cell, State
from tauscope.models.weights import Weight


class RateCell(Cell):
    """A layer of units driven by weighted sums, D = W r + V x + b (+ noise), with one matrix W of recurrent weights.

    What a unit does with its drive, and what it passes on as r, is for a subclass to say.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    input, recurrent : nn.Linear
        V and W, with biases or without.
    diagonal : bool
        Whether units receive from themselves; otherwise the diagonal of W counts for nothing.
    """

    weighted_sum = True
    off_diagonal: Tensor | None
    input_scale = 1.0

    def __init__(self, n_inputs: int, n_units: int, input: nn.Linear, recurrent: nn.Linear, diagonal: bool) -> None:
        super().__init__(n_inputs, n_units)
        self.input, self.recurrent = input, recurrent
        empty = (
            None if diagonal else 1 - torch.eye(n_units, dtype=recurrent.weight.dtype, device=recurrent.weight.device)
        )
        self.register_buffer("off_diagonal", empty, persistent=False)

    @property
    def recurrent_weights(self) -> Tensor:
        """W, ``[to, from]``, with its diagonal empty where units do not receive from themselves."""
        return self.recurrent.weight if self.off_diagonal is None else self.recurrent.weight * self.off_diagonal

    @property
    def inputs(self) -> dict[str, nn.Linear]:
        """What the input is multiplied with, by name, in the order of its channels; ``input`` comes last."""
        return {"input": self.input}

    def input_map(self) -> tuple[Tensor, Tensor]:
        """Return the weights ``[unit, channel]`` of all input channels and the sum of all biases ``[unit]``."""
        parts = list(self.inputs.values())
        weights = [part.weight for part in parts]
        weight = weights[0] if len(weights) == 1 else torch.cat(weights, dim=1)
        biases = [part.bias for part in (parts[-1], self.recurrent, *parts[:-1]) if part.bias is not None]
        return weight, sum(biases[1:], biases[0]) if biases else weight.new_zeros(self.n_units)

    def retention(self, x: Tensor, state: State) -> Tensor | None:
        """Return 1 - 1/τ for every sequence, where units have a τ."""
        del x
        return None if self.tau is None else (1 - 1 / self.tau).expand(len(state[0]), -1)

    def weights(self) -> Mapping[str, Weight]:
        """Return V, W and the biases."""
        pattern = 1.0 if self.off_diagonal is None else self.off_diagonal
        parts = self.inputs | {"recurrent": self.recurrent}
        return (
            {
                f"{name}.weight": Weight("input", part, "weight", scale=self.input_scale)
                for name, part in self.inputs.items()
            }
            | {"recurrent.weight": Weight("recurrent", self.recurrent, "weight", pattern)}
            | {f"{name}.bias": Weight("bias", part, "bias") for name, part in parts.items() if part.bias is not None}
        )

    def matrix(self, noise: Tensor | None, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights of inputs and noise, the bias, and inputs with the noise as further channels.

        A kernel that knows no noise then adds it to the drive as one more input, at the price of a product.
        """
        weight, bias = self.input_map()
        if noise is not None:
            weight = torch.cat([weight, torch.eye(self.n_units, dtype=weight.dtype, device=weight.device)], dim=1)
            inputs = torch.cat([inputs, noise], dim=-1)
        return weight, bias, inputs
