"""A layer without a memory, for comparison."""

from __future__ import annotations

import torch
from torch import Tensor

from tauscope.models import ElementwiseCell, State


class MemorylessCell(ElementwiseCell):
    """h ← tanh(W x + b): what is seen now alone, a feed-forward layer."""

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation."""
        del state
        return (torch.tanh(z if noise is None else z + noise),)
