"""How the states of a layer are found over a whole sequence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tauscope.models.cell import Cell, State


class Solver(Protocol):
    """From a layer, its inputs and its initial state to its states at every step."""

    def __call__(
        self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, Mapping[str, Tensor]]:
        """Solve a sequence.

        Parameters
        ----------
        cell : Cell
            The layer.
        inputs : Tensor [time, batch, channel]
            Input of every step.
        state : tuple of Tensor [batch, ...]
            State before the first step.
        noise : Tensor [time, batch, unit], optional
            Private noise.
        hold : Tensor [time, batch] of bool, optional
            Steps at which the state stays as it is.

        Returns
        -------
        outputs : Tensor [time, batch, unit]
            First component of every state.
        state : tuple of Tensor [batch, ...]
            State after the last step.
        info : mapping of Tensor
            What the solver says of how it went.
        """


@dataclass(frozen=True)
class Fast:
    """`Cell.sequence`: the kernel of the cell, where it has one."""

    def __call__(
        self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, Mapping[str, Tensor]]:
        """Solve a sequence, as `Solver` says."""
        return *cell.sequence(inputs, state, noise=noise, hold=hold), {}


@dataclass(frozen=True)
class Loop:
    """The loop over `Cell.step`, slower and of plain operations: for `torch.func` and for higher derivatives."""

    def __call__(
        self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, Mapping[str, Tensor]]:
        """Solve a sequence, as `Solver` says."""
        return *loop(cell, inputs, state, noise, hold), {}


def loop(cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None) -> tuple[Tensor, State]:
    """Run the step of a layer over a sequence; outputs and state as `Solver` says, which every solver must equal.

    Examples
    --------
    >>> from tauscope.models.wrapped import WrappedCell
    >>> cell = WrappedCell(lambda x, h: h + x, 1, 1)
    >>> outputs, _ = loop(cell, torch.ones(3, 1, 1), cell.initial_state(1), None, torch.tensor([[0], [1], [0]]).bool())
    >>> outputs.flatten()
    tensor([1., 1., 2.])
    """
    outputs, last = [], state
    for last in walk(cell, inputs, state, noise, hold):
        outputs.append(last[0])
    return torch.stack(outputs), last


def walk(cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None) -> Iterator[State]:
    """Yield the state after every step of a layer.

    Examples
    --------
    >>> from tauscope.models.wrapped import WrappedCell
    >>> cell = WrappedCell(lambda x, h: h + x, 1, 1)
    >>> [h.item() for (h,) in walk(cell, torch.ones(3, 1, 1), cell.initial_state(1), None, None)]
    [1.0, 2.0, 3.0]
    """
    for t, x in enumerate(inputs.unbind(0)):
        moved = cell.step(x, state, None if noise is None else noise[t])
        state = moved if hold is None else tuple(map(_held, itertools.repeat(hold[t]), state, moved))
        yield state


def _held(hold: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Return what comes after, ``[batch, ...]``, but what was before where ``hold [batch]`` is true."""
    return torch.where(hold.view(-1, *[1] * (before.dim() - 1)), before, after)
