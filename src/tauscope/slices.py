"""A batch cut into slices, each run through the network by a thread of its own.

On several processors this beats several threads inside every small operation: the threads meet twice in a training
step instead of several times in a time step, and each keeps its part of the states in its own cache.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from tauscope.models.base import Model, State
from tauscope.penalties import LAST_STEPS, ending
from tauscope.tasks.base import Batch

T = TypeVar("T")

# Below, what Python does between two products takes a thread longer than the products, and only one thread at a time
# can do it.
_FEWEST_SEQUENCES, _FEWEST_STATES = 64, 1 << 15


class Answer(NamedTuple):
    """What a slice of a batch gives to the loss."""

    logits: Tensor
    """``[answer, sequence, head, output]``."""
    penalty: Tensor | None
    """Its share of the penalty, ``[]``; ``None`` where there is none."""


class Shown(NamedTuple):
    """What sequences are shown, and what happens to the network meanwhile."""

    inputs: Tensor
    """``[time, batch, channel]``."""
    hold: Tensor | None = None
    """Steps at which the state stays as it is, ``[time, batch]`` of bool."""
    noise: Tensor | None = None
    """Private noise, ``[time, batch, unit]``."""

    def part(self, steps: slice) -> Shown:
        """Return what is shown in some of the steps."""
        return Shown(*(None if one is None else one[steps] for one in self))  # type: ignore[arg-type]


class Threads:
    """Threads that work side by side, each with its share of the processor threads.

    Parameters
    ----------
    n : int
        How many; with one, the calling thread does the work and keeps all processor threads.

    Notes
    -----
    Inside ``with threads:`` the calling thread uses no more processor threads than each of them. Those that it had
    used before would go on spinning in wait for its next operation, in the way of the others.

    Examples
    --------
    >>> with Threads(2) as threads:
    ...     threads.map(abs, [-1, -2])
    [1, 2]
    """

    def __init__(self, n: int) -> None:
        self._n_all = torch.get_num_threads()
        self._n_each = max(1, self._n_all // n)
        self._pool: ThreadPoolExecutor | None = None
        if n > 1:
            self._pool = ThreadPoolExecutor(n, "slice", functools.partial(torch.set_num_threads, self._n_each))
            # A number set in one thread is also that of all that start later, so start these now and set it back.
            started = threading.Barrier(n)
            list(self._pool.map(lambda _: started.wait(), range(n)))
            torch.set_num_threads(self._n_all)

    def __enter__(self) -> Threads:
        if self._pool is not None:
            torch.set_num_threads(self._n_each)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            torch.set_num_threads(self._n_all)

    def map(self, work: Callable[[Any], T], over: Sequence[Any]) -> list[T]:
        """Return what the work gives for each of several things; an error in one is raised here."""
        return list(map(work, over) if self._pool is None else self._pool.map(work, over))


def cuts(n: int, n_parts: int) -> list[tuple[int, int]]:
    """Return the bounds of parts of equal size, but for one.

    Examples
    --------
    >>> cuts(5, 2)
    [(0, 2), (2, 5)]
    """
    return list(itertools.pairwise(i * n // n_parts for i in range(n_parts + 1)))


def n_slices(device: torch.device, n_units: int, n_series: int, fewest: int) -> int:
    """Return into how many slices a batch is best cut.

    It depends on the number of processor threads and the sizes alone, never on a measurement, so that a run repeats
    bit for bit on the same number of threads.

    Parameters
    ----------
    device : torch.device
        Where the network is; only a processor's work is cut.
    n_units, n_series : int
        Units of the network, sequences of the batch.
    fewest : int
        Sequences that a slice has, at least.

    Examples
    --------
    >>> n_slices(torch.device("cpu"), 8, 4, 1)
    1
    """
    most = min(n_series // fewest, n_series * n_units // _FEWEST_STATES)
    return max(1, min(torch.get_num_threads() if device.type == "cpu" else 1, most))


class Slices(Threads):
    """Threads that run a network on parts of a batch.

    Parameters
    ----------
    model : Model
        The network, on its device.
    batch_size : int
        Sequences in a batch.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> Slices(model, 4).bounds
    [(0, 4)]
    """

    def __init__(self, model: Model, batch_size: int) -> None:
        n = n_slices(next(model.parameters()).device, model.n_units, batch_size, _FEWEST_SEQUENCES)
        super().__init__(n)
        self.bounds = cuts(batch_size, n)

    def outputs(
        self,
        model: Model,
        batch: Batch,
        Ns: Sequence[int],
        initial: tuple[State, ...],
        noise: Tensor | None = None,
        penalty: Callable[[Tensor], Tensor] | None = None,
    ) -> list[Answer]:
        """Return what every slice answers, and its share of a penalty.

        Parameters
        ----------
        model : Model
            The network.
        batch : Batch
            What it is shown; of the size that was announced.
        Ns : sequence of int
            Heads that are read out at the asked steps.
        initial : tuple of layer states
            State of the whole batch before the first step.
        noise : Tensor [time, batch, unit], optional
            Private noise of the whole batch.
        penalty : callable, optional
            From the states at the end of the trials, ``[time, batch, unit]``, to a mean over trials.
        """
        with_gradient = torch.is_grad_enabled()

        def run(bounds: tuple[int, int]) -> Answer:
            part, share = slice(*bounds), (bounds[1] - bounds[0]) / batch.inputs.shape[1]
            hold, own_noise = (None if one is None else one[:, part] for one in (batch.hold, noise))
            shown = Shown(batch.inputs[:, part], hold, own_noise)
            state = tuple(tuple(one[part] for one in layer) for layer in initial)
            with torch.set_grad_enabled(with_gradient):
                logits, states = answer(model, shown, state, Ns, len(batch.targets), penalty is not None)
                return Answer(logits, share * penalty(states) if penalty is not None else None)

        return self.map(run, self.bounds)

    def backward(self, outputs: list[Answer], seeds: Tensor, parameters: list[nn.Parameter]) -> None:
        """Leave the gradients, summed over slices, in the parameters; ``None`` in those that nothing depends on.

        Parameters
        ----------
        outputs : list of Answer
            From `outputs`.
        seeds : Tensor [answer, batch, head, output]
            Gradient of the loss with respect to the logits of the whole batch.
        parameters : list of nn.Parameter
            What is differentiated.
        """
        for parameter in parameters:
            parameter.grad = None

        def run(i: int) -> tuple[Tensor | None, ...]:
            roots = [root for root in outputs[i] if root is not None]
            along = [seeds[:, slice(*self.bounds[i])], None][: len(roots)]
            if i > 0:
                return torch.autograd.grad(roots, parameters, along, allow_unused=True)
            # Unlike those of `grad`, the gradients that this leaves share no memory.
            torch.autograd.backward(roots, along)
            return ()

        _, *others = self.map(run, range(len(outputs)))
        sums = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for other in others:
            torch._foreach_add_(sums, [gradient for gradient in other if gradient is not None])


def answer(
    model: Model,
    shown: Shown,
    initial: tuple[State, ...],
    Ns: Sequence[int],
    n_answers: int,
    with_states: bool = False,
) -> tuple[Tensor, Tensor]:
    """Run sequences and read the asked heads out at the last steps.

    Parameters
    ----------
    model : Model
        The network.
    shown : Shown
        What it is shown.
    initial : tuple of layer states
        State before the first step.
    Ns : sequence of int
        Heads.
    n_answers : int
        At how many last steps they are read.
    with_states : bool
        Whether the states at the end are differentiated too.

    Returns
    -------
    logits : Tensor [answer, batch, head, output]
        What is read out.
    states : Tensor [time, batch, unit]
        Units at the last steps: those that are read, at least five.
    """
    # Where several steps are asked, only the end of a trial is run with a gradient for each of its states; to begin anew
    # is worth it if the end is short.
    several = n_answers > 1 or with_states
    first = len(shown.inputs) - max(n_answers, LAST_STEPS) if several else 0
    if 2 * first >= len(shown.inputs):
        begun = shown.part(slice(None, first))
        _, initial = model(begun.inputs, initial, begun.hold, begun.noise)
        shown = shown.part(slice(first, None))
    states, last = model(shown.inputs, initial, shown.hold, shown.noise)
    states = ending(states, max(n_answers, LAST_STEPS))
    seen = model.hidden(last).unsqueeze(0) if n_answers == 1 else ending(states, n_answers)
    return model.readout(seen, Ns), states
