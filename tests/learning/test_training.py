"""The training loop against sums and updates written out, and its exact resumption."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tauscope as ts
from rounding import tolerance, undecided
from tauscope.learning import curricula
from tauscope.learning.learners import Supervised
from tauscope.learning.recipe import generators
from tauscope.models import ReluRNN
from tauscope.tasks import BinaryMemoryTask

N_HEADS = 6
CURRICULA: dict[str, Callable[[], tuple[ts.Stage, ...]]] = {
    "cumulative": lambda: ts.cumulative(last=6),
    "sliding": lambda: ts.sliding(last=6, width=2, forget=1),
    "single": lambda: ts.single(last=6),
    "single_nocurr": lambda: ts.once(3),
}
NETWORKS: dict[str, dict[str, Any]] = {
    "default": {},
    "mod": {"form": "mod", "afunc": "tanh"},
    "continuous": {"form": "continuous"},
    "fixed tau": {"tau": 2.0},
    "two layers": {"n_units": [5, 5]},
    "bf16": {"precision": "bf16"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
}


def network(kind: str = "default", n_units: int = 6, shared_head: bool = False, seed: int = 0) -> ts.Model:
    options = {"n_units": n_units, "n_heads": N_HEADS, "shared_head": shared_head} | NETWORKS[kind]
    return ts.build_model(**options, generator=torch.Generator().manual_seed(seed))


def recipe(**options: Any) -> ts.Recipe:
    return ts.Recipe(**({"epochs": 3, "steps_per_epoch": 4, "batch_size": 5, "test_steps": 2, "seed": 3} | options))


class Keeper:
    """Keeps every state as the file that it would be, and what each epoch gave."""

    def __init__(self) -> None:
        self.states: list[bytes] = []
        self.kept: list[str | None] = []

    def save_state(self, one: ts.Training) -> None:
        file = io.BytesIO()
        torch.save(one.state_dict(), file)
        self.states.append(file.getvalue())

    def save_epoch(self, one: ts.Training, kept: str | None) -> None:
        self.save_state(one)
        self.kept.append(kept)

    def last(self) -> dict[str, Any]:
        return state_of(self.states[-1])


def state_of(file: bytes) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(io.BytesIO(file), weights_only=True)
    return state


def without_times(state: Any) -> Any:
    """Return a state with tensors as bytes and without the wall times, to be compared by ``==``."""
    if isinstance(state, Tensor):
        return state.dtype, tuple(state.shape), state.detach().float().numpy().tobytes()
    if isinstance(state, dict):
        return {key: without_times(one) for key, one in state.items() if key not in ("seconds", "steps_per_second")}
    return [without_times(one) for one in state] if isinstance(state, list | tuple) else state


def pure_logits(model: ts.Model, inputs: Tensor, generator: torch.Generator, Ns: tuple[int, ...]) -> Tensor:
    """Return the logits ``[batch, head, class]`` at the last step, by the pure step."""
    state = model.initial_state(inputs.shape[1], generator)
    for x in inputs:
        state = model.step(x, state)
    return torch.stack([model.readout(model.hidden(state), f"N{N}") for N in Ns], dim=1)


# --- what a step does -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [0.05, 100.0])
@pytest.mark.parametrize(
    ("kind", "duplicates"),
    [("default", None), ("mod", None), ("fixed tau", None), ("continuous", (2, 3)), ("lstm", None)],
)
def test_steps_are_clipped_nesterov_sgd_on_the_loss_summed_over_heads(
    kind: str, duplicates: tuple[int, ...] | None, clip: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        curricula.Criterion, "is_solved", lambda *_: True
    )  # so that the second epoch asks one more head
    options = recipe(steps_per_epoch=2, epochs=2, lr=0.3, momentum=0.4, clip=clip, duplicates=duplicates)
    trained, expected = network(kind), network(kind)
    losses: list[float] = []
    curriculum = ts.cumulative(last=4, start=2)
    ts.train(trained, ts.Parity(), curriculum, options, on_step=lambda _, loss: losses.append(loss))
    asked = ((2, 3), (2, 3), (2, 3, 4), (2, 3, 4))

    draws = generators(options.seed)
    parameters = {name: one for name, one in expected.named_parameters() if one.requires_grad}
    velocity: dict[str, Tensor] = {}
    for loss, Ns in zip(losses, asked, strict=True):
        own = []
        for k in duplicates or (1,):
            model = expected if duplicates is None else expected.at_resolution(k)
            batch = ts.Parity(Ns, repeat=k).sample(options.batch_size, draws["data"])
            logits = pure_logits(model, batch.inputs, draws["state"], Ns)
            total = sum(F.cross_entropy(logits[:, head], batch.targets[0, :, head]) for head in range(len(Ns)))
            assert isinstance(total, Tensor)
            gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
            norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients if g is not None))
            assert (norm > clip) == (clip < 1)
            with torch.no_grad():
                for (name, parameter), g in zip(parameters.items(), gradients, strict=True):
                    if g is not None:
                        g = g * min(1.0, clip / norm)
                        velocity[name] = 0.4 * velocity[name] + g if name in velocity else g
                        parameter.sub_(0.3 * (g + 0.4 * velocity[name]))
            own.append(total.item())
        assert loss == pytest.approx(np.mean(own), rel=1e-5)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_heads_that_are_not_asked_do_not_move() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ts.train(model, ts.Parity(), ts.cumulative(last=6, start=2), recipe(optimizer="adam", lr=0.1))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    asked = {f"heads.linears.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias")}
    assert moved == asked | {name for name in before if name.startswith("cells.")}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_head_that_is_no_longer_asked_does_not_move(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curricula.Criterion, "is_solved", lambda *_: True)
    model, states = network(), []

    def keep(_: ts.Training, record: dict[str, Any]) -> None:
        states.append(
            (record["Ns"], [head.weight.detach().clone() for head in model.heads.asked(f"N{N}" for N in range(2, 8))])
        )

    ts.train(
        model, ts.Parity(), ts.sliding(last=6, width=2, forget=1), recipe(optimizer=optimizer, lr=0.1), on_epoch=keep
    )
    assert [Ns for Ns, _ in states] == [[2, 3], [3, 4], [4, 5]]
    for (_, before), (Ns, after) in itertools.pairwise(states):
        moved = [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
        assert moved == [N in Ns for N in range(2, 8)]


def test_gradients_that_were_left_on_a_network_count_for_nothing() -> None:
    plain, used = network(), network()
    for parameter in used.parameters():
        parameter.grad = torch.ones_like(parameter)
    for model in (plain, used):
        ts.train(model, ts.Parity(), ts.cumulative(last=6), recipe())
    assert without_times(plain.state_dict()) == without_times(used.state_dict())


def test_a_fixed_tau_stays_fixed() -> None:
    model = network("fixed tau")
    ts.train(model, ts.Parity(), ts.cumulative(last=6), recipe(lr=1.0))
    assert model.tau is not None
    assert model.tau.tolist() == [2.0] * 6


def test_a_record_holds_the_mean_loss_and_the_accuracy_on_fresh_sequences() -> None:
    options = recipe(epochs=1, test_steps=7, batch_size=16)
    model, losses = network(), []
    task = ts.DelayedMatchToSample((2,), length=(4, 9))
    record = ts.train(
        model, task, ts.cumulative(last=4, start=3), options, on_step=lambda _, loss: losses.append(loss)
    ).history[0]
    assert record["loss"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert len(losses) == 4

    draws, right, near = generators(options.seed)["test"], np.zeros(3), np.zeros(3)
    for _ in range(options.test_steps):
        batch = ts.DelayedMatchToSample((2, 3, 4), length=(4, 9)).sample(options.batch_size, draws)
        logits = pure_logits(model, batch.inputs, draws, (2, 3, 4)).detach()
        said, bits = logits.numpy().argmax(axis=-1), batch.inputs[..., 0].numpy()
        near += undecided(logits, tolerance(torch.float32, length=6, steps=9)).sum(dim=0).numpy()
        for head, N in enumerate((2, 3, 4)):
            right[head] += (said[:, head] == (bits[-1] == bits[-N])).sum()
    # The fast recurrence and the pure step may differ where two answers are as likely, to within rounding.
    assert near.sum() < 3
    assert (np.abs(np.array(record["accuracy"]) - right / (7 * 16)) < near / (7 * 16) + 1e-6).all()
    assert (record["epoch"], record["Ns"], record["solved"], record["finished"]) == (1, [2, 3, 4], False, True)


def test_a_stage_is_solved_only_above_98_percent_on_average_and_on_the_newest_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tests = iter([[0.98], [0.99], [1.0, 0.98], [0.96, 1.0], [0.97, 0.995], [1.0, 1.0, 1.0], [0.5] * 4])
    monkeypatch.setattr(Supervised, "test", lambda *_: {"accuracy": next(tests)})
    keeper = Keeper()
    result = ts.train(network(), ts.Parity(), ts.cumulative(last=6), recipe(epochs=7, steps_per_epoch=1), store=keeper)
    assert keeper.kept == [None, "N2_N2", None, None, "N2_N3", "N2_N4", None]
    assert [record["Ns"] for record in result.history] == [[2], [2], [2, 3], [2, 3], [2, 3], [2, 3, 4], [2, 3, 4, 5]]


def test_a_run_ends_when_its_last_N_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curricula.Criterion, "is_solved", lambda *_: True)
    result = ts.train(network(), ts.Parity(), ts.cumulative(last=3), recipe(epochs=9))
    assert (result.epoch, result.finished, result.curriculum.finished) == (2, True, True)
    assert [record["finished"] for record in result.history] == [False, True]


# --- that it learns ---------------------------------------------------------------------------------------------------


def accuracy_on_all_streams(model: ts.Model, N: int, n_bits: int) -> float:
    """Return the accuracy of N-parity over all streams of that many bits."""
    streams = np.array(list(itertools.product([0, 1], repeat=n_bits)))
    inputs = torch.from_numpy(streams.T.astype(np.float32))[..., None]
    with torch.no_grad():
        _, last = model(inputs)
        said = model.readout(model.hidden(last), f"N{N}").argmax(dim=-1).numpy()
    return float((said == streams[:, -N:].sum(axis=1) % 2).mean())


def test_a_small_network_learns_N_2_to_4() -> None:
    model = network(n_units=20)
    options = recipe(epochs=8, steps_per_epoch=100, batch_size=64, test_steps=10, optimizer="adam", lr=0.01)
    result = ts.train(model, ts.Parity(), ts.cumulative(last=4), options)
    assert result.curriculum.finished
    assert [accuracy_on_all_streams(model, N, n_bits=9) for N in (2, 3, 4)] == pytest.approx([1, 1, 1], abs=0.02)


@pytest.mark.parametrize("task", ["parity", "dms"])
@pytest.mark.parametrize("kind", ["default", "mod", "continuous", "gru", "lstm"])
def test_the_loss_falls(kind: str, task: str) -> None:
    losses: list[float] = []
    options = recipe(
        epochs=1, steps_per_epoch=70, batch_size=32, optimizer="adam", lr=0.03,
        duplicates=(1, 2) if kind == "continuous" else None,
    )  # fmt: skip
    template: BinaryMemoryTask = ts.tasks.TASKS[task]((2,), plus_minus=True)
    ts.train(network(kind, 20), template, ts.cumulative(last=7), options, on_step=lambda _, loss: losses.append(loss))
    assert np.mean(losses[:5]) == pytest.approx(math.log(2), abs=0.25)
    assert np.mean(losses[-10:]) < 0.5 * math.log(2)


# --- where it stops ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("afunc", ["leakyrelu", "relu"])
@pytest.mark.parametrize("form", ["default", "mod"])
def test_a_diverged_training_says_so_before_the_weights_are_lost(form: str, afunc: str) -> None:
    model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0), n_heads=6, form=form, afunc=afunc)
    with pytest.raises(
        ts.DivergedError, match=r"^training diverged at epoch 1, step \d+, stage N2_N2: .*below 1e\+30$"
    ):
        ts.train(model, ts.Parity(), ts.cumulative(last=7), recipe(lr=1e30, steps_per_epoch=50))
    assert all(bool(torch.isfinite(one).all()) for one in model.parameters())


def test_weights_that_are_not_finite_are_not_trained() -> None:
    model = network()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(ts.DivergedError, match="loss nan"):
        ts.train(model, ts.Parity(), ts.cumulative(last=7), recipe())


@pytest.mark.parametrize("after", [1, 3, 4, 5, 8, 11])
def test_stop_is_asked_after_every_step_and_saves(after: int) -> None:
    asked = itertools.count(1)
    keeper = Keeper()
    result = ts.train(
        network(), ts.Parity(), ts.cumulative(last=7), recipe(), store=keeper, stop=lambda: next(asked) >= after
    )
    # An epoch is counted when it is tested, so a stop at its last step leaves all its steps to be counted.
    assert (result.epoch, result.step) == ((after - 1) // 4, (after - 1) % 4 + 1)
    assert next(asked) == after + 1
    assert without_times(keeper.last()) == without_times(result.state_dict())


def test_states_are_saved_by_time() -> None:
    for save_every, expected in ((0.0, 12 + 3), (1e9, 3)):
        keeper = Keeper()
        ts.train(network(), ts.Parity(), ts.cumulative(last=7), recipe(), store=keeper, save_every=save_every)
        assert len(keeper.states) == expected


def test_a_finished_training_is_left_as_it_is() -> None:
    keeper = Keeper()
    ts.train(network(), ts.Parity(), ts.cumulative(last=7), recipe(), store=keeper)
    again = ts.train(network(), ts.Parity(), ts.cumulative(last=7), recipe(), state=keeper.last(), store=keeper)
    assert len(keeper.states) == 3
    assert without_times(again.state_dict()) == without_times(keeper.last())


# --- that it goes on exactly ------------------------------------------------------------------------------------------


def run(kind: str, curriculum: str, options: ts.Recipe, stop_every: int = 10**9) -> Any:
    """Return the last state of a training, or of one that is given up every few steps and rebuilt from its file."""
    keeper, state, taken = Keeper(), None, itertools.count(1)
    for session in range(100):
        order = CURRICULA[curriculum]()
        # Once there is a state, a session's own initial weights must not matter.
        model = network(kind, shared_head=curriculum.startswith("single"), seed=session)
        result = ts.train(
            model,
            ts.Parity(),
            order,
            options,
            state=state,
            store=keeper,
            stop=lambda: next(taken) % stop_every == 0,
        )
        state = keeper.last()
        if result.finished:
            return without_times(state)
    raise AssertionError("it never finished")


@pytest.mark.parametrize(
    ("kind", "curriculum"),
    [
        *itertools.product(NETWORKS, ["sliding"]),
        *itertools.product(["default", "lstm"], ["cumulative", "single", "single_nocurr"]),
    ],
)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_interrupted_training_ends_bitwise_as_an_uninterrupted_one(
    kind: str, optimizer: str, curriculum: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        curricula.Criterion, "is_solved", lambda *_: True
    )  # so that every epoch moves the curriculum on
    options = recipe(optimizer=optimizer, lr=0.01, duplicates=(2, 3) if kind == "continuous" else None)
    straight = run(kind, curriculum, options)
    assert straight["epoch"] == (1 if curriculum == "single_nocurr" else 3)
    # Every third step: within epochs of four, at their first step, and at their last before the test.
    assert run(kind, curriculum, options, stop_every=3) == straight


def test_a_training_goes_on_exactly_from_every_state_that_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curricula.Criterion, "is_solved", lambda *_: True)
    keeper = Keeper()
    ts.train(network(), ts.Parity(), ts.cumulative(last=6), recipe(), store=keeper, save_every=0)
    assert len(keeper.states) == 15
    for file in keeper.states:
        state = state_of(file)
        end = ts.train(network(seed=5), ts.Parity(), ts.cumulative(last=6), recipe(), state=state)
        assert without_times(end.state_dict()) == without_times(keeper.last())


def test_a_state_whose_optimiser_saw_every_head_is_gone_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curricula.Criterion, "is_solved", lambda *_: True)
    keeper = Keeper()
    straight = ts.train(network(), ts.Parity(), ts.cumulative(last=6), recipe(), store=keeper, save_every=0)
    state = state_of(keeper.states[1])  # as it was kept before: all parameters, momenta of the asked ones, not fused
    (group,), n = state["optimizer"]["param_groups"], len(list(network().parameters()))
    assert len(group["params"]) < n
    group.update(params=list(range(n)), fused=None, foreach=True)
    end = ts.train(network(seed=5), ts.Parity(), ts.cumulative(last=6), recipe(), state=state)
    for name, value in straight.model.state_dict().items():
        torch.testing.assert_close(end.model.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name)


@settings(max_examples=5, deadline=None)
@given(stops=st.sets(st.integers(1, 12), max_size=5), save_every=st.sampled_from([0.0, 1e9]))
def test_stops_and_saves_at_any_steps_change_nothing(stops: set[int], save_every: float) -> None:
    taken = itertools.count(1)
    keeper, state = Keeper(), None
    for _ in range(len(stops) + 1):
        result = ts.train(
            network(shared_head=True), ts.Parity(), ts.single(last=6), recipe(), state=state, store=keeper, save_every=save_every,
            stop=lambda: next(taken) in stops,
        )  # fmt: skip
        state = keeper.last()
    expected = ts.train(network(shared_head=True), ts.Parity(), ts.single(last=6), recipe())
    assert result.finished
    assert without_times(state) == without_times(expected.state_dict())


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_raised_epochs_go_on_as_if_they_had_been_asked_at_once(optimizer: str) -> None:
    keeper = Keeper()
    ts.train(network(), ts.Parity(), ts.cumulative(last=7), recipe(epochs=1, optimizer=optimizer), store=keeper)
    more = recipe(epochs=3, optimizer=optimizer)
    longer = ts.train(network(), ts.Parity(), ts.cumulative(last=7), more, state=keeper.last()).state_dict()
    straight = ts.train(network(), ts.Parity(), ts.cumulative(last=7), more).state_dict()
    for state in (longer, straight):
        for record in state["history"]:
            del record["finished"]  # which it was, for as many epochs as were asked then
    assert without_times(longer) == without_times(straight)


def test_a_raised_max_N_reopens_a_finished_curriculum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curricula.Criterion, "is_solved", lambda *_: True)
    keeper = Keeper()
    ts.train(network(), ts.Parity(), ts.cumulative(last=3), recipe(epochs=9), store=keeper)
    assert keeper.kept == ["N2_N2", "N2_N3"]
    end = ts.train(network(), ts.Parity(), ts.cumulative(last=5), recipe(epochs=9), state=keeper.last(), store=keeper)
    assert keeper.kept[2:] == ["N2_N4", "N2_N5"]
    assert end.finished


# --- what it is given -------------------------------------------------------------------------------------------------


def test_the_generators_of_a_run_are_independent_and_set_by_its_seed() -> None:
    def draws(seed: int) -> list[tuple[float, ...]]:
        return [tuple(torch.rand(3, generator=one).tolist()) for one in generators(seed).values()]

    assert draws(0) == draws(0)
    assert len({*draws(0), *draws(1), *draws(2**40)}) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0: expected at least 1"),
        ({"steps_per_epoch": 0}, "steps per epoch is 0"),
        ({"batch_size": -1}, "batch size is -1"),
        ({"test_steps": 0}, "test steps is 0"),
        ({"optimizer": "sdg"}, "did you mean 'sgd'"),
        ({"lr": 0.0}, "lr is 0.0: expected a number above 0"),
        ({"lr": math.nan}, "lr is nan"),
        ({"clip": -2.0}, "clip is -2.0"),
        ({"momentum": 1.0}, r"momentum is 1.0: expected a number in \[0, 1\)"),
        ({"momentum": math.nan}, "momentum is nan: expected at least 0"),
        ({"seed": -1}, "seed is -1: expected at least 0"),
        ({"duplicates": (7, 0)}, "duplicates is 0: expected at least 1"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ts.InputError, match=message):
        ts.Recipe(**options)


def test_duplicates_are_for_continuous_time() -> None:
    with pytest.raises(ts.InputError, match="expected 'continuous'"):
        ts.train(network(), ts.Parity(), ts.cumulative(last=7), recipe(duplicates=(2,)))


# --- stages that fit --------------------------------------------------------------------------------------------------


def decisions(n_units: int = 6) -> tuple[ts.Model, ts.tasks.TwoAlternativeChoice]:
    """Return a network and a task that is scored by a fractional loss."""
    task = ts.tasks.TwoAlternativeChoice(stim_steps=3, delay_steps=4, resp_steps=5, gain=0.05)
    return ReluRNN(n_units, n_inputs=task.n_inputs, generator=torch.Generator().manual_seed(0)), task


def test_a_fractional_loss_worse_than_chance_solves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = iter([[1.44], [0.83], [0.2], [0.05]])
    monkeypatch.setattr(Supervised, "test", lambda *_: {"fractional_loss": next(tests)})
    model, task = decisions()
    curriculum = ts.Curriculum(ts.ladder("delay_steps", (4, 8)), ts.Criterion("fractional_loss", 0.5))
    keeper = Keeper()
    history = ts.train(model, task, curriculum, recipe(epochs=4, steps_per_epoch=1), store=keeper).history
    assert [record["solved"] for record in history] == [False, False, True, True]
    assert [record["delay_steps"] for record in history] == [4, 4, 4, 8]
    assert keeper.kept == [None, None, "delay_steps4", "delay_steps8"]


def test_a_score_is_the_ratio_of_sums_over_all_batches() -> None:
    model, task = decisions()
    options = recipe(epochs=1, steps_per_epoch=1, test_steps=9, batch_size=2)
    curriculum = ts.Curriculum([ts.Stage("only")], ts.Criterion(task.metric, epochs=1))
    score = ts.train(model, task, curriculum, options).history[0]["fractional_loss"][0]
    draws, parts, ratios = generators(options.seed)["test"], np.zeros(2), []
    for _ in range(options.test_steps):
        batch = task.sample(options.batch_size, draws)
        with torch.no_grad():
            states, _ = model(batch.inputs, model.initial_state(options.batch_size, draws))
            sums = [float(one.sum()) for one in task.excess(model.readout(states[-5:], ["out"]), batch)]
        parts += sums
        ratios.append(sums[0] / sums[1])
    assert score == pytest.approx(parts[0] / parts[1], rel=1e-6)
    assert abs(np.mean(ratios) - score) > 1e-3


@pytest.mark.parametrize(
    ("stages", "shared", "line"),
    [
        (ts.cumulative(last=3), True, "stage N2_N3 has the heads N2, N3, the network a single one"),
        (ts.cumulative(last=9), False, "no head 'N8': expected N2 … N7"),
        (ts.single(last=3), False, "no head 'out': expected N2 … N7"),
        ([ts.Stage("a", {"Ns": (2, 3)}, ("N2",))], False, "stage a has 1 heads for 2 questions"),
        ([ts.Stage("a", {"NS": (2, 3)}, ("N2",))], False, "Parity has no field 'NS': .*did you mean 'Ns'"),
        ([ts.Stage("a", {"task": ts.tasks.Tracking(n_signals=2)})], True, "stage a has the metric relative_error"),
    ],
)
def test_stages_that_fit_neither_task_nor_network_are_refused(stages: Any, shared: bool, line: str) -> None:
    with pytest.raises(ts.InputError, match=line):
        ts.train(network(shared_head=shared), ts.Parity(), stages, recipe())


def test_a_task_of_other_inputs_or_of_a_metric_that_the_criterion_does_not_judge_is_refused() -> None:
    model, task = decisions()
    with pytest.raises(ts.InputError, match="has the metric fractional_loss: expected accuracy"):
        ts.train(model, task, [ts.Stage("only")], recipe())
    curriculum = ts.Curriculum([ts.Stage("only")], ts.Criterion(task.metric, 0.1))
    with pytest.raises(ts.InputError, match="stage only has 50 inputs, the network 1"):
        ts.train(network(shared_head=True), task, curriculum, recipe())
