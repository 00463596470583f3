"""Engines of training: gradients of everything equal backpropagation through time, on every cell, whatever converges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import tauscope as ts
from cells import NETWORKS, network
from tauscope.errors import InputError
from tauscope.models import Adjoint, Parallel, Solver
from tauscope.models.parallel import engines
from tauscope.models.solvers import Loop
from tauscope.models.wrapped import WrappedCell

ENGINES: dict[str, Callable[[], Solver]] = {
    "adjoint": Adjoint,
    "parallel": Parallel,
    "windows": lambda: Parallel(window=17),
    "one correction": lambda: Parallel(window=17, max_iter=1),
}


def gradients(model: ts.Model, solver: Solver, n_steps: int = 40, first: int = 0) -> tuple[Tensor, list[Tensor]]:
    """Return a loss on all states and the last one, and its gradients: of inputs, noise, initial state and parameters."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    inputs, noise = draw(n_steps, 3, model.n_inputs).requires_grad_(), 0.1 * draw(n_steps, 3, model.n_units)
    noise = noise.requires_grad_()
    hold = torch.rand(n_steps, 3, generator=generator) < 0.2
    state = tuple(tuple(part.clone().requires_grad_() for part in layer) for layer in model.initial_state(3, generator))
    weight = draw(n_steps, 3, model.n_units)
    states, final, _ = model.solve(inputs, state, noise=noise, hold=hold, solver=solver, first=first)
    last = [part for layer in final for part in layer]
    loss = (weight[first:] * states).sum() + sum(part.square().sum() for part in last)
    parameters = [parameter for parameter in model.cells.parameters() if parameter.requires_grad]
    leaves = [inputs, noise, *(part for layer in state for part in layer), *parameters]
    return loss, list(torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True))


def assert_same_gradients(model: ts.Model, solver: Solver, **options: int) -> None:
    (loss, expected), (found_loss, found) = gradients(model, Loop(), **options), gradients(model, solver, **options)
    assert abs(found_loss - loss) <= 1e-8 * max(1.0, abs(float(loss.detach())))
    for left, right in zip(found, expected, strict=True):
        assert float((left - right).norm()) <= 1e-8 * max(float(right.norm()), 1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_every_cell_are_those_of_backpropagation(name: str, engine: str) -> None:
    assert_same_gradients(network(name), ENGINES[engine]())


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_large_layers_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_DENSE_BELOW", 0)
    for solver in (Adjoint(), Parallel(window=17)):
        if name != "relu_gru":  # the kernel of this cell clips, see below
            assert_same_gradients(network(name), solver)


def test_a_kernel_that_clips_nothing_is_the_adjoint_of_a_large_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_DENSE_BELOW", 0)
    model = network("relu_gru")
    model.layers[0].clip = None  # type: ignore[assignment]
    model.layers[0].unit_wise = lambda: None  # type: ignore[assignment]
    assert_same_gradients(model, Adjoint())


@pytest.mark.parametrize("block", [1, 7, 40])
def test_the_reverse_recurrence_goes_on_from_block_to_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network("gru")
    monkeypatch.setattr(engines, "_MATRICES", block * 3 * 6 * 6)
    assert_same_gradients(model, Adjoint())


@pytest.mark.parametrize("first", [1, 25, 39])
def test_states_are_wanted_from_a_step_on(first: int) -> None:
    for solver in (Adjoint(), Parallel(window=11)):
        assert_same_gradients(network("layers"), solver, first=first)


def test_the_answer_never_depends_on_convergence() -> None:
    def chaotic(x: Tensor, h: Tensor) -> Tensor:
        return 4 * h * (1 - h) + 0 * x

    cell = WrappedCell(chaotic, 1, 1, torch.tensor([0.3], dtype=torch.float64))
    model = ts.Model([cell], ts.Heads(1, ["out"], 1, True, torch.Generator().manual_seed(0))).double()
    inputs = torch.zeros(60, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        expected = model.solve(inputs, solver=Loop())[0]
        states, _, info = model.solve(inputs, solver=Parallel(window=30))
    assert torch.equal(states, expected)
    assert info["0.fallback"].all()
    assert info["0.iterations"].tolist() == [[12], [12]]


def test_only_the_trials_that_do_not_converge_run_as_a_loop() -> None:
    def step(x: Tensor, h: Tensor) -> Tensor:
        return torch.where(x > 0, 4 * h * (1 - h), 0.5 * h)

    cell = WrappedCell(step, 1, 1, torch.tensor([0.3], dtype=torch.float64))
    model = ts.Model([cell], ts.Heads(1, ["out"], 1, True, torch.Generator().manual_seed(0))).double()
    inputs = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64).expand(60, 3).unsqueeze(-1)
    hold = torch.rand(60, 3, generator=torch.Generator().manual_seed(0)) < 0.2
    with torch.no_grad():
        states, _, info = model.solve(inputs, hold=hold, solver=Parallel())
        expected = model.solve(inputs, hold=hold, solver=Loop())[0]
    assert info["0.fallback"].tolist() == [[True, False, True]]
    torch.testing.assert_close(states, expected, rtol=0, atol=1e-12)


def test_single_precision_agrees_within_its_own() -> None:
    model = ts.build_model("gru", 8, n_inputs=2, generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(200, 3, 2, generator=torch.Generator().manual_seed(1))
    found = {}
    for name, solver in (("loop", Loop()), ("adjoint", Adjoint()), ("parallel", Parallel())):
        loss = model.solve(inputs, solver=solver)[0].square().mean()
        found[name] = torch.autograd.grad(loss, list(model.cells.parameters()))
    for name in ("adjoint", "parallel"):
        for left, right in zip(found[name], found["loop"], strict=True):
            assert (left - right).norm() < 1e-4 * right.norm()


class _Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


@pytest.mark.parametrize("engine", [Adjoint(), Parallel(window=17)])
def test_parametrised_pruned_and_frozen_weights(engine: Solver) -> None:
    model = network("default")
    parametrize.register_parametrization(model.layers[0].recurrent, "weight", _Doubled())
    assert_same_gradients(model, engine)
    model = network("gru")
    mask = torch.rand(18, 6, generator=torch.Generator().manual_seed(0)) < 0.5
    prune.custom_from_mask(model.layers[0].rnn, "weight_hh_l0", mask)
    assert_same_gradients(model, engine)
    model = network("lstm")
    model.layers[0].rnn.weight_ih_l0.requires_grad_(False)  # type: ignore[union-attr]
    assert_same_gradients(model, engine)


def test_a_gradient_is_not_differentiated_again_but_transforms_of_torch_are_served() -> None:
    model = network("gru")
    inputs = torch.randn(10, 2, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    loss = model.solve(inputs, solver=Adjoint())[0].square().sum()
    (gradient,) = torch.autograd.grad(loss, inputs, create_graph=True)
    with pytest.raises(RuntimeError, match=r"differentiate twice|once_differentiable"):
        gradient.sum().backward()

    def value(solver: Solver, x: Tensor) -> Tensor:
        return model.solve(x, solver=solver)[0].square().sum()

    of = [
        torch.func.grad(lambda x, s=solver: value(s, x))(inputs.detach()) for solver in (Loop(), Adjoint(), Parallel())
    ]
    torch.testing.assert_close(of[1], of[0])
    torch.testing.assert_close(of[2], of[0])


def test_no_graph_where_no_gradient_is_asked() -> None:
    model = network("lstm")
    for solver in (Adjoint(), Parallel()):
        with torch.no_grad():
            assert not model.solve(torch.zeros(9, 2, 1, dtype=torch.float64), solver=solver)[0].requires_grad


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Parallel(window=0), "window is 0: expected at least 1"),
        (lambda: Parallel(max_iter=0), "max_iter is 0: expected at least 1"),
        (lambda: Parallel(tol=-1.0), "tol is -1.0: expected a number above 0"),
    ],
)
def test_bad_options_are_refused(make: Callable[[], Solver], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()


def test_a_tolerance_below_the_precision_is_refused() -> None:
    model = ts.build_model("gru", 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=r"tol is 1e-09, below the precision of torch\.float32"):
        model.solve(torch.zeros(9, 2, 1), solver=Parallel(tol=1e-9))
