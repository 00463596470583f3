"""Penalties against their definitions."""

from __future__ import annotations

import torch

from tauscope.learning.objectives import activity_penalty


def test_only_the_last_five_steps_are_penalised(generator: torch.Generator) -> None:
    states = torch.randn(12, 3, 4, generator=generator, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(activity_penalty(states), states)
    expected = torch.cat([torch.zeros(7, 3, 4, dtype=torch.float64), 2 * states.detach()[7:] / (5 * 3 * 4)])
    torch.testing.assert_close(gradient, expected)


def test_a_short_trial_is_penalised_whole() -> None:
    assert float(activity_penalty(torch.full((2, 1, 3), 3.0))) == 9
