"""State-space cells against complex arithmetic."""

from __future__ import annotations

import cmath

import pytest
import torch

from rounding import tolerance
from tauscope import Heads, InputError, Model
from tauscope.analysis import memory_function
from tauscope.models import Loop, SSMCell, build_model
from tauscope.models.names import TAU_MAPS


def ssm(tau_map: str = "softplus", n_units: int = 6) -> SSMCell:
    return SSMCell(2, n_units, torch.Generator().manual_seed(1), tau_map).double()


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("tau_map", TAU_MAPS)
def test_modes_are_complex_numbers_that_turn_and_decay(tau_map: str) -> None:
    cell, inputs = ssm(tau_map), drawn(20, 3, 2)
    states, _ = cell.sequence(inputs, cell.initial_state(3))
    mode = torch.exp(torch.complex(-cell.rate, cell.frequency))
    driven = inputs @ cell.input.weight.t() + cell.input.bias
    z = torch.zeros(3, 3, dtype=torch.complex128)
    for t in range(20):
        z = mode * z + torch.complex(*driven[t].chunk(2, dim=-1))
    torch.testing.assert_close(states[-1], torch.cat([z.real, z.imag], dim=-1), rtol=1e-12, atol=1e-12)
    assert (mode.abs() < 1).all()


@pytest.mark.parametrize("held", [False, True])
def test_a_sequence_equals_the_loop_over_steps(held: bool) -> None:
    cell, inputs, state, noise = ssm(), drawn(20, 3, 2), (drawn(3, 6),), drawn(20, 3, 6)
    hold = drawn(20, 3) > 0.5 if held else None
    states, _ = cell.sequence(inputs, state, noise=noise, hold=hold)
    expected, _, _ = Loop()(cell, inputs, state, noise, hold)
    within = tolerance(torch.float64, 6, 20)
    torch.testing.assert_close(states, expected, rtol=within, atol=within)


def test_its_memory_is_the_real_part_of_a_sum_of_modes() -> None:
    generator = torch.Generator().manual_seed(0)
    cell = SSMCell(1, 4, generator, "sigmoid")
    model = Model([cell], Heads(4, ["out"], 1, False, generator)).double()
    B, C = (
        w.detach()[:, 0] if w.shape[1] == 1 else w.detach()[0]
        for w in (cell.input.weight, model.heads.linears[0].weight)
    )
    modes = list(zip(cell.rate.tolist(), cell.frequency.tolist(), B[:2], B[2:], C[:2], C[2:], strict=True))
    found = memory_function(model, n_steps=12)["memory"].values
    for s in range(12):
        kernel = sum(
            (complex(c, -d) * complex(a, b) * cmath.exp(complex(-rate, omega) * s)).real
            for rate, omega, a, b, c, d in modes
        )
        assert found[s] == pytest.approx(abs(kernel), abs=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    cell = ssm(n_units=4)
    names, parameters = zip(*cell.named_parameters(), strict=True)
    inputs = drawn(4, 2, 2)

    def states(*values: torch.Tensor) -> torch.Tensor:
        given = (inputs, (inputs.new_zeros(2, 4),))
        found: torch.Tensor = torch.func.functional_call(cell, dict(zip(names, values, strict=True)), given)
        return found

    cell.forward = lambda inputs, state: cell.sequence(inputs, state)[0]  # type: ignore[method-assign]
    assert torch.autograd.gradcheck(states, [kept.detach().clone().requires_grad_() for kept in parameters])


@pytest.mark.parametrize("cell", ["ssm", "residual"])
def test_a_network_that_is_built_by_name_has_the_map_that_is_asked_for(cell: str) -> None:
    generator = torch.Generator().manual_seed(0)
    model = build_model(cell, (4, 6), tau_map="best", generator=generator)
    assert {layer.tau_map for layer in model.layers} == {"best"}
    with pytest.raises(InputError, match=r"tau_map 'bset' is unknown: .* did you mean 'best'"):
        build_model(cell, 4, tau_map="bset", generator=generator)
    with pytest.raises(InputError, match="tau_map 'best' is for leaky networks"):
        build_model("gru", 4, tau_map="best", generator=generator)


def test_an_odd_number_of_units_is_refused() -> None:
    with pytest.raises(InputError, match="number of units is 5: expected an even number, two for each mode, such as 6"):
        ssm(n_units=5)
