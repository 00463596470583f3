"""Networks that add to their state: h ← h + σ(U x + b - Λ h), with the decay inside the nonlinearity."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tauscope._draws import normal
from tauscope.errors import require_choice
from tauscope.models import init
from tauscope.models.cell import State, reference_of
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.names import RESIDUAL_ACTIVATIONS
from tauscope.models.timescales import TauMap
from tauscope.models.two_parts import Maps, TwoPartCell
from tauscope.models.weights import Weight

SLOWEST, FASTEST = 0.05, 0.95
"""Between which the initial decay rates a step are drawn, evenly in their logarithm."""


class DecayingCell(TwoPartCell):
    """A layer whose units or modes decay at trained rates λ a step, which a map gives; what they are driven by adds to them.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights: those of the input ~ U(±1/√n_inputs); λ from 0.05 to 0.95, evenly in log λ.
    n_rates : int
        Number of decay rates.
    tau_map : str
        How λ = 1/τ is parametrised, a name of `tauscope.models.TauMap`; all maps start from the same λ.
    """

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator, n_rates: int, tau_map: str) -> None:
        super().__init__(n_inputs, n_units)
        parametrised = TauMap(tau_map)
        self.tau_map = parametrised.name
        self.input = init.linear(self.n_inputs, self.n_units, generator)
        logs = init.uniform((n_rates,), math.log(SLOWEST), math.log(FASTEST), generator)
        self.raw_tau = nn.Parameter(parametrised.raw((-logs).exp()))

    @property
    def rate(self) -> Tensor:
        """Decay rates λ a step, ``[rate]``."""
        return TauMap(self.tau_map).rate(self.raw_tau)

    def project(self) -> None:
        """Keep rates that are trained themselves at 1e-4 or above."""
        TauMap(self.tau_map).project(self.raw_tau)

    def weights(self) -> Mapping[str, Weight]:
        """Return the weights of the input, its biases and τ."""
        tau_map = None if self.tau_map == "inverse" else TauMap(self.tau_map)
        least = 1.0 if tau_map is None else None
        return {
            "input.weight": Weight("input", self.input, "weight"),
            "input.bias": Weight("bias", self.input, "bias"),
            "raw_tau": Weight("tau", self, "raw_tau", least=least, tau_map=tau_map),
        }


class ResidualCell(DecayingCell):
    """A layer h ← h + σ(U x + b - Λ h (+ noise)) with trained decay rates λ a step.

    Λ is diag(λ), or Pᵀ diag(λ) P with a trained matrix P. The input is not multiplied with λ, unlike that of a `LeakyCell`: with
    σ the identity and W = 0 there, τ = 1/λ and W_in = U/λ give the same states.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights: U, b ~ U(±1/√n_inputs); λ from 0.05 to 0.95, evenly in log λ; P orthogonal.
    afunc : {"identity", "hardtanh", "tanh"}
        σ.
    tau_map : str
        How λ = 1/τ is parametrised, a name of `tauscope.models.TauMap`; all maps start from the same λ.
    mixed_decay : bool
        Whether there is a P.
    published_start : bool
        Start as published: w ~ N(0, 1) whatever the map. With ``direct``, where the published code cuts rates below 0 off by a relu,
        half of the units then begin at λ = 0 and stay there.

    Notes
    -----
    Source: Wang, Li & Li, ICLR 2024 (arXiv 2305.19190), and published code, with Δt = 1. Rates that are trained themselves
    (``direct``) are kept at 1e-4 or above by projection after every step of training; a perturbed one may be negative, and its
    unit's memory then grows.

    Examples
    --------
    >>> cell = ResidualCell(1, 4, torch.Generator().manual_seed(0), afunc="identity", tau_map="softplus")
    >>> x, (h,) = torch.ones(1, 1), (torch.ones(1, 4),)
    >>> drive = x @ cell.input.weight.t() + cell.input.bias - h / cell.tau
    >>> torch.allclose(cell.step(x, (h,))[0], h + drive)
    True
    """

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        generator: torch.Generator,
        afunc: str = "tanh",
        tau_map: str = "inverse",
        *,
        mixed_decay: bool = False,
        published_start: bool = False,
    ) -> None:
        require_choice("activation function", afunc, RESIDUAL_ACTIVATIONS)
        super().__init__(n_inputs, n_units, generator, n_units, tau_map)
        self.afunc, self.mixed_decay, self.published_start = afunc, mixed_decay, published_start
        if published_start:
            with torch.no_grad():
                self.raw_tau.copy_(normal((self.n_units,), generator))
            self.project()
        if mixed_decay:
            self.P = nn.Parameter(torch.linalg.qr(normal((self.n_units, self.n_units), generator))[0])

    @property
    def tau(self) -> Tensor:
        """Timescales 1/λ in steps, ``[unit]``."""
        return 1 / self.rate

    def maps(self) -> Maps:
        """Return what the input and the units are multiplied with; a unit's own decay is no product of matrices."""
        weight, bias = self.input.weight, self.input.bias
        if not self.mixed_decay:
            return Maps(weight, weight.new_zeros(0, self.n_units), bias)
        return Maps(weight, -(self.P.t() * self.rate) @ self.P, bias)

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation."""
        (h,) = state
        drive = z if self.mixed_decay else z - self.rate * h
        if noise is not None:
            drive = drive + noise
        return (h + ACTIVATIONS[self.afunc].function(drive),)

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence with what comes from outside before the loop; with a P or held states, by products at every step."""
        if self.mixed_decay or hold is not None:
            return super().sequence(inputs, state, noise=noise, hold=hold)
        (h,), states, phi = state, [], ACTIVATIONS[self.afunc].function
        rate, outside = self.rate, inputs @ self.input.weight.t() + self.input.bias
        for z in (outside if noise is None else outside + noise).unbind(0):
            h = h + phi(torch.addcmul(z, rate, h, value=-1))
            states.append(h)
        return torch.stack(states), (h,)

    def retention(self, x: Tensor, state: State) -> Tensor | None:
        """Return 1 - λ for every sequence, where every unit decays by itself."""
        del x
        return None if self.mixed_decay else (1 - self.rate).expand(len(state[0]), -1)

    def weights(self) -> Mapping[str, Weight]:
        """Return U, b, τ and P."""
        return {**super().weights(), **({"P": Weight("other", self, "P")} if self.mixed_decay else {})}


def margin_penalty(model: nn.Module) -> Tensor:
    """Return relu(1 - margin), the margin being the smallest positive decay rate of a network; 0 without any.

    Wang, Li & Li (ICLR 2024, published code) add 0.01 times it to the loss in training.

    Examples
    --------
    >>> cell = ResidualCell(1, 3, torch.Generator().manual_seed(0))
    >>> bool(margin_penalty(cell) == 1 - cell.rate.min())
    True
    """
    rates = [cell.rate for cell in model.modules() if isinstance(cell, DecayingCell)]
    positive = [rate[rate > 0].min() for rate in rates if (rate > 0).any()]
    return (1 - torch.stack(positive).min()).relu() if positive else reference_of(model).new_zeros(())
