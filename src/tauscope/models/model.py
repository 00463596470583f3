"""What a model is: cells, stacked, with named read-out heads."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from tauscope._draws import require_generator
from tauscope.errors import InputError, require_count, require_instance
from tauscope.models.cell import Cell, State
from tauscope.models.fitting import (
    require_float64,
    require_one_precision,
    require_parts,
    require_series,
    require_state,
    require_weights,
)
from tauscope.models.rate import RateCell
from tauscope.models.readout import Heads
from tauscope.models.solvers import Fast, Solver
from tauscope.models.two_parts import TwoPartCell
from tauscope.models.weights import Weight, refresh


class Model(nn.Module):
    """A stack of cells and its read-out heads.

    Parameters
    ----------
    cells : sequence of Cell
        Layers, the first one nearest to the input.
    heads : Heads
        Read-outs of the last layer.
    skip_input : bool
        Give every layer above the first the network's input too, behind the units of the layer below.
    start : nn.Module, optional
        What makes initial states: from the codes of a batch, ``[batch, code]``, to the units of all layers,
        ``[batch, unit]``.

    Attributes
    ----------
    n_inputs, n_units : int
        Channels of the input; units of all layers together.

    Raises
    ------
    InputError
        If a part is not what it is for, or does not fit the others.
    """

    def __init__(
        self, cells: Sequence[Cell], heads: Heads, skip_input: bool = False, start: nn.Module | None = None
    ) -> None:
        super().__init__()
        cells = require_parts(cells, heads, start, skip_input)
        self.cells = nn.ModuleList(cells)
        # Before the heads, of which an optimiser may see only the first ones.
        self.start = start
        self.heads = heads
        self.skip_input = skip_input
        self.n_inputs = cells[0].n_inputs
        self.n_units = sum(cell.n_units for cell in cells)

    @property
    def layers(self) -> list[Cell]:
        """The cells, the first one nearest to the input."""
        return [cast(Cell, cell) for cell in self.cells]

    def forward(
        self,
        inputs: Tensor,
        state: tuple[State, ...] | None = None,
        *,
        noise: Tensor | None = None,
        hold: Tensor | None = None,
    ) -> tuple[Tensor, tuple[State, ...]]:
        """Return the states ``[time, batch, unit]`` of all layers and the state after the last step, as `solve`.

        Private noise is what is given here; `run` draws it. The network computes in its own precision, under autocast
        too.
        """
        with own_precision():
            return self.solve(inputs, state, noise=noise, hold=hold)[:2]

    def solve(
        self,
        inputs: Tensor,
        state: tuple[State, ...] | None = None,
        *,
        noise: Tensor | None = None,
        hold: Tensor | None = None,
        solver: Solver = Fast(),  # noqa: B008
        first: int = 0,
    ) -> tuple[Tensor, tuple[State, ...], Mapping[str, Tensor]]:
        """Run a sequence by a solver, and return the states from a step on.

        Parameters
        ----------
        inputs : Tensor [time, batch, channel]
            Input of every step.
        state : tuple of layer states, optional
            From `initial_state` or an earlier call; by default `initial_state` without a generator.
        noise : Tensor [time, batch, unit], optional
            Private noise of the units of all layers, as `step` takes it.
        hold : Tensor [time, batch] of bool, optional
            Steps at which the state stays as it is.
        solver : Solver
            How the states are found.
        first : int
            Step from which on states are returned.

        Returns
        -------
        states : Tensor [time, batch, unit]
            Units of all layers, the first layer first.
        state : tuple of layer states
            State after the last step.
        info : mapping of Tensor
            What the solver says, by layer and name.

        Raises
        ------
        InputError
            If a tensor is none, or does not fit the network in shape, precision or device.
        """
        self._require_sequence(inputs, noise, hold, solver, first)
        n_trials = inputs.shape[1]
        state = require_state(self.layers, self.initial_state(n_trials) if state is None else state, n_trials)
        refresh(self.cells)
        rest = len(inputs) - first
        # A gradient for every state is a matrix of gradients; to begin anew without one is worth it if the rest is short.
        info: dict[str, Tensor] = {}
        if 1 < rest <= first:
            (early, inputs), (private, noise), (held, hold) = (_cut(series, first) for series in (inputs, noise, hold))
            _, state, told = self.solve(early, state, noise=private, hold=held, solver=solver)
            info = {f"before.{name}": value for name, value in told.items()}
        below, layers, final, unit = inputs, [], [], 0
        for depth, (cell, own) in enumerate(zip(self.layers, state, strict=True)):
            if depth and self.skip_input:
                below = torch.cat([below, inputs], dim=-1)
            private = None if noise is None else noise[..., unit : unit + cell.n_units]
            try:
                below, last, told = solver(cell, below, own, private, hold)
            except (RuntimeError, ValueError) as error:
                require_one_precision(inputs, own[0], error)
                raise
            layers.append(below)
            final.append(last)
            info |= {f"{depth}.{name}": value for name, value in told.items()}
            unit += cell.n_units
        if rest == 1:
            return self.hidden(tuple(final)).unsqueeze(0), tuple(final), info
        states = layers[0] if len(layers) == 1 else torch.cat(layers, dim=-1)
        return states if len(states) == rest else states[first:], tuple(final), info

    def _require_sequence(
        self, inputs: Tensor, noise: Tensor | None, hold: Tensor | None, solver: Solver, first: int
    ) -> None:
        """Raise an `InputError` unless what `solve` is given is a sequence for this network."""
        require_instance("inputs", inputs, Tensor, "a tensor [time, batch, channel]; `tauscope.run` takes arrays too")
        if inputs.dim() != 3 or inputs.shape[-1] != self.n_inputs:
            raise InputError(f"inputs have shape {tuple(inputs.shape)}: expected [time, batch, {self.n_inputs}]")
        n_steps, n_trials = inputs.shape[:2]
        require_count("number of steps", n_steps)
        require_count("first", first, 0)
        if first > n_steps:
            raise InputError(f"first is {first}: expected at most {n_steps}, the number of steps")
        if isinstance(solver, type) or not callable(solver):
            require_instance("solver", solver, Fast, "an instance, such as Fast() or Loop()")
        require_series("noise", noise, (n_steps, n_trials, self.n_units))
        require_series("hold", hold, (n_steps, n_trials))
        if hold is not None and hold.dtype != torch.bool:
            raise InputError(f"hold is of {hold.dtype}: expected truth values, such as hold > 0")

    def step(self, x: Tensor, state: tuple[State, ...], noise: Tensor | None = None) -> tuple[State, ...]:
        """Return the next state; pure, and the definition that `forward` is tested against.

        Parameters
        ----------
        x : Tensor [batch, channel]
            Input of this step.
        state : tuple of layer states
            State before the step.
        noise : Tensor [batch, unit], optional
            Private noise of the units of all layers.

        Returns
        -------
        tuple of layer states
            State after the step.
        """
        refresh(self.cells)
        below, final, first = x, [], 0
        for depth, (cell, before) in enumerate(zip(self.layers, state, strict=True)):
            if depth and self.skip_input:
                below = torch.cat([below, x], dim=-1)
            own = None if noise is None else noise[:, first : first + cell.n_units]
            final.append(cell.step(below, before, own))
            below, first = final[-1][0], first + cell.n_units
        return tuple(final)

    def retention(self, x: Tensor, state: tuple[State, ...]) -> Tensor | None:
        """Return the share of every unit's memory that the next step keeps, ``[batch, unit]``, as `Cell.retention`."""
        after, below, kept = self.step(x, state), x, []
        for depth, (cell, before, moved) in enumerate(zip(self.layers, state, after, strict=True)):
            if depth and self.skip_input:
                below = torch.cat([below, x], dim=-1)
            share = cell.retention(below, before)
            if share is None:
                return None
            kept.append(share)
            below = moved[0]
        return torch.cat(kept, dim=-1)

    def initial_state(
        self, batch_size: int, generator: torch.Generator | None = None, start: Tensor | None = None
    ) -> tuple[State, ...]:
        """Return the state before the first step, drawn from the generator where the cell's is random.

        Parameters
        ----------
        batch_size : int
            Number of trials.
        generator : torch.Generator, optional
            Source of chance; without it, every random component takes its mean, so that the call is deterministic.
        start : Tensor [batch, code], optional
            Codes of which the network's ``start`` makes the units; other components of a state are the cell's.

        Returns
        -------
        tuple of layer states
            The state.

        Raises
        ------
        InputError
            If there are codes but the network cannot read them.
        """
        require_count("number of trials", batch_size, 0)
        if generator is not None:
            require_generator(generator)
        state = tuple(cell.initial_state(batch_size, generator) for cell in self.layers)
        if start is None:
            return state
        if self.start is None:
            raise InputError("the trials say how they start, the network cannot read it: expected a Model with a start")
        like = state[0][0]
        units: Tensor = self.start(start.to(like.device, like.dtype))
        if units.shape != (batch_size, self.n_units):
            raise InputError(f"the start has shape {tuple(units.shape)}: expected {(batch_size, self.n_units)}")
        parts = units.split([cell.n_units for cell in self.layers], dim=-1)
        return tuple((part, *own[1:]) for part, own in zip(parts, state, strict=True))

    def hidden(self, state: tuple[State, ...]) -> Tensor:
        """Return the units of all layers of a state, ``[batch, unit]``."""
        return state[0][0] if len(state) == 1 else torch.cat([layer[0] for layer in state], dim=-1)

    def readout(self, states: Tensor, heads: str | Iterable[str]) -> Tensor:
        """Read one head or several out.

        Parameters
        ----------
        states : Tensor [..., unit]
            Units of all layers, as `forward` and `hidden` return them.
        heads : str or iterable of str
            Name of the head, or of several.

        Returns
        -------
        Tensor [..., output], or [..., head, output] for several
            Logits.

        Raises
        ------
        InputError
            If there is no such head.
        """
        outputs: Tensor = self.heads(states[..., self.n_units - self.layers[-1].n_units :], heads)
        return outputs

    def asked_parameters(self, heads: str | Iterable[str]) -> list[nn.Parameter]:
        """Return the parameters of start, layers and these heads, which an answer depends on."""
        parts = [self.cells, *dict.fromkeys([*([] if self.start is None else [self.start]), *self.heads.asked(heads)])]
        return [parameter for part in parts for parameter in part.parameters()]

    @property
    def tau(self) -> Tensor | None:
        """Single-unit timescales in steps, ``[unit]``, of all layers; ``None`` where a layer has none."""
        taus = [tau for cell in self.layers if (tau := cell.tau) is not None]
        return torch.cat(taus) if len(taus) == len(self.layers) else None

    def at_resolution(self, k: int) -> Model:
        """Return this network with time steps of 1/k of a bit, sharing its parameters.

        Raises
        ------
        InputError
            If a layer has no continuous-time form.
        """
        # A copy, so that a subclass stays what it is; its modules are those of this network but for the cells.
        twin = copy.copy(self)
        twin.__dict__["_modules"] = dict(self._modules)
        twin.cells = nn.ModuleList(cell.at_resolution(k) for cell in self.layers)
        return twin

    def weights(self) -> dict[str, Weight]:
        """Return the weights of all layers and heads that are known, by their names in the network.

        Examples
        --------
        >>> from tauscope.models import LeakyRNN
        >>> model = LeakyRNN(4, n_heads=1, generator=torch.Generator().manual_seed(0))
        >>> [name for name, weight in model.weights().items() if weight.role in ("recurrent", "readout")]
        ['cells.0.recurrent.weight', 'heads.linears.0.weight']
        """
        parts = {f"cells.{depth}": cell.weights() for depth, cell in enumerate(self.layers)}
        parts["heads"] = self.heads.weights()
        return {f"{part}.{name}": weight for part, weights in parts.items() for name, weight in weights.items()}

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Return the private noise that the network is trained with, ``[time, batch, unit]``; ``None`` without any."""
        drawn = [cell.draw_noise(n_steps, batch_size, generator) for cell in self.layers]
        if len(drawn) == 1:
            return drawn[0]
        if all(noise is None for noise in drawn):
            return None
        like = next(noise for noise in drawn if noise is not None)
        silent = (like.new_zeros(n_steps, batch_size, cell.n_units) for cell in self.layers)
        return torch.cat(
            [quiet if noise is None else noise for noise, quiet in zip(drawn, silent, strict=True)], dim=-1
        )

    def settle(self) -> None:
        """Find anew what depends on the weights but is not followed at every step of training, see `Cell.settle`."""
        for cell in self.layers:
            cell.settle()

    def project(self) -> None:
        """Bring parameters back to where the step is defined, see `Cell.project`."""
        for cell in self.layers:
            cell.project()


def _cut(series: Tensor | None, step: int) -> tuple[Any, Any]:
    return (None, None) if series is None else (series[:step], series[step:])


def require_model(value: object) -> None:
    """Raise an `InputError` unless it is a `Model` on a device that serves; of one inside another module, say where it is.

    Examples
    --------
    >>> require_model(nn.Linear(1, 1))
    Traceback (most recent call last):
    tauscope.errors.InputError: the network is of type Linear: expected a tauscope Model, such as by tauscope.wrap
    """
    if not isinstance(value, Model):
        inside = wrapper_of(value)
        expected = f"the Model in it, .{inside}" if inside else "a tauscope Model, such as by tauscope.wrap"
        require_instance("the network", value, Model, expected)
        return
    kept = next(itertools.chain(value.parameters(), value.buffers()), None)
    if kept is not None:
        require_float64(kept.device)
    require_weights(value)
    for part in (*value.layers, value.heads):
        # A module of a user's own may compute in several precisions.
        if isinstance(part, RateCell | TwoPartCell | Heads):
            require_weights(part, alike=True)


def wrapper_of(value: object) -> str:
    """Return the attribute in which a module of another kind (DataParallel, a compiled one) holds a network, or ""."""
    return next((name for name in ("module", "_orig_mod") if isinstance(getattr(value, name, None), Model)), "")


@contextlib.contextmanager
def own_precision() -> Iterator[None]:
    """Compute in the precision of what is computed with: kernels of cells differ in what autocast makes of them."""
    with contextlib.ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield
