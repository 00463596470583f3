"""A layer over a sequence, as one function of the states before all of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tauscope.errors import InputError
from tauscope.models.parallel.jacobian import flat, split
from tauscope.models.solvers import walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from tauscope.models.cell import Cell, State


class Layer:
    """What a layer does with a sequence: ``z_t = f_t(z_{t-1})``, z the tensors of its state side by side.

    Parameters
    ----------
    cell : Cell
        The layer; nothing but its step and its Jacobian is asked.
    inputs : Tensor [time, batch, channel]
        Input of every step.
    state : tuple of Tensor [batch, ...]
        State before the first step.
    noise : Tensor [time, batch, unit], optional
        Private noise.
    hold : Tensor [time, batch] of bool, optional
        Steps at which the state stays as it is, f(z) = z.

    Attributes
    ----------
    start : Tensor [batch, coordinate]
        z_0.
    """

    def __init__(self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None) -> None:
        if any(part.is_complex() for part in state):
            raise InputError(f"the state of {type(cell).__name__} is complex: expected real numbers, or engine 'loop'")
        self.cell, self.inputs, self.noise, self.hold, self._like = cell, inputs, noise, hold, state
        self.start = flat(state)

    def __len__(self) -> int:
        return len(self.inputs)

    def cut(self, steps: slice, start: Tensor) -> Layer:
        """Return the layer over some of the steps, from ``start [batch, coordinate]`` on."""
        noise, hold = (None if series is None else series[steps] for series in (self.noise, self.hold))
        return Layer(self.cell, self.inputs[steps], self.state(start), noise, hold)

    def trials(self, chosen: Tensor) -> Layer:
        """Return the layer with some of its trials, ``chosen [batch]`` of bool."""
        noise, hold = (None if series is None else series[:, chosen] for series in (self.noise, self.hold))
        return Layer(self.cell, self.inputs[:, chosen], self.state(self.start[chosen]), noise, hold)

    def state(self, z: Tensor) -> State:
        """Return vectors ``[batch, coordinate]`` as a state."""
        return split(z, self._like)

    def outputs(self, z: Tensor) -> Tensor:
        """Return the first tensor of the states ``z [time, batch, coordinate]``, ``[time, batch, unit]``."""
        return z[..., : self.cell.n_units]

    def before(self, z: Tensor) -> Tensor:
        """Return what is before every step, z_0 … z_{T-1}, given what is after, z_1 … z_T, ``[time, batch, coordinate]``."""
        return torch.cat([self.start.unsqueeze(0), z[:-1]])

    def step(self, before: Tensor) -> Tensor:
        """Return ``f_t(before_t)`` of all steps at once, ``[time, batch, coordinate]``."""
        x, state, noise = self._side_by_side(before)
        after = flat(self.cell.step(x, state, noise)).view_as(before)
        return after if self.hold is None else torch.where(self.hold.unsqueeze(-1), before, after)

    @torch.no_grad()
    def jacobian(self, before: Tensor) -> Tensor:
        """Return the Jacobians of all steps, ``[time, batch, to, from]``."""
        J = self._of_all(self.cell.jacobian, before)
        if self.hold is None:
            return J
        return torch.where(self.hold[..., None, None], torch.eye(J.shape[-1], dtype=J.dtype, device=J.device), J)

    @torch.no_grad()
    def diagonal(self, before: Tensor) -> Tensor:
        """Return the diagonals of the Jacobians of all steps, ``[time, batch, coordinate]``."""
        diagonal = self._of_all(self.cell.jacobian_diagonal, before)
        return diagonal if self.hold is None else diagonal.masked_fill(self.hold.unsqueeze(-1), 1.0)

    def require_parallel(self) -> None:
        """Refuse a step of which a trial depends on the others, or whose state is hidden from derivatives; by its first step.

        Side by side, the steps of the former would be other ones; of the latter, corrections would go nowhere.
        """
        if not self.start.numel():
            return
        first, name = self.cut(slice(0, 1), self.start.detach().requires_grad_()), type(self.cell).__name__
        alone = first.trials(torch.arange(len(self.start), device=self.start.device) == 0)
        with torch.enable_grad():
            after = first._after()
        with torch.no_grad():
            if not torch.allclose(alone._after(), after[:, :1], 1e-3, 1e-5, equal_nan=True):
                raise InputError(
                    f"the step of {name} makes something else of a trial among others than alone: expected each trial by "
                    "itself, or engine 'loop'"
                )
            hidden = not (after.requires_grad or torch.is_inference_mode_enabled())
            if hidden and not torch.equal(first.cut(slice(0, 1), self.start + 1)._after(), after):
                raise InputError(
                    f"the step of {name} cannot be differentiated (it hides its state): expected operations that torch "
                    "differentiates, or engine 'loop'"
                )

    def _after(self) -> Tensor:
        return self.step(self.start.unsqueeze(0))

    @torch.no_grad()
    def loop(self) -> Tensor:
        """Return what is after every step, one step after the other, ``[time, batch, coordinate]``."""
        if len(self._like) == 1 and self._like[0].dim() == 2:
            return self.cell.sequence(self.inputs, self._like, noise=self.noise, hold=self.hold)[0]
        return torch.stack([flat(state) for state in walk(self.cell, self.inputs, self._like, self.noise, self.hold)])

    def _of_all(self, function: Callable[..., Tensor], before: Tensor) -> Tensor:
        return function(*self._side_by_side(before)).unflatten(0, before.shape[:2])

    def _side_by_side(self, before: Tensor) -> tuple[Tensor, State, Tensor | None]:
        """Return inputs, states and noise of all steps and trials as one batch."""
        noise = None if self.noise is None else self.noise.flatten(0, 1)
        return self.inputs.flatten(0, 1), self.state(before.flatten(0, 1)), noise
