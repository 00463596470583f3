"""The leaky network: fast path, pure step and the equations in NumPy agree; what must stay, stays."""

from __future__ import annotations

import itertools
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from problems import leaky_states
from rounding import tolerance
from tauscope import (
    Cell,
    DelayedMatchToSample,
    InputError,
    LeakyCell,
    LeakyRNN,
    Model,
    Parity,
    Recipe,
    Task,
    cumulative,
    single,
    train,
)
from tauscope.models import State

AFUNCS = ["leakyrelu", "relu", "tanh", "sigmoid"]
FORMS = ["default", "mod", "continuous"]
# Raw values on both sides of the clamp at 1, near it and far from it; not on the kink itself.
RAW_TAU = [0.3, 0.999, 1.001, 1.6, 40.0]
# Every form with every nonlinearity, at the time resolutions that the form has.
VARIANTS = [
    (form, afunc, k)
    for form, afunc in itertools.product(FORMS, AFUNCS)
    for k in ([1, 3] if form == "continuous" else [1])
]


def network(
    form: str = "default",
    afunc: str = "leakyrelu",
    n_layers: int = 1,
    tau: float | None = None,
    k: int = 1,
    **options: Any,
) -> Model:
    """Return a network of five units a layer in float64, with trained τ on both sides of the clamp."""
    generator = torch.Generator().manual_seed(4)
    model = LeakyRNN(
        [5] * n_layers, generator=generator, form=form, afunc=afunc, tau=tau, n_heads=4, **options
    ).double()
    if tau is None:
        with torch.no_grad():
            for shift, cell in enumerate(model.layers):
                cell.get_parameter("raw_tau").copy_(torch.tensor(RAW_TAU).roll(shift))
    return model if k == 1 else model.at_resolution(k)


def sequence(n_steps: int = 6, n_batch: int = 3, seed: int = 9) -> Tensor:
    """Return random inputs ``[time, batch, 1]`` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_steps, n_batch, 1, generator=generator, dtype=torch.float64)


def by_step(model: Model, inputs: Tensor, state: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
    """Run the loop over the pure step."""
    states = []
    for x in inputs:
        state = model.step(x, state)
        states.append(model.hidden(state))
    return torch.stack(states), state


@pytest.mark.parametrize("tau", [None, 2.5])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize(("form", "afunc", "k"), VARIANTS)
def test_forward_equals_the_loop_over_step_and_the_equations(
    form: str, afunc: str, k: int, n_layers: int, tau: float | None
) -> None:
    model, inputs = network(form, afunc, n_layers, tau, k), sequence().requires_grad_()
    state = model.initial_state(3, torch.Generator().manual_seed(2))
    for (h,) in state:
        h.requires_grad_()
    wanted = [*model.cells.parameters(), inputs, *(h for (h,) in state)]
    weights = sequence(6, 3 * model.n_units).view(6, 3, model.n_units)
    outcomes = []
    for run in (model, lambda x, s: by_step(model, x, s)):
        states, last = run(inputs, state)
        logits = model.readout(states, ["N2", "N4"])
        loss = (states * weights).sum() + model.hidden(last).square().sum() + logits.square().sum()
        outcomes.append([states, model.hidden(last), *torch.autograd.grad(loss, wanted)])
    for fast, plain in zip(*outcomes, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-11)
    expected = leaky_states(model, inputs, model.hidden(state))
    np.testing.assert_allclose(outcomes[0][0].detach().numpy(), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("form", "afunc", "n_layers", "k"),
    [
        ("default", "leakyrelu", 1, 1),
        ("default", "leakyrelu", 2, 1),
        ("default", "tanh", 1, 1),
        ("mod", "relu", 1, 1),
        ("mod", "sigmoid", 2, 1),
        ("continuous", "leakyrelu", 1, 4),
    ],
)
def test_gradcheck_of_every_parameter_with_tau_around_its_clamp(form: str, afunc: str, n_layers: int, k: int) -> None:
    model, inputs = network(form, afunc, n_layers, k=k), sequence(4, 2).requires_grad_()
    state = model.initial_state(2, torch.Generator().manual_seed(2))
    names, values = zip(*((name, one) for name, one in model.named_parameters() if "heads" not in name), strict=True)

    def run(x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        states, last = torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (x, state))
        return states, last[-1][0]

    assert torch.autograd.gradcheck(run, (inputs, *values))


def test_a_tau_below_its_clamp_acts_as_1_and_gets_no_gradient() -> None:
    model, inputs = network(), sequence()
    (cell,) = model.layers
    raw = cell.get_parameter("raw_tau")
    assert cell.tau is not None
    torch.testing.assert_close(cell.tau, torch.tensor([1, 1, 1.001, 1.6, 40]).double())
    states, _ = model(inputs)
    (gradient,) = torch.autograd.grad(states.square().sum(), raw)
    assert gradient[:2].tolist() == [0, 0]
    assert bool((gradient[2:].abs() > 1e-6).all())
    with torch.no_grad():
        raw[:2] = torch.tensor([-7.0, 0.5])
    assert torch.equal(model(inputs)[0], states)


# Inside a saturating φ the leak has no exponential solution.
@pytest.mark.parametrize(
    ("form", "afunc"),
    [("default", "leakyrelu"), ("default", "relu"), *itertools.product(["mod", "continuous"], AFUNCS)],
)
def test_a_constant_drive_charges_a_unit_exponentially(form: str, afunc: str) -> None:
    """One unit, no weights but the bias: h_t = φ(b) - (φ(b) - h_0)(1 - a)^t."""
    model = LeakyRNN(1, generator=torch.Generator().manual_seed(0), form=form, afunc=afunc, tau=5.0).double()
    (cell,) = model.layers
    with torch.no_grad():
        for name in ("input.weight", "input.bias"):
            cell.get_parameter(name).zero_()
        cell.get_parameter("recurrent.bias").fill_(0.4)
    start = torch.full((1, 1), 0.1, dtype=torch.float64)
    states, _ = model(torch.ones(30, 1, 1).double(), ((start,),))
    level = {"leakyrelu": 0.4, "relu": 0.4, "tanh": np.tanh(0.4), "sigmoid": 1 / (1 + np.exp(-0.4))}[afunc]
    t = np.arange(1, 31)
    np.testing.assert_allclose(states.flatten().detach().numpy(), level - (level - 0.1) * 0.8**t, rtol=1e-12)


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_noise_joins_the_drive(form: str, n_layers: int, generator: torch.Generator) -> None:
    model, inputs = network(form, "tanh", n_layers), sequence()
    noise = torch.randn(6, 3, model.n_units, generator=generator, dtype=torch.float64)
    state = start = model.initial_state(3, generator)
    expected = leaky_states(model, inputs, model.hidden(start), noise.numpy())
    for t, x in enumerate(inputs):
        state = model.step(x, state, noise[t])
        np.testing.assert_allclose(model.hidden(state).detach().numpy(), expected[t], rtol=1e-10, atol=1e-13)
    # Bit for bit: adding 0 is exact.
    zero, none = (model.step(inputs[0], start, one) for one in (torch.zeros_like(noise[0]), None))
    assert torch.equal(model.hidden(zero), model.hidden(none))


@pytest.mark.parametrize(("form", "afunc", "k"), VARIANTS)
def test_step_is_pure(form: str, afunc: str, k: int) -> None:
    model, x = network(form, afunc, 2, k=k), sequence()[0]
    state, noise = model.initial_state(3), torch.ones(3, 10).double()
    everything = [x, noise, *(h for (h,) in state), *model.state_dict().values()]
    before = [one.clone() for one in everything]
    first, second = model.hidden(model.step(x, state, noise)), model.hidden(model.step(x, state, noise))
    assert torch.equal(first, second)
    assert all(torch.equal(one, old) for one, old in zip(everything, before, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_there_are_no_self_connections(form: str) -> None:
    model, inputs = network(form, n_layers=2), sequence()
    states, _ = model(inputs)
    states.square().sum().backward()
    for cell in model.layers:
        weight = cell.get_parameter("recurrent.weight")
        assert weight.grad is not None
        assert not weight.grad.diagonal().any()
        assert weight.grad[~torch.eye(5, dtype=torch.bool)].all()
        assert not weight.diagonal().any()
        with torch.no_grad():
            weight.fill_diagonal_(3.0)
        assert not cast(LeakyCell, cell).recurrent_weights.diagonal().any()
    assert torch.equal(model(inputs)[0], states)
    start = model.initial_state(3)
    assert torch.equal(by_step(model, inputs, start)[0], by_step(network(form, n_layers=2), inputs, start)[0])


def trained(
    model: Model, optimizer: str = "sgd", n_steps: int = 5, task: Task | None = None, **options: Any
) -> list[float]:
    """Train a network in place for some steps and return the loss of each."""
    losses: list[float] = []
    recipe = Recipe(
        epochs=1, steps_per_epoch=n_steps, test_steps=1, optimizer=optimizer, **({"batch_size": 32} | options)
    )
    curriculum = single() if model.heads.shared else cumulative(start=3, last=4)
    train(model, task or Parity(), curriculum, recipe, on_step=lambda _, loss: losses.append(loss))
    return losses


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_leaves_a_fixed_tau_the_diagonal_and_the_resting_heads_alone(optimizer: str) -> None:
    for tau in (3.0, None):
        model = LeakyRNN([8, 8], generator=torch.Generator().manual_seed(0), tau=tau, n_heads=6)
        before = {name: one.clone() for name, one in model.state_dict().items()}
        trained(model, optimizer, lr=0.05)
        moved = {name for name, one in model.state_dict().items() if not torch.equal(one, before[name])}
        resting = {name for name in before if name.startswith(tuple(f"heads.linears.{i}" for i in (3, 4, 5)))}
        fixed = {name for name in before if name.endswith("raw_tau")} if tau else set()
        assert moved == set(before) - resting - fixed
        assert len(resting) == 6
        for cell in model.layers:
            assert not cell.get_parameter("recurrent.weight").diagonal().any()
            assert ("raw_tau" in dict(cell.named_parameters())) is (tau is None)
        assert model.tau is not None
        assert tau is None or bool((model.tau == tau).all())


# In float32 only with a smooth φ: of the million arguments of a rectifier some lie so near its kink that rounding
# decides on which side of it they are, and with that on a gradient that differs by a whole trial's share.
@pytest.mark.parametrize(
    ("options", "duplicates", "task", "dtype"),
    [
        ({"form": "default"}, None, Parity(), torch.float64),
        ({"form": "default", "afunc": "tanh", "tau": 2.0}, None, DelayedMatchToSample((2,)), torch.float64),
        ({"form": "default", "afunc": "tanh", "tau": 2.0}, None, DelayedMatchToSample((2,)), torch.float32),
        ({"form": "default", "n_units": [24, 24]}, None, Parity((2,), labels="every"), torch.float64),
        ({"form": "mod", "afunc": "relu"}, None, Parity((2,), plus_minus=True), torch.float64),
        ({"form": "continuous", "afunc": "leakyrelu"}, (2, 3), Parity(), torch.float64),
        ({"form": "continuous", "afunc": "tanh"}, (2, 3), Parity(), torch.float32),
    ],
    ids=["default", "fixed tau, dms", "float32", "two layers, every step", "mod", "continuous", "continuous, float32"],
)
def test_fifty_training_steps_follow_those_of_a_plain_autograd_loop(
    options: dict[str, Any],
    duplicates: tuple[int, ...] | None,
    task: Task,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def untrained() -> Model:
        generator = torch.Generator().manual_seed(1)
        return LeakyRNN(**({"n_units": 48} | options), generator=generator, n_heads=4).to(dtype)

    def run() -> tuple[list[float], Model]:
        model = untrained()
        return trained(model, n_steps=50, task=task, duplicates=duplicates), model

    fast, fast_model = run()
    looped = []

    def loop(cell: Cell, inputs: Tensor, state: State, **options: Any) -> tuple[Tensor, State]:
        looped.append(cell)
        return Cell.sequence(cell, inputs, state, **options)

    monkeypatch.setattr(LeakyCell, "sequence", loop)
    plain, plain_model = run()
    assert len(fast) == 50
    assert len(looped) >= 50
    # A gradient is a sum over the 32 trials and the steps of a stream, which for N = 4 are at most 17 bits.
    allowed = tolerance(dtype, length=32 * 17, steps=50)
    np.testing.assert_allclose(fast, plain, rtol=allowed)
    initial = untrained()
    for name, one in plain_model.cells.named_parameters():
        learned = (one - initial.cells.get_parameter(name)).norm()
        difference = (one - fast_model.cells.get_parameter(name)).norm()
        assert difference < allowed * learned, name


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_stays_close_to_float32(form: str) -> None:
    inputs = sequence(12, 16).float()
    outcomes = []
    for precision in ("fp32", "bf16"):
        model = LeakyRNN(64, generator=torch.Generator().manual_seed(3), form=form, precision=precision)
        states, last = model(inputs, model.initial_state(16, torch.Generator().manual_seed(0)))
        assert states.dtype == last[0][0].dtype == torch.float32
        model.readout(last[0][0], ["N2"]).square().sum().backward()
        gradients = {name: one.grad for name, one in model.cells.named_parameters()}
        outcomes.append((states, last[0][0], *gradients.values()))
    for exact, low in zip(*outcomes, strict=True):
        assert exact is not None
        assert low is not None
        assert low.dtype == torch.float32
        assert 0 < (low - exact).norm() / exact.norm() < 0.03


@pytest.mark.parametrize("form", ["default", "mod"])
def test_bfloat16_keeps_a_slow_leak(form: str) -> None:
    model = LeakyRNN(3, generator=torch.Generator().manual_seed(0), form=form, precision="bf16", tau=1000.0)
    with torch.no_grad():
        for parameter in model.cells.parameters():
            parameter.zero_()
    _, last = model(torch.zeros(500, 2, 1), ((torch.ones(2, 3),),))
    torch.testing.assert_close(last[0][0], torch.full((2, 3), 0.999**500), rtol=1e-4, atol=0)


def test_bfloat16_trains() -> None:
    curves = []
    for precision in ("fp32", "bf16"):
        model = LeakyRNN(
            64, generator=torch.Generator().manual_seed(0), precision=precision, shared_head=True, n_heads=1
        )
        curves.append(np.array(trained(model, n_steps=250, batch_size=64)))
    exact, low = (curve[-25:].mean() for curve in curves)
    assert low < 0.75 * curves[1][:25].mean()
    assert low == pytest.approx(exact, rel=0.1)


def test_initial_states_are_uniform_below_a_tenth(generator: torch.Generator) -> None:
    model = LeakyRNN([40, 40], generator=generator)
    state = model.initial_state(100, torch.Generator().manual_seed(1))
    again = model.initial_state(100, torch.Generator().manual_seed(1))
    h = model.hidden(state)
    assert torch.equal(h, model.hidden(again))
    assert h.shape == (100, 80)
    assert 0 <= float(h.min()) < 0.001
    assert 0.099 < float(h.max()) < 0.1
    assert stats.kstest(h.flatten().double().numpy(), "uniform", (0, 0.1)).pvalue > 1e-3
    assert not torch.equal(state[0][0], state[1][0])
    torch.testing.assert_close(model.hidden(model.initial_state(2)), torch.full((2, 80), 0.05))


def test_initial_weights_and_timescales(generator: torch.Generator) -> None:
    model = LeakyRNN(500, generator=generator)
    (cell,) = model.layers
    assert model.tau is not None
    assert stats.kstest(model.tau.detach().double().numpy(), "uniform", (1, 1)).pvalue > 1e-3
    W = cell.get_parameter("recurrent.weight").detach()
    off = W[~torch.eye(500, dtype=torch.bool)].double().numpy()
    bound = 1 / np.sqrt(500)
    assert stats.kstest(off[::50], "uniform", (-bound, 2 * bound)).pvalue > 1e-3
    assert not W.diagonal().any()
    assert cell.get_parameter("input.weight").shape == (500, 1)
    assert len(model.heads.linears) == 100


def test_layers_share_the_projection_of_the_input(generator: torch.Generator) -> None:
    model = LeakyRNN([4, 4, 4], generator=generator)
    first, *others = (cell.get_submodule("input") for cell in model.layers)
    assert all(one is first for one in others)
    assert [cell.n_below for cell in model.layers] == [0, 4, 4]


@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_finer_time_step_shares_parameters_and_lengthens_tau(n_layers: int) -> None:
    model = network("continuous", n_layers=n_layers)
    fine = model.at_resolution(7)
    assert model.tau is not None
    assert fine.tau is not None
    raw = torch.cat([cell.get_parameter("raw_tau") for cell in model.layers])
    torch.testing.assert_close(model.tau, raw.clamp(min=1))
    torch.testing.assert_close(fine.tau, (7 * raw).clamp(min=1))
    assert all(one is other for one, other in zip(fine.parameters(), model.parameters(), strict=True))
    fine(sequence())[0].sum().backward()
    assert all(one.grad is not None for one in model.cells.parameters())
    assert [cell.k for cell in model.layers] == [1] * n_layers
    with torch.no_grad():
        model.layers[0].get_parameter("raw_tau").fill_(9.0)
    assert bool((fine.tau[:5] == 63).all())


def test_a_continuous_network_converges_as_its_time_step_shrinks() -> None:
    """Held inputs: steps of 1/k of a bit approach the differential equation, with an error that falls as 1/k."""
    model = network("continuous", "tanh", tau=2.0)
    bits = sequence(5, 3)
    start = model.initial_state(3)
    ends = {k: model.at_resolution(k)(bits.repeat_interleave(k, dim=0), start)[1][0][0] for k in (10, 20, 1280)}
    errors = [float((ends[k] - ends[1280]).norm().detach()) for k in (10, 20)]
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05)


def test_at_one_step_a_bit_continuous_equals_mod() -> None:
    inputs = sequence()
    assert torch.equal(network("continuous", "tanh")(inputs)[0], network("mod", "tanh")(inputs)[0])


@pytest.mark.parametrize("form", ["default", "mod"])
def test_other_forms_have_no_time_resolution(form: str) -> None:
    with pytest.raises(InputError, match=f"model type '{form}' has no time resolution: expected 'continuous'"):
        network(form).at_resolution(2)


def test_a_time_resolution_is_at_least_one_step_a_bit() -> None:
    with pytest.raises(InputError, match="k is 0: expected at least 1"):
        network("continuous").at_resolution(0)
