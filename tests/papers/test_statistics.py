"""Inequalities over networks, against scipy where it has the same."""

from __future__ import annotations

import itertools
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tauscope.papers.statistics import PERMUTATIONS, greater


def interval(effect: str) -> list[float]:
    (bounds,) = re.findall(r"\[(.*?)\]", effect)
    return [float(bound) for bound in bounds.split(",")]


def p_value(effect: str) -> float:
    return float(effect.rpartition("p ")[2])


@given(sizes=st.tuples(st.integers(2, 6), st.integers(2, 6)), seed=st.integers(0, 2**31))
def test_the_interval_is_that_of_welch(sizes: tuple[int, int], seed: int) -> None:
    """Against the formula written out: the interval of the difference with Welch-Satterthwaite degrees of freedom."""
    random = np.random.default_rng(seed)
    a, b = random.normal(size=sizes[0]), 3 * random.normal(size=sizes[1])
    of_a, of_b = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    freedom = (of_a + of_b) ** 2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(of_a + of_b)
    difference = a.mean() - b.mean()
    found = interval(greater("a > b", a, b).effect)
    np.testing.assert_allclose(found, [difference - half, difference + half], rtol=6e-3, atol=1e-6)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (4, 2), (5, 4)])
def test_of_few_networks_all_permutations_are_counted(sizes: tuple[int, int]) -> None:
    """Against the share of all ways to choose the first group whose difference is at least as large."""
    random = np.random.default_rng(sum(sizes))
    values = random.normal(size=sum(sizes)) + np.repeat([0.5, 0.0], sizes)
    observed = values[: sizes[0]].mean() - values[sizes[0] :].mean()
    differences = []
    for chosen in itertools.combinations(range(len(values)), sizes[0]):
        first = np.isin(np.arange(len(values)), chosen)
        differences.append(values[first].mean() - values[~first].mean())
    expected = np.mean(np.array(differences) >= observed - 1e-12)
    assert p_value(greater("a > b", values[: sizes[0]], values[sizes[0] :]).effect) == pytest.approx(expected, rel=6e-2)


def test_nine_and_nine_networks_are_the_most_that_are_counted_exactly() -> None:
    """With all values of one group above the other's, one permutation alone is as extreme."""
    # C(18, 9) = 48620 and C(20, 10) = 184756 ways; of those drawn the observed one counts as another.
    exact = greater("a > b", np.arange(9.0) + 100, np.arange(9.0)).effect
    drawn = greater("a > b", np.arange(10.0) + 100, np.arange(10.0)).effect
    assert p_value(exact) == pytest.approx(1 / 48620, rel=6e-2)
    assert p_value(drawn) >= 0.95 / (PERMUTATIONS + 1)


def test_of_many_networks_the_memory_is_bounded_and_the_number_repeats() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=13) + 0.3, random.normal(size=13)
    tracemalloc.start()
    found = greater("a > b", a, b)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All C(26, 13) = 10,400,600 permutations of 26 numbers would take 2 GB for one copy.
    assert most < 100e6
    assert greater("a > b", a, b) == found
    # The normal theory that the test needs not assume holds here; of 99,999 draws the standard error is 0.0013 at most.
    expected = stats.ttest_ind(a, b, alternative="greater").pvalue
    assert p_value(found.effect) == pytest.approx(expected, abs=0.03)


def test_a_group_of_equal_values_adds_no_spread() -> None:
    """Where one group has no variance, the interval is that of the other one's mean."""
    b = np.array([10.0, 11.0, 13.0])
    mean, half = b.mean(), stats.t.ppf(0.975, 2) * b.std(ddof=1) / np.sqrt(3)
    found = greater("N", [30.0, 30.0, 30.0], b)
    np.testing.assert_allclose(interval(found.effect), [30 - mean - half, 30 - mean + half], rtol=6e-3)
    assert found.verdict == "holds"
    assert interval(greater("N", [3.0, 3.0], [2.0, 2.0]).effect) == [1.0, 1.0]


@pytest.mark.parametrize(("at_least", "verdict"), [(True, "holds"), (False, "does not hold")])
def test_equal_groups_satisfy_at_least_alone(at_least: bool, verdict: str) -> None:
    assert greater("a >= b", [2.0, 2.0], [2.0, 2.0], at_least=at_least).verdict == verdict
