"""Inequalities over networks, against scipy where it has the same."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tauscope.papers.statistics import greater


def interval(effect: str) -> list[float]:
    (bounds,) = re.findall(r"\[(.*?)\]", effect)
    return [float(one) for one in bounds.split(",")]


@given(sizes=st.tuples(st.integers(2, 6), st.integers(2, 6)), seed=st.integers(0, 2**31))
def test_the_interval_is_that_of_welch(sizes: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=sizes[0]), 3 * random.normal(size=sizes[1])
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = interval(greater("a > b", a, b).effect)
    np.testing.assert_allclose(found, [expected.low, expected.high], rtol=6e-3, atol=1e-6)


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
