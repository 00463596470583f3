"""Networks leave the package: exported steps, copies, saved weights, all of them the network that they came from."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor, nn

from cells import NETWORKS, network
from rounding import tolerance
from tauscope import Model
from tauscope.models import State

B, T = 3, 4


class Step(nn.Module):
    """One step with its read-out, as it is exported."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, state: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        state = self.model.step(x, state)
        return self.model.readout(self.model.hidden(state), self.model.heads.names[0]), state


def inputs_of(model: Model) -> Tensor:
    return torch.randn(T, B, model.n_inputs, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def assert_same(one: Model, other: Model) -> None:
    found = [model(inputs_of(model), model.initial_state(B)) for model in (one, other)]
    # The same calls on the same shapes.
    assert all(torch.equal(a, b) for a, b in zip(*(_flat(states, last) for states, last in found), strict=True))


def _flat(states: Tensor, last: tuple[State, ...]) -> list[Tensor]:
    return [states, *(part for layer in last for part in layer)]


@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_step_run_alone_equals_the_network(name: str) -> None:
    model = network(name)
    inputs, state = inputs_of(model), model.initial_state(B)
    program = torch.export.export(Step(model), (inputs[0], state))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    step = torch.export.load(file).module()
    states, last = model(inputs, state)
    for x, expected in zip(inputs, states, strict=True):
        logits, state = step(x, state)
        hidden = model.hidden(state)
        torch.testing.assert_close(hidden, expected, rtol=tolerance(torch.float64, 10, T), atol=1e-13)
        torch.testing.assert_close(logits, model.readout(hidden, model.heads.names[0]), rtol=1e-12, atol=1e-13)
    for found, expected in zip(_flat(states, state), _flat(states, last), strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance(torch.float64, 10, T), atol=1e-13)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_deep_copy_is_the_network_with_weights_of_its_own(name: str) -> None:
    model = network(name)
    model(inputs_of(model))[0].sum()
    twin = copy.deepcopy(model)
    assert_same(model, twin)
    before = model(inputs_of(model))[0].detach().clone()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    assert torch.equal(model(inputs_of(model))[0], before)


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_weights_make_another_network_the_same(name: str) -> None:
    model, other = network(name), NETWORKS[name](torch.Generator().manual_seed(9)).double()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    # What is not kept as a weight: a resolution, a state of rest.
    assert_same(model, other)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_package_saved_whole_is_the_network(name: str) -> None:
    model = network(name)
    if name == "wrapped":
        pytest.skip("a function of the tests, which no file can hold")
    model(inputs_of(model))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert_same(model, torch.load(file, weights_only=False))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("lstm", ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"]),
        ("relu_gru", ["input.weight", "input.bias", "recurrent.weight"]),
    ],
)
def test_the_names_of_gated_weights_are_those_of_earlier_checkpoints(name: str, keys: list[str]) -> None:
    assert [key.removeprefix("cells.0.") for key in network(name).state_dict() if key.startswith("cells")] == keys
