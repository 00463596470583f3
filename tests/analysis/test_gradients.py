"""Gradients over weights, by hand."""

from __future__ import annotations

import pytest
import torch

import tauscope as ts
from tauscope import Heads, InputError, Model
from tauscope.analysis import gradient_over_weight
from tauscope.models import ResidualCell
from tauscope.tasks import Functional


def network(tau_map: str) -> Model:
    generator = torch.Generator().manual_seed(0)
    cell = ResidualCell(1, 3, generator, "identity", tau_map)
    return Model([cell], Heads(3, ["out"], 1, False, generator)).double()


def test_it_is_the_largest_of_every_parameter() -> None:
    model, task = network("softplus"), Functional("pol", 20)
    result = gradient_over_weight(model, task, n_trials=8, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    batch = task.sample(8, generator)
    task.loss(ts.run(model, batch, generator, heads=["out"]).outputs, batch).sum().backward()
    for name, kept in model.named_parameters():
        assert kept.grad is not None
        of = result.sel(parameter=name)
        assert float(of["gradient"]) == pytest.approx(float(kept.grad.abs().max()))
        assert float(of["ratio"]) == pytest.approx(float((kept.grad / kept.detach()).abs().max()))


def test_a_change_of_variables_changes_it_by_its_slope() -> None:
    # The same network: ∂L/∂w is ∂L/∂τ times dτ/dw.
    found = {}
    for tau_map in ("direct", "exp"):
        model = network(tau_map)
        with torch.no_grad():
            model.cells[0].raw_tau.copy_(
                torch.tensor([0.01, 2.0, 2.0]) if tau_map == "direct" else torch.tensor([0.01, 2.0, 2.0]).log()
            )
            model.heads.linears[0].weight[0, 1:] = 0
        result = gradient_over_weight(model, Functional("pol"), n_trials=16)
        found[tau_map] = float(result["gradient"].sel(parameter="cells.0.raw_tau"))
    assert found["direct"] / found["exp"] == pytest.approx(100, rel=1e-4)


def test_what_answers_nothing_is_left_out_and_nothing_is_changed() -> None:
    model = ts.LeakyRNN(4, n_heads=3, generator=torch.Generator().manual_seed(0))
    model.requires_grad_(False)
    result = gradient_over_weight(model, ts.Parity([3], length=8), n_trials=4)
    assert "heads.linears.1.weight" in result["parameter"].values
    assert "heads.linears.0.weight" not in result["parameter"].values
    assert not any(kept.requires_grad for kept in model.parameters())
    with pytest.raises(InputError, match="number of trials is 0"):
        gradient_over_weight(model, ts.Parity([3]), n_trials=0)
