"""Recurrences solved for all steps at once: the loop's states on every cell, exactness, order, and what cannot converge."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tauscope as ts
from cells import NETWORKS, network
from problems import linear_model
from tauscope.errors import InputError
from tauscope.models.parallel.layer import Layer
from tauscope.models.parallel.newton import METHODS, Iteration, iterate, trust
from tauscope.models.solvers import Loop
from tauscope.models.wrapped import WrappedCell

EXACT = ("newton", "quasi", "jacobi")
"""Methods that propagate whole residuals, so that y_1 … y_k are exact after k corrections."""


def inputs_for(model: ts.Model, n_steps: int = 60, n_trials: int = 3, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n_steps, n_trials, model.n_inputs, generator=generator, dtype=torch.float64)
    noise = 0.1 * torch.randn(n_steps, n_trials, model.n_units, generator=generator, dtype=torch.float64)
    return {"inputs": x, "noise": noise, "hold": torch.rand(n_steps, n_trials, generator=generator) < 0.2}


def looped(model: ts.Model, **given: Tensor) -> tuple[Tensor, Tensor]:
    """Return states and last state, all its tensors side by side, of the loop over steps."""
    with torch.no_grad():
        states, final, _ = model.solve(solver=Loop(), **given)  # type: ignore[arg-type]
    return states, torch.cat([part.flatten(1) for layer in final for part in layer], dim=1)


def gru(n_units: int = 4, seed: int = 0) -> ts.Model:
    return ts.build_model("gru", n_units, n_inputs=2, generator=torch.Generator().manual_seed(seed)).double()


def layer_of(model: ts.Model, inputs: Tensor) -> Layer:
    (cell,) = model.layers
    return Layer(cell, inputs, cell.initial_state(inputs.shape[1]), None, None)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_method_finds_the_states_of_the_loop_on_every_cell(name: str, method: str) -> None:
    model = network(name)
    given = inputs_for(model)
    states, last = looped(model, **given)
    solution = ts.solve(model, **given, method=method)
    assert solution.converged.all()
    assert (solution.residual[-1] <= 1e-10).all()
    torch.testing.assert_close(solution.states, states, rtol=0, atol=1e-8)
    final = torch.cat([part.flatten(1) for layer in solution.state for part in layer], dim=1)
    torch.testing.assert_close(final, last, rtol=0, atol=1e-8)


@pytest.mark.parametrize("window", [1, 7, 59, 60])
def test_windows_are_solved_one_after_the_other(window: int) -> None:
    model = network("lstm")
    given = inputs_for(model)
    solution = ts.solve(model, **given, window=window)
    assert solution.converged.all()
    torch.testing.assert_close(solution.states, looped(model, **given)[0], rtol=0, atol=1e-8)


def test_single_precision_is_solved_within_its_tolerance() -> None:
    model = ts.build_model("gru", 16, generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(300, 2, 1, generator=torch.Generator().manual_seed(1))
    solution = ts.solve(model, inputs)
    assert solution.converged.all()
    assert (solution.states - looped(model, inputs=inputs)[0]).abs().max() < 1e-4


@settings(max_examples=10, deadline=None)
@given(st.floats(-1e3, 1e3), st.integers(0, 1000))
def test_a_linear_network_needs_one_correction_from_any_guess(size: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    W = 0.3 * torch.randn(5, 5, generator=generator, dtype=torch.float64)
    model = linear_model(W.numpy(), torch.ones(5, 2, dtype=torch.float64).numpy())
    inputs = torch.randn(40, 2, 2, generator=generator, dtype=torch.float64)
    guess = size * torch.randn(40, 2, 5, generator=generator, dtype=torch.float64)
    solution = ts.solve(model, inputs, guess=guess)
    assert solution.converged.all()
    assert (solution.iterations <= 1).all()


@pytest.mark.parametrize("damping", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("method", EXACT)
def test_after_k_corrections_the_first_k_states_are_exact(method: str, damping: float) -> None:
    model, n_steps = gru(), 30
    inputs = torch.randn(n_steps, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    states = looped(model, inputs=inputs)[0]
    layer = layer_of(model, inputs)
    z = layer.start.expand(n_steps, -1, -1)
    how = Iteration(method, damping=damping)
    for k in range(11):
        torch.testing.assert_close(z[:k], states[:k], rtol=0, atol=1e-12)
        before = layer.before(z)
        z = z + METHODS[method](layer, before, (layer.step(before) - z).detach(), how)


def test_a_shift_register_takes_as_many_sweeps_as_it_is_long() -> None:
    length = 7
    model = linear_model(torch.eye(length).roll(1, 0).tril(-1).numpy(), torch.eye(length)[:, :1].numpy())
    inputs = torch.randn(40, 2, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    solution = ts.solve(model, inputs, method="jacobi")
    assert solution.iterations.tolist() == [length, length]
    assert ts.solve(model, inputs).iterations.tolist() == [1, 1]


def test_newton_converges_quadratically() -> None:
    model = gru(8)
    inputs = torch.randn(200, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    r = ts.solve(model, inputs, tol=1e-14).residual[:, 0]
    small = [(before, after) for before, after in pairwise(r) if before < 1e-2]
    assert len(small) >= 2
    assert all(after <= max(100 * before**2, 1e-14) for before, after in small)


def test_a_rectified_network_ends_in_one_jump() -> None:
    model = network("plain tanh")
    model.layers[0].afunc = "leakyrelu"  # type: ignore[assignment]
    r = ts.solve(model, inputs_for(model)["inputs"], tol=1e-13).residual[:, 0]
    assert r[-1] < 1e-14
    assert r[-2] > 1e-6


def test_diagonal_and_full_jacobian_are_the_same_without_recurrent_weights() -> None:
    model = gru()
    with torch.no_grad():
        model.layers[0].rnn.weight_hh_l0.zero_()  # type: ignore[union-attr]
    inputs = torch.randn(50, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    full, diagonal = (ts.solve(model, inputs, method=method) for method in ("newton", "quasi"))
    torch.testing.assert_close(full.residual, diagonal.residual, rtol=0, atol=1e-12)
    torch.testing.assert_close(full.states, diagonal.states, rtol=0, atol=1e-12)


def test_a_kalman_filter_that_trusts_nothing_is_newtons_method() -> None:
    model = gru()
    inputs = torch.randn(50, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = layer_of(model, inputs)
    before = layer.before(layer.start.expand(50, -1, -1))
    r = (layer.step(before) - layer.start).detach()
    for method, plain in (("elk", "newton"), ("quasi-elk", "quasi")):
        found = METHODS[method](layer, before, r, Iteration(method, sigma2=1e12))
        torch.testing.assert_close(found, METHODS[plain](layer, before, r, Iteration(plain)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sigma2", [0.3, 1e2, 1e6])
def test_quasi_elk_is_a_kalman_filter_of_every_unit(sigma2: float) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, old = (torch.randn(80, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    m, P, expected = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), []
    for t in range(80):
        m, P = a[t] * m + b[t], a[t] ** 2 * P + 1
        K = P / (P + sigma2)
        m, P = m + K * (old[t] - m), (1 - K) * P
        expected.append(m)
    # The same as a correction of the old guess: Δ_t = (1 - K_t) (a_t Δ_{t-1} + r_t).
    shares, change, found = trust(a, sigma2), torch.zeros(3, dtype=torch.float64), []
    for t in range(80):
        r = a[t] * (old[t - 1] if t else 0 * old[0]) + b[t] - old[t]
        change = shares[t] * (a[t] * change + r)
        found.append(old[t] + change)
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=1e-10, atol=1e-10)


def test_elk_is_the_kalman_filter_with_matrices() -> None:
    model, n_steps, sigma2 = gru(3), 20, 0.5
    inputs = torch.randn(n_steps, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = layer_of(model, inputs)
    old = torch.randn(n_steps, 1, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    before = layer.before(old)
    after, J = layer.step(before).detach(), layer.jacobian(before)
    found = old + METHODS["elk"](layer, before, after - old, Iteration("elk", sigma2=sigma2))
    m, P, eye = layer.start[0], torch.zeros(3, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    for t in range(n_steps):
        A = J[t, 0]
        m, P = A @ m + after[t, 0] - A @ before[t, 0], A @ P @ A.T + eye
        K = P @ torch.linalg.inv(P + sigma2 * eye)
        m, P = m + K @ (old[t, 0] - m), (eye - K) @ P
        torch.testing.assert_close(found[t, 0], m, rtol=0, atol=1e-10)


def logistic(x: Tensor, h: Tensor) -> Tensor:
    return 4 * h * (1 - h) + 0 * x


def wrapped(step: object, initial: float = 0.3) -> ts.Model:
    cell = WrappedCell(step, 1, 1, torch.tensor([initial], dtype=torch.float64))  # type: ignore[arg-type]
    return ts.Model([cell], ts.Heads(1, ["out"], 1, True, torch.Generator().manual_seed(0))).double()


def test_a_chaotic_map_does_not_converge_and_its_best_guess_is_returned() -> None:
    model = wrapped(logistic)
    inputs = torch.zeros(200, 1, 1, dtype=torch.float64)
    solution = ts.solve(model, inputs, max_iter=20)
    assert not solution.converged.any()
    assert solution.iterations.tolist() == [20]
    assert solution.states.isfinite().all()
    layer = layer_of(model, inputs)
    step = layer.step(layer.before(solution.states))
    residual = ((step - solution.states).abs() / step.abs().clamp(min=1)).max()
    assert residual == solution.residual.min()


def test_what_is_no_number_never_converges() -> None:
    # Infinite inputs, a step that divides by zero, a map that explodes: residuals are inf, whatever becomes of corrections.
    spoilt = torch.zeros(20, 2, 1, dtype=torch.float64)
    spoilt[5, 0] = math.nan
    solution = ts.solve(wrapped(lambda x, h: 0.5 * h + x), spoilt)
    assert solution.converged.tolist() == [False, True]
    assert solution.residual[-1].tolist()[0] == math.inf
    for step in (lambda x, h: h / (0 * h) + x, lambda x, h: 1e3 * h * h + x + 1, lambda x, h: h * math.nan + x):
        solution = ts.solve(wrapped(step), torch.zeros(200, 1, 1, dtype=torch.float64), max_iter=30)
        assert not solution.converged.any()
        assert not solution.states.isnan().any()


def test_a_trial_that_has_converged_changes_no_more() -> None:
    model = gru()
    inputs = torch.randn(100, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer, how = layer_of(model, inputs), Iteration("quasi", 1e-10)
    guess = torch.zeros(100, 2, 4, dtype=torch.float64)
    guess[:, :1] = ts.solve(model, inputs[:, :1], method="quasi").states
    found = iterate(layer, how, guess)
    quick, slow = found.iterations.tolist()
    assert quick == 0 < slow
    assert torch.equal(found.z[:, 0], guess[:, 0])
    torch.testing.assert_close(found.residual[:, 0], found.residual[:1, 0].expand(slow + 1), rtol=0, atol=1e-15)


def test_a_good_guess_saves_corrections() -> None:
    model = network("layers")
    given = inputs_for(model)
    cold = ts.solve(model, **given)
    for guess in (cold, cold.states):
        assert ts.solve(model, **given, guess=guess).iterations.max() == 0
    lstm = network("lstm")
    given = inputs_for(lstm)
    cold = ts.solve(lstm, **given)
    assert ts.solve(lstm, **given, guess=cold).iterations.max() == 0
    assert ts.solve(lstm, **given, guess=cold.states).converged.all()


def test_nothing_that_is_given_is_changed_and_no_graph_is_built() -> None:
    model = gru()
    inputs = torch.randn(50, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = tuple(tuple(part + 0.1 for part in layer) for layer in model.initial_state(1))
    copies = inputs.clone(), state[0][0].clone(), {name: one.clone() for name, one in model.state_dict().items()}
    solution = ts.solve(model, inputs, state)
    assert not solution.states.requires_grad
    assert torch.equal(inputs, copies[0])
    assert torch.equal(state[0][0], copies[1])
    assert all(torch.equal(one, copies[2][name]) for name, one in model.state_dict().items())


class Normalised(ts.Cell):
    """A cell that compares trials with each other."""

    def step(self, x: Tensor, state: tuple[Tensor, ...], noise: Tensor | None = None) -> tuple[Tensor, ...]:
        h = state[0] + x
        return (h - h.mean(dim=0) if noise is None else h + noise,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "newtons"}, "method 'newtons' is unknown: expected one of newton, .*; did you mean 'newton'"),
        ({"method": None}, "method None is unknown"),
        ({"tol": 1e-17}, "tol is 1e-17, below the precision of torch.float64: expected at least 2.2"),
        ({"tol": 0.0}, "tol is 0.0: expected a number above 0"),
        ({"tol": math.nan}, "tol is nan: expected a number above 0"),
        ({"tol": math.inf}, "tol is inf: expected a number below 1"),
        ({"tol": True}, "tol is True: expected a number below 1"),
        ({"tol": "small"}, "tol is 'small': expected a number above 0"),
        ({"window": 41}, "window is 41: expected at most 40, the number of steps"),
        ({"window": 0}, "window is 0: expected at least 1"),
        ({"window": 2.5}, "window is 2.5: expected a whole number"),
        ({"max_iter": 0}, "max_iter is 0: expected at least 1"),
        ({"damping": 1.5}, "damping is 1.5: expected a probability"),
        ({"damping": math.nan}, "damping is nan: expected"),
        ({"sigma2": 1.0}, "sigma2 is 1.0 with method 'newton': expected none"),
        ({"sigma2": -1.0, "method": "elk"}, "sigma2 is -1.0: expected a number above 0"),
        ({"guess": torch.zeros(3, 2, 4)}, r"guess has shape \(3, 2, 4\): expected \(40, 2, 4\)"),
        ({"guess": 3}, "guess is of type int: expected a Solution"),
        ({"hold": torch.zeros(40, 2)}, "hold is of torch.float32"),
        ({"inputs": [1.0]}, "inputs is of type list: expected a tensor"),
        ({"inputs": torch.zeros(0, 2, 2)}, "number of steps is 0"),
        ({"model": torch.nn.GRU(2, 4)}, "the network is of type GRU"),
        ({"model": ts.build_model("gru", 4, n_inputs=2, generator=torch.Generator().manual_seed(0)).bfloat16()},
         "the network computes in torch.bfloat16: expected float32 or float64"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(options: dict[str, object], said: str) -> None:
    given = {"model": gru(), "inputs": torch.zeros(40, 2, 2, dtype=torch.float64)} | options
    with pytest.raises(InputError, match=said) as error:
        ts.solve(**given)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_single_precision_has_its_own_least_tolerance() -> None:
    model = ts.build_model("gru", 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=r"tol is 1e-08, below the precision of torch\.float32: expected"):
        ts.solve(model, torch.zeros(10, 1, 1), tol=1e-8)


def test_trials_that_depend_on_each_other_are_refused() -> None:
    cell = Normalised(1, 1)
    model = ts.Model([cell], ts.Heads(1, ["out"], 1, True, torch.Generator().manual_seed(0)))
    state = ((torch.tensor([[1.0], [2.0]]),),)
    with pytest.raises(
        InputError, match="the step of Normalised makes something else of a trial among others than alone"
    ):
        ts.solve(model, torch.ones(10, 2, 1), state)


def test_a_guess_of_another_network_is_refused() -> None:
    inputs = torch.zeros(20, 2, 2, dtype=torch.float64)
    lstm = ts.build_model("lstm", 4, n_inputs=2, generator=torch.Generator().manual_seed(0)).double()
    with pytest.raises(InputError, match="guess is a Solution of a network with other states"):
        ts.solve(lstm, inputs, guess=ts.solve(gru(), inputs))


@pytest.mark.parametrize("cell", ["gru", "lstm", "leaky", "elman"])
def test_inference_mode_and_autocast_change_nothing(cell: str) -> None:
    model = ts.build_model(cell, 4, generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(40, 2, 1, generator=torch.Generator().manual_seed(1))
    expected = ts.solve(model, inputs)
    for context in (torch.inference_mode(), torch.autocast("cpu")):
        with context:
            solution = ts.solve(model, inputs.clone())
        assert solution.converged.all()
        assert torch.equal(solution.iterations, expected.iterations)


def test_a_complex_state_is_refused() -> None:
    cell = WrappedCell(lambda x, h: 1j * h + x, 1, 1, torch.zeros(1, dtype=torch.complex64))
    model = ts.Model([cell], ts.Heads(1, ["out"], 1, True, torch.Generator().manual_seed(0)))
    with pytest.raises(InputError, match="complex"):
        ts.solve(model, torch.ones(10, 2, 1))
