"""Fixed points against closed forms, and against scipy's root finder for networks that have none."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import brentq, root
from torch import Tensor

import tauscope as ts
from tauscope import InputError
from tauscope.analysis.fixed_points import fixed_points
from tauscope.analysis.lyapunov import flatten
from tauscope.models.model import Model
from tauscope.tasks.history import History

TASK = History(dim=2, lags=3, map="copy", horizon=12)
"""Its inputs are signs in two channels, and then nothing."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def wrapped(step: Callable[..., Any], n_inputs: int = 2, n_units: int = 2) -> Model:
    return ts.wrap(step, n_inputs, n_units)


def test_a_linear_map_has_the_one_fixed_point_that_algebra_gives() -> None:
    A, B = torch.randn(5, 5, generator=generator(1)) / 5, torch.randn(5, 2, generator=generator(2))
    model = wrapped(lambda x, h: h @ A.to(h).t() + x @ B.to(h).t(), n_units=5)
    found = fixed_points(model, TASK, input=[0.5, -2.0], n_starts=30, reach=10.0)
    exact = np.linalg.solve(np.eye(5) - A.double().numpy(), B.double().numpy() @ [0.5, -2.0])
    assert found.sizes["point"] == 1
    np.testing.assert_allclose(found.state[0], exact, rtol=1e-9, atol=1e-9)
    values = np.linalg.eigvals(A.double().numpy())
    np.testing.assert_allclose(np.sort(np.hypot(*found.eigenvalues[0].T)), np.sort(abs(values)), atol=1e-10)
    np.testing.assert_allclose(np.sort(found.timescale[0]), np.sort(-1 / np.log(abs(values))), rtol=1e-8)
    assert bool(found.fixed[0])
    assert int(found.starts[0]) == 30
    assert found.n_not_converged == found.n_out_of_reach == 0


def test_a_bistable_network_has_two_stable_points_and_a_saddle_between() -> None:
    model = wrapped(lambda x, h: torch.tanh(2 * h + x), n_units=2)
    found = fixed_points(model, TASK, n_starts=400)
    place = brentq(lambda h: math.tanh(2 * h) - h, 0.5, 1)
    expected = {(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)}
    assert {tuple(np.rint(state / place).astype(int)) for state in found.state.values} <= expected
    np.testing.assert_allclose(np.abs(found.state.values[found.state.values.round(6) != 0]), place, rtol=1e-9)
    assert {(1, 1), (1, -1), (-1, 1), (-1, -1)} <= {
        tuple(np.rint(state / place).astype(int)) for state in found.state.values
    }
    # A unit at ±place has the slope 2 (1 - place²) < 1, a unit at 0 the slope 2.
    zeros = (np.abs(found.state.values) < 1e-6).sum(axis=1)
    np.testing.assert_array_equal(found.n_unstable, zeros)
    stable = found.isel(point=np.flatnonzero(zeros == 0))
    np.testing.assert_allclose(stable.timescale, -1 / math.log(2 * (1 - place**2)), rtol=1e-8)
    assert int(found.starts.sum()) + found.n_not_converged + found.n_out_of_reach == 400


def ring(x: Tensor, h: Tensor) -> Tensor:
    return h * (1.5 - 0.5 * h.square().sum(-1, keepdim=True)) + 0.3 * x


def test_a_ring_attractor_is_found_as_points_on_it_that_neither_grow_nor_decay_along_it() -> None:
    found = fixed_points(wrapped(ring), TASK, n_starts=300, apart=0.05)
    radius = np.hypot(*found.state.values.T)
    on_ring = radius > 0.5
    np.testing.assert_allclose(radius[on_ring], 1, atol=1e-6)
    assert on_ring.sum() > 10
    np.testing.assert_allclose(found.eigenvalues[on_ring, :, 0], [[1, 0]] * on_ring.sum(), atol=1e-6)
    assert (found.n_unstable[~on_ring] == 2).all()  # the centre, where both directions grow by 1.5
    apart = np.linalg.norm(found.state.values[:, None] - found.state.values[None], axis=-1)
    assert apart[~np.eye(len(apart), dtype=bool)].min() > 0.05 * found.radius


def test_a_slow_point_is_told_from_a_fixed_one() -> None:
    # h ← h + h² + 1e-4 has no fixed point; its speed is least at 0, where q = ½ 1e-8.
    model = wrapped(lambda x, h: (h + h**2 + 1e-4).clamp(-1, 1) + 0.2 * x.sum(-1, keepdim=True), n_units=1)
    found = fixed_points(model, TASK, n_starts=50)
    slow = found.isel(point=np.flatnonzero(~found.fixed))
    assert slow.sizes["point"] == 1
    assert float(slow.q[0]) == pytest.approx(0.5e-8, rel=1e-3)
    assert float(slow.state[0, 0]) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("cell", ["leaky", "gru", "lstm", "elman"])
def test_points_of_trained_kinds_of_networks_are_those_of_another_root_finder(cell: str) -> None:
    model = ts.build_model(cell, 6, generator=generator(3))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "heads" not in name and "tau" not in name:
                value.mul_(1.7)
    task = ts.Parity((2,), length=15)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = fixed_points(model, task, input=1.0, n_starts=40, n_trials=5)
    assert found.sizes["point"] >= 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    step = one_step(model, 1.0)
    for point in found.where(found.fixed, drop=True).state.values:
        again = root(lambda z: step(z) - z, point + 1e-4, tol=1e-13)
        np.testing.assert_allclose(point, again.x, atol=1e-8)
    difference = np.stack([(step(found.state[0].values + d) - step(found.state[0].values - d)) / 2e-6
                           for d in 1e-6 * np.eye(found.sizes["coordinate"])], axis=1)  # fmt: skip
    np.testing.assert_allclose(
        np.sort(np.abs(np.linalg.eigvals(difference))), np.sort(np.hypot(*found.eigenvalues[0].values.T)), atol=1e-6
    )


def one_step(model: Model, x: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    network = copy.deepcopy(model).double()
    _, step = flatten(network, network.initial_state(1))

    def of(z: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.no_grad():
            return step(torch.tensor([[x]], dtype=torch.float64), torch.tensor(z[None]))[0].numpy()

    return of


def test_the_same_seed_finds_the_same_points() -> None:
    model = ts.LeakyRNN(8, generator=generator(4))
    first, second = (
        fixed_points(model, ts.Parity((2,), length=9), n_starts=20, generator=generator(5)) for _ in range(2)
    )
    xr.testing.assert_identical(first, second)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input": [1.0, 2.0, 3.0]}, "expected a finite number, or 2 for the channels of the input"),
        ({"input": math.nan}, "expected a finite number"),
        ({"n_starts": 0}, "number of starts"),
        ({"n_trials": 0}, "number of trials"),
        ({"apart": -1.0}, "apart"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        fixed_points(wrapped(ring), TASK, **options)


def test_activity_that_explodes_is_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        fixed_points(wrapped(lambda x, h: (1 + h**2) * 1e30 + x), TASK)
