"""Pruned networks: what is left, that it stays so, and that nothing else changes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from cells import network
from tauscope import Heads, InputError, LeakyRNN, Model, build_model, prune
from tauscope.analysis.connectivity import recurrent_matrices
from tauscope.analysis.pruning import METHODS, LyapunovNoise
from tauscope.analysis.pruning_rules import betweenness, inverse_participation, lyapunov_matrix
from tauscope.models import LIFCell
from tauscope.models.trace import run

RULES: list[Any] = [*METHODS, LyapunovNoise((1, 2)), LyapunovNoise((2, 3)), LyapunovNoise((1,), iterations=3)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spiking(n_units: int = 12) -> Model:
    model = Model([LIFCell(1, n_units, generator())], Heads(n_units, ["out"], 2, False, generator(1)))
    return model.double().requires_grad_(False)


def inputs(n_trials: int = 2) -> torch.Tensor:
    return 2 * torch.rand(40, n_trials, 1, generator=generator(3))


def synapses(model: Model, layer: int = 0) -> int:
    blocks = list(recurrent_matrices(model.layers[layer]).values())
    return int((sum(block.abs() for block in blocks) != 0).sum())


def living(model: Model, layer: int = 0) -> int:
    return int(model.layers[layer].mask.sum())  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("name", ["spiking", "default", "lstm"])
def test_as_many_are_left_as_were_asked(name: str, rule: Any) -> None:
    model = spiking() if name == "spiking" else network(name)
    total, n = synapses(model), model.n_units
    for keep, units in ((0.3, 1.0), (0.1, 0.6), (7, n - 3), (0.0, 1.0), (0.0, 1)):
        pruned = prune(model, rule, keep, units, generator=generator(5), inputs=inputs())
        assert synapses(pruned) == (keep if keep > 1 else round(keep * total))
        assert living(pruned) == (max(round(units * n), 1) if isinstance(units, float) else units if units > 1 else n)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_argument_is_not_changed_and_all_that_is_kept_is_as_it_was(rule: Any) -> None:
    model = spiking()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pruned = prune(model, rule, 0.4, 0.8, generator=generator(2), inputs=inputs())
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    old, new = (next(iter(recurrent_matrices(own.layers[0]).values())) for own in (model, pruned))
    kept = (new != 0) & (old != 0)
    assert torch.equal(old[kept], new[kept])
    if not (isinstance(rule, LyapunovNoise) and 3 in rule.steps) and rule != "lyapunov":
        assert torch.equal(kept, new != 0)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("rescale", ["none", "radius"])
def test_all_kept_is_the_same_network_to_the_bit(rule: Any, rescale: str) -> None:
    model = spiking()
    pruned = prune(model, rule, 1.0, 1.0, rescale, generator(2), inputs())
    old, new = (next(iter(recurrent_matrices(own.layers[0]).values())) for own in (model, pruned))
    assert torch.equal(old, new)
    states = [run(own, inputs(), generator(4)).states for own in (model, pruned)]
    assert torch.equal(*states)


@pytest.mark.parametrize("name", ["default", "mod", "gru", "lstm", "elman", "lif"])
def test_what_is_removed_stays_so_in_training_and_silent_units_are_silent(name: str) -> None:
    model = network(name) if name in ("default", "mod") else build_model(name, 9, n_heads=1, generator=generator())
    pruned = prune(model, "random", 0.2, 0.7, generator=generator(1))
    removed = {gate: block == 0 for gate, block in recurrent_matrices(pruned.layers[0]).items()}
    before = {gate: block.clone() for gate, block in recurrent_matrices(pruned.layers[0]).items()}
    optimiser = torch.optim.SGD(pruned.parameters(), lr=0.1)
    like = pruned.hidden(pruned.initial_state(1))
    for _ in range(2):
        states = run(pruned, inputs().to(like), generator(2)).states
        optimiser.zero_grad()
        pruned.readout(states, ["N2"]).square().sum().backward()
        optimiser.step()
    after = recurrent_matrices(pruned.layers[0])
    assert all(bool((after[gate][gone] == 0).all()) for gate, gone in removed.items())
    assert any(bool((after[gate] != before[gate]).any()) for gate in after)
    silent = pruned.layers[0].mask == 0  # type: ignore[union-attr]
    assert bool((run(pruned, inputs().to(like), generator(2)).states[..., silent] == 0).all())


def test_magnitude_keeps_the_largest_and_activity_the_most_active() -> None:
    model = network("default")
    W = next(iter(recurrent_matrices(model.layers[0]).values())).abs()
    kept = next(iter(recurrent_matrices(prune(model, "magnitude", 20).layers[0]).values())) != 0
    assert float(W[kept].min()) >= float(W[~kept].max())
    rate = run(model, inputs(), generator()).states.abs().mean(dim=(0, 1))
    left = prune(model, "activity", 0.0, 4, inputs=inputs()).layers[0].mask.bool()  # type: ignore[union-attr]
    assert set(left.nonzero().flatten().tolist()) == set(rate.argsort(descending=True)[:4].tolist())


def test_units_of_the_highest_betweenness_stay() -> None:
    model, exponents = spiking(), np.linspace(-1, -0.1, 12)
    W = model.layers[0].weights()["recurrent.weight"]
    W.put(W.tensor * (torch.rand(12, 12, generator=generator(7)) < 0.3))
    score = betweenness(lyapunov_matrix(W.value.numpy(), exponents))
    rule = LyapunovNoise((2,), node_exponents=exponents)
    left = prune(model, rule, 0.05, 5).layers[0].mask.bool().numpy()  # type: ignore[union-attr]
    assert score[left].min() >= score[~left].max()


def test_chance_removes_the_same_units_by_every_rule() -> None:
    masks = [
        prune(spiking(), rule, 0.1, 0.5, generator=generator(3), inputs=inputs()).layers[0].mask
        for rule in ("random", "magnitude", "noise", LyapunovNoise((1,)), LyapunovNoise((3,)))
    ]
    assert all(torch.equal(masks[0], mask) for mask in masks[1:])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["default", "lstm", "layers"])
def test_the_spectral_radius_is_kept(name: str) -> None:
    model = network(name)
    pruned = prune(model, "random", 0.5, rescale="radius", generator=generator(4))
    for old, new in zip(model.layers, pruned.layers, strict=True):
        for before, after in zip(recurrent_matrices(old).values(), recurrent_matrices(new).values(), strict=True):
            radii = [float(torch.linalg.eigvals(W).abs().max()) for W in (before, after)]
            assert radii[1] == pytest.approx(radii[0], rel=1e-8)


def test_weights_over_their_probabilities_have_the_old_mean() -> None:
    model = spiking(6)
    W = model.layers[0].weights()["recurrent.weight"].value
    exponents = np.linspace(-1, -0.2, 6)
    for rule in ("random", "noise", LyapunovNoise((1,), node_exponents=exponents)):
        draws = torch.stack([
            next(iter(recurrent_matrices(prune(model, rule, 0.5, rescale="probability", generator=generator(i)).layers[0]).values()))
            for i in range(300)
        ])  # fmt: skip
        error = draws.std(dim=0) / 300**0.5
        assert bool(((draws.mean(dim=0) - W).abs() <= 4.5 * error + 1e-9).all())


def test_new_synapses_delocalise() -> None:
    model = spiking(30)
    exponents = np.linspace(-1, -0.2, 30)
    kept = []
    for steps in ((1,), (1, 3)):
        rule = LyapunovNoise(steps, added=0.2, node_exponents=exponents)
        kept.append(
            prune(model, rule, 0.25, generator=generator(1)).layers[0].weights()["recurrent.weight"].value.numpy()
        )
    assert (kept[0] != 0).sum() == (kept[1] != 0).sum()
    assert inverse_participation(kept[1]) < inverse_participation(kept[0])


def test_a_pruned_network_can_be_pruned_again() -> None:
    once = prune(network("default"), "random", 0.5, 0.8, generator=generator())
    twice = prune(once, "magnitude", 0.1, 0.5, "radius")
    assert synapses(twice) == round(0.1 * synapses(once))
    assert living(twice) == 4
    assert bool(((once.layers[0].mask - twice.layers[0].mask) >= 0).all())  # type: ignore[operator, union-attr]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "magnitud"}, "method 'magnitud' is unknown: .*did you mean 'magnitude'"),
        ({"method": 3}, "method is of type int: expected one of random"),
        ({"method": "random", "keep_synapses": 1.5}, "keep_synapses is 1.5: expected a share of at most 1"),
        ({"method": "random", "keep_synapses": -0.1}, "keep_synapses is -0.1: expected a share"),
        ({"method": "random", "keep_synapses": 1000}, "keep_synapses is 1000: .* of at most the 132 of a layer"),
        ({"method": "random", "keep_synapses": float("nan")}, "keep_synapses is nan"),
        ({"method": "random", "keep_synapses": "half"}, "keep_synapses is 'half': expected a number"),
        ({"method": "random", "keep_units": 0.0}, "keep_units is 0.0: expected a share"),
        ({"method": "random", "keep_units": 13}, "keep_units is 13"),
        ({"method": "random", "keep_synapses": 0.9, "keep_units": 0.5}, "119 synapses are to be kept, and 30 are left"),
        ({"method": "activity"}, "method 'activity' has no inputs: expected those that drive the network"),
        ({"method": "lyapunov"}, "method 'lyapunov' has no inputs"),
        ({"method": "lyapunov", "inputs": [1.0]}, "inputs is of type list: expected a tensor"),
        ({"method": "random", "rescale": "radii"}, "rescale 'radii' is unknown: .*did you mean 'radius'"),
        (
            {"method": "magnitude", "rescale": "probability"},
            "rescale 'probability' of method 'magnitude', which has none",
        ),
        ({"method": "random", "generator": 3}, "generator is of type int: expected a torch.Generator"),
        ({"method": LyapunovNoise((1,), node_exponents=[1.0])}, "expected 12 numbers, one a unit"),
    ],
)
def test_what_cannot_be_pruned_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        prune(spiking(), **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": (4,)}, "step 4 is unknown: expected one of 1, 2, 3"),
        ({"iterations": 0}, "number of iterations is 0"),
        ({"added": 1.0}, "added is 1.0: expected a share of the removed synapses"),
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"margin": -1.0}, "margin is -1.0"),
    ],
)
def test_what_is_no_rule_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LyapunovNoise(**options)


def test_a_network_without_recurrent_weights_is_refused() -> None:
    model = build_model("leaky_units", 4, n_heads=1, generator=generator())
    with pytest.raises(InputError, match="has no recurrent weights"):
        prune(model, "random")


def test_layers_are_pruned_each() -> None:
    model = LeakyRNN([5, 5], n_heads=1, generator=generator())
    pruned = prune(model, "lyapunov", 0.5, 0.8, inputs=inputs())
    for layer in range(2):
        assert (synapses(pruned, layer), living(pruned, layer)) == (10, 4)
    assert list(itertools.chain(pruned.tau.shape)) == [10]  # type: ignore[union-attr]
