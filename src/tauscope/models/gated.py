"""Gated networks: GRU and LSTM."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tauscope._draws import require_generator
from tauscope.errors import require_count
from tauscope.models import init
from tauscope.models.cell import State
from tauscope.models.kernels.gates import GRUGates, LSTMGates
from tauscope.models.kernels.kernel import is_transformed
from tauscope.models.kernels.unit_wise import UnitWise
from tauscope.models.two_parts import Maps, TwoPartCell
from tauscope.models.weights import Role, Weight


class _GatedCell(TwoPartCell):
    """The weights of a single-layer `torch.nn` recurrence, in two parts; torch's kernel runs a sequence where it is faster."""

    kind: type[nn.GRU] | type[nn.LSTM]
    gates: tuple[str, ...]
    """Names of the blocks that are stacked in every weight, in the order of `torch.nn`."""
    fast_from: float
    """Multiply-adds a step from which the recurrence of cells in two parts is faster than torch's kernel on a processor: measured
    on an AMD EPYC (Zen 4), see ``benchmarks``."""

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        require_generator(generator)
        require_count("number of inputs", n_inputs)
        # Made on the meta device, so that torch's own initialisation draws nothing from the global generator.
        self.rnn = self.kind(self.n_inputs, self.n_units, device="meta", dtype=torch.float32).to_empty(
            device=generator.device
        )
        bound = 1 / math.sqrt(n_units)
        with torch.no_grad():
            for parameter in self.rnn.parameters():
                parameter.copy_(init.uniform(tuple(parameter.shape), -bound, bound, generator))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        if parametrize.is_parametrized(self.rnn):
            # What torch keeps for its kernel, which is not called then, cannot be copied while it has a gradient.
            self.rnn._flat_weights = [weight.detach() for weight in cast(list[Tensor], self.rnn._flat_weights)]
        return self

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the weights of input and units and the biases of both, as parametrisation and pruning leave them."""
        named = self.weights()
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        input, recurrent, input_bias, recurrent_bias = (named[f"rnn.{name}"].tensor for name in names)
        return input, recurrent, input_bias, recurrent_bias

    @abc.abstractmethod
    def unit_wise(self) -> UnitWise:
        """Return the gates with their derivatives."""

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation; z has the rows that `maps` says."""
        return self.unit_wise().plain(z, state, noise)

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return the second gate, which says what is kept: the update gate z of a GRU, the forget gate f of an LSTM."""
        input, recurrent, input_bias, recurrent_bias = (part.chunk(len(self.gates))[1] for part in self._tensors())
        return torch.sigmoid(x @ input.t() + state[0] @ recurrent.t() + input_bias + recurrent_bias)

    def weights(self) -> Mapping[str, Weight]:
        """Return weights and biases of input and units, the gates stacked."""
        roles: dict[str, Role] = {"weight_ih_l0": "input", "weight_hh_l0": "recurrent"}
        roles |= {"bias_ih_l0": "bias", "bias_hh_l0": "bias"}
        return {f"rnn.{name}": Weight(role, self.rnn, name, gates=self.gates) for name, role in roles.items()}

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence by torch's kernel where that serves and is faster, else by the recurrence of cells in two parts."""
        work = len(self.gates) * self.n_units**2 * inputs.shape[1]
        ours = inputs.device.type == "cpu" and work >= self.fast_from
        lacking = noise is not None or hold is not None or parametrize.is_parametrized(self.rnn)
        if ours or lacking or is_transformed((inputs, *state)):
            return super().sequence(inputs, state, noise=noise, hold=hold)
        before = tuple(tensor.unsqueeze(0) for tensor in state)
        outputs, last = self.rnn(inputs, before if self.n_states > 1 else before[0])
        return outputs, tuple(tensor[0] for tensor in (last if self.n_states > 1 else (last,)))


class GRUCell(_GatedCell):
    """A GRU layer: r, z = σ(·), n = tanh(W x + r ⊙ (U h)), h ← (1 - z) ⊙ n + z ⊙ h (+ noise).

    Source: Cho et al. 2014 in the form of `torch.nn.GRU`.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√n_units).

    Examples
    --------
    >>> cell = GRUCell(1, 4, torch.Generator().manual_seed(0))
    >>> cell.step(torch.ones(2, 1), cell.initial_state(2))[0].shape
    torch.Size([2, 4])
    """

    kind = nn.GRU
    gates = ("reset", "update", "new")
    fast_from = 2**24

    def maps(self) -> Maps:
        """Return the rows n, r, u of the input and r, u, n of the units: the candidate's two parts are not summed."""
        input, recurrent, input_bias, recurrent_bias = self._tensors()
        n = self.n_units
        bias = torch.cat([input_bias[2 * n :], input_bias[: 2 * n] + recurrent_bias[: 2 * n], recurrent_bias[2 * n :]])
        return Maps(torch.cat([input[2 * n :], input[: 2 * n]]), recurrent, bias)

    def unit_wise(self) -> UnitWise:
        """Return the gates with their derivatives."""
        return GRUGates()


class LSTMCell(_GatedCell):
    """An LSTM layer: i, f, o = σ(·), g = tanh(·), c ← f ⊙ c + i ⊙ g, h ← o ⊙ tanh(c) (+ noise).

    Source: Hochreiter & Schmidhuber 1997 in the form of `torch.nn.LSTM`.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√n_units).

    Examples
    --------
    >>> cell = LSTMCell(1, 4, torch.Generator().manual_seed(0))
    >>> len(cell.step(torch.ones(2, 1), cell.initial_state(2)))
    2
    """

    kind = nn.LSTM
    gates = ("input", "forget", "cell", "output")
    fast_from = math.inf
    n_states = 2

    def maps(self) -> Maps:
        """Return the rows i, f, g, o of input and units."""
        input, recurrent, input_bias, recurrent_bias = self._tensors()
        return Maps(input, recurrent, input_bias + recurrent_bias)

    def unit_wise(self) -> UnitWise:
        """Return the gates with their derivatives."""
        return LSTMGates()


GATED: dict[str, type[_GatedCell]] = {"gru": GRUCell, "lstm": LSTMCell}
