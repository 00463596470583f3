"""The wave operator against its definition: periods, cycles, and networks that solve the task without training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from histories import PUBLISHED, SMALL, cycles, period, stream, unit_eigenvalues
from tauscope import InputError
from tauscope.analysis.wave_operator import Weights, embedding, substrate_period, wave_operator
from tauscope.tasks.history import History, boundary_matrix

TASKS = [*((8, code) for code in PUBLISHED.values()), *((4, code) for code in SMALL.values())]
PERIODS = dict(zip(TASKS, (8, 840, 48, 70, 4, 32, 12, 16), strict=True))
RANKS = dict(zip(TASKS, (64, 36, 36, 36, 16, 16, 10, 10), strict=True))
DISTINCT = dict(zip(TASKS, (8, 22, 33, 36, 4, 16, 6, 10), strict=True))


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_operator_alone_reproduces_the_stream_over_a_period(task: tuple[int, tuple[int, int, int]]) -> None:
    dim, code = task
    F = boundary_matrix(dim, dim, code)
    operator = wave_operator(F).astype(int)
    shown = np.random.default_rng(0).choice([-1, 1], size=(dim, dim))
    z, found = shown.flatten(), []
    for _ in range(PERIODS[task]):
        z = operator @ z
        found.append(z[-dim:].tolist())
    assert found == stream(F, shown.tolist(), PERIODS[task])
    assert period(F) == substrate_period(operator) == PERIODS[task]
    # What is on a cycle has come back, for the first time at this step; the rest is forgotten after s of them.
    power = np.linalg.matrix_power(operator, dim)
    assert (np.linalg.matrix_power(operator, PERIODS[task]) @ power == power).all()


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_eigenvalues_are_the_roots_of_unity_of_the_cycles(task: tuple[int, tuple[int, int, int]]) -> None:
    dim, code = task
    F = boundary_matrix(dim, dim, code)
    values = np.linalg.eigvals(wave_operator(F))
    found = values[np.abs(values) > 0.5]
    expected = unit_eigenvalues(F)
    assert (
        len(found)
        == len(expected)
        == RANKS[task]
        == np.linalg.matrix_rank(np.linalg.matrix_power(wave_operator(F), dim * dim))
    )
    distance = np.abs(found[:, None] - expected[None])
    assert distance.min(axis=1).max() < 1e-7
    for value in expected:
        multiplicity = (np.abs(expected - value) < 1e-6).sum()
        assert (np.abs(found - value) < 1e-6).sum() == multiplicity
    assert len({(round(v.real, 6) + 0.0, round(v.imag, 6) + 0.0) for v in expected}) == DISTINCT[task]


def test_the_closed_forms_of_the_eigenvalues() -> None:
    """T1: roots of unity, d-fold. T1c: z^{sd} = -1. T2: the k-th roots of unity for k = 1 … s."""
    assert sorted(cycles(boundary_matrix(8, 8, "copy"))) == [(8, 1)] * 8
    assert cycles(boundary_matrix(8, 8, "cyclic")) == [(64, -1)]
    assert sorted(cycles(boundary_matrix(8, 8, "diagonal"))) == [(k, 1) for k in range(1, 9)]
    values = np.linalg.eigvals(wave_operator(boundary_matrix(8, 8, "cyclic")))
    np.testing.assert_allclose(values**64, -1, atol=1e-9)


def test_the_operator_is_a_shift_and_its_boundary() -> None:
    F = np.arange(8.0).reshape(2, 4)
    z = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(wave_operator(F) @ z, [3, 4, *(F @ z)])
    F[0, 0] = 99.0
    assert wave_operator(F)[2, 0] == 99


def linear_substrate(F: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return what a linear network that obeys the operator holds after vectors ``shown [lag, component]``."""
    z = np.zeros(F.shape[1])
    for vector in shown:
        z = wave_operator(F) @ z
        z[-len(F) :] += vector
    return z


def run_tanh(weights: Weights, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return states and outputs of h ← tanh(W h + V u), y = C h in float32."""
    V, W, C = (torch.from_numpy(one).float() for one in weights)
    h, states = torch.zeros(inputs.shape[1], len(W)), []
    for u in inputs:
        h = torch.tanh(h @ W.T + u @ V.T)
        states.append(h)
    return torch.stack(states), torch.stack(states) @ C.T


@pytest.mark.parametrize(("dim", "code"), [(8, "copy"), (8, "cyclic"), (4, "copy"), (4, "cyclic")])
def test_an_embedded_operator_solves_tasks_that_read_the_oldest_vector(
    dim: int, code: str, generator: torch.Generator
) -> None:
    task = History(dim=dim, lags=dim, map=code, horizon=1000)
    batch = task.sample(16, generator)
    weights = embedding(task.boundary, 2 * dim * dim, generator=generator)
    _, outputs = run_tanh(weights, batch.inputs)
    # The output of step t is the newest vector of the substrate, which is what is asked at that step.
    assert task.score(outputs[-1000:].unsqueeze(-2), batch).item() == 1
    near = outputs[dim : dim + 20].unsqueeze(-2)
    torch.testing.assert_close(near, batch.targets[:20], rtol=0, atol=0.01)


@pytest.mark.parametrize("name", ["T2", "T3", "T4"])
def test_no_linear_network_loads_a_substrate_whose_boundary_reads_newer_vectors(
    name: str, generator: torch.Generator
) -> None:
    task = History(dim=8, lags=8, map=PUBLISHED[name], horizon=100)
    shown = np.random.default_rng(1).choice([-1.0, 1.0], size=(8, 8))
    F = task.boundary.numpy().astype(float)
    assert (linear_substrate(F, shown) != shown.flatten()).any()
    batch = task.sample(64, generator)
    _, outputs = run_tanh(embedding(F, 128, generator=generator), batch.inputs)
    assert 0.6 < task.score(outputs[-100:].unsqueeze(-2), batch).item() < 0.95


def test_a_linear_network_loads_one_that_reads_the_oldest_vector_alone_and_adds_up_a_component_of_lag_one() -> None:
    shown = np.random.default_rng(2).choice([-1.0, 1.0], size=(4, 4))
    copied = linear_substrate(boundary_matrix(4, 4, "copy").numpy(), shown)
    np.testing.assert_array_equal(copied, shown.flatten())
    diagonal = linear_substrate(boundary_matrix(4, 4, "diagonal").numpy(), shown)
    assert diagonal[-1] == shown[:, 3].sum()


def test_an_embedding_is_the_operator_in_an_orthonormal_basis(generator: torch.Generator) -> None:
    F = boundary_matrix(4, 4, SMALL["T3"]).numpy()
    V, W, C = embedding(F, 20, amplitude=0.1, generator=generator)
    basis = np.linalg.qr(np.column_stack([np.linalg.matrix_power(W, j) @ V for j in range(4)]))[0]
    assert np.linalg.matrix_rank(W) == np.linalg.matrix_rank(wave_operator(F))
    np.testing.assert_allclose(C @ V, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(V, axis=0), 0.1, atol=1e-12)
    np.testing.assert_allclose(basis @ basis.T @ V, V, atol=1e-12)
    again = embedding(F, 20, amplitude=0.1, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(W, again.recurrent)


def test_a_growing_substrate_has_no_period() -> None:
    with pytest.raises(InputError, match="does not repeat within 50 steps"):
        substrate_period(wave_operator([[1.0, 1.0]]), longest=50)


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"boundary has shape \(2, 3\)"):
        wave_operator(np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"boundary has shape \(0, 0\)"):
        wave_operator(np.zeros((0, 0)))
    with pytest.raises(InputError, match="15 units: expected at least 16"):
        embedding(boundary_matrix(4, 4, "copy"), 15)
    with pytest.raises(InputError, match="amplitude is 0"):
        embedding(boundary_matrix(4, 4, "copy"), 16, amplitude=0)
