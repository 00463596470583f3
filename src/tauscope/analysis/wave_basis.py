"""The basis in which the recurrent weights of a network are a wave operator: what each direction will say, and when."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from tauscope.analysis.checked import checked, real_array
from tauscope.analysis.wave_operator import wave_operator
from tauscope.analysis.wave_spectrum import SLOW, Complex, square_matrix
from tauscope.errors import InputError, require_at_least

Array = NDArray[np.float64]

_VISIBLE = 1e-9
"""Singular values below this part of the largest belong to modes that the outputs never show."""


class SlowModes(NamedTuple):
    """The slow modes of a matrix W, which act on the state h as L h ← Λ L h."""

    values: Complex
    """Λ ``[mode]``."""
    right: Complex
    """V ``[unit, mode]``, eigenvectors."""
    left: Complex
    """L ``[mode, unit]``, with L V = 1: from a state to the amplitudes of its modes."""

    @property
    def phases(self) -> Complex:
        """Λ with every modulus set to 1, ``[mode]``."""
        return self.values / np.abs(self.values)


def slow_modes(matrix: ArrayLike, threshold: float = SLOW) -> SlowModes:
    """Return the slow modes of a matrix.

    Parameters
    ----------
    matrix : array [to, from]
        Such as recurrent weights.
    threshold : float
        Modulus above which an eigenvalue is slow.

    Examples
    --------
    >>> slow_modes(np.diag([0.5, 1.0, -1.0])).left.real
    array([[0., 1., 0.],
           [0., 0., 1.]])
    """
    values, left, right = linalg.eig(square_matrix("matrix", matrix), left=True, right=True)
    slow = np.abs(values) > threshold
    V, U = right[:, slow], left[:, slow].conj().T
    return SlowModes(values[slow], V, np.linalg.solve(U @ V, U))


@checked
def readout_basis(
    recurrent: ArrayLike, readout: ArrayLike, boundary: ArrayLike, *, threshold: float = SLOW
) -> xr.Dataset:
    """Find the coordinates of a network's state in which its recurrent weights should be a wave operator.

    A network that solves a history task says C W^j h_t = u_{t+j} (for small activity), so that
    D = [C; C W; …; C W^{s-1}] maps its state to the substrate [u_t; …; u_{t+s-1}], and Φ D = D W. All but the last d
    rows of this hold for any W. Here D acts on the slow modes alone, whose growth is left out: with the slow eigenvectors
    V of W, the amplitudes L h of the slow modes and their phases ``Λ̃ = Λ / |Λ|``, ``D_j = C V Λ̃^j L``.

    Parameters
    ----------
    recurrent : array [to, from]
        W, the Jacobian of the network's step at a fixed point.
    readout : array [component, unit]
        C, of the head.
    boundary : array [component, lag · component]
        F of the task; the theory's operator is `tauscope.analysis.wave_operator.wave_operator` of it.
    threshold : float
        Modulus above which an eigenvalue is slow.

    Returns
    -------
    Dataset [lag, component, unit, to, from]
        ``coordinates [lag, component, unit]``, D, where lag j is what is said j steps later; ``operator [to, from]``,
        D W D⁺ with moduli set to 1, and ``theory [to, from]``, Φ on what D reaches, for pictures; ``count`` of slow
        modes, and of those ``visible`` in the outputs; ``intertwining_error``
        ε = ‖F [D_0; …; D_{s-1}] - D_s‖ / ‖D_s‖ in the Frobenius norm, NaN without slow modes. Its modes are mixed so that
        the columns of [D_0; …; D_{s-1}] are orthonormal: ε then depends neither on the basis that the network was written
        in nor on the choice of eigenvectors where eigenvalues coincide.

    Raises
    ------
    InputError
        If the shapes do not fit each other, or something is not finite.

    Notes
    -----
    Source of the question: Karuvally et al., ICML 2024. D is the observability matrix of control theory; the published
    basis, `variable_memories`, inverts the read-out instead, and is called unreliable in the published notebook.

    Examples
    --------
    >>> from tauscope.analysis.wave_operator import embedding
    >>> F = np.array([[1.0, 0.0, 0.0]])
    >>> weights = embedding(F, 8)
    >>> result = readout_basis(weights.recurrent, weights.readout, F)
    >>> result.operator.values.round(6) + 0.0
    array([[0., 1., 0.],
           [0., 0., 1.],
           [1., 0., 0.]])
    >>> float(result.intertwining_error.round(6))
    0.0
    """
    W, F = square_matrix("recurrent", recurrent), real_array("boundary", boundary)
    C, theory = _readout(readout, W, F), wave_operator(F)
    modes, n_lags = slow_modes(W, threshold), len(theory) // len(F)
    said = np.stack([C @ modes.right * modes.phases**j for j in range(n_lags + 1)])
    D, later = said[:-1].reshape(len(theory), -1), said[1:].reshape(len(theory), -1)
    left, singular, right = np.linalg.svd(D, full_matrices=False)
    visible = singular > _VISIBLE * singular.max(initial=0.0)
    left, mix = left[:, visible], right[visible].conj().T / singular[visible]
    last = said[-1] @ mix
    error = np.linalg.norm(F @ left - last) / np.linalg.norm(last) if visible.any() else np.nan
    values = {
        "coordinates": (("lag", "component", "unit"), (said[:-1] @ modes.left).real, "coordinates D", "1"),
        "operator": (("to", "from"), (later @ mix @ left.conj().T).real, "recurrent weights in the basis", "1"),
        "theory": (("to", "from"), (theory @ left @ left.conj().T).real, "wave operator in the basis", "1"),
        "count": ((), len(modes.values), "slow modes", "modes"),
        "visible": ((), int(visible.sum()), "slow modes that the outputs show", "modes"),
        "intertwining_error": ((), error, "intertwining error", "1"),
    }
    return xr.Dataset(
        {
            name: (dims, array, {"long_name": meaning, "units": unit})
            for name, (dims, array, meaning, unit) in values.items()
        },
        coords={"lag": np.arange(n_lags), "component": np.arange(len(F))},
        attrs={"threshold": threshold},
    )


def variable_memories(recurrent: ArrayLike, readout: ArrayLike, n_lags: int) -> Array:
    """Return the published basis of variable memories, Ψ = [W^{s-1} C⁺, …, W C⁺, C⁺] with columns of length 1.

    Parameters
    ----------
    recurrent : array [to, from]
        W.
    readout : array [component, unit]
        C, of the head; C⁺ is its pseudo-inverse.
    n_lags : int
        Number s of vectors that are remembered.

    Returns
    -------
    array [unit, lag · component]
        Ψ, the memory of the oldest vector first; Ψ⁺ W Ψ should be the wave operator.

    Raises
    ------
    InputError
        If the shapes do not fit each other, or something is not finite.

    Notes
    -----
    Source: published code of Karuvally et al., ICML 2024, whose notebook calls it unreliable; `readout_basis` needs no
    inverse of the read-out.

    Examples
    --------
    >>> from tauscope.analysis.wave_operator import embedding
    >>> weights = embedding([[1.0, 0.0, 0.0]], 8)
    >>> basis = variable_memories(weights.recurrent, weights.readout, 3)
    >>> (np.linalg.pinv(basis) @ weights.recurrent @ basis).round(6) + 0.0
    array([[0., 1., 0.],
           [0., 0., 1.],
           [1., 0., 0.]])
    """
    W = square_matrix("recurrent", recurrent)
    C = _readout(readout, W, None)
    require_at_least("number of lags", n_lags, 1)
    blocks = [np.linalg.pinv(C)]
    for _ in range(n_lags - 1):
        blocks.append(W @ blocks[-1])
    basis = np.concatenate(blocks[::-1], axis=1)
    length = np.linalg.norm(basis, axis=0)
    return basis / np.where(length > 0, length, 1.0)


def _readout(readout: ArrayLike, W: Array, F: Array | None) -> Array:
    C = real_array("readout", readout)
    rows = "d" if F is None else str(len(F))
    if C.ndim != 2 or C.shape[1] != len(W) or (F is not None and len(C) != len(F)) or not np.isfinite(C).all():
        raise InputError(f"readout has shape {C.shape}: expected a finite matrix [{rows}, {len(W)}]")
    return C
