"""Networks that are trained under noise of their own, added to the state at every step."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tauscope._draws import normal, uniform
from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.models import init
from tauscope.models.cell import Cell, State
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.unit_wise import UnitWise
from tauscope.models.kernels.units import LeakyUnits
from tauscope.models.names import NOISES, TIMESCALES
from tauscope.models.rate import RateCell
from tauscope.models.two_parts import Maps, TwoPartCell
from tauscope.models.weights import Weight


class NoisyCell(Cell):
    """A layer that adds σ ξ to its state at every step, drawn anew for every unit, trial and step.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.

    Attributes
    ----------
    sigma : float
        σ, not scaled by the time step.
    noise : {"normal", "uniform"}
        ξ, standard normal, or uniform on [0, 1).
    """

    sigma: float
    noise: str

    def _set_noise(self, sigma: float, noise: str) -> None:
        require_at_least("sigma", sigma, 0.0)
        require_choice("noise", noise, NOISES)
        self.sigma, self.noise = sigma, noise

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Draw σ ξ for a sequence, ``[time, batch, unit]``; ``None`` where σ is 0."""
        if self.sigma == 0:
            return None
        draw = normal if self.noise == "normal" else uniform
        like = next(self.parameters())
        return draw((n_steps, batch_size, self.n_units), generator).mul_(self.sigma).to(like)


class NoisyRateCell(RateCell, TwoPartCell, NoisyCell):
    """A layer of noisy leaky units: h ← (1 - α) h + α φ(W h + V x + b) + σ ξ, with α = 1 / τ.

    Source: Krishna, Bredenberg, Levenstein, Richards & Lajoie, ICLR 2024, and their published code.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√fan-in), and of different timescales.
    tau : float
        Timescale τ in steps, at least 1: of all units, or the geometric mean of the units'.
    timescales : {"equal", "different", "trained"}
        One τ for all units; τ of its own for every unit, fixed, uniform in log τ on [1, τ²]; or such a start, trained
        together with the weights.
    sigma : float
        Size σ of the noise of a step.
    noise : {"normal", "uniform"}
        ξ. The published code draws uniform numbers on [0, 1), which push every unit by σ / 2 a step: a constant offset
        σ / (2 α), with a standard deviation of only σ / √12.
    afunc : {"relu", "leakyrelu", "tanh", "sigmoid"}
        φ.
    bias : bool
        Whether there are biases; published networks have none.
    diagonal : bool
        Whether units receive from themselves; published networks do.

    Notes
    -----
    A unit without recurrence has the stationary variance σ² / (1 - (1 - α)²) under normal noise. Trained timescales are
    exp(log τ), and no smaller than 1.

    Examples
    --------
    >>> cell = NoisyRateCell(2, 4, torch.Generator().manual_seed(0), tau=5, sigma=0.1)
    >>> noise = cell.draw_noise(3, 2, torch.Generator().manual_seed(1))
    >>> states, last = cell.sequence(torch.zeros(3, 2, 2), cell.initial_state(2), noise=noise)
    >>> states.shape, cell.tau
    (torch.Size([3, 2, 4]), tensor([5., 5., 5., 5.]))
    """

    log_tau: Tensor

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        generator: torch.Generator,
        *,
        tau: float = 5.0,
        timescales: str = "equal",
        sigma: float = 0.01,
        noise: str = "normal",
        afunc: str = "relu",
        bias: bool = False,
        diagonal: bool = True,
    ) -> None:
        require_choice("activation function", afunc, ACTIVATIONS)
        require_choice("timescales", timescales, TIMESCALES)
        require_at_least("tau", tau, 1.0)
        if not math.isfinite(tau):
            raise InputError(f"tau is {tau}: expected a finite number of steps, such as 5")
        input = init.linear(n_inputs, n_units, generator, bias)
        super().__init__(n_inputs, n_units, input, init.linear(n_units, n_units, generator, bias), diagonal)
        self._set_noise(sigma, noise)
        self.afunc, self.timescales = afunc, timescales
        log_tau = torch.full_like(input.weight[:, 0].detach(), math.log(tau))
        if timescales != "equal":
            log_tau = init.uniform((n_units,), 0.0, 2 * math.log(tau), generator)
        if timescales == "trained":
            self.log_tau = nn.Parameter(log_tau)
        else:
            self.register_buffer("log_tau", log_tau)

    @property
    def tau(self) -> Tensor:
        """Timescales in steps, at least 1, ``[unit]``."""
        return self.log_tau.exp().clamp(min=1.0)

    def maps(self) -> Maps:
        """Return V, W and the bias."""
        weight, bias = self.input_map()
        return Maps(weight, self.recurrent_weights, bias)

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation; rows of z: the drive of every unit."""
        alpha = 1 / self.tau
        h = (1 - alpha) * state[0] + alpha * ACTIVATIONS[self.afunc].function(z)
        return (h if noise is None else h + noise,)

    def unit_wise(self) -> UnitWise | None:
        """Return the units with their derivatives in closed form, unless their timescales are trained."""
        if self.log_tau.requires_grad:
            return super().unit_wise()
        return LeakyUnits(self.afunc, 1 / self.tau)


class NoisyGRUCell(NoisyCell):
    """A continuous-time GRU under noise: h ← h + α (1 - z) (u - h) + σ ξ.

    z = σ(W_z x + U_z h), r = σ(W_r x + U_r h), u = tanh(W x + U (r ⊙ h)), without biases; z = 1 holds the state. Source:
    Krishna et al., ICLR 2024, published code.

    Parameters
    ----------
    n_inputs, n_units, generator, tau, sigma, noise
        As in `NoisyRateCell`; all units have the same τ.

    Notes
    -----
    Sequences run by the loop over `step`: what U multiplies is known only after the reset gate.

    Examples
    --------
    >>> cell = NoisyGRUCell(2, 4, torch.Generator().manual_seed(0))
    >>> cell.step(torch.ones(3, 2), cell.initial_state(3))[0].shape
    torch.Size([3, 4])
    """

    gates = ("reset", "update", "new")

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        generator: torch.Generator,
        *,
        tau: float = 5.0,
        sigma: float = 0.01,
        noise: str = "normal",
    ) -> None:
        super().__init__(n_inputs, n_units)
        require_at_least("tau", tau, 1.0)
        self._set_noise(sigma, noise)
        self.alpha = 1 / tau
        self.input = init.linear(n_inputs, 3 * n_units, generator, bias=False)
        self.recurrent = init.linear(n_units, 3 * n_units, generator, bias=False)

    @property
    def tau(self) -> Tensor:
        """Timescales in steps, 1 / α for every unit, ``[unit]``."""
        return torch.full_like(self.input.weight[: self.n_units, 0].detach(), 1 / self.alpha)

    def weights(self) -> Mapping[str, Weight]:
        """Return the weights of input and units, the gates stacked."""
        return {
            "input.weight": Weight("input", self.input, "weight", gates=self.gates),
            "recurrent.weight": Weight("recurrent", self.recurrent, "weight", gates=self.gates),
        }

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return 1 - α (1 - z)."""
        n = self.n_units
        z = torch.sigmoid(x @ self.input.weight[n : 2 * n].t() + state[0] @ self.recurrent.weight[n : 2 * n].t())
        return 1 - self.alpha * (1 - z)

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        (h,), n = state, self.n_units
        from_x, weight = x @ self.input.weight.t(), self.recurrent.weight
        r, z = torch.sigmoid(from_x[:, : 2 * n] + h @ weight[: 2 * n].t()).chunk(2, dim=-1)
        u = torch.tanh(from_x[:, 2 * n :] + (r * h) @ weight[2 * n :].t())
        h = h + self.alpha * (1 - z) * (u - h)
        return (h if noise is None else h + noise,)
