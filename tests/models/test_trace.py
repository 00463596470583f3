"""The one way to put trials through a network: what is drawn, in which order, what is returned, and what it costs."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import tauscope as ts
from cells import NETWORKS, network
from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.models import BalancedCell, Fast, Loop, Model, State, init, run
from tauscope.tasks import Batch, Task, Tracking, TwoAlternativeChoice

BATCH, N_STEPS = 5, 12


def drawn(hold: bool = False, dtype: torch.dtype = torch.float64, n_steps: int = N_STEPS) -> Batch:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(n_steps, BATCH, 1, generator=generator, dtype=dtype)
    held = torch.rand(n_steps, BATCH, generator=generator) < 0.4 if hold else None
    return Batch(inputs, torch.zeros(1, BATCH, 2), hold=held)


def by_step(model: Model, batch: Batch, state: tuple[State, ...], noise: Tensor | None) -> tuple[Tensor, Any]:
    """Return states and final state by the pure step of the whole network."""
    states = []
    for t, x in enumerate(batch.inputs):
        moved = model.step(x, state, None if noise is None else noise[t])
        if batch.hold is not None:
            held = batch.hold[t][:, None]
            moved = tuple(
                tuple(torch.where(held, old, new) for old, new in zip(before, after, strict=True))
                for before, after in zip(state, moved, strict=True)
            )
        state = moved
        states.append(model.hidden(state))
    return torch.stack(states), state


def gradients(model: Model, states: Tensor, final: tuple[State, ...]) -> list[Tensor]:
    """Return the gradients of something that depends on every state and on the last one."""
    weight = torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view(states.shape)
    loss = (states * weight).sum() + sum(one.square().sum() for layer in final for one in layer)
    wanted = [one for one in model.cells.parameters() if one.requires_grad]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return [
        torch.zeros_like(one) if gradient is None else gradient for one, gradient in zip(wanted, found, strict=True)
    ]


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_cell_handles_noise_and_held_states_as_its_step_does(name: str, noisy: bool, hold: bool) -> None:
    model, batch = network(name), drawn(hold)
    noise = torch.randn(N_STEPS, BATCH, model.n_units, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    private = noise if noisy else None
    state = model.initial_state(BATCH, torch.Generator().manual_seed(1))
    expected, final = by_step(model, batch, state, private)
    outcomes = [(expected, *(one for layer in final for one in layer), *gradients(model, expected, final))]
    for solver in (Fast(), Loop()):
        states, last, _ = model.solve(batch.inputs, state, noise=private, hold=batch.hold, solver=solver)
        outcomes.append((states, *(one for layer in last for one in layer), *gradients(model, states, last)))
    for found in outcomes[1:]:
        for one, other in zip(found, outcomes[0], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("name", ["layers", "lstm", "noisy", "hebbian", "balanced"])
@pytest.mark.parametrize("first", [0, 2, 6, 9, 11])
def test_states_and_gradients_from_a_step_on_are_those_of_the_whole_sequence(first: int, name: str, hold: bool) -> None:
    model, batch = network(name), drawn(hold)
    found, whole = (
        run(model, batch, torch.Generator().manual_seed(2), heads=["N2", "N3"], first=start) for start in (first, 0)
    )
    assert len(found.states) == len(found.outputs) == N_STEPS - first
    torch.testing.assert_close(found.states, whole.states[first:], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.outputs, whole.outputs[first:], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.final, whole.final, rtol=1e-9, atol=1e-12)
    wanted = list(model.parameters())
    wanted = [one for one in wanted if one.requires_grad]
    ours, theirs = (
        torch.autograd.grad(trace.outputs[-(N_STEPS - first) :].square().sum(), wanted, allow_unused=True)
        for trace in (found, whole)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["default", "noisy", "balanced"])
def test_initial_states_are_drawn_first_then_private_noise(name: str) -> None:
    model, batch = network(name), drawn()
    trace = run(model, batch, torch.Generator().manual_seed(2))
    again = torch.Generator().manual_seed(2)
    state = model.initial_state(BATCH, again)
    noise = model.draw_noise(N_STEPS, BATCH, again)
    states, _ = model(batch.inputs, state, noise=noise)
    assert torch.equal(trace.states, states)
    assert (noise is None) == (name == "default")


def test_private_noise_can_be_scaled_and_left_out() -> None:
    model, batch = network("balanced"), drawn()
    quiet, one, two = (
        run(model, batch, torch.Generator().manual_seed(2), noise=noise).states for noise in (0.0, 1.0, 2.0)
    )
    torch.testing.assert_close(quiet, model(batch.inputs)[0])
    # The noise of the first step is only added.
    torch.testing.assert_close(two[0] - quiet[0], 2 * (one[0] - quiet[0]))
    assert (one[0] - quiet[0]).abs().min() > 0


def test_a_run_goes_on_from_a_state() -> None:
    model, batch = network("lstm"), drawn()
    whole = run(model, batch.inputs, torch.Generator().manual_seed(2))
    early = run(model, batch.inputs[:5], torch.Generator().manual_seed(2))
    late = run(model, batch.inputs[5:], torch.Generator(), state=early.final)
    torch.testing.assert_close(torch.cat([early.states, late.states]), whole.states)


def test_trials_are_cast_to_the_precision_of_the_network() -> None:
    model = network("gru")
    trace = run(model, drawn(dtype=torch.float32), torch.Generator().manual_seed(0), heads=["N2"])
    assert trace.states.dtype == trace.outputs.dtype == torch.float64


def test_initial_states_are_made_of_the_codes_of_the_trials() -> None:
    generator = torch.Generator().manual_seed(0)
    start = init.linear(3, 10, generator, bias=False)
    cells = [ts.models.LSTMCell(1, 6, generator), ts.models.LSTMCell(6, 4, generator)]
    model = Model(cells, ts.Heads(4, ["N2"], 2, False, generator), start=start)
    codes = torch.randn(BATCH, 3, generator=generator)
    batch = Batch(torch.zeros(2, BATCH, 1), torch.zeros(1, BATCH, 1), start=codes)
    below, above = model.initial_state(BATCH, generator, codes)
    torch.testing.assert_close(torch.cat([below[0], above[0]], dim=1), codes @ start.weight.t())
    assert not below[1].any()
    trace = run(model, batch, generator, heads=["N2"])
    torch.testing.assert_close(trace.states, model(batch.inputs, (below, above))[0])
    assert any(one is start.weight for one in model.asked_parameters(["N2"]))
    # What the codes are mapped with is trained with the rest.
    trace.outputs.sum().backward()
    assert start.weight.grad is not None
    with pytest.raises(ts.InputError, match="expected a Model with a start"):
        run(network("lstm"), batch, generator)
    model.start = init.linear(3, 9, generator)
    with pytest.raises(ts.InputError, match=r"the start has shape \(5, 9\): expected \(5, 10\)"):
        run(model, batch, generator)


def test_a_head_that_is_not_there_is_named() -> None:
    with pytest.raises(ts.InputError, match="no head 'N7': expected N2 … N5"):
        run(network("default"), drawn(), torch.Generator(), heads=["N7"])


# The first forward derivative of a process makes torch warn of what it does itself.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_loop_is_differentiated_forward_backward_twice_and_mapped(name: str) -> None:
    model, batch = network(name), drawn(hold=True, n_steps=4)
    state = model.initial_state(BATCH, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(9)
    direction = torch.randn(batch.inputs.shape, dtype=torch.float64, generator=generator)

    def said(inputs: Tensor) -> Tensor:
        return model.solve(inputs, state, hold=batch.hold, solver=Loop())[0].square().sum()

    def slope(inputs: Tensor) -> Tensor:
        return torch.func.jvp(said, (inputs,), (direction,))[1]

    (forward,) = (slope(batch.inputs),)
    backward = (torch.func.grad(said)(batch.inputs) * direction).sum()
    torch.testing.assert_close(forward, backward)
    twice = torch.func.grad(slope)(batch.inputs)
    h = 1e-5
    by_differences = (
        torch.func.grad(said)(batch.inputs + h * direction) - torch.func.grad(said)(batch.inputs - h * direction)
    ) / (2 * h)
    torch.testing.assert_close(twice, by_differences, rtol=1e-4, atol=1e-5)
    several = torch.stack([batch.inputs, 2 * batch.inputs])
    mapped = torch.func.vmap(said)(several)
    torch.testing.assert_close(mapped, torch.stack([said(one) for one in several]))


@dataclass(frozen=True)
class Told:
    """A solver that says something of every layer."""

    def __call__(self, cell: Any, inputs: Tensor, state: State, noise: Any, hold: Any) -> Any:
        return *cell.sequence(inputs, state, noise=noise, hold=hold), {"n_steps": torch.tensor(len(inputs))}


@pytest.mark.parametrize(("first", "expected"), [(0, {"": 12}), (9, {"before.": 9, "": 3})])
def test_what_a_solver_says_is_kept_by_layer(first: int, expected: dict[str, int]) -> None:
    info = run(network("layers"), drawn(), torch.Generator(), solver=Told(), first=first).info
    assert {name: int(value) for name, value in info.items()} == {
        f"{part}{layer}.n_steps": n for part, n in expected.items() for layer in (0, 1)
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_every_cell_trains_in_float64(name: str) -> None:
    model = network(name)
    before = {key: one.detach().clone() for key, one in model.cells.named_parameters()}
    curriculum = ts.single(last=4) if model.heads.shared else ts.cumulative(last=4)
    recipe = ts.Recipe(epochs=1, steps_per_epoch=2, batch_size=8, test_steps=1, lr=0.01)
    training = ts.train(model, ts.Parity([2]), curriculum, recipe)
    assert training.epoch == 1
    assert {one.dtype for one in model.parameters()} == {torch.float64}
    assert any(not torch.equal(one, before[key]) for key, one in model.cells.named_parameters())


@pytest.mark.parametrize(("task", "n_outputs"), [(Tracking(), 1), (TwoAlternativeChoice(delay_steps=(3, 6)), 1)])
@pytest.mark.parametrize("kind", ["leaky", "gru", "balanced"])
def test_tasks_of_continuous_answers_are_learnt_in_float64(kind: str, task: Task, n_outputs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    cell = {"leaky": ts.LeakyCell, "gru": ts.GRUCell, "balanced": BalancedCell}[kind](task.n_inputs, 6, generator)
    model = Model([cell], ts.Heads(6, ("out",), n_outputs, True, generator)).double()
    recipe = ts.Recipe(epochs=1, steps_per_epoch=2, batch_size=4, test_steps=1, optimizer="adam", activity_cost=0.1)
    curriculum = Curriculum((ts.Stage("task"),), Criterion(task.metric, epochs=1))
    training = ts.train(model, task, curriculum, recipe)
    assert training.epoch == 1
    assert {one.dtype for one in model.parameters()} == {torch.float64}


@pytest.mark.parametrize("n_threads", [1, 2])
def test_training_repeats_bit_for_bit(n_threads: int) -> None:
    def weights() -> torch.Tensor:
        model = ts.LeakyRNN(512, n_heads=4, generator=torch.Generator().manual_seed(0))
        recipe = ts.Recipe(epochs=1, steps_per_epoch=3, batch_size=130, test_steps=1)
        ts.train(model, ts.Parity([2]), ts.cumulative(last=3), recipe)
        return torch.cat([one.detach().flatten() for one in model.parameters()])

    torch.set_num_threads(n_threads)
    try:
        assert torch.equal(weights(), weights())
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(
    "given",
    [
        lambda x: x.numpy(),
        lambda x: x.double().numpy(),
        lambda x: x.tolist(),
        lambda x: x.double(),
        lambda x: x.long(),
        lambda x: x > 0,
        lambda x: Batch(x.double(), torch.zeros(1, BATCH, 2)),
    ],
)
def test_inputs_of_any_kind_are_cast_to_the_networks(given: Any) -> None:
    model = ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0))
    x = (torch.rand(N_STEPS, BATCH, 1, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    expected = run(model, x, torch.Generator().manual_seed(2)).states
    assert torch.equal(run(model, given(x), torch.Generator().manual_seed(2)).states, expected)


def test_a_head_alone_is_a_list_of_one() -> None:
    model, x = ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0)), torch.ones(3, 2, 1)
    alone, listed = (run(model, x, torch.Generator().manual_seed(1), heads=heads).outputs for heads in ("N3", ["N3"]))
    assert alone.shape == (3, 2, 1, 2)
    assert torch.equal(alone, listed)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"model": ts.LeakyRNN}, "the network is the class LeakyRNN itself: expected a tauscope Model"),
        ({"model": torch.nn.Linear(1, 8, device="meta")}, "the network is of type Linear: expected a tauscope Model"),
        ({"model": torch.zeros(3, 2, 1)}, "the network is of type Tensor: expected a tauscope Model"),
        ({"batch": None}, "batch is of type NoneType: expected a Batch"),
        ({"batch": ts.Parity()}, "batch is of type Parity: expected a Batch, such as task.sample"),
        ({"batch": ts.Parity}, "batch is the class Parity itself: expected a Batch"),
        ({"batch": "parity"}, "batch is of type str: expected a Batch"),
        ({"batch": [[1.0], [1.0, 2.0]]}, "batch is of type list: expected a Batch"),
        ({"batch": torch.zeros(3, 2)}, r"inputs have shape \(3, 2\): expected \[time, batch, 1\]"),
        ({"batch": torch.zeros(3, 2, 4)}, r"inputs have shape \(3, 2, 4\): expected \[time, batch, 1\]"),
        ({"generator": 0}, "generator is of type int: expected a torch.Generator"),
        ({"generator": None}, "generator is of type NoneType: expected a torch.Generator"),
        ({"generator": np.random.default_rng(0)}, "generator is of type Generator: expected a torch.Generator"),
        ({"heads": None}, "heads is of type NoneType: expected names of heads"),
        ({"heads": 2}, "heads is of type int: expected names of heads"),
        ({"heads": [2]}, "no head 2: expected N2"),
        ({"noise": "loud"}, "noise is 'loud': expected a number"),
        ({"first": 1.0}, "first is 1.0: expected a whole number"),
        ({"state": torch.zeros(2, 6)}, "state is a Tensor, the network has 1: expected a tuple"),
    ],
)
def test_what_nothing_can_be_run_with_is_refused(options: dict[str, Any], line: str) -> None:
    generator = torch.Generator().manual_seed(0)
    given = {"model": ts.LeakyRNN(6, generator=generator), "batch": torch.zeros(3, 2, 1), "generator": generator}
    with pytest.raises(ts.InputError, match=f"^{line}") as caught:
        run(**(given | options))
    assert "\n" not in str(caught.value)


def test_networks_inside_others_are_refused_by_name() -> None:
    model = ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0))

    class OptimizedModule(torch.nn.Module):
        """Named and made as what `torch.compile` returns."""

        def __init__(self) -> None:
            super().__init__()
            self._orig_mod = model

    for wrapped, place in ((torch.nn.DataParallel(model), ".module"), (OptimizedModule(), "._orig_mod")):
        with pytest.raises(ts.InputError, match=rf"{type(wrapped).__name__}: expected the Model in it, {place}$"):
            run(wrapped, torch.zeros(3, 2, 1), torch.Generator())  # type: ignore[arg-type]


class TwoPrecisions(torch.nn.Module):
    """A step whose weights are in float64, and in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(0.5 * torch.eye(4))
        self.scale = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return torch.tanh(h @ self.weight + x * self.scale).float()


@pytest.mark.parametrize("name", ["cells.0.recurrent.weight", "cells.0.input.bias", "heads.linears.0.bias"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_two_precisions_are_refused_by_name(name: str, dtype: torch.dtype) -> None:
    model = ts.LeakyRNN(6, n_heads=1, generator=torch.Generator().manual_seed(0))
    module, _, weight = name.rpartition(".")
    part = model.get_submodule(module)
    setattr(part, weight, torch.nn.Parameter(getattr(part, weight).detach().to(dtype)))
    told = rf"(?s)(?=.*{dtype}).* of (LeakyCell|Heads) is torch\.\w+, .* torch\.\w+: expected one precision"
    for use in (
        lambda: run(model, torch.zeros(3, 2, 1), torch.Generator()),
        lambda: ts.analysis.connectivity(model),
        lambda: ts.train(model, ts.Parity((2,)), ts.single(last=2)),
    ):
        with pytest.raises(ts.InputError, match=told) as caught:
            use()
        assert "\n" not in str(caught.value)


def test_a_module_of_ones_own_may_compute_in_two_precisions() -> None:
    model = ts.wrap(TwoPrecisions(), 1, 4, initial=torch.zeros(4))
    assert run(model, torch.zeros(3, 2, 1), torch.Generator()).states.shape == (3, 2, 4)


def test_a_device_without_float64_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0))
    lying = SimpleNamespace(device=torch.device("mps"))
    monkeypatch.setattr(model, "parameters", lambda: iter([lying]))
    for use in (
        lambda: run(model, torch.zeros(3, 2, 1), torch.Generator()),
        lambda: ts.analysis.timescales(model),
        lambda: ts.evaluate(model, ts.Parity(), [2]),
    ):
        with pytest.raises(
            ts.InputError, match=r"^the network lies on mps, which has no float64: expected cpu or cuda"
        ):
            use()


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NETWORKS)
def test_autocast_changes_nothing(name: str, low: torch.dtype) -> None:
    model, batch = NETWORKS[name](torch.Generator().manual_seed(0)), drawn(dtype=torch.float32)
    heads = model.heads.names[:1]
    expected = run(model, batch, torch.Generator().manual_seed(1), heads=heads)
    with torch.autocast("cpu", dtype=low):
        trace = run(model, batch, torch.Generator().manual_seed(1), heads=heads)
        states, _ = model(batch.inputs)
    assert torch.equal(trace.states, expected.states)
    assert torch.equal(trace.outputs, expected.outputs)
    assert torch.equal(states, model(batch.inputs)[0])


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_in_low_precision_compute_what_they_do_in_high(name: str, low: torch.dtype) -> None:
    model = NETWORKS[name](torch.Generator().manual_seed(0)).to(low)
    exact, inputs, heads = copy.deepcopy(model).double(), drawn(n_steps=6).inputs, model.heads.names[:1]
    for solver in (Fast(), Loop()):
        found, expected = (
            run(network, inputs.to(low), torch.Generator().manual_seed(1), heads=heads, solver=solver, noise=0)
            for network in (model, exact)
        )
        assert found.states.dtype == found.outputs.dtype == low
        scale = expected.states.abs().max()
        # Each of six steps rounds a handful of times.
        error = (found.states.double() - expected.states).abs().max() / scale
        assert error < 32 * torch.finfo(low).eps


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_copied_and_saved(name: str) -> None:
    model, batch, kept = NETWORKS[name](torch.Generator().manual_seed(0)), drawn(dtype=torch.float32), io.BytesIO()
    expected = run(model, batch, torch.Generator().manual_seed(1)).states
    torch.save(model.state_dict(), kept)
    kept.seek(0)
    twin, other = copy.deepcopy(model), NETWORKS[name](torch.Generator().manual_seed(7))
    other.load_state_dict(torch.load(kept, weights_only=True))
    for same in (twin, other):
        assert torch.equal(run(same, batch, torch.Generator().manual_seed(1)).states, expected)
