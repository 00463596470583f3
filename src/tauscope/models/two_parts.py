"""Cells in two parts: what they multiply, and what each unit does with the products.

Of a cell that says both apart, the package makes the step, and a fast recurrence: the inputs of many steps are multiplied
at once, the state at every step, and the weights' gradients are few large products. See `TwoPartCell`.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tauscope.errors import InputError
from tauscope.models.cell import Cell, State
from tauscope.models.kernels.kernel import is_transformed
from tauscope.models.kernels.two_parts import joined, two_parts
from tauscope.models.kernels.unit_wise import UnitWise, unit_wise
from tauscope.models.parallel.jacobian import UnitDerivatives
from tauscope.models.weights import Weight


@dataclass(frozen=True)
class Maps:
    """What a cell multiplies: the linear maps of its input and of its units to ``z [batch, row]``.

    The rows of z come in blocks, one for each gate. The input drives the first rows and the units the last ones; rows
    that both drive receive the sum, as all rows do in most cells.

    Attributes
    ----------
    input : Tensor [input row, channel]
        Weights of the input, which give the first rows.
    recurrent : Tensor [recurrent row, unit]
        Weights of the units, which give the last rows.
    bias : Tensor [row]
        Of all rows, and as many.
    """

    input: Tensor
    recurrent: Tensor
    bias: Tensor

    @classmethod
    def of(cls, input: nn.Linear, recurrent: nn.Linear) -> Maps:
        """Return the maps of two layers whose outputs are added up, with the sum of their biases.

        Examples
        --------
        >>> maps = Maps.of(nn.Linear(1, 6), nn.Linear(3, 6, bias=False))
        >>> maps.input.shape, maps.recurrent.shape, maps.bias.shape
        (torch.Size([6, 1]), torch.Size([6, 3]), torch.Size([6]))
        """
        # A pruned layer refreshes its weights where it is called; here they are read.
        weight, recurrent_weight = (Weight("input", layer, "weight").tensor for layer in (input, recurrent))
        biases = [Weight("bias", layer, "bias").tensor for layer in (input, recurrent) if layer.bias is not None]
        bias = sum(biases[1:], biases[0]) if biases else recurrent_weight.new_zeros(len(recurrent_weight))
        return cls(weight, recurrent_weight, bias)


class TwoPartCell(Cell):
    """A cell given by `maps`, what it multiplies, and `pointwise`, what each unit does with the products.

    Its `step` is ``pointwise(z, state, noise)`` with ``z = W x + U h + b``, h the first tensor of the state, and `sequence` the
    fast equal of the loop over that. A cell of one's own subclasses this, takes ``(n_inputs, n_units, generator)`` and says
    both parts; nothing of derivatives. The weights that `pointwise` uses itself (peepholes, thresholds, time constants) are
    parameters of the cell, trained like all others.

    Parameters
    ----------
    n_inputs, n_units : int
        Channels of the input, number of units.

    Attributes
    ----------
    elementwise : bool
        Whether `pointwise` acts unit by unit: what becomes of a unit depends on its own rows of z, its own state and noise.
    clip : float, optional
        Largest magnitude of the gradient with respect to z, clipped element by element at every step of `sequence`. The
        step does not clip, so that its derivative is the network's.

    Examples
    --------
    A network of which every unit keeps a share of its state that it gates itself:

    >>> class Leaky(TwoPartCell):
    ...     def __init__(self, n_inputs, n_units):
    ...         super().__init__(n_inputs, n_units)
    ...         self.input = nn.Linear(n_inputs, 2 * n_units)
    ...         self.recurrent = nn.Linear(n_units, 2 * n_units, bias=False)
    ...     def maps(self):
    ...         return Maps.of(self.input, self.recurrent)
    ...     def pointwise(self, z, state, noise):
    ...         keep, new = z.chunk(2, dim=-1)
    ...         return (torch.lerp(torch.tanh(new), state[0], torch.sigmoid(keep)),)
    >>> cell = Leaky(1, 4)
    >>> states, last = cell.sequence(torch.ones(6, 3, 1), cell.initial_state(3))
    >>> states.shape
    torch.Size([6, 3, 4])
    """

    elementwise = True
    clip: float | None = None
    _judged = False

    @abc.abstractmethod
    def maps(self) -> Maps:
        """Return what the input and the units are multiplied with, as the parameters say now."""

    @abc.abstractmethod
    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        """Return the next state.

        Parameters
        ----------
        z : Tensor [batch, row]
            ``W x + U h + b``, with the rows of `maps`.
        state : tuple of Tensor [batch, unit]
            State before the step; tensors behind the first may have other widths.
        noise : Tensor [batch, unit], optional
            Private noise, added where the cell's equation says.

        Returns
        -------
        tuple of Tensor [batch, unit]
            State after the step, of the same shapes: new tensors, by operations that torch differentiates. No argument
            may be changed.
        """

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state, ``pointwise(W x + U h + b, state, noise)``."""
        maps = self.maps()
        return self.pointwise(joined(x @ maps.input.t(), state[0] @ maps.recurrent.t(), maps.bias), state, noise)

    def unit_wise(self) -> UnitWise | None:
        """Return how a sequence computes and differentiates `pointwise`, where a cell knows it better than torch."""
        return None

    def jacobian(self, x: Tensor, state: State, noise: Tensor | None = None) -> Tensor:
        """Return the Jacobian of the step: of what each unit does, times the weights of the units."""
        if not self._is_closed(state):
            return super().jacobian(x, state, noise)
        return UnitDerivatives(self, x, state, noise).dense()

    def jacobian_diagonal(self, x: Tensor, state: State, noise: Tensor | None = None) -> Tensor:
        """Return the diagonal of the `jacobian`, ``[batch, coordinate]``."""
        if not self._is_closed(state):
            return super().jacobian_diagonal(x, state, noise)
        return UnitDerivatives(self, x, state, noise).diagonal()

    def _is_closed(self, state: State) -> bool:
        """Return whether the Jacobian follows from both parts: each unit depends on its own rows and its own state."""
        n = self.n_units
        whole = len(self.maps().recurrent) % n == 0 and all(
            part.dim() == 2 and part.shape[1] % n == 0 for part in state
        )
        return type(self).step is TwoPartCell.step and self.elementwise and whole

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run a sequence by the fast recurrence of cells in two parts.

        Raises
        ------
        InputError
            At the first call, if `maps` or `pointwise` is not what it should be.
        """
        maps = self.maps()
        if not self._judged and not is_transformed((inputs, *state, maps.input, maps.recurrent, maps.bias)):
            _judge(self, maps, state)
            self._judged = True
        products, rule = (maps.input, maps.recurrent, maps.bias), self.unit_wise()
        if rule is None:
            return two_parts(self.pointwise, products, inputs, state, noise, hold, clip=self.clip)
        return unit_wise(rule, products, inputs, state, noise, hold, clip=self.clip)


def _judge(cell: TwoPartCell, maps: Maps, state: State) -> None:
    """Refuse a cell whose parts are not what they should be, tried on two trials."""
    name = type(cell).__name__
    _judge_maps(name, cell, maps)
    generator = torch.Generator("cpu").manual_seed(0)

    def drawn(like: Tensor, width: int) -> Tensor:
        numbers = torch.randn(2, width, generator=generator, dtype=torch.float32, device="cpu")
        return numbers.to(like.device, like.dtype)

    z, before = drawn(maps.bias, len(maps.bias)), tuple(drawn(part, part.shape[1]) for part in state)
    noise = drawn(state[0], cell.n_units)
    arguments = (z, *before, noise)
    kept = [argument.clone() for argument in arguments]
    after = _tried(cell, z, before, noise)
    for argument, copy, what in zip(arguments, kept, ("z", *["its state"] * len(before), "the noise"), strict=True):
        if not torch.equal(argument, copy):
            raise InputError(f"pointwise of {name} changes {what} in place: expected new tensors")
    if not isinstance(after, tuple) or len(after) != len(before):
        raise InputError(f"pointwise of {name} returned {_described(after)}: expected a tuple of {len(before)} tensors")
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if not isinstance(new, Tensor) or new.shape != old.shape or new.dtype != old.dtype:
            raise InputError(
                f"pointwise of {name} returned {_described(new)} as tensor {place} of the state: expected "
                f"[batch, {old.shape[1]}] in {str(old.dtype).removeprefix('torch.')}"
            )
    if not _same(after, _tried(cell, z, before, noise)):
        raise InputError(f"pointwise of {name} returned two states for the same arguments: expected a pure function")
    _judge_derivative(name, cell, z, before, noise)
    if cell.elementwise:
        _judge_elementwise(name, cell, arguments, after)


def _judge_maps(name: str, cell: TwoPartCell, maps: Maps) -> None:
    rows = len(maps.bias) if maps.bias.dim() == 1 else 0
    for what, weights, width in (("input", maps.input, cell.n_inputs), ("recurrent", maps.recurrent, cell.n_units)):
        if weights.dim() != 2 or weights.shape[1] != width or len(weights) > rows:
            raise InputError(
                f"maps of {name}: {what} weights have shape {tuple(weights.shape)} beside {rows} biases: expected "
                f"[row, {width}] with at most as many rows as biases"
            )
    if len(maps.input) + len(maps.recurrent) < rows:
        raise InputError(
            f"maps of {name}: {rows} biases for {len(maps.input)} rows of the input and {len(maps.recurrent)} of the "
            "units: expected a bias for every row"
        )


def _tried(cell: TwoPartCell, z: Tensor, state: State, noise: Tensor) -> Any:
    with torch.no_grad():
        return cell.pointwise(z, state, noise)


def _same(some: State, others: State) -> bool:
    return all(torch.equal(tensor.nan_to_num(), other.nan_to_num()) for tensor, other in zip(some, others, strict=True))


def _judge_derivative(name: str, cell: TwoPartCell, z: Tensor, state: State, noise: Tensor) -> None:
    wanted = (z.clone().requires_grad_(), *[part.clone().requires_grad_() for part in state])
    with torch.enable_grad():
        try:
            after = cell.pointwise(wanted[0], wanted[1:], noise)
        except RuntimeError as error:
            line = str(error).splitlines()[0]
            raise InputError(f"pointwise of {name} cannot be differentiated: {line}") from error
    if not any(part.requires_grad and part.grad_fn is not None for part in after[:1]):
        raise InputError(
            f"pointwise of {name} cannot be differentiated: expected units that come from z by operations that torch "
            "differentiates, or the gradient of a surrogate"
        )


def _judge_elementwise(name: str, cell: TwoPartCell, arguments: tuple[Tensor, ...], after: State) -> None:
    """Move all that belongs to the first unit: what becomes of the others stays the same to the bit."""
    if any(part.shape[1] % cell.n_units for part in arguments):
        raise InputError(
            f"{name} is elementwise with {arguments[0].shape[1]} rows for {cell.n_units} units: expected a multiple, or "
            "elementwise = False"
        )
    moved = [part.clone() for part in arguments]
    for part in moved:
        part[:, :: cell.n_units] += 1
    found = _tried(cell, moved[0], tuple(moved[1:-1]), moved[-1])
    others = [tuple(part.unflatten(1, (-1, cell.n_units))[:, :, 1:] for part in state) for state in (after, found)]
    if not _same(*others):
        raise InputError(
            f"pointwise of {name} mixes units, but elementwise is True: expected each unit to depend on its own rows, or "
            "elementwise = False"
        )


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)} in {str(value.dtype).removeprefix('torch.')}"
    return f"{len(value)} tensors" if isinstance(value, tuple) else f"a {type(value).__name__}"
