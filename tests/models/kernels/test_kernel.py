"""Every network gives the derivatives of the loop over its step, of whatever order and by whatever transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from cells import NETWORKS, network
from rounding import tolerance
from tauscope import Model
from tauscope.models import Loop
from tauscope.models.solvers import Fast, Solver

# What torch does itself, once, when it loads its rules of forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

T, B = 4, 2


def inputs_of(model: Model) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(T, B, model.n_inputs, generator=generator, dtype=torch.float64)


def run(model: Model, inputs: Tensor, solver: Solver, hold: Tensor | None = None) -> Tensor:
    """Return states ``[time, batch, unit]``, private noise of fixed numbers in them."""
    noise = torch.linspace(-1, 1, len(inputs) * inputs.shape[1] * model.n_units, dtype=torch.float64)
    noise = noise.reshape(len(inputs), inputs.shape[1], model.n_units)
    return model.solve(inputs, noise=noise, hold=hold, solver=solver)[0]


def assert_same(model: Model, transform: Callable[[Callable[[Tensor], Tensor]], Any]) -> None:
    """Assert that a transform of the fast recurrence is that of the loop, and not of nothing."""
    fast, plain = (transform(lambda x, by=by: run(model, x, by)) for by in (Fast(), Loop()))  # type: ignore[misc]
    torch.testing.assert_close(fast, plain, rtol=tolerance(torch.float64, 10, 100), atol=1e-12)
    assert bool(plain.abs().sum() > 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_hessian(name: str) -> None:
    model = network(name)
    inputs = inputs_of(model)
    assert_same(
        model, lambda f: torch.autograd.functional.hessian(lambda x: (f(x).square() + f(x).sin()).sum(), inputs)
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_hessian_by_composed_transforms(name: str) -> None:
    model = network(name)
    inputs = inputs_of(model)
    assert_same(model, lambda f: torch.func.hessian(lambda x: (f(x).square() + f(x).sin()).sum())(inputs))


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_of_a_gradient_penalty(name: str) -> None:
    """A penalty on the gradient of the inputs moves the weights: second derivatives across both, too small to be clipped."""
    model = network(name)

    def penalised(f: Callable[[Tensor], Tensor]) -> Tensor:
        inputs = inputs_of(model).requires_grad_()
        (gradient,) = torch.autograd.grad(1e-3 * f(inputs).square().sum(), inputs, create_graph=True)
        moved = torch.autograd.grad(gradient.square().sum(), list(model.cells.parameters()), allow_unused=True)
        return torch.cat([one.flatten() for one in moved if one is not None])

    assert_same(model, penalised)


@pytest.mark.parametrize("name", NETWORKS)
def test_jvp_of_the_inputs(name: str) -> None:
    model = network(name)
    inputs = inputs_of(model)
    assert_same(model, lambda f: torch.func.jvp(f, (inputs,), (torch.cos(inputs),))[1])


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_mode_without_a_transform(name: str) -> None:
    model = network(name)
    inputs = inputs_of(model)

    def tangent(f: Callable[[Tensor], Tensor]) -> Tensor:
        with forward_ad.dual_level():
            found: Tensor = forward_ad.unpack_dual(f(forward_ad.make_dual(inputs, torch.cos(inputs)))).tangent
            return found

    assert_same(model, tangent)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_vectorised_jacobian(name: str, strategy: str) -> None:
    """Its gradients are batched, though nothing was transformed when the states were computed."""
    model = network(name)
    inputs = inputs_of(model)
    assert_same(model, lambda f: torch.autograd.functional.jacobian(f, inputs, vectorize=True, strategy=strategy))


@pytest.mark.parametrize("name", NETWORKS)
def test_vmap(name: str) -> None:
    model = network(name)
    inputs = torch.stack([inputs_of(model), 2 * inputs_of(model)])
    assert_same(model, lambda f: torch.vmap(f)(inputs))


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_every_trial_by_functional_call(name: str) -> None:
    model = network(name)
    inputs = inputs_of(model)
    parameters = {key: one.detach() for key, one in model.named_parameters() if key.startswith("cells")}

    def gradients(solver: Solver) -> dict[str, Tensor]:
        def loss(given: dict[str, Tensor], trial: Tensor) -> Tensor:
            states: Tensor = torch.func.functional_call(_Run(model, solver), given, (trial[:, None],))
            return states.square().sum()

        named = {f"model.{key}": one for key, one in parameters.items()}
        return torch.vmap(torch.func.grad(loss), (None, 1))(named, inputs)

    fast, plain = gradients(Fast()), gradients(Loop())
    torch.testing.assert_close(fast, plain, rtol=tolerance(torch.float64, 10, 100), atol=1e-12)
    assert all(len(one) == B for one in fast.values())


class _Run(torch.nn.Module):
    def __init__(self, model: Model, solver: Solver) -> None:
        super().__init__()
        self.model, self.solver = model, solver

    def forward(self, inputs: Tensor) -> Tensor:
        return run(self.model, inputs, self.solver)


@pytest.mark.parametrize("name", NETWORKS)
def test_held_states_have_second_derivatives_too(name: str) -> None:
    model = network(name)
    inputs = inputs_of(model)
    hold = torch.tensor([[False, True], [True, False], [True, True], [False, False]])
    found = [
        torch.autograd.functional.hessian(lambda x, by=by: run(model, x, by, hold).pow(3).sum(), inputs)  # type: ignore[misc]
        for by in (Fast(), Loop())
    ]
    torch.testing.assert_close(*found, rtol=tolerance(torch.float64, 10, 100), atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_of_the_gradient_leaves_the_gradient_as_it_is(name: str) -> None:
    model = network(name)

    def gradients(create_graph: bool) -> list[Tensor]:
        inputs = inputs_of(model).requires_grad_()
        wanted = [inputs, *(one for one in model.cells.parameters() if one.requires_grad)]
        loss = run(model, inputs, Fast()).square().sum()
        found = torch.autograd.grad(loss, wanted, create_graph=create_graph, allow_unused=True)
        return [one.detach() for one in found if one is not None]

    for graph, plain in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(graph, plain, rtol=tolerance(torch.float64, 10, 100), atol=1e-12)
