"""An actor-critic: its gradient by brute force through whole episodes, that it learns, and that a run goes on exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import gyms
import tauscope as ts
from tauscope.learning.acting import ActorCritic
from tauscope.learning.learners import BPTT, Supervised
from tauscope.learning.online import RTRL, Immediate
from tauscope.learning.recipe import generators
from tauscope.models import ELSTMCell
from tauscope.tasks import CueGame, Environment, Turn
from tauscope.tasks.check import check_task

B = 5


@dataclass(frozen=True)
class Walk(Environment):
    """A user's environment: episodes of different lengths, which chance ends."""

    stop: float = 0.2
    n_inputs: ClassVar[int] = 2
    n_actions: ClassVar[int] = 2
    chance: ClassVar[float] = 0.0
    optimum: ClassVar[float] = 1.0

    def reset(self, n: int, generator: torch.Generator) -> Turn:
        seen = torch.randn(n, 2, generator=generator)
        return Turn(seen, torch.zeros(n), torch.zeros(n, dtype=torch.bool))

    def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
        reward = turn.observation[:, 0] * (2.0 * actions - 1)
        done = torch.rand(len(actions), generator=generator) < self.stop
        return Turn(torch.randn(turn.observation.shape, generator=generator), reward, done)


@dataclass(frozen=True)
class Reach(Environment):
    """Say, after a step without it, the number that was shown: an action is a real number."""

    n_inputs: ClassVar[int] = 2
    n_actions: ClassVar[int] = 1
    continuous: ClassVar[bool] = True
    chance: ClassVar[float] = -0.25
    optimum: ClassVar[float] = 0.0

    def reset(self, n: int, generator: torch.Generator) -> Turn:
        shown = torch.randint(2, (n, 1), generator=generator) - 0.5
        seen = torch.cat([shown, torch.zeros(n, 1)], dim=1)
        return Turn(seen, torch.zeros(n), torch.zeros(n, dtype=torch.bool), (shown[:, 0], 0))

    def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
        del generator
        shown, t = turn.world
        reward = -(actions[:, 0].float() - shown).square() if t == 2 else torch.zeros(len(shown))
        seen = torch.stack([torch.zeros(len(shown)), torch.full((len(shown),), float(t == 1))], dim=1)
        return Turn(seen, reward, torch.full((len(shown),), t == 2), (shown, t + 1))


def network(game: Environment, n_units: int = 6) -> ts.Model:
    generator = torch.Generator().manual_seed(0)
    n_outputs = game.heads["out"].n_outputs
    model = ts.Model(
        [ELSTMCell(game.n_inputs, n_units, generator)], ts.Heads(n_units, ["out"], n_outputs, True, generator)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model.double()


def by_brute_force(model: ts.Model, game: Environment, every: int) -> dict[str, Tensor]:
    """Return the gradient of the losses of all segments, through one graph of the whole episodes."""
    draws = generators(3)
    turn, state = game.reset(B, draws["data"]), model.initial_state(B, draws["state"])
    going, rows, total = ~turn.done, [], torch.zeros((), dtype=torch.float64)

    def answers(state: Any) -> Tensor:
        return model.readout(model.hidden(state), ["out"])[:, 0]

    def policy_of(outputs: Tensor) -> Any:
        if not game.continuous:
            return torch.distributions.Categorical(logits=outputs)
        mean, spread = outputs.chunk(2, dim=-1)
        return torch.distributions.Independent(torch.distributions.Normal(mean, spread.exp()), 1)

    while going.any():
        state = model.step(turn.observation.double(), state)
        out = answers(state)
        policy = policy_of(out[:, :-1].detach())
        if game.continuous:
            noise = torch.randn(policy.mean.shape, generator=draws["data"], dtype=torch.float64)
            actions = policy.mean + policy.stddev * noise
        else:
            actions = torch.multinomial(policy.probs, 1, generator=draws["data"])[:, 0]
        turn = game.step(turn, actions, draws["data"])
        goes_on = going & ~turn.done
        rows.append((out, actions, turn.reward.double(), going, goes_on))
        going = goes_on
        if len(rows) == every or not going.any():
            G = answers(model.step(turn.observation.double(), state))[:, -1].detach()
            for out, actions, reward, alive, goes_on in reversed(rows):
                G = torch.where(alive, reward, 0.0) + 0.9 * torch.where(goes_on, G, 0.0)
                policy = policy_of(out[:, :-1])
                error = G - out[:, -1]
                cost = -policy.log_prob(actions) * error.detach() + 0.25 * error**2 - 0.01 * policy.entropy()
                total = total + cost[alive].sum()
            rows = []
    model.zero_grad()
    total.backward()
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("every", [1, 3, 50])
@pytest.mark.parametrize("game", [CueGame(span=6), Walk(), Reach()], ids=["cue", "walk", "reach"])
def test_with_parameters_that_stay_its_gradient_by_rtrl_is_that_through_whole_episodes(
    game: Environment, every: int
) -> None:
    model = network(game)
    expected = by_brute_force(model, game, every)
    model.zero_grad()
    for piece in ActorCritic(model, game, RTRL(every), discount=0.9).pieces(B, generators(3)):
        piece.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-10, atol=1e-11)


def test_truncated_gradients_leave_out_what_comes_from_before_the_segment() -> None:
    game = CueGame(span=6)
    model, found = network(game), []
    for gradient in (RTRL(3), BPTT(3), Immediate(3)):
        model.zero_grad()
        for piece in ActorCritic(model, game, gradient).pieces(B, generators(3)):
            piece.backward()
        found.append(torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None]))
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[1], found[2])


RECIPE: dict[str, Any] = {"epochs": 2, "steps_per_epoch": 4, "batch_size": 4, "test_steps": 1, "optimizer": "adam"}


def test_it_learns_to_remember_a_cue() -> None:
    game, generator = CueGame(span=2), torch.Generator().manual_seed(0)
    model = ts.Model([ELSTMCell(4, 16, generator)], ts.Heads(16, ["out"], 4, True, generator))
    recipe = ts.Recipe(**RECIPE | {"epochs": 60, "steps_per_epoch": 10, "batch_size": 16, "lr": 1e-2, "clip": 40.0})
    stages = ts.Curriculum([ts.Stage("game")], ts.Criterion("return", threshold=0.9))
    training = ts.train(model, game, stages, recipe, learner=ActorCritic(model, game, RTRL(1)))
    assert training.history[0]["return"][0] < 0.5
    assert training.history[-1]["solved"]


def test_it_learns_to_remember_a_number() -> None:
    game, generator = Reach(), torch.Generator().manual_seed(0)
    model = ts.Model([ELSTMCell(2, 16, generator)], ts.Heads(16, ["out"], 3, True, generator))
    recipe = ts.Recipe(**RECIPE | {"epochs": 30, "steps_per_epoch": 10, "batch_size": 32, "test_steps": 8, "lr": 2e-2})
    stages = ts.Curriculum([ts.Stage("reach")], ts.Criterion("return", threshold=-0.05))
    training = ts.train(model, game, stages, recipe, learner=ActorCritic(model, game, RTRL(2)))
    # Whoever does not remember gets -0.25 at most.
    assert training.history[0]["return"][0] < game.chance
    assert training.history[-1]["solved"]


def test_records_count_the_frames_that_were_learnt_from() -> None:
    game = CueGame(span=3)
    recipe = ts.Recipe(**RECIPE | {"epochs": 3}, gradient="rtrl", every=2)
    training = ts.train(
        network(game), game, ts.Curriculum([ts.Stage("game")], ts.Criterion("return", goes_on=True)), recipe
    )
    # Three epochs of 4 steps with 4 episodes of 4 frames.
    assert [record["frames"] for record in training.history] == [64, 128, 192]
    leaky = ts.LeakyRNN(4, generator=torch.Generator().manual_seed(0))
    supervised = ts.train(leaky, ts.Parity(), ts.cumulative(last=3), ts.Recipe(**RECIPE | {"epochs": 1}))
    assert "frames" not in supervised.history[0]


@pytest.mark.parametrize("game", [Walk(), Reach(), gyms.Walk(), gyms.Walk(forces=True)])
def test_a_run_that_is_stopped_goes_on_to_the_same_weights(game: Environment) -> None:
    def begin() -> dict[str, Any]:
        curriculum = ts.Curriculum([ts.Stage("game")], ts.Criterion("return", threshold=2.0))
        return {"model": network(game), "task": game, "curriculum": curriculum, "recipe": recipe}

    recipe = ts.Recipe(**RECIPE, gradient="rtrl", every=3)
    whole = begin()
    ts.train(**whole)
    calls = iter(range(100))
    stopped = ts.train(**begin(), stop=lambda: next(calls) == 5)
    assert (stopped.epoch, stopped.step) == (1, 2)
    resumed = begin()
    ts.train(**resumed, state=stopped.state_dict())
    for expected, found in zip(whole["model"].parameters(), resumed["model"].parameters(), strict=True):
        assert torch.equal(expected, found)


def test_episodes_of_random_actions_end_where_the_environment_ends_them() -> None:
    game = Walk(stop=0.5)
    batch = game.sample(50, torch.Generator().manual_seed(0))
    assert batch.weight is not None
    lengths = batch.weight[..., 0].sum(dim=0)
    assert lengths.min() == 1
    assert lengths.max() == len(batch.inputs)
    assert (batch.weight.diff(dim=0) <= 0).all()
    expected = batch.inputs[..., 0] * (2 * batch.targets[..., 0] - 1) * batch.weight[..., 0]
    torch.testing.assert_close(batch.info["reward"], expected)


def test_what_an_actor_cannot_be_made_of_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = ts.Model([ts.LeakyCell(4, 5, generator, sigma=0.1)], ts.Heads(5, ["out"], 4, True, generator))
    with pytest.raises(ts.InputError, match="private noise"):
        ActorCritic(noisy, CueGame())
    with pytest.raises(ts.InputError, match="environment is of type Parity"):
        ActorCritic(noisy, ts.Parity())  # type: ignore[arg-type]
    dense = ts.Model([ts.GRUCell(4, 5, generator)], ts.Heads(5, ["out"], 4, True, generator))
    with pytest.raises(ts.InputError, match="not element-wise"):
        ActorCritic(dense, CueGame(), RTRL(5))
    with pytest.raises(ts.InputError, match="the network is of type str: expected a tauscope Model"):
        ActorCritic("gru", CueGame())  # type: ignore[arg-type]
    with pytest.raises(ts.InputError, match="gradient is of type str: expected an object with credit and pieces"):
        ActorCritic(dense, CueGame(), "rtrl")  # type: ignore[arg-type]
    with pytest.raises(ts.InputError, match="gradient is the class RTRL itself"):
        Supervised(dense, ts.Parity(), gradient=RTRL)  # type: ignore[arg-type]
    with pytest.raises(ts.InputError, match="discount"):
        ActorCritic(dense, CueGame(), discount=1.5)
    with pytest.raises(ts.InputError, match="the network has 4 outputs: expected 3"):
        ActorCritic(dense, Walk())
    with pytest.raises(ts.InputError, match="is acted in"):
        CueGame().loss(torch.zeros(1), CueGame().sample(1, generator))


@pytest.mark.parametrize("name", ["readout", "cell"])
def test_a_network_that_diverges_ends_the_training_in_a_line(name: str) -> None:
    """A policy that is no number is none that an action could be drawn of, in training as in a test."""
    game, generator = CueGame(span=2), torch.Generator().manual_seed(0)
    model = ts.Model([ts.LeakyCell(4, 5, generator)], ts.Heads(5, ["out"], game.n_actions + 1, True, generator))
    with torch.no_grad():
        (model.heads.linears[0] if name == "readout" else model.layers[0].input).weight.fill_(float("inf"))
    learner = ActorCritic(model, game)
    with pytest.raises(ts.DivergedError, match="what it says of its next action is not finite"):
        next(iter(learner.pieces(3, generators(0))))
    with pytest.raises(ts.DivergedError, match="not finite"), torch.no_grad():
        learner.test(3, 1, "test", generators(0))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"engine": "adjoint"}, "engine is adjoint for CueGame, which is acted in: expected loop"),
        ({"activity_cost": 0.5}, "activity cost is 0.5 for CueGame, which is acted in: expected 0.0"),
        ({"duplicates": (1, 2)}, r"duplicates is \(1, 2\) for CueGame"),
        ({"terms": (ts.learning.objectives.Term(1.0, lambda *_: torch.zeros(())),)}, "terms is .* for CueGame"),
    ],
)
def test_what_an_actor_critic_does_not_do_is_refused(options: dict[str, Any], line: str) -> None:
    game, model = CueGame(span=2), network(CueGame(span=2))
    stages = ts.Curriculum([ts.Stage("game")], ts.Criterion("return", threshold=0.95))
    with pytest.raises(ts.InputError, match=line):
        ts.train(model, game, stages, ts.Recipe(epochs=1, **options))


def changed(**parts: Any) -> type[Environment]:
    """Return an environment of which every step has another part."""

    class Changed(Walk):
        def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
            return replace(super().step(turn, actions, generator), **parts)

    return Changed


class Bare(Walk):
    def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
        after = super().step(turn, actions, generator)
        return after.observation, after.reward, after.done  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Bare, "Bare.step returned a tuple: expected a Turn"),
        (changed(observation=torch.zeros(2, 3)), r"observation of Changed.step is \(2, 3\): expected \(2, 2\)"),
        (changed(observation=[0.0]), r"observation of Changed.step is a list: expected \(2, 2\)"),
        (changed(reward=torch.zeros(2, 1)), r"reward of Changed.step is \(2, 1\): expected \(2,\)"),
        (changed(reward=1.0), "reward of Changed.step is a float"),
        (changed(done=torch.zeros(1, dtype=torch.bool)), r"done of Changed.step is \(1,\)"),
        (changed(done=torch.zeros(2)), "done of Changed.step is of torch.float32: expected truth values"),
        (changed(done=torch.zeros(2, dtype=torch.bool)), "has not ended after 10000 random actions"),
    ],
)
def test_an_environment_that_returns_something_else_is_refused(kind: type[Environment], message: str) -> None:
    with pytest.raises(ts.InputError, match=message):
        check_task(kind())
