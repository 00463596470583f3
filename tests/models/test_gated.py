"""GRU and LSTM: torch's kernels against the pure step, and the step against the equations in NumPy."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from tauscope import GRUCell, InputError, LSTMCell, build_model
from tauscope.models import Cell, State
from tauscope.models.kernels import blocks

KINDS: list[type[GRUCell] | type[LSTMCell]] = [GRUCell, LSTMCell]


def cell_and_inputs(kind: type[GRUCell] | type[LSTMCell], n_units: int = 5) -> tuple[GRUCell | LSTMCell, Tensor, State]:
    """Return a cell in float64 with random inputs ``[7, 3, 2]`` and a random state."""
    generator = torch.Generator().manual_seed(1)
    cell = kind(2, n_units, generator).double()
    inputs = torch.randn(7, 3, 2, generator=generator, dtype=torch.float64).requires_grad_()
    state = tuple(
        torch.randn(3, n_units, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(cell.n_states)
    )
    return cell, inputs, state


def sigma(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def numpy_step(cell: GRUCell | LSTMCell, x: np.ndarray, state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Return the next state by the equations of the GRU or LSTM."""
    W, U, b, c = (one.detach().numpy() for one in cell.rnn.parameters())
    n = cell.n_units
    h = state[0]
    Wx, Uh = (
        [(drive @ weights[i * n : (i + 1) * n].T + bias[i * n : (i + 1) * n]) for i in range(len(weights) // n)]
        for drive, weights, bias in ((x, W, b), (h, U, c))
    )
    if isinstance(cell, GRUCell):
        r, z = sigma(Wx[0] + Uh[0]), sigma(Wx[1] + Uh[1])
        return ((1 - z) * np.tanh(Wx[2] + r * Uh[2]) + z * h,)
    i, f, g, o = (one + other for one, other in zip(Wx, Uh, strict=True))
    memory = sigma(f) * state[1] + sigma(i) * np.tanh(g)
    return sigma(o) * np.tanh(memory), memory


@pytest.fixture(params=["torch", "ours", "ours, apart"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run small networks by torch's kernel, by ours, and by ours with the products of large ones in blocks of two steps."""
    for kind in KINDS:
        monkeypatch.setattr(kind, "fast_from", math.inf if request.param == "torch" else 0)
    if request.param == "ours, apart":
        for name, value in {"_FUSED_BELOW": 0, "_BLOCK": 2 * 3 * 20, "_COLUMNS": 2 * 3, "_NARROW": 0}.items():
            monkeypatch.setattr(blocks, name, value)
    return str(request.param)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_sequence_equals_the_loop_over_step_in_values_and_gradients(
    kind: type[GRUCell] | type[LSTMCell], noisy: bool, held: bool
) -> None:
    cell, inputs, state = cell_and_inputs(kind)
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(7, 3, 5, generator=generator, dtype=torch.float64).requires_grad_() if noisy else None
    hold = torch.rand(7, 3, generator=generator) < 0.4 if held else None
    wanted = [inputs, *state, *cell.parameters(), *([] if noise is None else [noise])]
    outcomes = []
    for run in (cell.sequence, partial(Cell.sequence, cell)):
        states, last = run(inputs, state, noise=noise, hold=hold)
        loss = (states * torch.arange(7.0)[:, None, None]).sum() + sum(one.square().sum() for one in last)
        outcomes.append((states, *last, *torch.autograd.grad(loss, wanted)))
    for fast, plain in zip(*outcomes, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_step_equals_the_equations(kind: type[GRUCell] | type[LSTMCell]) -> None:
    cell, inputs, state = cell_and_inputs(kind)
    found = cell.step(inputs[0], state)
    expected = numpy_step(cell, inputs[0].detach().numpy(), tuple(one.detach().numpy() for one in state))
    assert len(found) == len(expected) == cell.n_states
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other, rtol=1e-12)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_stacks_run_as_their_steps_do(name: str, n_layers: int, generator: torch.Generator) -> None:
    model = build_model(name, [6] * n_layers, generator=generator)
    inputs = torch.randn(8, 4, 1, generator=generator)
    state = model.initial_state(4, generator)
    states, last = model(inputs, state)
    for t, x in enumerate(inputs):
        state = model.step(x, state)
        torch.testing.assert_close(states[t], model.hidden(state), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(last, state, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_step_is_pure(kind: type[GRUCell] | type[LSTMCell]) -> None:
    cell, inputs, state = cell_and_inputs(kind)
    everything = [inputs, *state, *cell.parameters()]
    before = [one.detach().clone() for one in everything]
    noise = torch.ones(3, 5, dtype=torch.float64)
    first, second = cell.step(inputs[0], state, noise), cell.step(inputs[0], state, noise)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(torch.equal(one, old) for one, old in zip(everything, before, strict=True))
    assert bool((noise == 1).all())


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_added_to_the_units(kind: type[GRUCell] | type[LSTMCell], generator: torch.Generator) -> None:
    cell, inputs, state = cell_and_inputs(kind)
    noise = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    quiet, noisy = cell.step(inputs[0], state), cell.step(inputs[0], state, noise)
    torch.testing.assert_close(noisy[0] - quiet[0], noise)
    assert all(torch.equal(one, other) for one, other in zip(noisy[1:], quiet[1:], strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_fill_their_interval_and_the_state_starts_at_zero(
    kind: type[GRUCell] | type[LSTMCell], generator: torch.Generator
) -> None:
    cell = kind(1, 100, generator)
    for parameter in cell.parameters():
        values = parameter.detach()
        assert 0.09 < float(values.abs().max()) <= 1 / math.sqrt(100)
        assert abs(float(values.mean())) < 4 * 0.1 / math.sqrt(3 * values.numel())
    state = cell.initial_state(4, generator)
    assert len(state) == cell.n_states
    assert all(one.shape == (4, 100) and not one.any() for one in state)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_gated_networks_have_no_tau_and_no_time_resolution(name: str, generator: torch.Generator) -> None:
    model = build_model(name, 4, generator=generator)
    assert model.tau is None
    with pytest.raises(InputError, match=r"Cell cannot run at k = 3: expected model type 'continuous'"):
        model.at_resolution(3)
