"""Matching of spectra against brute force, known rotations and known laws of random matrices."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from histories import PUBLISHED, SMALL, unit_eigenvalues
from tauscope import InputError
from tauscope.analysis.wave_operator import embedding, wave_operator
from tauscope.analysis.wave_spectrum import match_phases, null_phase_error, slow_eigenvalues, wave_spectrum
from tauscope.tasks.history import boundary_matrix


def rotation(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def block_diagonal(*angles: float, modulus: float = 1.0) -> np.ndarray:
    return (
        modulus
        * np.kron(np.diag([1.0] * len(angles)), np.ones((2, 2)))
        * np.block([[rotation(angle) for _ in angles] for angle in angles])
    )


def brute_force(a: np.ndarray, b: np.ndarray) -> float:
    """Return the least mean difference of phases over all ways to give each member of the smaller set a partner."""
    small, large = (a, b) if len(a) <= len(b) else (b, a)
    angle = np.abs(np.angle(small[:, None] / large[None]))
    return min(
        float(np.mean([angle[i, j] for i, j in enumerate(chosen)]))
        for chosen in itertools.permutations(range(len(large)), len(small))
    )


@pytest.mark.parametrize(("n", "m"), [(5, 5), (3, 6), (6, 3), (1, 4)])
def test_no_other_matching_has_a_smaller_difference(n: int, m: int) -> None:
    rng = np.random.default_rng(n + 10 * m)
    for _ in range(20):
        a, b = (rng.uniform(0.5, 2, k) * np.exp(1j * rng.uniform(-np.pi, np.pi, k)) for k in (n, m))
        pairs, difference = match_phases(a, b)
        assert difference.mean() == pytest.approx(brute_force(a, b))
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs) == min(n, m)
        np.testing.assert_allclose(difference, np.abs(np.angle(a[pairs[:, 0]] / b[pairs[:, 1]])), atol=1e-12)


def test_a_permuted_spectrum_has_no_error_and_a_rotated_one_its_angle() -> None:
    values = unit_eigenvalues(boundary_matrix(8, 8, PUBLISHED["T3"]))
    permuted = np.random.default_rng(0).permutation(values)
    assert match_phases(values, permuted)[1].max() < 1e-7
    np.testing.assert_allclose(match_phases(values, permuted * np.exp(0.01j))[1].mean(), 0.01, rtol=1e-6)
    # Moduli do not matter, nor does the cut of the phase at π.
    np.testing.assert_allclose(match_phases([-1.0], [-1.2 * np.exp(0.01j)])[1], [0.01])
    np.testing.assert_allclose(match_phases([np.exp(3.1j)], [np.exp(-3.1j)])[1], [2 * (math.pi - 3.1)])


def test_slow_eigenvalues_are_those_above_the_threshold() -> None:
    matrix = np.diag([0.95, -1.1, 0.9, 0.5])
    assert slow_eigenvalues(matrix).real.tolist() == [0.95, -1.1]
    assert slow_eigenvalues(matrix, 0.4).size == 4
    assert slow_eigenvalues(matrix, 2.0).size == 0


@pytest.mark.parametrize("dim_code", [(8, PUBLISHED["T4"]), (4, SMALL["T1"]), (4, SMALL["T1c"])], ids=str)
def test_a_network_that_embeds_the_operator_has_its_spectrum(dim_code: tuple[int, tuple[int, int, int]]) -> None:
    F = boundary_matrix(dim_code[0], dim_code[0], dim_code[1]).numpy()
    operator = wave_operator(F)
    recurrent = embedding(F, 2 * len(operator)).recurrent
    for weights, most in ((recurrent, 1e-7), (recurrent.astype(np.float32), 1e-5)):
        result = wave_spectrum(weights, operator)
        assert int(result["count"]) == int(result["rank"]) == result.sizes["pair"]
        assert float(result.phase_error) < most
        assert float(result.largest) == pytest.approx(1, abs=1e-5)
        assert float(result.null_phase_error) > 0.05


def test_a_rotated_operator_has_the_error_of_its_rotation() -> None:
    angles = (0.3, 1.2, 2.5)
    turned = tuple(angle + 0.02 for angle in angles)
    result = wave_spectrum(block_diagonal(*turned, modulus=1.3), block_diagonal(*angles))
    assert float(result.phase_error) == pytest.approx(0.02)
    np.testing.assert_allclose(result.difference, 0.02)
    assert float(result.largest) == pytest.approx(1.3)
    expected = np.array([complex(*one) for one in result.expected.values])
    np.testing.assert_allclose(np.sort(np.angle(expected)), sorted((*angles, *(-one for one in angles))))


def test_unequal_numbers_give_both_and_the_error_of_what_can_be_matched() -> None:
    few = wave_spectrum(block_diagonal(0.31), block_diagonal(0.3, 1.2, 2.5))
    assert (int(few["count"]), int(few["rank"]), few.sizes["pair"]) == (2, 6, 2)
    assert float(few.phase_error) == pytest.approx(0.01)
    many = wave_spectrum(block_diagonal(0.3, 1.2, 2.5), block_diagonal(0.31))
    assert (int(many["count"]), int(many["rank"]), many.sizes["pair"]) == (6, 2, 2)
    assert float(many.phase_error) == pytest.approx(0.01)
    none = wave_spectrum(0.1 * np.eye(3), block_diagonal(0.3))
    assert (int(none["count"]), none.sizes["pair"], none.sizes["mode"]) == (0, 0, 0)
    assert np.isnan(none.phase_error)
    assert np.isnan(wave_spectrum(np.eye(3), 0.1 * np.eye(3)).null_phase_error)


def test_the_null_of_one_eigenvalue_is_that_of_a_fair_sign(generator: torch.Generator) -> None:
    """A random orthogonal matrix of one row is ±1: the phase differs by 0 or π, each half of the time."""
    differences = null_phase_error([1.0], n_matrices=2000, generator=generator)
    assert set(differences.round(6)) == {0.0, round(math.pi, 6)}
    assert abs((differences > 1).mean() - 0.5) < 5 * 0.5 / math.sqrt(2000)


def test_the_null_of_two_eigenvalues_has_its_closed_form(generator: torch.Generator) -> None:
    """Of two rows, half are rotations by a uniform angle and half reflections with the eigenvalues 1 and -1.

    Compared with i and -i, a rotation by θ differs by |π/2 - θ|, uniform in [0, π/2] with the mean π/4, and a reflection
    by π/2.
    """
    found = null_phase_error([1j, -1j], n_matrices=2000, generator=generator)
    reflections = np.isclose(found, math.pi / 2)
    assert abs(reflections.mean() - 0.5) < 5 * 0.5 / math.sqrt(2000)
    spread = math.pi / 2 / math.sqrt(12 * 1000)
    assert abs(found[~reflections].mean() - math.pi / 4) < 5 * spread


def test_a_result_is_that_of_its_generator() -> None:
    operator = wave_operator(boundary_matrix(4, 4, "cyclic"))
    first, second = (
        wave_spectrum(operator, operator, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)
    )
    assert first.identical(wave_spectrum(operator, operator, generator=torch.Generator().manual_seed(1)))
    assert float(first.null_phase_error) != float(second.null_phase_error)


def test_what_is_no_finite_square_matrix_is_refused() -> None:
    good = np.eye(2)
    with pytest.raises(InputError, match=r"recurrent has shape \(1, 2\): expected a finite square matrix"):
        wave_spectrum(np.ones((1, 2)), good)
    with pytest.raises(InputError, match=r"operator has shape \(2, 2\)"):
        wave_spectrum(good, np.full((2, 2), np.nan))
    with pytest.raises(InputError, match="number of matrices is 0"):
        wave_spectrum(good, good, n_matrices=0)
