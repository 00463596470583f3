"""What a model makes of its cells, on networks whose states are known in closed form."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch

from problems import Accumulator, LinearCell, delay_line, linear_model, linear_states
from tauscope import Heads, InputError, LeakyRNN, Model, build_model
from tauscope.models import Loop
from tauscope.models.weights import sharing_copy


def linear_problem(seed: int = 0) -> tuple[Model, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a random linear network of four units with its W, V, an initial state and an input."""
    rng = np.random.default_rng(seed)
    W, V = rng.standard_normal((4, 4)) / 2, rng.standard_normal((4, 2))
    return linear_model(W, V), W, V, rng.standard_normal((3, 4)), rng.standard_normal((6, 3, 2))


def stack(n_layers: int, skip_input: bool, n_units: int = 3) -> Model:
    """Return a stack of linear layers in float64."""
    generator = torch.Generator().manual_seed(3)
    sizes = [2] + [n_units + 2 * skip_input] * (n_layers - 1)
    cells = [LinearCell(n_inputs, n_units, generator) for n_inputs in sizes]
    return Model(cells, Heads(n_units, ["N2", "N3", "N4", "N5"], 2, False, generator), skip_input).double()


def test_a_users_cell_runs_as_its_closed_form_says() -> None:
    model, W, V, initial, inputs = linear_problem()
    states, last = model(torch.from_numpy(inputs), ((torch.from_numpy(initial),),))
    expected = linear_states(W, V, initial, inputs)
    np.testing.assert_allclose(states.detach().numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(last[0][0].detach().numpy(), expected[-1], rtol=1e-10)


def test_the_gradient_of_a_linear_network_is_a_power_of_its_matrix() -> None:
    model, W, _, initial, inputs = linear_problem()
    start = torch.from_numpy(initial).requires_grad_()
    _, last = model(torch.from_numpy(inputs), ((start,),))
    (gradient,) = torch.autograd.grad(last[0][0][:, 1].sum(), start)
    expected = np.linalg.matrix_power(W, len(inputs))[1]
    np.testing.assert_allclose(gradient.numpy(), np.tile(expected, (3, 1)), rtol=1e-10)


def test_a_delay_line_repeats_its_input(generator: torch.Generator) -> None:
    inputs = torch.randn(10, 2, 1, generator=generator, dtype=torch.float64)
    states, _ = delay_line(4)(inputs)
    # Bit for bit: sums of one number times 1 and others times 0 are exact, in whatever order.
    for t in range(10):
        for i in range(4):
            assert torch.equal(states[t, :, i], inputs[t - i, :, 0] if t >= i else torch.zeros(2, dtype=torch.float64))


def test_a_cell_without_parameters_runs() -> None:
    model = Model([Accumulator(1, 1)], Heads(1, ["N2"], 2, False, torch.Generator().manual_seed(0)))
    states, _ = model(torch.arange(1.0, 6.0)[:, None, None])
    assert states.flatten().tolist() == [1.0, 3.0, 6.0, 10.0, 15.0]


@pytest.mark.parametrize("skip_input", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_layers_feed_each_other_within_a_step(n_layers: int, skip_input: bool, generator: torch.Generator) -> None:
    model = stack(n_layers, skip_input)
    inputs = torch.randn(5, 2, 2, generator=generator, dtype=torch.float64)
    states, last = model(inputs)
    h = [np.zeros((2, 3)) for _ in range(n_layers)]
    for t in range(5):
        below = x = inputs[t].numpy()
        for depth, cell in enumerate(model.layers):
            W, V = (one.detach().numpy() for one in cell.parameters())
            below = np.concatenate([below, x], axis=1) if depth and skip_input else below
            below = h[depth] = h[depth] @ W.T + below @ V.T
        np.testing.assert_allclose(states[t].detach().numpy(), np.concatenate(h, axis=1), rtol=1e-10)
    assert model.n_units == 3 * n_layers
    assert torch.equal(model.hidden(last), states[-1])


@pytest.mark.parametrize("skip_input", [False, True])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_forward_equals_the_loop_over_step(n_layers: int, skip_input: bool, generator: torch.Generator) -> None:
    model = stack(n_layers, skip_input)
    inputs = torch.randn(5, 2, 2, generator=generator, dtype=torch.float64)
    states, _ = model(inputs)
    state = model.initial_state(2)
    for t, x in enumerate(inputs):
        state = model.step(x, state)
        torch.testing.assert_close(model.hidden(state), states[t], rtol=1e-12, atol=0)


@pytest.mark.parametrize("cell", ["leaky", "gru", "lstm", "problems:LinearCell"])
def test_a_state_carries_a_sequence_on(cell: str, generator: torch.Generator) -> None:
    model = build_model(cell, [4, 4], generator=generator).double()
    inputs = torch.randn(7, 3, 1, generator=generator, dtype=torch.float64)
    state = model.initial_state(3, generator)
    whole, end = model(inputs, state)
    first, between = model(inputs[:3], state)
    second, last = model(inputs[3:], between)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(last, end, rtol=1e-12, atol=1e-14)


def test_noise_reaches_each_layer_as_its_own_part(generator: torch.Generator) -> None:
    model = stack(2, skip_input=False)
    x = torch.randn(2, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    state = model.initial_state(2)
    quiet, noisy = (model.hidden(model.step(x, state, one)) for one in (None, noise))
    top = model.layers[1].get_parameter("input")
    torch.testing.assert_close(noisy[:, :3] - quiet[:, :3], noise[:, :3])
    torch.testing.assert_close(noisy[:, 3:] - quiet[:, 3:], noise[:, 3:] + noise[:, :3] @ top.t())


@pytest.mark.parametrize("cell", ["leaky", "gru", "lstm", "problems:LinearCell"])
def test_held_steps_are_as_if_they_had_not_been(cell: str, generator: torch.Generator) -> None:
    model = build_model(cell, [4, 4], generator=generator).double()
    inputs = torch.randn(9, 5, 1, generator=generator, dtype=torch.float64)
    hold = torch.rand(9, 5, generator=generator) < 0.4
    state = model.initial_state(5, generator)
    states, last = model(inputs, state, hold=hold)
    start = model.hidden(state)
    for i in range(5):
        alone = tuple(tuple(one[i : i + 1] for one in layer) for layer in state)
        kept, end = model(inputs[~hold[:, i], i : i + 1], alone)
        torch.testing.assert_close(states[~hold[:, i], i], kept[:, 0], rtol=1e-12, atol=1e-14)
        for layer, expected in zip(last, end, strict=True):
            torch.testing.assert_close(tuple(one[i : i + 1] for one in layer), expected, rtol=1e-12, atol=1e-14)
    for t, held in enumerate(hold):
        previous = states[t - 1] if t else start
        assert torch.equal(states[t][held], previous[held])
        assert not torch.equal(states[t][~held], previous[~held])


def test_holding_nothing_changes_nothing_and_holding_all_keeps_the_state(generator: torch.Generator) -> None:
    model = LeakyRNN(6, generator=generator).double()
    inputs = torch.randn(5, 3, 1, generator=generator, dtype=torch.float64)
    state = model.initial_state(3, generator)
    free, _ = model(inputs, state)
    torch.testing.assert_close(
        model(inputs, state, hold=torch.zeros(5, 3, dtype=torch.bool))[0], free, rtol=1e-12, atol=1e-14
    )
    held, last = model(inputs, state, hold=torch.ones(5, 3, dtype=torch.bool))
    assert torch.equal(held, model.hidden(state).expand(5, 3, 6))
    assert torch.equal(last[0][0], state[0][0])


def test_gradients_pass_through_held_steps() -> None:
    model, W, _, initial, inputs = linear_problem()
    start = torch.from_numpy(initial).requires_grad_()
    hold = torch.tensor([0, 1, 1, 0, 1, 0], dtype=torch.bool)[:, None].expand(6, 3)
    _, last = model(torch.from_numpy(inputs), ((start,),), hold=hold)
    (gradient,) = torch.autograd.grad(last[0][0][:, 2].sum(), start)
    np.testing.assert_allclose(gradient[0].numpy(), np.linalg.matrix_power(W, 3)[2], rtol=1e-10)


def test_heads_read_the_top_layer_alone(generator: torch.Generator) -> None:
    model = stack(2, skip_input=False)
    states = torch.randn(4, 2, 6, generator=generator, dtype=torch.float64)
    logits = model.readout(states, ["N2", "N4"])
    torch.testing.assert_close(logits, model.heads(states[..., 3:], ["N2", "N4"]))
    states[..., :3] = 0
    assert torch.equal(model.readout(states, ["N2", "N4"]), logits)


def test_without_a_state_the_mean_initial_state_is_taken(generator: torch.Generator) -> None:
    model = LeakyRNN([4, 4], generator=generator)
    inputs = torch.randn(3, 2, 1, generator=generator)
    assert torch.equal(model(inputs)[0], model(inputs)[0])
    assert torch.equal(model(inputs)[0], model(inputs, model.initial_state(2))[0])


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2), (5, 3, 1, 1), (3,)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...], generator: torch.Generator) -> None:
    model = LeakyRNN(4, generator=generator)
    with pytest.raises(InputError, match=r"inputs have shape \(.*\): expected \[time, batch, 1\]"):
        model(torch.zeros(shape))


def test_tau_covers_all_layers_or_none(generator: torch.Generator) -> None:
    model = LeakyRNN([3, 3], generator=generator)
    assert model.tau is not None
    assert torch.equal(model.tau, torch.cat([cell.tau for cell in model.layers if cell.tau is not None]))
    mixed = Model([model.layers[0], LinearCell(3, 3, generator)], model.heads)
    assert mixed.tau is None


def test_a_sharing_copy_has_attributes_of_its_own_and_shares_parameters(generator: torch.Generator) -> None:
    cell = LinearCell(1, 3, generator)
    twin = cast(LinearCell, sharing_copy(cell))
    assert twin.recurrent is cell.recurrent
    twin.n_units = 99
    twin.recurrent = torch.nn.Parameter(torch.zeros(3, 3))
    assert cell.n_units == 3
    assert cell.recurrent.abs().sum() > 0


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (lambda cell, heads: (cell, heads), "cells is of type LinearCell: expected a list of cells"),
        (lambda _, heads: ([], heads), "number of layers is 0: expected at least 1"),
        (lambda _, heads: ([LinearCell], heads), "a layer is the class LinearCell itself: expected a tauscope Cell"),
        (
            lambda _, heads: ([torch.nn.GRU(1, 4, device="meta")], heads),
            "a layer is of type GRU: expected a tauscope Cell",
        ),
        (
            lambda cell, _: ([cell], torch.nn.Linear(4, 2, device="meta")),
            "heads is of type Linear: expected tauscope Heads",
        ),
        (lambda cell, _: ([cell], None), "heads is of type NoneType: expected tauscope Heads"),
        (lambda cell, heads: (heads, [cell]), "cells is of type Heads: expected a list of cells"),
        (lambda cell, heads: ([cell, cell], heads), "a layer has 1 inputs: expected 4"),
        (lambda cell, heads: ([cell], heads, False, torch.nn.Linear), "start is the class Linear itself: expected"),
    ],
)
def test_parts_that_make_no_network_are_refused(parts: Any, line: str, generator: torch.Generator) -> None:
    cell, heads = LinearCell(1, 4, generator), Heads(4, ["out"], 2, False, generator)
    with pytest.raises(InputError, match=f"^{line}"):
        Model(*parts(cell, heads))


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (lambda h: h, "state is a Tensor, the network has 1: expected a tuple of tensors for each layer"),
        (lambda h: (h,), "the state of a layer is a Tensor: expected a tuple"),
        (lambda h: ((h,), (h,)), "state is a tuple of 2, the network has 1"),
        (lambda h: ((h[:1],),), r"the state of a layer has shape \(1, 4\): expected \(2, 4\)"),
        (lambda h: ((h[:, :1],),), r"the state of a layer has shape \(2, 1\): expected \(2, 4\)"),
        (lambda h: ((h.numpy(),),), "the state of a layer is a tuple: expected a tuple of tensors"),
        (lambda _: ((),), "the state of a layer has 0 tensors, not 1"),
    ],
)
def test_what_is_no_state_is_refused(state: Any, line: str) -> None:
    model = LeakyRNN(4, generator=torch.Generator())
    with pytest.raises(InputError, match=f"^{line}"):
        model(torch.zeros(3, 2, 1), state(torch.zeros(2, 4)))


def test_a_state_of_lists_is_one(generator: torch.Generator) -> None:
    model, inputs = LeakyRNN(4, generator=generator), torch.ones(3, 2, 1)
    (layer,) = model.initial_state(2, generator)
    assert torch.equal(model(inputs, [list(layer)])[0], model(inputs, (layer,))[0])


def test_an_lstm_needs_two_tensors() -> None:
    model = build_model("lstm", 4, generator=torch.Generator())
    with pytest.raises(InputError, match="the state of a layer has 1 tensors, not 2"):
        model(torch.zeros(3, 2, 1), ((torch.zeros(2, 4),),))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_inputs_in_another_precision_are_refused_by_name(cell: str) -> None:
    model = build_model(cell, 4, generator=torch.Generator())
    with pytest.raises(InputError, match=r"^inputs are torch.float64 on cpu: expected torch.float32 on cpu"):
        model(torch.zeros(3, 2, 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"inputs": np.zeros((3, 2, 1))}, "inputs is of type ndarray: expected a tensor"),
        ({"inputs": [[[0.0]]]}, "inputs is of type list: expected a tensor"),
        ({"inputs": torch.zeros(0, 2, 1)}, "number of steps is 0: expected at least 1"),
        ({"noise": torch.zeros(3, 2, 3)}, r"noise has shape \(3, 2, 3\): expected \(3, 2, 4\)"),
        ({"noise": 1.0}, "noise is of type float: expected a tensor"),
        ({"hold": torch.zeros(3, dtype=torch.bool)}, r"hold has shape \(3,\): expected \(3, 2\)"),
        ({"hold": torch.zeros(3, 2)}, "hold is of torch.float32: expected truth values"),
        ({"first": -1}, "first is -1: expected at least 0"),
        ({"first": 4}, "first is 4: expected at most 3"),
        ({"solver": Loop}, "solver is the class Loop itself: expected an instance"),
        ({"solver": "loop"}, "solver is of type str: expected an instance"),
    ],
)
def test_what_no_sequence_is_solved_with_is_refused(options: dict[str, Any], line: str) -> None:
    model = LeakyRNN(4, generator=torch.Generator())
    with pytest.raises(InputError, match=f"^{line}"):
        model.solve(**({"inputs": torch.zeros(3, 2, 1)} | options))
