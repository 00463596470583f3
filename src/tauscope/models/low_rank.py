"""Recurrent weights that are a product of two thin factors, of which a fixed mask shows a part."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tauscope._draws import normal, require_generator, uniform
from tauscope.errors import InputError, require_choice, require_count, require_instance, require_probability
from tauscope.models.model import Model, require_model
from tauscope.models.names import STARTS
from tauscope.models.weights import Weight, masked_copy


class LowRank(nn.Module):
    """W = A B for every gate, with A ``[unit, rank]`` and B ``[rank, unit]``: a parametrisation.

    Parameters
    ----------
    rank : int
        Of every gate's matrix.
    n_gates : int
        Square blocks of rows that are stacked in the weight.

    Examples
    --------
    >>> linear = nn.Linear(4, 4, bias=False)
    >>> _ = parametrize.register_parametrization(linear, "weight", LowRank(2))
    >>> int(torch.linalg.matrix_rank(linear.weight)), linear.parametrizations.weight.original1.shape
    (2, torch.Size([1, 2, 4]))
    """

    def __init__(self, rank: int, n_gates: int = 1) -> None:
        super().__init__()
        self.rank, self.n_gates = rank, n_gates

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the weight ``[gate · unit, unit]`` of factors ``[gate, unit, rank]`` and ``[gate, rank, unit]``."""
        return (left @ right).flatten(0, 1)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors of the nearest matrices of this rank: U Σ^½ and Σ^½ Vᵀ of the largest singular values."""
        U, sigma, V = torch.linalg.svd(weight.double().unflatten(0, (self.n_gates, -1)))
        root = sigma[:, : self.rank].sqrt()
        left, right = U[..., : self.rank] * root.unsqueeze(1), root.unsqueeze(2) * V[:, : self.rank]
        return left.to(weight).contiguous(), right.to(weight).contiguous()


def low_rank_sparse(
    model: Model,
    rank: int | None = None,
    sparsity: float = 0.0,
    *,
    generator: torch.Generator,
    start: str = "own",
    rescale: bool = False,
) -> Model:
    """Return a network whose recurrent matrices are W = (A B) ⊙ M: of low rank before a fixed mask, which is not trained.

    Every gate of a gated cell has factors and a mask of its own. Weights of the input, biases and read-outs stay as they are.

    Parameters
    ----------
    model : Model
        A fresh network, which is not changed.
    rank : int, optional
        Columns of A; by default, and if as large as the number of units, one matrix is trained in the place of the product.
    sparsity : float
        Probability with which an entry is masked, 0 … 1; with 1 there is no recurrence.
    generator : torch.Generator
        Source of initial matrices and masks, gate by gate.
    start : {"own", "glorot", "orthogonal"}
        The full matrices of which A B are the best approximations of their rank, not rescaled: the network's own, with entries
        N(0, 1/n_units), or orthogonal.
    rescale : bool
        Whether the start is scaled to the spectral radius of the full matrix.

    Returns
    -------
    Model
        A copy with parametrised weights.

    Raises
    ------
    InputError
        If an option is out of range, or the network has no recurrent matrices, or some that are pruned, parametrised or not
        finite.

    Notes
    -----
    The mask destroys the low rank: what has rank r is the product, not W. At the start, for large n, the spectral radius of W is
    √(1 - s) ‖A B‖_F / √n. Source: Tumma et al., ICLR 2024 (arXiv 2310.03915), as far as the parametrisation is known.

    Examples
    --------
    >>> import tauscope as ts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = low_rank_sparse(ts.build_model("gru", 8, generator=generator), 2, 0.5, generator=generator)
    >>> model.cells[0].rnn.weight_hh_l0.shape, sum(weight.numel() for weight in model.cells[0].rnn.parametrizations.parameters())
    (torch.Size([24, 8]), 96)
    """
    require_model(model)
    require_generator(generator)
    require_probability("sparsity", sparsity)
    require_choice("start", start, STARTS)
    require_instance("rescale", rescale, bool, "true or false")
    if rank is not None:
        require_count("rank", rank)
    for name, weight in model.weights().items():
        if weight.role == "recurrent":
            _require_plain(name, weight)
    twin = masked_copy(model)
    weights = [weight for weight in twin.weights().values() if weight.role == "recurrent"]
    if not weights or not all(map(_is_square, weights)):
        kinds = ", ".join(dict.fromkeys(type(cell).__name__ for cell in model.layers))
        raise InputError(
            f"a network of {kinds} has no matrices between units that are known: expected recurrent weights"
        )
    for weight in weights:
        _restructure(weight, rank, sparsity, start, rescale, generator)
    return twin


def structure(model: Model) -> dict[str, Any]:
    """Return the rank of the recurrent products of a network and whether masks show a part of them; nothing of a plain one.

    Examples
    --------
    >>> import tauscope as ts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ts.LeakyRNN(8, generator=generator)
    >>> structure(model), structure(low_rank_sparse(model, 2, generator=generator))
    ({}, {'rank': 2, 'masked': False})
    """
    made = [
        part
        for weight in model.weights().values()
        if weight.role == "recurrent" and parametrize.is_parametrized(weight.module, weight.name)
        for part in cast(nn.ModuleDict, weight.module.parametrizations)[weight.name].children()
    ]
    # Layers with fewer units than the rank are one matrix.
    ranks = [part.rank for part in made if isinstance(part, LowRank)]
    return {"rank": max(ranks, default=None), "masked": len(made) > len(ranks)} if made else {}


def _require_plain(name: str, weight: Weight) -> None:
    """Refuse a weight that something stands behind already."""
    kept = {**dict(weight.module.named_parameters(recurse=False)), **dict(weight.module.named_buffers(recurse=False))}
    if weight.name not in kept:
        raise InputError(
            f"{name} is parametrised or pruned already: expected plain recurrent weights, of a fresh network"
        )
    if not bool(weight.tensor.isfinite().all()):
        raise InputError(f"{name} is not finite: expected finite recurrent weights")


def _is_square(weight: Weight) -> bool:
    """Return whether a weight is one square matrix for every gate."""
    shape = weight.tensor.shape
    return len(shape) == 2 and shape[0] == max(len(weight.gates), 1) * shape[1]


def _restructure(
    weight: Weight, rank: int | None, sparsity: float, start: str, rescale: bool, generator: torch.Generator
) -> None:
    """Parametrise a weight, in place."""
    with torch.no_grad():
        full = weight.tensor.detach().clone()
        n_gates, n = max(len(weight.gates), 1), full.shape[1]
        if start != "own":
            full = torch.cat([full_matrix(n, start, generator) for _ in range(n_gates)]).to(full)
            weight.put(full)
        if rank is not None and rank < n:
            parametrize.register_parametrization(weight.module, weight.name, LowRank(rank, n_gates))
        if sparsity:
            weight.restrict(uniform((n_gates * n, n), generator) >= sparsity)
        if rescale:
            _rescale(weight, full.unflatten(0, (n_gates, n)))


def full_matrix(n: int, start: str, generator: torch.Generator) -> Tensor:
    """Draw a square matrix in float64.

    Parameters
    ----------
    n : int
        Number of rows.
    start : {"glorot", "orthogonal"}
        Entries N(0, 1/n), or uniform over all rotations and reflections.
    generator : torch.Generator
        Source of chance.

    Examples
    --------
    >>> Q = full_matrix(4, "orthogonal", torch.Generator().manual_seed(0))
    >>> torch.allclose(Q @ Q.t(), torch.eye(4, dtype=Q.dtype))
    True
    """
    gaussian = normal((n, n), generator).double()
    if start == "glorot":
        return gaussian / n**0.5
    Q, R = torch.linalg.qr(gaussian)
    # With the signs of R's diagonal the distribution is uniform over all rotations and reflections.
    return Q * R.diagonal().sign()


def _rescale(weight: Weight, full: Tensor) -> None:
    """Scale the parameters of a weight so that each gate has the spectral radius of its full matrix."""
    n_gates = len(full)
    made = weight.value.unflatten(0, (n_gates, -1))
    pattern = (torch.ones_like(weight.tensor) * weight.pattern * weight.scale).unflatten(0, (n_gates, -1))
    sizes = [(_radius(whole * shown), _radius(part)) for whole, part, shown in zip(full, made, pattern, strict=True)]
    if not all(before and after for before, after in sizes):
        raise InputError(
            "a recurrent matrix without a cycle of synapses cannot be rescaled: expected a smaller sparsity"
        )
    if not weight.parameters:
        raise InputError(f"{weight.name} is not trained: expected a recurrent matrix that is, to be rescaled")
    factors = [before / after for before, after in sizes]
    scale = torch.tensor(factors, dtype=full.dtype, device=full.device)
    for parameter in weight.parameters:
        share = scale ** (1 / len(weight.parameters))
        blocks = parameter.unflatten(0, (n_gates, -1)) if parameter.dim() == 2 else parameter
        blocks.mul_(share[:, None, None])


def _radius(matrix: Tensor) -> float:
    return float(torch.linalg.eigvals(matrix.double()).abs().max())
