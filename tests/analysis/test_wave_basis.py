"""The basis of what is read out: exact for exact solutions, the same for equal networks, and an error of known size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from histories import PUBLISHED, SMALL
from tauscope import InputError
from tauscope.analysis.wave_basis import readout_basis, slow_modes, variable_memories
from tauscope.analysis.wave_operator import embedding, wave_operator
from tauscope.tasks.history import boundary_matrix

TASKS = [(8, "copy"), (8, "cyclic"), (8, PUBLISHED["T3"]), *((4, code) for code in SMALL.values())]


def boundary(task: tuple[int, object]) -> np.ndarray:
    dim, code = task
    return boundary_matrix(dim, dim, code).numpy().astype(float)  # type: ignore[arg-type]


def exact_network(F: np.ndarray, n_units: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the recurrent and read-out weights of a network that says u_{t+j} after j steps, in a skewed basis.

    Its state is the substrate [u_t; …; u_{t+s-1}] of what is to come and some units that are forgotten.
    """
    rng = np.random.default_rng(seed)
    size, dim = F.shape[1], len(F)
    W = np.zeros((n_units, n_units))
    W[:size, :size] = wave_operator(F)
    W[size:] = 0.1 * rng.standard_normal((n_units - size, n_units)) / np.sqrt(n_units)
    C = np.zeros((dim, n_units))
    C[:, :dim] = np.eye(dim)
    S = rng.standard_normal((n_units, n_units)) + 3 * np.eye(n_units)
    return S @ W @ np.linalg.inv(S), C @ np.linalg.inv(S)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_an_exact_solution_is_the_operator_in_its_basis(task: tuple[int, object]) -> None:
    F = boundary(task)
    W, C = exact_network(F, F.shape[1] + 6)
    result = readout_basis(W, C, F)
    assert float(result.intertwining_error) < 1e-6
    assert int(result["count"]) == int(result.visible)
    np.testing.assert_allclose(result.operator, result.theory, atol=1e-6)
    D, Phi = result.coordinates.values.reshape(F.shape[1], -1), wave_operator(F)
    np.testing.assert_allclose(Phi @ D, D @ W, atol=1e-6)
    # On the states that last, D is what the network will say.
    lasting = np.linalg.matrix_power(W, 4 * len(F)) @ np.random.default_rng(1).standard_normal(len(W))
    said = np.concatenate([C @ np.linalg.matrix_power(W, j) @ lasting for j in range(len(F))])
    np.testing.assert_allclose(D @ lasting, said, atol=1e-6)


@pytest.mark.parametrize("code", ["copy", "cyclic"])
def test_an_embedded_operator_is_found_again(code: str) -> None:
    F = boundary((4, code))
    weights = embedding(F, 40)
    result = readout_basis(weights.recurrent, weights.readout, F)
    np.testing.assert_allclose(result.operator, wave_operator(F), atol=1e-9)
    single = readout_basis(weights.recurrent.astype(np.float32), weights.readout.astype(np.float32), F)
    assert float(single.intertwining_error) < 1e-5


def perturbed(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    F = boundary((4, SMALL["T3"]))
    W, C = exact_network(F, 20, seed)
    rng = np.random.default_rng(seed)
    return W + 0.01 * rng.standard_normal(W.shape), C + 0.05 * rng.standard_normal(C.shape), F


def test_the_error_is_the_same_in_every_basis() -> None:
    W, C, F = perturbed(1)
    rng = np.random.default_rng(2)
    S = rng.standard_normal(W.shape) + 4 * np.eye(len(W))
    before, after = readout_basis(W, C, F), readout_basis(S @ W @ np.linalg.inv(S), C @ np.linalg.inv(S), F)
    assert 1e-3 < float(before.intertwining_error) < 2
    assert float(after.intertwining_error) == pytest.approx(float(before.intertwining_error), rel=1e-6)
    np.testing.assert_allclose(after.coordinates.values @ S, before.coordinates, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after.operator, before.operator, rtol=1e-5, atol=1e-6)


def test_the_error_has_the_size_of_its_definition() -> None:
    """From the definition, without eigenvectors: D restricted to an orthonormal basis of what it maps to."""
    W, C, F = perturbed(3)
    result = readout_basis(W, C, F)
    D = result.coordinates.values.reshape(F.shape[1], -1)
    modes = slow_modes(W)
    unitary = (modes.right * modes.phases) @ modes.left
    last = (C @ np.linalg.matrix_power(unitary, 4)).real
    # Every state with D h of length 1, equally: h = D⁺ q for an orthonormal basis q of the range of D.
    q = np.linalg.svd(D)[0][:, : int(result.visible)]
    h = np.linalg.pinv(D, rcond=1e-9) @ q
    expected = np.linalg.norm(F @ q - last @ h) / np.linalg.norm(last @ h)
    assert float(result.intertwining_error) == pytest.approx(expected, rel=1e-6)


def test_a_network_of_another_task_has_a_large_error_and_one_with_growing_modes_a_small_one() -> None:
    F = boundary((4, "copy"))
    W, C = exact_network(F, 20)
    assert float(readout_basis(W, C, boundary((4, "cyclic"))).intertwining_error) > 1
    assert float(readout_basis(1.2 * W, C, F).intertwining_error) < 1e-6


def test_modes_that_are_not_read_out_are_counted_and_left_out() -> None:
    F = boundary((4, "copy"))
    W, C = exact_network(F, 20)
    larger = np.block([[W, np.zeros((20, 2))], [np.zeros((2, 20)), np.diag([1.0, -1.0])]])
    result = readout_basis(larger, np.hstack([C, np.zeros((4, 2))]), F)
    assert (int(result["count"]), int(result.visible)) == (18, 16)
    assert float(result.intertwining_error) < 1e-6


def test_without_slow_modes_there_is_no_error_but_there_are_numbers() -> None:
    F = boundary((4, "copy"))
    result = readout_basis(np.zeros((20, 20)), np.ones((4, 20)), F)
    assert (int(result["count"]), int(result.visible)) == (0, 0)
    assert np.isnan(result.intertwining_error)
    assert not result.coordinates.any()
    assert not result.operator.any()


def test_slow_modes_are_eigenvectors_on_both_sides() -> None:
    W, _, _ = perturbed(5)
    values, V, L = slow_modes(W)
    np.testing.assert_allclose(W @ V, V * values, atol=1e-9)
    np.testing.assert_allclose(L @ W, values[:, None] * L, atol=1e-7)
    np.testing.assert_allclose(L @ V, np.eye(len(values)), atol=1e-9)


@pytest.mark.parametrize("task", [(8, "copy"), (4, "cyclic"), (4, SMALL["T3"])], ids=str)
def test_the_published_basis_finds_an_embedded_operator(task: tuple[int, object]) -> None:
    """Of what the operator forgets, the published basis finds nothing, so that only lasting memories are compared."""
    F = boundary(task)
    weights = embedding(F, 2 * F.shape[1])
    basis = variable_memories(weights.recurrent, weights.readout, len(F))
    assert basis.shape == (2 * F.shape[1], F.shape[1])
    np.testing.assert_allclose(np.linalg.norm(basis, axis=0), 1, atol=1e-9)
    if task[1] in ("copy", "cyclic"):
        found = np.linalg.pinv(basis) @ weights.recurrent @ basis
        np.testing.assert_allclose(found, wave_operator(F), atol=1e-9)
    blocks = np.split(basis, len(F), axis=1)
    for older, newer in itertools.pairwise(blocks):
        moved = weights.recurrent @ newer
        length = np.linalg.norm(moved, axis=0)
        np.testing.assert_allclose(older * length, moved, atol=1e-9)


def test_bad_shapes_are_refused() -> None:
    F = boundary((4, "copy"))
    with pytest.raises(InputError, match=r"readout has shape \(3, 20\): expected a finite matrix \[4, 20\]"):
        readout_basis(np.eye(20), np.ones((3, 20)), F)
    with pytest.raises(InputError, match=r"readout has shape \(4, 19\): expected a finite matrix \[d, 20\]"):
        variable_memories(np.eye(20), np.ones((4, 19)), 4)
    with pytest.raises(InputError, match="number of lags is 0"):
        variable_memories(np.eye(20), np.ones((4, 20)), 0)
    with pytest.raises(InputError, match=r"boundary has shape \(4, 15\)"):
        readout_basis(np.eye(20), np.ones((4, 20)), F[:, :15])
