"""What can change between where a policy was learnt and where it acts: its sensors, or its body."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tauscope._draws import normal, uniform
from tauscope._lazy import torch
from tauscope.errors import (
    InputError,
    NotApplicableError,
    require_at_least,
    require_choice,
    require_count,
    require_instance,
    require_positive,
    require_probability,
)
from tauscope.tasks.environment import Environment, Turn

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Standard:
    """What observations are standardised by.

    Attributes
    ----------
    mean, scale : Tensor [channel]
        Mean and standard deviation of the demonstrations.

    Examples
    --------
    >>> Standard(torch.zeros(2), torch.full((2,), 2.0))(torch.ones(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    mean: Tensor
    scale: Tensor

    def __call__(self, observation: Tensor) -> Tensor:
        """Return observations in standard deviations from the mean."""
        return (observation - self.mean.to(observation)) / self.scale.to(observation)


PARTS = ("mass", "gear")
"""Parts of a body that can be changed: what it weighs, and how strong its actuators are."""


def _require_size(name: str, value: float) -> None:
    require_at_least(name, value, 0.0)
    if not math.isfinite(value):
        raise InputError(f"{name} is {value}: expected a finite number")


@dataclass(frozen=True)
class Shift(abc.ABC):
    """A change of an environment, whose chance is the generator's of the episodes and does not depend on the actions."""

    kind: ClassVar[Literal["sensors", "body"]]

    def apply(self, environment: Environment, standard: Standard) -> Environment:
        """Return the environment with this change.

        Raises
        ------
        InputError
            A `NotApplicableError`, if the environment has nothing that could be changed so.
        """
        return Shifted(environment, self, standard)

    def observe(
        self, now: Tensor, past: Any, standard: Standard, chance: Callable[[], torch.Generator]
    ) -> tuple[Tensor, Any]:
        """Return what is seen in the place of ``now [batch, channel]``, and what the next step must know.

        ``past`` is what the step before returned, ``None`` at the first; ``chance`` gives a generator of this step's own.
        """
        del past, standard, chance
        return now, None

    def act(self, actions: Tensor, chance: Callable[[], torch.Generator]) -> Tensor:
        """Return what is done in the place of some actions."""
        del chance
        return actions


@dataclass(frozen=True)
class ObservationNoise(Shift):
    """Independent noise on every channel at every step.

    Attributes
    ----------
    sigma : float
        Its standard deviation, in those of the demonstrations.

    Examples
    --------
    >>> ObservationNoise(-1.0)
    Traceback (most recent call last):
    tauscope.errors.InputError: sigma is -1.0: expected at least 0.0 (nearest valid value: 0.0)
    """

    sigma: float
    kind = "sensors"

    def __post_init__(self) -> None:
        _require_size("sigma", self.sigma)

    def observe(
        self, now: Tensor, past: Any, standard: Standard, chance: Callable[[], torch.Generator]
    ) -> tuple[Tensor, Any]:
        """Add noise."""
        del past
        return now + self.sigma * standard.scale.to(now) * normal(tuple(now.shape), chance()).to(now), None


@dataclass(frozen=True)
class Bias(Shift):
    """A constant on every channel, up or down, drawn for each episode.

    Attributes
    ----------
    size : float
        Of the constant, in standard deviations of the demonstrations.
    """

    size: float
    kind = "sensors"

    def __post_init__(self) -> None:
        _require_size("size", self.size)

    def observe(
        self, now: Tensor, past: Any, standard: Standard, chance: Callable[[], torch.Generator]
    ) -> tuple[Tensor, Any]:
        """Add the constant."""
        if past is None:
            past = torch.where(uniform(tuple(now.shape), chance()) < 0.5, -1.0, 1.0).to(now)
        return now + self.size * standard.scale.to(now) * past, past


@dataclass(frozen=True)
class Hold(Shift):
    """Whole observations that stay as they were at the step before.

    Attributes
    ----------
    p : float
        Probability of it at every step but the first.
    """

    p: float
    kind = "sensors"

    def __post_init__(self) -> None:
        require_probability("p", self.p)

    def observe(
        self, now: Tensor, past: Any, standard: Standard, chance: Callable[[], torch.Generator]
    ) -> tuple[Tensor, Any]:
        """Show the observation, or what was shown before."""
        del standard
        if past is not None:
            now = torch.where(uniform((len(now), 1), chance()).to(now.device) < self.p, past, now)
        return now, now


@dataclass(frozen=True)
class Blank(Shift):
    """Whole observations in whose place the mean of the demonstrations is seen.

    Attributes
    ----------
    p : float
        Probability of it at every step.
    """

    p: float
    kind = "sensors"

    def __post_init__(self) -> None:
        require_probability("p", self.p)

    def observe(
        self, now: Tensor, past: Any, standard: Standard, chance: Callable[[], torch.Generator]
    ) -> tuple[Tensor, Any]:
        """Show the observation, or the mean."""
        del past
        blank = uniform((len(now), 1), chance()).to(now.device) < self.p
        return torch.where(blank, standard.mean.to(now), now), None


@dataclass(frozen=True)
class Delay(Shift):
    """Observations that come late; the first one is seen until the second is due.

    Attributes
    ----------
    steps : int
        How late.
    """

    steps: int
    kind = "sensors"

    def __post_init__(self) -> None:
        require_count("steps", self.steps, 0)

    def observe(
        self, now: Tensor, past: Any, standard: Standard, chance: Callable[[], torch.Generator]
    ) -> tuple[Tensor, Any]:
        """Show an earlier observation."""
        del standard, chance
        kept = (*(past or ()), now)[-self.steps - 1 :]
        return kept[0], kept


@dataclass(frozen=True)
class ActionNoise(Shift):
    """Independent noise on every number of an action at every step.

    Attributes
    ----------
    sigma : float
        Its standard deviation, where actions go from -1 to 1.
    """

    sigma: float
    kind = "body"

    def __post_init__(self) -> None:
        _require_size("sigma", self.sigma)

    def apply(self, environment: Environment, standard: Standard) -> Environment:
        """Return the environment with noisy actions, which must be numbers."""
        if not environment.continuous:
            raise NotApplicableError(
                f"actions of {type(environment).__name__} are choices: expected real numbers for noise"
            )
        return super().apply(environment, standard)

    def act(self, actions: Tensor, chance: Callable[[], torch.Generator]) -> Tensor:
        """Add noise to what the actuators can do; without noise, actions without bounds stay as they are."""
        if not self.sigma:
            return actions
        return actions.clamp(-1, 1) + self.sigma * normal(tuple(actions.shape), chance()).to(actions)


@dataclass(frozen=True)
class Dynamics(Shift):
    """Another body.

    Attributes
    ----------
    name : str
        ``"mass"`` (and inertia) or ``"gear"``, the strength of the actuators.
    factor : float
        By which it is multiplied.
    """

    name: str
    factor: float
    kind = "body"

    def __post_init__(self) -> None:
        require_choice("part of the body", self.name, PARTS)
        require_positive("factor", self.factor, finite=True)

    def apply(self, environment: Environment, standard: Standard) -> Environment:
        """Return the environment with another body, as it says by ``altered``."""
        del standard
        return environment.altered(self.name, self.factor)


SHIFTS: dict[str, Shift] = {
    "noise": ObservationNoise(0.3),
    "hold": Hold(0.3),
    "mass": Dynamics("mass", 1.5),
    "gear": Dynamics("gear", 0.7),
    "bias": Bias(0.3),
}
"""Shifts under which policies are compared, by name."""


@dataclass(frozen=True)
class Shifted(Environment):
    """An environment whose observations or actions are changed by a shift.

    Attributes
    ----------
    environment : Environment
        What is acted in.
    shift : Shift
        The change.
    standard : Standard
        What observations are standardised by.
    """

    environment: Environment
    shift: Shift
    standard: Standard = field(repr=False)

    source: ClassVar[str] = "ours"

    def __post_init__(self) -> None:
        require_instance("environment", self.environment, Environment, "an Environment, such as Springs()")
        require_instance("shift", self.shift, Shift, "a shift, such as ObservationNoise(0.3)")
        n_channels = len(self.standard.mean)
        if n_channels != self.environment.n_inputs:
            raise InputError(
                f"the mean has {n_channels} channels: expected {self.environment.n_inputs}, as observations have"
            )

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Numbers of an observation."""
        return self.environment.n_inputs

    @property
    def n_actions(self) -> int:  # type: ignore[override]
        """Choices, or numbers of an action."""
        return self.environment.n_actions

    @property
    def continuous(self) -> bool:  # type: ignore[override]
        """Whether actions are real numbers."""
        return self.environment.continuous

    @property
    def chance(self) -> float:  # type: ignore[override]
        """As without the shift."""
        return self.environment.chance

    @property
    def optimum(self) -> float:  # type: ignore[override]
        """As without the shift, below which it may be."""
        return self.environment.optimum

    def altered(self, name: str, factor: float) -> Environment:
        """Return the shifted environment with another body."""
        return Shifted(self.environment.altered(name, factor), self.shift, self.standard)

    def reset(self, n: int, generator: torch.Generator) -> Turn:
        """Begin episodes, as `Environment` says."""
        return self._shown(self.environment.reset(n, generator), None, 0, generator)

    def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
        """Act, as `Environment` says."""
        inner, past, t = turn.world
        done = self.shift.act(actions, lambda: self._chance(generator, 2 * t + 1))
        return self._shown(self.environment.step(inner, done, generator), past, t + 1, generator)

    def _shown(self, inner: Turn, past: Any, t: int, generator: torch.Generator) -> Turn:
        chance = lambda: self._chance(generator, 2 * t)  # noqa: E731
        seen, past = self.shift.observe(inner.observation, past, self.standard, chance)
        return Turn(seen, inner.reward, inner.done, (inner, past, t))

    def _chance(self, generator: torch.Generator, number: int) -> torch.Generator:
        """Return a generator that follows from the state of another, which is left as it is, and a number.

        So the environment draws what it would draw without the shift, and the shift is the same whatever is done. The depth keeps
        shifts of shifts apart.
        """
        twin = torch.Generator(generator.device)
        twin.set_state(generator.get_state())
        depth, below = 0, self.environment
        while isinstance(below, Shifted):
            depth, below = depth + 1, below.environment
        seed = int(torch.randint(2**40, (1,), generator=twin, device=generator.device))
        return twin.manual_seed((seed + number) * 64 + depth)
