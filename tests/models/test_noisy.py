"""Noisy networks: noise is added to the state, and the fast sequence is the loop over the step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tauscope import Cell, InputError, run
from tauscope.models import NoisyGRUCell, NoisyRateCell
from tauscope.models.noisy import NoisyCell
from tauscope.runs.setups.navigation import Noisy
from tauscope.tasks import PathIntegration

KINDS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "equal": (NoisyRateCell, {}),
    "different": (NoisyRateCell, {"timescales": "different"}),
    "trained": (NoisyRateCell, {"timescales": "trained"}),
    "one step": (NoisyRateCell, {"tau": 1.0}),
    "tanh, biases, no diagonal": (NoisyRateCell, {"afunc": "tanh", "bias": True, "diagonal": False}),
    "gru": (NoisyGRUCell, {}),
}


def made(name: str, **options: Any) -> NoisyCell:
    kind, own = KINDS[name]
    cell: NoisyCell = kind(2, 6, torch.Generator().manual_seed(0), **(own | options))
    return cell


def series(n_steps: int = 12) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(n_steps, 3, 2, generator=generator).double().requires_grad_()
    h = torch.randn(3, 6, generator=generator).double().requires_grad_()
    noise = 0.1 * torch.randn(n_steps, 3, 6, generator=generator).double()
    hold = torch.rand(n_steps, 3, generator=generator) < 0.3
    return inputs, h, noise, hold


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_a_sequence_is_the_loop_over_the_step_with_its_gradients(name: str, held: bool) -> None:
    cell = made(name).double()
    inputs, h, noise, hold = series()
    found, expected = (
        run(inputs, (h,), noise=noise, hold=hold if held else None)[0]
        for run in (cell.sequence, lambda *args, **kwargs: Cell.sequence(cell, *args, **kwargs))
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(2)).double()
    leaves = [inputs, h, *cell.parameters()]
    ours, theirs = (torch.autograd.grad((weight * states.sin()).sum(), leaves) for states in (found, expected))
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["equal", "trained", "gru"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    cell = made(name, **({} if name == "gru" else {"afunc": "tanh"})).double()
    inputs, h, noise, _ = series(4)
    assert torch.autograd.gradcheck(lambda x, h: cell.sequence(x, (h,), noise=noise)[0], (inputs, h))


@pytest.mark.parametrize("name", ["equal", "different"])
@torch.no_grad()
def test_without_weights_a_unit_forgets_with_its_timescale(name: str) -> None:
    cell = made(name).double()
    cell.recurrent.weight.zero_()  # type: ignore[operator, union-attr]
    h = torch.rand(3, 6, generator=torch.Generator().manual_seed(3)).double()
    states, _ = cell.sequence(torch.zeros(9, 3, 2, dtype=torch.float64), (h,))
    assert cell.tau is not None
    powers = torch.arange(1, 10)[:, None, None]
    torch.testing.assert_close(states, (1 - 1 / cell.tau) ** powers * h, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("tau", "sigma"), [(5.0, 0.01), (2.0, 0.1), (1.0, 0.3)])
@torch.no_grad()
def test_without_weights_a_unit_has_the_stationary_variance_of_its_noise(tau: float, sigma: float) -> None:
    n_units, n_steps = 20, 20_000
    cell = NoisyRateCell(1, n_units, torch.Generator().manual_seed(0), tau=tau, sigma=sigma)
    cell.recurrent.weight.zero_()
    noise = cell.draw_noise(n_steps, 1, torch.Generator().manual_seed(1))
    states, _ = cell.sequence(torch.zeros(n_steps, 1, 1), cell.initial_state(1), noise=noise)
    keep = 1 - 1 / tau
    expected = sigma**2 / (1 - keep**2)
    found = float(states[100:].double().square().mean())
    # Squares of an AR(1) process correlate with keep² per step.
    n_independent = n_units * (n_steps - 100) * (1 - keep**2) / (1 + keep**2)
    assert abs(found / expected - 1) < 5 * math.sqrt(2 / n_independent)


@torch.no_grad()
def test_uniform_noise_pushes_every_unit() -> None:
    cell = NoisyRateCell(1, 50, torch.Generator().manual_seed(0), tau=5.0, sigma=0.01, noise="uniform")
    cell.recurrent.weight.zero_()
    noise = cell.draw_noise(5000, 1, torch.Generator().manual_seed(1))
    assert noise is not None
    assert float(noise.min()) >= 0
    assert float(noise.max()) < 0.01
    assert float(noise.std()) == pytest.approx(0.01 / math.sqrt(12), rel=0.01)
    states, _ = cell.sequence(torch.zeros(5000, 1, 1), cell.initial_state(1), noise=noise)
    assert float(states[100:].mean()) == pytest.approx(0.01 / (2 * 0.2), rel=0.01)


def test_a_network_without_noise_draws_none() -> None:
    for name in ("equal", "gru"):
        assert made(name, sigma=0.0).draw_noise(3, 2, torch.Generator().manual_seed(0)) is None


def test_timescales_differ_as_they_are_asked_to() -> None:
    cell = NoisyRateCell(1, 20_000, torch.Generator().manual_seed(0), tau=4.0, timescales="different")
    tau = cell.tau
    assert 1 <= float(tau.min()) < 1.01
    assert 15.9 < float(tau.max()) <= 16 * (1 + 1e-6)
    # log τ is uniform on [0, 2 log 4]: its mean has the standard error 2 log 4 / √(12 n).
    assert abs(float(tau.log().mean()) - math.log(4)) < 5 * 2 * math.log(4) / math.sqrt(12 * 20_000)
    assert "log_tau" not in dict(cell.named_parameters())
    trained = NoisyRateCell(1, 5, torch.Generator().manual_seed(0), timescales="trained")
    assert trained.log_tau.requires_grad
    trained.requires_grad_(False)
    assert trained.sequence(torch.ones(2, 1, 1), trained.initial_state(1))[0].shape == (2, 1, 5)


@torch.no_grad()
def test_a_gru_holds_its_state_where_its_gate_is_1() -> None:
    cell = NoisyGRUCell(1, 4, torch.Generator().manual_seed(0), sigma=0.0)
    h = torch.rand(2, 4, generator=torch.Generator().manual_seed(1))
    held = cell.step(torch.full((2, 1), 1e6) * cell.input.weight[4:8].sign().mean(), (h,))[0]
    z = torch.sigmoid(torch.full((2, 1), 1e6) * cell.input.weight[4:8].sign().mean() @ cell.input.weight[4:8].t())
    torch.testing.assert_close(held[z == 1], h[z == 1])
    torch.testing.assert_close(
        cell.retention(torch.zeros(2, 1), (0 * h,)), torch.full((2, 4), 1 - 0.2 * 0.5), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("cell", ["noisy_rate", "noisy_gru", "tauscope.models.gated:GRUCell"])
def test_a_network_starts_from_the_code_of_the_first_position(cell: str, generator: torch.Generator) -> None:
    task = PathIntegration(n_cells=16, n_steps=5)
    model = Noisy(cell=cell, num_neurons=8).build(task, task.heads, generator)
    batch = task.sample(3, generator)
    trace = run(model, batch, generator, heads=["out"], noise=0.0)
    assert trace.outputs.shape == (5, 3, 1, 16)
    assert model.start is not None
    assert batch.start is not None
    first = model.layers[0].step(batch.inputs[0], (model.start(batch.start),))[0]
    torch.testing.assert_close(trace.states[0], first)
    assert not any("bias" in name for name, _ in model.named_parameters() if cell != "tauscope.models.gated:GRUCell")


@pytest.mark.parametrize(
    "options",
    [{"tau": 0.5}, {"sigma": -1.0}, {"noise": "pink"}, {"timescales": "equall"}, {"afunc": "reluu"}, {"tau": math.inf}],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        NoisyRateCell(1, 4, torch.Generator().manual_seed(0), **options)
