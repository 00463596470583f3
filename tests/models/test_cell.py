"""What a cell is before it says anything of its own."""

from __future__ import annotations

import pytest
from torch import Tensor

from tauscope import Cell
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
