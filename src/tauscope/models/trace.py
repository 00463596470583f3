"""The one way to put trials through a network: initial states, private noise, holding and read-out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from tauscope._draws import require_generator
from tauscope.errors import InputError, require_at_least, require_instance
from tauscope.models.cell import State
from tauscope.models.fitting import require_state
from tauscope.models.model import Model, own_precision, require_model
from tauscope.models.solvers import Fast, Solver


class Trials(Protocol):
    """What a network is shown; a `tauscope.tasks.Batch` is that."""

    @property
    def inputs(self) -> Tensor:
        """Input of every step, ``[time, batch, channel]``."""

    @property
    def hold(self) -> Tensor | None:
        """Steps at which the state stays as it is, ``[time, batch]`` of bool."""

    @property
    def start(self) -> Tensor | None:
        """What the initial states are made of, ``[batch, code]``."""


@dataclass(frozen=True)
class Trace:
    """What a network did in a batch of trials.

    Attributes
    ----------
    states : Tensor [time, batch, unit]
        Units of all layers, from the step ``first`` on.
    outputs : Tensor [time, batch, head, output]
        What the heads say at the same steps; ``[time, batch, 0]`` where none was asked.
    final : tuple of layer states
        State after the last step.
    info : mapping of Tensor
        What the solver says, by layer and name, as in ``"0.iterations"``.
    """

    states: Tensor
    outputs: Tensor
    final: tuple[State, ...]
    info: Mapping[str, Tensor]


@dataclass(frozen=True)
class _Inputs:
    """Trials of which nothing is given but the input."""

    inputs: Tensor
    hold: None = None
    start: None = None


def run(
    model: Model,
    batch: Trials | Tensor,
    generator: torch.Generator,
    *,
    heads: Sequence[str] = (),
    solver: Solver = Fast(),  # noqa: B008
    noise: float = 1.0,
    first: int = 0,
    state: tuple[State, ...] | None = None,
) -> Trace:
    """Put trials through a network: draw initial states and private noise, hold, solve, read out.

    All is computed in the network's own precision, under autocast too.

    Parameters
    ----------
    model : Model
        The network.
    batch : Batch, or Tensor or array [time, batch, channel]
        The trials, or their input alone; cast to the network's device and precision.
    generator : torch.Generator
        Source of the initial states, drawn first, and of the private noise.
    heads : sequence of str
        Names of the heads that are read out; a name alone is a sequence of one.
    solver : Solver
        How the states are found.
    noise : float
        Factor of the private noise that the network is trained with; with 0 none is drawn.
    first : int
        Step from which on states and outputs are wanted. What comes before it costs a gradient through time, but none
        that enters at every step, and after the last but one step the final state is all that is differentiated.
    state : tuple of layer states, optional
        State to go on from, in the place of an initial one.

    Returns
    -------
    Trace
        States, outputs, final state and what the solver says.

    Raises
    ------
    InputError
        If the network is no `Model`, or trials, generator, initial states or heads do not fit it.

    Examples
    --------
    >>> import tauscope as ts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model, batch = ts.LeakyRNN(8, generator=generator), ts.Parity((2, 3), length=9).sample(4, generator)
    >>> trace = run(model, batch, generator, heads=["N2", "N3"], first=8)
    >>> trace.states.shape, trace.outputs.shape
    (torch.Size([1, 4, 8]), torch.Size([1, 4, 2, 2]))
    """
    require_model(model)
    require_generator(generator)
    shown, heads = _shown(batch, model.n_inputs), [heads] if isinstance(heads, str) else heads
    require_instance("heads", heads, Collection, "names of heads, such as ['N2']")
    require_at_least("noise", noise, 0.0)
    n_steps, n_trials = shown.inputs.shape[:2]
    if state is None:
        state = model.initial_state(n_trials, generator, shown.start)
    private = model.draw_noise(n_steps, n_trials, generator) if noise else None
    if private is not None and noise != 1:
        private = noise * private
    like = model.hidden(require_state(model.layers, state, n_trials))
    inputs = shown.inputs.to(like.device, like.dtype.to_real())
    with own_precision():
        states, final, info = model.solve(inputs, state, noise=private, hold=shown.hold, solver=solver, first=first)
        outputs = model.readout(states, heads) if len(heads) else states.new_empty(*states.shape[:2], 0)
    return Trace(states, outputs, final, info)


def _shown(batch: object, n_inputs: int) -> Trials:
    """Return trials of whatever may stand for them."""
    if hasattr(batch, "inputs") and isinstance(batch.inputs, Tensor):
        shown: Trials = cast(Trials, batch)
    else:
        shown = _Inputs(batch if isinstance(batch, Tensor) else _tensor(batch))
    if shown.inputs.dim() != 3 or shown.inputs.shape[-1] != n_inputs:
        raise InputError(f"inputs have shape {tuple(shown.inputs.shape)}: expected [time, batch, {n_inputs}]")
    return shown


def _tensor(values: object) -> Tensor:
    try:
        return torch.as_tensor(values, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        expected = "a Batch, such as task.sample(8, generator), or inputs [time, batch, channel]"
        require_instance("batch", values, Tensor, expected)
        raise


def generator_for(model: Model, given: torch.Generator | None) -> torch.Generator:
    """Return the given generator, or one with seed 0 where the network is.

    Raises
    ------
    InputError
        If the network is no `Model`, or what is given is no generator.

    Examples
    --------
    >>> import tauscope as ts
    >>> generator_for(ts.LeakyRNN(2, generator=torch.Generator().manual_seed(1)), None).initial_seed()
    0
    """
    require_model(model)
    if given is None:
        return torch.Generator(model.hidden(model.initial_state(1)).device).manual_seed(0)
    require_generator(given)
    return given
