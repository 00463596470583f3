"""Integrate-and-fire units: the count of spikes, the Jacobian, timescales and graphs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import InputError, build_model
from tauscope.models import Adjoint, LIFCell, MembraneCell, gamma_timescales, small_world
from tauscope.models.solvers import walk


def drawn(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def lif(n_units: int = 12, n_inputs: int = 2, seed: int = 0, **options: float | str) -> LIFCell:
    generator = torch.Generator().manual_seed(seed)
    return LIFCell(n_inputs, n_units, generator, **options).double().requires_grad_(False)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    n_units=st.integers(1, 20),
    scale=st.floats(0.1, 10),
    shape=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_spikes_are_counted_by_what_came_in_and_what_leaked(
    seed: int, n_units: int, scale: float, shape: float
) -> None:
    """Of every unit: θ Σ s = v_0 - v_T + (1 - α) Σ (I - v)."""
    cell = lif(n_units, 1, seed, tau_shape=shape)
    inputs = scale * drawn(60, 1, 1, seed=seed)
    membranes = [drawn(1, n_units, seed=seed + 1)]
    state = (torch.zeros_like(membranes[0]), membranes[0])
    membranes += [state[1] for state in walk(cell, inputs, state, None, None)]
    v = torch.stack(membranes)
    I = torch.stack([cell.drive(x, before) for x, before in zip(inputs, v, strict=False)])  # noqa: E741
    spikes = cell.spikes(v[:-1]).sum(dim=0)
    expected = v[0] - v[-1] + (1 - cell.alpha) * (I - v[:-1]).sum(dim=0)
    assert bool(((v[:-1] >= 1).double().sum(dim=0) == spikes.round()).all())
    torch.testing.assert_close(spikes, expected, rtol=0, atol=1e-10 * (1 + float(I.abs().sum())))


@pytest.mark.parametrize(("current", "fires"), [(0.9, False), (1.7, True)])
def test_a_constant_input_below_threshold_is_approached_and_one_above_it_makes_units_fire(
    current: float, fires: bool
) -> None:
    cell = lif(6, 1)
    for name, weight in cell.weights().items():
        if name != "raw_tau":
            weight.put(torch.full_like(weight.tensor, current if name == "input.bias" else 0.0))
    states = list(walk(cell, torch.zeros(2000, 1, 1, dtype=torch.float64), cell.initial_state(1), None, None))
    v = torch.stack([torch.zeros_like(states[0][1]), *(state[1] for state in states)])
    rate = cell.spikes(v[:-1]).mean(dim=0)
    if fires:
        kept = (v[0] - v[-1]) / len(states)
        torch.testing.assert_close(rate, (1 - cell.alpha) * (current - v[:-1].mean(dim=0)) + kept, rtol=0, atol=1e-10)
        assert float(rate.min()) > 0.02
    else:
        assert float(rate.max()) == 0
        torch.testing.assert_close(v[-1], torch.full_like(v[-1], current), rtol=0, atol=1e-10)


@pytest.mark.parametrize("slope", [1.0, 5.0, 25.0])
def test_the_jacobian_of_the_membranes_is_the_formula(slope: float) -> None:
    cell = lif(9, slope=slope)
    x, v = drawn(2, 2), 1 + drawn(2, 9)
    gain = 1 / (1 + slope * (v - 1).abs()).square()
    alpha, W = cell.alpha, cell.recurrent_weights
    expected = torch.diag(alpha) + (torch.diag(1 - alpha) @ W - torch.eye(9, dtype=v.dtype)) * gain[:, None, :]
    torch.testing.assert_close(MembraneCell(cell).jacobian(x, (v,)), expected, rtol=0, atol=1e-12)
    whole = cell.jacobian(x, (drawn(2, 9, seed=5), v))
    torch.testing.assert_close(whole[:, 9:, 9:], expected, rtol=0, atol=1e-12)
    assert bool((whole[:, 9:, :9] == 0).all()), "no membrane sees a trace"
    torch.testing.assert_close(whole[:, :9, :9], torch.diag(alpha).expand(2, -1, -1), rtol=0, atol=1e-12)


def test_surrogate_gradients_are_those_of_the_jacobian() -> None:
    """The gradient of the last state with respect to the first is the product of the Jacobians, by backward derivatives too."""
    cell, inputs = lif(5, 1), 3 * drawn(7, 1, 1)
    start = (drawn(1, 5, seed=3), (1 + drawn(1, 5, seed=4)).requires_grad_())
    product, state = torch.eye(10, dtype=torch.float64), start
    for x in inputs:
        product = cell.jacobian(x, state)[0] @ product
        state = cell.step(x, state)
    found = torch.autograd.grad(state[1].sum(), start[1])[0]
    torch.testing.assert_close(found[0], product[5:, 5:].sum(dim=0), rtol=1e-10, atol=1e-12)


def test_a_reset_to_zero_forgets_the_membrane() -> None:
    cell = lif(3, 1, reset="zero")
    x = torch.zeros(1, 1, dtype=torch.float64)
    high, higher = (torch.full((1, 3), value, dtype=torch.float64) for value in (1.2, 7.0))
    zero = torch.zeros_like(high)
    torch.testing.assert_close(cell.step(x, (zero, high))[1], cell.step(x, (zero, higher))[1], rtol=0, atol=1e-14)
    torch.testing.assert_close(
        cell.step(x, (zero, high))[1], (1 - cell.alpha) * cell.drive(x, high), rtol=0, atol=1e-14
    )


def test_weights_are_trained_by_surrogate_gradients_and_timescales_are_not() -> None:
    model = build_model("lif", 8, n_heads=1, generator=torch.Generator().manual_seed(0))
    inputs = torch.ones(12, 3, 1)
    outputs = []
    for solved in (model.solve(inputs), model.solve(inputs, solver=Adjoint())):
        model.zero_grad()
        model.readout(solved[0], "N2").square().sum().backward()
        outputs.append([parameter.grad for parameter in model.cells.parameters()])
        assert all(grad is not None and bool(grad.abs().sum() > 0) for grad in outputs[-1])
    for by_loop, by_adjoint in zip(*outputs, strict=True):
        torch.testing.assert_close(by_adjoint, by_loop, rtol=1e-3, atol=1e-5)
    assert "cells.0.raw_tau" not in dict(model.named_parameters())
    assert torch.equal(model.tau, model.layers[0].weights()["raw_tau"].value)  # type: ignore[arg-type]


def test_gamma_timescales_have_their_quantiles_and_clusters() -> None:
    from scipy import stats

    drawn_tau = gamma_timescales(4000, 4.0, 1.5, torch.Generator().manual_seed(0)).double().numpy()
    law = stats.gamma(1.5, scale=4 / 1.5)
    for quantile in (0.3, 0.5, 0.9, 0.99):
        assert np.quantile(drawn_tau, quantile) == pytest.approx(max(law.ppf(quantile), 1.5), rel=0.06)
    assert drawn_tau.min() == 1.5
    by_cluster = (
        gamma_timescales(4000, 8.0, 50.0, torch.Generator().manual_seed(0), clusters=4).reshape(4, -1).mean(dim=1)
    )
    np.testing.assert_allclose(by_cluster[1:] / by_cluster[:-1], 4 ** (1 / 3), rtol=0.03)
    assert float(by_cluster.mean()) == pytest.approx(8, rel=0.02)


@settings(max_examples=20, deadline=None)
@given(n_units=st.integers(5, 40), half=st.integers(0, 2), rewired=st.floats(0, 1), seed=st.integers(0, 2**20))
def test_every_unit_of_a_small_world_keeps_its_number_of_inputs(
    n_units: int, half: int, rewired: float, seed: int
) -> None:
    graph = small_world(n_units, 2 * half, rewired, torch.Generator().manual_seed(seed))
    assert bool((graph.sum(dim=1) == 2 * half).all())
    assert float(graph.diagonal().abs().sum()) == 0
    assert set(graph.unique().tolist()) <= {0.0, 1.0}


def test_so_many_synapses_of_a_small_world_are_rewired() -> None:
    ring = small_world(120, 24, 0.0, torch.Generator())
    assert bool((ring == ring.t()).all())
    graph = small_world(120, 24, 0.2, torch.Generator().manual_seed(0))
    far = float((graph * (1 - ring)).sum()) / 2880
    assert 0.17 < far < 0.23
    assert float((small_world(120, 24, 1.0, torch.Generator().manual_seed(0)) * ring).sum()) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mean_tau": 0.0}, "mean_tau is 0.0: expected a number above 0"),
        ({"mean_tau": float("inf")}, "mean_tau is inf: expected a finite number"),
        ({"tau_shape": -1.0}, "tau_shape is -1.0: expected at least 0"),
        ({"slope": 0.0}, "slope is 0.0: expected a number above 0"),
        ({"reset": "zeroo"}, "reset 'zeroo' is unknown: .*did you mean 'zero'"),
        ({"clusters": 13}, "13 clusters of 12 units: expected at most 12"),
        ({"clusters": 2, "tau_shape": 0.0}, "2 clusters of one timescale: expected a tau_shape above 0"),
    ],
)
def test_what_is_no_cell_is_refused(options: dict[str, float | str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        lif(**options)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((5, 3, 0.1), "3 neighbours among 5 units: expected an even number below 5"),
        ((5, 6, 0.1), "6 neighbours among 5 units"),
        ((5, 2, 1.5), "rewired is 1.5: expected a probability"),
        ((0, 2, 0.5), "number of units is 0"),
    ],
)
def test_what_is_no_small_world_is_refused(arguments: tuple[int, int, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        small_world(*arguments, torch.Generator())
