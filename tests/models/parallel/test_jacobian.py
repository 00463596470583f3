"""Jacobians of steps: those of cells in two parts equal torch's own, of every cell, of users' cells, with wide states."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tauscope as ts
from cells import NETWORKS, network
from rounding import tolerance
from tauscope.errors import InputError
from tauscope.models.cell import State
from tauscope.models.parallel.jacobian import flat, split
from tauscope.models.wrapped import WrappedCell


class TwoColumns(ts.TwoPartCell):
    """A cell of a user's own with a state of which the second tensor is twice as wide, and rows that the input alone drives."""

    n_states = 2

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        self.input = nn.utils.skip_init(nn.Linear, n_inputs, 3 * n_units)
        self.recurrent = nn.utils.skip_init(nn.Linear, n_units, 2 * n_units, bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        del generator
        like = self.input.weight
        return like.new_zeros(batch_size, self.n_units), like.new_zeros(batch_size, 2 * self.n_units)

    def maps(self) -> ts.Maps:
        return ts.Maps(self.input.weight, self.recurrent.weight, self.input.bias)

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        alone, gate, new = z.chunk(3, dim=-1)
        slow, slower = state[1].chunk(2, dim=-1)
        slow = torch.sigmoid(gate) * slow + torch.tanh(new) * state[0]
        slower = 0.9 * slower + alone * slow
        h = torch.tanh(slow + slower)
        return (h if noise is None else h + noise), torch.cat([slow, slower], dim=-1)


class Mixing(TwoColumns):
    """The same, but each unit sees its neighbour: no closed form."""

    elementwise = False

    def pointwise(self, z: Tensor, state: State, noise: Tensor | None) -> State:
        h, slow = super().pointwise(z, state, noise)
        return h + 0.5 * state[0].roll(1, dims=-1), slow


def by_torch(cell: ts.Cell, x: Tensor, state: State, noise: Tensor | None) -> Tensor:
    """Return the Jacobians by backward derivatives, one trial after the other."""

    def of(trial: int) -> Any:
        one = slice(trial, trial + 1)
        private = None if noise is None else noise[one]
        step = lambda z: flat(cell.step(x[one], split(z.unsqueeze(0), state), private))[0]  # noqa: E731
        return torch.autograd.functional.jacobian(step, flat(state)[trial])

    return torch.stack([of(trial) for trial in range(len(x))])


def assert_right(cell: ts.Cell, noisy: bool = True) -> None:
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    state = tuple(part + 0.3 * draw(*part.shape) for part in cell.initial_state(3, generator))
    x, noise = draw(3, cell.n_inputs), draw(3, cell.n_units) if noisy else None
    expected = by_torch(cell, x, state, noise)
    atol = tolerance(torch.float64, cell.n_units, 4) * float(expected.abs().max())
    torch.testing.assert_close(cell.jacobian(x, state, noise), expected, rtol=0, atol=atol)
    diagonal = expected.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(cell.jacobian_diagonal(x, state, noise), diagonal, rtol=0, atol=atol)


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_jacobian_of_every_cell_is_that_of_its_step(name: str, noisy: bool) -> None:
    for cell in network(name).layers:
        assert_right(cell, noisy)


@pytest.mark.parametrize("kind", [TwoColumns, Mixing])
def test_wide_states_and_units_that_mix(kind: type[TwoColumns]) -> None:
    assert_right(kind(2, 3, torch.Generator().manual_seed(0)).double())


def test_a_step_of_its_own_is_what_is_differentiated() -> None:
    class Halved(ts.GRUCell):
        def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
            return (super().step(x, state, noise)[0] / 2,)

    assert_right(Halved(1, 4, torch.Generator().manual_seed(0)).double())


def test_what_clips_is_no_part_of_the_derivative() -> None:
    model = ts.models.ReluRNN(
        4, n_inputs=1, cell="relu_gru", generator=torch.Generator().manual_seed(0), clip=1e-3
    ).double()
    assert_right(model.layers[0])


def test_a_step_that_torch_cannot_differentiate_is_refused_in_one_line() -> None:
    def by_numpy(x: Tensor, h: Tensor) -> Tensor:
        return torch.from_numpy(h.detach().numpy()) + x

    def detached(x: Tensor, h: Tensor) -> Tensor:
        return 0.5 * h.detach() + x

    generator = torch.Generator().manual_seed(0)
    for function in (by_numpy, detached):
        cell = WrappedCell(lambda x, h: 0.5 * h + x, 1, 1)
        cell.function = function
        model = ts.Model([cell], ts.Heads(1, ["out"], 1, True, generator))
        state = ((torch.tensor([[0.3], [-0.2]]),),)
        with pytest.raises(
            InputError, match=r"step of WrappedCell cannot be differentiated .*: expected operations"
        ) as error:
            ts.solve(model, torch.ones(5, 2, 1), state)
        assert "\n" not in str(error.value)


def test_a_step_without_a_memory_is_solved_at_once() -> None:
    cell = WrappedCell(lambda x, _: torch.tanh(x), 1, 1)
    model = ts.Model([cell], ts.Heads(1, ["out"], 1, True, torch.Generator().manual_seed(0)))
    assert ts.solve(model, torch.ones(5, 2, 1)).iterations.tolist() == [1, 1]
