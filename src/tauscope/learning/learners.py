"""What an update of the optimiser is made of: a loss, and how its gradient is found."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, Self, cast

from tauscope._lazy import torch
from tauscope.errors import require_choice, require_count
from tauscope.learning.checks import require_methods
from tauscope.learning.objectives import Term
from tauscope.models.names import ENGINES
from tauscope.tasks.base import OUT, Stage, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tauscope.learning.online import Online
    from tauscope.models import Model, Solver
    from tauscope.models.cell import State
    from tauscope.tasks.base import Batch

Generators = Mapping[str, "torch.Generator"]
"""``data`` draws trials, ``state`` initial states and noise, ``test`` both of them when a network is tested."""


@dataclass(frozen=True)
class Piece:
    """One update of the optimiser.

    Attributes
    ----------
    loss : Tensor []
        What is reported.
    backward : callable
        Adds its gradient, and that of what else is minimised, to the parameters.
    info : mapping of float
        What is reported beside the loss, as means over the steps of an epoch: of the engine ``parallel``, ``iterations`` of
        Newton's method and ``fallback_share``, the share of windows and trials that ran as a loop.
    frames : int
        Steps of an environment that it took.
    """

    loss: Tensor
    backward: Callable[[], None]
    info: Mapping[str, float] = field(default_factory=dict)
    frames: int = 0


class Learner(Protocol):
    """What is learnt and how: all that the training loop asks."""

    def at(self, stage: Stage) -> Self:
        """Return the learner as a stage asks it; this one is not changed."""

    def parameters(self) -> Sequence[nn.Parameter]:
        """Return the parameters that the updates of this stage move."""

    def settle(self) -> None:
        """Find anew what depends on the weights but is not followed at every step; before every epoch."""

    def pieces(self, batch_size: int, generators: Generators) -> Iterator[Piece]:
        """Yield the updates of a step; the optimiser moves the parameters after each, before the next is asked for."""

    def test(self, batch_size: int, n_batches: int, split: str, generators: Generators) -> dict[str, list[float]]:
        """Return the score of every head by the name of the metric, the newest head last."""


@dataclass(frozen=True)
class BPTT:
    """Backpropagation through time: through a whole trial, or through windows of it.

    Attributes
    ----------
    window : int, optional
        Steps of a window; its state goes on into the next one, its gradient does not (truncated backpropagation; Williams &
        Peng, Neural Computation 2, 490, 1990). Every window with an answer is an update of its own.
    engine : {"loop", "adjoint", "parallel"}
        By which the states and the gradient through a window are found: ``loop`` is the fast sequence of the cell;
        `tauscope.models.Adjoint` and `tauscope.models.Parallel` find the same numbers otherwise.

    Examples
    --------
    >>> BPTT(window=20).window
    20
    """

    window: int | None = None
    engine: str = "loop"

    def __post_init__(self) -> None:
        require_choice("engine", self.engine, ENGINES)
        if self.window is not None:
            require_count("window", self.window)

    def solver(self) -> Solver:
        """Return what finds the states of a layer."""
        from tauscope.models import Adjoint, Fast, Parallel

        solvers: dict[str, Solver] = {"loop": Fast(), "adjoint": Adjoint(), "parallel": Parallel()}
        return solvers[self.engine]

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield the windows of a batch, each with the answers that fall into it, possibly none."""
        n_steps, n_answers = len(batch.inputs), len(batch.targets)
        window = n_steps if self.window is None else min(self.window, n_steps)
        weight = None if batch.weight is None else batch.weight.expand_as(batch.targets)
        for first in range(0, n_steps, window):
            last = min(first + window, n_steps)
            shown = slice(first, last)
            asked = slice(*(max(step - (n_steps - n_answers), 0) for step in (first, last)))
            if weight is not None and not weight[asked].any():
                # The mean of no answer is none; an update without one would move weights by momentum alone.
                asked = slice(0)
            yield replace(
                batch,
                inputs=batch.inputs[shown],
                targets=batch.targets[asked],
                weight=None if weight is None else weight[asked],
                hold=None if batch.hold is None else batch.hold[shown],
            )


@dataclass(frozen=True)
class Supervised:
    """A network learns the answers of a task.

    Attributes
    ----------
    model : Model
        The network.
    task : Task
        What it is asked.
    objective : tuple of Term
        What is added to the task's loss.
    gradient : BPTT, or RTRL or Immediate of `tauscope.learning.online`
        How the gradient is found.
    duplicates : tuple of int, optional
        Continuous time: numbers of steps k for which a bit is shown, an update for each in turn.
    heads : tuple of str
        The network's heads that answer.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> learner = Supervised(model, ts.Parity()).at(ts.cumulative(last=3)[1])
    >>> learner.heads
    ('N2', 'N3')
    """

    model: Model
    task: Task
    objective: tuple[Term, ...] = ()
    gradient: BPTT | Online = BPTT()
    duplicates: tuple[int, ...] | None = None
    heads: tuple[str, ...] = (OUT,)

    def __post_init__(self) -> None:
        if not isinstance(self.gradient, BPTT):
            require_methods("gradient", self.gradient, "credit", "pieces")
            # A network that it cannot serve is refused here.
            self.gradient.credit(self.model)

    def at(self, stage: Stage) -> Self:
        """Return the learner as a stage asks it; this one is not changed."""
        # A copy, so that a subclass with an __init__ of its own stays what it is.
        twin = copy.copy(self)
        for name, value in (("task", self.task.at(stage)), ("heads", stage.heads)):
            object.__setattr__(twin, name, value)
        return twin

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters that the answers of these heads depend on."""
        return self.model.asked_parameters(self.heads)

    def settle(self) -> None:
        """Let the network settle, see `tauscope.models.Model.settle`."""
        self.model.settle()

    def resolutions(self) -> list[tuple[Model, Task]]:
        """Return the network and the task at every time resolution that a step trains."""
        if self.duplicates is None:
            return [(self.model, self.task)]
        return [(self.model.at_resolution(k), self.task.replace(repeat=k)) for k in self.duplicates]

    def pieces(self, batch_size: int, generators: Generators) -> Iterator[Piece]:
        """Yield an update for every time resolution and window."""
        if not isinstance(self.gradient, BPTT):
            yield from self.gradient.pieces(self, batch_size, generators)
            return
        for model, task in self.resolutions():
            state: tuple[State, ...] | None = None
            for batch in self.gradient.parts(task.sample(batch_size, generators["data"])):
                piece, state = self._piece(model, task, batch, generators["state"], state)
                if piece is not None:
                    yield piece

    def _piece(
        self, model: Model, task: Task, batch: Batch, generator: torch.Generator, state: tuple[State, ...] | None
    ) -> tuple[Piece | None, tuple[State, ...]]:
        """Return the update of a batch that begins in a state, if it asks anything, and the state at its end."""
        from tauscope.models.trace import run

        n_steps, n_answers, solver = len(batch.inputs), len(batch.targets), cast(BPTT, self.gradient).solver()
        n_needed = max([n_answers, *(n_steps if term.n_steps is None else term.n_steps for term in self.objective)])
        with torch.set_grad_enabled(n_answers > 0):
            first = max(n_steps - n_needed, 0)
            trace = run(model, batch, generator, heads=self.heads, solver=solver, first=first, state=state)
        final = tuple(tuple(part.detach() for part in layer) for layer in trace.final)
        if not n_answers:
            return None, final
        loss = task.loss(trace.outputs[-n_answers:], batch).sum()
        total = loss
        for term in self.objective:
            total = total + term.cost * term.measure(trace, batch, model)
        return Piece(loss, total.backward, _told(trace.info)), final

    def test(self, batch_size: int, n_batches: int, split: str, generators: Generators) -> dict[str, list[float]]:
        """Return the score of every head on fresh trials, the ratio of sums over all of them."""
        from tauscope.models.trace import run

        generator, sums = generators["test"], []
        for _ in range(n_batches):
            for model, task in self.resolutions():
                batch = task.sample(batch_size, generator, split)
                first = len(batch.inputs) - len(batch.targets)
                outputs = run(model, batch, generator, heads=self.heads, first=first).outputs
                sums.append(torch.stack(task.tally(outputs, batch)).double())
        part, whole = torch.stack(sums).sum(dim=0)
        return {self.task.metric: [float(score) for score in self.task.of_sums(part, whole)]}


_REPORTED = {"iterations": "iterations", "fallback": "fallback_share"}
"""What is reported of what a solver says, by its name there."""


def _told(info: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the means of what a solver says, over layers, windows and trials."""
    found: dict[str, list[Tensor]] = {}
    for name, values in info.items():
        last = name.rpartition(".")[2]
        if last in _REPORTED:
            found.setdefault(_REPORTED[last], []).append(values.double().flatten())
    return {name: float(torch.cat(values).mean()) for name, values in found.items()}
