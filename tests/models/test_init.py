"""Initial values: interval, distribution, and the generator as their only source."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats

from tauscope import InputError
from tauscope.models import (
    ElementwiseGRUCell,
    ELSTMCell,
    GRUCell,
    NoisyGRUCell,
    NoisyRateCell,
    ResidualCell,
    SSMCell,
    init,
)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (1.0, 2.0), (-0.3, 0.3)])
def test_uniform_numbers_fill_their_interval(low: float, high: float, generator: torch.Generator) -> None:
    numbers = init.uniform((100, 50), low, high, generator)
    assert numbers.shape == (100, 50)
    assert numbers.dtype == torch.float32
    assert low <= float(numbers.min())
    assert float(numbers.max()) <= high
    assert stats.kstest(numbers.double().flatten().numpy(), "uniform", (low, high - low)).pvalue > 1e-3


def test_a_linear_map_is_initialised_like_torch_nn_linear(generator: torch.Generator) -> None:
    module = init.linear(40, 60, generator)
    assert module.weight.shape == (60, 40)
    assert module.bias.shape == (60,)
    bound = 1 / math.sqrt(40)
    for parameter in module.parameters():
        assert parameter.requires_grad
        values = parameter.detach().double().flatten().numpy()
        assert stats.kstest(values, "uniform", (-bound, 2 * bound)).pvalue > 1e-3


def test_linear_fills_in_place_without_a_trace_in_autograd(generator: torch.Generator) -> None:
    module = torch.nn.utils.skip_init(torch.nn.Linear, 3, 2)
    weight = module.weight
    init.linear_(module.weight, module.bias, generator)
    assert module.weight is weight
    assert weight.grad_fn is None
    assert 0 < weight.abs().max() <= 1 / math.sqrt(3)


def test_the_generator_is_the_only_source() -> None:
    one, same, other = (init.linear(5, 4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.weight, same.weight)
    assert torch.equal(one.bias, same.bias)
    assert not torch.equal(one.weight, other.weight)


@pytest.mark.parametrize(
    "make", [ResidualCell, SSMCell, ELSTMCell, ElementwiseGRUCell, NoisyRateCell, NoisyGRUCell, GRUCell]
)
@pytest.mark.parametrize("sizes", [(0, 4), (-1, 4), (2.5, 4), ("2", 4), (2, 0), (2, None), (2, True)])
def test_cells_of_no_inputs_or_units_are_refused(make: Any, sizes: tuple[Any, Any], generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=r"number of (inputs|units) is .*: expected"):
        make(*sizes, generator)
