"""A network from a step function of one's own, in one line."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_at_least
from tauscope.models.cell import Cell, State
from tauscope.models.model import Model
from tauscope.models.readout import Heads


class WrappedCell(Cell):
    """A cell whose step is a given function of input and state, plus the noise.

    Parameters
    ----------
    step : callable
        ``step(x [batch, channel], h [batch, unit]) -> h [batch, unit]``, pure and differentiable; where it is a
        `torch.nn.Module`, its parameters are the cell's.
    n_inputs, n_units : int
        Channels of the input, number of units.
    initial : Tensor [unit], optional
        State before the first step, which also tells device and precision; zeros in float32 if not given.

    Examples
    --------
    >>> cell = WrappedCell(lambda x, h: 0.5 * h + x, 1, 1)
    >>> cell.step(torch.ones(1, 1), cell.initial_state(1))
    (tensor([[1.]]),)
    """

    initial: Tensor

    def __init__(
        self, step: Callable[[Tensor, Tensor], Tensor], n_inputs: int, n_units: int, initial: Tensor | None = None
    ) -> None:
        require_at_least("number of units", n_units, 1)
        if initial is not None and initial.shape != (n_units,):
            raise InputError(f"the initial state has shape {tuple(initial.shape)}: expected ({n_units},)")
        super().__init__(n_inputs, n_units)
        self.function = step
        self.register_buffer("initial", torch.zeros(n_units) if initial is None else initial.clone())

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        """Return the given state, the same for the whole batch."""
        del generator
        return (self.initial.expand(batch_size, -1),)

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, by the given function."""
        h = self.function(x, state[0])
        if h.shape != state[0].shape:
            raise InputError(f"the step returned a state of shape {tuple(h.shape)}: expected {tuple(state[0].shape)}")
        return (h if noise is None else h + noise,)


def wrap(
    step: Callable[[Tensor, Tensor], Tensor],
    n_inputs: int,
    n_units: int,
    *,
    initial: Tensor | None = None,
    heads: Heads | None = None,
) -> Model:
    """Make a network of a step function, on which every analysis runs.

    Parameters
    ----------
    step, n_inputs, n_units, initial
        As in `WrappedCell`. A state of several tensors needs a `Cell` of its own.
    heads : Heads, optional
        Its read-outs; without any, what reads answers out refuses the network.

    Returns
    -------
    Model
        The network.

    Raises
    ------
    InputError
        If the sizes do not fit.

    Examples
    --------
    >>> model = wrap(lambda x, h: torch.tanh(0.9 * h + x), n_inputs=1, n_units=3)
    >>> states, last = model(torch.zeros(4, 2, 1))
    >>> states.shape
    torch.Size([4, 2, 3])
    """
    return Model([WrappedCell(step, n_inputs, n_units, initial)], _NoHeads() if heads is None else heads)


class _NoHeads(Heads):
    """The read-outs of a network that has none."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.names, self.shared, self.linears = (), False, nn.ModuleList()

    def index(self, name: str) -> int:
        raise InputError(f"no head {name!r}: the network has no read-outs, expected heads")
