"""What the outputs of a network say of the next action: a choice, or real numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from tauscope._lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class Policy(Protocol):
    """A distribution of actions."""

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return an action for every trial of ``outputs [batch, output]``."""

    def judge(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithm of the probability (density) of actions, and the entropy of the distribution, ``[time, batch]``."""


class Choices:
    """One of several actions, with a logit for each.

    Examples
    --------
    >>> log_probability, entropy = Choices().judge(torch.zeros(1, 1, 4), torch.tensor([[2]]))
    >>> bool(torch.isclose(-log_probability, entropy))
    True
    """

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return actions, as `Policy` says: ``[batch]``, whole numbers."""
        return torch.multinomial(outputs.softmax(dim=-1), 1, generator=generator).squeeze(-1)

    def judge(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probability and entropy, as `Policy` says, in nats."""
        log_policy = outputs.log_softmax(dim=-1)
        entropy = -(log_policy.exp() * log_policy).sum(dim=-1)
        return log_policy.gather(-1, actions.unsqueeze(-1)).squeeze(-1), entropy


class Gaussian:
    """Independent normal numbers: their means, and behind these the logarithms of their standard deviations.

    Examples
    --------
    >>> log_density, entropy = Gaussian().judge(torch.zeros(1, 1, 2), torch.zeros(1, 1, 1))
    >>> bool(torch.isclose(entropy + log_density, torch.tensor(0.5)))
    True
    """

    spreads = (-5.0, 2.0)
    """Between which logarithms of standard deviations are kept, so that a density stays finite."""

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return actions, as `Policy` says: ``[batch, action]``."""
        mean, spread = self._parts(outputs)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + spread.exp() * noise

    def judge(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-density and differential entropy, as `Policy` says, in nats."""
        mean, spread = self._parts(outputs)
        usual = spread + 0.5 * math.log(2 * math.pi)
        error = (actions - mean) / spread.exp()
        return -(0.5 * error.square() + usual).sum(dim=-1), (usual + 0.5).sum(dim=-1)

    def _parts(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = outputs.chunk(2, dim=-1)
        return mean, spread.clamp(*self.spreads)
