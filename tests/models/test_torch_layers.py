"""Recurrent modules of torch, against torch's own sequences and gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tauscope import InputError, Parity, load, run, save, wrap
from tauscope.models import Loop

LAYERS: tuple[Any, ...] = (nn.RNN, nn.GRU, nn.LSTM)


def inputs(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(7, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.fixture(autouse=True)
def seeded() -> Any:
    """Torch's modules draw their weights from the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_layers_compute_what_torch_does_and_share_its_parameters(
    kind: Any, n_layers: int, batch_first: bool, bias: bool
) -> None:
    module = kind(2, 5, n_layers, batch_first=batch_first, bias=bias).double()
    model, x = wrap(module, 2, 5), inputs()
    expected = module(x.transpose(0, 1))[0].transpose(0, 1) if batch_first else module(x)[0]
    expected.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in module.parameters()]
    for solver in (None, Loop()):
        module.zero_grad()
        generator = torch.Generator().manual_seed(0)
        trace = run(model, x, generator) if solver is None else run(model, x, generator, solver=solver)
        assert trace.states.shape == (7, 3, 5 * n_layers)
        torch.testing.assert_close(trace.states[..., -5:], expected, rtol=1e-10, atol=1e-12)
        trace.states[..., -5:].square().sum().backward()
        for parameter, gradient in zip(module.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)


def test_a_rectified_elman_network_is_one() -> None:
    module = nn.RNN(2, 5, nonlinearity="relu").double()
    torch.testing.assert_close(wrap(module, 2, 5)(inputs())[0], module(inputs())[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
@pytest.mark.parametrize("bias", [True, False])
def test_torchs_cells_are_iterated(kind: Any, bias: bool) -> None:
    module, state, expected = kind(2, 5, bias=bias).double(), None, []
    for x in inputs():
        state = module(x, state)
        expected.append(state[0] if isinstance(state, tuple) else state)
    torch.testing.assert_close(wrap(module, 2, 5)(inputs())[0], torch.stack(expected), rtol=1e-10, atol=1e-12)


def test_precision_is_that_of_the_module() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert wrap(nn.GRU(1, 4, dtype=dtype), 1, 4).initial_state(1)[0][0].dtype == dtype


def test_dropout_that_is_off_is_none() -> None:
    module = nn.LSTM(2, 5, 2, dropout=0.5).eval()
    torch.testing.assert_close(wrap(module, 2, 5)(inputs(torch.float32))[0][..., 5:], module(inputs(torch.float32))[0])


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: nn.GRU(1, 8, bidirectional=True), "the GRU is bidirectional: expected"),
        (lambda: nn.LSTM(1, 8, proj_size=3), "the LSTM projects its state to 3 units: expected proj_size=0"),
        (lambda: nn.RNN(1, 8, 2, dropout=0.3), "the RNN drops out 0.3 of its units: expected dropout=0, or .eval()"),
        (lambda: nn.GRU(1, 9), "a GRU of 1 inputs and 9 units: expected n_inputs=1, n_units=9, not 1 and 8"),
        (lambda: nn.LSTMCell(2, 8), "a LSTMCell of 2 inputs and 8 units: expected n_inputs=2"),
        (
            lambda: nn.utils.parametrizations.weight_norm(nn.GRU(1, 8), "weight_hh_l0"),
            "the weights of the ParametrizedGRU are computed by hooks",
        ),
        (
            lambda: nn.utils.prune.l1_unstructured(nn.GRU(1, 8), "weight_hh_l0", 3),
            "the weights of the GRU are computed by hooks",
        ),
        (lambda: nn.GRU, "step is the class GRU itself: expected a module"),
    ],
)
def test_what_is_no_such_layer_is_refused(make: Any, line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}"):
        wrap(make(), 1, 8)


def test_an_initial_state_is_not_torchs() -> None:
    with pytest.raises(InputError, match="an initial state for a GRU: expected none"):
        wrap(nn.GRU(1, 8), 1, 8, initial=torch.zeros(8))


def test_a_subclass_may_compute_something_else() -> None:
    class Reset(nn.GRU):
        def forward(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
            return torch.zeros_like(h) * x.sum()

    assert not wrap(Reset(2, 5), 2, 5)(inputs(torch.float32))[0].any()


def test_a_layer_knows_its_sizes_and_is_read_out_by_a_linear_layer() -> None:
    module, linear = nn.GRU(2, 5, 2), nn.Linear(5, 3)
    model = wrap(module, heads=linear)
    assert (model.n_inputs, model.n_units) == (2, 10)
    states, _ = model(inputs(torch.float32))
    for name in ("N2", "anything"):
        torch.testing.assert_close(model.readout(states, name), linear(module(inputs(torch.float32))[0]))
    assert {id(parameter) for parameter in linear.parameters()} <= {id(parameter) for parameter in model.parameters()}


def test_linear_layers_by_name_are_the_heads_of_those_names() -> None:
    linears = {"left": nn.Linear(5, 3, bias=False), "right": nn.Linear(5, 3, bias=False)}
    model = wrap(nn.RNN(2, 5), heads=linears)
    states, _ = model(inputs(torch.float32))
    torch.testing.assert_close(model.readout(states, "right"), linears["right"](states))
    with pytest.raises(InputError, match="no head 'middle'"):
        model.readout(states, "middle")


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (nn.Linear(4, 3), "reads 4 units: expected 5"),
        ({"a": nn.Linear(5, 3), "b": nn.Linear(5, 2)}, "head 'b' has 2 outputs"),
        ({"a": nn.Linear(5, 3), "b": nn.Linear(5, 3, bias=False)}, "with biases or without"),
        ({}, "no heads"),
        (nn.Tanh(), "heads is of type Tanh: expected tauscope Heads, or layers torch.nn.Linear"),
    ],
)
def test_heads_that_do_not_fit_are_refused(heads: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrap(nn.GRU(2, 5), heads=heads)


def test_a_saved_network_of_torch_comes_back_with_its_read_out(tmp_path: Path) -> None:
    model = wrap(nn.LSTM(1, 5), heads=nn.Linear(5, 2))
    save(model, tmp_path / "mine", task=Parity([2, 3]))
    again, x = load(tmp_path / "mine"), inputs(torch.float32)[..., :1]
    for one in (model, again):
        assert one.readout(one(x)[0], "N3").shape == (7, 3, 2)
    torch.testing.assert_close(again.readout(again(x)[0], "N3"), model.readout(model(x)[0], "N3"))


def test_weights_come_from_safetensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    module, other = nn.GRU(2, 5), nn.GRU(2, 5)
    safetensors.save_model(module, str(tmp_path / "weights.safetensors"))
    safetensors.load_model(other, str(tmp_path / "weights.safetensors"))
    torch.testing.assert_close(wrap(other)(inputs(torch.float32))[0], module(inputs(torch.float32))[0])
