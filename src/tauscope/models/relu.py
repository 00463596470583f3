"""Rectified networks that start near the identity: plain, with Hebbian plasticity, and gated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tauscope._draws import normal
from tauscope.errors import InputError, require_at_least, require_choice, require_count
from tauscope.models.cell import State
from tauscope.models.init import linear_of
from tauscope.models.kernels.gates import GRUGates
from tauscope.models.kernels.hebbian import hebbian
from tauscope.models.kernels.leaky import leaky_inside
from tauscope.models.kernels.unit_wise import UnitWise
from tauscope.models.model import Model
from tauscope.models.rate import RateCell
from tauscope.models.readout import Heads
from tauscope.models.two_parts import Maps, TwoPartCell
from tauscope.models.weights import Weight

STARTS = ("diagonal", "orthogonal")


def near_identity(n_units: int, lambda_0: float, sigma_0: float, generator: torch.Generator) -> Tensor:
    """Draw recurrent weights λ0 I + σ0/√N Z, Z standard normal off the diagonal and 0 on it.

    Parameters
    ----------
    n_units : int
        N.
    lambda_0, sigma_0 : float
        λ0 and σ0; the spectral radius is close to λ0 + σ0. The published scripts take σ0/√N.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    Tensor [to, from]
        The weights.

    Examples
    --------
    >>> near_identity(3, 0.9, 0.0, torch.Generator().manual_seed(0)).diagonal()
    tensor([0.9000, 0.9000, 0.9000])
    """
    noise = normal((n_units, n_units), generator)
    return (sigma_0 / math.sqrt(n_units) * noise).fill_diagonal_(lambda_0)


def scaled_orthogonal(n_units: int, lambda_0: float, generator: torch.Generator) -> Tensor:
    """Draw recurrent weights λ0 Q, Q orthogonal and uniform over all such matrices, ``[to, from]``.

    Examples
    --------
    >>> W = scaled_orthogonal(3, 0.5, torch.Generator().manual_seed(0))
    >>> (W @ W.t()).diagonal()
    tensor([0.2500, 0.2500, 0.2500])
    """
    Q, R = torch.linalg.qr(normal((n_units, n_units), generator))
    # Without the signs, Q would not be uniform: the decomposition fixes them by a convention of its own.
    return lambda_0 * Q * R.diagonal().sign()


def glorot_normal(n_in: int, n_out: int, gain: float, generator: torch.Generator) -> Tensor:
    """Draw weights from N(0, 2 gain² / (n_in + n_out)), ``[to, from]``.

    Source: Glorot & Bengio, AISTATS 2010, eq. 12.

    Examples
    --------
    >>> glorot_normal(300, 300, 0.95, torch.Generator().manual_seed(0)).std() * 300**0.5
    tensor(0.9...)
    """
    noise = normal((n_out, n_in), generator)
    return gain * math.sqrt(2 / (n_in + n_out)) * noise


def _start(n_units: int, lambda_0: float, sigma_0: float, start: str, generator: torch.Generator) -> Tensor:
    """Return the recurrent weights that a cell starts with, ``[to, from]``."""
    require_choice("start", start, STARTS)
    require_at_least("sigma_0", sigma_0, 0.0)
    if not math.isfinite(lambda_0) or not math.isfinite(sigma_0):
        raise InputError(f"lambda_0 is {lambda_0} and sigma_0 {sigma_0}: expected finite numbers, such as 0.98 and 0.1")
    if start == "diagonal":
        return near_identity(n_units, lambda_0, sigma_0, generator)
    if sigma_0 != 0:
        raise InputError(f"sigma_0 is {sigma_0}: expected 0 with start 'orthogonal', which has no spread")
    return scaled_orthogonal(n_units, lambda_0, generator)


class ReluCell(RateCell):
    """A layer of rectified units: h_t = max(0, W h_{t-1} + b + W_in x_t + b_in (+ noise)), h_0 = 0.

    Source: Orhan & Ma, Nature Neuroscience 22, 275 (2019).

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights.
    lambda_0, sigma_0 : float
        Diagonal of the initial recurrent weights and spread of the others, as in `near_identity`.
    start : {"diagonal", "orthogonal"}
        `near_identity`, or `scaled_orthogonal`, which has no σ0.
    clip : float
        Largest magnitude of the gradient with respect to the argument of the rectifier, element by element at every
        step of training. The pure step does not clip, so that its derivative is the network's.

    Examples
    --------
    >>> cell = ReluCell(1, 4, torch.Generator().manual_seed(0))
    >>> cell.step(torch.ones(2, 1), cell.initial_state(2))[0].shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        generator: torch.Generator,
        lambda_0: float = 0.98,
        sigma_0: float = 0.0,
        start: str = "diagonal",
        clip: float = 100.0,
    ) -> None:
        require_count("number of units", n_units)
        require_count("number of inputs", n_inputs)
        input = linear_of(glorot_normal(n_inputs, n_units, 0.95, generator))
        recurrent = linear_of(_start(n_units, lambda_0, sigma_0, start, generator))
        super().__init__(n_inputs, n_units, input, recurrent, diagonal=True)
        self.clip = clip

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        drive = self.recurrent(state[0]) + self.input(x)
        return (torch.relu(drive if noise is None else drive + noise),)

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence by the fast recurrence."""
        M, inputs = self._stacked(inputs, noise)
        states, last = leaky_inside(M, state[0], inputs, "relu", clip=self.clip, hold=hold)
        return states, (last,)

    def _stacked(self, inputs: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return recurrent weights, input weights and bias side by side, and the inputs that belong to them."""
        weight, bias, inputs = self.matrix(noise, inputs)
        return torch.cat([self.recurrent.weight, weight, bias[:, None]], dim=1), inputs


class HebbianCell(ReluCell):
    """Rectified units with fast Hebbian plasticity: γ h_{t-2} clip(h_{t-2} · h_{t-1}, 0, 100) is added to the drive.

    The state is (h_{t-1}, h_{t-2}). Source: Orhan & Ma, Nature Neuroscience 22, 275 (2019), after Ba et al., NeurIPS
    2016; the published code has 500 units whatever is asked for.

    Parameters
    ----------
    n_inputs, n_units, generator, lambda_0, sigma_0, start, clip
        As in `ReluCell`; the Hebbian term lies outside what is clipped.
    gamma : float
        γ.

    Examples
    --------
    >>> cell = HebbianCell(1, 4, torch.Generator().manual_seed(0))
    >>> len(cell.step(torch.ones(2, 1), cell.initial_state(2)))
    2
    """

    n_states = 2
    weighted_sum = False
    strongest = 100.0

    def __init__(
        self, n_inputs: int, n_units: int, generator: torch.Generator, gamma: float = 7e-4, **options: Any
    ) -> None:
        super().__init__(n_inputs, n_units, generator, **options)
        self.gamma = gamma

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        h, before = state
        drive = self.recurrent(h) + self.input(x)
        if noise is not None:
            drive = drive + noise
        overlap = (before * h).sum(dim=-1, keepdim=True).clamp(0.0, self.strongest)
        return torch.relu(drive + self.gamma * overlap * before), h

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence by a fast recurrence."""
        h, before = state
        M, inputs = self._stacked(inputs, noise)
        states, *last = hebbian(M, h, before, inputs, self.gamma, self.strongest, clip=self.clip, hold=hold)
        return states, tuple(last)


class ReluGRUCell(TwoPartCell):
    """A GRU layer with a rectified candidate, one bias for each gate, that starts near the identity.

    r, z = σ(W x + U h + b), n = max(0, W x + r ⊙ (U h) + b), h ← (1 - z) ⊙ h + z ⊙ n (+ noise): z = 1 forgets, the
    other way round than in `torch.nn.GRU`. Source: Orhan & Ma, Nature Neuroscience 22, 275 (2019), published code.

    Parameters
    ----------
    n_inputs, n_units, generator
        As in `ReluCell`.
    lambda_0, sigma_0, start
        Initial recurrent weights of the candidate, as in `ReluCell`; all others are normal, as in `glorot_normal_`
        with a gain of 0.05.
    clip : float
        Largest magnitude of the gradients with respect to the arguments of σ and the rectifier, element by element,
        and with respect to U h, in training.

    Examples
    --------
    >>> cell = ReluGRUCell(1, 4, torch.Generator().manual_seed(0))
    >>> cell.step(torch.ones(2, 1), cell.initial_state(2))[0].shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        generator: torch.Generator,
        lambda_0: float = 0.98,
        sigma_0: float = 0.0,
        start: str = "diagonal",
        clip: float = 10.0,
    ) -> None:
        super().__init__(n_inputs, n_units)
        self.clip = clip
        gates = [glorot_normal(n_inputs, n_units, 0.05, generator) for _ in range(3)]
        self.input = linear_of(torch.cat(gates))
        recurrent = [glorot_normal(n_units, n_units, 0.05, generator) for _ in range(2)]
        recurrent.append(_start(n_units, lambda_0, sigma_0, start, generator))
        self.recurrent = linear_of(torch.cat(recurrent), bias=False)

    def weights(self) -> Mapping[str, Weight]:
        """Return W, U and the biases of reset and update gate and candidate."""
        gates = ("reset", "update", "new")
        return {
            "input.weight": Weight("input", self.input, "weight", gates=gates),
            "recurrent.weight": Weight("recurrent", self.recurrent, "weight", gates=gates),
            "input.bias": Weight("bias", self.input, "bias", gates=gates),
        }

    def maps(self) -> Maps:
        """Return the rows n, r, z of the input and r, z, n of the units: the candidate's two parts are not summed."""
        weight, bias, recurrent = (
            self.weights()[name].tensor for name in ("input.weight", "input.bias", "recurrent.weight")
        )
        n = self.n_units
        moved = (torch.cat([part[2 * n :], part[: 2 * n]]) for part in (weight, bias))
        input, ordered = moved
        return Maps(input, recurrent, torch.cat([ordered, ordered.new_zeros(n)]))

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation; rows of z: W x of the candidate, r, z, U h of the candidate."""
        return GRUGates("relu", keeps=False).plain(z, state, noise)

    def unit_wise(self) -> UnitWise:
        """Return the gates with their derivatives, clipped."""
        return GRUGates("relu", keeps=False, clip=self.clip)

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return 1 - z."""
        forgotten = (self.input(x) + self.recurrent(state[0])).chunk(3, dim=-1)[1]
        return torch.sigmoid(-forgotten)


RELU_CELLS: dict[str, type[ReluCell] | type[ReluGRUCell]] = {
    "relu": ReluCell,
    "hebbian": HebbianCell,
    "relu_gru": ReluGRUCell,
}


class ReluRNN(Model):
    """A rectified network with one read-out, the network of Orhan & Ma (2019).

    Parameters
    ----------
    n_units : int
        Number of units.
    n_inputs, n_outputs : int
        Channels of the input; outputs of the only head, which answers whatever is asked.
    cell : {"relu", "hebbian", "relu_gru"}
        `ReluCell`, `HebbianCell` or `ReluGRUCell`.
    generator : torch.Generator
        Source of the initial weights.
    **options
        Of the cell: ``lambda_0``, ``sigma_0``, ``start``, ``clip``, ``gamma``.

    Raises
    ------
    InputError
        If there is no such cell, or an option cannot be used.

    Notes
    -----
    The read-out starts as the input weights of its cell do, with zero bias.

    Examples
    --------
    >>> model = ReluRNN(20, n_inputs=5, generator=torch.Generator().manual_seed(0), lambda_0=0.9, sigma_0=0.1)
    >>> states, last = model(torch.zeros(6, 3, 5))
    >>> states.shape, model.readout(states, ["out"]).shape
    (torch.Size([6, 3, 20]), torch.Size([6, 3, 1, 1]))
    """

    def __init__(
        self,
        n_units: int = 500,
        *,
        generator: torch.Generator,
        n_inputs: int = 50,
        n_outputs: int = 1,
        cell: str = "relu",
        **options: Any,
    ) -> None:
        require_choice("cell", cell, RELU_CELLS)
        only = RELU_CELLS[cell](n_inputs, n_units, generator, **options)
        heads = Heads(n_units, ("out",), n_outputs, True, generator)
        heads.linears[0] = linear_of(glorot_normal(n_units, n_outputs, 0.05 if cell == "relu_gru" else 0.95, generator))
        super().__init__([only], heads)
