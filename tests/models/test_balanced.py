"""Balanced networks: sequence, step and equation agree; what they start from; where they come to rest."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from problems import NUMPY_ACTIVATIONS
from tauscope import DivergedError, InputError
from tauscope.analysis import ablate, connectivity, lyapunov
from tauscope.analysis.connectivity import step_matrix
from tauscope.learning.objectives import answer_penalty
from tauscope.models import BalancedCell, BalancedRNN
from tauscope.models.balanced import excitatory_inhibitory, random_balanced
from tauscope.tasks import Tracking

N, S, B, T = 6, 2, 3, 8


def network(afunc: str = "relu", seed: int = 0, **options: object) -> BalancedRNN:
    """Return a small network in float64 with weights of both signs, and some on the diagonal of the raw matrix."""
    generator = torch.Generator().manual_seed(seed)
    model = BalancedRNN(N, n_inputs=S, generator=generator, afunc=afunc, **options).double()
    with torch.no_grad():
        model.layers[0].recurrent.weight.add_(0.5 * torch.randn(N, N, generator=generator, dtype=torch.float64))
        model.layers[0].bias.add_(0.1 * torch.randn(N, generator=generator, dtype=torch.float64))
    return model


def sequence(n_channels: int = S, seed: int = 9) -> Tensor:
    return torch.randn(T, B, n_channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_equation(model: BalancedRNN, inputs: Tensor, noise: Tensor | None) -> np.ndarray:
    """Return the states by the published equation in NumPy."""
    (cell,) = model.layers
    own = {name: one.detach().numpy() for name, one in cell.state_dict().items()}
    J, phi, dt = own["recurrent.weight"].copy(), NUMPY_ACTIVATIONS[cell.afunc], cell.dt
    np.fill_diagonal(J, 0)
    x, states = np.tile(own["rest"], (B, 1)), []
    for t, s in enumerate(inputs.numpy()):
        drive = np.stack([J @ phi(x[i]) + own["bias"] + own["input.weight"] @ s[i] / S for i in range(B)])
        x = x + dt * (-x + drive)
        if noise is not None:
            x = x + cell.sigma * math.sqrt(dt) * noise[t].numpy()
        states.append(x)
    return np.stack(states)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("afunc", list(NUMPY_ACTIVATIONS))
def test_forward_equals_the_loop_over_step_and_the_equation(afunc: str, noisy: bool) -> None:
    model = network(afunc, dt=0.3, sigma=0.7)
    inputs, noise = sequence().requires_grad_(), sequence(N, seed=4) if noisy else None
    state = model.initial_state(B)
    states, last = model(inputs, state, noise=noise)
    np.testing.assert_allclose(
        states.detach().numpy(), by_equation(model, inputs.detach(), noise), rtol=1e-10, atol=1e-12
    )
    assert torch.equal(last[0][0], states[-1])

    loop = []
    for t, x in enumerate(inputs):
        state = model.step(x, state, None if noise is None else noise[t])
        loop.append(model.hidden(state))
    wanted = [inputs, *(one for one in model.parameters() if one.requires_grad)]
    weights = sequence(N, seed=2)
    for run in (states, torch.stack(loop)):
        torch.testing.assert_close(run, states, rtol=1e-9, atol=1e-11)
        loss = (run * weights).sum() + model.readout(run, "out").square().sum()
        gradients = torch.autograd.grad(loss, wanted)
        if run is states:
            expected = gradients
        for one, other in zip(gradients, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_gradcheck_of_every_trained_parameter() -> None:
    model, inputs, noise = network(), sequence()[:4].requires_grad_(), sequence(N, seed=4)[:4]
    names, values = zip(*((name, one) for name, one in model.named_parameters() if one.requires_grad), strict=True)
    start = torch.rand(B, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()

    def run(x: Tensor, start: Tensor, *parameters: Tensor) -> Tensor:
        twin = dict(zip(names, parameters, strict=True))
        states, _ = torch.func.functional_call(model, twin, (x, ((start,),)), {"noise": noise})
        # A read-out is taken from the states of a network, so that its weights have a gradient too.
        head = twin["heads.linears.0.weight"]
        return torch.cat([states, torch.relu(states) @ head.t() / N], dim=-1)

    assert torch.autograd.gradcheck(run, (inputs, start, *values))


def test_what_is_trained_and_what_is_not() -> None:
    model = network()
    trained = {name for name, one in model.named_parameters() if one.requires_grad}
    assert trained == {"cells.0.input.weight", "cells.0.recurrent.weight", "heads.linears.0.weight"}
    saved = model.state_dict()
    assert {"cells.0.bias", "cells.0.rest"} < set(saved)
    fresh = BalancedRNN(N, n_inputs=S, generator=torch.Generator().manual_seed(7)).double()
    fresh.load_state_dict(saved)
    assert torch.equal(fresh.initial_state(1)[0][0], model.initial_state(1)[0][0])


def test_the_diagonal_counts_for_nothing_and_gets_no_gradient() -> None:
    model, inputs = network(), sequence()
    (cell,) = model.layers
    states, _ = model(inputs, noise=sequence(N))
    (gradient,) = torch.autograd.grad(states.square().sum(), cell.recurrent.weight)
    assert not gradient.diagonal().any()
    assert gradient.count_nonzero() == N * (N - 1)
    with torch.no_grad():
        cell.recurrent.weight.fill_diagonal_(5.0)
    assert torch.equal(model(inputs, noise=sequence(N))[0], states)
    assert not cell.recurrent_weights.diagonal().any()


def test_readout_is_of_rates_over_the_number_of_units() -> None:
    model = network()
    states = sequence(N)
    weights = model.heads.linears[0].weight.detach().numpy()
    expected = np.maximum(states.numpy(), 0) @ weights.T / N
    np.testing.assert_allclose(model.readout(states, ["out"]).detach().numpy()[:, :, 0], expected, rtol=1e-12)
    assert model.heads.linears[0].bias.tolist() == [0.0] * S
    # One head answers whatever is asked.
    assert torch.equal(model.readout(states, "out"), model.readout(states, "N5"))
    # What one adds to the silent units changes nothing.
    assert torch.equal(model.readout(states.clamp(min=0), "out"), model.readout(states, "out"))


def test_weights_start_as_published(generator: torch.Generator) -> None:
    model = BalancedRNN(400, n_inputs=3, generator=generator, balance=2.0, g=0.5)
    (cell,) = model.layers
    J, off = cell.recurrent.weight.detach().double(), ~torch.eye(400, dtype=torch.bool)
    assert not J.diagonal().any()
    assert stats.kstest(((J[off] + 2 / 400) * 20 / 0.5).numpy(), "norm").pvalue > 1e-3
    into, out = (one.detach().double().flatten().numpy() for one in (cell.input.weight, model.heads.linears[0].weight))
    assert stats.kstest((into - 1) / 0.01, "norm").pvalue > 1e-3
    assert stats.kstest((out - 1) / 0.2, "norm").pvalue > 1e-3
    assert not cell.bias.any()


def test_excitatory_and_inhibitory_blocks(generator: torch.Generator) -> None:
    assert excitatory_inhibitory(4, 0.0, generator).tolist() == [
        [0.0, 0.5, -1.0, -1.0],
        [0.5, 0.0, -1.0, -1.0],
        [0.5, 0.5, 0.0, pytest.approx(-0.9)],
        [0.5, 0.5, pytest.approx(-0.9), 0.0],
    ]
    W = excitatory_inhibitory(1000, 0.032, generator).double()
    assert float(W[:500, 500:].std() * math.sqrt(1000)) == pytest.approx(0.032, rel=0.01)
    assert float(W[500:, :500].mean() * 500) == pytest.approx(1.0, abs=0.01)
    model = BalancedRNN(100, generator=generator, start="ei")
    assert float(model.layers[0].recurrent.weight.detach().mean() * 100) == pytest.approx(-0.9, rel=0.05)


def test_random_balanced_has_no_randomness_without_g(generator: torch.Generator) -> None:
    expected = torch.full((5, 5), -0.4).fill_diagonal_(0)
    assert torch.equal(random_balanced(5, 0.0, 2.0, generator), expected)


@pytest.mark.parametrize("b", [0.0, 1.0, 8.0])
def test_the_network_rests_at_the_fixed_point_of_its_mean_field(b: float) -> None:
    generator = torch.Generator().manual_seed(0)
    model = BalancedRNN(40, generator=generator, balance=b, g=0.0, mean_input=3.0, dt=0.1)
    with torch.no_grad():
        model.layers[0].input.weight.fill_(1.0)
    model.settle()
    expected = 3.0 / (1 + b * 39 / 40)
    torch.testing.assert_close(model.initial_state(2)[0][0], torch.full((2, 40), expected))


@pytest.mark.parametrize("start", ["balanced", "ei"])
def test_settled_states_stay_where_they_are(start: str, generator: torch.Generator) -> None:
    model = BalancedRNN(30, n_inputs=2, generator=generator, start=start, mean_input=1.5)
    state = model.initial_state(1)
    moved = model.step(torch.full((1, 2), 1.5), state)
    torch.testing.assert_close(moved[0][0], state[0][0], rtol=0, atol=1e-5)
    assert not torch.allclose(model.step(torch.zeros(1, 2), state)[0][0], state[0][0], atol=1e-2)


def test_rest_follows_the_weights_only_when_settled(generator: torch.Generator) -> None:
    model = BalancedRNN(10, generator=generator)
    before = model.initial_state(1)[0][0]
    with torch.no_grad():
        model.layers[0].input.weight.mul_(2)
    assert torch.equal(model.initial_state(1)[0][0], before)
    kept = before.clone()
    model.settle()
    assert torch.equal(before, kept)
    assert not torch.allclose(model.initial_state(1)[0][0], before)


def test_a_network_that_runs_away_has_no_rest(generator: torch.Generator) -> None:
    model = BalancedRNN(10, generator=generator)
    with torch.no_grad():
        model.layers[0].recurrent.weight.fill_(1.0)
    with pytest.raises(DivergedError, match="does not come to rest"):
        model.settle()


@pytest.mark.parametrize(("dt", "sigma"), [(0.2, 1.0), (0.05, 0.5), (1.0, 2.0)])
def test_a_unit_alone_has_the_variance_of_the_noise(dt: float, sigma: float, generator: torch.Generator) -> None:
    model = BalancedRNN(50, generator=generator, balance=0.0, g=0.0, dt=dt, sigma=sigma)
    states, _ = model(torch.ones(2000, 20, 1), noise=model.draw_noise(2000, 20, generator))
    settled = states[round(10 / dt) :].detach().double()
    assert float(settled.var()) == pytest.approx(sigma**2 / (2 - dt), rel=0.02)
    lagged = ((settled[1:] - 1) * (settled[:-1] - 1)).mean() / settled.var()
    assert float(lagged) == pytest.approx(1 - dt, abs=0.02)


def test_noise_is_private_standard_normal_and_from_its_generator() -> None:
    model = BalancedRNN(8, generator=torch.Generator().manual_seed(0))
    first, second = (model.draw_noise(500, 20, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first is not None
    assert torch.equal(first, second)
    assert stats.kstest(first.flatten().double().numpy(), "norm").pvalue > 1e-3
    correlation = np.corrcoef(first.flatten(0, 1).double().numpy().T)[~np.eye(8, dtype=bool)]
    assert np.abs(correlation).max() < 5 / math.sqrt(10_000)
    assert network().draw_noise(2, 3, torch.Generator()).dtype == torch.float64


def test_timescales_are_those_of_the_time_step(generator: torch.Generator) -> None:
    model = BalancedRNN(5, generator=generator, dt=0.25)
    assert model.tau.tolist() == [4.0] * 5
    kept = model.retention(torch.ones(3, 1), model.initial_state(3))
    torch.testing.assert_close(kept, torch.full((3, 5), 0.75))


def test_the_linear_step_is_the_one_that_connectivity_measures(generator: torch.Generator) -> None:
    model = BalancedRNN(7, generator=generator, balance=2.0, g=0.4, mean_input=30.0).double()
    (cell,) = model.layers

    def step(x: Tensor) -> Tensor:
        return cell.step(torch.full((1, 1), 30.0, dtype=torch.float64), (x[None],))[0][0]

    rest = cell.initial_state(1)[0][0]
    assert (rest > 0).all()
    torch.testing.assert_close(step_matrix(cell), torch.autograd.functional.jacobian(step, rest))
    assert connectivity(model).step_spectral_radius.item() < 1


def test_analyses_of_any_network_run_on_it(generator: torch.Generator) -> None:
    model = BalancedRNN(12, generator=generator)
    exponents = lyapunov(model, 2, n_trials=2, n_steps=50, burn_in=10).exponents
    assert (exponents < 0).all()
    twin = ablate(model, [3])
    noise = model.draw_noise(T, B, generator)
    states, _ = twin(torch.ones(T, B, 1), noise=noise)
    assert not states[..., 3].any()
    untouched, _ = model(torch.ones(T, B, 1), noise=noise)
    assert not torch.equal(states[..., 2], untouched[..., 2])


def test_a_cell_can_be_copied_and_leaves_the_global_generator_alone(generator: torch.Generator) -> None:
    before = torch.get_rng_state()
    model = BalancedRNN(5, generator=generator)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(torch.ones(3, 2, 1))[0], model(torch.ones(3, 2, 1))[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_training_lets_it_follow_the_signal() -> None:
    generator = torch.Generator().manual_seed(0)
    model, task = BalancedRNN(20, generator=generator), Tracking()
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=0.01)
    losses = []
    for _ in range(60):
        batch = task.sample(10, generator)
        states, _ = model(batch.inputs, noise=model.draw_noise(task.n_steps, 10, generator))
        loss = task.loss(model.readout(states[-task.n_answers :], task.heads), batch).sum() + 1e-4 * answer_penalty(
            states, batch
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "eye"}, "start 'eye' is unknown: expected one of balanced, ei"),
        ({"afunc": "rule"}, "activation function 'rule' is unknown: .* did you mean 'relu'"),
        ({"balance": -1.0}, "balance is -1.0: expected at least 0.0"),
        ({"sigma": -0.1}, "sigma is -0.1: expected at least 0.0"),
        ({"dt": 0.0}, r"dt is 0.0: expected a time step over τ in \(0, 1\]"),
        ({"dt": 1.5}, "dt is 1.5"),
        (
            {"n_units": 5, "start": "ei"},
            "number of units is 5: expected an even one with start 'ei' .nearest valid value: 6",
        ),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict, message: str, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=message):
        BalancedRNN(**{"n_units": 4, **options}, generator=generator)


def test_a_cell_is_what_a_model_of_ones_own_can_be_built_of(generator: torch.Generator) -> None:
    cell = BalancedCell(2, 4, generator)
    assert isinstance(cell.input, nn.Linear)
    assert cell.sequence(torch.ones(3, 2, 2), cell.initial_state(2))[0].shape == (3, 2, 4)
