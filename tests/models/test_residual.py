"""Residual cells against their equation, leaky cells and each other."""

from __future__ import annotations

import itertools

import pytest
import torch

from rounding import tolerance
from tauscope import InputError, LeakyCell
from tauscope.models import Loop, ResidualCell
from tauscope.models.names import TAU_MAPS
from tauscope.models.residual import RESIDUAL_ACTIVATIONS, margin_penalty


def residual(afunc: str = "hardtanh", tau_map: str = "softplus", n_units: int = 5, **options: bool) -> ResidualCell:
    return ResidualCell(2, n_units, torch.Generator().manual_seed(1), afunc, tau_map, **options).double()


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize(("afunc", "mixed"), [*itertools.product(RESIDUAL_ACTIVATIONS, [False, True])])
def test_a_sequence_equals_the_loop_over_steps(afunc: str, mixed: bool, noisy: bool, held: bool) -> None:
    cell = residual(afunc, mixed_decay=mixed)
    inputs, state = drawn(20, 3, 2), (drawn(3, 5),)
    noise = drawn(20, 3, 5) if noisy else None
    hold = drawn(20, 3) > 0.5 if held else None
    states, last = cell.sequence(inputs, state, noise=noise, hold=hold)
    expected, final, _ = Loop()(cell, inputs, state, noise, hold)
    within = tolerance(torch.float64, 5, 20)
    torch.testing.assert_close(states, expected, rtol=within, atol=within)
    torch.testing.assert_close(last[0], final[0], rtol=within, atol=within)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_step_is_the_equation(mixed: bool) -> None:
    cell = residual("tanh", mixed_decay=mixed)
    x, h = drawn(3, 2), drawn(3, 5)
    decay = torch.diag(cell.rate)
    if mixed:
        decay = cell.P.t() @ decay @ cell.P
        identity = cell.P @ cell.P.t()
        torch.testing.assert_close(identity, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)
    expected = h + torch.tanh(x @ cell.input.weight.t() + cell.input.bias - h @ decay.t())
    torch.testing.assert_close(cell.step(x, (h,))[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("afunc", "mixed"), [*itertools.product(RESIDUAL_ACTIVATIONS, [False, True])])
def test_gradients_are_those_of_finite_differences(afunc: str, mixed: bool) -> None:
    cell = residual(afunc, n_units=3, mixed_decay=mixed)
    parameters = [kept.detach().clone().requires_grad_() for kept in cell.parameters()]
    names = [name for name, _ in cell.named_parameters()]
    inputs = 0.3 * drawn(4, 2, 2)

    def states(*values: torch.Tensor) -> torch.Tensor:
        given = (inputs, (inputs.new_zeros(2, 3),))
        found: torch.Tensor = torch.func.functional_call(cell, dict(zip(names, values, strict=True)), given)
        return found

    cell.forward = lambda inputs, state: cell.sequence(inputs, state)[0]  # type: ignore[method-assign]
    assert torch.autograd.gradcheck(states, parameters)


def test_with_the_identity_it_is_the_leaky_cell_whose_input_is_divided_by_tau() -> None:
    ours = residual("identity", "inverse")
    leaky = LeakyCell(2, 5, torch.Generator().manual_seed(3), afunc="identity", start=0.0).double()
    with torch.no_grad():
        leaky.raw_tau.copy_(1 / ours.rate)
        leaky.recurrent.weight.zero_()
        leaky.recurrent.bias.zero_()
        leaky.input.weight.copy_(ours.input.weight / ours.rate[:, None])
        leaky.input.bias.copy_(ours.input.bias / ours.rate)
    inputs = drawn(50, 3, 2)
    expected, _ = leaky.sequence(inputs, leaky.initial_state(3))
    found, _ = ours.sequence(inputs, ours.initial_state(3))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tau_map", TAU_MAPS)
def test_all_maps_start_from_the_same_rates(tau_map: str) -> None:
    ours, other = residual(tau_map=tau_map, n_units=50), residual(n_units=50)
    torch.testing.assert_close(ours.rate, other.rate, rtol=1e-5, atol=0)
    assert torch.equal(ours.input.weight, other.input.weight)
    assert 0.0499 < ours.rate.min() < 0.1 < 0.5 < ours.rate.max() < 0.951


def test_the_published_start_is_offered_without_its_dead_units() -> None:
    cell = residual(tau_map="direct", n_units=400, published_start=True)
    dead = (cell.rate <= 1.001e-4).double().mean()
    assert 0.4 < dead < 0.6
    cell.rate.sum().backward()
    assert (cell.raw_tau.grad == 1).all(), "a rate at its bound can be trained away from it"


def test_a_rate_below_0_grows() -> None:
    cell = ResidualCell(1, 1, torch.Generator().manual_seed(0), "identity", "direct").double()
    with torch.no_grad():
        cell.raw_tau.fill_(0.01 - 0.03)
        cell.input.weight.fill_(1.0)
        cell.input.bias.zero_()
    inputs = torch.zeros(100, 1, 1, dtype=torch.float64)
    inputs[0] = 1
    states, _ = cell.sequence(inputs, cell.initial_state(1))
    assert float(states[-1].detach()) == pytest.approx(1.02**99)


def test_the_margin_is_the_smallest_positive_rate() -> None:
    cell = residual(tau_map="direct", n_units=3)
    with torch.no_grad():
        cell.raw_tau.copy_(torch.tensor([0.3, -0.1, 2.0]))
    assert float(margin_penalty(cell).detach()) == pytest.approx(0.7)
    with torch.no_grad():
        cell.raw_tau.fill_(-1.0)
    assert float(margin_penalty(cell).detach()) == 0


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match="activation function 'relu' is unknown"):
        residual("relu")
    with pytest.raises(InputError, match="tau_map 'expp' is unknown"):
        residual(tau_map="expp")
