"""Memory functions against what is known of linear networks, and how they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tauscope as ts
from tauscope import Heads, InputError, LeakyCell, Model
from tauscope.analysis import memory_function
from tauscope.analysis.linear_memory import linear_memory
from tauscope.models import ResidualCell


def linear_network(n_units: int, tau_map: str = "softplus", seed: int = 0) -> Model:
    generator = torch.Generator().manual_seed(seed)
    cell = ResidualCell(1, n_units, generator, afunc="identity", tau_map=tau_map)
    return Model([cell], Heads(n_units, ["out"], 1, False, generator)).double()


@settings(deadline=None, max_examples=25)
@given(n_units=st.integers(1, 6), amplitude=st.sampled_from([-2.0, 0.01, 1.0, 100.0]), seed=st.integers(0, 99))
def test_that_of_a_linear_network_is_the_size_of_its_memory(n_units: int, amplitude: float, seed: int) -> None:
    model = linear_network(n_units, seed=seed)
    found = memory_function(model, amplitude=amplitude, n_steps=60)["memory"].values
    gain = model.heads.linears[0].weight[0] * model.cells[0].input.weight[:, 0]
    expected = linear_memory(model.cells[0].rate, gain, 60).abs().detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_that_of_a_leaky_network_without_recurrence_is_a_sum_of_its_modes() -> None:
    generator = torch.Generator().manual_seed(0)
    cell = LeakyCell(1, 5, generator, afunc="identity")
    with torch.no_grad():
        cell.recurrent.weight.zero_()
    model = Model([cell], Heads(5, ["out"], 2, False, generator)).double()
    a = (1 / cell.tau).detach().numpy()
    gain = model.heads.linears[0].weight.detach().numpy() * cell.input.weight.detach().numpy()[:, 0] * a
    modes = (1 - a[:, None]) ** np.arange(40)
    found = memory_function(model, n_steps=40)["memory"].values
    np.testing.assert_allclose(found, np.linalg.norm(gain @ modes, axis=0), rtol=0, atol=1e-10)


def test_long_ones_are_run_in_pieces() -> None:
    model = ts.LeakyRNN(6, n_heads=2, generator=torch.Generator().manual_seed(0)).double()
    # 256 steps are a piece.
    long, short = (memory_function(model, n_steps=n)["memory"].values for n in (700, 256))
    np.testing.assert_allclose(long[:256], short, rtol=1e-12, atol=1e-14)
    inputs = torch.ones(700, 1, 1, dtype=torch.float64)
    state = model.initial_state(1, torch.Generator().manual_seed(0))
    with torch.no_grad():
        answers = [model.readout(model(level * inputs, state)[0], "N3")[:, 0].numpy() for level in (1.0, 0.0)]
    expected = np.linalg.norm(np.diff(answers[0] - answers[1], axis=0), axis=1)
    np.testing.assert_allclose(long[1:], expected, rtol=1e-9, atol=1e-14)


def test_the_published_definition_keeps_what_biases_do() -> None:
    model = linear_network(3)
    reference = memory_function(model, n_steps=30, reference=True)["memory"].values
    of = model.cells[0]
    gain = model.heads.linears[0].weight[0] * (of.input.weight[:, 0] + of.input.bias)
    expected = linear_memory(of.rate, gain, 30).abs().detach().numpy()
    assert math.isnan(reference[0])
    np.testing.assert_allclose(reference[1:], expected[1:], rtol=0, atol=1e-10)


def test_slopes_and_half_life_are_those_of_a_single_mode() -> None:
    model = linear_network(1)
    rate = model.cells[0].rate.item()
    result = memory_function(model, n_steps=100)
    assert float(result["semi_log_slope"]) == pytest.approx(math.log(1 - rate))
    share = 1 - (1 - rate) ** np.arange(1, 101)
    assert float(result["half_life"]) == int(np.argmax(share >= share[-1] / 2))


def test_a_network_without_memory_or_that_diverges_has_no_half_life() -> None:
    model = linear_network(2, "direct")
    with torch.no_grad():
        model.heads.linears[0].weight.zero_()
    silent = memory_function(model, n_steps=10)
    assert math.isnan(float(silent["half_life"]))
    assert math.isnan(float(silent["log_log_slope"]))
    diverging = linear_network(2, "direct")
    with torch.no_grad():
        diverging.cells[0].raw_tau.fill_(-5.0)
    assert math.isnan(float(memory_function(diverging, n_steps=1000)["half_life"]))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"head": "N9"}, "no head 'N9': expected N2 … N3"),
        ({"amplitude": 0}, "amplitude is 0: expected a finite number that is not 0"),
        ({"amplitude": math.inf}, "amplitude is inf"),
        ({"n_steps": 3}, "number of steps is 3: expected at least 4"),
        ({"n_steps": 10**20}, "number of steps is 100000000000000000000: expected at most 10000000"),
        ({"n_steps": 8.5}, "n_steps is 8.5: expected a whole number"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], line: str) -> None:
    model = ts.LeakyRNN(3, n_heads=2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match=line):
        memory_function(model, **options)  # type: ignore[arg-type]
