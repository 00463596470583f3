from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tauscope import Heads, InputError, Parity, evaluate, run
from tauscope.models.wrapped import WrappedCell, wrap


def test_the_function_is_iterated_from_the_given_state() -> None:
    model = wrap(lambda x, h: 0.5 * h + x, 1, 2, initial=torch.tensor([1.0, 2.0]))
    states, _ = model(torch.tensor([1.0, 0.0]).reshape(2, 1, 1).expand(2, 3, 1))
    assert states[:, 0].tolist() == [[1.5, 2.0], [0.75, 1.0]]
    assert torch.equal(states[:, 0], states[:, 2])


def test_noise_is_added_to_the_new_state() -> None:
    cell = WrappedCell(lambda x, h: h + x, 1, 1)
    (h,) = cell.step(torch.ones(1, 1), (torch.ones(1, 1),), noise=torch.full((1, 1), 0.25))
    assert h.item() == 2.25


def test_parameters_of_a_module_are_the_networks() -> None:
    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(0.5))

        def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
            return self.gain * h + x

    assert [name for name, _ in wrap(Step(), 1, 3).named_parameters()] == ["cells.0.function.gain"]


def test_precision_is_that_of_the_initial_state() -> None:
    model = wrap(lambda x, h: h + x, 1, 1, initial=torch.zeros(1, dtype=torch.float64))
    assert model.initial_state(2)[0][0].dtype == torch.float64


def test_a_network_with_heads_answers(generator: torch.Generator) -> None:
    model = wrap(lambda x, h: h + x, 1, 3, heads=Heads(3, ["N2"], 2, False, generator))
    assert 0 <= evaluate(model, Parity([2]), [2], n_sequences=8, generator=generator).item() <= 1


def test_without_heads_a_question_is_refused() -> None:
    with pytest.raises(InputError, match="no head 'N2': the network has no read-outs"):
        wrap(lambda _, h: h, 1, 3).readout(torch.zeros(1, 3), "N2")


def test_a_step_that_changes_the_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"state of shape \(2, 1\): expected \(2, 3\)"):
        wrap(lambda _, h: h[:, :1], 1, 3)(torch.zeros(1, 2, 1))


def test_an_initial_state_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(2,\): expected \(3,\)"):
        wrap(lambda _, h: h, 1, 3, initial=torch.zeros(2))


class Memory(torch.nn.Module):
    """A step of a module, with something behind it that training switches on."""

    def __init__(self, behind: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((3, 3), 0.1))
        self.behind = torch.nn.Identity() if behind is None else behind

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(self.behind(h @ self.weight + x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_is_that_of_the_module(dtype: torch.dtype, generator: torch.Generator) -> None:
    model = wrap(Memory().to(dtype), 1, 3)
    assert run(model, torch.ones(4, 2, 1), generator).states.dtype == dtype
    assert wrap(Memory().to(dtype), 1, 3, initial=torch.zeros(3, dtype=dtype)).initial_state(1)[0][0].dtype == dtype


def in_place(x: Tensor, h: Tensor) -> Tensor:
    h += x
    return h


class Growing:
    """A step that remembers more than its state."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor, h: Tensor) -> Tensor:
        self.calls += 1
        return h + x * self.calls


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Memory(torch.nn.Dropout(0.5)), "the step draws from torch's global generator"),
        (lambda x, h: torch.nn.functional.dropout(h + x), "the step draws from torch's global generator"),
        (lambda x, h: h + x + torch.randn(3), "the step draws from torch's global generator"),
        (Memory(torch.nn.BatchNorm1d(3)), "the step changes its input, its state or a buffer in place"),
        (in_place, "the step changes its input, its state or a buffer in place"),
        (lambda _, h: h.clamp_(min=-9), "the step changes its input, its state or a buffer in place"),
        (lambda x, h: h + x.mul_(1), "the step changes its input, its state or a buffer in place"),
        (Growing(), "the step gives another state when it is called again"),
        (lambda x, h: (h + x, h), "the step returned a tuple: expected a tensor"),
        (lambda _x, _h: None, "the step returned a NoneType: expected a tensor"),
        (lambda _x, h: h.numpy(), "the step returned a ndarray: expected a tensor"),
        (lambda _x, h: h.sum(), r"the step returned a state of shape \(\): expected \(2, 3\)"),
        (lambda x, h: h + x.double(), "the step returned float64 on cpu for a state in float32"),
        (lambda _, h: h @ torch.eye(3, dtype=torch.float64), r"the step fails on x \(2, 1\) and h \(2, 3\) in float32"),
        (torch.nn.Linear(1, 3), r"the step fails on x \(2, 1\) and h \(2, 3\) .*TypeError"),
        (lambda h: h, r"the step fails on x \(2, 1\) and h \(2, 3\) .*TypeError"),
        (Memory, "step is the class Memory itself: expected a module"),
        ("gru", "step is of type str: expected a module"),
    ],
)
def test_what_is_no_pure_step_is_refused_at_the_door(step: Any, line: str) -> None:
    before = torch.get_rng_state()
    with pytest.raises(InputError, match=f"^{line}") as caught:
        wrap(step, 1, 3)
    assert "\n" not in str(caught.value)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_module_that_is_looked_at_keeps_its_buffers() -> None:
    module = Memory(torch.nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(InputError, match="in place"):
        wrap(module, 1, 3)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("behind", [torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(3)])
def test_what_is_pure_only_in_evaluation_stays_there(behind: torch.nn.Module) -> None:
    model = wrap(Memory(behind).eval(), 1, 3)
    assert torch.equal(model(torch.ones(4, 2, 1))[0], model(torch.ones(4, 2, 1))[0])
    with pytest.raises(InputError, match=r"expected a pure function"):
        model.train()
    assert wrap(Memory(), 1, 3).train().training


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"n_units": 3.0}, "number of units is 3.0: expected a whole number of at least 1"),
        ({"n_units": -3}, "number of units is -3: expected at least 1"),
        ({"n_inputs": -1}, "number of inputs is -1: expected at least 0"),
        ({"initial": [0.0, 0.0, 0.0]}, r"the initial state is of type list: expected a tensor \[3\]"),
        ({"initial": torch.zeros(3, dtype=torch.long)}, "the initial state is of int64: expected real numbers"),
        ({"heads": torch.nn.Tanh()}, "heads is of type Tanh: expected tauscope Heads, or layers torch.nn.Linear"),
        ({"heads": Heads}, "heads is the class Heads itself: expected tauscope Heads"),
        ({"heads": Heads(4, ["out"], 2, False, torch.Generator())}, "heads read 4 units: expected 3"),
    ],
)
def test_what_does_not_go_with_a_step_is_refused(options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}"):
        wrap(lambda x, h: h + x, **({"n_inputs": 1, "n_units": 3} | options))


def test_an_exported_program_is_a_step() -> None:
    class Relaxing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(0.5))

        def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.gain * h + x)

    module, sizes = Relaxing(), {0: torch.export.Dim.AUTO}
    program = torch.export.export(module, (torch.zeros(3, 4), torch.zeros(3, 4)), dynamic_shapes=(sizes, sizes))
    x = torch.linspace(-1, 1, 40).reshape(5, 2, 4)
    model = wrap(program, 4, 4).eval().train()
    torch.testing.assert_close(model(x)[0], wrap(module, 4, 4)(x)[0])
    assert [parameter.item() for parameter in model.parameters()] == [0.5]
    fixed = torch.export.export(module, (torch.zeros(3, 4), torch.zeros(3, 4)))
    with pytest.raises(InputError, match="the step fails on x"):
        wrap(fixed, 4, 4)
