"""The closed form of linear networks, against simulation, the ordinary engine, and what is known exactly."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import Heads, Model, run
from tauscope.analysis.linear_memory import linear_loss, linear_memory
from tauscope.models import ResidualCell
from tauscope.tasks import Functional
from tauscope.tasks.functional import lag_weights, memory_kernel


def linear_network(n_units: int = 6, tau_map: str = "softplus", seed: int = 0) -> Model:
    generator = torch.Generator().manual_seed(seed)
    cell = ResidualCell(1, n_units, generator, afunc="identity", tau_map=tau_map)
    return Model([cell], Heads(n_units, ["out"], 1, False, generator)).double()


def parts(model: Model) -> dict[str, torch.Tensor]:
    cell, head = model.cells[0], model.heads.linears[0]
    return {
        "rate": cell.rate.detach(),
        "input": cell.input.weight.detach()[:, 0],
        "bias": cell.input.bias.detach(),
        "readout": head.weight.detach()[0],
        "offset": head.bias.detach()[0],
    }


@torch.no_grad()
def test_the_loss_is_that_of_the_engine_within_its_sampling_error(generator: torch.Generator) -> None:
    model = linear_network()
    for rho in ("exp", "pol"):
        task = Functional(rho)
        exact = float(linear_loss(**parts(model), rho=rho, n_steps=100))
        losses = torch.stack([
            task.loss(run(model, batch, generator, heads=["out"]).outputs, batch)
            for batch in (task.sample(500, generator) for _ in range(40))
        ])  # fmt: skip
        error = float(losses.std()) / math.sqrt(len(losses))
        assert error < 0.02 * exact
        assert float(losses.mean()) == pytest.approx(exact, abs=4 * error)


@torch.no_grad()
def test_the_memory_is_that_of_an_impulse(generator: torch.Generator) -> None:
    model = linear_network()
    inputs = torch.zeros(50, 2, 1, dtype=torch.float64)
    inputs[0, 0] = 1
    answers = run(model, inputs, generator, heads=["out"]).outputs[:, :, 0, 0]
    of = parts(model)
    found = linear_memory(of["rate"], of["readout"] * of["input"], 50)
    torch.testing.assert_close(found, answers[:, 0] - answers[:, 1], rtol=1e-12, atol=1e-13)


def one_unit(rate: float) -> dict[str, torch.Tensor]:
    none = torch.zeros(1, dtype=torch.float64)
    return {"rate": none + rate, "input": none + 2, "bias": none, "readout": none + 0.5, "offset": none[0]}


def test_one_unit_holds_the_exponential_and_loses_exactly_what_its_rate_changes_by() -> None:
    rate = 1 - math.exp(-1)
    assert float(linear_loss(**one_unit(rate), rho="exp", n_steps=100)) < 1e-20
    lags = torch.arange(100, dtype=torch.float64)
    for delta in (0.05, -0.05, 0.3):
        lost = (lag_weights(100) * ((1 - rate - delta) ** lags - memory_kernel("exp", 100)).square()).sum()
        found = linear_loss(**one_unit(rate + delta), rho="exp", n_steps=100)
        assert float(found) == pytest.approx(float(lost), rel=1e-12)


@settings(deadline=None, max_examples=30)
@given(
    rho=st.sampled_from(["exp", "pol", "sin"]),
    n_units=st.integers(1, 5),
    n_steps=st.integers(2, 30),
    seed=st.integers(0, 99),
)
def test_a_network_that_answers_0_has_the_loss_of_answering_0_and_gradients_are_finite(
    rho: str, n_units: int, n_steps: int, seed: int
) -> None:
    of = parts(linear_network(n_units, seed=seed))
    silent = of | {"readout": 0 * of["readout"], "offset": 0 * of["offset"]}
    assert float(linear_loss(**silent, rho=rho, n_steps=n_steps)) == pytest.approx(Functional(rho, n_steps).power)
    # (1 - λ)^0 has no gradient of 0 · ∞ at λ = 1.
    of["rate"] = of["rate"].fill_(1.0).requires_grad_()
    (gradient,) = torch.autograd.grad(linear_loss(**of, rho=rho, n_steps=n_steps), of["rate"])
    assert torch.isfinite(gradient).all()


def test_many_networks_at_once_are_each_of_them() -> None:
    several = [parts(linear_network(seed=seed)) for seed in range(3)]
    stacked = {name: torch.stack([one[name] for one in several]) for name in several[0]}
    found = linear_loss(**stacked, rho="pol", n_steps=100)
    expected = torch.stack([linear_loss(**one, rho="pol", n_steps=100) for one in several])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
