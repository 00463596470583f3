"""Environments with the interface of Gymnasium: those of Gymnasium, popgym, MiniGrid and ALE by their names, or one's own."""

from __future__ import annotations

import functools
import importlib
import math
import re
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope.errors import InputError, NotApplicableError, require_choice
from tauscope.tasks.base import require_fields
from tauscope.tasks.environment import Environment, Turn

if TYPE_CHECKING:
    from torch import Tensor

RL, CONTROL = "tauscope[rl]", "tauscope[control]"

_MUJOCO = ("HalfCheetah-", "Hopper-", "Walker2d-", "Swimmer-", "Ant-", "Humanoid", "Reacher-", "Pusher-", "Inverted")

PACKAGES = {
    "popgym-": ("popgym", RL),
    "MiniGrid-": ("minigrid", RL),
    "BabyAI-": ("minigrid", RL),
    "ALE/": ("ale_py", "ale-py"),
    **dict.fromkeys(_MUJOCO, ("mujoco", CONTROL)),
}
"""Which package has the environments whose names begin so, and how it is installed; Gymnasium has all others."""

BODY = {"mass": ("body_mass", "body_inertia"), "gear": ("actuator_gear",)}
"""Arrays of a model of MuJoCo that make a part of its body: what it weighs, and how strong its actuators are."""

OPTIONS = {"ALE/": {"obs_type": "ram"}}
"""How some of them are made: games of ALE are seen by their 128 bytes of memory, since the cells here have no convolutions."""


@dataclass(frozen=True)
class Gymnasium(Environment):
    """Act in an environment that has the interface of Gymnasium.

    Numbers are seen as they are, bytes divided by 255, choices by a flag for each; texts are not seen. An episode that a time limit
    cuts off has ended. Actions are choices, or real numbers of which -1 … 1 stands for the range from lowest to highest. Every
    environment of a batch has a seed of its own, from the generator alone. An environment cannot be copied: a `Turn` that is no
    longer the newest of its episodes is come back to by their seeds and actions.

    A subclass that says `make` acts in an environment of one's own.

    Attributes
    ----------
    environment : str
        name, such as CartPole-v1, popgym-RepeatPreviousEasy-v0, MiniGrid-MemoryS7-v0 or ALE/Breakout-v5

    Raises
    ------
    InputError
        If there is no such environment, its package is not installed, or it shows or takes something else; when it is used first.
    """

    environment: str = "CartPole-v1"

    source: ClassVar[str] = "Towers et al., 2024 (Gymnasium), and packages with its interface"
    chance: ClassVar[float] = math.nan

    def __post_init__(self) -> None:
        require_fields(self)
        if not re.fullmatch(r"[\w./-]+", self.environment):
            raise InputError(
                f"environment {self.environment!r}: expected a name, such as CartPole-v1; or for an environment of your own a "
                "subclass of tauscope.tasks.Gymnasium that says make, as --task module:Class"
            )

    def __getstate__(self) -> dict[str, Any]:
        # A copy has environments of its own.
        return {name: value for name, value in vars(self).items() if name not in ("_spaces", "_spare")}

    def make(self) -> Any:
        """Return a new environment, with ``observation_space``, ``action_space``, ``reset`` and ``step`` as Gymnasium has them."""
        start = next((start for start in PACKAGES if self.environment.startswith(start)), "")
        package, extra = PACKAGES.get(start, ("gymnasium", RL))
        gymnasium = _imported("gymnasium", CONTROL if extra == CONTROL else RL)
        found = _imported(package, extra)
        if package == "mujoco":
            _take_warnings(found)
        try:
            made = gymnasium.make(self.environment, disable_env_checker=True, **OPTIONS.get(start, {}))
        except (gymnasium.error.Error, ImportError) as error:
            raise InputError(f"environment {self.environment!r}: {' '.join(str(error).split())}") from error
        return _in_flags(made) if start == "MiniGrid-" else made

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Numbers of an observation."""
        return self._spaces.n_inputs

    @property
    def n_actions(self) -> int:  # type: ignore[override]
        """Choices, or numbers of an action."""
        return self._spaces.actions.n

    @property
    def continuous(self) -> bool:  # type: ignore[override]
        """Whether actions are real numbers."""
        return isinstance(self._spaces.actions, _Numbers)

    @property
    def optimum(self) -> float:  # type: ignore[override]
        """The return from which on the environment counts as solved; unknown of most (nan)."""
        return self._spaces.optimum

    def reset(self, n: int, generator: torch.Generator) -> Turn:
        """Begin episodes, as `Environment` says."""
        require_draw(n, generator)
        seeds = torch.randint(2**31, (n,), generator=generator, device=generator.device).tolist()
        return self._turn(self._begin(seeds), np.zeros(n), generator)

    def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
        """Act, as `Environment` says."""
        episodes, t = turn.world
        if t != len(episodes.past):
            before, episodes = episodes, self._begin(episodes.seeds)
            for past in before.past[:t]:
                episodes.step(past)
        return self._turn(episodes, episodes.step(list(map(self._spaces.actions.named, actions.tolist()))), generator)

    def altered(self, name: str, factor: float) -> Gymnasium:
        """Return the environment with a part of its body multiplied by a factor, if it is one of MuJoCo.

        Raises
        ------
        InputError
            If there is no such part; a `NotApplicableError` if it has no body.
        """
        require_choice("part of the body", name, BODY)
        if self._model(self.make()) is None:
            raise NotApplicableError(
                f"{self._named} has no {name} that can be changed: expected an environment of MuJoCo"
            )
        return Altered(self, name, factor)

    @staticmethod
    def _model(made: Any) -> Any:
        """Return what MuJoCo knows of a body; nothing of other environments."""
        model = getattr(getattr(made, "unwrapped", made), "model", None)
        return model if all(hasattr(model, array) for arrays in BODY.values() for array in arrays) else None

    @functools.cached_property
    def _spaces(self) -> _Spaces:
        made = self.make()
        self._spare.append(made)
        shown, taken = (getattr(made, name, None) for name in ("observation_space", "action_space"))
        seen = _seen(shown, _parts(self._named, "reset", made.reset(seed=0), 2)[0])
        if not seen.size:
            raise InputError(f"observations of {self._named} are {shown}: expected some with numbers")
        threshold = getattr(getattr(made, "spec", None), "reward_threshold", None)
        # Always the same nan, so that heads are equal.
        return _Spaces(shown, seen.size, _actions(self._named, taken), math.nan if threshold is None else threshold)

    @functools.cached_property
    def _spare(self) -> list[Any]:
        """Environments whose episodes nobody holds any longer: some take long to make."""
        return []

    @property
    def _named(self) -> str:
        return self.environment if type(self).make is Gymnasium.make else type(self).__name__

    def _begin(self, seeds: Sequence[int]) -> _Episodes:
        spaces = self._spaces
        environments = [self._spare.pop() if self._spare else self.make() for _ in seeds]
        episodes = _Episodes(self._named, environments, seeds, spaces)
        weakref.finalize(episodes, self._spare.extend, environments)
        return episodes

    def _turn(self, episodes: _Episodes, reward: np.ndarray, generator: torch.Generator) -> Turn:
        observation, done = np.stack(episodes.seen), episodes.done.copy()
        arrays = (observation, reward.astype("float32"), done)
        seen, earned, ended = (torch.from_numpy(array).to(generator.device) for array in arrays)
        return Turn(seen, earned, ended, (episodes, len(episodes.past)))


@dataclass(frozen=True)
class Altered(Gymnasium):
    """An environment of MuJoCo with a part of its body multiplied by a factor.

    Attributes
    ----------
    of : Gymnasium
        the environment
    part : str
        key of `BODY`
    factor : float
        of all numbers of that part
    """

    of: Gymnasium = field(default_factory=Gymnasium)
    part: str = "mass"
    factor: float = 1.0

    def __init__(self, of: Gymnasium, part: str, factor: float) -> None:
        for name, value in {"environment": of.environment, "of": of, "part": part, "factor": factor}.items():
            object.__setattr__(self, name, value)

    def make(self) -> Any:
        """Return a new environment with another body."""
        made = self.of.make()
        model = self._model(made)
        for name in BODY[self.part]:
            getattr(model, name)[:] *= self.factor
        return made


class _Episodes:
    """Environments of a batch of episodes, and the actions that brought them where they are."""

    def __init__(self, name: str, environments: Sequence[Any], seeds: Sequence[int], spaces: _Spaces) -> None:
        self.name, self.environments, self.seeds, self.spaces = name, environments, seeds, spaces
        self.past: list[Sequence[Any]] = []
        self.done = np.zeros(len(seeds), dtype=bool)
        pairs = zip(environments, seeds, strict=True)
        self.seen = [self._look(_parts(name, "reset", made.reset(seed=seed), 2)[0]) for made, seed in pairs]

    def step(self, actions: Sequence[Any]) -> np.ndarray:
        """Act in all episodes that have not ended, and return the rewards."""
        rewards = np.zeros(len(actions))
        for i in np.flatnonzero(~self.done).tolist():
            returned = self.environments[i].step(actions[i])
            observation, rewards[i], terminated, truncated, _ = _parts(self.name, "step", returned, 5)
            self.seen[i], self.done[i] = self._look(observation), bool(terminated or truncated)
        self.past.append(actions)
        return rewards

    def _look(self, observation: Any) -> np.ndarray:
        seen = _seen(self.spaces.observations, observation)
        if seen.size != self.spaces.n_inputs:
            raise InputError(
                f"an observation of {self.name} has {seen.size} numbers: expected {self.spaces.n_inputs}, as in the first"
            )
        return seen


@dataclass(frozen=True)
class _Spaces:
    """What is seen and done in an environment."""

    observations: Any
    n_inputs: int
    actions: _Choices | _Numbers
    optimum: float


@dataclass(frozen=True)
class _Choices:
    """A whole number, or several of which each combination is an action; they begin at ``first``."""

    sizes: tuple[int, ...]
    first: np.ndarray
    single: bool

    @property
    def n(self) -> int:
        return math.prod(self.sizes)

    def named(self, action: int) -> Any:
        chosen = self.first + np.unravel_index(action, self.sizes)
        return int(chosen[0]) if self.single else chosen


@dataclass(frozen=True)
class _Numbers:
    """Real numbers between bounds, which may be infinite."""

    low: np.ndarray
    high: np.ndarray

    @property
    def n(self) -> int:
        return self.low.size

    def named(self, action: Sequence[float]) -> np.ndarray:
        values = np.reshape(np.asarray(action), self.low.shape)
        bounded = np.isfinite(self.low) & np.isfinite(self.high)
        low, high = (np.where(bounded, bound, 0) for bound in (self.low, self.high))
        within = low + (np.clip(values, -1, 1) + 1) / 2 * (high - low)
        return np.where(bounded, within, np.clip(values, self.low, self.high)).astype(self.low.dtype)


def _actions(name: str, space: Any) -> _Choices | _Numbers:
    if (sizes := _sizes(space)) is not None:
        single = not hasattr(space, "nvec")
        return _Choices(
            tuple(map(int, sizes)), np.broadcast_to(np.ravel(getattr(space, "start", 0)), sizes.shape), single
        )
    if hasattr(space, "low") and np.asarray(space.low).dtype.kind == "f" and np.size(space.low):
        return _Numbers(np.asarray(space.low), np.asarray(space.high))
    raise InputError(f"actions of {name} are {space}: expected Discrete, MultiDiscrete or a Box of real numbers")


def _sizes(space: Any) -> np.ndarray | None:
    """Return how many choices there are, of one or several; nothing of another space."""
    if hasattr(space, "nvec"):
        return np.ravel(space.nvec)
    # The n of MultiBinary is not a choice's.
    return np.array([space.n]) if hasattr(space, "n") and not getattr(space, "shape", ()) else None


def _seen(space: Any, value: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0), *_flat(space, value)]).astype(np.float32)


def _flat(space: Any, value: Any) -> Iterator[np.ndarray]:
    """Yield the numbers of an observation, part by part."""
    if isinstance(value, str):
        return
    if hasattr(space, "spaces"):
        names = list(space.spaces) if hasattr(space.spaces, "keys") else range(len(space.spaces))
        for name in names:
            yield from _flat(space.spaces[name], value[name])
    elif (sizes := _sizes(space)) is not None:
        for size, choice in zip(sizes, np.ravel(value) - np.ravel(getattr(space, "start", 0)), strict=True):
            if not 0 <= choice < size:
                raise InputError(f"an observation has {value} of {space}: expected a member of it")
            flags = np.zeros(size)
            flags[int(choice)] = 1
            yield flags
    elif hasattr(space, "low") or hasattr(space, "n"):
        numbers = np.asarray(value)
        yield np.ravel(numbers) / (255 if hasattr(space, "low") and numbers.dtype == np.uint8 else 1)
    else:
        raise InputError(
            f"an observation has a part {space}: expected Box, Discrete, MultiBinary, MultiDiscrete, and Tuple or Dict of these"
        )


def _parts(name: str, method: str, returned: Any, n: int) -> Any:
    if not isinstance(returned, tuple) or len(returned) != n:
        found = f"{len(returned)} values" if isinstance(returned, tuple) else f"a {type(returned).__name__}"
        expected = "observation and info" if n == 2 else "observation, reward, terminated, truncated and info"
        raise InputError(f"{method} of {name} returned {found}: expected {expected}, as in Gymnasium")
    return returned


def _take_warnings(mujoco: Any) -> None:
    """Keep MuJoCo from writing every warning into a file of the working folder, unless somebody else takes them."""
    taken = getattr(mujoco, "get_mju_user_warning", lambda: True)
    if not taken():
        mujoco.set_mju_user_warning(lambda _: None)


def _imported(package: str, installed_as: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"{package} is not installed: expected pip install {installed_as!r}") from error


def _in_flags(made: Any) -> Any:
    """Return an environment of MiniGrid with the codes of what is in a field as flags, and a space that says so."""
    spaces = importlib.import_module("gymnasium.spaces")
    made = importlib.import_module("minigrid.wrappers").OneHotPartialObsWrapper(made)
    parts = made.observation_space.spaces
    made.observation_space = spaces.Dict({**parts, "image": spaces.MultiBinary(parts["image"].shape)})
    return made
