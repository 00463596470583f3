"""A recurrence as one system of equations: guess all states, correct them by an affine recurrence, and so on.

With the residual r_t = f_t(y_{t-1}) - y_t, the guess is corrected by Δ_t = M_t Δ_{t-1} + r_t, where Δ_0 = 0. Newton's
method has the Jacobian of the step for M; whatever M is, y_1 … y_k are exact after k corrections, and a guess that needs
none solves the recurrence. Sources: Lim et al., ICLR 2024 (DEER); Gonzalez et al., NeurIPS 2024 (quasi-DEER, ELK).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tauscope.errors import InputError, require_positive
from tauscope.models.parallel.affine import affine
from tauscope.models.parallel.layer import Layer

LARGEST = 1e8
"""Bound of a guess: what an iteration makes of numbers beyond it need not be finite."""

TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Largest residual of a solution, unless another is asked for."""

SIGMA2 = {"elk": 1e6, "quasi-elk": 1e2}
"""σ² of the published code."""


@dataclass(frozen=True)
class Iteration:
    """How a guess is corrected, and when that ends.

    Attributes
    ----------
    method : str
        Key of `METHODS`.
    tol : float
        Largest residual of a solution.
    max_iter : int
        Corrections at most.
    damping : float
        Share of M that is left out: 1 is the Jacobi sweep.
    sigma2 : float
        Variance of the observations of the last guess (``elk`` and ``quasi-elk``); their strength is 1/σ².
    """

    method: str = "newton"
    tol: float = 1e-5
    max_iter: int = 100
    damping: float = 0.0
    sigma2: float = math.inf


@dataclass(frozen=True)
class Found:
    """What an iteration came to.

    Attributes
    ----------
    z : Tensor [time, batch, coordinate]
        The guess with the smallest residual of every trial.
    iterations : Tensor [batch] of int
        Corrections until a trial converged, or until the end.
    residual : Tensor [iteration, batch]
        Largest residual of a trial after 0, 1, 2, … corrections; inf where it was no number.
    converged : Tensor [batch] of bool
        Whether the residual is within the tolerance.
    """

    z: Tensor
    iterations: Tensor
    residual: Tensor
    converged: Tensor


@torch.no_grad()
def iterate(layer: Layer, how: Iteration, guess: Tensor | None = None) -> Found:
    """Solve a layer over a sequence by correcting a guess of all states, every trial for itself.

    Parameters
    ----------
    layer : Layer
        The recurrence.
    how : Iteration
        Method, tolerance and limit.
    guess : Tensor [time, batch, coordinate], optional
        By default the initial state at all steps.

    Examples
    --------
    >>> from tauscope.models.wrapped import WrappedCell
    >>> cell = WrappedCell(lambda x, h: 0.5 * h + x, 1, 1)
    >>> layer = Layer(cell, torch.ones(3, 1, 1), cell.initial_state(1), None, None)
    >>> found = iterate(layer, Iteration("newton"))
    >>> found.z.flatten(), found.iterations
    (tensor([1.0000, 1.5000, 1.7500]), tensor([1]))
    """
    z = layer.start.expand(len(layer), -1, -1) if guess is None else guess
    best, n_trials = z, z.shape[1]
    smallest = z.new_full((n_trials,), math.inf)
    iterations = torch.zeros(n_trials, dtype=torch.int64, device=z.device)
    correct, residuals, done = METHODS[how.method], [], torch.zeros_like(iterations, dtype=torch.bool)
    while True:
        before = layer.before(z)
        after = layer.step(before)
        r = after - z
        size = residual_of(r, after)
        residuals.append(size)
        better = size < smallest
        best = z if bool(better.all()) else torch.where(better.unsqueeze(-1), z, best)
        smallest = torch.where(better, size, smallest)
        done = done | (size <= how.tol)  # never of a size that is infinite: the tolerance is not
        if len(residuals) > how.max_iter or bool(done.all()):
            return Found(best, iterations, torch.stack(residuals), done)
        # A trial that has converged stays as it is.
        change = correct(layer, before, r, how).masked_fill(done.unsqueeze(-1), 0.0)
        z = (z + change).nan_to_num(0.0).clamp(-LARGEST, LARGEST)
        iterations = iterations + ~done


def tolerance(tol: float | None, dtype: torch.dtype) -> float:
    """Return the largest residual of a solution, or refuse one that numbers of a dtype cannot meet, or that anything meets.

    Raises
    ------
    InputError
        If the tolerance is below the precision or not below 1, or the dtype has none.

    Examples
    --------
    >>> tolerance(None, torch.float32), tolerance(1e-12, torch.float64)
    (1e-05, 1e-12)
    """
    if dtype not in TOLERANCES:
        raise InputError(f"the network computes in {dtype}: expected float32 or float64, such as model.double()")
    if tol is None:
        return TOLERANCES[dtype]
    require_positive("tol", tol)
    eps = torch.finfo(dtype).eps
    if tol < eps:
        raise InputError(
            f"tol is {tol}, below the precision of {dtype}: expected at least {eps} (nearest valid value: {eps})"
        )
    if not tol < 1:
        raise InputError(f"tol is {tol}: expected a number below 1 (nearest valid value: {TOLERANCES[dtype]})")
    return float(tol)


def residual_of(r: Tensor, after: Tensor) -> Tensor:
    """Return the largest |f(y_{t-1}) - y_t| of every trial, of large states relative to them; inf where it is no number.

    Parameters
    ----------
    r, after : Tensor [time, batch, coordinate]
        f(y_{t-1}) - y_t, and f(y_{t-1}).

    Examples
    --------
    >>> residual_of(torch.tensor([[[0.5], [math.nan]]]), torch.tensor([[[0.1], [1.0]]]))
    tensor([0.5000,    inf])
    """
    size = (r.abs() / after.abs().clamp(min=1.0)).amax(dim=(0, 2))
    return size.nan_to_num(math.inf, posinf=math.inf)


def _newton(layer: Layer, before: Tensor, r: Tensor, how: Iteration) -> Tensor:
    return affine(_damped(layer.jacobian(before), how), r)


def _quasi(layer: Layer, before: Tensor, r: Tensor, how: Iteration) -> Tensor:
    return affine(_damped(layer.diagonal(before), how), r)


def _jacobi(layer: Layer, before: Tensor, r: Tensor, how: Iteration) -> Tensor:
    del layer, before, how
    return r


def _elk(layer: Layer, before: Tensor, r: Tensor, how: Iteration) -> Tensor:
    J = _damped(layer.jacobian(before), how)
    shares = _trust(J, how.sigma2)
    return affine(shares @ J, (shares @ r.unsqueeze(-1)).squeeze(-1))


def _quasi_elk(layer: Layer, before: Tensor, r: Tensor, how: Iteration) -> Tensor:
    a = _damped(layer.diagonal(before), how)
    shares = trust(a, how.sigma2)
    return affine(shares * a, shares * r)


Correction = Callable[[Layer, Tensor, Tensor, Iteration], Tensor]

METHODS: dict[str, Correction] = {
    "newton": _newton,
    "quasi": _quasi,
    "jacobi": _jacobi,
    "elk": _elk,
    "quasi-elk": _quasi_elk,
}
"""From a layer, the states before every step and the residuals to the correction of all states."""


def _damped(M: Tensor, how: Iteration) -> Tensor:
    return M if how.damping == 0 else (1 - how.damping) * M


def _trust(J: Tensor, sigma2: float) -> Tensor:
    """Return I - K_t of a Kalman filter with the dynamics J, noise 1 and observations of variance σ², step by step."""
    eye = torch.eye(J.shape[-1], dtype=J.dtype, device=J.device)
    P, shares = torch.zeros_like(J[0]), []
    for matrix in J:
        ahead = matrix @ P @ matrix.mT + eye
        # I - K = σ² (P⁻ + σ²)⁻¹, symmetric as P⁻ is.
        share = torch.linalg.inv_ex(ahead / sigma2 + eye).inverse
        shares.append(share)
        P = share @ ahead
    return torch.stack(shares)


def trust(a: Tensor, sigma2: float) -> Tensor:
    """Return 1 - K_t of scalar Kalman filters with the dynamics a, noise 1 and observations of variance σ².

    A filter corrects a guess by Δ_t = (1 - K_t) (a_t Δ_{t-1} + r_t): the variance, P⁻ = a² P + 1 and P = σ² P⁻ / (P⁻ + σ²) from
    P = 0, depends on a alone. Each step is a ratio of linear functions of P, and ratios are composed as matrices of 2 x 2
    are multiplied: all steps at once, by doubling.

    Parameters
    ----------
    a : Tensor [time, ...]
        Dynamics of every step.
    sigma2 : float
        σ².

    Returns
    -------
    Tensor [time, ...]
        1 - K_t.

    Examples
    --------
    >>> trust(torch.tensor([9.0, 1.0]), 1.0)
    tensor([0.5000, 0.4000])
    """
    s = sigma2 / (1 + sigma2)
    a2, ones = a.square(), torch.ones_like(a)
    # P ← (σ² a² P + σ²) / (a² P + 1 + σ²), over 1 + σ².
    M = torch.stack([s * a2, s * ones, a2 / (1 + sigma2), ones], dim=-1).unflatten(-1, (2, 2))
    shift = 1
    while shift < len(M):
        M = torch.cat([M[:shift], M[shift:] @ M[:-shift]])
        M = M / M.abs().amax(dim=(-2, -1), keepdim=True)
        shift *= 2
    P = M[..., 0, 1] / M[..., 1, 1]
    ahead = a2 * torch.cat([torch.zeros_like(P[:1]), P[:-1]]) + 1
    return 1 / (1 + ahead / sigma2)
