"""The pointwise part of leaky units whose nonlinearity stands outside the leak, with its derivative in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.two_parts import State


class LeakyUnits:
    """h ← (1 - α) h + α φ(z) (+ noise), with fixed α.

    Parameters
    ----------
    afunc : str
        Name of φ.
    alpha : Tensor [unit]
        α.

    Examples
    --------
    >>> LeakyUnits("relu", torch.tensor([0.25])).plain(torch.ones(1, 1), (torch.zeros(1, 1),), None)
    (tensor([[0.2500]]),)
    """

    def __init__(self, afunc: str, alpha: Tensor) -> None:
        self._phi, self._alpha, self._keep = ACTIVATIONS[afunc], alpha, 1 - alpha

    def plain(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by operations that torch differentiates."""
        h = self._keep * state[0] + self._alpha * self._phi.function(z)
        return (h if noise is None else h + noise,)

    def forward(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state; z then holds φ(z)."""
        self._phi.into(z, z)
        h = torch.lerp(state[0], z, self._alpha)
        return (h if noise is None else h.add_(noise),)

    def backward(
        self, z: Tensor, state: State, gradients: Sequence[Tensor | None], delta: tuple[Tensor, ...]
    ) -> tuple[Tensor | None, ...]:
        """Return gradients, as `UnitWise` says."""
        del state
        g, (of_z,) = gradients[0], delta
        if g is None:
            of_z.zero_()
            return (None,)
        torch.mul(g, self._alpha, out=of_z)
        self._phi.backward(of_z, z, of_z)
        return (g * self._keep,)
