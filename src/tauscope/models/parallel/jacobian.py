"""The Jacobian of a cell's step: by forward derivatives of any step, in closed form of cells in two parts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import jvp, vmap

from tauscope.errors import InputError
from tauscope.models.kernels.two_parts import joined

if TYPE_CHECKING:
    from tauscope.models.cell import Cell, State
    from tauscope.models.kernels.unit_wise import UnitWise
    from tauscope.models.two_parts import TwoPartCell

_TOGETHER = 1 << 24
"""Numbers of all directions that are pushed through a step at once."""


def flat(state: State) -> Tensor:
    """Return a state ``[batch, ...]`` as one vector of every trial, ``[batch, coordinate]``.

    Examples
    --------
    >>> flat((torch.zeros(2, 3), torch.ones(2, 3))).shape
    torch.Size([2, 6])
    """
    parts = [part.flatten(1) for part in state]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def split(z: Tensor, like: State) -> State:
    """Return vectors ``[batch, coordinate]`` as a state of the shapes of another one, but for the number of trials.

    Examples
    --------
    >>> [part.shape for part in split(torch.zeros(5, 6), (torch.zeros(2, 3), torch.zeros(2, 3)))]
    [torch.Size([5, 3]), torch.Size([5, 3])]
    """
    if len(like) == 1 and like[0].dim() == 2:
        return (z,)
    parts = z.split([part.shape[1:].numel() for part in like], dim=1)
    return tuple(part.reshape(-1, *own.shape[1:]) for part, own in zip(parts, like, strict=True))


@torch.no_grad()
def forward_jacobian(cell: Cell, x: Tensor, state: State, noise: Tensor | None) -> Tensor:
    """Return the Jacobian of any step that torch differentiates, by a forward derivative in the direction of every coordinate.

    Parameters
    ----------
    cell : Cell
        The layer.
    x, state, noise
        As of `tauscope.models.Cell.step`.

    Returns
    -------
    Tensor [batch, to, from]
        Derivatives of the coordinates of the next state with respect to those of this one.

    Raises
    ------
    InputError
        If the step cannot be differentiated.

    Examples
    --------
    >>> from tauscope.models.wrapped import WrappedCell
    >>> cell = WrappedCell(lambda x, h: h * h + x, 1, 1)
    >>> forward_jacobian(cell, torch.zeros(1, 1), (torch.full((1, 1), 3.0),), None)
    tensor([[[6.]]])
    """
    z = flat(state)

    def push(direction: Tensor) -> Tensor:
        derivative: Tensor = jvp(
            lambda point: flat(cell.step(x, split(point, state), noise)), (z,), (direction.expand_as(z),)
        )[1]
        return derivative

    n = z.shape[1]
    chunk = max(1, _TOGETHER // max(z.numel() * 4, 1))
    with warnings.catch_warnings():
        # The first forward derivative of a process makes torch warn of what it does itself.
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        pushed = differentiated(
            cell, lambda: vmap(push, chunk_size=chunk)(torch.eye(n, dtype=z.dtype, device=z.device))
        )
    return pushed.permute(1, 2, 0)


def differentiated(cell: Cell, derive: Callable[[], Tensor]) -> Tensor:
    """Return a derivative of a cell's step, or say in one line that there is none."""
    try:
        return derive()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the step of {type(cell).__name__} cannot be differentiated ({line}): expected operations that torch "
            "differentiates, or engine 'loop'"
        ) from error


class UnitDerivatives:
    """How every unit of a cell in two parts depends on its own rows of z and on its own state: closed forms where gates have them.

    Parameters
    ----------
    cell : TwoPartCell
        Of which every unit depends on its own rows of z and its own state.
    x, state, noise
        As of `tauscope.models.Cell.step`.
    """

    @torch.no_grad()
    def __init__(self, cell: TwoPartCell, x: Tensor, state: State, noise: Tensor | None) -> None:
        self._n, maps = cell.n_units, cell.maps()
        self._U = maps.recurrent.unflatten(0, (-1, self._n))
        z = joined(x @ maps.input.t(), state[0] @ maps.recurrent.t(), maps.bias)
        alone = z.shape[1] - len(maps.recurrent)
        # What a rule clips is no derivative.
        rule = cell.unit_wise() if cell.clip is None else None
        after, pull = _by_torch(cell, z, state, noise) if rule is None else _by_rule(rule, z, state, noise, alone)
        self._blocks: list[tuple[Tensor, Tensor]] = []
        for place, part in enumerate(after):
            for first in range(0, part.shape[1], self._n):
                ones = torch.zeros_like(part)
                ones[:, first : first + self._n] = 1
                of_z, *back = pull([ones if place == other else None for other in range(len(after))])
                own = [
                    torch.zeros_like(part) if part_back is None else part_back
                    for part, part_back in zip(state, back, strict=True)
                ]
                of_z = torch.zeros_like(z) if of_z is None else of_z
                self._blocks.append((of_z[:, alone:].unflatten(1, (-1, self._n)), flat(tuple(own))))

    def dense(self) -> Tensor:
        """Return the Jacobian, ``[batch, to, from]``."""
        return torch.cat([self._row(of_z, own) for of_z, own in self._blocks], dim=1)

    def diagonal(self) -> Tensor:
        """Return its diagonal, ``[batch, coordinate]``."""
        n, found = self._n, []
        for place, (of_z, own) in enumerate(self._blocks):
            diagonal = own[:, place * n : (place + 1) * n]
            if place == 0:
                diagonal = diagonal + (of_z * self._U.diagonal(dim1=1, dim2=2)).sum(dim=1)
            found.append(diagonal)
        return torch.cat(found, dim=1)

    def _row(self, of_z: Tensor, own: Tensor) -> Tensor:
        """Return the rows of one block of units, ``[batch, unit, coordinate]``."""
        n = self._n
        row = of_z.new_zeros(len(of_z), n, own.shape[1])
        units = row[:, :, :n]
        for gate, U in zip(of_z.unbind(1), self._U, strict=True):
            units.addcmul_(gate.unsqueeze(2), U)
        for first in range(0, own.shape[1], n):
            row[:, :, first : first + n].diagonal(dim1=1, dim2=2).add_(own[:, first : first + n])
        return row


_Pull = Callable[[Sequence[Tensor | None]], Sequence[Tensor | None]]
"""From gradients of the state after a step to those of z and of the state before."""


def _by_torch(cell: TwoPartCell, z: Tensor, state: State, noise: Tensor | None) -> tuple[State, _Pull]:
    """Return the state after the pointwise part, and how torch differentiates it."""
    leaves = [part.detach().requires_grad_() for part in (z, *state)]
    with torch.enable_grad():
        after = cell.pointwise(leaves[0], tuple(leaves[1:]), noise)

    def pull(gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        known = [(part, g) for part, g in zip(after, gradients, strict=True) if g is not None and part.requires_grad]
        if not known:
            return [None] * len(leaves)
        parts, given = zip(*known, strict=True)
        return torch.autograd.grad(parts, leaves, given, retain_graph=True, allow_unused=True)

    return tuple(part.detach() for part in after), pull


def _by_rule(rule: UnitWise, z: Tensor, state: State, noise: Tensor | None, alone: int) -> tuple[State, _Pull]:
    """Return the state after the pointwise part, and how its own rule differentiates it."""
    after = rule.forward(z, state, noise)

    def pull(gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        delta = torch.empty_like(z)
        back = rule.backward(
            z, state, gradients, tuple(delta.split([alone, z.shape[1] - alone], dim=1)) if alone else (delta,)
        )
        return [delta, *back]

    return after, pull
