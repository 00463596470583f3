"""Balanced networks: noisy rate units whose strong input is cancelled by recurrent inhibition."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from tauscope._draws import normal
from tauscope.errors import DivergedError, InputError, require_at_least, require_choice, require_count
from tauscope.models.cell import State
from tauscope.models.init import linear_of
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.rate import rate_recurrence
from tauscope.models.model import Model
from tauscope.models.names import BALANCED_STARTS
from tauscope.models.rate import RateCell
from tauscope.models.readout import Heads
from tauscope.models.weights import Weight

RELAXATION = 100.0
"""Time, in units of τ, after which the noiseless network is taken to be at rest."""

_EI_MEANS = ((1.0, -2.0), (1.0, -1.8))


def random_balanced(n_units: int, g: float, balance: float, generator: torch.Generator) -> Tensor:
    """Draw recurrent weights g/√N Z - b/N, Z standard normal, with an empty diagonal.

    Parameters
    ----------
    n_units : int
        N.
    g : float
        Spread of the weights; the spectral radius of their random part is close to it.
    balance : float
        b, the strength of the common inhibition.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    Tensor [to, from]
        The weights.

    Examples
    --------
    >>> random_balanced(4, 0.0, 2.0, torch.Generator())[0]
    tensor([ 0.0000, -0.5000, -0.5000, -0.5000])
    """
    noise = normal((n_units, n_units), generator)
    return (g / math.sqrt(n_units) * noise - balance / n_units).fill_diagonal_(0)


def excitatory_inhibitory(n_units: int, g: float, generator: torch.Generator) -> Tensor:
    """Draw weights of an excitatory half (first) and an inhibitory half: block means over N/2, plus g/√N Z.

    The means are J_EE = J_IE = 1, J_EI = -2 and J_II = -1.8, those of van Vreeswijk & Sompolinsky, Science 274, 1724
    (1996); the diagonal is empty.

    Parameters
    ----------
    n_units : int
        N, even.
    g : float
        Spread of the weights.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    Tensor [to, from]
        The weights.

    Raises
    ------
    InputError
        If N is odd.

    Examples
    --------
    >>> excitatory_inhibitory(4, 0.0, torch.Generator())[3]
    tensor([ 0.5000,  0.5000, -0.9000,  0.0000])
    """
    if n_units % 2:
        raise InputError(
            f"number of units is {n_units}: expected an even one with start 'ei' (nearest valid value: {n_units + 1})"
        )
    half = n_units // 2
    means = torch.tensor(_EI_MEANS, dtype=torch.float32, device=generator.device)
    means = means.repeat_interleave(half, 0).repeat_interleave(half, 1)
    return (random_balanced(n_units, g, 0.0, generator) + means / half).fill_diagonal_(0)


class BalancedCell(RateCell):
    """A layer of noisy rate units: x ← x + dt (-x + J φ(x) + W s / S + b) + σ √dt ξ, with time in units of τ.

    J has no diagonal, b is 0 and not trained. Source: Engelken & Goedeke, NeurIPS 2022, and their published code.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels S of the input, number of units N.
    generator : torch.Generator
        Source of the initial weights.
    start : {"balanced", "ei"}
        J from `random_balanced`, or from `excitatory_inhibitory`.
    balance : float
        b of `random_balanced`; an excitatory-inhibitory start has none.
    g : float
        Spread of J.
    dt : float
        Time step over τ, in (0, 1].
    sigma : float
        Strength σ of the private noise; a unit alone has variance σ² / (2 - dt).
    afunc : {"relu", "leakyrelu", "tanh", "sigmoid"}
        φ.
    mean_input : float
        Mean of every channel, under which `settle` finds the initial state.

    Attributes
    ----------
    rest : Tensor [unit]
        The state before the first step, of the weights at the last call of `settle`.

    Notes
    -----
    ``noise`` of `step` and `sequence` is standard normal, from `draw_noise`; without it, the network is noiseless. The
    published code sets the diagonal to zero before every training step, so that a gradient still moves it in between;
    here it counts for nothing and gets none. A step multiplies a mode of J φ' with the eigenvalue λ by 1 - dt (1 - λ):
    it is stable down to λ = 1 - 2/dt, -9 with the published time step, beyond which the discrete network oscillates.

    Examples
    --------
    >>> cell = BalancedCell(1, 4, torch.Generator().manual_seed(0))
    >>> noise = cell.draw_noise(1, 2, torch.Generator().manual_seed(1))
    >>> cell.step(torch.ones(2, 1), cell.initial_state(2), noise[0])[0].shape
    torch.Size([2, 4])
    """

    rest: Tensor
    bias: Tensor

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        generator: torch.Generator,
        *,
        start: str = "balanced",
        balance: float = 1.0,
        g: float = 0.032,
        dt: float = 0.2,
        sigma: float = 1.0,
        afunc: str = "relu",
        mean_input: float = 1.0,
    ) -> None:
        require_count("number of units", n_units)
        require_count("number of inputs", n_inputs)
        require_choice("start", start, BALANCED_STARTS)
        require_choice("activation function", afunc, ACTIVATIONS)
        for name, value in (("balance", balance), ("g", g), ("sigma", sigma)):
            require_at_least(name, value, 0.0)
        if not 0 < dt <= 1:
            raise InputError(f"dt is {dt}: expected a time step over τ in (0, 1], such as 0.2")
        noise = normal((n_units, n_inputs), generator)
        input = linear_of(1 + 0.01 * noise, bias=False)
        if start == "balanced":
            recurrent = linear_of(random_balanced(n_units, g, balance, generator), bias=False)
        else:
            recurrent = linear_of(excitatory_inhibitory(n_units, g, generator), bias=False)
        super().__init__(n_inputs, n_units, input, recurrent, diagonal=False)
        self.dt, self.sigma, self.afunc, self.mean_input = dt, sigma, afunc, mean_input
        self.input_scale = 1 / n_inputs
        self.register_buffer("bias", torch.zeros_like(input.weight[:, 0]))
        self.register_buffer("rest", torch.zeros_like(input.weight[:, 0]))
        self.settle()

    @property
    def tau(self) -> Tensor:
        """Timescales in steps, 1/dt for every unit, ``[unit]``."""
        return torch.full_like(self.rest, 1 / self.dt)

    def input_map(self) -> tuple[Tensor, Tensor]:
        """Return what the input is multiplied with, W / S ``[unit, channel]``, and the bias ``[unit]``."""
        return self.input.weight / self.n_inputs, self.bias

    def weights(self) -> Mapping[str, Weight]:
        """Return W, J and the bias."""
        return {**super().weights(), "bias": Weight("bias", self, "bias")}

    def rates(self, states: Tensor) -> Tensor:
        """Return φ(x) for states x of any shape."""
        return ACTIVATIONS[self.afunc].function(states)

    def gains(self, states: Tensor) -> Tensor:
        """Return φ'(x) for states x of any shape; for "relu", 1 for every active unit and 0 for the others."""
        gains = torch.empty_like(states)
        ACTIVATIONS[self.afunc].backward(torch.ones_like(states), self.rates(states), gains)
        return gains

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor:
        """Draw the private noise of a sequence, standard normal, ``[time, batch, unit]``."""
        return normal((n_steps, batch_size, self.n_units), generator).to(self.rest)

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        """Return the state of rest, the same for the whole batch."""
        del generator
        return (self.rest.expand(batch_size, -1),)

    @torch.no_grad()
    def settle(self) -> None:
        """Let the noiseless network run under the mean input for 100 τ, and take where it ends as the initial state.

        Raises
        ------
        DivergedError
            If it does not stay finite.
        """
        inputs = self.rest.new_full((round(RELAXATION / self.dt), 1, self.n_inputs), self.mean_input)
        states, _ = self.sequence(inputs, (torch.zeros_like(self.rest)[None],))
        if not states[-1].isfinite().all():
            raise DivergedError(
                "the noiseless network does not come to rest: expected recurrent weights that leave it stable"
            )
        self.rest = states[-1, 0].clone()

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        (before,), (weight, bias) = state, self.input_map()
        drive = self.rates(before) @ self.recurrent_weights.t() + x @ weight.t() + bias
        after = before + self.dt * (drive - before)
        return (after if noise is None else after + self.sigma * math.sqrt(self.dt) * noise,)

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence by the fast recurrence, or by the loop where states are held."""
        if hold is not None:
            return super().sequence(inputs, state, noise=noise, hold=hold)
        A, W, bias = (self.dt * part for part in (self.recurrent_weights, *self.input_map()))
        keep, scale = 1 - self.dt, self.sigma * math.sqrt(self.dt)
        states = rate_recurrence(A, W, bias, state[0], inputs, noise, keep=keep, scale=scale, afunc=self.afunc)
        return states, (states[-1],)


class RateHeads(Heads):
    """One read-out of the rates, w φ(x) / N, that answers whatever is asked; its bias is 0 and not trained.

    Parameters
    ----------
    n_units, n_outputs : int
        Number of units N and of outputs.
    afunc : str
        φ.
    generator : torch.Generator
        Source of the initial weights, 1 + 0.2 Z with Z standard normal.

    Examples
    --------
    >>> heads = RateHeads(4, 2, "relu", torch.Generator().manual_seed(0))
    >>> heads(-torch.ones(3, 4), "out").abs().sum(), heads(torch.ones(3, 4), ["out"]).shape
    (tensor(0., grad_fn=<SumBackward0>), torch.Size([3, 1, 2]))
    """

    def __init__(self, n_units: int, n_outputs: int, afunc: str, generator: torch.Generator) -> None:
        super().__init__(n_units, ("out",), n_outputs, True, generator)
        self.afunc = afunc
        linear = cast(nn.Linear, self.linears[0])
        noise = normal((n_outputs, n_units), generator)
        linear.weight = nn.Parameter(1 + 0.2 * noise)
        linear.bias = nn.Parameter(torch.zeros_like(linear.bias), requires_grad=False)

    def forward(self, hidden: Tensor, names: str | Iterable[str]) -> Tensor:
        """Read states x ``[..., unit]`` out, as `Heads` does."""
        return super().forward(ACTIVATIONS[self.afunc].function(hidden), names) / hidden.shape[-1]


class BalancedRNN(Model):
    """A balanced network with one linear read-out of its rates, the network of Engelken & Goedeke (2022).

    Parameters
    ----------
    n_units : int
        Number of units.
    n_inputs : int
        Signals that it is shown.
    n_outputs : int, optional
        Outputs; as many as signals if not given.
    generator : torch.Generator
        Source of the initial weights.
    **options
        Of `BalancedCell`: ``start``, ``balance``, ``g``, ``dt``, ``sigma``, ``afunc``, ``mean_input``.

    Raises
    ------
    InputError
        If an option cannot be used.
    DivergedError
        If the noiseless network does not come to rest.

    Notes
    -----
    The states are x; what the network says, and what another unit receives, are rates φ(x).

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = BalancedRNN(20, n_inputs=2, generator=generator)
    >>> states, last = model(torch.ones(6, 3, 2), noise=model.draw_noise(6, 3, generator))
    >>> states.shape, model.readout(states, ["out"]).shape
    (torch.Size([6, 3, 20]), torch.Size([6, 3, 1, 2]))
    """

    def __init__(
        self,
        n_units: int = 100,
        *,
        generator: torch.Generator,
        n_inputs: int = 1,
        n_outputs: int | None = None,
        **options: Any,
    ) -> None:
        cell = BalancedCell(n_inputs, n_units, generator, **options)
        super().__init__([cell], RateHeads(n_units, n_outputs or n_inputs, cell.afunc, generator))
