"""A package with the interface of neurogym that tasks use, and a few environments."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest


class Box:
    def __init__(self, *shape: int) -> None:
        self.shape = shape


class Discrete:
    def __init__(self, n: int, start: int = 0) -> None:
        self.n, self.start = n, start

    def __repr__(self) -> str:
        return f"Discrete({self.n}, start={self.start})" if self.start else f"Discrete({self.n})"


class Memory:
    """Show one of two cues, wait for some steps, and ask for it at two steps, of which the last is scored."""

    observation_space: Any = Box(3)
    action_space: Any = Discrete(3)

    def __init__(self, delays: tuple[int, ...] = (1, 2, 4), sigma: float = 0.0, decision: int = 2) -> None:
        self.delays, self.sigma, self.decision = delays, sigma, decision
        self.rng = np.random.RandomState()
        self.start_ind: dict[str, int] = {}
        self.end_ind: dict[str, int] = {}

    @property
    def unwrapped(self) -> Memory:
        return self

    def seed(self, seed: int) -> None:
        self.rng = np.random.RandomState(seed)

    def reset(self) -> None:
        self.number = 0

    def new_trial(self) -> None:
        self.number += 1
        cue, delay = self.rng.randint(2), self.rng.choice(self.delays)
        n_steps = 1 + delay + self.decision
        self.start_ind = {"cue": 0, "delay": 1, "decision": 1 + delay}
        self.end_ind = {"cue": 1, "delay": 1 + delay, "decision": n_steps}
        self.ob = self.rng.normal(0, self.sigma, (n_steps, 3)).astype(np.float32)
        self.ob[0, cue] += 1
        self.ob[1 + delay :, 2] += 1
        self.gt = np.zeros(n_steps, dtype=np.int64)
        self.gt[1 + delay :] = 1 + cue


class Blocks(Memory):
    """The same cue for ten trials, then the other one."""

    def new_trial(self) -> None:
        super().new_trial()
        cue = (self.number // 10) % 2
        self.ob[0] = np.eye(3)[cue]
        self.gt[self.gt > 0] = 1 + cue


class NoDecision(Memory):
    """Without a period of the name decision."""

    def new_trial(self) -> None:
        super().new_trial()
        self.start_ind["answer"], self.end_ind["answer"] = self.start_ind.pop("decision"), self.end_ind.pop("decision")


class OwnChance(Memory):
    """With a generator of its own beside that which is seeded."""

    def __init__(self) -> None:
        super().__init__()
        self.own = np.random.default_rng()

    def new_trial(self) -> None:
        super().new_trial()
        self.ob += self.own.normal(size=self.ob.shape).astype(np.float32)


class Unseeded(Memory):
    def new_trial(self) -> None:
        super().new_trial()
        self.ob += np.random.default_rng().normal(size=self.ob.shape).astype(np.float32)


class NoTruth(Memory):
    def new_trial(self) -> None:
        super().new_trial()
        del self.gt


class OldTruth(Memory):
    """From the third trial on without right actions of its own: those of the trial before are still there."""

    def new_trial(self) -> None:
        before = getattr(self, "gt", None)
        super().new_trial()
        if self.number > 3:
            self.gt = before


class EarlyDraw(Memory):
    """Draws before it is seeded how long its blocks are."""

    def __init__(self) -> None:
        super().__init__()
        self.length = self.rng.randint(10, 21)

    def new_trial(self) -> None:
        super().new_trial()
        self.ob = self.ob + (self.number // self.length) % 2


class Schedule:
    """A wrapper that makes trials of two environments by turns, and no wrapper of theirs hands on what it does not know."""

    def __init__(self) -> None:
        self.envs = [Memory(delays=(1,)), Memory(delays=(3,))]
        self.env = self.envs[0]
        self.observation_space, self.action_space = self.env.observation_space, self.env.action_space

    @property
    def unwrapped(self) -> Memory:
        return self.env

    def seed(self, seed: int) -> None:
        for env in self.envs:
            env.seed(seed)

    def reset(self) -> None:
        for env in self.envs:
            env.reset()

    def new_trial(self) -> None:
        self.env = self.envs[1 - self.envs.index(self.env)]
        self.env.new_trial()


class Outer:
    """As gymnasium's own wrappers: makes no trials itself."""

    def __init__(self) -> None:
        self.env = Schedule()
        self.observation_space, self.action_space = self.env.observation_space, self.env.action_space

    @property
    def unwrapped(self) -> Memory:
        return self.env.unwrapped


class Unequal(Memory):
    def new_trial(self) -> None:
        super().new_trial()
        self.gt = self.gt[:-1]


class Continuous(Memory):
    action_space = Box(2)


class Shifted(Memory):
    action_space = Discrete(3, start=1)


class Symbols(Memory):
    observation_space = Discrete(5)


class TooMany(Memory):
    action_space = Discrete(2)


class Images(Memory):
    observation_space = Box(3, 1)

    def new_trial(self) -> None:
        super().new_trial()
        self.ob = self.ob[:, :, None]


class Needy(Memory):
    def __init__(self, cues: int) -> None:
        super().__init__()
        self.cues = cues


class Fails(Memory):
    def new_trial(self) -> None:
        raise KeyError("stimulus")


ENVIRONMENTS: dict[str, type] = {
    f"{kind.__name__}-v0": kind
    for kind in (Memory, Blocks, NoDecision, OwnChance, Unseeded, NoTruth, OldTruth, EarlyDraw, Outer, Unequal, Continuous, Shifted, Symbols, TooMany, Images, Needy, Fails)
}  # fmt: skip


ALL_EXTENDED_ENVS = {name: f"tiny_neurogym:{kind.__name__}" for name, kind in ENVIRONMENTS.items()}


def all_envs(tag: str | None = None, psychopy: bool = False, contrib: bool = False, collections: bool = False) -> list[str]:  # fmt: skip
    del tag, psychopy, contrib, collections
    return sorted(ENVIRONMENTS)


def make(name: str, **options: Any) -> Any:
    return ENVIRONMENTS[name](**options)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be imported as neurogym."""
    package, envs, registration = (types.ModuleType(name) for name in ("neurogym", "envs", "registration"))
    registration.all_envs, registration.make = all_envs, make  # type: ignore[attr-defined]
    registration.ALL_EXTENDED_ENVS = ALL_EXTENDED_ENVS  # type: ignore[attr-defined]
    package.envs, envs.registration = envs, registration  # type: ignore[attr-defined]
    for name, module in (("neurogym", package), ("neurogym.envs", envs), ("neurogym.envs.registration", registration)):
        monkeypatch.setitem(sys.modules, name, module)
