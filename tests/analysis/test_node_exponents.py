"""Exponents of units against closed forms, determinants and networks in two parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import jacfwd

from tauscope import Heads, InputError, LeakyRNN, Model, build_model
from tauscope.analysis.lyapunov import exponents_along, flatten
from tauscope.analysis.node_exponents import node_exponents, without_traces
from tauscope.models import Cell, LIFCell, State


def drawn(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spiking(n_units: int = 10, slope: float = 5.0, seed: int = 0) -> Model:
    generator = torch.Generator().manual_seed(seed)
    cell = LIFCell(1, n_units, generator, slope=slope)
    return Model([cell], Heads(n_units, ["out"], 1, False, generator)).double().requires_grad_(False)


def test_silent_units_without_connections_forget_at_their_own_rate() -> None:
    model = spiking(8, slope=1e9)
    for name, weight in model.layers[0].weights().items():
        if name != "raw_tau":
            weight.put(torch.full_like(weight.tensor, -30.0 if name == "input.bias" else 0.0))
    result = node_exponents(model, torch.zeros(40, 1, 1, dtype=torch.float64), burn_in=0)
    own = -1 / model.tau.numpy()  # type: ignore[union-attr]
    np.testing.assert_allclose(result.node_exponents[0], own, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.exponents[0], np.sort(own)[::-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        spiking(),
        LeakyRNN(7, afunc="tanh", n_heads=1, generator=torch.Generator().manual_seed(1)).double().requires_grad_(False),
    ],
)
def test_the_sum_is_that_of_all_exponents_and_the_mean_log_determinant(model: Model) -> None:
    inputs = 2 * drawn(60, 1, 1)
    result = node_exponents(model, inputs, burn_in=10)
    z, step = flatten(without_traces(model), without_traces(model).initial_state(1, torch.Generator().manual_seed(0)))
    logs = []
    for t, x in enumerate(inputs):
        J = jacfwd(lambda own, x=x: step(x, own[None])[0])(z[0])
        logs += [float(torch.linalg.slogdet(J).logabsdet)] if t >= 10 else []
        z = step(x, z).detach()
    total = float(result.node_exponents.sum())
    assert total == pytest.approx(float(result.exponents.sum()), abs=1e-10)
    assert total == pytest.approx(np.mean(logs), abs=1e-8)


def test_units_that_no_synapse_joins_do_not_share() -> None:
    whole, alone = spiking(10), spiking(10)
    W = whole.layers[0].weights()["recurrent.weight"]
    block = W.tensor.clone()
    block[:4, 4:], block[4:, :4] = 0, 0
    W.put(block)
    other = block.clone()
    other[4:, 4:] = drawn(6, 6)
    alone.layers[0].weights()["recurrent.weight"].put(other)
    inputs = 2 * drawn(50, 1, 1)
    first, second = (node_exponents(model, inputs).node_exponents[0].values for model in (whole, alone))
    np.testing.assert_allclose(first[:4], second[:4], rtol=0, atol=1e-12)
    assert np.abs(first[4:] - second[4:]).max() > 1e-3


def test_traces_add_the_exponents_of_their_own_leak_and_change_no_other() -> None:
    model, inputs = spiking(6), 2 * drawn(400, 1, 1)
    state = model.initial_state(1)
    whole = exponents_along(
        model, state, inputs, 12, burn_in=100, n_steps=300, generator=torch.Generator().manual_seed(0)
    ).exponents.values[0]
    own = node_exponents(model, inputs, burn_in=100).exponents.values[0]
    expected = np.sort([*own, *(-1 / model.tau.numpy())])  # type: ignore[union-attr]
    assert whole.sum() == pytest.approx(expected.sum(), abs=1e-6)
    np.testing.assert_allclose(np.sort(whole), expected, rtol=0, atol=0.03)


def test_with_a_steep_surrogate_exponents_are_those_of_the_leak() -> None:
    """Their sum and the largest: which axis has which exponent takes long to settle where nothing joins the units."""
    model = spiking(10, slope=1e9)
    result = node_exponents(model, 2 * drawn(200, 1, 1))
    own = -1 / model.tau.numpy()  # type: ignore[union-attr]
    assert float(result.exponents.sum()) == pytest.approx(own.sum(), abs=1e-3)
    assert float(result.exponents.max()) == pytest.approx(own.max(), abs=6e-3)


def test_units_of_several_tensors_have_one_exponent() -> None:
    model = build_model("lstm", 5, n_heads=1, generator=torch.Generator().manual_seed(0)).double()
    result = node_exponents(model, drawn(40, 2, 1))
    assert dict(result.sizes) == {"trial": 2, "exponent": 10, "unit": 5}
    np.testing.assert_allclose(result.node_exponents.sum("unit"), result.exponents.sum("exponent"), rtol=1e-9)


def test_few_exponents_are_weighted_means() -> None:
    model, inputs = spiking(10), drawn(60, 1, 1)
    result = node_exponents(model, inputs, n_exponents=3)
    leading = result.exponents.values[0]
    assert leading.shape == (3,)
    assert (
        leading[-1] - 1e-9
        <= float(result.node_exponents.min())
        <= float(result.node_exponents.max())
        <= leading[0] + 1e-9
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_exponents": 0}, "number of exponents is 0"),
        ({"n_exponents": 11}, "11 exponents of a state of size 10: expected at most 10"),
        ({"burn_in": 20}, "burn-in is 20 of 20 steps: expected at most 19"),
        ({"burn_in": -1}, "burn-in is -1: expected at least 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        node_exponents(spiking(), torch.zeros(20, 1, 1), **options)  # type: ignore[arg-type]


class Clocked(Cell):
    """Units beside which a state has a clock."""

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        del generator
        return torch.zeros(batch_size, self.n_units), torch.zeros(batch_size, 1)

    def step(self, x: torch.Tensor, state: State, noise: torch.Tensor | None = None) -> State:
        del noise
        return state[0] / 2 + x, state[1] / 2 + 1


class Resetting(Cell):
    """Units that halve their state, the first of which loses it where the input is above 0."""

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        del generator
        return (torch.ones(batch_size, self.n_units, dtype=torch.float64),)

    def step(self, x: torch.Tensor, state: State, noise: torch.Tensor | None = None) -> State:
        del noise
        kept = torch.cat([x[:, :1] <= 0, torch.ones_like(x[:, :1], dtype=torch.bool)], dim=1)
        return (state[0] * kept / 2,)


def test_a_step_that_collapses_a_direction_counts_as_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    model = Model([Resetting(1, 2)], Heads(2, ["out"], 1, False, generator)).double()
    inputs = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).repeat(5)[:, None, None]
    result = node_exponents(model, inputs, burn_in=4)
    resetting = (np.log(np.finfo(np.float64).eps) + 3 * np.log(0.5)) / 4
    np.testing.assert_allclose(result.node_exponents[0], [resetting, np.log(0.5)], rtol=1e-12)
    np.testing.assert_allclose(result.exponents[0], [np.log(0.5), resetting], rtol=1e-12)


def test_a_state_that_is_no_units_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    model = Model([Clocked(1, 4)], Heads(4, ["out"], 1, False, generator))
    with pytest.raises(InputError, match=r"a state of Clocked has shape \(1, 1\): expected \[trial, 4\]"):
        node_exponents(model, torch.zeros(5, 1, 1))
