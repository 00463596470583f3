"""What is measured of networks that are not trained, and of one that is trained by two engines."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from tauscope._draws import normal
from tauscope.analysis.lyapunov import exponents_along
from tauscope.errors import InputError
from tauscope.learning.curricula import Criterion, Curriculum, once
from tauscope.learning.recipe import Recipe
from tauscope.learning.training import train
from tauscope.models import (
    RELU_CELLS,
    Adjoint,
    BalancedRNN,
    Cell,
    Fast,
    GRUCell,
    Heads,
    LeakyCell,
    Loop,
    Model,
    Parallel,
    ReluRNN,
    Solver,
    build_model,
    solve,
)
from tauscope.models.names import CELLS, SPIKING_CELLS
from tauscope.papers.vocabulary import Study
from tauscope.tasks import Parity

LIMIT = 60
"""Iterations at most."""

ENGINES: dict[str, Solver] = {"loop": Fast(), "adjoint": Adjoint(), "parallel": Parallel()}
"""Engines of training that are compared, by name; for small gated networks the loop is torch's own kernel."""

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def single(cell: Cell, generator: torch.Generator) -> Model:
    """Return the network of one cell with one read-out."""
    return Model([cell], Heads(cell.n_units, ["out"], 1, True, generator))


def every_cell(generator: torch.Generator, n_units: int = 8) -> dict[str, Model]:
    """Return a small network of every cell of the package whose step is differentiable, of three inputs."""
    # Newton's method is one of differentiable steps; that of a spiking cell jumps.
    smooth = [name for name in CELLS if name not in SPIKING_CELLS]
    made = {name: build_model(name, n_units, n_inputs=3, n_heads=1, generator=generator) for name in smooth}
    made |= {
        name: ReluRNN(n_units, n_inputs=3, cell=name, generator=generator, lambda_0=0.8, sigma_0=0.2)
        for name in RELU_CELLS
    }
    return made | {"balanced": BalancedRNN(n_units, n_inputs=3, g=0.5, generator=generator)}


def agreement(generator: torch.Generator, *, n_steps: int = 200, n_trials: int = 3) -> xr.Dataset:
    """Measure how far states and gradients are from those of the loop, of every cell of the package at its start.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights and inputs.
    n_steps, n_trials : int
        Length and number of the sequences.

    Returns
    -------
    Dataset [cell, dtype, engine]
        ``state_error``, the largest difference of a state of a trial that converged; ``converged``, the share of trials;
        ``gradient_error``, the largest relative difference of a parameter's gradient; and ``diagonal_difference``, of the
        states that quasi-Newton and Newton find after each iteration on a cell without recurrent weights.
    """
    models = every_cell(generator)
    sizes = len(models), len(DTYPES)
    error, converged, gradient = np.full(sizes, np.nan), np.zeros(sizes), np.full((*sizes, 2), np.nan)
    inputs = normal((n_steps, n_trials, 3), generator)
    for (c, model), (d, dtype) in itertools.product(enumerate(models.values()), enumerate(DTYPES.values())):
        network, shown = model.to(dtype), inputs.to(dtype)
        solution = solve(network, shown, max_iter=LIMIT)
        with torch.no_grad():
            states = network.solve(shown, solver=Loop())[0]
        found, converged[c, d] = solution.converged, float(solution.converged.double().mean())
        if found.any():
            error[c, d] = float((solution.states - states)[:, found].abs().max())
        expected = _gradients(network, shown, Loop())
        for e, solver in enumerate(list(ENGINES.values())[1:]):
            pairs = zip(_gradients(network, shown, solver), expected, strict=True)
            gradient[c, d, e] = max(float((a - b).norm() / b.norm()) for a, b in pairs if b.norm() > 0)
    return xr.Dataset(
        {
            "state_error": (("cell", "dtype"), error),
            "converged": (("cell", "dtype"), converged),
            "gradient_error": (("cell", "dtype", "engine"), gradient),
            "diagonal_difference": ((), _diagonal_difference(generator, inputs.double())),
        },
        coords={"cell": list(models), "dtype": list(DTYPES), "engine": ["adjoint", "parallel"]},
        attrs={"n_steps": n_steps, "n_trials": n_trials},
    )


def _gradients(model: Model, inputs: Tensor, solver: Solver) -> Sequence[Tensor]:
    with torch.enable_grad():
        loss = model.solve(inputs, solver=solver)[0].square().mean()
        parameters = [parameter for parameter in model.cells.parameters() if parameter.requires_grad]
        return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)


def _diagonal_difference(generator: torch.Generator, inputs: Tensor) -> float:
    cell = GRUCell(3, 8, generator)
    with torch.no_grad():
        cell.weights()["rnn.weight_hh_l0"].tensor.zero_()
    model = single(cell, generator).double()
    both = [solve(model, inputs, method=method) for method in ("newton", "quasi")]
    return float((both[0].residual - both[1].residual).abs().max() + (both[0].states - both[1].states).abs().max())


def tanh_network(gain: float, n_units: int, generator: torch.Generator) -> Model:
    """Return h ← tanh(W h + w x), W_ij ~ N(0, g²/n) without a diagonal and w ~ N(0, 1)."""
    cell = LeakyCell(1, n_units, generator, afunc="tanh", tau=1, bias=False, diagonal=True, start=0.0)
    with torch.no_grad():
        cell.recurrent.weight.copy_(gain / n_units**0.5 * normal((n_units, n_units), generator)).fill_diagonal_(0)
        cell.input.weight.copy_(normal((n_units, 1), generator))
    return single(cell, generator).double()


def gru_network(gain: float, n_units: int, generator: torch.Generator) -> Model:
    """Return a GRU with all weights U(±g/√n)."""
    cell = GRUCell(1, n_units, generator)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(gain)
    return single(cell, generator).double()


SYSTEMS: dict[str, Callable[[float, int, torch.Generator], Model]] = {"tanh": tanh_network, "GRU": gru_network}


def gains(
    generator: torch.Generator,
    *,
    tanh: Sequence[float] = (0.5, 0.8, 1.0, 1.2, 1.5, 2.0),
    gru: Sequence[float] = (1.0, 2.0, 3.0),
    n_networks: int = 5,
    n_units: int = 32,
    n_steps: int = 500,
) -> xr.Dataset:
    """Measure iterations and λ1 of untrained networks against the gain of their weights.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights, inputs N(0, 1/4) and tangent vectors.
    tanh, gru : sequence of float
        Gains of both kinds of networks.
    n_networks : int
        Networks of each gain; quasi-Newton and Jacobi are tried on the first alone.
    n_units, n_steps : int
        Size of the networks, length of the sequence.

    Returns
    -------
    Dataset [system, network, solver, iteration]
        ``iterations [system, network, solver]``, NaN where there was no solution after 60; ``residual [system, network,
        iteration]`` of Newton's method; ``exponent [system, network]`` in nats a step; ``kind`` and ``gain`` of every system.
    """
    chosen = [("tanh", gain) for gain in tanh] + [("GRU", gain) for gain in gru]
    methods = ("newton", "quasi", "jacobi")
    iterations = np.full((len(chosen), n_networks, len(methods)), np.nan)
    residual = np.full((len(chosen), n_networks, LIMIT + 1), np.nan)
    exponent = np.full((len(chosen), n_networks), np.nan)
    for (s, (kind, gain)), i in itertools.product(enumerate(chosen), range(n_networks)):
        model = SYSTEMS[kind](gain, n_units, generator)
        inputs = (0.5 * normal((n_steps, 1, 1), generator)).double()
        for m, method in enumerate(methods if i == 0 else methods[:1]):
            solution = solve(model, inputs, method=method, max_iter=LIMIT)
            if solution.converged:
                iterations[s, i, m] = float(solution.iterations)
            if method == "newton":
                residual[s, i, : len(solution.residual)] = solution.residual[:, 0]
        burn_in = n_steps // 5
        found = exponents_along(
            model, model.initial_state(1), inputs, 1, burn_in=burn_in, n_steps=n_steps - burn_in, generator=generator
        )
        exponent[s, i] = found["exponents"].item()
    return xr.Dataset(
        {
            "iterations": (("system", "network", "solver"), iterations),
            "residual": (("system", "network", "iteration"), residual),
            "exponent": (("system", "network"), exponent, {"units": "nats/step"}),
        },
        coords={
            "kind": ("system", [kind for kind, _ in chosen]),
            "gain": ("system", [gain for _, gain in chosen]),
            "solver": list(methods),
        },
        attrs={"n_units": n_units, "n_steps": n_steps, "limit": LIMIT},
    )


def lengths(
    generator: torch.Generator,
    *,
    cells: Sequence[str] = ("gru", "lstm", "leaky"),
    sizes: Sequence[int] = (1, 4, 16),
    steps: Sequence[int] = (100, 300, 1000, 3000, 10_000),
    n_networks: int = 2,
) -> xr.Dataset:
    """Measure iterations of Newton's method from the cold start against the length, on networks that are not trained.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights and of two inputs N(0, 1).
    cells : sequence of str
        Keys of `tauscope.models.CELLS`.
    sizes, steps : sequence of int
        Numbers of units, lengths.
    n_networks : int
        Networks of each size.

    Returns
    -------
    Dataset [cell, size, network, length]
        ``iterations``, NaN where there was no solution after 60.
    """
    found = np.full((len(cells), len(sizes), n_networks, len(steps)), np.nan)
    for (c, cell), (s, n_units), i in itertools.product(enumerate(cells), enumerate(sizes), range(n_networks)):
        model = build_model(cell, n_units, n_inputs=2, n_heads=1, generator=generator).double()
        inputs = normal((max(steps), 1, 2), generator).double()
        for t, n_steps in enumerate(steps):
            solution = solve(model, inputs[:n_steps], max_iter=LIMIT)
            if solution.converged:
                found[c, s, i, t] = float(solution.iterations)
    dims = ("cell", "size", "network", "length")
    coords = {"cell": list(cells), "size": list(sizes), "length": list(steps)}
    return xr.Dataset({"iterations": (dims, found)}, coords=coords, attrs={"limit": LIMIT})


def pair(
    generator: torch.Generator, *, n_units: int = 8, n_steps: int = 1000, batch_size: int = 8, n_updates: int = 100
) -> xr.Dataset:
    """Train a GRU on 3-parity of long streams of bits, asked at every step, by the loop and by the engine ``parallel``.

    Parameters
    ----------
    generator : torch.Generator
        Source of the seed of both trainings.
    n_units, n_steps, batch_size, n_updates : int
        Size, length of the streams, streams a step, steps of the optimiser (a multiple of 10).

    Returns
    -------
    Dataset [engine, update, epoch]
        ``loss [engine, update]`` in nats; ``iterations`` and ``fallback_share [epoch]``, means over 10 updates.
    """
    if n_updates % 10:
        raise InputError(f"n_updates is {n_updates}: expected a multiple of 10")
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    losses: dict[str, list[float]] = {}
    for engine in ("loop", "parallel"):
        model = build_model("gru", n_units, n_heads=1, shared_head=True, generator=torch.Generator().manual_seed(seed))
        epochs = n_updates // 10
        recipe = Recipe(
            epochs=epochs, steps_per_epoch=10, batch_size=batch_size, test_steps=1, optimizer="adam", lr=3e-3, clip=1.0,
            seed=seed, dtype="float64", engine=engine,
        )  # fmt: skip
        kept = losses.setdefault(engine, [])
        training = train(
            model,
            Parity(length=n_steps, labels="every", p=0.5, plus_minus=True),
            Curriculum(once(3), Criterion(epochs=epochs)),
            recipe,
            on_step=lambda _, loss, kept=kept: kept.append(loss),  # type: ignore[misc]
        )
    records = training.history
    return xr.Dataset(
        {"loss": (("engine", "update"), np.array(list(losses.values())), {"units": "nats"})}
        | {name: ("epoch", [record[name] for record in records]) for name in ("iterations", "fallback_share")},
        coords={"engine": list(losses)},
        attrs={"n_units": n_units, "n_steps": n_steps, "batch_size": batch_size, "seed": str(seed)},
    )


def speed(
    generator: torch.Generator,
    *,
    sizes: Sequence[int] = (1, 4, 16, 64),
    steps: Sequence[int] = (100, 1000, 10_000),
    batches: Sequence[int] = (1, 16),
    rounds: int = 3,
    most: int = 200_000,
    device: str = "cpu",
) -> xr.Dataset:
    """Time a loss and its gradient of untrained GRUs by every engine, against `torch.nn.GRU`.

    Parameters
    ----------
    generator : torch.Generator
        Source of weights and of two inputs N(0, 1).
    sizes, steps, batches : sequence of int
        Numbers of units, lengths, trials side by side.
    rounds : int
        Interleaved measurements, of which the median counts, after one that does not.
    most : int
        What has more numbers than this, batch · length · units, is left out.
    device : str
        Where to compute: on a processor, processor time is measured, elsewhere time.

    Returns
    -------
    Dataset [engine, batch, size, length]
        ``seconds``, NaN where it was left out; ``loop`` is `torch.nn.GRU`.

    Raises
    ------
    InputError
        If there is no such device.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise InputError(f"device {device!r} is not there: expected a machine with an accelerator")
    seconds = np.full((len(ENGINES), len(batches), len(sizes), len(steps)), np.nan)
    for (b, batch), (s, n_units), (t, n_steps) in itertools.product(
        enumerate(batches), enumerate(sizes), enumerate(steps)
    ):
        if batch * n_units * n_steps > most:
            continue
        model = single(GRUCell(2, n_units, generator), generator).to(device)
        inputs = normal((n_steps, batch, 2), generator).to(device)
        times = np.empty((rounds + 1, len(ENGINES)))
        for i, (e, solver) in itertools.product(range(rounds + 1), enumerate(ENGINES.values())):
            times[i, e] = _time(model, inputs, solver, device)
        seconds[:, b, s, t] = np.median(times[1:], axis=0)
    return xr.Dataset(
        {"seconds": (("engine", "batch", "size", "length"), seconds, {"units": "s"})},
        coords={"engine": list(ENGINES), "batch": list(batches), "size": list(sizes), "length": list(steps)},
        attrs={"rounds": rounds, "device": device, "threads": torch.get_num_threads()},
    )


def _time(model: Model, inputs: Tensor, solver: Solver, device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device != "cpu":
        torch.cuda.synchronize()
    start = clock()
    _gradients(model, inputs, solver)
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


STUDIES = (
    Study("agreement", agreement),
    Study("gains", gains),
    Study("lengths", lengths),
    Study("pair", pair),
    Study("speed", speed),
)
