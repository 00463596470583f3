"""Whether a network's states can be found for all steps at once, and whether that is faster: iterations, λ1 and time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.analysis.lyapunov import exponents_along
from tauscope.analysis.simulation import probabilities, random_bits
from tauscope.errors import InputError, require_at_least, require_count
from tauscope.models import Adjoint, Fast, Parallel, Solver, solve
from tauscope.models.cell import State
from tauscope.models.model import Model
from tauscope.models.trace import generator_for
from tauscope.models.weights import masked_copy
from tauscope.tasks.base import Task

METHODS = ("newton", "quasi", "jacobi")
"""Methods of `tauscope.solve` that are tried."""

SOLVERS: dict[str, Solver] = {"loop": Fast(), "adjoint": Adjoint(), "parallel": Parallel()}
"""Engines of training that are timed, by name."""

FRACTIONS = (0.1, 0.3, 1.0)
"""Lengths at which iterations are counted and engines timed, in parts of the longest."""

_NUMBERS = 1 << 26
"""Numbers of all Jacobians at most."""

_ROUNDS = 3


@dataclass(frozen=True)
class _Shown:
    """What a network is shown: inputs [time, trial, channel], states before them, noise and held steps."""

    inputs: Tensor
    state: tuple[State, ...]
    noise: Tensor | None
    hold: Tensor | None

    def first(self, n_steps: int) -> dict[str, object]:
        """Return the first steps, as keywords of `Model.solve`."""
        series = {"inputs": self.inputs, "noise": self.noise, "hold": self.hold}
        return {
            **{name: None if values is None else values[:n_steps] for name, values in series.items()},
            "state": self.state,
        }


@checked
@torch.no_grad()
def parallelizability(
    model: Model,
    *,
    n_steps: int = 500,
    n_trials: int = 3,
    max_iter: int = 60,
    timed: bool = True,
    p: float | Sequence[float] | None = None,
    repeat: int = 1,
    plus_minus: bool = False,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure whether the states of a network under random bits can be found for all steps at once.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any; iterations and exponents are computed in double precision.
    n_steps : int
        Longest sequence; shorter where the Jacobians of a large network would not fit.
    n_trials : int
        Trials, each with its own initial state and input.
    max_iter : int
        Iterations at most.
    timed : bool
        Time a loss and its gradient by every engine of training too, of all trials together.
    p : float or sequence of float, optional
        Probability of a 1, for all trials or each; ``None`` draws it from U(0, 1) for every trial.
    repeat : int
        Number of steps for which each bit is shown.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.
    generator : torch.Generator, optional
        Source of p, initial states, inputs, noise and tangent vectors; seeded with 0 if not given.

    Returns
    -------
    Dataset [solver, length, trial, iteration, engine]
        ``iterations [solver, length, trial]`` of `tauscope.solve` until all residuals are below 1e-10, NaN where they were not
        after ``max_iter``; ``residual [iteration, trial]`` of Newton's method over the longest sequence;
        ``largest_exponent [trial]`` in nats a step; where timed, ``seconds [engine, length]``, the shortest of three times on
        this machine. The attribute ``advice`` says in a sentence what follows.

    Raises
    ------
    InputError
        If an option is out of range, or the state does not stay finite.

    Notes
    -----
    A network can be solved in few iterations if the largest Lyapunov exponent of the driven network is negative, and not if
    it is positive. Source: Gonzalez et al., NeurIPS 2025 (arXiv 2508.16817).

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> result = parallelizability(model, n_steps=100, n_trials=2, timed=False)
    >>> result.iterations.dims, bool(result.iterations.sel(solver="newton").max() < 10)
    (('solver', 'length', 'trial'), True)
    """
    require_count("number of steps", n_steps)
    generator = generator_for(model, generator)
    chances = probabilities(p, n_trials, generator)
    state, longest = model.initial_state(n_trials, generator), _longest(model, n_steps, n_trials)
    inputs = random_bits(chances, longest, model.n_inputs, generator, repeat=repeat, plus_minus=plus_minus)
    shown = _Shown(inputs, state, model.draw_noise(longest, n_trials, generator), None)
    return _measured(model, shown, max_iter, timed, generator).assign_attrs(seed=str(generator.initial_seed()))


@checked
@torch.no_grad()
def trial_parallelizability(
    model: Model,
    task: Task,
    *,
    n_trials: int = 3,
    max_iter: int = 60,
    timed: bool = True,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure whether the states of a network in the trials of its task can be found for all steps at once.

    Parameters
    ----------
    model, max_iter, timed
        As of `parallelizability`.
    task : Task
        Its trials are run, whole.
    n_trials : int
        Number of trials.
    generator : torch.Generator, optional
        Source of trials, initial states, noise and tangent vectors; seeded with 0 if not given.

    Returns
    -------
    Dataset [solver, length, trial, iteration, engine]
        As `parallelizability` gives it.

    Raises
    ------
    InputError
        If an option is out of range, or the state does not stay finite.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.models.ReluRNN(8, n_inputs=50, generator=torch.Generator().manual_seed(0), lambda_0=0.5)
    >>> result = trial_parallelizability(model, ts.tasks.TwoAlternativeChoice(delay_steps=20), timed=False)
    >>> bool((result.largest_exponent < 0).all())
    True
    """
    require_count("number of trials", n_trials)
    generator = generator_for(model, generator)
    batch = task.sample(n_trials, generator)
    longest = _longest(model, len(batch.inputs), n_trials)
    state, hold = model.initial_state(n_trials, generator, batch.start), batch.hold
    noise = model.draw_noise(longest, n_trials, generator)
    shown = _Shown(batch.inputs[:longest], state, noise, None if hold is None else hold[:longest])
    result = _measured(model, shown, max_iter, timed, generator)
    return result.assign_attrs(seed=str(generator.initial_seed()), task=type(task).__name__)


def _longest(model: Model, n_steps: int, n_trials: int) -> int:
    """Return the longest sequence of which the Jacobians fit."""
    largest = max(sum(part[0].numel() for part in layer) for layer in model.initial_state(1))
    return min(n_steps, max(_NUMBERS // (n_trials * largest**2), 1))


def _measured(model: Model, shown: _Shown, max_iter: int, timed: bool, generator: torch.Generator) -> xr.Dataset:
    require_at_least("max_iter", max_iter, 1)
    n_steps, n_trials = shown.inputs.shape[:2]
    lengths = sorted({max(round(share * n_steps), 1) for share in FRACTIONS})
    twin, exact = masked_copy(model).double(), _doubled(shown)
    iterations, residual = np.full((len(METHODS), len(lengths), n_trials), np.nan), np.zeros((0, n_trials))
    for (m, method), (i, length) in itertools.product(enumerate(METHODS), enumerate(lengths)):
        solution = solve(twin, **exact.first(length), method=method, max_iter=max_iter)  # type: ignore[arg-type]
        iterations[m, i] = solution.iterations.where(solution.converged, torch.nan).cpu()
        if method == "newton":
            residual = solution.residual.cpu().numpy()
    data: dict[str, tuple[object, ...]] = {
        "iterations": (
            ("solver", "length", "trial"),
            iterations,
            {"long_name": "iterations until solved", "units": "1"},
        ),
        "residual": (("iteration", "trial"), residual, {"long_name": "residual of Newton's method", "units": "1"}),
        "largest_exponent": (
            "trial",
            _exponents(twin, exact, generator),
            {"long_name": "largest Lyapunov exponent", "units": "nats/step"},
        ),
    }
    if timed:
        data["seconds"] = (("engine", "length"), _seconds(model, shown, lengths), {"units": "s"})
    result = xr.Dataset(
        data,
        coords={"solver": list(METHODS), "length": ("length", lengths, {"units": "steps"})}
        | {"trial": np.arange(n_trials), "iteration": np.arange(len(residual))}
        | ({"engine": list(SOLVERS)} if timed else {}),
        attrs={"n_trials": n_trials, "n_steps": n_steps, "max_iter": max_iter},
    )
    return result.assign_attrs(advice=advice(result))


def _doubled(shown: _Shown) -> _Shown:
    state = tuple(tuple(part.double() for part in layer) for layer in shown.state)
    noise = None if shown.noise is None else shown.noise.double()
    return _Shown(shown.inputs.double(), state, noise, shown.hold)


def _exponents(model: Model, shown: _Shown, generator: torch.Generator) -> np.ndarray:
    """Return the largest Lyapunov exponent of every trial, over all but its first fifth."""
    n_steps = len(shown.inputs)
    if shown.hold is not None and bool(shown.hold.all(dim=0).any()):
        raise InputError("a trial is held at all of its steps: expected trials with steps")
    burn_in = n_steps // 5 if shown.hold is None else 0
    found = exponents_along(
        model,
        shown.state,
        shown.inputs,
        1,
        burn_in=burn_in,
        n_steps=n_steps - burn_in,
        generator=generator,
        hold=shown.hold,
        noise=shown.noise,
    )
    exponents: np.ndarray = found["exponents"].isel(exponent=0).values
    return exponents


@torch.enable_grad()
def _seconds(model: Model, shown: _Shown, lengths: Sequence[int]) -> np.ndarray:
    """Return the shortest time of a loss and its gradient by every engine, [engine, length], measured in turn."""
    twin = masked_copy(model).requires_grad_()
    parameters = list(twin.cells.parameters())
    found = np.full((len(SOLVERS), len(lengths)), np.inf)
    for _, (i, length), (e, solver) in itertools.product(
        range(_ROUNDS), enumerate(lengths), enumerate(SOLVERS.values())
    ):
        start = time.perf_counter()
        states, _, _ = twin.solve(**shown.first(length), solver=solver)  # type: ignore[arg-type]
        if parameters:
            torch.autograd.grad(states.square().mean(), parameters, allow_unused=True)
        found[e, i] = min(found[e, i], time.perf_counter() - start)
    return found


def advice(result: xr.Dataset) -> str:
    """Say in a sentence whether a network can be parallelised, and by which engine it is best trained.

    Parameters
    ----------
    result : Dataset
        From `parallelizability`.

    Examples
    --------
    >>> found = xr.Dataset({"iterations": (("solver", "length", "trial"), [[[4.0]]]), "largest_exponent": ("trial", [-0.4])},
    ...     coords={"solver": ["newton"], "length": [500]})
    >>> advice(found)
    "Newton's method solves 500 steps in 4 iterations (λ1 = -0.4 nats/step)."
    """
    longest, exponent = int(result["length"][-1]), float(result["largest_exponent"].mean())
    newton = result["iterations"].sel(solver="newton").isel(length=-1)
    if newton.notnull().all():
        said = f"Newton's method solves {longest} steps in {newton.mean().item():.3g} iterations (λ1 = {exponent:.2g} nats/step)"
    else:
        solved = f"{int(newton.notnull().sum())} of {newton.size} trials"
        said = f"Newton's method solves {longest} steps in {solved} (λ1 = {exponent:.2g} nats/step): not to be parallelised"
    if "seconds" not in result:
        return f"{said}."
    seconds = result["seconds"].isel(length=-1)
    best = str(seconds["engine"][int(np.argmin(seconds.values))].item())
    ratio = float(seconds.sel(engine="loop") / seconds.min())
    trials = f"{result.sizes['trial']} trials of {longest} steps"
    if best == "loop" or ratio < 1.1:
        return f"{said}; for {trials} on this machine no engine is faster than the loop."
    return f"{said}; for {trials} on this machine --engine {best} is fastest, {ratio:.2g} times as fast as the loop."
