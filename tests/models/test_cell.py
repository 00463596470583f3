"""What a cell is before it says anything of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tauscope import Cell, Heads, InputError, Model, run
from tauscope.models import State


def test_a_cell_needs_a_step() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Cell(1, 2)  # type: ignore[abstract]


class Counting(Cell):
    """A cell whose state has two parts: the sum of its input, and the number of steps or the sum of the noise."""

    n_states = 2

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        return state[0] + x, state[1] + (1 if noise is None else noise)


def test_initial_states_have_as_many_zero_parts_as_the_cell_asks() -> None:
    state = Counting(1, 3).initial_state(4)
    assert [one.shape for one in state] == [(4, 3), (4, 3)]
    assert not any(one.any() for one in state)


class Mixed(Cell):
    """A cell with numbers of several kinds."""

    def __init__(self, parameters: list[torch.dtype], buffers: list[torch.dtype]) -> None:
        super().__init__(1, 2)
        for i, dtype in enumerate(buffers):
            self.register_buffer(f"buffer{i}", torch.ones(2, dtype=dtype))
        for i, dtype in enumerate(parameters):
            self.register_parameter(f"parameter{i}", nn.Parameter(torch.ones(2, dtype=dtype)))

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        del noise
        return (state[0] + x,)


@pytest.mark.parametrize(
    ("parameters", "buffers", "expected"),
    [
        ([torch.float64], [], torch.float64),
        ([torch.float32, torch.float64], [], torch.float64),
        ([torch.float64, torch.float32], [], torch.float64),
        ([torch.bfloat16, torch.float32], [], torch.float32),
        ([torch.float32], [torch.bool], torch.float32),
        ([torch.float32], [torch.float64], torch.float32),
        ([], [torch.bool, torch.float64], torch.float64),
        ([], [torch.bool, torch.int64], torch.float32),
        ([], [], torch.float32),
        ([torch.float32, torch.complex64], [torch.bool], torch.complex64),
        ([torch.complex128], [], torch.complex128),
    ],
)
def test_states_are_of_what_is_computed_with(
    parameters: list[torch.dtype], buffers: list[torch.dtype], expected: torch.dtype, generator: torch.Generator
) -> None:
    model = Model([Mixed(parameters, buffers)], Heads(2, ["out"], 2, False, generator))
    trace = run(model, torch.ones(3, 4, 1), generator)
    assert trace.states.dtype == expected
    assert trace.states[-1].eq(3).all()


@pytest.mark.parametrize(("n_inputs", "n_units"), [(1, 2.0), (1, "2"), (1, 0), (-1, 2), (1.5, 2), (None, 2)])
def test_sizes_that_are_no_numbers_of_channels_are_refused(n_inputs: Any, n_units: Any) -> None:
    with pytest.raises(InputError, match=r"^number of (units|inputs) is .*: expected"):
        Counting(n_inputs, n_units)
