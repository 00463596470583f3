"""Recurrent matrices at the start, without any training: their spectral radius and norm, and what theory says of them."""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from tauscope._draws import uniform
from tauscope.models.low_rank import full_matrix
from tauscope.papers.vocabulary import Study

STARTS = ("glorot", "orthogonal")
RANKS = (None, 32, 16, 4, 2)
"""Ranks of matrices; ``None`` is the number of units."""

SPARSITIES = (0.0, 0.2, 0.5, 0.8, 0.9)


def share_of_rank(start: str, share: float) -> float:
    """Return f_r = ‖W_r‖_F / √n of the best approximation of rank r of large full matrices.

    Parameters
    ----------
    start : {"glorot", "orthogonal"}
    share : float
        r / n.

    Notes
    -----
    Singular values of a Gaussian matrix of variance 1/n have the density √(4 - σ²) / π on [0, 2], whose largest share counts;
    those of an orthogonal one are 1.

    Examples
    --------
    >>> share_of_rank("orthogonal", 0.25), round(share_of_rank("glorot", 1.0), 6), round(share_of_rank("glorot", 0.25), 2)
    (0.5, 1.0, 0.79)
    """
    if start == "orthogonal":
        return math.sqrt(share)
    from scipy.optimize import brentq

    # With σ = 2 sin a the share of values above it is 1 - (2 a + sin 2a) / π, and that of their squares 1 - (2 a - sin 4a / 2) / π.
    angle = brentq(lambda a: 1 - (2 * a + math.sin(2 * a)) / math.pi - share, 0.0, math.pi / 2) if share < 1 else 0.0
    return math.sqrt(1 - (2 * angle - math.sin(4 * angle) / 2) / math.pi)


def expected_radius(start: str, share: float, sparsity: float) -> float:
    """Return √(1 - s) f_r, the spectral radius of a large matrix of rank r (``share`` = r / n) under a mask of sparsity s.

    Examples
    --------
    >>> expected_radius("orthogonal", 0.25, 0.75)
    0.25
    """
    return math.sqrt(1 - sparsity) * share_of_rank(start, share)


def starts(generator: torch.Generator, n_units: int = 64, n_matrices: int = 200) -> xr.Dataset:
    """Measure recurrent matrices before training, with every rank and sparsity made of the same full matrices.

    Parameters
    ----------
    generator : torch.Generator
        Source of matrices and masks.
    n_units : int
        Number of units n.
    n_matrices : int
        Number of full matrices.

    Returns
    -------
    Dataset [start, matrix, rank, sparsity]
        ``radius``, the largest absolute eigenvalue, and ``norm``, the largest singular value; ``theory [start, rank, sparsity]``
        of the radius.

    Examples
    --------
    >>> found = starts(torch.Generator().manual_seed(0), 16, 2)
    >>> dict(found.sizes)
    {'start': 2, 'matrix': 2, 'rank': 3, 'sparsity': 5}
    """
    ranks = list(dict.fromkeys(min(rank or n_units, n_units) for rank in RANKS))
    radius, norm = (np.empty((len(STARTS), n_matrices, len(ranks), len(SPARSITIES))) for _ in range(2))
    for i, start in enumerate(STARTS):
        for j in range(n_matrices):
            U, sigma, V = torch.linalg.svd(full_matrix(n_units, start, generator))
            draws = uniform((n_units, n_units), generator)
            for k, rank in enumerate(ranks):
                product = (U[:, :rank] * sigma[:rank]) @ V[:rank]
                masked = torch.stack([product * (draws >= sparsity) for sparsity in SPARSITIES])
                radius[i, j, k] = torch.linalg.eigvals(masked).abs().amax(dim=1)
                norm[i, j, k] = torch.linalg.matrix_norm(masked, 2)
    dims = ("start", "matrix", "rank", "sparsity")
    theory = _theory(ranks, n_units)
    return xr.Dataset(
        {"radius": (dims, radius), "norm": (dims, norm), "theory": (("start", "rank", "sparsity"), theory)},
        coords={"start": list(STARTS), "rank": ranks, "sparsity": list(SPARSITIES)},
        attrs={"n_units": n_units},
    )


def _theory(ranks: list[int], n_units: int) -> NDArray[np.float64]:
    return np.array(
        [[[expected_radius(start, rank / n_units, s) for s in SPARSITIES] for rank in ranks] for start in STARTS]
    )


STUDIES = (Study("starts", starts),)
