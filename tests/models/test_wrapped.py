from __future__ import annotations

import pytest
import torch

from tauscope import Heads, InputError, Parity, evaluate
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
