"""How strongly units are coupled: statistics and eigenvalues of the recurrent weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.errors import InputError, NotApplicableError
from tauscope.models.cell import Cell
from tauscope.models.model import Model


def recurrent_matrices(cell: Cell) -> dict[str, Tensor]:
    """Return the recurrent weights of a cell by name.

    Parameters
    ----------
    cell : Cell
        A cell whose `weights` has recurrent ones.

    Returns
    -------
    dict of Tensor [to, from]
        One matrix named ``"recurrent"``, or one for each gate.

    Raises
    ------
    NotApplicableError
        If the cell has none that are known.

    Examples
    --------
    >>> from tauscope.models import GRUCell
    >>> list(recurrent_matrices(GRUCell(1, 4, torch.Generator())))
    ['reset', 'update', 'new']
    """
    matrices = _matrices(cell)
    if not matrices:
        raise NotApplicableError(
            f"{type(cell).__name__} has no recurrent weights to measure: expected a cell whose `weights` has some"
        )
    return matrices


def _matrices(cell: Cell) -> dict[str, Tensor]:
    recurrent = [weight for weight in cell.weights().values() if weight.role == "recurrent"]
    return {name: block.detach() for weight in recurrent for name, block in weight.blocks().items()}


def step_matrix(cell: Cell) -> Tensor | None:
    """Return the linear map of one leaky step at unit gain, diag(1 - 1/τ) + diag(1/τ) W.

    Parameters
    ----------
    cell : Cell
        A cell; only one with a single matrix of recurrent weights and ``tau`` has such a map.

    Returns
    -------
    Tensor [to, from] or None
        The map.

    Examples
    --------
    >>> import tauscope as ts
    >>> step_matrix(ts.LeakyCell(1, 3, torch.Generator().manual_seed(0), tau=4.0)).diagonal()
    tensor([0.7500, 0.7500, 0.7500])
    """
    weights = _matrices(cell).get("recurrent")
    if weights is None or cell.tau is None:
        return None
    a = (1 / cell.tau).detach()
    return torch.diag(1 - a) + a[:, None] * weights


@checked
def connectivity(model: Model) -> xr.Dataset:
    """Measure the recurrent weights of every layer.

    Parameters
    ----------
    model : Model
        The network.

    Returns
    -------
    Dataset [matrix, eigenvalue, part]
        One ``matrix`` for each layer, and for gated cells for each gate of each layer, with coordinates ``layer``
        (from 1) and ``gate``. Of the weights off the diagonal, ``mean``, ``std`` (of the population) and
        ``share_positive``; of the whole matrix, ``spectral_radius``, ``norm`` (the largest singular value) and the ``eigenvalues`` as real and imaginary
        part, the largest first; ``step_spectral_radius`` and ``step_eigenvalues`` of the step at unit gain,
        diag(1 - 1/τ) + diag(1/τ) W, NaN for gated cells. Where layers differ in size, NaN fills up.

    Raises
    ------
    InputError
        If a layer has no recurrent weights that are known, or some are not finite.

    Notes
    -----
    Leaky units have no self-connections. Source: Khajehabdollahi et al., ICLR 2024, section 4.2.

    Examples
    --------
    >>> import tauscope as ts
    >>> result = connectivity(ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0)))
    >>> dict(result.sizes), result.gate.values.tolist()
    ({'matrix': 1, 'eigenvalue': 8, 'part': 2}, ['recurrent'])
    """
    rows, labels = [], []
    for layer, cell in enumerate(model.layers, start=1):
        step = step_matrix(cell)
        for gate, weights in recurrent_matrices(cell).items():
            if not weights.isfinite().all():
                raise InputError(f"the {gate} weights of layer {layer} are not finite: expected finite weights")
            labels.append((layer, gate))
            rows.append(_measure(_array(weights), None if step is None else _array(step)))
    widest = max(len(row["eigenvalues"]) for row in rows)
    for row in rows:
        for name in ("eigenvalues", "step_eigenvalues"):
            row[name] = np.pad(row[name], ((0, widest - len(row[name])), (0, 0)), constant_values=np.nan)
    return _dataset({name: np.stack([row[name] for row in rows]) for name in rows[0]}, labels)


def _array(weights: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = weights.double().cpu().numpy()
    return array


def _measure(weights: NDArray[np.float64], step: NDArray[np.float64] | None) -> dict[str, Any]:
    off_diagonal = weights[~np.eye(len(weights), dtype=bool)]
    eigenvalues = _eigenvalues(weights)
    step_eigenvalues = np.full(eigenvalues.shape, np.nan) if step is None else _eigenvalues(step)
    # A single unit has no weights off the diagonal, and the mean of none is not a number.
    some = off_diagonal if off_diagonal.size else np.array([np.nan])
    return {
        "mean": some.mean(),
        "std": some.std(),
        "share_positive": (off_diagonal > 0).mean() if off_diagonal.size else np.nan,
        "spectral_radius": np.hypot(*eigenvalues[0]),
        "norm": np.linalg.norm(weights, 2),
        "step_spectral_radius": np.hypot(*step_eigenvalues[0]),
        "eigenvalues": eigenvalues,
        "step_eigenvalues": step_eigenvalues,
    }


def _eigenvalues(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eigenvalues ``[eigenvalue, part]``, the largest first."""
    values = np.linalg.eigvals(matrix)
    values = values[np.argsort(-np.abs(values), kind="stable")]
    return np.stack([values.real, values.imag], axis=1)


_LONG_NAMES = {
    "mean": ("mean recurrent weight", "weight"),
    "std": ("standard deviation of the recurrent weights", "weight"),
    "share_positive": ("share of positive recurrent weights", "1"),
    "spectral_radius": ("spectral radius of the recurrent weights", "1"),
    "norm": ("largest singular value of the recurrent weights", "1"),
    "step_spectral_radius": ("spectral radius of the step at unit gain", "1/step"),
    "eigenvalues": ("eigenvalues of the recurrent weights", "1"),
    "step_eigenvalues": ("eigenvalues of the step at unit gain", "1/step"),
}


def _dataset(arrays: dict[str, NDArray[np.float64]], labels: list[tuple[int, str]]) -> xr.Dataset:
    dims = ("matrix", "eigenvalue", "part")
    return xr.Dataset(
        {
            name: (dims[: values.ndim], values, dict(zip(("long_name", "units"), _LONG_NAMES[name], strict=True)))
            for name, values in arrays.items()
        },
        coords={
            "layer": ("matrix", [layer for layer, _ in labels]),
            "gate": ("matrix", [gate for _, gate in labels]),
            "part": ["real", "imaginary"],
        },
    )
