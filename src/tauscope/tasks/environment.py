"""What an environment is: a task whose inputs depend on the answers."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope.errors import InputError, NotApplicableError
from tauscope.tasks.base import OUT, Batch, Head, Task

if TYPE_CHECKING:
    from torch import Tensor


MOST_STEPS = 10_000
"""Random actions after which an episode should have ended."""


@dataclass(frozen=True)
class Turn:
    """Where a batch of episodes is.

    Attributes
    ----------
    observation : Tensor [batch, channel]
        What is seen now.
    reward : Tensor [batch]
        What the last action brought.
    done : Tensor [batch] of bool
        Whether the last action ended the episode; what comes behind it counts for nothing.
    world : object
        What the environment itself knows, never changed in place.
    """

    observation: Tensor
    reward: Tensor
    done: Tensor
    world: Any = None


class Environment(Task):
    """A memory task that is acted in: batches of episodes, scored by their return (the sum of all rewards).

    An environment of one's own is a dataclass that says `n_inputs`, `n_actions`, what the best policy that ignores what it has
    seen before and the best of all get (`chance`, `optimum`), `reset` and `step`. Both are pure: all chance is the generator's,
    and all that an episode is made of is in its `Turn`, so that a run can be resumed. Where it says ``continuous = True``, an
    action is ``n_actions`` real numbers.
    """

    metric: ClassVar[str] = "return"
    n_actions: ClassVar[int]
    continuous: ClassVar[bool] = False
    chance: ClassVar[float]
    optimum: ClassVar[float]

    @abc.abstractmethod
    def reset(self, n: int, generator: torch.Generator) -> Turn:
        """Begin ``n`` episodes on the generator's device, with chance from that generator alone."""

    @abc.abstractmethod
    def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
        """Act in every episode.

        Parameters
        ----------
        turn : Turn
            Where the episodes are; left as it is.
        actions : Tensor [batch]
            Whole numbers from 0 to ``n_actions - 1``; or ``[batch, action]``, any real numbers.
        generator : torch.Generator
            Source of chance.
        """

    @property
    def heads(self) -> dict[str, Head]:
        """The only head: a logit for every action (mean and spread of every number), and behind them the value of the state."""
        return {OUT: Head(self.n_actions * (1 + self.continuous) + 1, self.chance, self.optimum)}

    def altered(self, name: str, factor: float) -> Environment:
        """Return the environment with a part of its body, such as its mass, multiplied by a factor; most have none."""
        del factor
        raise NotApplicableError(
            f"{type(self).__name__} has no {name} that can be changed: expected a body, such as of Springs"
        )

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw episodes in which all actions are random, as the analyses show them to a network.

        Returns
        -------
        Batch
            ``inputs [time, batch, channel]`` as long as the longest episode; ``targets [time, batch, 1]``, the actions (or
            ``[time, batch, action]``), with weight 0 behind the end of an episode; ``info`` with ``reward [time, batch]``.
        """
        del split
        require_draw(batch_size, generator)
        rows = list(self._at_random(batch_size, generator))
        inputs, actions, rewards, going = map(torch.stack, zip(*rows, strict=True))
        targets = actions if self.continuous else actions.unsqueeze(-1)
        return Batch(inputs, targets, weight=going.to(inputs).unsqueeze(-1), info={"reward": rewards})

    def _at_random(self, n: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield observations, actions, rewards and which episodes go on, step by step."""
        turn, n_steps = self.reset(n, generator), 0
        self._require_turn(turn, "reset", n)
        going = ~turn.done
        while going.any():
            if n_steps == MOST_STEPS:
                name = type(self).__name__
                raise InputError(f"an episode of {name} has not ended after {n_steps} random actions: expected an end")
            seen, n_steps = turn.observation, n_steps + 1
            actions = self._random_actions(n, generator)
            turn = self.step(turn, actions, generator)
            self._require_turn(turn, "step", n)
            yield seen, actions, turn.reward * going, going
            going = going & ~turn.done

    def _random_actions(self, n: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        if self.continuous:
            return torch.randn((n, self.n_actions), generator=generator, device=device, dtype=torch.float32)
        return torch.randint(self.n_actions, (n,), generator=generator, device=device)

    def _require_turn(self, turn: object, method: str, n: int) -> None:
        """Refuse what `reset` or `step` returned unless it is a `Turn` of ``n`` episodes."""
        where = f"{type(self).__name__}.{method}"
        if not isinstance(turn, Turn):
            raise InputError(f"{where} returned a {type(turn).__name__}: expected a Turn")
        for name, shape in (("observation", (n, self.n_inputs)), ("reward", (n,)), ("done", (n,))):
            part = getattr(turn, name)
            found = tuple(part.shape) if isinstance(part, torch.Tensor) else f"a {type(part).__name__}"
            if found != shape:
                raise InputError(f"{name} of {where} is {found}: expected {shape}")
        if turn.done.dtype != torch.bool:
            raise InputError(f"done of {where} is of {turn.done.dtype}: expected truth values")

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Refuse to judge answers: what they bring shows in what comes after them."""
        del outputs, batch
        raise NotApplicableError(
            f"{type(self).__name__} is acted in: expected the learner ActorCritic, and the scores of its tests"
        )

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Refuse to judge answers, as `loss` does."""
        del outputs, batch
        raise NotApplicableError(
            f"{type(self).__name__} is acted in: expected the learner ActorCritic, and the scores of its tests"
        )
