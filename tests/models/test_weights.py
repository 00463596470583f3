"""What a weight is, whatever stands between its parameter and the step, and what transforms make of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import tauscope as ts
from cells import NETWORKS, network
from problems import LinearCell
from tauscope.analysis import ablate, freeze_tau, perturb
from tauscope.analysis.balance import input_map
from tauscope.analysis.connectivity import connectivity, recurrent_matrices
from tauscope.analysis.variants import run_variants
from tauscope.errors import NotApplicableError
from tauscope.models import Fast, Loop, Model, Solver, Weight
from tauscope.models.weights import masked_copy

UNITS, EPSILON = 6, 0.3


class Named(LinearCell):
    """A user's cell that names its weights."""

    def weights(self) -> Mapping[str, Weight]:
        return {"recurrent": Weight("recurrent", self, "recurrent"), "input": Weight("input", self, "input")}


class Halved(nn.Module):
    """Half of what is kept, so that the parameter and what the step uses differ."""

    def forward(self, kept: Tensor) -> Tensor:
        return kept / 2


class Shift(nn.Module):
    """Three steps more than what is kept."""

    def forward(self, kept: Tensor) -> Tensor:
        return kept + 3


def leaky() -> tuple[Model, nn.Module, str]:
    model = ts.LeakyRNN(UNITS, n_heads=2, generator=torch.Generator().manual_seed(0)).double()
    return model, model.layers[0].get_submodule("recurrent"), "weight"


def own() -> tuple[Model, nn.Module, str]:
    generator = torch.Generator().manual_seed(0)
    model = Model([Named(1, UNITS, generator)], ts.Heads(UNITS, ["N2", "N3"], 2, False, generator)).double()
    return model, model.layers[0], "recurrent"


def gated() -> tuple[Model, nn.Module, str]:
    model = ts.build_model("gru", UNITS, n_heads=2, generator=torch.Generator().manual_seed(0)).double()
    return model, model.layers[0].get_submodule("rnn"), "weight_hh_l0"


def halve(module: nn.Module, name: str) -> None:
    parametrize.register_parametrization(module, name, Halved())


def mask(module: nn.Module, name: str) -> None:
    kept = torch.rand(getattr(module, name).shape, generator=torch.Generator().manual_seed(8)) < 0.6
    prune.custom_from_mask(module, name, kept.double())


BUILD: dict[str, Callable[[], tuple[Model, nn.Module, str]]] = {"leaky": leaky, "own": own, "gated": gated}
CHANGE: dict[str, Callable[[nn.Module, str], None]] = {"parametrised": halve, "pruned": mask}


def changed(build: str, change: str) -> tuple[Model, Model, Weight]:
    """Return a network with such a weight, the same network with a plain one of the same values, and the weight."""
    (model, module, name), (plain, plainer, _) = BUILD[build](), BUILD[build]()
    CHANGE[change](module, name)
    with torch.no_grad():
        getattr(plainer, name).copy_(getattr(module, name))
    (weight,) = (one for one in model.layers[0].weights().values() if one.role == "recurrent")
    return model, plain, weight


def recurrent(model: Model) -> Tensor:
    return torch.cat(list(recurrent_matrices(model.layers[0].intact).values()))


def answers(model: Model) -> Tensor:
    inputs = torch.randn(7, 3, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return model.readout(model(inputs)[0], ["N2", "N3"]).detach()


@pytest.mark.parametrize("change", CHANGE)
@pytest.mark.parametrize("build", BUILD)
def test_a_weight_is_what_the_step_uses(build: str, change: str) -> None:
    model, plain, weight = changed(build, change)
    assert torch.equal(recurrent(model), recurrent(plain))
    torch.testing.assert_close(answers(model), answers(plain))
    assert connectivity(model).spectral_radius.equals(connectivity(plain).spectral_radius)
    (parameter,) = weight.parameters
    assert any(parameter is one for one in model.parameters())
    # A step of an optimiser moves what the step uses.
    with torch.no_grad():
        parameter.mul_(2)
    torch.testing.assert_close(recurrent(model), 2 * recurrent(plain))


@pytest.mark.parametrize("change", CHANGE)
@pytest.mark.parametrize("build", BUILD)
def test_a_perturbation_is_of_what_the_step_uses(build: str, change: str) -> None:
    model, plain, _ = changed(build, change)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    said = answers(model)
    moved = perturb(model, "recurrent", EPSILON, torch.Generator().manual_seed(1))
    difference = recurrent(moved) - recurrent(model)
    assert (difference.norm() / recurrent(model).norm()).item() == pytest.approx(EPSILON)
    if change == "pruned":
        # What is masked stays out, and the rest is moved in a direction of the same norm.
        assert not difference[recurrent(model) == 0].any()
    else:
        expected = perturb(plain, "recurrent", EPSILON, torch.Generator().manual_seed(1))
        torch.testing.assert_close(recurrent(moved), recurrent(expected))
        torch.testing.assert_close(answers(moved), answers(expected))
    # The step, the kernel and the answers see it, and the argument is as it was.
    state = moved.initial_state(2)
    x = torch.ones(2, 1, dtype=torch.float64)
    torch.testing.assert_close(moved(x[None], state)[0][0], moved.hidden(moved.step(x, state)))
    assert not torch.allclose(answers(moved), said, atol=1e-3)
    assert torch.equal(answers(model), said)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


@pytest.mark.parametrize("change", CHANGE)
@pytest.mark.parametrize("build", BUILD)
def test_a_moved_weight_goes_on_being_trained_behind_its_parametrisation(build: str, change: str) -> None:
    moved = perturb(changed(build, change)[0], "recurrent", EPSILON, torch.Generator().manual_seed(1))
    (weight,) = (one for one in moved.layers[0].weights().values() if one.role == "recurrent")
    (parameter,) = weight.parameters
    start = recurrent(moved)
    optimizer = torch.optim.SGD(moved.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        moved(torch.ones(4, 2, 1, dtype=torch.float64))[0].square().sum().backward()
        optimizer.step()
    assert parameter.grad is not None
    assert not torch.allclose(recurrent(moved), start)
    if change == "pruned":
        assert bool((recurrent(moved)[start == 0] == 0).all())


@pytest.mark.parametrize("change", CHANGE)
@pytest.mark.parametrize("build", BUILD)
def test_perturbed_variants_run_together_as_they_would_alone(build: str, change: str) -> None:
    model, _, _ = changed(build, change)
    variants = [perturb(model, "recurrent", size, torch.Generator().manual_seed(1)) for size in (0.0, 0.5, 1.0)]
    inputs = torch.randn(7, 3, 2, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    state = ((torch.zeros(3, 2, UNITS, dtype=torch.float64),),)
    together = run_variants(variants, inputs, state, "N2")
    for i, variant in enumerate(variants):
        states, _ = variant(inputs[:, i], ((torch.zeros(2, UNITS, dtype=torch.float64),),))
        torch.testing.assert_close(together[:, i], variant.readout(states, "N2").detach())
    assert (together[:, 0] != together[:, 1]).any()


@pytest.mark.parametrize("change", CHANGE)
@pytest.mark.parametrize("build", BUILD)
def test_ablation_of_such_a_network_is_that_of_the_plain_one(build: str, change: str) -> None:
    model, plain, _ = changed(build, change)
    torch.testing.assert_close(answers(ablate(model, [1, 4])), answers(ablate(plain, [1, 4])))
    if build == "leaky":
        found, expected = (ablate(one, 2, mode="published") for one in (model, plain))
        torch.testing.assert_close(answers(found), answers(expected))
        assert not recurrent(found)[2].any()
        assert not recurrent(found)[:, 2].any()
        assert recurrent(model)[2].any()


def test_timescales_behind_a_parametrisation_are_moved_and_frozen() -> None:
    model, _, _ = leaky()
    cell = model.layers[0]
    parametrize.register_parametrization(cell, "raw_tau", Shift())
    before = cast(Tensor, model.tau).detach().clone()
    moved = perturb(model, "tau", EPSILON, torch.Generator().manual_seed(1))
    assert ((cast(Tensor, moved.tau) - before).norm() / before.norm()).item() == pytest.approx(EPSILON)
    frozen = freeze_tau(model)
    assert torch.equal(cast(Tensor, frozen.tau), before)
    assert not [name for name, _ in frozen.named_parameters() if "tau" in name]
    assert [name for name, _ in model.named_parameters() if "tau" in name]


class Computed(LinearCell):
    """A user's cell that names a weight which it makes of something else, by a property."""

    @property
    def exponential(self) -> Tensor:
        return self.recurrent.exp()

    def weights(self) -> Mapping[str, Weight]:
        return {"recurrent": Weight("recurrent", self, "exponential"), "input": Weight("input", self, "input")}


def test_a_change_that_would_be_lost_is_refused_in_a_line() -> None:
    generator = torch.Generator().manual_seed(0)
    cell = Computed(1, UNITS, generator)
    model = Model([cell], ts.Heads(UNITS, ["N2"], 2, False, generator))
    assert connectivity(model).spectral_radius > 0
    with pytest.raises(
        ts.InputError, match="exponential of Computed is computed and cannot be changed: expected a param"
    ):
        perturb(model, "recurrent", 0.1, generator)
    assert perturb(model, "input", 0.1, generator) is not model


def test_a_parametrised_cell_in_continuous_time_has_other_resolutions() -> None:
    model = ts.LeakyRNN(UNITS, form="continuous", generator=torch.Generator().manual_seed(0))
    parametrize.register_parametrization(model.layers[0], "raw_tau", Shift())
    tau = cast(Tensor, model.tau)
    torch.testing.assert_close(model.at_resolution(4).tau, 4 * tau)


def test_a_cell_that_names_no_weights_is_refused_in_a_line() -> None:
    generator = torch.Generator().manual_seed(0)
    model = Model([LinearCell(1, UNITS, generator)], ts.Heads(UNITS, ["N2"], 2, False, generator))
    for which in ("recurrent", "input", "tau"):
        with pytest.raises(ts.InputError, match=f"LinearCell has no {which} parameters that are known"):
            perturb(model, which, 0.1, generator)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_values_of_the_weights_give_the_drive_that_a_step_uses(name: str) -> None:
    """With all weights known and added up, the step is a function of the drive alone."""
    model = network(name)
    for cell in model.layers:
        if not cell.weighted_sum:
            with pytest.raises(NotApplicableError, match="is no weighted sum of what it receives"):
                input_map(cell)
            continue
        weight, bias = input_map(cell)
        own_weight, own_bias = cell.input_map()  # type: ignore[operator]
        assert torch.equal(weight, own_weight)
        torch.testing.assert_close(bias, own_bias)
        (W,) = recurrent_matrices(cell).values()
        assert torch.equal(W, cell.recurrent_weights)
        assert (W.diagonal().any().item()) == (name in ("plain tanh", "noisy", "noisy rate", "relu"))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_weights_of_a_network_are_its_parameters(name: str) -> None:
    model = network(name)
    weights = model.weights()
    kept = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
    for key, weight in weights.items():
        assert kept[key] is weight.tensor, key
    known = {id(parameter) for weight in weights.values() for parameter in weight.parameters}
    if name not in ("own cell", "wrapped"):
        assert known == {id(one) for one in model.parameters() if one.requires_grad or name == "balanced"}
    assert [one.role for one in weights.values()].count("readout") == len(model.heads.linears)


def test_silent_units_have_no_recurrent_weights() -> None:
    for build in BUILD.values():
        model, module, name = build()
        W = torch.cat(list(recurrent_matrices(ablate(model, [1, 4]).layers[0]).values()))
        kept = torch.ones(UNITS, dtype=torch.float64).index_fill(0, torch.tensor([1, 4]), 0.0)
        expected = kept.repeat(len(W) // UNITS)[:, None] * getattr(module, name).detach() * kept
        assert torch.equal(W, expected)


def test_a_masked_copy_leaves_other_networks_alone() -> None:
    model, _, _ = leaky()
    twin = masked_copy(model)
    assert twin.state_dict().keys() == model.state_dict().keys()
    assert all(a is not b and torch.equal(a, b) for a, b in zip(twin.parameters(), model.parameters(), strict=True))


def test_a_network_without_biases_is_tanh_of_two_products() -> None:
    model = network("plain tanh")
    assert not [name for name, _ in model.named_parameters() if "bias" in name or "tau" in name]
    W, V = (model.layers[0].get_parameter(f"{name}.weight").detach() for name in ("recurrent", "input"))
    inputs = torch.randn(5, 3, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    states, _ = model(inputs)
    h = torch.zeros(3, 10, dtype=torch.float64)
    for x, state in zip(inputs, states, strict=True):
        h = torch.tanh(h @ W.t() + x @ V.t())
        torch.testing.assert_close(state, h)
    head = model.heads.asked("N3")[0].weight
    torch.testing.assert_close(model.readout(states, "N3"), states @ head.t())


@pytest.mark.parametrize("n_steps", [1000])
def test_private_noise_of_a_leaky_layer_is_normal_and_inside_the_drive(n_steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    cell = ts.LeakyCell(1, 4, generator, afunc="tanh", tau=2.0, sigma=0.5, start=0.0)
    noise = cell.draw_noise(n_steps, 10, generator)
    assert noise is not None
    assert noise.std().item() == pytest.approx(0.5, rel=0.02)
    assert ts.LeakyCell(1, 4, generator).draw_noise(3, 2, generator) is None
    x, state = torch.zeros(10, 1), cell.initial_state(10, generator)
    assert not state[0].any()
    _, bias = cell.input_map()
    torch.testing.assert_close(cell.step(x, state, noise[0])[0], torch.tanh((bias + noise[0]) / 2))


HOOKS: dict[str, Callable[[nn.Module, str], object]] = {
    "pruned": lambda module, name: prune.l1_unstructured(module, name, amount=0.5),
    "weight norm": lambda module, name: nn.utils.weight_norm(module, name),
    "new weight norm": lambda module, name: nn.utils.parametrizations.weight_norm(module, name),
    "orthogonal": lambda module, name: nn.utils.parametrizations.orthogonal(module, name),
}


def bearer(model: Model, part: str) -> tuple[nn.Module, str]:
    """Return the module that has a network's recurrent or read-out weight, and the name of the weight there."""
    role = "readout" if part == "heads" else "recurrent"
    weight = next(weight for weight in model.weights().values() if weight.role == role)
    return weight.module, weight.name


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("part", ["cells", "heads"])
@pytest.mark.parametrize("name", ["default", "mod", "layers", "gru", "relu_gru", "hebbian", "balanced"])
def test_hooks_of_torch_are_followed_in_training(name: str, part: str, hook: str) -> None:
    model = network(name)
    module, tensor = bearer(model, part)
    with torch.random.fork_rng():
        HOOKS[hook](module, tensor)
    moved = next(one for key, one in module.named_parameters() if tensor in key)
    before = moved.detach().clone()
    inputs = torch.rand(6, 3, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=1e-2)

    def trace(solver: Solver) -> Tensor:
        found = ts.run(
            model, inputs, torch.Generator().manual_seed(2), heads=model.heads.names[:1], solver=solver, noise=0
        )
        return torch.cat([found.states.flatten(), found.outputs.flatten()])

    for _ in range(3):
        optimizer.zero_grad()
        trace(Fast()).square().mean().backward()
        optimizer.step()
    assert not torch.equal(moved, before)
    found = trace(Fast()).detach()
    # What the module itself would compute with now, put in the place of the hook.
    for remove in (
        lambda: prune.remove(module, tensor),
        lambda: nn.utils.remove_weight_norm(module, tensor),
        lambda: parametrize.remove_parametrizations(module, tensor),
    ):
        with contextlib.suppress(ValueError):
            remove()
    assert type(getattr(module, tensor)) is nn.Parameter
    for solver in (Fast(), Loop()):
        torch.testing.assert_close(trace(solver).detach(), found, rtol=1e-9, atol=1e-12)
