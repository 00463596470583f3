from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from problems import linear_model
from tauscope import Cell, Heads, InputError, Model
from tauscope.analysis.lyapunov import flatten, lyapunov
from tauscope.analysis.simulation import random_bits
from tauscope.models import State
from tauscope.models.wrapped import wrap
from zoo import ZOO


class Lorenz(Cell):
    """One Runge-Kutta step of the Lorenz system with σ = 10, ρ = 28, β = 8/3, from a random state near its attractor."""

    dt = 0.02

    def __init__(self) -> None:
        super().__init__(1, 3)
        self.register_buffer("centre", torch.tensor([0.0, 0.0, 25.0], dtype=torch.float64))

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        return (self.centre + 5 * torch.randn(batch_size, 3, generator=generator, dtype=torch.float64),)

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        del x, noise
        (h,) = state
        k1 = self._flow(h)
        k2 = self._flow(h + self.dt / 2 * k1)
        k3 = self._flow(h + self.dt / 2 * k2)
        k4 = self._flow(h + self.dt * k3)
        return (h + self.dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4),)

    @staticmethod
    def _flow(h: Tensor) -> Tensor:
        x, y, z = h.unbind(-1)
        return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], dim=-1)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 6))
def test_linear_maps_have_the_logarithms_of_their_eigenvalues(seed: int, n: int) -> None:
    """Eigenvalues at least a factor 1.35 apart, so that 130 steps separate their directions to 1e-17."""
    random = np.random.default_rng(seed)
    eigenvalues = 1.8 * np.exp(-np.arange(n) * random.uniform(0.3, 0.8)) * random.choice([-1, 1], n)
    basis = np.linalg.qr(random.normal(size=(n, n)))[0] @ np.diag(random.uniform(0.5, 2, n))
    W = basis @ np.diag(random.permutation(eigenvalues)) @ np.linalg.inv(basis)
    # The map is expanding where 1.8 is kept; the state is then left at its fixed point, the origin.
    result = lyapunov(linear_model(W, np.zeros((n, 1))), n, n_trials=2, n_steps=20, burn_in=130)
    expected = np.sort(np.log(np.abs(eigenvalues)))[::-1]
    np.testing.assert_allclose(result.exponents.values, [expected, expected], atol=1e-9)


def test_rotations_have_equal_exponents() -> None:
    turn = 0.7 * np.array([[np.cos(1.0), -np.sin(1.0)], [np.sin(1.0), np.cos(1.0)]])
    result = lyapunov(linear_model(turn, np.zeros((2, 1))), 2, n_trials=1, n_steps=50)
    np.testing.assert_allclose(result.exponents.values, np.log(0.7), atol=1e-9)


def test_the_logistic_map_has_ln_2() -> None:
    model = wrap(lambda _, h: 4 * h * (1 - h), 1, 1, initial=torch.tensor([0.3], dtype=torch.float64))
    result = lyapunov(model, 1, n_trials=1, n_steps=1000)
    assert result.exponents.item() == pytest.approx(np.log(2), abs=0.02)


def test_lorenz() -> None:
    """λ = .906, 0, -14.572 (Sprott, Chaos and Time-Series Analysis, 2003), with the sum -(σ + 1 + β) = -13.667."""
    model = Model([Lorenz()], Heads(3, ["N2"], 2, False, torch.Generator().manual_seed(0)))
    result = lyapunov(model, 3, n_trials=400, n_steps=300, burn_in=300)
    exponents = result.exponents.mean("trial").values / Lorenz.dt
    np.testing.assert_allclose(exponents, [0.906, 0, -14.572], atol=0.03)
    np.testing.assert_allclose(result.exponents.sum("exponent") / Lorenz.dt, -41 / 3, atol=0.01)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in ("mod layers", "own cell")])
def test_all_exponents_sum_to_the_mean_log_determinant(name: str, generator: torch.Generator) -> None:
    """Σ λ = ⟨ln |det J|⟩, with J by reverse-mode derivatives of the flattened step along the same input."""
    model = ZOO[name](generator).double()
    n_steps, burn_in = 12, 5
    z, step = flatten(model, model.initial_state(2, torch.Generator().manual_seed(4)))
    result = lyapunov(
        model,
        z.shape[1],
        n_trials=2,
        n_steps=n_steps,
        burn_in=burn_in,
        p=0.5,
        generator=torch.Generator().manual_seed(4),
    )
    replay = torch.Generator().manual_seed(4)
    model.initial_state(2, replay)
    torch.randn(2, z.shape[1], z.shape[1], generator=replay)
    bits = random_bits(torch.full((2,), 0.5), burn_in + n_steps, 1, replay).double()
    total = torch.zeros(2, dtype=torch.float64)
    for t, x in enumerate(bits):
        if t >= burn_in:
            jacobian = torch.autograd.functional.jacobian(lambda point, x=x: step(x, point).sum(dim=0), z)
            total += torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet
        z = step(x, z).detach()
    np.testing.assert_allclose(result.exponents.sum("exponent"), total / n_steps, rtol=1e-6)


@pytest.mark.parametrize("name", ZOO)
def test_the_flat_step_is_the_models(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    state = model.initial_state(3, generator)
    z, step = flatten(model, state)
    x = torch.rand(3, 1, generator=generator)
    moved = model.step(x, state)
    expected = torch.cat([tensor for one in moved for tensor in one], dim=1)
    # The parts of a flat state are strided, and a product of them may be another one.
    torch.testing.assert_close(step(x, z), expected)


@pytest.mark.parametrize("name", ZOO)
def test_every_network_runs(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    result = lyapunov(model, 3, n_trials=2, n_steps=20, burn_in=5, repeat=2, plus_minus=True)
    assert result.exponents.sizes == {"trial": 2, "exponent": 3}
    assert (np.diff(result.exponents.values, axis=1) <= 0).all()
    assert np.isfinite(result.exponents.values[:, 0]).all()


def test_few_exponents_agree_with_many(generator: torch.Generator) -> None:
    """Without input the attractor is a fixed point, so the estimates do not depend on the random frame."""
    model = ZOO["mod"](generator).double()
    few, many = (lyapunov(model, n, n_trials=1, n_steps=30, burn_in=200, p=0.0).exponents.values for n in (2, 5))
    np.testing.assert_allclose(few[0], many[0, :2], atol=1e-6)


def test_a_collapsed_direction_has_minus_infinity() -> None:
    W = np.diag([0.5, 0.0])
    result = lyapunov(linear_model(W, np.zeros((2, 1))), 2, n_trials=1, n_steps=20)
    assert result.exponents.values[0, 0] == pytest.approx(np.log(0.5))
    assert result.exponents.values[0, 1] < -30


def test_the_trace_ends_at_the_result_and_averages_the_steps() -> None:
    """Of the map h ← h x with bits x coded -1 and +1 every step has exponent 0, and of h ← h (x + 3) ln 4 or ln 2."""
    model = wrap(lambda x, h: h * (x + 3), 1, 1, initial=torch.zeros(1, dtype=torch.float64))
    result = lyapunov(model, 1, n_trials=1, n_steps=250, burn_in=0, p=0.5, plus_minus=True)
    assert result.step[0] == 1
    assert result.step[-1] == 250
    assert result.sizes["step"] == 100
    np.testing.assert_array_equal(result.trace[..., -1], result.exponents)
    share = result.trace.values[0, 0, 0] / np.log(2)
    assert share == pytest.approx(round(share))
    n_fours = (result.trace[0, 0] / np.log(2) - 1) * result.step
    np.testing.assert_allclose(n_fours, n_fours.round(), atol=1e-9)
    assert (np.diff(n_fours) > -1e-9).all()


@pytest.mark.parametrize(
    ("n_exponents", "line"),
    [(0, "number of exponents is 0"), (11, "11 exponents of a state of size 10: expected at most 10")],
)
def test_numbers_of_exponents_that_cannot_be_are_refused(
    n_exponents: int, line: str, generator: torch.Generator
) -> None:
    with pytest.raises(InputError, match=line):
        lyapunov(ZOO["default"](generator), n_exponents)


def test_divergence_is_named() -> None:
    model = wrap(lambda _, h: 1e10 * h, 1, 1, initial=torch.ones(1))
    with pytest.raises(InputError, match="the network diverged within 4 steps"):
        lyapunov(model, 1, n_trials=1, n_steps=20, burn_in=0)
