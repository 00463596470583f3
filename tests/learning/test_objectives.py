"""Penalties against their definitions, and the weight penalty against the optimiser's weight decay."""

from __future__ import annotations

import torch

from tauscope.learning.objectives import activity_penalty, weight_penalty
from tauscope.models import ReluRNN


def test_only_the_last_five_steps_are_penalised(generator: torch.Generator) -> None:
    states = torch.randn(12, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(activity_penalty(states), states)
    expected = torch.cat([torch.zeros(7, 3, 4, dtype=torch.float64), 2 * states.detach()[7:] / (5 * 3 * 4)])
    torch.testing.assert_close(gradient, expected)


def test_a_short_trial_is_penalised_whole() -> None:
    assert float(activity_penalty(torch.full((2, 1, 3), 3.0))) == 9


def test_all_parameters_are_penalised_biases_included() -> None:
    model = ReluRNN(3, n_inputs=2, generator=torch.Generator())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(2.0)
    n = 3 * 3 + 3 * 2 + 3 * 1 + 3 + 3 + 1
    assert float(weight_penalty(model.parameters()).detach()) == 4 * n


def test_the_weight_penalty_is_twice_its_factor_in_weight_decay(generator: torch.Generator) -> None:
    rho, start = 0.03, torch.randn(5, generator=generator, dtype=torch.float64)
    by_loss, by_decay = (start.clone().requires_grad_() for _ in range(2))
    first, second = torch.optim.Adam([by_loss], lr=0.1), torch.optim.Adam([by_decay], lr=0.1, weight_decay=2 * rho)
    for _ in range(5):
        for parameter, optimizer, penalised in ((by_loss, first, True), (by_decay, second, False)):
            optimizer.zero_grad()
            loss = (parameter - 1).pow(4).sum()
            (loss + rho * weight_penalty([parameter]) if penalised else loss).backward()
            optimizer.step()
    torch.testing.assert_close(by_loss, by_decay)
