"""Travelling waves of memory: the linear operator of the theory, and networks that are made to obey the theory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tauscope.analysis.checked import checked, real_array
from tauscope.errors import InputError

Array = NDArray[np.float64]


class Weights(NamedTuple):
    """Weights of a network h ← φ(W h + V u), y = C h."""

    input: Array
    """V ``[unit, channel]``."""
    recurrent: Array
    """W ``[to, from]``."""
    readout: Array
    """C ``[output, unit]``."""


def wave_operator(boundary: ArrayLike) -> Array:
    """Return the operator Φ that moves a wave substrate by one step.

    The substrate z = [u_{t-s+1}; …; u_t] holds the last s vectors of d components. A step moves every vector one place
    towards the oldest, the oldest leaves, and F · z becomes the newest: z ← Φ z.

    Parameters
    ----------
    boundary : array [component, lag · component]
        F, what happens at the boundary where waves start, such as `tauscope.tasks.history.boundary_matrix` returns;
        the oldest vector comes first.

    Returns
    -------
    array [to, from]
        Φ, of s · d rows and columns: a block shift, with F as its last d rows.

    Raises
    ------
    InputError
        If the number of columns of F is no multiple of the number of its rows.

    Notes
    -----
    Source: Karuvally, Sejnowski & Siegelmann, ICML 2024 (arXiv 2402.10163), the linear boundary condition.

    Examples
    --------
    >>> wave_operator([[1.0, 0.0, 0.0]])
    array([[0., 1., 0.],
           [0., 0., 1.],
           [1., 0., 0.]])
    """
    F = real_array("boundary", boundary)
    if F.ndim != 2 or not F.size or F.shape[1] % F.shape[0]:
        raise InputError(f"boundary has shape {F.shape}: expected [d, s · d], such as (4, 16)")
    dim, size = F.shape
    return np.concatenate([np.eye(size, k=dim)[: size - dim], F])


def substrate_period(operator: ArrayLike, *, longest: int = 10_000) -> int:
    """Return after how many steps a substrate repeats, whatever it held, once what does not last is forgotten.

    Parameters
    ----------
    operator : array [to, from]
        Φ with integer entries, such as that of a history task.
    longest : int
        Most steps that are tried.

    Raises
    ------
    InputError
        If it does not repeat within so many steps.

    Examples
    --------
    >>> substrate_period(wave_operator([[-1.0, 0.0, 0.0]]))
    6
    """
    operator = real_array("operator", operator)
    lasting = np.linalg.matrix_power(operator, len(operator))
    moved = lasting
    for period in range(1, longest + 1):
        moved = operator @ moved
        if np.array_equal(moved, lasting):
            return period
    raise InputError(f"the substrate does not repeat within {longest} steps: expected F with one ±1 in each row")


@checked
def embedding(
    boundary: ArrayLike, n_units: int, *, amplitude: float = 0.01, generator: torch.Generator | None = None
) -> Weights:
    """Return the weights of a network whose activity is a wave substrate, in a random orthonormal basis Q.

    W = Q Φ Qᵀ, V = a Q E, C = Eᵀ Qᵀ / a, where E selects the newest vector of the substrate. A linear network of these
    weights obeys the theory exactly, one with φ = tanh up to the cube of the amplitude a. While vectors are shown, Φ
    adds F · z to them: only where F reads nothing but the oldest vector does a substrate that was empty hold at the end
    what was shown.

    Parameters
    ----------
    boundary : array [component, lag · component]
        F, as of `wave_operator`.
    n_units : int
        Number of units, at least s · d.
    amplitude : float
        a, the length in activity of an input of 1.
    generator : torch.Generator, optional
        Source of the basis; seeded with 0 if not given.

    Returns
    -------
    Weights
        Input, recurrent and read-out weights.

    Raises
    ------
    InputError
        If there are fewer units than s · d, or the amplitude is not positive.

    Examples
    --------
    >>> weights = embedding([[1.0, 0.0, 0.0]], 5)
    >>> np.abs(np.linalg.eigvals(weights.recurrent)).round(3) + 0.0
    array([1., 1., 1., 0., 0.])
    """
    operator = wave_operator(boundary)
    size, dim = len(operator), np.shape(boundary)[0]
    if n_units < size:
        raise InputError(f"{n_units} units: expected at least {size}, one for every place of the substrate")
    if not amplitude > 0:
        raise InputError(f"amplitude is {amplitude}: expected a number above 0, such as 0.01")
    generator = generator or torch.Generator().manual_seed(0)
    random = torch.randn(n_units, size, dtype=torch.float64, generator=generator, device=generator.device)
    Q = np.linalg.qr(random.cpu().numpy())[0]
    return Weights(amplitude * Q[:, -dim:], Q @ operator @ Q.T, Q[:, -dim:].T / amplitude)
