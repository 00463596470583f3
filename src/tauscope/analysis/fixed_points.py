"""Where a network stands still under a constant input: its fixed and slow points, and how it moves near them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jvp, vjp

from tauscope.analysis.checked import checked
from tauscope.analysis.lyapunov import flatten
from tauscope.analysis.modes import forward_mode, push_all, sorted_eigenvalues
from tauscope.errors import InputError, require_at_least
from tauscope.models.kernels.subnormals import flushing
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks.base import Task

Array = NDArray[np.float64]
Step = Callable[[Tensor], Tensor]

FIXED = 1e-20
"""Largest speed q of a fixed point relative to the mean squared size of visited states."""

SLOW = 1e-6
"""Largest speed q of a slow point, likewise."""

_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-14, 1e6
_MOST_PRODUCTS, _ENOUGH, _POLISHING = 40, 1e-4, 20
_PATIENCE = 8
"""Steps in which q has to fall by half; what does not is at a minimum of q that is no fixed point, or all but there."""
_NEAR = 1e-10
"""Speed, relative to that of visited states, at which the whole Jacobian takes over."""
_BLOCK = 2**26
"""Numbers in the Jacobians that are held at a time."""
_EXACT = "donot_use_mm_for_euclid_dist"
_COMPONENTS, _DRAWN = 3, 8


@checked
@flushing()
@torch.no_grad()
def fixed_points(
    model: Model,
    task: Task,
    *,
    input: float | Sequence[float] = 0.0,
    n_starts: int = 256,
    n_trials: int = 32,
    max_iterations: int = 100,
    apart: float = 0.01,
    reach: float = 1.0,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Find the fixed and slow points of a network under a constant input, and the modes near each.

    The speed ``q(z) = ½ |F(z) - z|²`` of the noiseless step F is made small from states that the network visits on its task, by
    damped Gauss-Newton steps whose linear equations are solved by conjugate gradients; what is found is polished with the
    whole Jacobian.

    Parameters
    ----------
    model : Model
        The network; nothing of it is changed. All is computed in float64.
    task : Task
        Its trials say which states the network visits.
    input : float or sequence of float
        The constant input, for all channels or for each.
    n_starts : int
        States from which points are sought, drawn from all trials and steps.
    n_trials : int
        Number of trials.
    max_iterations : int
        Gauss-Newton steps at most.
    apart : float
        Points that are nearer to each other than this share of the radius of the visited states are the same point.
    reach : float
        Points further from every visited state than this share of that radius are left out: the network never sees them.
    generator : torch.Generator, optional
        Source of trials, initial states, noise and starts; seeded with 0 if not given.

    Returns
    -------
    Dataset [point, coordinate, mode, part, component, time, trial]
        The slowest point first: ``state [point, coordinate]``, all tensors of all layers side by side; ``q [point]``;
        ``fixed [point]``, whether q is at most `FIXED` times the mean square of visited states (others are slow points, with
        at most `SLOW` times); ``starts [point]``, how many starts led there; ``eigenvalues [point, mode, part]`` of the
        Jacobian of a step, the largest first; ``timescale [point, mode]`` = ``-1/ln |λ|`` in steps, negative for a mode that
        grows; ``n_unstable [point]``, the number of modes with ``|λ| > 1``; ``projection [point, component]`` on the first three
        principal components of the visited states, and some trials there, ``trajectory [time, trial, component]``. As
        attributes the numbers of starts that ended at no slow point (``n_not_converged``) or out of reach
        (``n_out_of_reach``), and the ``radius`` of the visited states.

    Raises
    ------
    InputError
        If an option is out of range, the input has another number of channels, or the activity does not stay finite.

    Notes
    -----
    Source of the method: Sussillo & Barak, Neural Computation 2013 (minimising q from visited states). Where points form a
    line or a ring, they are found as separate points on it, with a mode of ``|λ| ≈ 1``.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(6, tau=4.0, generator=torch.Generator().manual_seed(0))
    >>> found = fixed_points(model, ts.Parity((2,), length=20), n_starts=20, n_trials=4)
    >>> int(found.sizes["point"]), bool(found.fixed.all()), int(found.starts[0]), int(found.n_unstable[0])
    (1, True, 20, 0)
    """
    for name, value, least in (("number of starts", n_starts, 1), ("number of trials", n_trials, 1),
                               ("number of iterations", max_iterations, 1), ("apart", apart, 0), ("reach", reach, 0)):  # fmt: skip
        require_at_least(name, value, least)
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    network = copy.deepcopy(model).double()
    x = _constant(input, network)
    trajectories = _trajectories(network, task, n_trials, generator)
    visited = trajectories.flatten(0, 1)
    chosen = torch.randint(len(visited), (n_starts,), generator=generator, device=generator.device)
    radius = float((visited - visited.mean(0)).square().sum(1).mean().sqrt()) or 1.0
    scale = float(visited.square().sum(1).mean()) or 1.0
    step = _step(network, x)
    z = _minimise(step, visited[chosen.to(visited.device)], _NEAR * scale, max_iterations)
    slow = _speed(step(z) - z) <= SLOW * scale
    near = torch.cdist(z, visited, compute_mode=_EXACT).amin(1) <= reach * radius
    z, starts = _distinct(
        step, z[slow & near], torch.ones(int((slow & near).sum()), dtype=torch.int64, device=z.device), apart * radius
    )
    z, starts = _distinct(step, _polish(network, x, z, FIXED * scale), starts, apart * radius)
    found = _dataset(network, x, z, trajectories[:, : min(n_trials, _DRAWN)])
    found["starts"] = ("point", starts.cpu().numpy(), {"long_name": "starts that lead there", "units": "1"})
    found["fixed"] = ("point", found.q.values <= FIXED * scale, {"long_name": "whether the point is fixed"})
    return found.assign_attrs(
        input=np.atleast_1d(np.asarray(input, dtype=float)),
        n_starts=n_starts,
        n_not_converged=int((~slow).sum()),
        n_out_of_reach=int((slow & ~near).sum()),
        radius=radius,
        task=type(task).__name__,
        seed=str(seed),
    )


def _constant(input: float | Sequence[float], model: Model) -> Tensor:
    """Return the constant input ``[1, channel]``."""
    like = model.hidden(model.initial_state(1))
    values = torch.atleast_1d(torch.as_tensor(input, dtype=like.dtype, device=like.device))
    if values.ndim > 1 or len(values) not in (1, model.n_inputs) or not values.isfinite().all():
        raise InputError(
            f"input is {input}: expected a finite number, or {model.n_inputs} for the channels of the input"
        )
    return values.expand(1, model.n_inputs)


def _trajectories(model: Model, task: Task, n_trials: int, generator: torch.Generator) -> Tensor:
    """Return the states that a network visits on its task, ``[time, trial, coordinate]``."""
    batch = task.sample(n_trials, generator)
    state = model.initial_state(n_trials, generator, batch.start)
    states = []
    for t in range(len(batch.inputs)):
        held = None if batch.hold is None else batch.hold[t : t + 1]
        state = run(model, replace(batch, inputs=batch.inputs[t : t + 1], hold=held), generator, state=state).final
        states.append(flatten(model, state)[0])
    found = torch.stack(states)
    if not found.isfinite().all():
        raise InputError("the activity is not finite: expected a network that stays bounded on its task")
    return found


def _step(model: Model, x: Tensor) -> Step:
    """Return the noiseless step of states ``[point, coordinate]`` under a constant input."""

    def step(z: Tensor) -> Tensor:
        state, rest = model.initial_state(len(z)), z
        parts = []
        for layer in state:
            sizes = [part.shape[1:].numel() for part in layer]
            own, rest = rest.split([sum(sizes), rest.shape[1] - sum(sizes)], dim=1)
            parts.append(tuple(p.reshape(q.shape) for p, q in zip(own.split(sizes, dim=1), layer, strict=True)))
        return flatten(model, model.step(x.expand(len(z), -1), tuple(parts)))[0]

    return step


def _speed(moved: Tensor) -> Tensor:
    """Return q = ½ |F(z) - z|², infinite where it is not a number."""
    return moved.square().sum(1).div(2).nan_to_num(torch.inf)


def _minimise(step: Step, z: Tensor, target: float, max_iterations: int) -> Tensor:
    """Make q small from each state by itself: Gauss-Newton steps, damped more after a step that fails."""
    z, q = z.clone(), _speed(step(z) - z)
    damping, before = torch.full_like(q, _DAMPING), torch.full_like(q, torch.inf)
    moving = torch.ones_like(q, dtype=torch.bool)
    for i in range(max_iterations):
        if i % _PATIENCE == 0:
            moving, before = moving & (q < before / 2), q.clone()
        rows = (moving & (q > target) & (damping < _MOST_DAMPING)).nonzero().flatten()
        if not len(rows):
            break
        here = z[rows]
        with forward_mode():
            moved = here + _gauss_newton(step, here, damping[rows, None])
        speed = _speed(step(moved) - moved)
        better = speed < q[rows]
        z[rows] = torch.where(better[:, None], moved, here)
        q[rows] = torch.where(better, speed, q[rows])
        damping[rows] = torch.where(better, (damping[rows] / 10).clamp(min=_LEAST_DAMPING), damping[rows] * 10)
    return z


def _gauss_newton(step: Step, z: Tensor, damping: Tensor) -> Tensor:
    """Solve (AᵀA + damping) d = -Aᵀ(F(z) - z), A = J - 1, by conjugate gradients for each state."""
    pair: Any = vjp(step, z)
    moved, pull = pair

    def curvature(d: Tensor) -> Tensor:
        along = jvp(step, (z,), (d,))[1] - d
        return pull(along)[0] - along + damping * d

    left = -(pull(moved - z)[0] - (moved - z))
    d, direction = torch.zeros_like(z), left
    size = first = left.square().sum(1, keepdim=True)
    for _ in range(min(z.shape[1], _MOST_PRODUCTS)):
        if bool((size <= _ENOUGH * first).all()):
            break
        product = curvature(direction)
        length = (size / (direction * product).sum(1, keepdim=True)).nan_to_num(0.0, 0.0, 0.0)
        d = d + length * direction
        left = left - length * product
        size, before = left.square().sum(1, keepdim=True), size
        direction = left + (size / before).nan_to_num(0.0, 0.0, 0.0) * direction
    return d


def _polish(model: Model, x: Tensor, z: Tensor, target: float) -> Tensor:
    """Apply Newton's steps with the whole Jacobian while they make q smaller."""
    step = _step(model, x)
    for _ in range(_POLISHING):
        q = _speed(step(z) - z)
        rows = (q > target).nonzero().flatten()
        if not len(rows):
            break
        for some in rows.split(max(1, _BLOCK // z.shape[1] ** 2)):
            here = z[some]
            A = _jacobian(model, x, here) - torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
            moved = here - torch.linalg.solve_ex(A, step(here) - here)[0]
            better = _speed(step(moved) - moved) < q[some]
            z[some] = torch.where(better[:, None], moved, here)
    return z


def _jacobian(model: Model, x: Tensor, z: Tensor) -> Tensor:
    """Return the Jacobian of the step at states ``[point, to, from]``."""
    with forward_mode():
        return push_all(_step(model, x), z)


def _distinct(step: Step, z: Tensor, starts: Tensor, apart: float) -> tuple[Tensor, Tensor]:
    """Return of points that are near each other the slowest, the slowest first, and how many starts led to them."""
    order = _speed(step(z) - z).argsort(stable=True)
    z, starts = z[order], starts[order]
    near = torch.cdist(z, z, compute_mode=_EXACT) <= apart
    left = torch.ones(len(z), dtype=torch.bool, device=z.device)
    kept, counts = [], []
    for i in range(len(z)):
        if left[i]:
            same = near[i] & left
            left = left & ~same
            kept.append(i)
            counts.append(starts[same].sum())
    return z[kept], torch.stack(counts) if counts else starts[:0]


def _dataset(model: Model, x: Tensor, z: Tensor, trajectories: Tensor) -> xr.Dataset:
    jacobians = [_jacobian(model, x, some) for some in z.split(max(1, _BLOCK // max(z.shape[1] ** 2, 1)))]
    eigenvalues = sorted_eigenvalues(np.concatenate([jacobian.cpu().numpy() for jacobian in jacobians]))
    size = np.linalg.norm(eigenvalues, axis=-1)
    with np.errstate(divide="ignore"):
        timescale = -1 / np.log(size)
    mean, axes = _components(trajectories.flatten(0, 1).cpu().numpy())
    step = _step(model, x)
    each = ("point", "mode")
    values = {
        "state": (("point", "coordinate"), z.cpu().numpy(), "state"),
        "q": ("point", _speed(step(z) - z).cpu().numpy(), "speed, half the squared length of a step"),
        "eigenvalues": ((*each, "part"), eigenvalues, "eigenvalues of a step"),
        "timescale": (each, timescale, "timescale of a mode"),
        "n_unstable": ("point", (size > 1).sum(axis=1), "modes that grow"),
        "projection": (("point", "component"), (z.cpu().numpy() - mean) @ axes, "principal component"),
        "trajectory": (
            ("time", "trial", "component"),
            (trajectories.cpu().numpy() - mean) @ axes,
            "principal component",
        ),
    }
    units = {"timescale": "steps"}
    return xr.Dataset(
        {name: (dims, value, {"long_name": said, "units": units.get(name, "1")}) for name, (dims, value, said) in values.items()},
        coords={"part": ["real", "imaginary"]},
    )  # fmt: skip


def _components(states: Array) -> tuple[Array, Array]:
    """Return the mean of states and their first principal directions ``[coordinate, component]``."""
    mean = states.mean(axis=0)
    directions = np.linalg.eigh(np.cov(states.T, ddof=0).reshape(len(mean), -1))[1]
    return mean, directions[:, ::-1][:, :_COMPONENTS]
