"""Named read-out heads, of which only those that are asked are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_at_least
from tauscope.models import init
from tauscope.models.weights import Weight


class Heads(nn.Module):
    """Linear read-outs of the top layer, one for each label.

    Parameters
    ----------
    n_units : int
        Number of units that are read.
    labels : sequence of int
        Label of every head; N for the memory tasks.
    n_outputs : int
        Outputs of every head.
    shared : bool
        Whether the first head answers every label, as in single-head training.
    generator : torch.Generator
        Source of the initial weights.
    bias : bool
        Whether a head has a bias.

    Notes
    -----
    Each head is a parameter of its own, so that an optimiser neither moves nor decays a head that was not asked;
    the asked ones are stacked for one product.
    """

    def __init__(
        self,
        n_units: int,
        labels: Sequence[int],
        n_outputs: int,
        shared: bool,
        generator: torch.Generator,
        bias: bool = True,
    ) -> None:
        super().__init__()
        require_at_least("number of heads", len(labels), 1)
        self.labels = tuple(labels)
        self.shared = shared
        self.linears = nn.ModuleList(init.linear(n_units, n_outputs, generator, bias) for _ in self.labels)

    def index(self, label: int) -> int:
        """Return the position of the head that answers a label.

        Raises
        ------
        InputError
            If no head has that label.
        """
        if self.shared:
            return 0
        if label not in self.labels:
            low, high = self.labels[0], self.labels[-1]
            closest = min(self.labels, key=lambda known: abs(known - label))
            raise InputError(f"no head for N = {label}: expected N = {low} ... {high} (nearest valid value: {closest})")
        return self.labels.index(label)

    def asked(self, label: int | Sequence[int]) -> list[nn.Linear]:
        """Return the heads that answer a label, or several."""
        return [cast(nn.Linear, self.linears[self.index(one)]) for one in np.atleast_1d(label).tolist()]

    def weights(self) -> dict[str, Weight]:
        """Return weights and biases of all heads, by their names among the read-outs."""
        found: dict[str, Weight] = {}
        for i, head in enumerate(self.linears):
            found[f"linears.{i}.weight"] = Weight("readout", head, "weight")
            if head.bias is not None:
                found[f"linears.{i}.bias"] = Weight("bias", head, "bias")
        return found

    def forward(self, hidden: Tensor, label: int | Sequence[int]) -> Tensor:
        """Read heads out.

        Parameters
        ----------
        hidden : Tensor [..., unit]
            States of the top layer.
        label : int or sequence of int
            Which heads.

        Returns
        -------
        Tensor [..., output], or [..., head, output] for a sequence of labels
            Logits.
        """
        heads = self.asked(label)
        weight = torch.cat([head.weight for head in heads])
        biases: list[Tensor] = [head.bias for head in heads if head.bias is not None]
        # The few outputs first and the many states last: the other order takes up to ten times as long where the batch is
        # stored innermost, and gives back a gradient that has to be transposed.
        states = hidden.reshape(-1, hidden.shape[-1])
        transposed = states.t()
        outputs = torch.addmm(torch.cat(biases)[:, None], weight, transposed) if biases else weight @ transposed
        outputs = outputs.t().view(*hidden.shape[:-1], len(weight))
        return outputs if np.ndim(label) == 0 else outputs.unflatten(-1, (len(heads), -1))
