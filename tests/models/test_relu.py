"""Rectified networks: fast path, pure step and equations agree; what they start from; what is clipped and held."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from rounding import tolerance
from tauscope import InputError, Model
from tauscope.analysis import ablate, lyapunov
from tauscope.analysis.connectivity import recurrent_matrices
from tauscope.models import RELU_CELLS, HebbianCell, ReluCell, ReluGRUCell, ReluRNN, State
from tauscope.models.relu import glorot_normal, near_identity, scaled_orthogonal

CELLS = list(RELU_CELLS)
N_UNITS, N_INPUTS, N_BATCH, N_STEPS = 5, 2, 3, 8


def network(cell: str, clip: float = 1e9, seed: int = 4, **options: Any) -> ReluRNN:
    """Return a network of five units in float64, all of whose parameters are random."""
    generator = torch.Generator().manual_seed(seed)
    if cell == "hebbian":
        # So strong that the Hebbian term counts, and with overlaps on both sides of its limit.
        options = {"gamma": 0.02} | options
    model = ReluRNN(
        N_UNITS, n_inputs=N_INPUTS, cell=cell, generator=generator, lambda_0=0.7, sigma_0=0.5, clip=clip, **options
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def sequence(scale: float = 1.0, n_channels: int = N_INPUTS, seed: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N_STEPS, N_BATCH, n_channels, generator=generator, dtype=torch.float64)


def random_state(model: Model, scale: float = 1.0) -> tuple[State, ...]:
    generator = torch.Generator().manual_seed(7)
    return tuple(
        tuple(scale * torch.rand(h.shape, generator=generator, dtype=torch.float64).requires_grad_() for h in one)
        for one in model.initial_state(N_BATCH)
    )


def some_held() -> Tensor:
    """Return a mask with steps at which none, some and all states are held."""
    hold = torch.rand(N_STEPS, N_BATCH, generator=torch.Generator().manual_seed(1)) < 0.4
    hold[2], hold[5] = False, True
    return hold


def by_step(model: Model, inputs: Tensor, state: tuple[State, ...], hold: Tensor | None) -> tuple[Tensor, Any]:
    """Run the loop over the pure step."""
    states = []
    for t, x in enumerate(inputs):
        moved = model.step(x, state)
        if hold is not None:
            moved = tuple(
                tuple(torch.where(hold[t][:, None], old, new) for old, new in zip(before, after, strict=True))
                for before, after in zip(state, moved, strict=True)
            )
        state = moved
        states.append(model.hidden(state))
    return torch.stack(states), state


def equations(model: ReluRNN, inputs: np.ndarray, state: list[np.ndarray]) -> np.ndarray:
    """Return the states by the equations of the paper in NumPy."""
    (cell,) = model.layers
    own = {name: one.detach().numpy() for name, one in cell.state_dict().items()}
    states = []
    for x in inputs:
        h = state[0]
        drive = x @ own["input.weight"].T + own["input.bias"]
        if isinstance(cell, ReluGRUCell):
            from_x, from_h = np.split(drive, 3, axis=1), np.split(h @ own["recurrent.weight"].T, 3, axis=1)
            r, z = (1 / (1 + np.exp(-(from_x[k] + from_h[k]))) for k in (0, 1))
            state = [(1 - z) * h + z * np.maximum(from_x[2] + r * from_h[2], 0)]
        else:
            drive = drive + h @ own["recurrent.weight"].T + own["recurrent.bias"]
            if isinstance(cell, HebbianCell):
                for trial in range(len(h)):
                    drive[trial] += cell.gamma * state[1][trial] * min(max(float(state[1][trial] @ h[trial]), 0), 100)
            state = [np.maximum(drive, 0), h][: len(state)]
        states.append(state[0])
    return np.stack(states)


@pytest.mark.parametrize("scale", [1.0, 6.0])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_forward_equals_the_loop_over_step_and_the_equations(cell: str, held: bool, scale: float) -> None:
    model, inputs = network(cell), sequence(scale).requires_grad_()
    hold = some_held() if held else None
    state = random_state(model, scale)
    wanted = [*model.parameters(), inputs, *(h for one in state for h in one)]
    weights = sequence(n_channels=N_UNITS, seed=2)
    outcomes = []
    for run in (lambda: model(inputs, state, hold=hold), lambda: by_step(model, inputs, state, hold)):
        states, last = run()
        loss = (
            (states * weights).sum()
            + sum(h.square().sum() for h in last[0])
            + model.readout(states, "out").square().sum()
        )
        outcomes.append([states, *last[0], *torch.autograd.grad(loss, wanted)])
    for fast, plain in zip(*outcomes, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-11)
    if not held:
        expected = equations(model, inputs.detach().numpy(), [h.detach().numpy() for h in state[0]])
        np.testing.assert_allclose(outcomes[0][0].detach().numpy(), expected, rtol=1e-10, atol=1e-13)
        # A gated unit is never quite silent, because it forgets by degrees.
        assert (expected == 0).any() or cell == "relu_gru"


def test_overlaps_on_both_sides_of_their_limit_were_among_those_tested() -> None:
    model = network("hebbian")
    states, _ = model(sequence(6.0), random_state(model, 6.0))
    overlaps = (states[1:] * states[:-1]).sum(dim=-1)
    assert bool((overlaps > 100).any())
    assert bool(((overlaps > 0) & (overlaps < 100)).any())


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_gradcheck_of_every_parameter(cell: str, held: bool) -> None:
    model, inputs = network(cell), sequence()[:5].requires_grad_()
    hold = some_held()[:5] if held else None
    state = random_state(model)
    names, values = zip(*((name, one) for name, one in model.named_parameters() if "heads" not in name), strict=True)

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        parameters, start = rest[: len(names)], rest[len(names) :]
        own = dict(zip(names, parameters, strict=True))
        states, last = torch.func.functional_call(model, own, (x, (start,)), {"hold": hold})
        return states, *last[0]

    assert torch.autograd.gradcheck(run, (inputs, *values, *state[0]))


def clipped_loop(model: ReluRNN, inputs: Tensor, state: State, clip: float, hold: Tensor | None) -> Tensor:
    """Return the states of a loop in which hooks clip the gradients that the published code clips."""
    (cell,) = model.layers

    def clipped(z: Tensor) -> Tensor:
        z = z + 0
        z.register_hook(lambda gradient: gradient.clamp(-clip, clip))
        return z

    states = []
    for t, x in enumerate(inputs):
        h = state[0]
        if isinstance(cell, ReluGRUCell):
            from_x, from_h = clipped(cell.input(x)).chunk(3, 1), clipped(cell.recurrent(h)).chunk(3, 1)
            r, z = torch.sigmoid(from_x[0] + from_h[0]), torch.sigmoid(from_x[1] + from_h[1])
            moved: State = ((1 - z) * h + z * torch.relu(clipped(from_x[2] + r * from_h[2])),)
        else:
            assert isinstance(cell, ReluCell)
            drive = clipped(cell.recurrent(h) + cell.input(x))
            if isinstance(cell, HebbianCell):
                drive = drive + cell.gamma * (state[1] * h).sum(dim=1, keepdim=True).clamp(0, 100) * state[1]
            moved = (torch.relu(drive), h)[: len(state)]
        if hold is not None:
            moved = tuple(torch.where(hold[t][:, None], old, new) for old, new in zip(state, moved, strict=True))
        state = moved
        states.append(state[0])
    return torch.stack(states)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_clipped_at_every_step_as_by_hooks(cell: str, held: bool) -> None:
    clip, inputs, hold = 0.05, sequence().requires_grad_(), some_held() if held else None
    free, model = network(cell), network(cell, clip)
    wanted = [*model.cells.parameters(), inputs]
    weights = sequence(n_channels=N_UNITS, seed=2)
    state = random_state(model)
    found = torch.autograd.grad((model(inputs, state, hold=hold)[0] * weights).sum(), wanted)
    expected = torch.autograd.grad((clipped_loop(model, inputs, state[0], clip, hold) * weights).sum(), wanted)
    unclipped = torch.autograd.grad(
        (free(inputs, state, hold=hold)[0] * weights).sum(), [*free.cells.parameters(), inputs]
    )
    for one, other, without in zip(found, expected, unclipped, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        assert not torch.allclose(one, without, rtol=0.1)


@pytest.mark.parametrize("cell", CELLS)
def test_the_pure_step_does_not_clip(cell: str) -> None:
    model = network(cell, clip=1e-6)
    state = model.initial_state(N_BATCH)
    x = sequence()[0].requires_grad_()
    (gradient,) = torch.autograd.grad(model.hidden(model.step(x, state)).sum(), x)
    (expected,) = torch.autograd.grad(network(cell).step(x, state)[0][0].sum(), x)
    torch.testing.assert_close(gradient, expected)
    assert float(gradient.abs().max()) > 1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_a_held_step_is_as_if_it_were_not_there(cell: str) -> None:
    model, inputs = network(cell), sequence()
    hold = torch.zeros(N_STEPS, N_BATCH, dtype=torch.bool)
    hold[3:6] = True
    whole, last = model(inputs, hold=hold)
    short, end = model(inputs[[0, 1, 2, 6, 7]])
    torch.testing.assert_close(whole[[0, 1, 2, 6, 7]], short)
    torch.testing.assert_close(whole[3:6], whole[2].expand(3, -1, -1))
    torch.testing.assert_close(last, end)


@pytest.mark.parametrize("cell", CELLS)
def test_an_ablated_network_holds_its_state_too(cell: str) -> None:
    model, inputs, hold = network(cell), sequence(), some_held()
    twin = ablate(model, [1])
    state = twin.initial_state(N_BATCH)
    found, _ = twin(inputs, state, hold=hold)
    torch.testing.assert_close(found, by_step(twin, inputs, state, hold)[0])
    assert not found[..., 1].any()
    assert found[..., 2].any()


def test_two_biases_have_one_gradient() -> None:
    model = network("relu")
    (cell,) = model.layers
    assert isinstance(cell, ReluCell)
    states, _ = model(sequence())
    first, second = torch.autograd.grad(states.sum(), [cell.input.bias, cell.recurrent.bias])
    torch.testing.assert_close(first, second)


def test_recurrent_weights_start_as_a_diagonal_and_noise(generator: torch.Generator) -> None:
    W = near_identity(300, 0.9, 0.4, generator)
    assert W.diagonal().eq(0.9).all()
    off = W[~torch.eye(300, dtype=torch.bool)].double().numpy() * math.sqrt(300) / 0.4
    assert stats.kstest(off, "norm").pvalue > 1e-3
    # λ0 shifts the circle of the noise.
    assert float(torch.linalg.eigvals(W).abs().max()) == pytest.approx(0.9 + 0.4, rel=0.05)
    assert torch.equal(near_identity(3, 0.8, 0.0, generator), 0.8 * torch.eye(3))


def test_orthogonal_weights_are_uniform_over_rotations_and_reflections(generator: torch.Generator) -> None:
    W = scaled_orthogonal(40, 0.9, generator)
    torch.testing.assert_close(W @ W.t(), 0.81 * torch.eye(40), rtol=0, atol=tolerance(torch.float32, length=40))
    # Of a uniform orthogonal matrix of order 2, the first entry is the cosine of a uniform angle.
    entries = [float(scaled_orthogonal(2, 1.0, generator)[0, 0].clamp(-1, 1)) for _ in range(2000)]
    assert stats.kstest(np.arccos(entries), "uniform", (0, np.pi)).pvalue > 1e-3
    signs = [float(torch.linalg.det(scaled_orthogonal(2, 1.0, generator))) > 0 for _ in range(1000)]
    assert stats.binomtest(sum(signs), 1000).pvalue > 1e-3


@pytest.mark.parametrize(("cell", "gain"), [("relu", 0.95), ("hebbian", 0.95), ("relu_gru", 0.05)])
def test_input_and_readout_start_as_published(cell: str, gain: float, generator: torch.Generator) -> None:
    model = ReluRNN(200, n_inputs=100, n_outputs=2, cell=cell, generator=generator, lambda_0=0.9, sigma_0=0.2)
    own = model.layers[0]
    weights = own.get_parameter("input.weight").detach().double()
    for gate in weights.split(200):
        assert stats.kstest(gate.flatten().numpy() / (gain * math.sqrt(2 / 300)), "norm").pvalue > 1e-3
    readout = model.heads.linears[0]
    assert readout.weight.shape == (2, 200)
    assert float(readout.weight.detach().std()) == pytest.approx(gain * math.sqrt(2 / 202), rel=0.1)
    biases = [one for name, one in model.named_parameters() if name.endswith("bias")]
    assert len(biases) == {"relu_gru": 2}.get(cell, 3)
    assert all(not one.any() for one in biases)
    recurrent = list(recurrent_matrices(own).values())[-1]
    assert recurrent.shape == (200, 200)
    assert recurrent.diagonal().eq(0.9).all()
    if cell == "relu_gru":
        gates = own.get_parameter("recurrent.weight")[:400].detach()
        assert float(gates.std()) == pytest.approx(0.05 * math.sqrt(2 / 400), rel=0.02)


def test_glorot_is_for_both_directions(generator: torch.Generator) -> None:
    assert float(glorot_normal(900, 100, 2.0, generator).std()) == pytest.approx(2 * math.sqrt(2 / 1000), rel=0.02)
    assert glorot_normal(3, 2, 1.0, generator).shape == (2, 3)


@pytest.mark.parametrize("cell", CELLS)
def test_a_network_starts_silent_and_one_head_answers_whatever_is_asked(cell: str) -> None:
    model = network(cell, n_outputs=2)
    assert all(not h.any() for one in model.initial_state(4, torch.Generator()) for h in one)
    states, _ = model(sequence())
    assert model.readout(states[-3:], ["out"]).shape == (3, N_BATCH, 1, 2)
    assert torch.equal(model.readout(states, "out"), model.readout(states, "N9"))


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_gives_the_same_network_and_float32(cell: str) -> None:
    a, b, c = (ReluRNN(6, generator=torch.Generator().manual_seed(seed), cell=cell, sigma_0=0.1) for seed in (0, 0, 1))
    assert all(torch.equal(one, other) for one, other in zip(a.parameters(), b.parameters(), strict=True))
    weights = [model.layers[0].get_parameter("recurrent.weight") for model in (a, c)]
    assert not torch.equal(*weights)
    assert {one.dtype for one in a.parameters()} == {torch.float32}


@pytest.mark.parametrize("cell", CELLS)
def test_noise_enters_where_the_equation_says(cell: str) -> None:
    model = network(cell)
    state, x = random_state(model), sequence()[0]
    noise = sequence(0.5, N_UNITS)[1]
    quiet, loud = model.step(x, state), model.step(x, state, noise)
    if cell == "relu_gru":
        torch.testing.assert_close(loud[0][0], quiet[0][0] + noise)
    else:
        shifted = model.step(x, state, noise + 100)[0][0] - 100
        torch.testing.assert_close(loud[0][0], shifted.clamp(min=0))


def test_a_gated_unit_keeps_what_its_update_gate_does_not_replace() -> None:
    model = network("relu_gru")
    state, x = random_state(model), sequence()[0]
    kept = model.retention(x, state)
    assert kept is not None
    # With the candidate silenced, nothing else is left of h.
    with torch.no_grad():
        model.layers[0].get_parameter("input.bias")[2 * N_UNITS :] = -1e6
    torch.testing.assert_close(model.step(x, state)[0][0], kept * state[0][0])
    assert network("relu").retention(x, random_state(network("relu"))) is None


@pytest.mark.parametrize("cell", CELLS)
def test_analyses_that_differentiate_the_step_run_on_it(cell: str) -> None:
    result = lyapunov(network(cell).float(), 2, n_trials=1, n_steps=5, burn_in=2)
    assert result.exponents.shape == (1, 2)


def test_without_hebbian_plasticity_the_two_are_one() -> None:
    plain, hebbian = network("relu"), network("hebbian", gamma=0.0)
    torch.testing.assert_close(plain(sequence())[0], hebbian(sequence())[0])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"cell": "rulu"}, "cell 'rulu' is unknown: expected one of relu, hebbian, relu_gru; did you mean 'relu'?"),
        ({"start": "diag"}, "start 'diag' is unknown: expected one of diagonal, orthogonal"),
        ({"sigma_0": -0.1}, "sigma_0 is -0.1: expected at least 0.0"),
        ({"lambda_0": math.nan}, "lambda_0 is nan and sigma_0 0.0: expected finite numbers"),
        ({"start": "orthogonal", "sigma_0": 0.1}, "sigma_0 is 0.1: expected 0 with start 'orthogonal'"),
        ({"n_units": 0}, "number of units is 0: expected at least 1"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], line: str, generator: torch.Generator) -> None:
    with pytest.raises(InputError) as caught:
        ReluRNN(**({"n_units": 4, "generator": generator} | options))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [ReluCell, HebbianCell, ReluGRUCell])
def test_orthogonal_starts_are_those_of_every_cell(make: Callable[..., ReluCell], generator: torch.Generator) -> None:
    *_, W = recurrent_matrices(make(2, 6, generator, lambda_0=0.9, start="orthogonal")).values()
    torch.testing.assert_close(W @ W.t(), 0.81 * torch.eye(6), rtol=0, atol=tolerance(torch.float32, length=6))
