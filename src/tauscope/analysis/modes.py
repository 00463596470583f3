"""How fast the modes of a network are: eigenvalues of its linear feedback at a state."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.func import jvp, vmap

from tauscope.analysis.checked import checked
from tauscope.analysis.lyapunov import flatten
from tauscope.errors import InputError, require_at_least
from tauscope.models.cell import State
from tauscope.models.kernels.subnormals import flushing
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks.base import Task

Array = NDArray[np.float64]


def step_jacobian(model: Model, state: tuple[State, ...], x: Tensor) -> Tensor:
    """Return the Jacobian of one noiseless step with respect to the state.

    Parameters
    ----------
    model : Model
        The network.
    state : tuple of layer states
        Where it is taken, tensors [trial, unit].
    x : Tensor [trial, channel]
        Input of the step.

    Returns
    -------
    Tensor [trial, to, from]
        With all tensors of all layers side by side.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(3, form="mod", afunc="relu", tau=4.0, generator=torch.Generator().manual_seed(0))
    >>> step_jacobian(model, model.initial_state(1), torch.zeros(1, 1))[0].diagonal().tolist()
    [0.75, 0.75, 0.75]
    """
    z, step = flatten(model, state)
    with forward_mode():
        return push_all(lambda point: step(x, point), z)


def push_all(step: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the Jacobian of a map of states ``[trial, coordinate]``, ``[trial, to, from]``, by forward derivatives.

    Examples
    --------
    >>> with forward_mode():
    ...     push_all(lambda z: z**2, torch.tensor([[1.0, 3.0]]))
    tensor([[[2., 0.],
             [0., 6.]]])
    """
    directions = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(z), -1, -1)

    def push(direction: Tensor) -> Tensor:
        moved: Tensor = jvp(step, (z,), (direction,))[1]
        return moved

    jacobian: Tensor = vmap(push, in_dims=2, out_dims=2)(directions)
    return jacobian


@contextlib.contextmanager
def forward_mode() -> Iterator[None]:
    """Pass over what torch warns of in the first forward derivative of a process, which is of its own doing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        yield


@checked
@flushing()
@torch.no_grad()
def modes(model: Model, task: Task, *, n_trials: int = 10, generator: torch.Generator | None = None) -> xr.Dataset:
    """Measure how fast the modes of a network are where its trials end; for a balanced one, eigenvalues of J diag(φ').

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any; nothing of it is changed.
    task : Task
        What it is shown.
    n_trials : int
        Number of trials.
    generator : torch.Generator, optional
        Source of trials, initial states and noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial, eigenvalue, part]
        ``step_eigenvalues`` of the Jacobian D of the last step as real and imaginary part, the largest first, and
        ``eigenvalues`` of K = 1 + τ (D - 1), the feedback in τ dx/dt = -x + K x: for a balanced network,
        K = J diag(φ'(x)). ``outlier [trial]`` is the least real part of the latter, and ``uniform_mode [trial]`` the
        mean over units of the sum of their row of K: for J = -b/N, -b times the mean slope (the share of active units,
        if they are rectified), which foretells the outlier of a network that is balanced as a whole. All but
        ``step_eigenvalues`` are NaN where units have several timescales or none.

    Raises
    ------
    InputError
        If there is not at least one trial, or the activity does not stay finite.

    Notes
    -----
    A mode with the eigenvalue λ decays with the time constant τ / (1 - Re λ). Source: Engelken & Goedeke, NeurIPS 2022,
    published code.

    Examples
    --------
    >>> from tauscope.models import BalancedRNN
    >>> from tauscope.tasks import Tracking
    >>> model = BalancedRNN(50, balance=4.0, g=0.0, generator=torch.Generator().manual_seed(0))
    >>> result = modes(model, Tracking(), n_trials=3)
    >>> result.eigenvalues.shape, bool((abs(result.outlier - result.uniform_mode) < 0.1).all())
    ((3, 50, 2), True)
    """
    require_at_least("number of trials", n_trials, 1)
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    batch = task.sample(n_trials, generator)
    state = model.initial_state(n_trials, generator, batch.start)
    if len(batch.inputs) > 1:
        before = replace(batch, inputs=batch.inputs[:-1], hold=None if batch.hold is None else batch.hold[:-1])
        state = run(model, before, generator, state=state, first=len(before.inputs) - 1).final
    D = step_jacobian(model, state, batch.inputs[-1].to(model.hidden(state))).double()
    if not D.isfinite().all():
        raise InputError("the activity is not finite: expected a network that stays bounded on its task")
    return _dataset(D.cpu().numpy(), _common_tau(model)).assign_attrs(
        n_trials=n_trials, task=type(task).__name__, seed=str(seed)
    )


def _common_tau(model: Model) -> float:
    """Return the timescale of all units in steps, or NaN."""
    taus = None if model.tau is None else model.tau.unique().tolist()
    return taus[0] if taus is not None and len(taus) == 1 else np.nan


def _dataset(D: Array, tau: float) -> xr.Dataset:
    K = np.eye(D.shape[1]) + tau * (D - np.eye(D.shape[1]))
    eigenvalues = np.full((*D.shape[:2], 2), np.nan) if np.isnan(tau) else sorted_eigenvalues(K)
    each = ("trial", "eigenvalue", "part")
    values = {
        "eigenvalues": (each, eigenvalues, "eigenvalues of the feedback"),
        "step_eigenvalues": (each, sorted_eigenvalues(D), "eigenvalues of a step"),
        "outlier": ("trial", eigenvalues[..., 0].min(axis=1), "least real part of the eigenvalues"),
        "uniform_mode": ("trial", K.sum(axis=2).mean(axis=1), "feedback of the uniform mode"),
    }
    return xr.Dataset(
        {name: (dims, array, {"long_name": meaning, "units": "1"}) for name, (dims, array, meaning) in values.items()},
        coords={"part": ["real", "imaginary"]},
    )


def sorted_eigenvalues(matrices: Array) -> Array:
    """Return the eigenvalues ``[trial, eigenvalue, part]``, the largest first."""
    values = np.linalg.eigvals(matrices)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    return np.take_along_axis(np.stack([values.real, values.imag], axis=-1), order[..., None], axis=1)
