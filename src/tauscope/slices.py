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
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tauscope.models.base import Model, State
from tauscope.tasks.base import Batch

T = TypeVar("T")

# Below, what Python does between two products takes a thread longer than the products, and only one thread at a time
# can do it.
_FEWEST_SEQUENCES, _FEWEST_STATES = 64, 1 << 15


class Slices:
    """Threads that run a network on parts of a batch.

    How many depends on the number of processor threads and the sizes alone, never on a measurement, so that a run
    repeats bit for bit on the same number of threads.

    Parameters
    ----------
    model : Model
        The network, on its device.
    batch_size : int
        Sequences in a batch.

    Notes
    -----
    Inside ``with slices:`` the calling thread uses no more processor threads than each slice does. Threads that it
    had used before would go on spinning in wait for its next operation, in the way of the slices.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> Slices(model, 4).bounds
    [(0, 4)]
    """

    def __init__(self, model: Model, batch_size: int) -> None:
        n_threads = torch.get_num_threads() if next(model.parameters()).device.type == "cpu" else 1
        most = min(batch_size // _FEWEST_SEQUENCES, batch_size * model.n_units // _FEWEST_STATES)
        n = max(1, min(n_threads, most))
        cuts = [i * batch_size // n for i in range(n + 1)]
        self.bounds = list(itertools.pairwise(cuts))
        self._n_threads, self._n_each = n_threads, n_threads // n
        self._pool: ThreadPoolExecutor | None = None
        if n > 1:
            self._pool = ThreadPoolExecutor(n, "slice", functools.partial(torch.set_num_threads, self._n_each))
            # A number set in one thread is also that of all that start later, so start these now and set it back.
            started = threading.Barrier(n)
            list(self._pool.map(lambda _: started.wait(), range(n)))
            torch.set_num_threads(n_threads)

    def __enter__(self) -> None:
        if self._pool is not None:
            torch.set_num_threads(self._n_each)

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            torch.set_num_threads(self._n_threads)

    def outputs(self, model: Model, batch: Batch, Ns: Sequence[int], initial: tuple[State, ...]) -> list[Tensor]:
        """Return the logits of every slice, each ``[answer, sequence, head, output]``.

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
        """
        with_gradient = torch.is_grad_enabled()

        def run(bounds: tuple[int, int]) -> Tensor:
            part = slice(*bounds)
            hold = None if batch.hold is None else batch.hold[:, part]
            state = tuple(tuple(one[part] for one in layer) for layer in initial)
            with torch.set_grad_enabled(with_gradient):
                return answer(model, batch.inputs[:, part], state, hold, Ns, len(batch.targets))

        return self._map(run, self.bounds)

    def backward(self, outputs: list[Tensor], seeds: Tensor, parameters: list[nn.Parameter]) -> None:
        """Leave the gradients, summed over slices, in the parameters; ``None`` in those that nothing depends on.

        Parameters
        ----------
        outputs : list of Tensor
            From `outputs`.
        seeds : Tensor [answer, batch, head, output]
            Gradient of the loss with respect to the logits of the whole batch.
        parameters : list of nn.Parameter
            What is differentiated.
        """
        for parameter in parameters:
            parameter.grad = None

        def run(i: int) -> tuple[Tensor | None, ...]:
            seed = seeds[:, slice(*self.bounds[i])]
            if i > 0:
                return torch.autograd.grad(outputs[i], parameters, seed, allow_unused=True)
            # Unlike those of `grad`, the gradients that this leaves share no memory.
            outputs[0].backward(seed)
            return ()

        _, *others = self._map(run, range(len(outputs)))
        sums = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for other in others:
            torch._foreach_add_(sums, [gradient for gradient in other if gradient is not None])

    def _map(self, run: Callable[[Any], T], over: Sequence[Any]) -> list[T]:
        return list(map(run, over) if self._pool is None else self._pool.map(run, over))


def answer(
    model: Model, inputs: Tensor, initial: tuple[State, ...], hold: Tensor | None, Ns: Sequence[int], n_answers: int
) -> Tensor:
    """Run sequences and read the asked heads out at the last steps.

    Parameters
    ----------
    model : Model
        The network.
    inputs : Tensor [time, batch, channel]
        What it is shown.
    initial : tuple of layer states
        State before the first step.
    hold : Tensor [time, batch] of bool, or None
        Steps at which the state stays as it is.
    Ns : sequence of int
        Heads.
    n_answers : int
        At how many last steps they are read.

    Returns
    -------
    Tensor [answer, batch, head, output]
        Logits.
    """
    states, last = model(inputs, initial, hold)
    seen = model.hidden(last).unsqueeze(0) if n_answers == 1 else states[-n_answers:]
    return model.readout(seen, Ns)
