"""Which synapses and units to keep: scores and probabilities from a matrix of weights ``[to, from]``, 0 where there is no synapse."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tauscope._draws import normal, uniform
from tauscope.analysis.checked import real_array
from tauscope.errors import InputError, require_count, require_positive

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

EPSILON = 1e-3
"""Added to the absolute exponents of units, in nats a step, whose harmonic mean is taken: one near 0 would be all of it."""

MARGIN = 0.1
"""By how much the diagonal dominates, in parts of the mean row sum of absolute weights."""

PROPOSALS = 10
"""Sets of new synapses of which the best is taken, and how often that is done."""


def lyapunov_matrix(weights: ArrayLike, node_exponents: ArrayLike, epsilon: float = EPSILON) -> Array:
    """Return the "Lyapunov matrix" of a graph: of every synapse, how fast what surrounds it forgets or grows.

    Parameters
    ----------
    weights : array [to, from]
        Recurrent weights; only where they are not 0 matters.
    node_exponents : array [unit]
        From `tauscope.analysis.node_exponents`, in nats a step.
    epsilon : float
        ε, above 0.

    Returns
    -------
    array [to, from]
        L_ij, the harmonic mean of ``|λ| + ε`` over the neighbours of i and those of j (units joined by a synapse of either direction;
        common ones count twice), in nats a step; 0 where there is no synapse.

    Raises
    ------
    InputError
        If there is not a finite exponent for each unit.

    Notes
    -----
    Source: Chakraborty et al., ICLR 2024, as its reviews describe it; ``|λ|`` and ε are ours, because a harmonic mean of numbers of both
    signs has no bound. Where exponents are -1/τ, the smallest ``|λ|`` are those of the slowest units.

    Examples
    --------
    >>> lyapunov_matrix([[0, 1, 0], [1, 0, 1], [0, 1, 0]], [-1.0, -1.0, -4.0], 1e-9).round(3)
    array([[0.   , 1.333, 0.   ],
           [1.333, 0.   , 1.333],
           [0.   , 1.333, 0.   ]])
    """
    weights, exponents = _matrix(weights), real_array("node_exponents", node_exponents)
    require_positive("epsilon", epsilon, finite=True)
    if exponents.shape != weights.shape[:1] or not np.isfinite(exponents).all():
        raise InputError(
            f"node_exponents are of shape {exponents.shape}: expected {len(weights)} finite numbers, one a unit"
        )
    neighbours = ((weights != 0) | (weights.T != 0)).astype(float)
    counts, inverses = neighbours.sum(axis=1), neighbours @ (1 / (np.abs(exponents) + epsilon))
    with np.errstate(invalid="ignore"):
        means = (counts[:, None] + counts) / (inverses[:, None] + inverses)
    return np.where(weights != 0, means, 0.0)


def noise_covariance(weights: ArrayLike, margin: float = MARGIN) -> Array:
    """Return the covariance of a linear network under white noise, dx/dt = A x + ξ with A = W - D.

    Parameters
    ----------
    weights : array [to, from]
        W; its diagonal does not count.
    margin : float
        By how much D_ii exceeds ``Σ_j |W_ij|``, in parts of the mean of these sums; above 0.

    Returns
    -------
    array [unit, unit]
        C, which solves A C + C Aᵀ = -I.

    Raises
    ------
    InputError
        If the network is not stable: without a synapse it has no scale.

    Notes
    -----
    Source: Moore & Chaudhuri, NeurIPS 2020, with the row-diagonal dominance of its published code; the margin is ours.

    Examples
    --------
    >>> noise_covariance([[0, 1], [1, 0]], margin=1.0).round(3)
    array([[0.333, 0.167],
           [0.167, 0.333]])
    """
    from scipy.linalg import solve_continuous_lyapunov

    weights = _matrix(weights)
    require_positive("margin", margin, finite=True)
    np.fill_diagonal(weights, 0.0)
    sums = np.abs(weights).sum(axis=1)
    if not sums.any():
        raise InputError("the network has no synapse: expected one or more, whose weights set the scale of the noise")
    A = weights - np.diag(sums + margin * sums.mean())
    covariance: Array = solve_continuous_lyapunov(A, -np.eye(len(A)))
    return covariance


def noise_probabilities(weights: ArrayLike, keep: int, margin: float = MARGIN) -> Array:
    """Return the probability with which noise-prune keeps each synapse.

    Parameters
    ----------
    weights : array [to, from]
        W, or the `lyapunov_matrix`; 0 where there is no synapse.
    keep : int
        How many synapses are to be kept.
    margin : float
        As of `noise_covariance`.

    Returns
    -------
    array [to, from]
        ``p_ij ∝ |W_ij| (C_ii + C_jj - 2 sgn(W_ij) C_ij)``, at most 1, with the sum ``keep``; 0 where there is no synapse. C is the
        `noise_covariance`: a synapse counts by how unlike the noise of its two units is. Of a synapse of a unit with itself, which
        has no second one, the last term is left out.

    Raises
    ------
    InputError
        If there are fewer synapses.

    Notes
    -----
    A kept weight over its p has the old weight as its mean. Where p ∝ score would exceed 1 it is 1, and the others share what is
    left; the published code cuts p at 1 after normalising, so that fewer synapses stay than were asked. The rule's proof needs a
    symmetric, diagonally dominant matrix. Source: Moore & Chaudhuri, NeurIPS 2020, eq. 4.

    Examples
    --------
    >>> noise_probabilities([[0, 1], [3, 0]], 1).round(3)
    array([[0.  , 0.25],
           [0.75, 0.  ]])
    """
    weights = _matrix(weights)
    require_count("number of synapses to keep", keep, 0)
    n_synapses = int((weights != 0).sum())
    if keep > n_synapses:
        raise InputError(f"{keep} synapses are to be kept of {n_synapses}: expected at most {n_synapses}")
    if keep in (0, n_synapses):
        return np.where(weights != 0, float(keep > 0), 0.0)
    if not (weights - np.diag(weights.diagonal())).any():
        return _capped(np.abs(weights), weights != 0, keep)
    C = noise_covariance(weights, margin)
    variances, signs = C.diagonal(), np.sign(weights)
    np.fill_diagonal(signs, 0.0)
    scores = np.abs(weights) * (variances[:, None] + variances - 2 * signs * C)
    return _capped(scores, weights != 0, keep)


def _capped(scores: Array, present: Mask, keep: int) -> Array:
    """Return probabilities in proportion to scores, but for those that would exceed 1, with the sum ``keep``."""
    p, free = np.zeros_like(scores), present.copy()
    # What rounds to 0 is kept with a small probability, so that any number can be reached.
    scores = np.maximum(scores, 1e-12 * scores[present].max())
    while True:
        left = keep - (present & ~free).sum()
        p[free] = left * scores[free] / scores[free].sum()
        over = free & (p >= 1)
        if not over.any():
            return p
        p[over], free = 1.0, free & ~over
        if not free.any():
            return p


def drawn(probabilities: ArrayLike, generator: torch.Generator) -> Mask:
    """Draw which entries are kept: each with its probability, and always as many as the probabilities sum to.

    Parameters
    ----------
    probabilities : array
        Between 0 and 1, with a sum that is a whole number.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    array of bool
        True where an entry is kept.

    Notes
    -----
    Systematic sampling in random order: with cumulated probabilities P and u ~ U[0, 1), an entry is kept where P passes one of u,
    u + 1, u + 2, … (Madow, Annals of Mathematical Statistics 20, 333 (1949)). Independent draws would keep other numbers.

    Examples
    --------
    >>> drawn([0.5, 0.5, 1.0, 0.0], torch.Generator().manual_seed(0)).sum()
    np.int64(2)
    """
    p = real_array("probabilities", probabilities)
    flat = p.ravel()
    order = torch.randperm(len(flat), generator=generator, device=generator.device).cpu().numpy()
    # Rounding must not move the last of the marks.
    marks = (np.cumsum(flat[order]) - uniform((1,), generator).double().cpu().numpy()).round(9)
    total = round(float(flat.sum()))
    passed = np.clip(np.ceil(marks), 0, None)
    passed[-1] = total
    kept = np.zeros(len(flat), dtype=bool)
    kept[order] = np.diff(passed, prepend=0) > 0
    return kept.reshape(p.shape)


def betweenness(weights: ArrayLike) -> Array:
    """Return the betweenness centrality of every unit: how many shortest paths between other units lead through it.

    Parameters
    ----------
    weights : array [to, from]
        Weights of a directed graph; the length of a synapse is ``1/|weight|``.

    Returns
    -------
    array [unit]
        ½ Σ_{s,t} σ_st(i)/σ_st over ordered pairs of other units, σ_st the number of shortest paths from s to t and σ_st(i) of
        those through i; in a symmetric graph, every pair counts once.

    Notes
    -----
    Brandes, Journal of Mathematical Sociology 25, 163 (2001): for every s, the synapses on shortest paths are a graph without
    cycles, on which numbers of paths and dependencies are two triangular systems.

    Examples
    --------
    >>> path = np.diag(np.ones(4), 1)
    >>> betweenness(path + path.T)
    array([0., 3., 4., 3., 0.])
    """
    from scipy.linalg import solve_triangular
    from scipy.sparse.csgraph import dijkstra

    weights = np.abs(_matrix(weights))
    np.fill_diagonal(weights, 0.0)
    # From row to column, as paths go.
    lengths = np.divide(1.0, weights.T, out=np.full_like(weights, np.inf), where=weights.T > 0)
    distances = dijkstra(np.where(np.isfinite(lengths), lengths, 0.0))
    found = np.zeros(len(weights))
    for distance in distances:
        there = np.flatnonzero(np.isfinite(distance))
        order = there[np.argsort(distance[there], kind="stable")]
        d = distance[order]
        longer = d[:, None] + lengths[np.ix_(order, order)]
        tight = np.triu(longer <= d * (1 + 1e-9), 1)
        start = np.zeros(len(order))
        start[0] = 1.0
        paths = solve_triangular(np.eye(len(order)) - tight.T, start, lower=True, unit_diagonal=True)
        shares = np.where(tight, paths[:, None] / paths, 0.0)
        through = solve_triangular(np.eye(len(order)) - shares, shares.sum(axis=1), unit_diagonal=True)
        found[order[1:]] += through[1:]
    return found / 2


def inverse_participation(matrix: ArrayLike) -> float:
    """Return the mean inverse participation ratio of the right eigenvectors of a matrix.

    Parameters
    ----------
    matrix : array [to, from]
        Square.

    Returns
    -------
    float
        Mean over eigenvectors u of ``Σ_i |u_i|⁴ / (Σ_i |u_i|²)²``: 1 where each is of a single unit, 1/N where all units have
        equal parts.

    Examples
    --------
    >>> inverse_participation(np.diag([1.0, 2.0]))
    1.0
    """
    return participation_of(np.linalg.eig(_matrix(matrix))[1])


def participation_of(vectors: NDArray[np.complex128]) -> float:
    """Return the mean inverse participation ratio of vectors ``[unit, vector]``, as `inverse_participation`.

    Examples
    --------
    >>> participation_of(np.full((4, 1), 0.5 + 0j))
    0.25
    """
    squares = np.abs(vectors) ** 2
    return float((np.square(squares).sum(axis=0) / squares.sum(axis=0) ** 2).mean())


def delocalise(weights: ArrayLike, n_added: int, generator: torch.Generator) -> Array:
    """Return weights with more synapses, between units that have few, chosen so that eigenvectors spread over many units.

    Parameters
    ----------
    weights : array [to, from]
        Weights of the units that are left.
    n_added : int
        Number of new synapses.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    array [to, from]
        The weights, with new ones ~ N(0, s²), s the root mean square of those that are there.

    Raises
    ------
    InputError
        If there is no room for so many.

    Notes
    -----
    In each of ten rounds, ten sets of a tenth of the new synapses are proposed, and that with the smallest
    `inverse_participation` is taken. Synapses are proposed within the half of the units with the fewest synapses, elsewhere if there
    is no room. The rule is ours; the paper adds synapses for delocalised eigenvectors, and does not say how.

    Examples
    --------
    >>> grown = delocalise(np.diag(np.ones(5), 1), 4, torch.Generator().manual_seed(0))
    >>> int((grown != 0).sum()), bool((np.diag(grown) == 0).all())
    (9, True)
    """
    weights = _matrix(weights)
    require_count("number of new synapses", n_added, 0)
    room = int((weights == 0).sum() - (weights.diagonal() == 0).sum())
    if n_added > room:
        raise InputError(f"{n_added} new synapses: expected at most {room}, for which there is room")
    spread = float(np.sqrt(np.square(weights[weights != 0]).mean())) if weights.any() else 1.0
    for size in _parts(n_added):
        proposals = [_grown(weights, size, spread, generator) for _ in range(PROPOSALS)]
        weights = min(proposals, key=inverse_participation)
    return weights


def _parts(total: int) -> list[int]:
    """Divide a number of synapses into at most ten rounds.

    Examples
    --------
    >>> _parts(12), _parts(0)
    ([2, 2, 1, 1, 1, 1, 1, 1, 1, 1], [])
    """
    sizes = [total // PROPOSALS + (i < total % PROPOSALS) for i in range(PROPOSALS)]
    return [size for size in sizes if size]


def _grown(weights: Array, n_added: int, spread: float, generator: torch.Generator) -> Array:
    free = weights == 0
    np.fill_diagonal(free, False)
    degrees = (weights != 0).sum(axis=0) + (weights != 0).sum(axis=1)
    few = degrees <= np.median(degrees)
    # Places between units of few synapses come first, both in random order.
    rank = uniform(weights.shape, generator).double().cpu().numpy() + (few[:, None] & few)
    places = np.argsort(np.where(free, rank, -1.0), axis=None)[::-1][:n_added]
    grown = weights.copy()
    grown.flat[places] = spread * normal((n_added,), generator).double().cpu().numpy()
    return grown


def _matrix(weights: ArrayLike) -> Array:
    """Return a copy of a square matrix of finite numbers, or refuse what is none."""
    matrix = real_array("weights", weights).copy()
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise InputError(f"weights are of shape {matrix.shape}: expected a square matrix of finite numbers")
    return matrix
