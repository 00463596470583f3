"""Environments with the interface of Gymnasium: what is seen and done, chance, turns of the past, and those of real packages."""

from __future__ import annotations

import copy
import itertools
import pickle
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import tauscope as ts
from gyms import Walk, Walker, box, discrete, joined, multi_binary, multi_discrete
from tauscope.tasks import Gymnasium, Stage, Turn
from tauscope.tasks.check import check_task


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def showing(space: Any, value: Any) -> Gymnasium:
    """Return a task that shows a value of a space and takes one of two actions."""
    made = SimpleNamespace(
        observation_space=space,
        action_space=discrete(2),
        reset=lambda **_: (value, {}),
        step=lambda _: (value, 0.0, True, False, {}),
    )

    class Showing(Gymnasium):
        def make(self) -> Any:
            return made

    return Showing()


def taking(space: Any) -> tuple[Gymnasium, list[Any]]:
    """Return a task that takes actions of a space, and the list of those that it took."""
    taken: list[Any] = []

    def step(action: Any) -> Any:
        taken.append(action)
        return np.zeros(1), 0.0, True, False, {}

    class Taking(Gymnasium):
        def make(self) -> Any:
            return SimpleNamespace(
                observation_space=box([0.0], [1.0]),
                action_space=space,
                reset=lambda **_: (np.zeros(1), {}),
                step=step,
            )

    return Taking(), taken


@pytest.mark.parametrize("forces", [False, True])
def test_a_batch_of_episodes_is_what_each_environment_says_by_itself(forces: bool) -> None:
    game, n = Walk(forces=forces), 7
    turn = game.reset(n, draws())
    makers = [Walker(forces) for _ in range(n)]
    seeds = torch.randint(2**31, (n,), generator=draws()).tolist()
    assert len(set(seeds)) == n
    now = [walker.reset(seed=seed)[0] for walker, seed in zip(makers, seeds, strict=True)]
    done, chance = np.zeros(n, dtype=bool), np.random.default_rng(0)
    while not turn.done.all():
        expected = np.array([[one["at"], one["side"] == 0, one["side"] == 1] for one in now], dtype=np.float32)
        np.testing.assert_array_equal(turn.observation.numpy(), expected)
        actions = chance.normal(size=(n, 1)) if forces else chance.integers(2, size=n)
        turn = game.step(turn, torch.from_numpy(actions), draws())
        for i in np.flatnonzero(~done):
            action = np.float32(2 * np.clip(actions[i], -1, 1)) if forces else actions[i] + 1
            now[i], reward, ended, cut, _ = makers[i].step(action)
            assert turn.reward[i].item() == pytest.approx(reward)
            done[i] = ended or cut
        np.testing.assert_array_equal(turn.done.numpy(), done)


@pytest.mark.parametrize("game", [Walk(), Walk(forces=True)])
def test_trials_are_the_generator_s(game: Gymnasium) -> None:
    check_task(game)
    batch, again = (game.sample(9, draws(3)) for _ in range(2))
    assert torch.equal(batch.inputs, again.inputs)
    assert not torch.equal(batch.inputs[0], game.sample(9, draws(4)).inputs[0])


def same(one: Turn, other: Turn) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("observation", "reward", "done"))


def test_a_turn_of_the_past_is_come_back_to() -> None:
    game, n = Walk(), 5
    first = game.reset(n, draws())
    turns, left = [first], torch.zeros(n, dtype=torch.long)
    for _ in range(4):
        turns.append(game.step(turns[-1], left, draws()))
    other = game.step(turns[1], 1 - left, draws())
    assert not same(other, turns[2])
    for before, after in itertools.pairwise(turns):
        assert same(game.step(before, left, draws()), after)
    assert same(game.step(other, left, draws()), game.step(game.step(turns[1], 1 - left, draws()), left, draws()))


def test_environments_are_used_again_when_nobody_holds_their_episodes() -> None:
    made: list[Walker] = []

    class Counted(Walk):
        def make(self) -> Walker:
            made.append(Walker())
            return made[-1]

    game = Counted()
    for seed in range(5):
        game.sample(3, draws(seed))
    assert len(made) == 3
    held = [game.reset(3, draws(seed)) for seed in range(2)]
    assert len(made) == 6
    assert not same(*held)


def test_copies_have_environments_of_their_own() -> None:
    game = Walk()
    expected = game.sample(4, draws())
    for twin in (copy.copy(game), copy.deepcopy(game), pickle.loads(pickle.dumps(game)), game.at(Stage("task"))):
        assert twin == game
        assert not {"_spare", "_spaces"} & vars(twin).keys()
        assert torch.equal(twin.sample(4, draws()).inputs, expected.inputs)


@pytest.mark.parametrize(
    ("space", "value", "seen"),
    [
        (discrete(3), 2, [0, 0, 1]),
        (discrete(3, start=-1), np.int64(-1), [1, 0, 0]),
        (multi_discrete(2, 3), np.array([1, 0]), [0, 1, 1, 0, 0]),
        (multi_binary(2, 2), np.array([[0, 1], [1, 1]], dtype=np.int8), [0, 1, 1, 1]),
        (box(-np.inf, np.inf), np.float64(2.5), [2.5]),
        (box(np.zeros((2, 2)), 9.0), np.arange(4.0).reshape(2, 2), [0, 1, 2, 3]),
        (box(np.zeros(2), 255, "uint8"), np.array([0, 51], dtype=np.uint8), [0, 0.2]),
        (box(np.zeros(2), 9, "int64"), np.array([3, 9]), [3, 9]),
        (joined((discrete(2), joined({"a": box(0.0, 1.0)}))), (1, {"a": 0.5}), [0, 1, 0.5]),
        (joined({"mission": SimpleNamespace(), "b": discrete(2)}), {"b": 0, "mission": "go"}, [1, 0]),
    ],
)
def test_observations_are_numbers_and_flags(space: Any, value: Any, seen: list[float]) -> None:
    game = showing(space, value)
    assert game.n_inputs == len(seen)
    torch.testing.assert_close(game.reset(2, draws()).observation, torch.tensor([seen, seen]).float())


@pytest.mark.parametrize(
    ("space", "value", "said"),
    [
        (discrete(3), 3, "expected a member of it"),
        (discrete(3, start=1), 0, "expected a member of it"),
        (SimpleNamespace(feature_space=1), (1, 2), "expected Box, Discrete, MultiBinary, MultiDiscrete"),
        (SimpleNamespace(), "a text", "expected some with numbers"),
        (joined({}), {}, "expected some with numbers"),
        (None, 1.0, "an observation has a part None"),
    ],
)
def test_observations_of_another_kind_are_refused(space: Any, value: Any, said: str) -> None:
    with pytest.raises(ts.InputError, match=said):
        showing(space, value).reset(2, draws())


@pytest.mark.parametrize(
    ("space", "actions", "taken"),
    [
        (discrete(3), [0, 2], [0, 2]),
        (discrete(2, start=5), [0, 1], [5, 6]),
        (multi_discrete(2, 3), [0, 1, 3, 5], [[0, 0], [0, 1], [1, 0], [1, 2]]),
        (box([0.0], [4.0]), [[-1.0], [0.0], [5.0], [-0.5]], [[0], [2], [4], [1]]),
        (box([-np.inf, 0.0], [np.inf, np.inf]), [[3.0, -1.0]], [[3, 0]]),
        (box([[0.0, 0.0]], [[1.0, 2.0]]), [[1.0, 1.0]], [[[1, 2]]]),
    ],
)
def test_actions_are_those_of_the_environment(space: Any, actions: Any, taken: list[Any]) -> None:
    game, found = taking(space)
    game.step(game.reset(len(actions), draws()), torch.tensor(actions), draws())
    assert [np.asarray(one).tolist() for one in found] == taken
    assert game.continuous == isinstance(actions[0], list)
    assert game.n_actions == (space.low.size if game.continuous else 6 if hasattr(space, "nvec") else space.n)


@pytest.mark.parametrize("space", [multi_binary(3), joined((discrete(2),)), box([0], [3], "int64"), None, "left"])
def test_actions_of_another_kind_are_refused(space: Any) -> None:
    with pytest.raises(ts.InputError, match=r"actions of Taking are .*: expected Discrete"):
        _ = taking(space)[0].n_actions


class Old(Walker):
    def step(self, action: Any) -> Any:
        return super().step(action)[:4]


class Older(Walker):
    def reset(self, *, seed: int) -> Any:
        return super().reset(seed=seed)[0]


class Growing(Walker):
    observation_space = box(0.0, 9.0)
    length = 1

    def seen(self) -> Any:
        self.length += 1
        return np.zeros(self.length)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Old, "step of Other returned 4 values: expected observation, reward, terminated, truncated and info"),
        (Older, "reset of Other returned a dict: expected observation and info"),
        (Growing, "an observation of Other has 3 numbers: expected 2, as in the first"),
    ],
)
def test_another_interface_is_refused(kind: type[Walker], said: str) -> None:
    class Other(Walk):
        def make(self) -> Walker:
            return kind()

    with pytest.raises(ts.InputError, match=said):
        Other().sample(2, draws())


@pytest.mark.parametrize("name", ["", "mine:Cart-v0", "Cart Pole", "a;b", 3, None, ["CartPole-v1"]])
def test_what_names_no_environment_is_refused(name: Any) -> None:
    with pytest.raises(ts.InputError, match="environment"):
        Gymnasium(name)


@pytest.mark.parametrize(
    ("name", "package", "said"),
    [
        ("CartPole-v1", "gymnasium", r"gymnasium is not installed: expected pip install 'tauscope\[rl\]'"),
        ("popgym-AutoencodeEasy-v0", "gymnasium", r"gymnasium is not installed: expected pip install 'tauscope\[rl\]'"),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ts.InputError, match=said):
        _ = Gymnasium(name).n_inputs


@pytest.mark.extras
@pytest.mark.parametrize(
    ("name", "package", "n_inputs", "n_actions", "continuous"),
    [
        ("CartPole-v1", "gymnasium", 4, 2, False),
        ("Pendulum-v1", "gymnasium", 3, 1, True),
        ("FrozenLake-v1", "gymnasium", 16, 4, False),
        ("Blackjack-v1", "gymnasium", 32 + 11 + 2, 2, False),
        ("popgym-RepeatPreviousEasy-v0", "popgym", 4, 4, False),
        ("popgym-AutoencodeEasy-v0", "popgym", 6, 4, False),
        ("MiniGrid-MemoryS7-v0", "minigrid", 4 + 7 * 7 * 20, 7, False),
    ],
)
def test_environments_of_real_packages_are_seeded_and_sampled(
    name: str, package: str, n_inputs: int, n_actions: int, continuous: bool
) -> None:
    pytest.importorskip(package)
    game = Gymnasium(name)
    assert (game.n_inputs, game.n_actions, game.continuous) == (n_inputs, n_actions, continuous)
    check_task(game)
    batch, again = (game.sample(3, draws(1)) for _ in range(2))
    assert torch.equal(batch.inputs, again.inputs)
    assert torch.equal(batch.info["reward"], again.info["reward"])


@pytest.mark.extras
def test_an_unknown_environment_is_refused_with_its_nearest_name() -> None:
    pytest.importorskip("gymnasium")
    for name, said in (("CartPoll-v1", "CartPole"), ("CartPole-v9", "v9"), ("Nowhere/Cart-v0", "Nowhere")):
        with pytest.raises(ts.InputError, match=said):
            _ = Gymnasium(name).n_inputs


@pytest.mark.extras
def test_the_return_from_which_an_environment_counts_as_solved_is_its_optimum() -> None:
    pytest.importorskip("gymnasium")
    assert Gymnasium("CartPole-v1").heads["out"].optimum == 475
    assert np.isnan(Gymnasium("Blackjack-v1").heads["out"].optimum)
