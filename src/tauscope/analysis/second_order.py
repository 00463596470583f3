"""What a network multiplies its state with under each input: matrices, the directions in which they differ, and few of these."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import nn

from tauscope.errors import InputError, NotApplicableError
from tauscope.models import CPCell, Model, MultiplicativeCell
from tauscope.models.weights import masked_copy

Array = NDArray[np.float64]


def character_matrices(model: Model) -> xr.DataArray:
    """Return the matrices by which the input decides what the state is multiplied with.

    Parameters
    ----------
    model : Model
        A network of one layer of an Elman, CP, multiplicative, second-order or bilinear cell.

    Returns
    -------
    DataArray [character, to, from]
        M_c of h ← tanh(M_c h + c_c), in float64, for an input of 1 in channel c.

    Raises
    ------
    NotApplicableError
        If the network has another cell.

    Notes
    -----
    Of CP terms, M_c = V + C diag(B_c) Aᵀ.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.build_model("cp", 4, n_inputs=3, n_heads=1, rank=2, generator=torch.Generator().manual_seed(0))
    >>> character_matrices(model).shape
    (3, 4, 4)
    """
    return xr.DataArray(_transitions(model)[:-1], dims=("character", "to", "from"), name="character_matrices")


@torch.no_grad()
def _transitions(model: Model) -> Array:
    """Return M_c of every character, and last the matrix without any input."""
    cell = multiplicative_cell(model)
    channels = torch.eye(cell.n_inputs, dtype=torch.float64, device="cpu")
    matrices = masked_copy(cell).double().cpu().transitions(torch.cat([channels, 0 * channels[:1]]))
    found: Array = matrices.numpy()
    return found


def multiplicative_cell(model: Model) -> MultiplicativeCell:
    """Return the only layer of a network whose input can decide what the state is multiplied with.

    Raises
    ------
    NotApplicableError
        If it has another one, or several.
    """
    cell, *others = model.layers
    if others or not isinstance(cell, MultiplicativeCell):
        raise NotApplicableError(
            f"the network has {'several layers' if others else f'a {type(cell).__name__}'}: expected one layer of an elman, "
            "cp, mi, second_order or bilinear cell"
        )
    return cell


def effective_rank(model: Model) -> xr.Dataset:
    """Measure in how many directions the matrices of a network differ between inputs.

    Parameters
    ----------
    model : Model
        As in `character_matrices`.

    Returns
    -------
    Dataset [direction, character]
        ``singular_values [direction]`` of the matrix whose rows are M_c - M_0, with M_0 that without an input, in
        descending order; ``rank``, how many are not zero but for rounding; ``effective_rank``, exp(-Σ p ln p) with p the
        singular values over their sum, 0 where all are zero; and ``spectral_radius [character]`` of every M_c.

    Raises
    ------
    NotApplicableError
        As `character_matrices`.

    Notes
    -----
    A term of `tauscope.models.CPCell` is one direction, so that the rank is at most R. The effective rank is that of Roy &
    Vetterli, EUSIPCO 2007.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.build_model("cp", 4, n_inputs=5, n_heads=1, rank=2, generator=torch.Generator().manual_seed(0))
    >>> found = effective_rank(model)
    >>> int(found["rank"]), bool(1 < found.effective_rank < 2)
    (2, True)
    """
    *matrices, alone = _transitions(model)
    rows = np.reshape(matrices - alone, (len(matrices), -1))
    values = np.linalg.svd(rows, compute_uv=False)
    floor = values.max() * max(rows.shape) * np.finfo(np.float64).eps
    shares = values[values > floor] / max(values.sum(), np.finfo(np.float64).tiny)
    radius = np.abs(np.linalg.eigvals(np.stack(matrices))).max(axis=1)
    return xr.Dataset(
        {
            "singular_values": ("direction", values, {"long_name": "singular value of M_c - M_0", "units": "1"}),
            "rank": ((), len(shares), {"long_name": "rank", "units": "directions"}),
            "effective_rank": (
                (),
                float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0,
                {"long_name": "effective rank", "units": "directions"},
            ),
            "spectral_radius": ("character", radius, {"long_name": "spectral radius of M_c", "units": "1"}),
        }
    )


def rank_truncation(model: Model, rank: int) -> Model:
    """Return a network with the strongest of its CP terms alone.

    Parameters
    ----------
    model : Model
        A network of one layer of `tauscope.models.CPCell`.
    rank : int
        How many terms are kept, in the order of ‖A_r‖ ‖B_r‖ ‖C_r‖.

    Returns
    -------
    Model
        A network of its own.

    Raises
    ------
    NotApplicableError
        If the network has another cell.
    InputError
        If it has fewer terms.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.build_model("cp", 4, n_inputs=5, n_heads=1, rank=3, generator=torch.Generator().manual_seed(0))
    >>> rank_truncation(model, 1).layers[0].rank
    1
    """
    twin = masked_copy(model)
    cell = multiplicative_cell(twin)
    if not isinstance(cell, CPCell):
        raise NotApplicableError(f"the network has a {type(cell).__name__}: expected CP terms, of cell 'cp'")
    if not 0 <= rank <= cell.rank:
        closest = min(max(rank, 0), cell.rank)
        raise InputError(f"rank is {rank}: expected 0 ... {cell.rank} (nearest valid value: {closest})")
    with torch.no_grad():
        factors = [weight.tensor for name, weight in cell.weights().items() if name in ("A", "B", "C")]
        strength = torch.stack([factor.norm(dim=0) for factor in factors]).prod(dim=0)
        kept = strength.argsort(descending=True, stable=True)[:rank].sort().values
    for name, factor in zip("ABC", factors, strict=True):
        setattr(cell, name, nn.Parameter(factor.detach()[:, kept].clone()))
    cell.rank = rank
    return twin
