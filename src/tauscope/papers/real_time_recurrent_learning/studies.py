"""What is measured of networks that are not trained: exactness, layers, memory, staleness, cost."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from tauscope._draws import normal
from tauscope.learning.learners import BPTT, Supervised
from tauscope.learning.online import RTRL, Gradient
from tauscope.learning.sensitivities import Layer
from tauscope.models import ELEMENTWISE, Heads, Model, cell_maker
from tauscope.models.elementwise import recurrence_of
from tauscope.models.kernels.gemm import keep_freed_memory
from tauscope.papers.vocabulary import Study
from tauscope.tasks import OUT, Batch, Copy, Head, Task

Gradients = Mapping[str, Tensor]


@dataclass(frozen=True)
class Answers(Task):
    """Random targets at every step; the loss is a sum, so that the losses of segments add up to that of a trial.

    Attributes
    ----------
    n_steps, n_inputs : int
        length, channels
    """

    n_steps: int = 70
    n_inputs: int = 3  # type: ignore[misc]
    metric: ClassVar[str] = "fractional_loss"

    @property
    def heads(self) -> dict[str, Head]:
        """The only head."""
        return {OUT: Head(3, 1.0, 0.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials."""
        del split
        inputs = normal((self.n_steps, batch_size, self.n_inputs), generator)
        return Batch(inputs, normal((self.n_steps, batch_size, 1, 3), generator))

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the sum of all squared errors."""
        return (outputs - batch.targets.to(outputs)).square().sum(dim=(0, 1, 3))

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sums of squared errors and targets."""
        return self.loss(outputs, batch), batch.targets.square().sum(dim=(0, 1, 3)).to(outputs)


def network(
    cell: str, sizes: Sequence[int], generator: torch.Generator, n_inputs: int = 3, std: float | None = None
) -> Model:
    """Return a stack of element-wise layers with three outputs, its weights drawn anew from N(0, std²) if given."""
    cells = [cell_maker(cell)(below, size, generator) for below, size in zip((n_inputs, *sizes), sizes, strict=False)]
    model = Model(cells, Heads(sizes[-1], [OUT], 3, True, generator))
    if std is not None:
        with torch.no_grad():
            for name, parameter in model.cells.named_parameters():
                if not name.endswith("raw_tau"):
                    parameter.copy_(std * normal(tuple(parameter.shape), generator))
    return model


def gradients(model: Model, task: Task, gradient: Gradient, seed: int, n_trials: int = 4) -> dict[str, Tensor]:
    """Return the gradients of all segments of a batch of trials, added up; the parameters stay as they are."""
    model.zero_grad()
    draws = {name: torch.Generator().manual_seed(seed) for name in ("data", "state")}
    with torch.enable_grad():
        for piece in Supervised(model, task, gradient=gradient).pieces(n_trials, draws):
            piece.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def _error(found: Gradients, exact: Gradients, start: str = "") -> float:
    """Return the largest error of a parameter's gradient, of its largest entry."""
    errors = [
        (found[name] - exact[name]).abs().max() / exact[name].abs().max() for name in exact if name.startswith(start)
    ]
    return float(torch.stack(errors).max())


def exactness(
    generator: torch.Generator, *, n_steps: int = 70, segments: Sequence[int] = (1, 7, 10, 70), n_units: int = 5
) -> xr.Dataset:
    """Measure how far gradients are from those of backpropagation through whole trials, in float64.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights N(0, 0.8²) and trials.
    n_steps, segments, n_units : int, sequence of int, int
        Length of the trials, steps of a segment, units.

    Returns
    -------
    Dataset [cell, gradient, segment]
        ``error``, the largest of a parameter's gradient, of its largest entry.
    """
    methods: dict[str, Callable[[int], Gradient]] = {"rtrl": RTRL, "bptt": BPTT}
    error = np.zeros((len(ELEMENTWISE), len(methods), len(segments)))
    for c, cell in enumerate(ELEMENTWISE):
        model = network(cell, [n_units], generator, std=0.8).double()
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        exact = gradients(model, Answers(n_steps), BPTT(), seed)
        for (m, method), (s, every) in itertools.product(enumerate(methods.values()), enumerate(segments)):
            error[c, m, s] = _error(gradients(model, Answers(n_steps), method(every), seed), exact)
    coords = {"cell": list(ELEMENTWISE), "gradient": list(methods), "segment": list(segments)}
    return xr.Dataset({"error": (("cell", "gradient", "segment"), error)}, coords=coords, attrs={"n_steps": n_steps})


def layers(generator: torch.Generator, *, n_steps: int = 20, n_networks: int = 5) -> xr.Dataset:
    """Measure the error of the gradients of two layers of 3 and 4 units, an update at every step, in float64.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights N(0, 0.8²) and trials.
    n_steps, n_networks : int
        Length of the trials, number of networks.

    Returns
    -------
    Dataset [network, part]
        ``error`` of the parameters of the recurrence of the first layer, of all of the second and the read-out, and of all
        where every layer carries the sensitivities to all parameters (``both``).
    """
    error = np.zeros((n_networks, 3))
    for i in range(n_networks):
        model = network("elstm", [3, 4], generator, std=0.8).double()
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        task = Answers(n_steps)
        exact, found = (gradients(model, task, gradient, seed) for gradient in (BPTT(), RTRL(1)))
        above = max(_error(found, exact, start) for start in ("cells.1.", "heads."))
        error[i] = _error(found, exact, "cells.0.core."), above, _error(dense_rtrl(model, task, seed), exact)
    return xr.Dataset(
        {"error": (("network", "part"), error)},
        coords={"part": ["first", "second", "both"]},
        attrs={"n_steps": n_steps},
    )


def dense_rtrl(model: Model, task: Task, seed: int, n_trials: int = 4) -> dict[str, Tensor]:
    """Return the gradient by sensitivities of the whole state to all parameters, for any small network.

    Source: Williams & Zipser, Neural Computation 1, 270 (1989).
    """
    draws = torch.Generator().manual_seed(seed)
    batch = task.sample(n_trials, draws)
    start = model.initial_state(n_trials, torch.Generator().manual_seed(seed))
    sizes = [part.shape[1] for layer in start for part in layer]
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    inputs = batch.inputs.to(start[0][0])

    def packed(state: tuple[tuple[Tensor, ...], ...]) -> Tensor:
        return torch.cat([part for layer in state for part in layer], dim=1)

    def step(parameters: dict[str, Tensor], state: Tensor, x: Tensor) -> Tensor:
        parts = iter(state[None].split(sizes, dim=1))
        layered = tuple(tuple(next(parts) for _ in layer) for layer in start)
        moved: Tensor = packed(torch.func.functional_call(_Step(model), _inside(parameters), (x[None], layered)))[0]
        return moved

    derivatives = torch.func.vmap(torch.func.jacrev(step, argnums=(0, 1)), in_dims=(None, 0, 0))
    moves = torch.func.vmap(step, in_dims=(None, 0, 0))
    state, total = packed(start), {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    carried = {
        name: parameter.new_zeros(n_trials, state.shape[1], parameter.numel()) for name, parameter in parameters.items()
    }
    for t, x in enumerate(inputs):
        fresh, J = derivatives(parameters, state, x)
        carried = {name: J @ carried[name] + fresh[name].flatten(2) for name in carried}
        state = moves(parameters, state, x).detach().requires_grad_()
        own = dict(model.named_parameters())
        with torch.enable_grad():
            layered = iter(state.split(sizes, dim=1))
            units = model.hidden(tuple(tuple(next(layered) for _ in layer) for layer in start))
            loss = task.loss(model.readout(units, [OUT])[None], Batch(x[None], batch.targets[t : t + 1])).sum()
            delta, *direct = torch.autograd.grad(
                loss, [state, *own.values()], allow_unused=True, materialize_grads=True
            )
        for name, gradient in zip(own, direct, strict=True):
            through = torch.einsum("bs,bsp->p", delta, carried[name]).view_as(gradient)
            total[name] = total[name] + gradient + through
        state = state.detach()
    return total


class _Step(torch.nn.Module):
    """A network that is called for a step."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, state: tuple[tuple[Tensor, ...], ...]) -> tuple[tuple[Tensor, ...], ...]:
        """Return the next state."""
        return self.model.step(x, state)


def _inside(parameters: Gradients) -> dict[str, Tensor]:
    return {f"model.{name}": parameter for name, parameter in parameters.items()}


def memory(generator: torch.Generator, *, lengths: Sequence[int] = (10, 100, 1000), every: int = 10) -> xr.Dataset:
    """Measure what is kept for the gradient of a trial of an eLSTM of 16 units, in bytes.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights and trials.
    lengths : sequence of int
        Steps of a trial.
    every : int
        Steps of a segment of RTRL.

    Returns
    -------
    Dataset [gradient, length]
        ``bytes``: the tensors that one backward pass needs at most, beside the parameters, and the sensitivities of RTRL.
    """
    model = network("elstm", [16], generator)
    layer = Layer(recurrence_of(model.layers[0]))
    # A cell is looked at when it is called first.
    model(torch.zeros(1, 1, model.n_inputs, dtype=torch.float32, device="cpu"))
    zero = layer.zero(4)
    carried = sum(part.nbytes for part in (zero.drive, *zero.own.values()))
    # The graph of a segment of RTRL is that of truncated backpropagation.
    methods = {"rtrl": (BPTT(every), carried), "bptt": (BPTT(), 0)}
    found = np.zeros((len(methods), len(lengths)))
    for (m, (gradient, more)), (n, length) in itertools.product(enumerate(methods.values()), enumerate(lengths)):
        found[m, n] = _kept(model, Answers(length), gradient) + more
    return xr.Dataset(
        {"bytes": (("gradient", "length"), found, {"units": "byte"})},
        coords={"gradient": list(methods), "length": list(lengths)},
        attrs={"every": every},
    )


def _kept(model: Model, task: Task, gradient: Gradient) -> int:
    """Return the largest number of bytes that the graph of an update keeps."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[object, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            # Of a trial's inputs and targets, a segment needs its own steps.
            kept[tensor.data_ptr(), tensor.shape] = tensor.nbytes
        return tensor

    most, draws = 0, {name: torch.Generator().manual_seed(0) for name in ("data", "state")}
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        for piece in Supervised(model, task, gradient=gradient).pieces(4, draws):
            most = max(most, sum(kept.values()))
            piece.backward()
            kept.clear()
    return most


def staleness(
    generator: torch.Generator,
    *,
    rates: Sequence[float] = (0.0, 1e-3, 1e-2, 1e-1),
    n_networks: int = 5,
    longest: int = 8,
) -> xr.Dataset:
    """Measure how far the gradient of the last step of a trial is from exact, after an update at every step before it.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights and trials of the copy task.
    rates : sequence of float
        Learning rates of plain gradient descent.
    n_networks : int
        Networks of 32 units, with 16 trials each.
    longest : int
        Bits of the copy task.

    Returns
    -------
    Dataset [network, rate]
        ``error``, 1 - the cosine of that gradient with the one at the weights of that step, of a trial that was run with these
        from its start; of the parameters of the recurrence.
    """
    error = np.zeros((n_networks, len(rates)))
    for i in range(n_networks):
        seed, drawn = (int(torch.randint(2**31, (), generator=generator, device=generator.device)) for _ in range(2))
        for r, rate in enumerate(rates):
            model = network("elstm", [32], torch.Generator().manual_seed(seed), std=0.5).double()
            error[i, r] = _staleness(model, Copy(longest), rate, drawn)
    return xr.Dataset({"error": (("network", "rate"), error)}, coords={"rate": list(rates)}, attrs={"longest": longest})


def _staleness(model: Model, task: Task, rate: float, seed: int) -> float:
    def draws() -> dict[str, torch.Generator]:
        return {name: torch.Generator().manual_seed(seed) for name in ("data", "state")}

    pieces = Supervised(model, task, gradient=RTRL(1)).pieces(16, draws())
    with torch.enable_grad():
        for piece in pieces:
            model.zero_grad()
            piece.backward()
            carried, weights = _flat(model), [parameter.detach().clone() for parameter in model.parameters()]
            _descend(model, rate)
        # The weights of the last step, before the update that it brought.
        with torch.no_grad():
            for parameter, weight in zip(model.parameters(), weights, strict=True):
                parameter.copy_(weight)
        for piece in Supervised(model, task, gradient=RTRL(1)).pieces(16, draws()):
            model.zero_grad()
            piece.backward()
    return float(1 - torch.nn.functional.cosine_similarity(carried, _flat(model), dim=0))


def _descend(model: Model, rate: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(rate * parameter.grad)


def _flat(model: Model) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.cells.parameters() if parameter.grad is not None])


SIZES = ((16, 64, 17, 10), (32, 128, 64, 50), (8, 512, 64, 20))
"""Trials, units, inputs and steps of the segments that are timed."""

N_SEGMENTS = 10
"""Segments of a timed trial: of the last one, nobody asks for what RTRL carries on."""


def cost(generator: torch.Generator, *, sizes: Sequence[Sequence[int]] = SIZES, rounds: int = 7) -> xr.Dataset:
    """Time a segment of an eLSTM, forwards and backwards, by RTRL and by truncated backpropagation.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights and trials.
    sizes : sequence of (int, int, int, int)
        Trials, units, inputs and steps.
    rounds : int
        Interleaved measurements, of which the median counts, after one that does not.

    Returns
    -------
    Dataset [gradient, size]
        ``seconds`` of processor time a segment, of a trial of ten. Freed memory is kept, as it is while a network is trained.
    """
    keep_freed_memory()
    methods: dict[str, Callable[[int], Gradient]] = {"rtrl": RTRL, "bptt": BPTT}
    seconds = np.zeros((len(methods), len(sizes)))
    for s, (n_trials, n_units, n_inputs, n_steps) in enumerate(sizes):
        model, task = network("elstm", [n_units], generator, n_inputs), Answers(N_SEGMENTS * n_steps, n_inputs)
        times = np.zeros((rounds + 1, len(methods)))
        for i, (m, method) in itertools.product(range(rounds + 1), enumerate(methods.values())):
            begin = time.process_time()
            gradients(model, task, method(n_steps), 0, n_trials)
            times[i, m] = time.process_time() - begin
        seconds[:, s] = np.median(times[1:], axis=0) / N_SEGMENTS
    named = ["×".join(map(str, size)) for size in sizes]
    return xr.Dataset(
        {"seconds": (("gradient", "size"), seconds, {"units": "s"})},
        coords={"gradient": list(methods), "size": named},
        attrs={"threads": torch.get_num_threads()},
    )


STUDIES = (
    Study("exactness", exactness),
    Study("layers", layers),
    Study("memory", memory),
    Study("staleness", staleness),
    Study("cost", cost),
)
