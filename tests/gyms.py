"""Environments of the tests that speak the interface of Gymnasium, which need not be installed for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from tauscope.tasks import Gymnasium


def discrete(n: int, start: int = 0) -> Any:
    return SimpleNamespace(n=n, start=start, shape=())


def box(low: Any, high: Any, dtype: str = "float32") -> Any:
    low, high = (np.asarray(bound, dtype) for bound in np.broadcast_arrays(low, high))
    return SimpleNamespace(low=low, high=high, shape=low.shape, dtype=low.dtype)


def multi_discrete(*sizes: int) -> Any:
    return SimpleNamespace(nvec=np.array(sizes), shape=(len(sizes),))


def multi_binary(*shape: int) -> Any:
    return SimpleNamespace(n=shape, shape=shape)


def joined(parts: Mapping[str, Any] | tuple[Any, ...]) -> Any:
    return SimpleNamespace(spaces=parts)


class Walker:
    """Steps to the left and right from a drawn place, with a push of chance at each, until one end or a drawn time is reached."""

    observation_space = joined({"mission": SimpleNamespace(), "at": box(-9.0, 9.0), "side": discrete(2)})

    def __init__(self, continuous: bool = False) -> None:
        self.action_space = box([-2.0], [2.0]) if continuous else discrete(2, start=1)

    def reset(self, *, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        self.chance = np.random.default_rng(seed)
        self.at, self.left = self.chance.normal(), int(self.chance.integers(1, 9))
        return self.seen(), {}

    def seen(self) -> dict[str, Any]:
        return {"mission": "walk", "at": np.float32(self.at), "side": int(self.at > 0)}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        assert self.left > 0, "an episode goes on behind its end"
        move = float(action[0]) if np.ndim(action) else 2 * action - 3
        self.at += move + 0.1 * self.chance.normal()
        self.left -= 1
        return self.seen(), -abs(self.at), abs(self.at) > 3, self.left == 0, {}


@dataclass(frozen=True)
class Walk(Gymnasium):
    """Stay near zero."""

    forces: bool = False

    def make(self) -> Walker:
        return Walker(self.forces)
