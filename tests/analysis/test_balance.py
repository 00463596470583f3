"""Balance by mean weights and by currents: planted values, closed forms, and sums written out unit by unit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tauscope import InputError, LeakyRNN, Model, build_model
from tauscope.analysis import ablate, balance, input_balance
from tauscope.analysis.balance import mean_rates, off_diagonal_mean, single_matrix
from tauscope.errors import NotApplicableError
from tauscope.models import BalancedRNN, ReluRNN
from zoo import ZOO


def with_weights(*weights: np.ndarray) -> LeakyRNN:
    """Return a leaky network, a layer for each matrix of recurrent weights."""
    sizes = [len(W) for W in weights]
    model = LeakyRNN(sizes, n_heads=1, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for cell, W in zip(model.layers, weights, strict=True):
            cell.recurrent.weight.copy_(torch.from_numpy(W))
    return model


@settings(deadline=None, max_examples=25)
@given(n=st.integers(2, 9), seed=st.integers(0, 2**31), factor=st.floats(-20, 20))
def test_balance_is_the_ratio_of_mean_weights_off_the_diagonal(n: int, seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    W_0, W = (rng.normal(size=(n, n)) for _ in range(2))
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    result = balance(with_weights(W), with_weights(W_0)).squeeze()
    now, start = (np.mean([matrix[pair] for pair in pairs]) for matrix in (W, W_0))
    assert result.mean_weight.item() == pytest.approx(now)
    assert result.initial_mean_weight.item() == pytest.approx(start)
    assert result.balance.item() == pytest.approx(abs(now / start))
    received = [[W[i, j] for j in range(n) if j != i] for i in range(n)]
    assert result.excitation.item() == pytest.approx(np.mean([sum(w for w in row if w > 0) for row in received]))
    assert result.inhibition.item() == pytest.approx(np.mean([sum(w for w in row if w < 0) for row in received]))
    assert result.feedback.item() == pytest.approx(result.excitation.item() + result.inhibition.item())
    # A network that is the same one times a factor is balanced by that factor.
    assert balance(with_weights(factor * W_0), with_weights(W_0)).balance.item() == pytest.approx(abs(factor))


def test_the_feedback_of_a_balanced_network_is_its_b(generator: torch.Generator) -> None:
    model = BalancedRNN(50, generator=generator, balance=3.0, g=0.0)
    result = balance(model, BalancedRNN(50, generator=generator, balance=1.5, g=0.0))
    assert result.balance.item() == pytest.approx(2.0, rel=1e-5)
    assert result.feedback.item() == pytest.approx(-3.0 * 49 / 50, rel=1e-5)
    assert result.excitation.item() == 0


def test_every_layer_has_its_balance() -> None:
    before, after = np.ones((3, 3)), np.arange(9.0).reshape(3, 3)
    result = balance(with_weights(after, 5 * before), with_weights(before, before))
    assert result.balance.values == pytest.approx([off_diagonal_mean(after), 5.0])
    assert result.layer.values.tolist() == [1, 2]


def test_networks_that_cannot_be_compared_are_refused(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=r"networks of \[5\] and \[6\] units: expected the same one"):
        balance(LeakyRNN(5, generator=generator), LeakyRNN(6, generator=generator))
    with pytest.raises(NotApplicableError, match="GRUCell has no single matrix of recurrent weights"):
        balance(*(build_model("gru", 4, generator=generator) for _ in range(2)))
    with pytest.raises(NotApplicableError, match="the mean weight at the start is 0"):
        balance(with_weights(np.ones((3, 3))), with_weights(np.zeros((3, 3))))


def test_a_single_unit_has_no_mean_weight() -> None:
    assert np.isnan(off_diagonal_mean(np.ones((1, 1))))


def test_rates_are_what_units_pass_on(generator: torch.Generator) -> None:
    states = torch.randn(4, 3, 10, generator=generator)
    balanced = BalancedRNN(10, generator=generator)
    torch.testing.assert_close(mean_rates(balanced, states), states.clamp(min=0).mean(dim=-1))
    torch.testing.assert_close(mean_rates(ablate(balanced, [0]), states), states.clamp(min=0).mean(dim=-1))
    torch.testing.assert_close(mean_rates(LeakyRNN(10, generator=generator), states), states.mean(dim=-1))


def written_out(model: Model, states: np.ndarray, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return excitation and inhibition ``[time, trial, unit]`` of a leaky network, current by current."""
    E, I = (np.zeros(states[1:].shape) for _ in range(2))  # noqa: E741
    sizes = [cell.n_units for cell in model.layers]
    first = np.cumsum([0, *sizes])
    for layer, cell in enumerate(model.layers):
        W = single_matrix(cell)
        V, bias = (one.detach().double().numpy() for one in cell.input_map())
        for t in range(1, len(states)):
            for trial in range(states.shape[1]):
                shown = list(inputs[t, trial])
                if layer:
                    shown = [*states[t, trial, first[layer - 1] : first[layer]], *shown]
                for i in range(sizes[layer]):
                    own = states[t - 1, trial, first[layer] : first[layer + 1]]
                    currents = [W[i, j] * own[j] for j in range(sizes[layer])]
                    currents += [V[i, k] * shown[k] for k in range(len(shown))] + [bias[i]]
                    E[t - 1, trial, first[layer] + i] = sum(c for c in currents if c > 0)
                    I[t - 1, trial, first[layer] + i] = sum(c for c in currents if c < 0)
    return E, I


@pytest.mark.parametrize("sizes", [6, [4, 4]])
def test_currents_are_those_written_out(sizes: int | list[int], generator: torch.Generator) -> None:
    model = LeakyRNN(sizes, n_inputs=2, afunc="tanh", generator=generator).double()
    inputs = torch.randn(7, 3, 2, generator=generator, dtype=torch.float64)
    start = tuple((torch.randn(h.shape, generator=generator).double(),) for (h,) in model.initial_state(3))
    states = model(inputs, start)[0].detach()
    assert (states < 0).any()
    result = input_balance(model, states, inputs)
    E, I = (one.reshape(-1, one.shape[-1]) for one in written_out(model, states.numpy(), inputs.numpy()))  # noqa: E741
    np.testing.assert_allclose(result.excitation, E.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(result.inhibition, I.mean(axis=0), rtol=1e-9)
    ratio = [abs(e.mean() + i.mean()) / (e.mean() + abs(i.mean())) for e, i in zip(E.T, I.T, strict=True)]
    np.testing.assert_allclose(result.imbalance, ratio, rtol=1e-9)
    correlation = [np.corrcoef(e, -i)[0, 1] for e, i in zip(E.T, I.T, strict=True)]
    np.testing.assert_allclose(result.correlation, correlation, rtol=1e-7, atol=1e-9)
    # Both together drive the unit.
    drive = E.reshape(6, 3, -1) + I.reshape(6, 3, -1)
    if isinstance(sizes, int):
        (cell,) = model.layers
        a = (1 / cell.tau).detach().numpy()
        moved = np.tanh((1 - a) * states[:-1].numpy() + a * drive)
        np.testing.assert_allclose(moved, states[1:].numpy(), rtol=1e-9)


@pytest.mark.parametrize("b", [0.5, 2.0, 10.0])
def test_imbalance_has_its_closed_form(b: float, generator: torch.Generator) -> None:
    model = BalancedRNN(40, generator=generator, balance=b, g=0.0, mean_input=b, dt=0.1).double()
    with torch.no_grad():
        model.layers[0].input.weight.fill_(1.0)
    model.settle()
    inputs = torch.full((3, 2, 1), b, dtype=torch.float64)
    result = input_balance(model, model(inputs)[0], inputs)
    strength = b * 39 / 40
    np.testing.assert_allclose(result.excitation, b)
    np.testing.assert_allclose(result.inhibition, -strength * b / (1 + strength), rtol=1e-6)
    np.testing.assert_allclose(result.imbalance, 1 / (1 + 2 * strength), rtol=1e-6)
    # Nothing changes, so that nothing can be correlated.
    assert result.correlation.isnull().all()


def test_currents_that_cancel_at_every_moment_are_correlated(generator: torch.Generator) -> None:
    """Unit 1 receives +s from outside and -s from unit 0, which repeats the input of the step before."""
    model = ReluRNN(2, n_inputs=1, generator=generator).double()
    (cell,) = model.layers
    with torch.no_grad():
        cell.recurrent.weight.copy_(torch.tensor([[0.0, 0.0], [-1.0, 0.0]]))
        cell.input.weight.copy_(torch.tensor([[1.0], [1.0]]))
    slow = 1 + torch.sin(torch.linspace(0, 20, 4000, dtype=torch.float64))[:, None, None]
    states, _ = model(slow)
    result = input_balance(model, states, slow)
    assert result.correlation[1].item() > 0.999
    assert result.imbalance[1].item() < 1e-2
    # Unit 0 has no inhibition at all.
    assert result.imbalance[0].item() == pytest.approx(1.0)
    assert np.isnan(result.correlation[0].item())


def test_a_silenced_unit_neither_sends_nor_receives_from_others(generator: torch.Generator) -> None:
    model = LeakyRNN(6, generator=generator)
    twin = ablate(model, [2])
    inputs = torch.randn(20, 2, 1, generator=generator)
    result = input_balance(twin, twin(inputs)[0], inputs)
    expected = copy.deepcopy(model)
    with torch.no_grad():
        expected.layers[0].recurrent.weight[2] = 0
        expected.layers[0].recurrent.weight[:, 2] = 0
    other = input_balance(expected, twin(inputs)[0], inputs)
    np.testing.assert_allclose(result.excitation, other.excitation, rtol=1e-5)


@pytest.mark.parametrize("name", ["default", "mod", "continuous", "layers", "gru", "own cell", "wrapped"])
def test_every_kind_of_network_is_measured_or_refused(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    inputs = torch.randn(5, 2, 1, generator=generator)
    states = model(inputs)[0]
    if name in ("gru", "own cell", "wrapped"):
        with pytest.raises(NotApplicableError, match="is no weighted sum of what it receives"):
            input_balance(model, states, inputs)
    else:
        assert input_balance(model, states, inputs).imbalance.shape == (10,)


def test_recordings_that_do_not_fit_are_refused(generator: torch.Generator) -> None:
    model = LeakyRNN(4, generator=generator)

    def measure(states: Tensor, inputs: Tensor) -> None:
        with pytest.raises(InputError, match="of the same two or more steps and trials"):
            input_balance(model, states, inputs)

    measure(torch.zeros(5, 2, 4), torch.zeros(4, 2, 1))
    measure(torch.zeros(5, 2, 3), torch.zeros(5, 2, 1))
    measure(torch.zeros(1, 2, 4), torch.zeros(1, 2, 1))
