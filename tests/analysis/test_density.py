"""Densities of positions: divergences and gradients of normal densities have closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tauscope import InputError
from tauscope.analysis.density import CLIPPED, N_BINS, bins_of, divergence, rise


def normal(size: float, n: int = 4000, seed: int = 0, dim: int = 2) -> np.ndarray:
    return size * np.random.default_rng(seed).standard_normal((n, dim))


def test_a_density_does_not_diverge_from_itself() -> None:
    assert divergence(normal(0.3), normal(0.3)) == 0
    angles = np.random.default_rng(0).uniform(-math.pi, math.pi, (500, 1))
    assert divergence(angles, angles, periodic=True) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_divergence_of_normal_densities_is_that_of_the_closed_form(seed: int) -> None:
    a, b = 0.3, 0.6
    closed = 2 * math.log(b / a) + a**2 / b**2 - 1
    assert closed == pytest.approx(0.6363, abs=1e-4)
    found = divergence(normal(a, seed=seed), normal(b, seed=100 + seed), generator=np.random.default_rng(seed))
    # Kernels widen both densities, and 2500 points have an error.
    assert 0.60 < found < 0.68


def test_the_uniform_density_of_a_box_is_that_of_both_coordinates() -> None:
    # log 4.84 - (1 + log 2 π s²) is the divergence of N(0, s²) from 1/4.84; from 1/2.2 it would be log 2.2 less.
    size, box = 0.2, 2.2
    uniform = np.random.default_rng(1).uniform(-box / 2, box / 2, (4000, 2))
    found = divergence(normal(size), uniform)
    assert found == pytest.approx(math.log(box**2) - 1 - math.log(2 * math.pi * size**2), abs=0.12)


def test_uniform_samples_are_near_each_other_and_not_near_their_density() -> None:
    rng = np.random.default_rng(0)
    some, others = rng.uniform(-1.1, 1.1, (2, 4000, 2))
    assert 0 < divergence(some, others) < 0.03


def test_far_densities_are_as_far_as_the_clip() -> None:
    assert divergence(normal(0.1), normal(0.1) + 50) == pytest.approx(CLIPPED)


@pytest.mark.parametrize("sample", [np.zeros((50, 2)), np.outer(np.arange(50.0), [1.0, 1.0])])
def test_points_on_a_line_have_no_density(sample: np.ndarray) -> None:
    assert math.isnan(divergence(sample, normal(0.3)))
    assert math.isnan(divergence(normal(0.3), sample))
    assert np.isnan(rise(sample, normal(0.3, 5))).all()


def test_angles_are_counted_in_bins() -> None:
    some = np.array([[-math.pi], [-math.pi + 1e-9], [0.0], [0.1]])
    p = np.array([0.5, 0.5])
    assert divergence(some, None, periodic=True) == pytest.approx(float(np.sum(p * np.log(p * N_BINS))))
    edges = -math.pi + 2 * math.pi / N_BINS * (np.arange(N_BINS) + 0.5)
    assert bins_of(edges).tolist() == list(range(N_BINS))
    assert bins_of(edges + 2 * math.pi).tolist() == list(range(N_BINS))


def test_the_gradient_of_a_normal_log_density_is_linear() -> None:
    at = np.array([[0.1, -0.2], [0.3, 0.0], [-0.4, 0.2]])
    found = rise(normal(0.5, 20_000), at)
    np.testing.assert_allclose(found, -at / 0.25, atol=0.35)


def test_the_gradient_on_a_ring_is_that_of_the_histogram() -> None:
    angles = np.random.default_rng(0).vonmises(0.5, 1.0, (200_000, 1))
    at = np.linspace(-3.1, 3.1, 30)[:, None]
    middles = (bins_of(at[:, 0]) + 0.5) / N_BINS * 2 * math.pi - math.pi
    # Density exp(cos(θ - μ)): the slope of its logarithm is -sin(θ - μ).
    np.testing.assert_allclose(rise(angles, at, periodic=True)[:, 0], -np.sin(middles - 0.5), atol=0.25)


def test_samples_that_cannot_be_compared_are_refused() -> None:
    broken = normal(0.3)
    broken[3, 1] = np.nan
    for some, others in ((broken, normal(0.3)), (normal(0.3), broken), (normal(0.3), normal(0.3, dim=3))):
        with pytest.raises(InputError, match="two samples"):
            divergence(some, others)
    with pytest.raises(InputError, match="second sample"):
        divergence(normal(0.3), None)
