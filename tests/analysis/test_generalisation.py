from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tauscope import DelayedMatchToSample, InputError, LeakyRNN, Model, Parity, load
from tauscope.analysis import generalisation as module
from tauscope.analysis.generalisation import generalise
from tauscope.analysis.ridge import Sums, ridge_weights
from tauscope.models.wrapped import wrap
from zoo import ZOO

N_BITS = 6


def _shift_register(longest: int) -> Model:
    """A network that holds the last bits and, in one unit each, the parities of the last 2 … ``longest`` of them."""

    def step(x: Tensor, h: Tensor) -> Tensor:
        bits = torch.cat([x, h[:, : N_BITS - 1]], dim=1)
        parities = [bits[:, :N].sum(dim=1, keepdim=True) % 2 for N in range(2, longest + 1)]
        return torch.cat([bits, *parities], dim=1)

    return wrap(step, 1, N_BITS + longest - 1)


def test_what_the_states_hold_is_read_out_and_nothing_else() -> None:
    """Parities of independent fair bits are uncorrelated with each other and with the bits."""
    result = generalise(_shift_register(4), Parity([2]), range(1, 7), n_steps=1000)
    accuracy = result.accuracy.mean("trial")
    np.testing.assert_array_equal(accuracy.sel(N=slice(1, 4)), 1)
    np.testing.assert_allclose(accuracy.sel(N=slice(5, 6)), 0.5, atol=0.03)
    np.testing.assert_array_equal(result.chance, 0.5)


def test_a_bit_is_asked_at_its_last_step() -> None:
    """Unit 1 shows the input, but only at every second step, which unit 0 counts."""

    def step(x: Tensor, h: Tensor) -> Tensor:
        return torch.cat([1 - h[:, :1], x * h[:, :1]], dim=1)

    result = generalise(wrap(step, 1, 2), Parity([2], repeat=2), [1], n_steps=300)
    np.testing.assert_array_equal(result.accuracy, 1)


def test_a_match_is_a_parity_of_two_bits() -> None:
    result = generalise(_shift_register(2), DelayedMatchToSample([2]), [1, 2, 3], n_steps=500)
    accuracy = result.accuracy.mean("trial")
    np.testing.assert_array_equal(accuracy.sel(N=[1, 2]), 1)
    assert accuracy.sel(N=3).item() == pytest.approx(0.5, abs=0.04)


def test_only_the_top_layer_is_read(generator: torch.Generator) -> None:
    """With weights that let nothing into the top layer, the lower one knows the last bit and the read-out does not."""
    model = LeakyRNN([6, 6], generator=generator)
    with torch.no_grad():
        top = model.layers[1]
        top.input = copy.deepcopy(top.input)
        for layer in (top.input, top.from_below):
            layer.weight.zero_()
            layer.bias.zero_()
    result = generalise(model, Parity([2]), [1], n_steps=300)
    assert result.accuracy.mean().item() == pytest.approx(0.5, abs=0.05)
    assert generalise(LeakyRNN([6, 6], generator=generator), Parity([2]), [1], n_steps=300).accuracy.min() == 1


@settings(max_examples=25, deadline=None)
@given(n=st.integers(5, 60), n_states=st.integers(1, 8), ridge=st.floats(1e-6, 10), seed=st.integers(0, 2**31))
def test_weights_are_those_of_augmented_least_squares(n: int, n_states: int, ridge: float, seed: int) -> None:
    """Ridge regression is least squares with a row √penalty e_i, of label 0, added for every weight i."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, n_states)) @ random.normal(size=(n_states, n_states)) + random.normal(size=n_states)
    y = random.choice([-1.0, 1.0], size=(n, 2))
    sums = Sums.zeros(n_states, 2)
    sums.add(torch.from_numpy(x[: n // 2]), torch.from_numpy(y[: n // 2]))
    sums.add(torch.from_numpy(x[n // 2 :]), torch.from_numpy(y[n // 2 :]))
    weights = ridge_weights(sums, [ridge])
    penalty = ridge * n * x.var(axis=0).mean()
    rows = np.block([[x, np.ones((n, 1))], [np.sqrt(penalty) * np.eye(n_states), np.zeros((n_states, 1))]])
    expected = np.linalg.lstsq(rows, np.concatenate([y, np.zeros((n_states, 2))]), rcond=None)[0]
    np.testing.assert_allclose(weights[0], expected, atol=1e-6 * max(1, np.abs(expected).max()))
    residual = np.square(y - x @ expected[:-1] - expected[-1]).sum(axis=0)
    np.testing.assert_allclose(sums.squared_error(weights)[0], residual, atol=1e-6)


def test_the_penalty_is_chosen_on_trials_left_out(generator: torch.Generator) -> None:
    """With fewer samples than units, the smallest penalty fits the noise: cross-validation prefers another."""
    model = LeakyRNN(60, generator=generator)
    result = generalise(model, Parity([2]), [2, 8], n_trials=5, n_steps=20, ridges=[1e-12, 1.0, 1e4])
    assert result.chosen_ridge.sel(N=8).item() == 1e4
    best = result.ridge[result.error.argmin("ridge")]
    np.testing.assert_array_equal(result.chosen_ridge, best)


@pytest.mark.parametrize("name", ZOO)
def test_every_network_can_be_read_anew(name: str, generator: torch.Generator) -> None:
    result = generalise(
        ZOO[name](generator), Parity([2], repeat=3, plus_minus=True), [1, 12], n_steps=60, warm_up=20, n_trials=5
    )
    assert result.accuracy.sizes == {"N": 2, "trial": 5}
    assert result.accuracy.sel(N=1).mean() > 0.95


def test_a_network_without_variance_answers_by_chance() -> None:
    result = generalise(wrap(lambda _, h: 0 * h, 1, 3), Parity([2]), [1], n_steps=300)
    assert result.accuracy.mean().item() == pytest.approx(0.5, abs=0.05)


def test_blocks_do_not_change_the_result(generator: torch.Generator) -> None:
    model = ZOO["default"](generator)
    whole = generalise(model, Parity([2], repeat=2), [2, 3], n_steps=100, warm_up=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_STEPS", 7)
        cut = generalise(model, Parity([2], repeat=2), [2, 3], n_steps=100, warm_up=30)
    np.testing.assert_allclose(whole.error, cut.error, rtol=1e-5)
    # Sums over other blocks: rounding may turn one answer of the 100 of a trial.
    np.testing.assert_allclose(whole.accuracy, cut.accuracy, rtol=0, atol=1.01 / 100)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"n_trials": 3}, "number of trials is 3: expected at least 5"),
        ({"n_folds": 1}, "number of folds is 1"),
        ({"warm_up": 1}, "warm-up is 1: expected at least 2"),
        ({"ridges": [-1.0]}, "expected penalties of at least 0"),
        ({"ridges": []}, "expected penalties of at least 0"),
        ({"Ns": [3, 2]}, "expected ascending integers"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], line: str, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=line):
        generalise(ZOO["default"](generator), Parity([2]), **({"Ns": [2, 3], "n_steps": 20} | options))


def test_divergence_is_named() -> None:
    with pytest.raises(InputError, match="the network diverged"):
        generalise(wrap(lambda _, h: 1e30 * h, 1, 1, initial=torch.ones(1)), Parity([2]), [1], n_steps=20)


@pytest.mark.reference
def test_published_dynamics_hold_more_than_their_heads_tell(reference: Path) -> None:
    """A single-head network answers no smaller N, but a fresh read-out of its states does; neither goes far beyond."""
    model = load(reference / "trained_models" / "single_parity_network_1" / "rnn_N5_N5")
    accuracy = generalise(model, Parity([2]), [2, 3, 4, 5, 12], n_steps=1000).accuracy.mean("trial")
    assert accuracy.sel(N=slice(2, 5)).min() > 0.98
    assert accuracy.sel(N=12).item() == pytest.approx(0.5, abs=0.03)
