"""Distributions of actions against those of torch, their draws, and derivatives."""

from __future__ import annotations

import pytest
import torch

from tauscope.learning.policies import Choices, Gaussian


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_choices_are_judged_as_by_torch() -> None:
    outputs, actions = 2 * normal(3, 5, 4), torch.arange(15).reshape(3, 5) % 4
    expected = torch.distributions.Categorical(logits=outputs)
    chosen, entropy = Choices().judge(outputs, actions)
    torch.testing.assert_close(chosen, expected.log_prob(actions))
    torch.testing.assert_close(entropy, expected.entropy())


def test_numbers_are_judged_as_by_torch() -> None:
    outputs, actions = normal(3, 5, 4).clamp(max=1.9), normal(3, 5, 2, seed=1)
    expected = torch.distributions.Normal(outputs[..., :2], outputs[..., 2:].exp())
    density, entropy = Gaussian().judge(outputs, actions)
    torch.testing.assert_close(density, expected.log_prob(actions).sum(-1))
    torch.testing.assert_close(entropy, expected.entropy().sum(-1))


def test_the_density_has_its_derivatives() -> None:
    actions, outputs = normal(2, 3, 2, seed=1), normal(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: Gaussian().judge(given, actions), outputs)
    density, _ = Gaussian().judge(outputs, actions)
    (found,) = torch.autograd.grad(density.sum(), outputs)
    mean, spread = outputs.detach().chunk(2, dim=-1)
    error = (actions - mean) * (-2 * spread).exp()
    torch.testing.assert_close(found[..., :2], error)
    torch.testing.assert_close(found[..., 2:], error * (actions - mean) - 1)


def test_draws_have_the_moments_that_the_outputs_say_and_are_the_generator_s() -> None:
    outputs = torch.tensor([[1.0, -2.0, 0.0, -1.0]], dtype=torch.float64).expand(40_000, 4)
    drawn = Gaussian().draw(outputs, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.float64
    assert drawn.mean(0).tolist() == pytest.approx([1.0, -2.0], abs=0.03)
    assert drawn.std(0).log().tolist() == pytest.approx([0.0, -1.0], abs=0.03)
    assert torch.equal(drawn, Gaussian().draw(outputs, torch.Generator().manual_seed(0)))


def test_spreads_are_kept_where_densities_are_finite() -> None:
    low, high = Gaussian.spreads
    for given, kept in ((-1e30, low), (1e30, high), (0.5, 0.5)):
        outputs = torch.tensor([[[0.0, given]]])
        density, entropy = Gaussian().judge(outputs, torch.zeros(1, 1, 1))
        expected = torch.distributions.Normal(0.0, torch.tensor(kept).exp())
        torch.testing.assert_close(density[0, 0], expected.log_prob(torch.tensor(0.0)))
        torch.testing.assert_close(entropy[0, 0], expected.entropy())
