"""What a cell is: one layer of a network, given by a pure step."""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_count
from tauscope.models.parallel.jacobian import forward_jacobian
from tauscope.models.solvers import loop
from tauscope.models.weights import Weight

State = tuple[Tensor, ...]
"""State of one cell: tensors [batch, unit], of which the first is what other layers and the read-out see."""


class Cell(nn.Module, abc.ABC):
    """One layer of a recurrent network, given by a pure step.

    A cell of one's own subclasses this, takes ``(n_inputs, n_units, generator)`` and implements `step`; everything
    in tauscope then runs on it. `sequence` may be overridden by a faster equal of the loop over `step`; `weights` says
    what can be measured and perturbed.

    Parameters
    ----------
    n_inputs : int
        Channels of the input.
    n_units : int
        Number of units.

    Attributes
    ----------
    n_states : int
        Number of tensors in a state.
    weighted_sum : bool
        Whether all that drives a unit is the sum of its `weights` times what they come from, and of its biases.
    """

    n_states = 1
    weighted_sum = False

    def __init__(self, n_inputs: int, n_units: int) -> None:
        super().__init__()
        require_count("number of units", n_units)
        require_count("number of inputs", n_inputs, 0)
        # Plain integers, where numbers of NumPy were given.
        self.n_inputs, self.n_units = int(n_inputs), int(n_units)

    @abc.abstractmethod
    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state.

        Parameters
        ----------
        x : Tensor [batch, channel]
            Input of this step.
        state : tuple of Tensor [batch, unit]
            State before the step; never changed in place.
        noise : Tensor [batch, unit], optional
            Private noise, added where the cell's equation says.

        Returns
        -------
        tuple of Tensor [batch, unit]
            State after the step.
        """

    def jacobian(self, x: Tensor, state: State, noise: Tensor | None = None) -> Tensor:
        """Return the Jacobian of the step, in closed form where a cell has one.

        Parameters
        ----------
        x, state, noise
            As of `step`.

        Returns
        -------
        Tensor [batch, to, from]
            Derivatives of the coordinates of the next state, its tensors side by side, with respect to those of this one.

        Raises
        ------
        InputError
            If the step cannot be differentiated.
        """
        return forward_jacobian(self, x, state, noise)

    def jacobian_diagonal(self, x: Tensor, state: State, noise: Tensor | None = None) -> Tensor:
        """Return the diagonal of the `jacobian`, ``[batch, coordinate]``."""
        return self.jacobian(x, state, noise).diagonal(dim1=1, dim2=2)

    @property
    def tau(self) -> Tensor | None:
        """Single-unit timescales in steps, ``[unit]``; ``None`` where the cell has none."""
        return None

    def retention(self, x: Tensor, state: State) -> Tensor | None:
        """Return the share of every unit's memory that the next step keeps, ``[batch, unit]``; ``None`` where undefined.

        A leaky unit keeps 1 - 1/τ; a GRU unit keeps its update gate z, an LSTM unit its forget gate f.
        """
        del x, state
        return None

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        """Return the state before the first step: zeros, unless a cell draws it from the generator."""
        del generator
        like = reference_of(self)
        return tuple(like.new_zeros(batch_size, self.n_units) for _ in range(self.n_states))

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Return the private noise that the cell is trained with, ``[time, batch, unit]``; ``None`` where it has none."""
        del n_steps, batch_size, generator
        return None

    def settle(self) -> None:
        """Find anew what depends on the weights but is not followed at every step; before every epoch of training."""

    def project(self) -> None:
        """Bring parameters back to where the step is defined; after every step of training."""

    def at_resolution(self, k: int) -> Cell:
        """Return this cell with time steps of 1/k of a bit, where it has a continuous-time form."""
        raise InputError(f"{type(self).__name__} cannot run at k = {k}: expected model type 'continuous'")

    @property
    def intact(self) -> Cell:
        """The cell itself, or the one that it is an ablated form of."""
        return self

    def rates(self, states: Tensor) -> Tensor:
        """Return what units in these states ``[..., unit]`` pass on to each other; the states, unless a cell says else."""
        return states

    def weights(self) -> Mapping[str, Weight]:
        """Return the weights that analyses and transforms may know of, by the names that they have in the cell.

        A cell that does not say has none that are known.

        Examples
        --------
        >>> from tauscope.models import LeakyCell
        >>> list(LeakyCell(1, 4, torch.Generator().manual_seed(0)).weights())
        ['input.weight', 'recurrent.weight', 'input.bias', 'recurrent.bias', 'raw_tau']
        """
        return {}

    def sequence(
        self, inputs: Tensor, state: State, *, noise: Tensor | None = None, hold: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run `step` over a sequence, by the loop or what equals it.

        Parameters
        ----------
        inputs : Tensor [time, batch, channel]
            Input of every step.
        state : tuple of Tensor [batch, ...]
            State before the first step.
        noise : Tensor [time, batch, unit], optional
            Private noise, as `step` takes it.
        hold : Tensor [time, batch] of bool, optional
            Steps at which the state stays as it is.

        Returns
        -------
        outputs : Tensor [time, batch, unit]
            First component of every state.
        state : tuple of Tensor [batch, ...]
            State after the last step.
        """
        return loop(self, inputs, state, noise, hold)


def reference_of(module: nn.Module) -> Tensor:
    """Return an empty tensor of the device and dtype that a module computes with.

    That is what its parameters are promoted to when they meet; its buffers, where it has none; float32 on the CPU
    without either. Integers and truth values do not count.

    Examples
    --------
    >>> reference_of(nn.Linear(1, 1).double()).dtype
    torch.float64
    """
    for kept in (module.parameters(), module.buffers()):
        numbers = [tensor for tensor in kept if tensor.is_floating_point() or tensor.is_complex()]
        if numbers:
            dtype = functools.reduce(torch.promote_types, (tensor.dtype for tensor in numbers))
            return torch.empty(0, dtype=dtype, device=numbers[0].device)
    return torch.empty(0, dtype=torch.float32, device="cpu")


def layer_sizes(n_units: int | Sequence[int]) -> tuple[int, ...]:
    """Return the number of units of every layer.

    Raises
    ------
    InputError
        If there is no layer, or a number is no whole one of at least 1.

    Examples
    --------
    >>> layer_sizes(3), layer_sizes([3, 4])
    ((3,), (3, 4))
    """
    sizes = tuple(n_units) if isinstance(n_units, Iterable) else (n_units,)
    require_count("number of layers", len(sizes))
    for size in sizes:
        require_count("number of units", size)
    return tuple(map(int, sizes))
