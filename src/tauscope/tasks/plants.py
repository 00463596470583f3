"""A linear plant whose best policy is known: masses on springs."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tauscope._draws import normal, require_draw
from tauscope._lazy import torch
from tauscope.errors import require_at_least, require_choice, require_count, require_positive
from tauscope.tasks.base import require_fields
from tauscope.tasks.environment import Environment, Turn

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

BODY = ("mass", "gear")
"""Fields of `Springs` that `Springs.altered` multiplies."""

_DT, _STIFFNESS, _DAMPING = 0.2, 1.0, 0.05
_START, _COST, _COST_OF_FORCE = 0.5, 4.0, 0.1


@dataclass(frozen=True)
class Springs(Environment):
    """Bring masses on springs to rest at their places, against pushes of chance.

    A row of equal masses hangs between two walls and from one another by springs; an action is a force on each, within -1 … 1 times
    ``gear``, that is held for a step of 0.2. Positions are seen, and behind them velocities. The reward of a step is
    1 - 4 (mean squared position + 0.1 mean squared action), of the position before the step: who does nothing gets less than 0 an episode.

    Attributes
    ----------
    n_masses : int
        number of masses
    mass : float
        of each
    gear : float
        force of an action of 1
    noise : float
        standard deviation of the push that each velocity gets in a step
    n_steps : int
        steps of an episode

    Examples
    --------
    >>> turn = Springs().reset(3, torch.Generator().manual_seed(0))
    >>> turn.observation.shape
    torch.Size([3, 4])
    """

    n_masses: int = 2
    mass: float = 1.0
    gear: float = 1.0
    noise: float = 0.1
    n_steps: int = 250

    source: ClassVar[str] = "ours"
    continuous: ClassVar[bool] = True
    chance: ClassVar[float] = math.nan
    optimum: ClassVar[float] = math.nan

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("number of masses", self.n_masses)
        require_positive("mass", self.mass)
        require_positive("gear", self.gear)
        require_at_least("noise", self.noise, 0.0)
        require_count("number of steps", self.n_steps)

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Positions and velocities."""
        return 2 * self.n_masses

    @property
    def n_actions(self) -> int:  # type: ignore[override]
        """A force on each mass."""
        return self.n_masses

    def altered(self, name: str, factor: float) -> Springs:
        """Return the plant with other masses (``"mass"``) or weaker or stronger actuators (``"gear"``)."""
        require_choice("part of the body", name, BODY)
        return replace(self, **{name: factor * getattr(self, name)})

    @functools.cached_property
    def matrices(self) -> tuple[Array, Array]:
        """A ``[state, state]`` and B ``[state, action]`` of a step x' = A x + B u, exact for an action that is held."""
        from scipy.linalg import expm

        n = self.n_masses
        springs = _STIFFNESS * (2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1))
        flow = np.zeros((3 * n, 3 * n))
        flow[:n, n : 2 * n] = np.eye(n)
        flow[n : 2 * n, : 2 * n] = np.hstack([-springs, -_DAMPING * np.eye(n)]) / self.mass
        flow[n : 2 * n, 2 * n :] = self.gear / self.mass * np.eye(n)
        step = expm(_DT * flow)[: 2 * n]
        return step[:, : 2 * n], step[:, 2 * n :]

    @functools.cached_property
    def costs(self) -> tuple[Array, Array]:
        """Q ``[state, state]`` and R ``[action, action]`` of the reward 1 - x' Q x - u' R u."""
        n = self.n_masses
        return np.diag([_COST / n] * n + [0.0] * n), np.eye(n) * _COST * _COST_OF_FORCE / n

    def gain(self) -> Array:
        """Return K ``[action, state]`` of the policy u = -K x that is best while no action exceeds 1 (LQR).

        K = (R + B' P B)⁻¹ B' P A with the solution P of the discrete algebraic Riccati equation.
        """
        from scipy.linalg import solve_discrete_are

        (A, B), (Q, R) = self.matrices, self.costs
        P = solve_discrete_are(A, B, Q, R)
        found: Array = np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)
        return found

    def reset(self, n: int, generator: torch.Generator) -> Turn:
        """Begin episodes at random positions with random velocities, as `Environment` says."""
        require_draw(n, generator)
        state = _START * normal((n, self.n_inputs), generator).double()
        return self._turn(state, torch.zeros(n, dtype=torch.float64, device=state.device), 0)

    def step(self, turn: Turn, actions: Tensor, generator: torch.Generator) -> Turn:
        """Act, as `Environment` says."""
        state, t = turn.world
        A, B, Q, R = (torch.as_tensor(part, device=state.device) for part in (*self.matrices, *self.costs))
        forces = actions.to(state).clamp(-1, 1)
        costs = ((state @ Q) * state).sum(dim=-1) + ((forces @ R) * forces).sum(dim=-1)
        after = state @ A.T + forces @ B.T
        after[:, self.n_masses :] += self.noise * normal((len(state), self.n_masses), generator)
        return self._turn(after, 1 - costs, t + 1)

    def _turn(self, state: Tensor, reward: Tensor, t: int) -> Turn:
        done = torch.full((len(state),), t >= self.n_steps, dtype=torch.bool, device=state.device)
        return Turn(state.float(), reward.float(), done, (state, t))
