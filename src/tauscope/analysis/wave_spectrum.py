"""Whether the slow modes of a network are those of a given operator: their number and their phases."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from tauscope.analysis.checked import checked, real_array
from tauscope.errors import InputError, require_at_least

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

SLOW = 0.9
"""Modulus above which an eigenvalue counts as slow."""


def square_matrix(name: str, given: ArrayLike) -> Array:
    """Return a finite square matrix, or refuse what is none.

    Examples
    --------
    >>> square_matrix("recurrent", [[1, 2]])
    Traceback (most recent call last):
    tauscope.errors.InputError: recurrent has shape (1, 2): expected a finite square matrix [to, from]
    """
    matrix = real_array(name, given)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise InputError(f"{name} has shape {matrix.shape}: expected a finite square matrix [to, from]")
    return matrix


def slow_eigenvalues(matrix: ArrayLike, threshold: float = SLOW) -> Complex:
    """Return the eigenvalues of a matrix whose modulus is above a threshold, by phase from -π to π.

    Examples
    --------
    >>> slow_eigenvalues(np.diag([1.0, -1.0, 0.5])).real
    array([ 1., -1.])
    """
    values = np.linalg.eigvals(square_matrix("matrix", matrix)).astype(complex)
    slow = values[np.abs(values) > threshold]
    return slow[np.argsort(np.angle(slow), kind="stable")]


def match_phases(expected: ArrayLike, found: ArrayLike) -> tuple[NDArray[np.int64], Array]:
    """Match two sets of complex numbers by their phases, so that the sum of all phase differences is least.

    Parameters
    ----------
    expected, found : array of complex
        The two sets, which may differ in size; as many pairs are made as the smaller one has members.

    Returns
    -------
    pairs : array [pair, 2] of int
        Places in ``expected`` and in ``found``.
    difference : array [pair]
        Magnitude of the difference of phases in radians, 0 … π.

    Examples
    --------
    >>> pairs, difference = match_phases([1.0, 1.0j], [0.9j, 1.1, -1.0])
    >>> pairs.tolist(), difference.tolist()
    ([[0, 1], [1, 0]], [0.0, 0.0])
    """
    a, b = (np.asarray(values, dtype=complex) for values in (expected, found))
    difference = np.abs(np.angle(a[:, None] * b.conj()[None, :]))
    rows, columns = linear_sum_assignment(difference)
    return np.stack([rows, columns], axis=-1), difference[rows, columns]


def null_phase_error(expected: ArrayLike, *, n_matrices: int = 20, generator: torch.Generator | None = None) -> Array:
    """Return the mean phase difference of eigenvalues to those of random orthogonal matrices of as many rows.

    Parameters
    ----------
    expected : array [mode] of complex
        Eigenvalues.
    n_matrices : int
        Number of matrices, drawn uniformly (Haar).
    generator : torch.Generator, optional
        Source of chance; seeded with 0 if not given.

    Returns
    -------
    array [matrix]
        Mean over pairs, as `match_phases` makes them, in radians.

    Examples
    --------
    >>> bool(0.3 < null_phase_error(np.repeat([1, 1j, -1, -1j], 4)).mean() < 0.6)
    True
    """
    require_at_least("number of matrices", n_matrices, 1)
    generator = generator or torch.Generator().manual_seed(0)
    n = len(np.atleast_1d(expected))
    random = torch.randn(n_matrices, n, n, dtype=torch.float64, generator=generator, device=generator.device)
    Q, R = np.linalg.qr(random.cpu().numpy())
    # Without the signs of the diagonal, the matrices would not be uniform.
    Q *= np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None, :]
    return np.array([match_phases(expected, np.linalg.eigvals(matrix))[1].mean() for matrix in Q])


@checked
def wave_spectrum(
    recurrent: ArrayLike,
    operator: ArrayLike,
    *,
    threshold: float = SLOW,
    n_matrices: int = 20,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Compare the slow eigenvalues of a network with those of the operator that it should be equal to in some basis.

    Parameters
    ----------
    recurrent : array [to, from]
        Jacobian of the network's step at a fixed point; the recurrent weights W where h ← tanh(W h + V u) and h = 0.
    operator : array [to, from]
        Such as `tauscope.analysis.wave_operator.wave_operator` returns.
    threshold : float
        Modulus above which an eigenvalue is slow.
    n_matrices : int
        Random orthogonal matrices that the phase error is compared with.
    generator : torch.Generator, optional
        Source of these; seeded with 0 if not given.

    Returns
    -------
    Dataset [expected_mode, mode, pair, part]
        ``expected [expected_mode, part]`` and ``eigenvalues [mode, part]``, the slow ones of operator and network, by
        phase; ``rank`` and ``count``, their numbers; ``pairs [pair, side]``, which of them belong together;
        ``difference [pair]`` of their phases in radians, and its mean ``phase_error``, NaN if there is no pair at all;
        ``null_phase_error``, the mean of the same for random orthogonal matrices of as many rows as the operator has
        slow modes; ``largest``, the largest modulus of all eigenvalues of the network.

    Raises
    ------
    InputError
        If a matrix is not square and finite.

    Notes
    -----
    Moduli are not compared: those of trained networks exceed 1 a little, and φ turns growth into a limit cycle. Source:
    Karuvally et al., ICML 2024, and published code, where phases are matched greedily, unequal numbers give NaN, and the
    operator is first reduced to the coordinates that are not transient; its slow eigenvalues are the same.

    Examples
    --------
    >>> from tauscope.analysis.wave_operator import embedding, wave_operator
    >>> F = [[1.0, 0.0, 0.0]]
    >>> result = wave_spectrum(embedding(F, 8).recurrent, wave_operator(F))
    >>> int(result["count"]), int(result["rank"]), float(result.phase_error.round(6))
    (3, 3, 0.0)
    """
    W = square_matrix("recurrent", recurrent)
    expected, found = slow_eigenvalues(square_matrix("operator", operator), threshold), slow_eigenvalues(W, threshold)
    pairs, difference = match_phases(expected, found)
    null = null_phase_error(expected, n_matrices=n_matrices, generator=generator).mean() if len(expected) else np.nan
    values = {
        "expected": (("expected_mode", "part"), _parts(expected), "slow eigenvalues of the operator", "1"),
        "eigenvalues": (("mode", "part"), _parts(found), "slow eigenvalues of the network", "1"),
        "rank": ((), len(expected), "slow modes of the operator", "modes"),
        "count": ((), len(found), "slow modes of the network", "modes"),
        "pairs": (("pair", "side"), pairs, "which eigenvalues belong together", "1"),
        "difference": ("pair", difference, "difference of phases", "rad"),
        "phase_error": ((), difference.mean() if len(pairs) else np.nan, "mean difference of phases", "rad"),
        "null_phase_error": ((), null, "mean difference of phases of random orthogonal matrices", "rad"),
        "largest": ((), np.abs(np.linalg.eigvals(W)).max(), "largest modulus of an eigenvalue", "1"),
    }
    return xr.Dataset(
        {
            name: (dims, array, {"long_name": meaning, "units": unit})
            for name, (dims, array, meaning, unit) in values.items()
        },
        coords={"part": ["real", "imaginary"], "side": ["expected_mode", "mode"]},
        attrs={"threshold": threshold},
    )


def _parts(values: Complex) -> Array:
    return np.stack([values.real, values.imag], axis=-1)
