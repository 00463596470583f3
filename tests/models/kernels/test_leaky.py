"""The fast recurrences against automatic differentiation of their definition, and gradcheck in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rounding import tolerance
from tauscope.models.kernels.activations import ACTIVATIONS
from tauscope.models.kernels.gemm import _SMALL
from tauscope.models.kernels.leaky import leaky_inside, leaky_matrix, leaky_outside

PHI: dict[str, Callable[[Tensor], Tensor]] = {
    "leakyrelu": lambda z: torch.where(z > 0, z, 0.01 * z),
    "relu": lambda z: torch.where(z > 0, z, torch.zeros_like(z)),
    "tanh": lambda z: 1 - 2 / (torch.exp(2 * z) + 1),
    "sigmoid": lambda z: 1 / (1 + torch.exp(-z)),
    "hardtanh": lambda z: torch.where(z.abs() < 1, z, z.detach().sign()),
    "identity": lambda z: 1 * z,
}
KINDS = ["inside", "inside with leak", "outside"]
NAMES = ["M", "initial", "inputs", "a"]

Arguments = tuple[Tensor, Tensor, Tensor, Tensor]


def arguments(
    n_units: int = 3,
    n_channels: int = 2,
    n_steps: int = 5,
    n_batch: int = 2,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Arguments:
    """Return random M, initial state, inputs, and the leak or step size of every unit."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    M = draw(n_units, n_units + n_channels + 1) / n_units**0.5
    a = torch.linspace(0.2, 1.0, n_units, dtype=torch.float64)
    return tuple(  # type: ignore[return-value]
        one.to(dtype).requires_grad_() for one in (M, draw(n_batch, n_units), draw(n_steps, n_batch, n_channels), a)
    )


def fast(kind: str, afunc: str, M: Tensor, initial: Tensor, inputs: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    if kind == "outside":
        return leaky_outside(M, a, initial, inputs, afunc)
    return leaky_inside(M, initial, inputs, afunc, a if kind == "inside with leak" else None)


def plain(
    kind: str, afunc: str, M: Tensor, initial: Tensor, inputs: Tensor, a: Tensor
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return states, last state and the arguments of φ, from the definition, step by step."""
    h, states, arguments_of_phi = initial, [], []
    for x in inputs:
        z = torch.cat([h, x, torch.ones_like(x[:, :1])], dim=1) @ M.t()
        if kind == "inside with leak":
            z = z + a * h
        phi = PHI[afunc](z)
        h = (1 - a) * h + a * phi if kind == "outside" else phi
        states.append(h)
        arguments_of_phi.append(z)
    return torch.stack(states), h, arguments_of_phi


def used(kind: str) -> list[str]:
    return NAMES[:3] if kind == "inside" else NAMES


@pytest.mark.parametrize("afunc", PHI)
@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_through_states_and_last(kind: str, afunc: str) -> None:
    given = arguments()
    # Finite differences are right only where no unit crosses the kink of a rectifier.
    z = torch.stack(plain(kind, afunc, *given)[2]).detach()
    assert float(z.abs().min()) > 1e-4
    assert z.sign().unique().tolist() == [-1, 1]

    def run(*varied: Tensor) -> tuple[Tensor, Tensor]:
        return fast(kind, afunc, varied[0], varied[1], varied[2], varied[3] if len(varied) == 4 else given[3])

    varied = given[: len(used(kind))]
    assert torch.autograd.gradcheck(run, varied)
    assert torch.autograd.gradcheck(lambda *v: run(*v)[0], varied)
    assert torch.autograd.gradcheck(lambda *v: run(*v)[1], varied)


@pytest.mark.parametrize(("kind", "needed"), [(kind, name) for kind in KINDS for name in used(kind)])
def test_one_argument_alone_gets_the_same_gradient(kind: str, needed: str) -> None:
    index = NAMES.index(needed)
    every = arguments()
    alone = [one.detach().requires_grad_(i == index) for i, one in enumerate(every)]
    (states, last), (states_alone, last_alone) = fast(kind, "tanh", *every), fast(kind, "tanh", *alone)
    expected = torch.autograd.grad(states.square().sum() + last.sum(), every[index])[0]
    (found,) = torch.autograd.grad(states_alone.square().sum() + last_alone.sum(), alone[index])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("through", ["states", "one state", "last", "both"])
@pytest.mark.parametrize("afunc", PHI)
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_equal_those_of_the_definition(kind: str, afunc: str, through: str) -> None:
    def weigh(states: Tensor, last: Tensor) -> Tensor:
        weights = torch.randn(states.shape, generator=torch.Generator().manual_seed(5), dtype=states.dtype)
        return {
            "states": lambda: (states * weights).sum(),
            "one state": lambda: (states[3] * weights[3]).sum(),
            "last": lambda: (last * weights[0]).sum(),
            "both": lambda: (states * weights).sum() + (last * weights[0]).sum(),
        }[through]()

    given = arguments(n_units=7, n_channels=3, n_steps=9, n_batch=4, seed=2)
    states, last = fast(kind, afunc, *given)
    true_states, true_last, _ = plain(kind, afunc, *given)
    torch.testing.assert_close(states, true_states, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(last, true_last, rtol=1e-12, atol=1e-13)
    wanted = given[: len(used(kind))]
    found = torch.autograd.grad(weigh(states, last), wanted)
    expected = torch.autograd.grad(weigh(true_states, true_last), wanted)
    for name, one, other in zip(NAMES, found, expected, strict=False):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12, msg=f"gradient of {name}")


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_on_the_fast_product(kind: str) -> None:
    given = arguments(n_units=128, n_channels=2, n_steps=6, n_batch=64, seed=4, dtype=torch.float32)
    n_units, n_with_input, n_batch = 128, 131, 64
    assert n_units * n_with_input * n_batch > _SMALL
    exact = [one.detach().double().requires_grad_() for one in given]
    states, last = fast(kind, "leakyrelu", *given)
    true_states, true_last, z = plain(kind, "leakyrelu", *exact)
    # No argument of φ lies so near its kink that rounding decides on which side of it.
    assert float(torch.stack(z).detach().abs().min()) > 5e-6
    wanted = len(used(kind))
    found = torch.autograd.grad(states.square().mean() + last.mean(), given[:wanted])
    expected = torch.autograd.grad(true_states.square().mean() + true_last.mean(), exact[:wanted])
    for one, other in [(states, true_states), (last, true_last), *zip(found, expected, strict=True)]:
        assert one.dtype == torch.float32
        difference = ((one.double() - other).norm() / other.norm()).detach()
        assert float(difference) < 2e-6


@pytest.mark.parametrize("afunc", PHI)
def test_a_leak_apart_equals_one_on_the_diagonal_of_M(afunc: str) -> None:
    M, initial, inputs, leak = arguments()
    merged = M + torch.nn.functional.pad(torch.diag(leak), (0, M.shape[1] - len(leak)))
    apart, within = (
        fast("inside with leak", afunc, M, initial, inputs, leak),
        leaky_inside(merged, initial, inputs, afunc),
    )
    torch.testing.assert_close(apart, within, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_all_states_and_the_last_one(kind: str) -> None:
    given = arguments(n_steps=4)
    before = [one.detach().clone() for one in given]
    states, last = fast(kind, "leakyrelu", *given)
    assert states.shape == (4, 2, 3)
    assert torch.equal(states[-1], last)
    assert all(torch.equal(one, old) for one, old in zip(given, before, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_two_parts_equals_one_run(kind: str) -> None:
    M, initial, inputs, a = arguments(n_steps=7)
    states, last = fast(kind, "tanh", M, initial, inputs, a)
    first, between = fast(kind, "tanh", M, initial, inputs[:3], a)
    second, end = fast(kind, "tanh", M, between, inputs[3:], a)
    torch.testing.assert_close(torch.cat([first, second]), states, rtol=1e-13, atol=1e-15)
    whole, parts = (torch.autograd.grad(one.sum(), (M, initial, inputs)) for one in (last, end))
    torch.testing.assert_close(parts, whole, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_the_states_cannot_be_changed_in_place_before_the_backward_pass_reads_them(kind: str) -> None:
    given = arguments()
    states, _ = fast(kind, "tanh", *given)
    with pytest.raises(RuntimeError, match="modified inplace"):
        states.mul_(3)
    with torch.no_grad():
        states.detach().mul_(3)
    with pytest.raises(RuntimeError, match="modified"):
        torch.autograd.grad(states.sum(), given[0])


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_those_of_finite_differences(kind: str) -> None:
    # The check draws the gradients that come in from torch's global generator.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert torch.autograd.gradgradcheck(lambda *parts: fast(kind, "tanh", *parts), arguments())


@pytest.mark.parametrize("afunc", ACTIVATIONS)
def test_an_activation_its_value_written_in_place_and_its_derivative_agree(afunc: str) -> None:
    activation = ACTIVATIONS[afunc]
    z = torch.linspace(-4, 4, 40, dtype=torch.float64).requires_grad_()  # an even number: 0 is not among them
    value = activation.function(z)
    torch.testing.assert_close(value, PHI[afunc](z), rtol=1e-12, atol=1e-15)
    out, slope = torch.empty_like(z), torch.empty_like(z)
    with torch.no_grad():
        activation.into(z, out)
        activation.backward(torch.full_like(z, 2.0), value, slope)
    assert torch.equal(out, value)
    (expected,) = torch.autograd.grad(2 * PHI[afunc](z).sum(), z)
    torch.testing.assert_close(slope, expected, rtol=1e-10, atol=1e-15)


def test_every_activation_has_its_formula_here() -> None:
    assert set(ACTIVATIONS) == set(PHI)
    negative = ACTIVATIONS["leakyrelu"].function(torch.tensor(-1.0))
    assert float(negative) == pytest.approx(-0.01)


@pytest.mark.parametrize("kind", ["inside with leak", "outside"])
def test_a_matrix_in_bfloat16_keeps_the_state_in_float32(kind: str) -> None:
    # 1 - 1/1000 rounds to 1 in bfloat16: a state kept in it would not decay at all.
    M, carried = torch.zeros(1, 3, dtype=torch.bfloat16), 1 - 1e-3
    a = torch.tensor([carried if kind == "inside with leak" else 1e-3])
    states, last = fast(kind, "leakyrelu", M, torch.ones(1, 1), torch.zeros(300, 1, 1), a)
    decay = carried ** np.arange(1, 301)
    assert states.dtype == last.dtype == torch.float32
    assert float(last) == pytest.approx(decay[-1], rel=tolerance(torch.float32, steps=300))
    np.testing.assert_allclose(states.flatten().numpy(), decay, rtol=2**-8)


def test_the_leaky_matrix_and_its_gradients_are_those_of_its_parts():
    generator = torch.Generator().manual_seed(0)
    W, W_in, bias, a, diagonal = parts = [
        torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((4, 4), (4, 3), (4,), (4,), (4,))
    ]
    whole = torch.diagonal_scatter(a[:, None] * torch.cat([W, W_in, bias[:, None]], dim=1), diagonal)
    torch.testing.assert_close(leaky_matrix(*parts), whole)
    assert torch.autograd.gradcheck(leaky_matrix, parts)
