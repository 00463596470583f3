"""How the states of a layer are found over a whole sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from tauscope.models.base import Cell, State


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
        return *cell.loop(inputs, state, noise=noise, hold=hold), {}
