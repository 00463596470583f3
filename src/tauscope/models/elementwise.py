"""Cells of which no unit's recurrence sees another's: what real-time recurrent learning trains exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from tauscope._draws import normal, require_generator
from tauscope.errors import InputError
from tauscope.models import init
from tauscope.models.cell import Cell, State
from tauscope.models.solvers import loop
from tauscope.models.two_parts import Maps, TwoPartCell
from tauscope.models.weights import Role, Weight

START = 0.1
"""Standard deviation of the published initial values of the eLSTM."""


class ElementwiseCell(TwoPartCell):
    """A two-part cell without recurrent weights: z = W x + b, and `pointwise` gives each unit its next state.

    A cell of one's own subclasses this, says how many rows of z a unit has, makes the parameters that `pointwise` uses, of shape
    ``[unit]`` each, and says `pointwise`.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights, U(±1/√n_inputs).

    Attributes
    ----------
    gates : tuple of str
        Names of the blocks of z, of one row for every unit each.

    Examples
    --------
    >>> class Gated(ElementwiseCell):
    ...     gates = ("keep", "new")
    ...     def pointwise(self, z, state, noise):
    ...         keep, new = z.chunk(2, dim=-1)
    ...         return (torch.lerp(torch.tanh(new), state[0], torch.sigmoid(keep)),)
    >>> cell = Gated(1, 4, torch.Generator().manual_seed(0))
    >>> cell.step(torch.ones(2, 1), cell.initial_state(2))[0].shape
    torch.Size([2, 4])
    """

    gates: ClassVar[tuple[str, ...]] = ("new",)

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        require_generator(generator)
        self.input = init.linear(self.n_inputs, len(self.gates) * self.n_units, generator)

    def maps(self) -> Maps:
        """Return the rows of every gate, of the input alone."""
        weights = self.weights()
        weight = weights["input.weight"].tensor
        return Maps(weight, weight.new_empty(0, self.n_units), weights["input.bias"].tensor)

    def weights(self) -> Mapping[str, Weight]:
        """Return weights and biases of the input, the gates stacked."""
        gates = self.gates if len(self.gates) > 1 else ()
        roles: dict[str, Role] = {"weight": "input", "bias": "bias"}
        return {f"input.{name}": Weight(role, self.input, name, gates=gates) for name, role in roles.items()}


class LeakyUnitsCell(ElementwiseCell):
    """Leaky units without recurrent weights: h ← φ((1 - 1/τ) h + (W x + b)/τ (+ noise/τ)), τ trained, h_0 = 0.

    The default form of `LeakyCell` without its W, with φ the leaky rectifier; τ starts uniform in [1, 2) and is clamped at 1.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights.

    Examples
    --------
    >>> cell = LeakyUnitsCell(1, 4, torch.Generator().manual_seed(0))
    >>> cell.tau.shape
    torch.Size([4])
    """

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units, generator)
        self.raw_tau = nn.Parameter(init.uniform((self.n_units,), 1.0, 2.0, generator))

    @property
    def tau(self) -> Tensor:
        """Timescales in steps, clamped at 1, ``[unit]``."""
        return self.raw_tau.clamp(min=1.0)

    def weights(self) -> Mapping[str, Weight]:
        """Return the weights of the input and τ."""
        return {**super().weights(), "raw_tau": Weight("tau", self, "raw_tau", least=1.0)}

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation."""
        share = 1 / self.tau
        drive = z if noise is None else z + noise
        return (nn.functional.leaky_relu((1 - share) * state[0] + share * drive),)

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return 1 - 1/τ."""
        del x
        return (1 - 1 / self.tau).expand_as(state[0])


class ElementwiseGRUCell(ElementwiseCell):
    """A GRU layer without recurrent matrices: r, u = σ(· + w ⊙ h), n = tanh(· + r ⊙ w_n ⊙ h), h ← (1 - u) ⊙ n + u ⊙ h (+ noise).

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights; those that a unit has of itself are uniform in ±1.

    Examples
    --------
    >>> cell = ElementwiseGRUCell(1, 4, torch.Generator().manual_seed(0))
    >>> cell.step(torch.ones(2, 1), cell.initial_state(2))[0].shape
    torch.Size([2, 4])
    """

    gates = ("reset", "update", "new")

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units, generator)
        self.own = nn.Parameter(init.uniform((len(self.gates) * self.n_units,), -1.0, 1.0, generator))

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation."""
        (h,) = state
        reset, update, new = z.chunk(3, dim=-1)
        w_reset, w_update, w_new = self.own.chunk(3)
        share = torch.sigmoid(update + w_update * h)
        candidate = torch.tanh(new + torch.sigmoid(reset + w_reset * h) * w_new * h)
        h = torch.lerp(candidate, h, share)
        return (h if noise is None else h + noise,)

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return the update gate u."""
        maps = self.maps()
        update, own = (x @ maps.input.t() + maps.bias).chunk(3, dim=-1)[1], self.own.chunk(3)[1]
        return torch.sigmoid(update + own * state[0])


class _GatedMemory(ElementwiseCell):
    """The recurrence of the eLSTM: f = σ(F x + w_f ⊙ c + b_f), z = tanh(Z x + w_z ⊙ c + b_z), c ← f ⊙ c + (1 - f) ⊙ z."""

    gates = ("forget", "cell")

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units, generator)
        with torch.no_grad():
            for parameter in (self.input.weight, self.input.bias):
                parameter.copy_(START * normal(tuple(parameter.shape), generator))
        self.own = nn.Parameter(START * normal((2 * self.n_units,), generator))

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state, by the class's equation."""
        (c,) = state
        forget, new = (z + self.own * torch.cat([c, c], dim=-1)).chunk(2, dim=-1)
        c = torch.lerp(torch.tanh(new), c, torch.sigmoid(forget))
        return (c if noise is None else c + noise,)


class ELSTMCell(Cell):
    """An element-wise LSTM layer: c ← f ⊙ c + (1 - f) ⊙ z (+ noise), h = σ(O [x; c] + b) ⊙ c, with gates of x and a unit's own c.

    f = σ(F x + w_f ⊙ c + b_f) and z = tanh(Z x + w_z ⊙ c + b_z) of the c before. The output gate sees all units, but h is not
    fed back: c alone recurs, element by element. The state is (h, c), from 0.
    Source: Irie, Gopalakrishnan & Schmidhuber, ICLR 2024, and the biases of its published code.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.
    generator : torch.Generator
        Source of the initial weights: N(0, 0.1²); U(±1/√fan_in) of the output gate.

    Examples
    --------
    >>> cell = ELSTMCell(1, 4, torch.Generator().manual_seed(0))
    >>> [part.shape for part in cell.step(torch.ones(2, 1), cell.initial_state(2))]
    [torch.Size([2, 4]), torch.Size([2, 4])]
    """

    n_states = 2

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        self.core = _GatedMemory(self.n_inputs, self.n_units, generator)
        self.output = init.linear(self.n_inputs + self.n_units, self.n_units, generator)

    def weights(self) -> Mapping[str, Weight]:
        """Return the weights of the input, what a unit has of itself, and the output gate's biases."""
        core = {f"core.{name}": weight for name, weight in self.core.weights().items()}
        return {**core, "output.bias": Weight("bias", self.output, "bias")}

    def _read(self, x: Tensor, c: Tensor) -> Tensor:
        return torch.sigmoid(self.output(torch.cat([x, c], dim=-1))) * c

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the class's equation."""
        (c,) = self.core.step(x, state[1:], noise)
        return self._read(x, c), c

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence: the memory step by step, and all its outputs at once."""
        if hold is not None:
            return loop(self, inputs, state, noise, hold)
        outputs, final, _ = self.with_memories(inputs, state, noise)
        return outputs, final

    def with_memories(self, inputs: Tensor, state: State, noise: Tensor | None) -> tuple[Tensor, State, Tensor]:
        """Return outputs, the last state, and c after every step."""
        memories, last = self.core.sequence(inputs, state[1:], noise=noise)
        outputs = self._read(inputs, memories)
        return outputs, (outputs[-1], *last), memories

    def retention(self, x: Tensor, state: State) -> Tensor:
        """Return the forget gate f."""
        maps = self.core.maps()
        forget = (x @ maps.input.t() + maps.bias).chunk(2, dim=-1)[0] + self.core.own.chunk(2)[0] * state[1]
        return torch.sigmoid(forget)


ELEMENTWISE: dict[str, type[Cell]] = {
    "elstm": ELSTMCell,
    "egru": ElementwiseGRUCell,
    "leaky_units": LeakyUnitsCell,
}
"""Element-wise cells by name."""


def recurrence_of(cell: Cell) -> TwoPartCell:
    """Return what recurs in an element-wise cell: the cell, or its attribute ``core``, whose state is the end of the cell's.

    Raises
    ------
    InputError
        If the recurrence of a unit is not known to be its own alone.

    Examples
    --------
    >>> cell = ELSTMCell(1, 4, torch.Generator().manual_seed(0))
    >>> recurrence_of(cell) is cell.core
    True
    """
    core = getattr(cell, "core", cell)
    name = type(cell).__name__
    if not isinstance(core, TwoPartCell) or not core.elementwise or len(core.maps().recurrent):
        raise InputError(
            f"cell {name} is not element-wise: expected a cell of {', '.join(ELEMENTWISE)} or a TwoPartCell of your own with "
            "elementwise = True and no recurrent weights; or the gradient 'immediate', a local approximation for any cell"
        )
    return core
