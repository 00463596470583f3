"""A network that acts in an environment and learns what its actions bring: an actor-critic."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tauscope._lazy import torch
from tauscope.errors import DivergedError, InputError, require_at_least, require_instance, require_probability
from tauscope.learning.checks import require_methods
from tauscope.learning.learners import BPTT, Generators, Piece
from tauscope.learning.online import Backward, Credit, Online, Plain, as_start
from tauscope.learning.policies import Choices, Gaussian, Policy
from tauscope.tasks.base import OUT, Stage
from tauscope.tasks.environment import Environment, Turn

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tauscope.models import Model
    from tauscope.models.cell import State


@dataclass(frozen=True)
class Played:
    """What happened in a segment of a batch of episodes, ``[time, batch]`` each (actions may be vectors), and where it ended.

    Attributes
    ----------
    seen : Tensor [time, batch, channel]
        What the network saw.
    actions, rewards : Tensor
        What it did, and what that brought.
    going, goes_on : Tensor of bool
        Whether the episode had not ended before the action, and whether it had not after it.
    turn, state
        Where the episodes and the network are then.
    """

    seen: Tensor
    actions: Tensor
    rewards: Tensor
    going: Tensor
    goes_on: Tensor
    turn: Turn
    state: tuple[State, ...]


@dataclass(frozen=True)
class ActorCritic:
    """A network acts in a batch of episodes and is updated in segments of them.

    Of a segment, with actions drawn from the policy π, the returns G_t = r_t + γ G_{t+1} (behind the segment the value that the
    network gives the state) and values V: Σ_{t, b} [-log π(a) (G - V) + ``value_cost`` (G - V)² - ``entropy_cost`` H(π)]. What acts is what
    is updated, so that the V-trace returns of the source are these. Every step of training plays a batch of episodes to their
    ends; a run is resumed between two of them, where no episode is under way. Real numbers are drawn from independent normal
    distributions.

    Source: the R2AC of Irie, Gopalakrishnan & Schmidhuber, ICLR 2024, after IMPALA (Espeholt et al., ICML 2018).

    Attributes
    ----------
    model : Model
        The network: a head with a logit for every action (with a mean and the logarithm of a standard deviation for every
        number, all means first), and behind them the value.
    environment : Environment
        What it acts in.
    gradient : BPTT, RTRL or Immediate
        How the gradient is found; its window, or ``every``, is the length of a segment.
    discount, value_cost, entropy_cost : float
        γ and the factors of the loss.
    heads : tuple of str
        The head that answers.

    Examples
    --------
    >>> import tauscope as ts
    >>> from tauscope.learning.online import RTRL
    >>> game, generator = ts.tasks.CueGame(span=3), torch.Generator().manual_seed(0)
    >>> cell = ts.models.ELSTMCell(game.n_inputs, 8, generator)
    >>> model = ts.Model([cell], ts.Heads(8, ["out"], game.n_actions + 1, True, generator))
    >>> recipe = ts.Recipe(epochs=1, steps_per_epoch=2, batch_size=4, test_steps=1, optimizer="adam", lr=2e-3)
    >>> stages = ts.Curriculum([ts.Stage("game")], ts.Criterion("return", threshold=0.95))
    >>> training = ts.train(model, game, stages, recipe, learner=ActorCritic(model, game, RTRL(2)))
    >>> -1 <= training.history[0]["return"][0] <= 1
    True
    """

    model: Model
    environment: Environment
    gradient: BPTT | Online = field(default_factory=BPTT)
    discount: float = 0.99
    value_cost: float = 0.25
    entropy_cost: float = 0.01
    heads: tuple[str, ...] = (OUT,)

    def __post_init__(self) -> None:
        from tauscope.models.model import require_model

        require_model(self.model)
        if not isinstance(self.gradient, BPTT):
            require_methods("gradient", self.gradient, "credit", "pieces")
        require_instance("environment", self.environment, Environment, "an Environment, such as ts.tasks.CueGame()")
        require_probability("discount", self.discount)
        require_at_least("value_cost", self.value_cost, 0.0)
        require_at_least("entropy_cost", self.entropy_cost, 0.0)
        self._credit()
        self._require_outputs()
        if self.model.draw_noise(1, 1, torch.Generator(self._device()).manual_seed(0)) is not None:
            raise InputError(
                "the network has private noise, which its actions and its updates would not share: expected none"
            )

    def at(self, stage: Stage) -> Self:
        """Return the learner as a stage asks it; this one is not changed."""
        twin = copy.copy(self)
        for name, value in (("environment", self.environment.at(stage)), ("heads", stage.heads)):
            object.__setattr__(twin, name, value)
        return twin

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters that actions and values depend on."""
        return self.model.asked_parameters(self.heads)

    def settle(self) -> None:
        """Let the network settle, see `tauscope.models.Model.settle`."""
        self.model.settle()

    def pieces(self, batch_size: int, generators: Generators) -> Iterator[Piece]:
        """Yield an update for every segment of a batch of episodes."""
        from tauscope.models.trace import run

        credit, start = self._credit(), None
        turn = self.environment.reset(batch_size, generators["data"])
        state, going = self.model.initial_state(batch_size, generators["state"]), ~turn.done
        while going.any():
            played = self._play(turn, state, going, generators["data"], self._length())
            first = state if start is None else start
            trace = run(self.model, played.seen, generators["state"], heads=self.heads, solver=credit, state=first)
            loss = self._loss(trace.outputs[:, :, 0], played)
            frames = int(played.going.sum())
            yield Piece(loss.detach() / frames, Backward(loss, credit, start), frames=frames)
            turn, state, going = played.turn, played.state, played.goes_on[-1]
            start = as_start(state)

    def test(self, batch_size: int, n_batches: int, split: str, generators: Generators) -> dict[str, list[float]]:
        """Return the mean return of fresh episodes, with actions drawn as in training."""
        del split
        returns = []
        for _ in range(n_batches):
            turn = self.environment.reset(batch_size, generators["test"])
            state = self.model.initial_state(batch_size, generators["test"])
            played = self._play(turn, state, ~turn.done, generators["test"], None)
            returns.append(played.rewards.sum(dim=0))
        return {self.environment.metric: [float(torch.cat(returns).double().mean())]}

    def _play(
        self, turn: Turn, state: tuple[State, ...], going: Tensor, generator: torch.Generator, n_steps: int | None
    ) -> Played:
        """Act for so many steps, or to the end of all episodes."""
        rows: list[tuple[Tensor, ...]] = []
        with torch.no_grad():
            while going.any() and (n_steps is None or len(rows) < n_steps):
                seen = turn.observation
                state = self.model.step(seen.to(self._like()), state)
                actions = self._policy.draw(self._answer(state)[:, :-1], generator)
                turn = self.environment.step(turn, actions, generator)
                goes_on = going & ~turn.done
                rows.append((seen, actions, turn.reward * going, going, goes_on))
                going = goes_on
        seen, acted, rewards, alive, after = map(torch.stack, zip(*rows, strict=True))
        return Played(seen, acted, rewards, alive, after, turn, state)

    def _loss(self, outputs: Tensor, played: Played) -> Tensor:
        """Return the loss of a segment, the sum over its steps and episodes, for ``outputs [time, batch, output]``."""
        values = outputs[..., -1]
        with torch.no_grad():
            ahead = self._answer(self.model.step(played.turn.observation.to(outputs), played.state))[:, -1]
            returns = []
            for reward, goes_on in zip(reversed(played.rewards), reversed(played.goes_on), strict=True):
                ahead = reward.to(outputs) + self.discount * ahead * goes_on
                returns.append(ahead)
        error = torch.stack(returns[::-1]) - values
        chosen, entropy = self._policy.judge(outputs[..., :-1], played.actions)
        costs = -chosen * error.detach() + self.value_cost * error.square() - self.entropy_cost * entropy
        return (costs * played.going).sum()

    def _answer(self, state: tuple[State, ...]) -> Tensor:
        """Return what a state says of the next action, and its value, ``[batch, output]``."""
        answer = self.model.readout(self.model.hidden(state), self.heads)[:, 0]
        if not answer.isfinite().all():
            # No action can be drawn of it.
            raise DivergedError(
                "the network diverged: what it says of its next action is not finite; expected finite numbers, try a smaller "
                "learning rate"
            )
        return answer

    @property
    def _policy(self) -> Policy:
        return Gaussian() if self.environment.continuous else Choices()

    def _require_outputs(self) -> None:
        expected = next(iter(self.environment.heads.values())).n_outputs
        found = self.model.heads.linears[0].out_features
        if found != expected:
            raise InputError(
                f"the network has {found} outputs: expected {expected}, of the next action and of the value"
            )

    def _credit(self) -> Credit:
        return Plain() if isinstance(self.gradient, BPTT) else self.gradient.credit(self.model)

    def _length(self) -> int | None:
        return self.gradient.window if isinstance(self.gradient, BPTT) else self.gradient.every

    def _like(self) -> Tensor:
        return self.model.hidden(self.model.initial_state(1))

    def _device(self) -> torch.device:
        return self._like().device
