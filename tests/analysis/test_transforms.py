from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tauscope import InputError, LeakyRNN, Model, Parity, Recipe, build_model, cumulative, single, train
from tauscope.analysis.transforms import SilencedCell, ablate, freeze_tau, perturb
from tauscope.models import BalancedRNN, ReluRNN
from zoo import LEAKY, N_UNITS, ZOO

TRANSFORMS: dict[str, Callable[[Model], Model]] = {
    "ablate": lambda model: ablate(model, [1, 2]),
    "published": lambda model: ablate(model, 1, mode="published"),
    "perturb recurrent": lambda model: perturb(model, "recurrent", 0.5, torch.Generator().manual_seed(1)),
    "perturb tau": lambda model: perturb(model, "tau", 0.5, torch.Generator().manual_seed(1)),
    "perturb readout": lambda model: perturb(model, "readout", 0.5, torch.Generator().manual_seed(1)),
    "perturb input": lambda model: perturb(model, "input", 0.5, torch.Generator().manual_seed(1)),
    "freeze tau": freeze_tau,
}


def _logits(model: Model, n_steps: int = 12, N: int = 3) -> Tensor:
    bits = torch.rand(n_steps, 4, 1, generator=torch.Generator().manual_seed(7)).round()
    states, _ = model(bits.to(model.hidden(model.initial_state(1))))
    return model.readout(states, f"N{N}")


def _steps(model: Model, n_steps: int, N: int) -> tuple[Tensor, Tensor]:
    """States and logits of the pure step, from a random state."""
    random = torch.Generator().manual_seed(5)
    bits = torch.rand(n_steps, 3, 1, generator=random).round()
    state, hidden = model.initial_state(3, random), []
    for x in bits:
        state = model.step(x, state)
        hidden.append(model.hidden(state))
    states = torch.stack(hidden)
    return states, model.readout(states, f"N{N}")


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_argument_is_never_changed(name: str, generator: torch.Generator) -> None:
    model = LeakyRNN(N_UNITS, generator=generator)
    before, answers = {key: value.clone() for key, value in model.state_dict().items()}, _logits(model)
    changed = TRANSFORMS[name](model)
    with torch.no_grad():
        for tensor in [*changed.parameters(), *changed.buffers()]:
            tensor.fill_(0.125)
    assert model.state_dict().keys() == before.keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert torch.equal(_logits(model), answers)
    assert "cells.0.raw_tau" in dict(model.named_parameters())


@pytest.mark.parametrize("form", ["default", "mod", "continuous"])
@pytest.mark.parametrize("afunc", ["leakyrelu", "sigmoid"])
def test_silencing_leaves_the_network_without_the_units(form: str, afunc: str, generator: torch.Generator) -> None:
    """The other units, and every head, are those of the smaller network from which the units were cut out."""
    model = LeakyRNN(8, form=form, afunc=afunc, n_heads=3, generator=generator)
    kept = [0, 2, 3, 4, 6, 7]
    smaller = LeakyRNN(6, form=form, afunc=afunc, n_heads=3, generator=generator)
    with torch.no_grad():
        whole, part = model.layers[0], smaller.layers[0]
        part.raw_tau.copy_(whole.raw_tau[kept])
        part.recurrent.weight.copy_(whole.recurrent.weight[kept][:, kept])
        for layer in ("recurrent", "input"):
            getattr(part, layer).bias.copy_(getattr(whole, layer).bias[kept])
        part.input.weight.copy_(whole.input.weight[kept])
        for head, own in zip(smaller.heads.linears, model.heads.linears, strict=True):
            head.weight.copy_(own.weight[:, kept])
            head.bias.copy_(own.bias)
    ablated = ablate(model, [1, 5])
    initial = torch.rand(3, 8, generator=generator)
    inputs = torch.rand(9, 3, 1, generator=generator)
    states, _ = ablated(inputs, ((initial,),))
    expected, _ = smaller(inputs, ((initial[:, kept],),))
    torch.testing.assert_close(states[..., kept], expected)
    assert (states[..., [1, 5]] == 0).all()
    torch.testing.assert_close(
        ablated.readout(states, ["N2", "N3", "N4"]), smaller.readout(expected, ["N2", "N3", "N4"])
    )


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_silencing_a_gated_unit_cuts_all_it_projects_to(cell: str, generator: torch.Generator) -> None:
    """Zero outgoing weights, to its own layer, the layer above and the heads, are the independent way to say so."""
    model = build_model(cell, [4, 5], n_heads=3, generator=generator)
    ablated = ablate(model, [2, 6])
    cut = build_model(cell, [4, 5], n_heads=3, generator=generator)
    cut.load_state_dict(model.state_dict())
    with torch.no_grad():
        below, above = (layer.rnn for layer in cut.layers)
        below.weight_hh_l0[:, 2] = 0
        above.weight_ih_l0[:, 2] = 0
        above.weight_hh_l0[:, 2] = 0
        for head in cut.heads.linears:
            head.weight[:, 2] = 0
    # A GRU's unit keeps its own past without a weight, but that past reaches nobody else.
    for N in (2, 4):
        torch.testing.assert_close(_logits(ablated, N=N), _logits(cut, N=N))
    assert not torch.allclose(_logits(ablated), _logits(model))


@pytest.mark.parametrize("name", ZOO)
def test_silent_units_are_silent_from_any_state(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    ablated = ablate(model, [0, 7])
    x = torch.rand(3, 1, generator=generator)
    loud = tuple(
        tuple(torch.rand(tensor.shape, generator=generator) for tensor in one) for one in model.initial_state(3)
    )
    quiet = tuple(tuple(tensor.clone() for tensor in one) for one in loud)
    first = 0
    for cell, one in zip(model.layers, quiet, strict=True):
        for unit in (0, 7):
            if first <= unit < first + cell.n_units:
                for tensor in one:
                    tensor[:, unit - first] = 0
        first += cell.n_units
    after = ablated.step(x, loud)
    assert (ablated.hidden(after)[:, [0, 7]] == 0).all()
    torch.testing.assert_close(ablated.hidden(after), ablated.hidden(ablated.step(x, quiet)))
    assert (ablated.hidden(ablated.initial_state(2, generator))[:, [0, 7]] == 0).all()


@pytest.mark.parametrize("name", ZOO)
def test_ablating_nothing_changes_nothing(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    torch.testing.assert_close(_logits(ablate(model, [])), _logits(model))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, N_UNITS - 1), max_size=5), st.lists(st.integers(0, N_UNITS - 1), max_size=5))
def test_ablations_add_up(first: list[int], second: list[int]) -> None:
    model = ZOO["layers"](torch.Generator().manual_seed(0))
    twice = ablate(ablate(model, first), second)
    assert torch.equal(_logits(twice), _logits(ablate(model, first + second)))
    assert all(isinstance(cell, SilencedCell) and not isinstance(cell.cell, SilencedCell) for cell in twice.layers)


def test_an_ablated_continuous_network_keeps_its_resolutions(generator: torch.Generator) -> None:
    model = LeakyRNN(6, form="continuous", generator=generator)
    states, _ = ablate(model, 2).at_resolution(4)(torch.ones(5, 1, 1))
    direct, _ = ablate(model.at_resolution(4), 2)(torch.ones(5, 1, 1))
    assert torch.equal(states, direct)


def test_an_ablated_network_keeps_its_timescales(generator: torch.Generator) -> None:
    leaky = LeakyRNN([3, 3], generator=generator)
    assert torch.equal(ablate(leaky, 1).tau, leaky.tau)
    gru = ZOO["gru"](generator)
    x, state = torch.rand(2, 1, generator=generator), gru.initial_state(2)
    assert torch.equal(ablate(gru, 7).retention(x, state), gru.retention(x, state))


def _published_forward(model: LeakyRNN, unit: int, bits: Tensor, initial: Tensor, N: int) -> np.ndarray:
    """The forward pass with a unit ablated as in spec section 6, written out in NumPy."""
    cell = model.layers[0]
    W, Win = cell.recurrent.weight.detach().double().numpy().copy(), cell.input.weight.detach().double().numpy().copy()
    b = (cell.recurrent.bias + cell.input.bias).detach().double().numpy()
    heads = [head.weight.detach().double().numpy().copy() for head in model.heads.linears]
    W[unit], W[:, unit], Win[unit], heads[0][:, unit] = 0, 0, 0, 0
    tau = np.maximum(cell.raw_tau.detach().double().numpy(), 1)
    h, logits = initial.double().numpy(), []
    for x in bits.double().numpy():
        z = (1 - 1 / tau) * h + (h @ W.T + x @ Win.T + b) / tau
        h = np.where(z > 0, z, 0.01 * z)
        index = model.heads.index(f"N{N}")
        logits.append(h @ heads[index].T + model.heads.linears[index].bias.detach().double().numpy())
    return np.stack(logits)


@pytest.mark.parametrize("N", [2, 4])
@pytest.mark.parametrize("shared", [False, True])
def test_published_ablation_is_that_of_the_published_code(N: int, shared: bool, generator: torch.Generator) -> None:
    model = LeakyRNN(N_UNITS, n_heads=4, shared_head=shared, generator=generator)
    bits = torch.rand(15, 2, 1, generator=generator).round()
    initial = torch.rand(2, N_UNITS, generator=generator)
    states, _ = ablate(model, 3, mode="published")(bits, ((initial,),))
    logits = ablate(model, 3, mode="published").readout(states, f"N{N}").detach()
    np.testing.assert_allclose(logits, _published_forward(model, 3, bits, initial, N), atol=1e-5)
    # Only where the head that is read is the first one does it forget the unit, as the silent mode always does.
    silent, _ = ablate(model, 3)(bits, ((initial,),))
    same = torch.allclose(logits, ablate(model, 3).readout(silent, f"N{N}"), atol=1e-5)
    assert same == (shared or N == 2)


@pytest.mark.parametrize("name", ["layers", "gru", "wrapped"])
def test_published_ablation_of_other_networks_is_refused(name: str, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="leaky networks of one layer: expected mode 'silence'"):
        ablate(ZOO[name](generator), 0, mode="published")


@pytest.mark.parametrize(("unit", "nearest"), [(-1, 0), (10, 9)])
def test_units_that_do_not_exist_are_refused(unit: int, nearest: int, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=rf"no unit {unit}: expected 0 ... 9 \(nearest valid value: {nearest}\)"):
        ablate(ZOO["layers"](generator), [3, unit])


def test_an_unknown_mode_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="did you mean 'silence'"):
        ablate(ZOO["default"](generator), 0, mode="silent")


def _perturbed(model: Model, which: str) -> list[Tensor]:
    return {
        "recurrent": lambda: [cell.recurrent.weight for cell in model.layers],
        "tau": lambda: [cell.raw_tau for cell in model.layers],
        "readout": lambda: [head.weight for head in model.heads.linears],
        "input": lambda: [model.layers[0].input.weight],
    }[which]()


@pytest.mark.parametrize("which", ["recurrent", "tau", "readout", "input"])
@pytest.mark.parametrize("name", LEAKY)
@pytest.mark.parametrize("epsilon", [0.0, 0.01, 3.0])
def test_a_perturbation_has_exactly_its_norm(which: str, name: str, epsilon: float, generator: torch.Generator) -> None:
    model = ZOO[name](generator).double()
    moved = perturb(model, which, epsilon, generator)
    changed = _perturbed(moved, which)
    for before, after in zip(_perturbed(model, which), changed, strict=True):
        assert ((after - before).norm() / before.norm()).item() == pytest.approx(epsilon, abs=1e-12)
    others = {id(tensor) for tensor in changed}
    for (key, before), after in zip(model.named_parameters(), moved.parameters(), strict=True):
        assert id(after) in others or torch.equal(before, after), key


def test_directions_are_gaussian_and_leave_the_diagonal_empty(generator: torch.Generator) -> None:
    model = LeakyRNN(60, generator=generator)
    change = perturb(model, "recurrent", 1.0, generator).layers[0].recurrent.weight - model.layers[0].recurrent.weight
    assert (change.diagonal() == 0).all()
    entries = change[~torch.eye(60, dtype=torch.bool)].detach()
    standard = (entries / entries.std()).double()
    assert abs(standard.mean().item()) < 0.06
    assert (standard**4).mean().item() == pytest.approx(3, abs=0.4)


def test_tau_only_grows(generator: torch.Generator) -> None:
    model = LeakyRNN(50, generator=generator)
    assert (perturb(model, "tau", 0.3, generator).tau > model.tau).all()


def test_tau_below_one_step_is_moved_from_one_step(generator: torch.Generator) -> None:
    model = LeakyRNN(50, generator=generator)
    with torch.no_grad():
        model.layers[0].raw_tau.sub_(0.7)
    moved = perturb(model, "tau", 0.3, generator).tau
    assert ((moved - model.tau).norm() / model.tau.norm()).item() == pytest.approx(0.3, rel=1e-5)


def test_the_direction_depends_on_the_generator_alone(generator: torch.Generator) -> None:
    model = LeakyRNN(N_UNITS, generator=generator)
    W = model.layers[0].recurrent.weight
    small, large, other = (
        perturb(model, "recurrent", epsilon, torch.Generator().manual_seed(seed)).layers[0].recurrent.weight - W
        for epsilon, seed in ((0.1, 1), (0.4, 1), (0.1, 2))
    )
    torch.testing.assert_close(large, 4 * small)
    assert not torch.allclose(small, other)


@pytest.mark.parametrize(("cell", "layers"), [("gru", [4, 4]), ("lstm", [4])])
def test_gated_networks_are_perturbed_as_a_whole(cell: str, layers: list[int], generator: torch.Generator) -> None:
    model = build_model(cell, layers, n_heads=2, generator=generator)
    for which, name, n_changed in (("recurrent", "weight_hh_l0", len(layers)), ("input", "weight_ih_l0", 1)):
        moved = perturb(model, which, 0.2, generator)
        ratios = [
            ((getattr(after.rnn, name) - getattr(before.rnn, name)).norm() / getattr(before.rnn, name).norm()).item()
            for before, after in zip(model.layers, moved.layers, strict=True)
        ]
        assert ratios == pytest.approx([0.2] * n_changed + [0.0] * (len(layers) - n_changed), rel=1e-5)
        # The kernel of torch.nn sees the change too.
        states, _ = moved(torch.ones(6, 1, 1))
        state, stepped = moved.initial_state(1), []
        for _ in range(6):
            state = moved.step(torch.ones(1, 1), state)
            stepped.append(moved.hidden(state))
        torch.testing.assert_close(states, torch.stack(stepped))


def test_a_perturbed_ablated_network_is_both(generator: torch.Generator) -> None:
    model = LeakyRNN(N_UNITS, generator=generator)
    one = ablate(perturb(model, "recurrent", 0.3, torch.Generator().manual_seed(1)), 4)
    other = perturb(ablate(model, 4), "recurrent", 0.3, torch.Generator().manual_seed(1))
    assert torch.equal(_logits(one), _logits(other))


@pytest.mark.parametrize(
    ("name", "which", "epsilon", "line"),
    [
        ("gru", "tau", 0.1, "GRUCell has no tau parameters that are known: expected a cell whose `weights` has some"),
        ("wrapped", "recurrent", 0.1, "WrappedCell has no recurrent parameters"),
        ("default", "weights", 0.1, "what is perturbed 'weights' is unknown"),
        ("default", "tau", -0.1, "epsilon is -0.1: expected at least 0"),
        ("default", "tau", float("nan"), "epsilon is nan"),
    ],
)
def test_perturbations_that_cannot_be_are_refused(
    name: str, which: str, epsilon: float, line: str, generator: torch.Generator
) -> None:
    with pytest.raises(InputError, match=line):
        perturb(ZOO[name](generator), which, epsilon, generator)


@pytest.mark.parametrize("name", LEAKY)
def test_frozen_timescales_survive_training(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    frozen = freeze_tau(model)
    assert torch.equal(_logits(frozen), _logits(model))
    recipe = Recipe(epochs=1, steps_per_epoch=4, batch_size=8, test_steps=1)
    for one, same in ((model, False), (frozen, True)):
        tau, W = one.tau.detach().clone(), one.layers[0].recurrent.weight.detach().clone()
        train(one, Parity([2]), single() if one.heads.shared else cumulative(last=4), recipe)
        assert torch.equal(one.tau, tau) == same
        assert not torch.equal(one.layers[0].recurrent.weight, W)


def test_a_network_without_timescales_cannot_freeze_them(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="LSTMCell has no tau parameters"):
        freeze_tau(ZOO["lstm"](generator))


@pytest.mark.parametrize("kind", ["relu", "hebbian", "relu_gru", "balanced"])
def test_networks_of_the_papers_are_perturbed_by_exactly_epsilon(kind: str, generator: torch.Generator) -> None:
    model: Model = (
        BalancedRNN(6, generator=generator)
        if kind == "balanced"
        else ReluRNN(6, n_inputs=3, cell=kind, generator=generator)
    )
    moved = perturb(model, "recurrent", 0.3, generator=generator)
    before, after = (one.layers[0].get_parameter("recurrent.weight").detach() for one in (model, moved))
    assert ((after - before).norm() / before.norm()).item() == pytest.approx(0.3, rel=1e-4)
    if kind == "balanced":
        assert torch.equal(after.diagonal(), before.diagonal())


def test_an_ablated_network_keeps_its_private_noise(generator: torch.Generator) -> None:
    model = BalancedRNN(6, generator=generator)
    silent = ablate(model, [1, 4])
    noise = silent.draw_noise(3, 2, torch.Generator().manual_seed(1))
    assert noise is not None
    assert torch.equal(noise, model.draw_noise(3, 2, torch.Generator().manual_seed(1)))
    states, _ = silent(torch.ones(3, 2, 1), noise=noise)
    assert (states[..., [1, 4]] == 0).all()
    assert (states[..., 0] != 0).all()
