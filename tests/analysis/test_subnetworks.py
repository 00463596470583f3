"""Subnetworks: planted groups are found whatever the order of units, and pairs are counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import InputError, LeakyRNN, build_model
from tauscope.analysis import alignment, subnetworks
from tauscope.errors import NotApplicableError
from tauscope.models import BalancedRNN


def planted(sizes: list[int], rng: np.random.Generator, spread: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Return weights that inhibit within groups of these sizes, in a random order, and the group of every unit."""
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    W = -0.2 * (groups[:, None] == groups) + spread * rng.normal(size=(len(groups),) * 2)
    np.fill_diagonal(W, 0)
    return W, groups


@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(5, 12), min_size=2, max_size=4, unique=True), seed=st.integers(0, 2**31))
def test_planted_groups_are_found_and_numbered_by_size(sizes: list[int], seed: int) -> None:
    W, groups = planted(sizes, np.random.default_rng(seed))
    result = subnetworks(W, len(sizes))
    rank = np.argsort(np.argsort(sizes)[::-1])
    assert result["cluster"].values.tolist() == rank[groups].tolist()
    assert result["size"].values.tolist() == sorted(sizes, reverse=True)


@settings(deadline=None, max_examples=20)
@given(n=st.integers(4, 12), k=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_means_are_those_over_pairs_of_units(n: int, k: int, seed: int) -> None:
    W = np.random.default_rng(seed).normal(size=(n, n))
    result = subnetworks(W, k)
    cluster = result["cluster"].values
    assert sorted(set(cluster.tolist())) == list(range(k))
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    within = [W[i, j] for i, j in pairs if cluster[i] == cluster[j]]
    between = [W[i, j] for i, j in pairs if cluster[i] != cluster[j]]
    for name, values in (("within", within), ("between", between)):
        assert result[name].item() == pytest.approx(np.mean(values) if values else np.nan, nan_ok=True)
    if within and between:
        assert result.ratio.item() == pytest.approx(np.mean(within) / np.mean(between))
    for to in range(k):
        for sender in range(k):
            block = [W[i, j] for i, j in pairs if cluster[i] == to and cluster[j] == sender]
            expected = np.mean(block) if block else np.nan
            assert result.block_mean.sel({"to": to, "from": sender}).item() == pytest.approx(expected, nan_ok=True)


def test_the_diagonal_is_no_weight_within() -> None:
    W, _ = planted([6, 8], np.random.default_rng(0))
    changed = W + 0.01 * np.eye(14)
    first, second = subnetworks(W, 2), subnetworks(changed, 2)
    assert first.within.item() == second.within.item()
    assert -0.21 < first.within.item() < -0.19
    assert abs(first.between.item()) < 0.01


def test_without_subnetworks_the_ratio_is_near_1() -> None:
    W = -0.1 + 0.01 * np.random.default_rng(0).normal(size=(60, 60))
    assert subnetworks(W, 2).ratio.item() == pytest.approx(1, abs=0.05)


def test_groups_are_of_units_that_send_alike_not_of_those_that_receive_alike() -> None:
    W = np.tile(np.array([1.0, -1.0, 1.0, -1.0]), (4, 1))
    cluster = subnetworks(W, 2)["cluster"].values
    assert cluster[0] == cluster[2] != cluster[1] == cluster[3]
    with pytest.raises(InputError, match=r"2 clusters: expected 1 ... 1"):
        subnetworks(W.T, 2)


def test_the_same_seed_gives_the_same_groups_and_leaves_global_chance_alone() -> None:
    W = np.random.default_rng(1).normal(size=(20, 20))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (subnetworks(W, 3, seed=5)["cluster"].values for _ in range(2))
    assert (first == second).all()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("weights", "n_clusters", "message"),
    [
        (np.eye(3), 0, r"0 clusters: expected 1 ... 3, as many as units that differ .nearest valid value: 1"),
        (np.eye(3), 4, r"4 clusters: expected 1 ... 3, as many as units that differ .nearest valid value: 3"),
        (np.ones((3, 2)), 1, r"weights have shape \(3, 2\): expected a finite square matrix"),
        (np.full((2, 2), np.nan), 1, "expected a finite square matrix"),
        (np.ones(3), 1, r"weights have shape \(3,\)"),
    ],
)
def test_what_cannot_be_grouped_is_refused(weights: np.ndarray, n_clusters: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        subnetworks(weights, n_clusters)


def test_alignment_is_the_correlation_of_columns_and_rows(generator: torch.Generator) -> None:
    model = BalancedRNN(30, n_inputs=3, generator=generator)
    result = alignment(model)
    into = model.layers[0].input.weight.detach().double().numpy()
    out = model.heads.linears[0].weight.detach().double().numpy()
    for channel in range(3):
        for output in range(3):
            expected = np.corrcoef(into[:, channel], out[output])[0, 1]
            found = result.correlation.sel(channel=channel + 1, output=output + 1).item()
            assert found == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(result.input_weight, into / 3, rtol=1e-6)
    np.testing.assert_allclose(result.output_weight, out.T)


def test_what_is_read_where_it_came_in_is_aligned(generator: torch.Generator) -> None:
    model = BalancedRNN(20, n_inputs=2, generator=generator)
    with torch.no_grad():
        model.heads.linears[0].weight.copy_(2 + 3 * model.layers[0].input.weight.t().flip(0))
    correlation = alignment(model).correlation.values
    np.testing.assert_allclose(correlation[[0, 1], [1, 0]], 1, rtol=1e-5)
    assert (np.abs(correlation.diagonal()) < 0.9).all()


def test_alignment_of_other_networks(generator: torch.Generator) -> None:
    leaky = LeakyRNN(12, n_heads=3, generator=generator)
    assert alignment(leaky, head="N4").correlation.shape == (1, 2)
    head = leaky.heads.linears[2].weight.detach().double().numpy()
    np.testing.assert_allclose(alignment(leaky, head="N4").output_weight, head.T)
    with pytest.raises(InputError, match="no head 'N9'"):
        alignment(leaky, head="N9")
    with pytest.raises(NotApplicableError, match="a network of 2 layers"):
        alignment(LeakyRNN([3, 3], generator=generator), head="N2")
    with pytest.raises(NotApplicableError, match="GRUCell is no weighted sum"):
        alignment(build_model("gru", 4, generator=generator), head="N2")
