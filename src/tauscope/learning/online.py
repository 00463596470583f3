"""Learning while a trial goes on: real-time recurrent learning of element-wise cells, and its local approximation."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tauscope._lazy import torch
from tauscope.errors import InputError, require_count
from tauscope.learning.learners import BPTT, Generators, Piece, Supervised

if TYPE_CHECKING:
    from torch import Tensor

    from tauscope.learning.sensitivities import Segment, Sensitivities
    from tauscope.models import Cell, Model, State


class Credit(Protocol):
    """A solver of the segments of a trial, in their order, and what their gradients need beyond backpropagation."""

    def __call__(
        self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, Mapping[str, Tensor]]:
        """Solve a layer, as `tauscope.models.Solver` says."""

    def carry(self, start: tuple[State, ...]) -> None:
        """Add to the parameters' gradients what comes through the state at the start of the segment that was solved last.

        ``start`` is that state, with the gradient of the segment's loss.
        """


@dataclass(frozen=True)
class Online(abc.ABC):
    """Gradients in segments of a trial, each of which ends in an update of its own."""

    every: int = 1

    def __post_init__(self) -> None:
        require_count("every", self.every)

    @abc.abstractmethod
    def credit(self, model: Model) -> Credit:
        """Return what goes through a trial of a network, or refuse the network."""

    def pieces(self, learner: Supervised, batch_size: int, generators: Generators) -> Iterator[Piece]:
        """Yield an update for every segment that asks something."""
        from tauscope.models.trace import run

        for model, task in learner.resolutions():
            credit = self.credit(model)
            state: tuple[State, ...] | None = None
            for batch in BPTT(self.every).parts(task.sample(batch_size, generators["data"])):
                n_answers = len(batch.targets)
                with torch.set_grad_enabled(n_answers > 0):
                    trace = run(model, batch, generators["state"], heads=learner.heads, solver=credit, state=state)
                if n_answers:
                    loss = task.loss(trace.outputs[-n_answers:], batch).sum()
                    total = loss
                    for term in learner.objective:
                        total = total + term.cost * term.measure(trace, batch, model)
                    yield Piece(loss, Backward(total, credit, state))
                state = as_start(trace.final)


@dataclass(frozen=True)
class Backward:
    """Backpropagation through a segment, and what its start carries."""

    total: Tensor
    credit: Credit
    start: tuple[State, ...] | None

    def __call__(self) -> None:
        """Add the gradient to the parameters."""
        self.total.backward()
        if self.start is not None:
            self.credit.carry(self.start)


def as_start(final: tuple[State, ...]) -> tuple[State, ...]:
    """Return a state to begin a segment with, which receives a gradient and passes none on."""
    return tuple(tuple(part.detach().requires_grad_() for part in layer) for layer in final)


@dataclass(frozen=True)
class RTRL(Online):
    """Real-time recurrent learning, exact for cells of which no unit's recurrence sees another's.

    The gradient of a segment is that of truncated backpropagation plus one carry term, Σ_batch δ Ŝ: Ŝ, the derivatives of the
    state at its start with respect to the parameters, are carried forward, and δ is the gradient of the segment's loss
    with respect to that state. It needs memory for units × inputs numbers a trial, however long the trial is. As
    parameters change with every update, Ŝ holds derivatives at the older ones, as published. Of several layers, each
    carries the sensitivities to its own parameters alone: the gradients of the lower ones are then approximate.

    Source: Williams & Zipser, Neural Computation 1, 270 (1989); for element-wise cells Mozer, Complex Systems 3, 349 (1989), and
    Irie, Gopalakrishnan & Schmidhuber, ICLR 2024.

    Attributes
    ----------
    every : int
        Steps of a segment.

    Examples
    --------
    >>> import tauscope as ts
    >>> from tauscope.learning.learners import Supervised
    >>> model = ts.build_model("elstm", 8, n_heads=1, generator=torch.Generator().manual_seed(0))
    >>> learner = Supervised(model, ts.Parity(), gradient=RTRL(every=10))
    >>> RTRL(every=0)
    Traceback (most recent call last):
    tauscope.errors.InputError: every is 0: expected at least 1
    """

    def credit(self, model: Model) -> Credit:
        """Return what goes through a trial; of a network that is not element-wise, an `InputError`."""
        return _Carried(model)


@dataclass(frozen=True)
class Immediate(Online):
    """The immediate derivatives alone: no credit for what the state has kept from the step before.

    A local approximation for any cell, `BPTT` through one step, with an update after every segment.

    Attributes
    ----------
    every : int
        Steps between updates.
    """

    def credit(self, model: Model) -> Credit:
        """Return what goes through a trial."""
        del model
        return _Detached()


class Plain:
    """The fast sequence of a cell; nothing comes through the state at the start of a segment (truncated backpropagation)."""

    def __call__(
        self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, Mapping[str, Tensor]]:
        """Solve a layer, as `Credit` says."""
        return *cell.sequence(inputs, state, noise=noise, hold=hold), {}

    def carry(self, start: tuple[State, ...]) -> None:
        """Add nothing."""
        del start


class _Carried:
    """The sensitivities of all layers, as far as a trial has come."""

    def __init__(self, model: Model) -> None:
        from tauscope.learning.sensitivities import Layer
        from tauscope.models.elementwise import recurrence_of

        if model.start is not None:
            raise InputError(
                "the network makes its initial states of codes: expected one without, or the gradient 'bptt'"
            )
        self._layers = {id(cell): Layer(recurrence_of(cell)) for cell in model.layers}
        self._before: dict[int, Sensitivities] = {}
        self._passed: dict[int, Segment] = {}

    def __call__(
        self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, Mapping[str, Tensor]]:
        key, layer = id(cell), self._layers[id(cell)]
        if hold is not None and layer.core is not cell:
            # What it passes on would recur too.
            raise InputError(
                f"the trials have steps that hold the state of {type(cell).__name__}, which passes on another than recurs: "
                "expected trials without, or the gradient 'bptt'"
            )
        if (segment := self._passed.get(key)) is None:
            self._before[key] = layer.zero(inputs.shape[1])
        else:
            # Not before: nobody asks for the sensitivities at the end of a trial.
            self._before[key] = layer.after(self._before[key], segment)
        outputs, final, memories = _with_memories(cell, layer.core, inputs, state, noise, hold)
        core = tuple(part.detach() for part in state[len(state) - layer.core.n_states :])
        known = None if memories is None else memories.detach()
        self._passed[key] = layer.segment(inputs.detach(), core, noise, hold, known)
        return outputs, final, {}

    def carry(self, start: tuple[State, ...]) -> None:
        terms: list[tuple[Tensor, Tensor]] = []
        for (key, layer), state in zip(self._layers.items(), start, strict=True):
            core = state[len(state) - layer.core.n_states :]
            delta = tuple(torch.zeros_like(part) if part.grad is None else part.grad for part in core)
            terms += layer.carry(self._before[key], delta)
        if terms:
            torch.autograd.backward([made for made, _ in terms], [term for _, term in terms])


def _with_memories(
    cell: Cell, core: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
) -> tuple[Tensor, State, Tensor | None]:
    """Solve a layer, and return the first part of what recurs in it after every step too, where it is known."""
    if hold is None and (remembering := getattr(cell, "with_memories", None)) is not None:
        solved: tuple[Tensor, State, Tensor] = remembering(inputs, state, noise)
        return solved
    outputs, final = cell.sequence(inputs, state, noise=noise, hold=hold)
    return outputs, final, outputs if core is cell else None


class _Detached:
    """The loop over the step of a cell, without a gradient from one step to the step before."""

    def __call__(
        self, cell: Cell, inputs: Tensor, state: State, noise: Tensor | None, hold: Tensor | None
    ) -> tuple[Tensor, State, Mapping[str, Tensor]]:
        from tauscope.models.solvers import loop

        outputs = []
        for t in range(len(inputs)):
            own = tuple(part.detach() for part in state)
            private, held = (None if series is None else series[t : t + 1] for series in (noise, hold))
            _, state = loop(cell, inputs[t : t + 1], own, private, held)
            outputs.append(state[0])
        return torch.stack(outputs), state, {}

    def carry(self, start: tuple[State, ...]) -> None:
        del start


Gradient = BPTT | Online
"""How the gradient through time is found."""


def gradient_of(name: str, every: int | None, engine: str = "loop") -> Gradient:
    """Return a way to find gradients by its name, with its segments.

    Parameters
    ----------
    name : {"bptt", "rtrl", "immediate"}
        Backpropagation through time, `RTRL` or `Immediate`.
    every : int, optional
        Steps of a segment: by default the whole trial of backpropagation, and one step of the others.
    engine : {"loop", "adjoint", "parallel"}
        Of backpropagation, see `tauscope.learning.learners.BPTT`.

    Raises
    ------
    InputError
        If an online gradient is asked for with an engine of backpropagation.

    Examples
    --------
    >>> gradient_of("rtrl", 10), gradient_of("bptt", None).window
    (RTRL(every=10), None)
    """
    if name == "bptt":
        return BPTT(every, engine)
    if engine != "loop":
        raise InputError(f"engine {engine!r} with gradient {name!r}: expected 'loop', or gradient 'bptt'")
    kinds = {"rtrl": RTRL, "immediate": Immediate}
    return kinds[name]() if every is None else kinds[name](every)
