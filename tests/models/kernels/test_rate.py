"""The fast recurrence of rate networks equals its equation, and its gradients those of finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from problems import NUMPY_ACTIVATIONS
from tauscope.models.kernels import rate as module
from tauscope.models.kernels.rate import rate_recurrence

T, B, N, S = 7, 3, 5, 2
KEEP, SCALE = 0.7, 0.4


@pytest.fixture(params=["fused", "apart"])
def product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the path of small networks, or that of large ones."""
    monkeypatch.setattr(module, "_FUSED_BELOW", math.inf if request.param == "fused" else 0)
    return str(request.param)


def problem(dtype: torch.dtype = torch.float64, noisy: bool = True) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(N, N), (N, S), (N,), (B, N), (T, B, S), (T, B, N)]
    A, *others = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return (0.6 * A, *others[: None if noisy else -1])


def by_equation(given: tuple[Tensor, ...], afunc: str) -> np.ndarray:
    A, W, b, x, inputs, *noise = (one.numpy() for one in given)
    states = []
    for t in range(T):
        x = KEEP * x + NUMPY_ACTIVATIONS[afunc](x) @ A.T + inputs[t] @ W.T + b
        if noise:
            x = x + SCALE * noise[0][t]
        states.append(x)
    return np.stack(states)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("afunc", list(NUMPY_ACTIVATIONS))
def test_states_are_those_of_the_equation(afunc: str, noisy: bool) -> None:
    given = problem(noisy=noisy)
    found = rate_recurrence(*given, keep=KEEP, scale=SCALE, afunc=afunc)
    expected = by_equation(given, afunc)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
    if afunc == "relu":
        assert (expected < 0).any()


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("afunc", list(NUMPY_ACTIVATIONS))
def test_gradients_are_those_of_finite_differences(afunc: str, noisy: bool) -> None:
    given = [one.requires_grad_() for one in problem(noisy=noisy)]
    assert torch.autograd.gradcheck(lambda *parts: rate_recurrence(*parts, keep=KEEP, scale=SCALE, afunc=afunc), given)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("asked", range(6))
def test_a_gradient_is_the_same_when_it_is_the_only_one_asked(asked: int) -> None:
    weights = torch.randn(T, B, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def gradients(of: list[int]) -> list[Tensor]:
        given = [one.requires_grad_(i in of) for i, one in enumerate(problem())]
        loss = (rate_recurrence(*given, keep=KEEP, scale=SCALE) * weights).sum()
        return list(torch.autograd.grad(loss, [given[i] for i in of]))

    torch.testing.assert_close(gradients([asked])[0], gradients(list(range(6)))[asked])


def test_both_paths_agree_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = []
    for below in (math.inf, 0):
        monkeypatch.setattr(module, "_FUSED_BELOW", below)
        given = [one.requires_grad_() for one in problem(torch.float32)]
        states = rate_recurrence(*given, keep=KEEP, scale=SCALE)
        outcomes.append([states, *torch.autograd.grad(states.square().sum(), given)])
    for one, other in zip(*outcomes, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_arguments_are_left_as_they_are() -> None:
    given = [one.requires_grad_() for one in problem()]
    copies = [one.detach().clone() for one in given]
    states = rate_recurrence(*given, keep=KEEP, scale=SCALE)
    upstream = torch.ones_like(states)
    states.backward(upstream)
    assert torch.equal(upstream, torch.ones_like(states))
    for one, copy in zip(given, copies, strict=True):
        assert torch.equal(one.detach(), copy)
