"""The fast recurrence with clipped gradients and held states, against loops in which hooks and masks do the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rounding import tolerance
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.hebbian import hebbian
from tauscope.models.kernels.leaky import leaky_inside

N_UNITS, N_CHANNELS, N_STEPS, N_BATCH = 4, 2, 7, 3


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def arguments() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return M, initial state, inputs and leak."""
    M = (draw(N_UNITS, N_UNITS + N_CHANNELS + 1, seed=0).detach() / 2).requires_grad_()
    leak = torch.linspace(0.2, 0.9, N_UNITS, dtype=torch.float64).requires_grad_()
    return M, draw(N_BATCH, N_UNITS, seed=1), draw(N_STEPS, N_BATCH, N_CHANNELS, seed=2), leak


def mask() -> Tensor:
    hold = torch.rand(N_STEPS, N_BATCH, generator=torch.Generator().manual_seed(3)) < 0.4
    hold[0], hold[4], hold[-1] = torch.tensor([True, False, False]), True, torch.tensor([False, True, False])
    return hold


def loop(
    M: Tensor, h: Tensor, inputs: Tensor, afunc: str, leak: Tensor | None, clip: float | None, hold: Tensor | None
) -> Tensor:
    states = []
    for t, x in enumerate(inputs):
        z = torch.cat([h, x, torch.ones_like(x[:, :1])], dim=1) @ M.t()
        if leak is not None:
            z = z + leak * h
        if clip is not None:
            z.register_hook(lambda gradient: gradient.clamp(-clip, clip))
        moved = ACTIVATIONS[afunc].function(z)
        h = moved if hold is None else torch.where(hold[t][:, None], h, moved)
        states.append(h)
    return torch.stack(states)


@pytest.mark.parametrize("afunc", ACTIVATIONS)
@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("leaky", [False, True])
def test_clip_and_hold_equal_hooks_and_masks(leaky: bool, held: bool, clip: float | None, afunc: str) -> None:
    M, initial, inputs, a = arguments()
    leak, hold = a if leaky else None, mask() if held else None
    weights = draw(N_STEPS, N_BATCH, N_UNITS, seed=4).detach()
    wanted = [M, initial, inputs] + ([a] if leaky else [])
    states, last = leaky_inside(M, initial, inputs, afunc, leak, clip=clip, hold=hold)
    plain = loop(M, initial, inputs, afunc, leak, clip, hold)
    torch.testing.assert_close(states, plain, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(last, plain[-1], rtol=1e-12, atol=1e-13)
    found = torch.autograd.grad((states * weights).sum() + last.sum(), wanted)
    expected = torch.autograd.grad((plain * weights).sum() + plain[-1].sum(), wanted)
    # A hook on z clips what flows into the leak too, as the recurrence does: both carry the gradient of φ's argument.
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_the_clip_of_that_test_had_something_to_clip() -> None:
    M, initial, inputs, _ = arguments()
    weights = draw(N_STEPS, N_BATCH, N_UNITS, seed=4).detach()
    gradients = [
        torch.autograd.grad((leaky_inside(M, initial, inputs, "relu", clip=clip)[0] * weights).sum(), M)[0]
        for clip in (None, 0.3, 1e9)
    ]
    assert not torch.allclose(gradients[0], gradients[1], rtol=0.2)
    assert torch.equal(gradients[0], gradients[2])


@pytest.mark.parametrize("leaky", [False, True])
def test_gradcheck_with_held_states(leaky: bool) -> None:
    M, initial, inputs, a = arguments()
    hold = mask()

    def run(M: Tensor, initial: Tensor, inputs: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        return leaky_inside(M, initial, inputs, "tanh", a if leaky else None, hold=hold)

    given = (M, initial, inputs, a if leaky else a.detach())
    assert torch.autograd.gradcheck(run, given)


def test_held_states_with_a_matrix_in_bfloat16_stay_in_float32() -> None:
    M, leak = torch.zeros(1, 3, dtype=torch.bfloat16), torch.tensor([1 - 1e-3])
    hold = torch.zeros(300, 1, dtype=torch.bool)
    hold[100:200] = True
    _, last = leaky_inside(M, torch.ones(1, 1), torch.zeros(300, 1, 1), "leakyrelu", leak, hold=hold)
    assert float(last) == pytest.approx((1 - 1e-3) ** 200, rel=tolerance(torch.float32, steps=200))


@pytest.mark.parametrize("through", ["states", "last", "before"])
@pytest.mark.parametrize("held", [False, True])
def test_every_output_of_the_hebbian_recurrence_has_its_gradient(held: bool, through: str) -> None:
    M, initial, inputs, _ = arguments()
    before, hold = draw(N_BATCH, N_UNITS, seed=6), mask() if held else None
    wanted = [M, initial, before, inputs]
    h, p, states = initial, before, []
    for t, x in enumerate(inputs):
        z = torch.cat([h, x, torch.ones_like(x[:, :1])], dim=1) @ M.t()
        moved = torch.relu(z + 0.1 * (p * h).sum(dim=1, keepdim=True).clamp(0, 2) * p), h
        if hold is not None:
            moved = tuple(torch.where(hold[t][:, None], old, new) for old, new in zip((h, p), moved, strict=True))  # type: ignore[assignment]
        h, p = moved
        states.append(h)
    plain = {"states": torch.stack(states), "last": h, "before": p}
    outputs = hebbian(M, initial, before, inputs, 0.1, 2.0, hold=hold)
    fast = dict(zip(plain, outputs, strict=True))
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-13)
    found, expected = (torch.autograd.grad(one[through].square().sum(), wanted) for one in (fast, plain))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
