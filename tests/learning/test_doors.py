"""What a training is given: taken and right, or refused in one line before anything is trained; and moments that are copies."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tauscope as ts
from tauscope.learning.learners import BPTT, Piece, Supervised
from tauscope.learning.objectives import Term
from tauscope.learning.schedules import Plateau, Steps
from tauscope.tasks.check import check_task

RECIPE = ts.Recipe(epochs=3, steps_per_epoch=4, batch_size=5, test_steps=2, lr=0.3, seed=3)


def network(**options: Any) -> ts.Model:
    return ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0), **({"n_heads": 4} | options))


def trained(
    model: ts.Model | None = None, task: Any = None, stages: Any = None, recipe: Any = RECIPE, **options: Any
) -> ts.Training:
    stages = ts.cumulative(last=5) if stages is None else stages
    return ts.train(model or network(), task or ts.Parity(), stages, recipe, **options)


def comparable(training: ts.Training) -> Any:
    records = [
        {name: value for name, value in record.items() if name not in ("seconds", "steps_per_second")}
        for record in training.history
    ]
    return records, [value.tolist() for value in training.model.state_dict().values()]


STATE = ts.Training(network(), ts.Parity(), ts.Curriculum(ts.cumulative(last=5)), RECIPE).state_dict()


# --- a state is one moment, copied ------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("when", ["on_epoch", "on_step"])
def test_every_state_that_a_callback_kept_goes_on_bitwise_more_than_once(when: str, optimizer: str) -> None:
    options = ts.Recipe(**(vars(RECIPE) | {"optimizer": optimizer, "schedule": Plateau(0.5, patience=0), "lr": 0.02}))
    kept: list[dict[str, Any]] = []
    straight = comparable(trained(recipe=options, **{when: lambda training, _: kept.append(training.state_dict())}))
    assert len(kept) == (3 if when == "on_epoch" else 12)
    assert [state["epoch"] for state in kept] == sorted(state["epoch"] for state in kept)
    assert [len(state["history"]) for state in kept] == [state["epoch"] for state in kept]
    for state in kept + kept[:2]:
        assert comparable(trained(recipe=options, state=state)) == straight


def test_what_a_callback_does_to_records_and_states_does_not_reach_the_run() -> None:
    def vandalise(training: ts.Training, record: dict[str, Any]) -> None:
        record["accuracy"][0] = record["Ns"][0] = record["loss"] = 99.0
        record.clear()
        training.history.clear()
        training.history[0]["accuracy"].append(99.0)
        state = training.state_dict()
        for value in state["model"].values():
            value.zero_()
        for moments in state["optimizer"]["state"].values():
            for value in moments.values():
                value.fill_(99.0)
        state["history"][0]["accuracy"].append(99.0)
        for generator in state["generators"].values():
            generator.zero_()

    assert comparable(trained(on_epoch=vandalise)) == comparable(trained())


def test_what_a_stage_asks_is_recorded_as_it_was() -> None:
    asked = [2, 3]
    stages = [ts.Stage("both", {"Ns": asked}, ("N2", "N3"))]
    history = trained(stages=stages, on_epoch=lambda *_: asked.__setitem__(1, 3)).history
    asked[0] = 99
    assert [record["Ns"] for record in history] == [[2, 3]] * 3


# --- a task of a user's own is copied as it is -------------------------------------------------------------------------


class Noisy(ts.Parity):
    """Has an option beside those of its base."""

    def __init__(self, Ns: Any, noise: float = 0.1, *, extra: str = "no") -> None:
        super().__init__(Ns)
        object.__setattr__(self, "noise", noise)
        object.__setattr__(self, "_hidden", extra)

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        seen.append((self.Ns, self.noise, self._hidden))  # type: ignore[attr-defined]
        return super().sample(batch_size, generator, split)


seen: list[Any] = []


def test_a_task_with_an_init_of_its_own_keeps_what_it_was_made_with() -> None:
    seen.clear()
    trained(task=Noisy((2,), noise=0.5, extra="yes"))
    assert {(noise, hidden) for _, noise, hidden in seen} == {(0.5, "yes")}


@dataclass(frozen=True, slots=True)
class Slotted(ts.Parity):
    """Has no __dict__ of its own."""

    gain: float = 1.0


@dataclass(frozen=True)
class Deriving(ts.Parity):
    """Derives values in every way that stays right."""

    scale: float = 1.0
    doubled: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        super(Deriving, self).__post_init__()  # noqa: UP008
        object.__setattr__(self, "doubled", 2 * self.scale)

    @functools.cached_property
    def largest(self) -> int:
        return max(self.Ns)


class Setting(ts.Parity):
    """Has a property that can be set."""

    @property
    def twice(self) -> Any:
        return self.__dict__.get("half", 1.0) * 2

    @twice.setter
    def twice(self, value: float) -> None:
        object.__setattr__(self, "half", value / 2)


def test_copies_have_what_is_derived_from_their_own_values() -> None:
    task = Deriving((2,), scale=3.0)
    assert task.largest == 2
    twin = task.replace(Ns=(2, 5), scale=4.0)
    assert (twin.largest, twin.doubled, task.largest, task.doubled) == (5, 8.0, 2, 6.0)
    assert Slotted((2,), gain=3.0).replace(Ns=(4,)).gain == 3.0
    assert Slotted((2,)).replace(gain=2.0).gain == 2.0
    assert Setting((2,)).replace(twice=6.0).twice == 6.0
    for own in (task, Slotted((2,), gain=2.0), Setting((2,))):
        trained(task=own)


class Growing(ts.Parity):
    """Changes its own fields when it is copied."""

    scale = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scale", 2 * self.scale)


class Stale(ts.Parity):
    """Derives a value when it is made, which a copy with other Ns does not."""

    def __init__(self, Ns: Any = (2,)) -> None:
        super().__init__(Ns)
        object.__setattr__(self, "largest", max(Ns))


@dataclass(frozen=True)
class Forgetting(ts.Parity):
    """Is made with a value that it does not keep."""

    noise: InitVar[float] = 0.1

    def __post_init__(self, noise: float) -> None:  # type: ignore[override]
        super().__post_init__()
        object.__setattr__(self, "strength", noise)


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (Growing(), r"Growing.scale: it has 2.0, a copy of it has 4.0; expected"),
        (Stale(), r"Stale.largest: made anew, it has 5, a copy of it at stage N2_N5 has 2"),
        (Forgetting(noise=0.7), r"Forgetting.__post_init__ takes noise, which is not kept: expected a field"),
    ],
)
def test_a_task_whose_copy_is_another_is_refused(task: Any, line: str) -> None:
    with pytest.raises(ts.InputError, match=line):
        trained(task=task)


class Loud(ts.LeakyRNN):
    """Says everything louder, by an option of its own."""

    def __init__(self, loudness: float) -> None:
        super().__init__(6, n_heads=4, form="continuous", generator=torch.Generator().manual_seed(0))
        self.loudness = loudness

    def readout(self, states: torch.Tensor, heads: Any) -> torch.Tensor:
        return self.loudness * super().readout(states, heads)


class Scaled(Supervised):
    """Reports a part of the loss, by an option of its own."""

    def __init__(self, model: ts.Model, part: float) -> None:
        super().__init__(model, ts.Parity())
        object.__setattr__(self, "part", part)

    def pieces(self, batch_size: int, generators: Any) -> Any:
        for piece in super().pieces(batch_size, generators):
            yield Piece(self.part * piece.loss, piece.backward)  # type: ignore[attr-defined]


def test_networks_and_learners_of_a_users_own_are_copied_as_they_are() -> None:
    loud = Loud(3.0)
    finer, plain = loud.at_resolution(4), Loud(1.0).at_resolution(4)
    states, _ = finer(torch.ones(5, 2, 1))
    assert torch.equal(finer.readout(states, ["N3"]), 3 * plain.readout(states, ["N3"]))
    assert next(finer.parameters()) is next(loud.parameters())
    assert [cell.k for cell in (*loud.layers, *finer.layers)] == [1, 4]
    assert finer.heads is loud.heads
    whole, part = trained(), trained(model := network(), learner=Scaled(model, 0.5))
    assert [record["loss"] for record in part.history] == [record["loss"] / 2 for record in whole.history]
    assert comparable(part)[1] == comparable(whole)[1]


# --- a task that keeps chance or a state of its own --------------------------------------------------------------------


class Chance(ts.Parity):
    """Draws from wherever it is told to."""

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        object.__setattr__(self, "draw", draw)

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        batch = super().sample(batch_size, generator, split)
        batch.inputs.add_(self.draw())  # type: ignore[attr-defined]
        return batch


class Generating(ts.Parity):
    """Holds a generator of its own."""

    def __init__(self, own: Any) -> None:
        super().__init__()
        object.__setattr__(self, "own", own)

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        batch = super().sample(batch_size, generator, split)
        batch.inputs.add_(float(self.own.random()))  # type: ignore[attr-defined]
        return batch


CHANCE = {
    "numpy generator": lambda: Chance(np.random.default_rng(0).random),
    "numpy legacy": lambda: Chance(np.random.RandomState(0).random_sample),
    "numpy global": lambda: Chance(np.random.random),
    "python global": lambda: Chance(random.random),
    "python": lambda: Chance(random.Random(0).random),
    "torch global": lambda: Chance(lambda: float(torch.rand(()))),
    "torch generator": lambda: Chance(functools.partial(_drawn, torch.Generator().manual_seed(1))),
    "counter": lambda: Chance(functools.partial(next, itertools.count())),
    "iterator": lambda: Chance(functools.partial(next, (float(i) for i in range(10**9)))),
}


def _drawn(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


@pytest.mark.parametrize("kind", CHANCE)
def test_chance_that_is_not_the_generators_is_refused_and_left_as_it_was(kind: str) -> None:
    before = np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]  # noqa: NPY002
    with pytest.raises(
        ts.InputError, match=r"^Chance.sample draws other trials from the same generator, .*default_rng"
    ):
        trained(task=CHANCE[kind]())
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before  # type: ignore[index]  # noqa: NPY002


class Counting(ts.Parity):
    """Counts its batches, and will change after some."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "drawn", 0)

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        object.__setattr__(self, "drawn", self.drawn + 1)  # type: ignore[has-type]
        return super().sample(batch_size, generator, split)


class Remembering(ts.Parity):
    """Makes a table at the first batch, which is no state."""

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        object.__setattr__(self, "table", list(range(9)))
        return super().sample(batch_size, generator, split)


def test_a_state_that_resuming_does_not_reach_is_noticed() -> None:
    with pytest.warns(
        RuntimeWarning, match=r"Counting.sample changes Counting.drawn: a run that is resumed begins with it"
    ):
        trained(task=Counting())
    trained(task=Remembering())


def test_looking_at_a_task_leaves_it_as_it_is() -> None:
    task = Generating(np.random.default_rng(5))
    with pytest.raises(ts.InputError):
        check_task(task)
    assert task.own.random() == np.random.default_rng(5).random()  # type: ignore[attr-defined]


# --- what else can be wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"model": nn.GRU(1, 8)}, "the network is of type GRU: expected a tauscope Model"),
        ({"model": ts.LeakyRNN}, "the network is"),
        ({"model": ts.Parity()}, "the network is of type Parity"),
        ({"task": ts.Parity}, "task is the class Parity itself: expected a task, such as ts.Parity()"),
        ({"task": "parity"}, "task is of type str"),
        ({"task": network()}, "task is of type LeakyRNN"),
        ({"stages": ts.Curriculum}, "curriculum is the class Curriculum itself"),
        (
            {"stages": ts.cumulative},
            "curriculum is of type function: expected a Curriculum or stages, such as ts.cumulative",
        ),
        ({"stages": ts.cumulative(last=5)[0]}, "curriculum is of type Stage"),
        ({"stages": [2, 3]}, "a stage is of type int: expected a Stage"),
        ({"stages": "cumulative"}, "a stage is of type str"),
        ({"stages": []}, r"stages \[\]: expected at least one"),
        ({"recipe": {"epochs": 1}}, r"recipe is of type dict: expected a Recipe, such as ts.Recipe\(epochs=10\)"),
        ({"recipe": ts.Recipe}, "recipe is the class Recipe itself"),
        ({"on_step": 3}, "on_step is of type int: expected a function"),
        ({"on_epoch": "print"}, "on_epoch is of type str"),
        ({"stop": True}, "stop is of type bool"),
        ({"save_every": "often"}, "save_every is 'often': expected a number"),
        ({"store": "runs"}, "store is of type str: expected an object with save_state and save_epoch"),
        ({"learner": Supervised}, "learner is the class Supervised itself: expected an object with at and"),
        ({"learner": 3}, "learner is of type int"),
        ({"learner": Supervised(network(), ts.Parity())}, "stage N2_N2 has no parameter to train"),
        ({"model": network().to("meta")}, "is on the meta device, so that it cannot be trained"),
        ({"state": dict.fromkeys(STATE)}, "state is none of this training"),
        ({"state": STATE | {"generators": {}}}, r"state is none of this training \(KeyError\('init'\)\)"),
        ({"state": STATE | {"history": [3]}}, "state is none of this training"),
        ({"state": "state.pt"}, "state is of type str: expected what Training.state_dict"),
        ({"state": {"model": {}}}, "state has no curriculum"),
    ],
)
def test_what_is_not_what_its_name_says_is_refused(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ts.InputError, match=line) as refused:
        trained(**options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: ts.Curriculum(ts.cumulative(last=3), 0.95), "criterion is of type float: expected a Criterion"),  # type: ignore[arg-type]
        (lambda: ts.Curriculum(ts.cumulative(last=3), ts.Criterion), "criterion is the class Criterion itself"),  # type: ignore[arg-type]
        (lambda: ts.Criterion(epochs=2.5), "epochs is 2.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(epochs="10"), "epochs is '10': expected a whole number"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(batch_size=64.5), "batch size is 64.5"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(lr="fast"), "lr is 'fast': expected a number above 0"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(clip=None), "clip is None: expected a number above 0"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(seed=None), "seed is None: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(duplicates=3), "duplicates is of type int: expected a tuple"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(momentum="little"), "momentum is 'little'"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(betas=0.9), "betas is of type float"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(betas=(0.9,)), r"betas are \(0.9,\): expected two numbers"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(terms=(abs,)), "a term is of type builtin_function_or_method: expected a Term"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(schedule=Plateau), "expected a schedule, such as Steps"),  # type: ignore[arg-type]
        (lambda: ts.Recipe(schedule={6: 0.3}), "expected a schedule, such as Steps"),  # type: ignore[arg-type]
        (lambda: BPTT(2.5), "window is 2.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ts.Criterion(threshold=98), "threshold is 98: expected an accuracy of at most 1"),
        (lambda: ts.Criterion(threshold="high"), "threshold is 'high': expected a number"),  # type: ignore[arg-type]
        (lambda: ts.Stage(3), "the name of a stage is of type int"),  # type: ignore[arg-type]
        (lambda: ts.Stage("a/b"), "stage 'a/b': expected a name that a file can have on any system, such as 'a-b'"),
        (lambda: ts.Stage("a", [("Ns", (3,))]), "what stage a asks is of type list"),  # type: ignore[arg-type]
        (lambda: ts.Stage("a", {}, 3), "heads of stage a is of type int"),  # type: ignore[arg-type]
        (lambda: ts.Stage("a", {}, (3,)), "a head of stage a is of type int"),  # type: ignore[arg-type]
        (lambda: ts.cumulative(last=6.0), "max N is 6.0: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ts.cumulative(last=None), "max N is None: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ts.once([3]), r"ns_init is \[3\]: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ts.ladder("Ns", 3), "values is of type int: expected several values"),  # type: ignore[arg-type]
        (lambda: ts.ladder("Ns", [3, 4], ["a"]), "1 names for 2 values: expected one for each"),
        (lambda: Steps(0.3), "factors is of type float"),  # type: ignore[arg-type]
    ],
)
def test_plain_data_of_another_type_is_refused(make: Callable[[], object], line: str) -> None:
    with pytest.raises(ts.InputError, match=line):
        make()


def test_stages_may_come_from_a_generator_and_numbers_alone_are_taken() -> None:
    straight = comparable(trained())
    assert comparable(trained(stages=(stage for stage in ts.cumulative(last=5)))) == straight
    assert comparable(trained(task=ts.Parity(3))) == straight
    assert ts.Stage("a", {"Ns": 3}, "N3").heads == ("N3",)  # type: ignore[arg-type]
    with torch.no_grad():
        assert comparable(trained()) == straight
    assert ts.Recipe(duplicates=[1, 2], betas=[0.5, 0.6]).duplicates == (1, 2)  # type: ignore[arg-type]


def test_a_used_curriculum_is_refused_unless_there_is_a_state_to_go_on_from() -> None:
    curriculum = ts.Curriculum(ts.cumulative(last=5))
    training = trained(stages=curriculum)
    with pytest.raises(ts.InputError, match=r"the curriculum was used for 3 epochs: expected a new one, such as"):
        trained(stages=curriculum)
    more = ts.Recipe(**(vars(RECIPE) | {"epochs": 5}))
    assert trained(stages=curriculum, recipe=more, state=training.state_dict()).epoch == 5


@pytest.mark.parametrize(
    "frozen", ["cells.0.recurrent", "cells.0.input", "cells", "heads", "cells.0.raw_tau", "heads.linears.0"]
)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_frozen_parameters_stay_and_the_others_are_trained(frozen: str, optimizer: str) -> None:
    model, recipe = network(), ts.Recipe(**(vars(RECIPE) | {"optimizer": optimizer, "weight_cost": 0.1}))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept: list[Any] = []
    straight = trained(model, recipe=recipe, on_epoch=lambda training, _: kept.append(training.state_dict()))
    moved = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert moved
    assert not [name for name in moved if name.startswith(frozen)]
    again = network()
    for name, parameter in again.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen))
    assert comparable(trained(again, recipe=recipe, state=kept[0])) == comparable(straight)


def test_a_network_or_a_stage_with_nothing_to_train_is_refused() -> None:
    model = network()
    with pytest.raises(
        ts.InputError, match="stage N2_N2 has no parameter to train: expected at least one that requires"
    ):
        trained(model.requires_grad_(False))
    model.heads.linears[0].requires_grad_(True)
    stages = [ts.Stage("first", {"Ns": (2,)}, ("N2",)), ts.Stage("second", {"Ns": (3,)}, ("N3",))]
    with pytest.raises(ts.InputError, match="stage second has no parameter to train"):
        trained(model, stages=stages)


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (lambda: trained(network(n_heads=5)), "state is of another network: .*Unexpected key"),
        (lambda: ts.train(ts.LeakyRNN(7, n_heads=4, generator=torch.Generator().manual_seed(0)), ts.Parity(),
                          ts.cumulative(last=5), RECIPE), "state is of another network: .*size mismatch"),
        (lambda: trained(ts.build_model("gru", 6, n_heads=4, generator=torch.Generator().manual_seed(0))), "another network"),
        (lambda: trained(recipe=ts.Recipe(**(vars(RECIPE) | {"optimizer": "adam"}))), "state is of another optimiser: .*sgd"),
        (lambda: trained(stages=ts.sliding(last=5, width=2)), "stage N2_N3 is not one of the curriculum|N2_N3"),
    ],
)  # fmt: skip
def test_the_state_of_another_run_is_refused(other: Callable[[], ts.Training], line: str) -> None:
    stages = ts.single(last=5) if "N2_N3" in line else None
    model = network(shared_head=True) if stages else None
    with pytest.raises(ts.InputError, match=line) as refused:
        trained(model, stages=stages, state=other().state_dict())
    assert "\n" not in str(refused.value)


def test_a_network_of_another_precision_is_trained_in_that_of_the_recipe() -> None:
    double = trained(network().double(), recipe=ts.Recipe(**(vars(RECIPE) | {"dtype": "float32"})))
    assert comparable(double) == comparable(trained())
    assert {parameter.dtype for parameter in trained(network().double()).model.parameters()} == {torch.float64}


def test_a_term_knows_trace_trials_and_network() -> None:
    told: list[Any] = []

    def measure(trace: ts.Trace, batch: ts.Batch, model: ts.Model) -> torch.Tensor:
        told.append((len(trace.states), len(batch.inputs), model))
        return trace.states.sum() * 0

    model = network()
    terms = (Term(1.0, measure),)
    assert comparable(trained(model, recipe=ts.Recipe(**(vars(RECIPE) | {"terms": terms}))))[0]
    assert all(n_states == n_steps and seen is model for n_states, n_steps, seen in told)
