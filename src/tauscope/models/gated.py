"""Gated networks: GRU and LSTM."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tauscope._draws import require_generator
from tauscope.models import init
from tauscope.models.cell import Cell, State
from tauscope.models.weights import Role, Weight


class _GatedCell(Cell):
    """A single-layer `torch.nn` recurrence with its step written out beside it."""

    kind: type[nn.GRU] | type[nn.LSTM]
    gates: tuple[str, ...]
    """Names of the blocks that are stacked in every weight, in the order of `torch.nn`."""

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        require_generator(generator)
        # Made on the meta device, so that torch's own initialisation draws nothing from the global generator.
        self.rnn = self.kind(self.n_inputs, self.n_units, device="meta", dtype=torch.float32).to_empty(
            device=generator.device
        )
        bound = 1 / math.sqrt(n_units)
        with torch.no_grad():
            for parameter in self.rnn.parameters():
                parameter.copy_(init.uniform(tuple(parameter.shape), -bound, bound, generator))

    def _projections(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        input_weights, recurrent_weights, input_bias, recurrent_bias = self.rnn.all_weights[0]
        return (
            nn.functional.linear(x, input_weights, input_bias),
            nn.functional.linear(h, recurrent_weights, recurrent_bias),
        )

    def weights(self) -> Mapping[str, Weight]:
        """Return weights and biases of input and units, the gates stacked."""
        roles: dict[str, Role] = {"weight_ih_l0": "input", "weight_hh_l0": "recurrent"}
        roles |= {"bias_ih_l0": "bias", "bias_hh_l0": "bias"}
        return {f"rnn.{name}": Weight(role, self.rnn, name, gates=self.gates) for name, role in roles.items()}

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence by `torch.nn`, or by the loop with noise, held states or weights that torch's kernel misses."""
        if noise is not None or hold is not None or parametrize.is_parametrized(self.rnn):
            return super().sequence(inputs, state, noise=noise, hold=hold)
        before = tuple(one.unsqueeze(0) for one in state)
        outputs, last = self.rnn(inputs, before if self.n_states > 1 else before[0])
        return outputs, tuple(one[0] for one in (last if self.n_states > 1 else (last,)))


class GRUCell(_GatedCell):
    """A GRU layer: r, z = σ(·), n = tanh(W x + r ⊙ (U h)), h ← (1 - z) ⊙ n + z ⊙ h (+ noise).

    Source: Cho et al. 2014 in the form of `torch.nn.GRU`, whose kernel runs sequences.

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

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        (h,) = state
        from_x, from_h = (p.chunk(3, dim=-1) for p in self._projections(x, h))
        r, z = torch.sigmoid(from_x[0] + from_h[0]), torch.sigmoid(from_x[1] + from_h[1])
        n = torch.tanh(from_x[2] + r * from_h[2])
        h = (1 - z) * n + z * h
        return (h if noise is None else h + noise,)

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return the update gate z."""
        from_x, from_h = (p.chunk(3, dim=-1) for p in self._projections(x, state[0]))
        return torch.sigmoid(from_x[1] + from_h[1])


class LSTMCell(_GatedCell):
    """An LSTM layer: i, f, o = σ(·), g = tanh(·), c ← f ⊙ c + i ⊙ g, h ← o ⊙ tanh(c) (+ noise).

    Source: Hochreiter & Schmidhuber 1997 in the form of `torch.nn.LSTM`, whose kernel runs sequences.

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
    n_states = 2

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        h, c = state
        from_x, from_h = self._projections(x, h)
        i, f, g, o = (from_x + from_h).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return (h if noise is None else h + noise, c)

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return the forget gate f."""
        from_x, from_h = self._projections(x, state[0])
        return torch.sigmoid((from_x + from_h).chunk(4, dim=-1)[1])


GATED: dict[str, type[_GatedCell]] = {"gru": GRUCell, "lstm": LSTMCell}
