"""Rules of pruning against closed forms, another implementation, and the laws of their draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import InputError
from tauscope.analysis.pruning_rules import (
    Array,
    betweenness,
    delocalise,
    drawn,
    inverse_participation,
    lyapunov_matrix,
    noise_covariance,
    noise_probabilities,
)


def sparse(n: int, seed: int, share: float = 0.4) -> Array:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(n, n)) * (random.random((n, n)) < share)
    np.fill_diagonal(weights, 0)
    return weights


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cliques() -> Array:
    """Two cliques of 6 that one edge joins."""
    weights = np.kron(np.eye(2), np.ones((6, 6)) - np.eye(6))
    weights[0, 6] = weights[6, 0] = 1
    return weights


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 15), seed=st.integers(0, 2**20))
def test_the_covariance_solves_its_equation(n: int, seed: int) -> None:
    weights = sparse(n, seed, 0.9)
    if not weights.any():
        return
    sums = np.abs(weights).sum(axis=1)
    A = weights - np.diag(sums + 0.1 * sums.mean())
    C = noise_covariance(weights)
    np.testing.assert_allclose(
        A @ C + C @ A.T, -np.eye(n), rtol=0, atol=1e-10 * (1 + np.abs(C).max() * np.abs(A).max())
    )
    symmetric = weights + weights.T
    sums = np.abs(symmetric).sum(axis=1)
    expected = -np.linalg.inv(symmetric - np.diag(sums + 0.1 * sums.mean())) / 2
    np.testing.assert_allclose(noise_covariance(symmetric), expected, rtol=1e-8)


def test_scores_of_a_graph_sum_to_half_of_its_units_but_one() -> None:
    """Foster's theorem: resistances times conductances of all edges sum to N - 1, and a score is half of such a product."""
    n, weights = 30, np.abs(sparse(30, 3))
    weights += weights.T
    epsilon = 1e-6
    C = noise_covariance(weights, epsilon / weights.sum(axis=1).mean())
    scores = weights * (C.diagonal()[:, None] + C.diagonal() - 2 * C)
    assert np.triu(scores).sum() == pytest.approx((n - 1) / 2, abs=1e-4)


def test_the_edge_between_two_cliques_is_the_likeliest() -> None:
    weights = cliques()
    C = noise_covariance(weights)
    scores = weights * (C.diagonal()[:, None] + C.diagonal() - 2 * C)
    assert scores[0, 6] == pytest.approx(0.237, abs=5e-4)
    inside = np.kron(np.eye(2), np.ones((6, 6))) * scores
    assert inside.max() == pytest.approx(0.153, abs=5e-4)
    p = noise_probabilities(weights, 20)
    # Both directions have the same probability, up to rounding.
    assert np.unravel_index(p.argmax(), p.shape) in {(0, 6), (6, 0)}
    np.testing.assert_allclose(p, 20 * scores / scores.sum(), rtol=1e-10)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 12), seed=st.integers(0, 2**20), share=st.floats(0, 1))
def test_probabilities_sum_to_what_is_kept_and_never_exceed_one(n: int, seed: int, share: float) -> None:
    weights = sparse(n, seed, 0.7) * np.exp(3 * np.random.default_rng(seed).normal(size=(n, n)))
    total = int((weights != 0).sum())
    keep = round(share * total)
    p = noise_probabilities(weights, keep)
    assert p.sum() == pytest.approx(keep, abs=1e-6)
    assert 0 <= p.min() <= p.max() <= 1
    assert not p[weights == 0].any()
    if 0 < keep < total:
        assert (p[weights != 0] > 0).all()


def test_synapses_of_units_with_themselves_are_kept_too() -> None:
    weights = sparse(6, 1) + np.diag(np.linspace(0.5, 1, 6))
    total = int((weights != 0).sum())
    for keep in (1, total // 2, total - 1):
        p = noise_probabilities(weights, keep)
        assert p.sum() == pytest.approx(keep)
        assert (p.diagonal() > 0).all()
    np.testing.assert_allclose(noise_probabilities(np.diag([1.0, 3.0]), 1), np.diag([0.25, 0.75]))


def test_signs_count() -> None:
    """A synapse that makes its units alike counts less than one that makes them unlike."""
    weights = np.zeros((4, 4))
    weights[0, 1] = weights[1, 0] = 1.0
    weights[2, 3] = weights[3, 2] = -1.0
    p = noise_probabilities(weights, 2)
    # By symmetry of the sign, both pairs are equal: what is anti-correlated by an inhibitory synapse is as redundant.
    np.testing.assert_allclose(p[weights != 0], 0.5)
    ring = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=float)
    frustrated = ring.copy()
    frustrated[0, 1] = frustrated[1, 0] = -1.0
    p = noise_probabilities(frustrated, 2)
    assert p[0, 1] > 1 / 3 - 1e-9
    assert noise_probabilities(ring, 2)[0, 1] == pytest.approx(1 / 3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20), n=st.integers(1, 40))
def test_a_draw_keeps_exactly_as_many_as_probabilities_sum_to(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    p = random.random(n)
    keep = round(p.sum())
    p = np.clip(p * (keep / p.sum()), 0, 1)
    if abs(p.sum() - keep) > 1e-9:
        return
    p[random.random(n) < 0.1] *= 1.0
    kept = drawn(p, generator(seed))
    assert kept.sum() == keep
    assert not kept[p == 0].any()
    assert kept[p == 1].all()


def test_the_mean_of_kept_weights_over_their_probabilities_is_the_weights() -> None:
    weights = sparse(10, 1)
    p = noise_probabilities(weights, int((weights != 0).sum()) // 2)
    source, n = generator(5), 2000
    scaled = np.divide(weights, p, out=np.zeros_like(weights), where=p > 0)
    mean = np.mean([np.where(drawn(p, source), scaled, 0) for _ in range(n)], axis=0)
    error = np.abs(scaled) * np.sqrt(p * (1 - p) / n)
    assert (np.abs(mean - weights) <= 4 * error + 1e-12).all()


def test_betweenness_of_small_graphs() -> None:
    path = np.diag(np.ones(4), 1)
    np.testing.assert_allclose(betweenness(path + path.T), [0, 3, 4, 3, 0])
    star = np.zeros((6, 6))
    star[0, 1:] = star[1:, 0] = 1
    np.testing.assert_allclose(betweenness(star), [10, 0, 0, 0, 0, 0])
    # Synapses go one way: from 0 over 1 to 2.
    chain = np.zeros((3, 3))
    chain[1, 0] = chain[2, 1] = 1
    np.testing.assert_allclose(betweenness(chain), [0, 0.5, 0])
    # Two shortest paths share.
    square = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]], dtype=float)
    np.testing.assert_allclose(betweenness(square), [0.5, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(betweenness(np.zeros((3, 3))), 0)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 9), seed=st.integers(0, 2**20), whole=st.booleans())
def test_betweenness_is_that_of_all_paths(n: int, seed: int, whole: bool) -> None:
    """Against a walk through all paths without a repeated unit, of which the shortest count."""
    weights = sparse(n, seed, 0.5)
    if whole:
        weights = np.sign(weights)
    expected = np.zeros(n)
    for source, target in itertools.permutations(range(n), 2):
        paths = _paths(weights, source, target)
        if paths:
            shortest = min(length for length, _ in paths)
            best = [path for length, path in paths if length <= shortest * (1 + 1e-12)]
            for path in best:
                expected[list(path[1:-1])] += 0.5 / len(best)
    np.testing.assert_allclose(betweenness(weights), expected, atol=1e-9)


def _paths(weights: Array, source: int, target: int) -> list[tuple[float, tuple[int, ...]]]:
    found: list[tuple[float, tuple[int, ...]]] = []
    open_paths: list[tuple[float, tuple[int, ...]]] = [(0.0, (source,))]
    while open_paths:
        length, path = open_paths.pop()
        for to in np.flatnonzero(weights[:, path[-1]]):
            if int(to) not in path:
                longer = (length + 1 / abs(weights[to, path[-1]]), (*path, int(to)))
                (found if to == target else open_paths).append(longer)
    return found


def test_eigenvectors_of_one_unit_and_of_all() -> None:
    assert inverse_participation(np.diag([1.0, 2.0, 3.0])) == pytest.approx(1)
    assert inverse_participation(np.eye(5)) == pytest.approx(1)
    shift = np.roll(np.eye(7), 1, axis=0)
    assert inverse_participation(shift + 0.3 * shift @ shift) == pytest.approx(1 / 7)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(4, 12), seed=st.integers(0, 2**20), share=st.floats(0, 1))
def test_new_synapses_are_as_many_as_asked_and_leave_the_others_alone(n: int, seed: int, share: float) -> None:
    weights = sparse(n, seed)
    free = n * (n - 1) - int((weights != 0).sum())
    grown = delocalise(weights, round(share * free), generator(seed))
    assert (grown != 0).sum() == (weights != 0).sum() + round(share * free)
    assert (grown[weights != 0] == weights[weights != 0]).all()
    assert not grown.diagonal().any()


def test_eigenvectors_spread_and_units_of_few_synapses_get_new_ones() -> None:
    weights = sparse(40, 2, 0.06)
    weights[:10] += sparse(40, 4, 0.5)[:10]
    np.fill_diagonal(weights, 0)
    grown = delocalise(weights, 60, generator(1))
    assert inverse_participation(grown) < inverse_participation(weights)
    new = (grown != 0) & (weights == 0)
    degrees = (weights != 0).sum(axis=0) + (weights != 0).sum(axis=1)
    assert degrees[new.any(axis=1)].mean() < degrees.mean()


def test_the_lyapunov_matrix_is_a_harmonic_mean_over_neighbours() -> None:
    weights, exponents, epsilon = sparse(9, 5), np.random.default_rng(0).normal(size=9), 0.01
    L = lyapunov_matrix(weights, exponents, epsilon)
    joined = (weights != 0) | (weights.T != 0)
    for i, j in zip(*np.nonzero(weights), strict=True):
        around = np.concatenate([np.flatnonzero(joined[i]), np.flatnonzero(joined[j])])
        assert L[i, j] == pytest.approx(len(around) / np.sum(1 / (np.abs(exponents[around]) + epsilon)))
    assert ((L != 0) == (weights != 0)).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: noise_probabilities(np.ones((2, 3)), 1), "weights are of shape .* expected a square matrix"),
        (lambda: noise_probabilities([[0, np.nan], [1, 0]], 1), "expected a square matrix of finite numbers"),
        (lambda: noise_probabilities(cliques(), 63), "63 synapses are to be kept of 62: expected at most 62"),
        (lambda: noise_probabilities(cliques(), 1.5), "number of synapses to keep is 1.5: expected a whole number"),
        (lambda: noise_covariance(cliques(), 0.0), "margin is 0.0: expected a number above 0"),
        (lambda: noise_covariance(np.zeros((3, 3))), "the network has no synapse"),
        (lambda: lyapunov_matrix(cliques(), np.ones(3)), "node_exponents are of shape .* expected 12 finite numbers"),
        (lambda: lyapunov_matrix(cliques(), np.full(12, -np.inf)), "expected 12 finite numbers"),
        (lambda: lyapunov_matrix(cliques(), np.ones(12), 0.0), "epsilon is 0.0: expected a number above 0"),
        (lambda: delocalise(np.ones((3, 3)) - np.eye(3), 1, generator()), "1 new synapses: expected at most 0"),
        (lambda: betweenness("graph"), "weights is 'graph': expected an array of real numbers"),
    ],
)
def test_what_is_no_graph_is_refused(call: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()  # type: ignore[operator]
