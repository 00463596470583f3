"""Element-wise cells: their equations written out, and that no unit's recurrence sees another's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tauscope as ts
from rounding import tolerance
from tauscope.models import ELEMENTWISE, ELSTMCell, LeakyUnitsCell, Loop
from tauscope.models.elementwise import recurrence_of

WITHIN = tolerance(torch.float64, 10, 10)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def made(name: str, n_inputs: int = 3, n_units: int = 5) -> ts.Cell:
    return ELEMENTWISE[name](n_inputs, n_units, torch.Generator().manual_seed(0)).double()


def states_of(name: str, cell: ts.Cell, inputs: np.ndarray) -> np.ndarray:
    """Return what the read-out sees at every step, from the published equations in NumPy."""
    own = {key: value.detach().numpy() for key, value in cell.state_dict().items()}
    h, found = np.zeros((inputs.shape[1], cell.n_units)), []
    for x in inputs:
        if name == "elstm":
            F, Z = np.split(x @ own["core.input.weight"].T + own["core.input.bias"], 2, axis=1)
            w_f, w_z = np.split(own["core.own"], 2)
            f, z = sigmoid(F + w_f * h), np.tanh(Z + w_z * h)
            h = f * h + (1 - f) * z
            gate = sigmoid(np.concatenate([x, h], axis=1) @ own["output.weight"].T + own["output.bias"])
            found.append(gate * h)
            continue
        drive = x @ own["input.weight"].T + own["input.bias"]
        if name == "egru":
            r, u, n = np.split(drive, 3, axis=1)
            w_r, w_u, w_n = np.split(own["own"], 3)
            n = np.tanh(n + sigmoid(r + w_r * h) * w_n * h)
            u = sigmoid(u + w_u * h)
            h = (1 - u) * n + u * h
        else:
            tau = np.maximum(own["raw_tau"], 1)
            h = (1 - 1 / tau) * h + drive / tau
            h = np.where(h > 0, h, 0.01 * h)
        found.append(h)
    return np.stack(found)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_states_are_those_of_the_equations(name: str) -> None:
    cell, inputs = made(name), torch.randn(10, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = states_of(name, cell, inputs.numpy())
    found, last = cell.sequence(inputs, cell.initial_state(4))
    np.testing.assert_allclose(found.detach(), expected, atol=WITHIN)
    np.testing.assert_allclose(last[0].detach(), expected[-1], atol=WITHIN)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_sequence_is_the_loop_with_noise_and_steps_that_hold(name: str) -> None:
    cell, draws = made(name), torch.Generator().manual_seed(1)
    inputs = torch.randn(10, 4, 3, dtype=torch.float64, generator=draws)
    noise = torch.randn(10, 4, 5, dtype=torch.float64, generator=draws)
    hold = torch.rand(10, 4, generator=draws) < 0.3
    for private, held in ((None, None), (noise, None), (noise, hold), (None, hold)):
        found, last = cell.sequence(inputs, cell.initial_state(4), noise=private, hold=held)
        expected, other, _ = Loop()(cell, inputs, cell.initial_state(4), private, held)
        torch.testing.assert_close(found, expected, rtol=0, atol=WITHIN)
        torch.testing.assert_close(last, other, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_no_unit_s_recurrence_sees_another_s(name: str) -> None:
    cell = made(name)
    core, draws = recurrence_of(cell), torch.Generator().manual_seed(2)
    x, c = (torch.randn(1, n, dtype=torch.float64, generator=draws) for n in (3, 5))
    jacobian = torch.autograd.functional.jacobian(lambda c: core.step(x, (c,))[0], c)[0, :, 0]
    assert torch.count_nonzero(jacobian - torch.diag(jacobian.diagonal())) == 0
    assert torch.count_nonzero(jacobian.diagonal()) == 5


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_what_is_retained_is_the_share_of_the_equation(name: str) -> None:
    """Where the new part of the state is 0, the state after a step is the retained share of the state before."""
    cell = made(name)
    core = recurrence_of(cell)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.fill_(0.0 if parameter.dim() > 1 or name != "leaky_units" else 3.0)
        if name == "leaky_units":
            core.input.bias.zero_()  # type: ignore[union-attr, operator]
    state = (torch.linspace(0.5, 1.5, 10, dtype=torch.float64).view(2, 5),) * cell.n_states
    x = torch.ones(2, 3, dtype=torch.float64)
    share = cell.retention(x, state)
    assert share is not None
    torch.testing.assert_close(core.step(x, state[-1:])[0], share * state[-1])


def test_published_initial_values_are_small_and_normal() -> None:
    cell = ELSTMCell(200, 100, torch.Generator().manual_seed(0))
    drawn = torch.cat([parameter.flatten() for parameter in cell.core.parameters()])
    assert abs(drawn.std().item() - 0.1) < 0.002
    assert abs(drawn.mean().item()) < 0.002


def test_leaky_units_without_a_nonlinearity_follow_the_closed_form() -> None:
    """Where the rectifier does nothing: c_t = u (1 - (1 - 1/τ)^t)."""
    cell = LeakyUnitsCell(1, 3, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        cell.input.weight.fill_(1.0)
        cell.input.bias.zero_()
        cell.raw_tau.copy_(torch.tensor([0.5, 2.0, 7.0]))
    states, _ = cell.sequence(torch.full((9, 1, 1), 1.7, dtype=torch.float64), cell.initial_state(1))
    steps = torch.arange(1, 10, dtype=torch.float64)[:, None]
    expected = 1.7 * (1 - (1 - 1 / torch.tensor([1.0, 2.0, 7.0], dtype=torch.float64)) ** steps)
    torch.testing.assert_close(states[:, 0], expected)


def test_what_is_not_element_wise_is_refused_with_the_approximation_that_would_do() -> None:
    generator = torch.Generator().manual_seed(0)
    for dense in (ts.GRUCell(1, 4, generator), ts.LeakyCell(1, 4, generator)):
        with pytest.raises(ts.InputError, match=r"is not element-wise: expected .*'immediate'"):
            recurrence_of(dense)
