"""A state-space layer: linear modes that decay and oscillate, the diagonal kernel of S4D, in real numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_count
from tauscope.models.cell import State
from tauscope.models.residual import DecayingCell
from tauscope.models.two_parts import Maps
from tauscope.models.weights import Weight


class SSMCell(DecayingCell):
    """A layer of complex modes z ← e^(-λ + iω) z + B x + b (+ noise), whose real parts and imaginary parts are units.

    Units come in two halves, Re z and Im z, so that a linear read-out of all of them is Re(C z) with complex C. Decay rates λ and
    frequencies ω are trained.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input; twice the number of modes.
    generator : torch.Generator
        Source of the initial weights: B, b ~ U(±1/√n_inputs); λ from 0.05 to 0.95, evenly in log λ. Frequencies begin evenly between 0
        and π, from a mode that does not oscillate to near one that changes its sign at every step.
    tau_map : str
        How λ = 1/τ is parametrised, a name of `tauscope.models.TauMap`; all maps start from the same λ.

    Raises
    ------
    InputError
        If the number of units is odd.

    Notes
    -----
    Source: the layer of Wang & Li, ICML 2024 (arXiv 2311.14495), after S4D (Gu et al., NeurIPS 2022), with a step of 1 and no
    discretisation of B. A mode keeps e^-λ of itself, below 1 whatever a stable map gives, unlike 1 - λ of a `ResidualCell`.

    Examples
    --------
    >>> cell = SSMCell(1, 4, torch.Generator().manual_seed(0))
    >>> states, _ = cell.sequence(torch.ones(6, 3, 1), cell.initial_state(3))
    >>> states.shape, cell.tau.shape
    (torch.Size([6, 3, 4]), torch.Size([4]))
    """

    elementwise = False

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator, tau_map: str = "inverse") -> None:
        require_count("number of units", n_units)
        if n_units % 2:
            raise InputError(
                f"number of units is {n_units}: expected an even number, two for each mode, such as {n_units + 1}"
            )
        n_modes = n_units // 2
        super().__init__(n_inputs, n_units, generator, n_modes, tau_map)
        modes = torch.arange(n_modes, dtype=torch.float32, device=generator.device)
        self.frequency = nn.Parameter(math.pi * modes / n_modes)

    @property
    def tau(self) -> Tensor:
        """Timescales 1/λ in steps, ``[unit]``."""
        return (1 / self.rate).repeat(2)

    def maps(self) -> Maps:
        """Return what the input is multiplied with; modes are no product of matrices."""
        weight = self.input.weight
        return Maps(weight, weight.new_zeros(0, self.n_units), self.input.bias)

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation."""
        moved = z + self._turned(state[0], *self._turn())
        return (moved if noise is None else moved + noise,)

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence with what comes from outside before the loop; with held states, by the loop over steps."""
        if hold is not None:
            return super().sequence(inputs, state, noise=noise, hold=hold)
        (h,), states, turn = state, [], self._turn()
        outside = inputs @ self.input.weight.t() + self.input.bias
        for z in (outside if noise is None else outside + noise).unbind(0):
            h = z + self._turned(h, *turn)
            states.append(h)
        return torch.stack(states), (h,)

    def weights(self) -> Mapping[str, Weight]:
        """Return B, b, τ and ω."""
        return {**super().weights(), "frequency": Weight("other", self, "frequency")}

    def _turn(self) -> tuple[Tensor, Tensor]:
        """Return real and imaginary part of what every mode is multiplied with."""
        kept = (-self.rate).exp()
        return kept * self.frequency.cos(), kept * self.frequency.sin()

    @staticmethod
    def _turned(h: Tensor, along: Tensor, across: Tensor) -> Tensor:
        real, imaginary = h.chunk(2, dim=-1)
        return torch.cat([along * real - across * imaginary, across * real + along * imaginary], dim=-1)
