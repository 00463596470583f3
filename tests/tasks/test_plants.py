"""Masses on springs: the step against an integrator, the gain against the Riccati equation's iteration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tauscope import InputError
from tauscope.tasks import Springs
from tauscope.tasks.check import check_task
from tauscope.tasks.experts import expert_of, rollout


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_step_is_the_solution_of_newtons_equation() -> None:
    from scipy.integrate import solve_ivp

    plant = Springs(n_masses=3, mass=2.0, gear=1.5, noise=0.0)
    turn = plant.reset(1, draws())
    force = np.array([0.3, -1.0, 0.9])
    after = plant.step(turn, torch.as_tensor(force)[None], draws())

    def flow(_: float, x: np.ndarray) -> np.ndarray:
        q, v = np.pad(x[:3], 1), x[3:]
        pull = (q[:-2] - q[1:-1]) + (q[2:] - q[1:-1])
        return np.concatenate([v, (pull - 0.05 * v + 1.5 * force) / 2.0])

    start = turn.world[0][0].numpy()
    expected = solve_ivp(flow, (0, 0.2), start, rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(after.world[0][0], expected, rtol=0, atol=1e-8)
    cost = 4 * (np.mean(start[:3] ** 2) + 0.1 * np.mean(force**2))
    assert float(after.reward[0]) == pytest.approx(1 - cost, abs=1e-5)


def test_forces_are_within_1_and_an_episode_has_its_steps() -> None:
    plant = Springs(n_steps=2, noise=0.0)
    turn = plant.reset(4, draws())
    strong, full = (plant.step(turn, torch.full((4, 2), size), draws()) for size in (7.0, 1.0))
    assert torch.equal(strong.observation, full.observation)
    assert torch.equal(strong.reward, full.reward)
    assert [bool(t.done.all()) for t in (turn, full, plant.step(full, torch.zeros(4, 2), draws()))] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("plant", [Springs(), Springs(n_masses=1), Springs(n_masses=4, mass=3.0, gear=0.5)])
def test_the_gain_is_what_the_riccati_recursion_converges_to(plant: Springs) -> None:
    (A, B), (Q, R) = plant.matrices, plant.costs
    P = Q
    for _ in range(5000):
        K = np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)
        P = Q + A.T @ P @ (A - B @ K)
    np.testing.assert_allclose(plant.gain(), K, rtol=0, atol=1e-8)
    assert np.abs(np.linalg.eigvals(A - B @ plant.gain())).max() < 1


def test_the_return_of_the_expert_is_that_of_the_lyapunov_equation() -> None:
    # Forces that never saturate: strong actuators.
    plant = Springs(gear=20.0, noise=0.02)
    (A, B), (Q, R), K = plant.matrices, plant.costs, plant.gain()
    closed, cost = A - B @ K, Q + K.T @ R @ K
    spread, expected = 0.25 * np.eye(4), 0.0
    for _ in range(plant.n_steps):
        expected += 1 - np.trace(cost @ spread)
        spread = closed @ spread @ closed.T + np.diag([0, 0, 0.02**2, 0.02**2])
    _, actions, rewards, _ = rollout(plant, expert_of(plant), 1500, plant.n_steps, draws())
    assert float((actions.abs() > 1).float().mean()) < 1e-3
    found = rewards.double().sum(dim=0)
    assert abs(float(found.mean()) - expected) < 5 * float(found.std()) / math.sqrt(len(found))


def test_another_body_is_another_plant() -> None:
    assert Springs(mass=2.0).altered("mass", 1.5) == Springs(mass=3.0)
    assert Springs().altered("gear", 0.7) == Springs(gear=0.7)
    with pytest.raises(InputError, match="did you mean 'mass'"):
        Springs().altered("masses", 2.0)
    check_task(Springs(n_steps=20))


@pytest.mark.parametrize("field", ["mass", "gear"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, "x"])
def test_what_no_body_has_is_refused(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{field} is"):
        Springs(**{field: value})  # type: ignore[arg-type]
