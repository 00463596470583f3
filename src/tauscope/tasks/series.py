"""Chaotic series, of which a part is shown and all is to be told some steps ahead."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tauscope._draws import normal, require_draw
from tauscope._lazy import torch
from tauscope.errors import InputError, require_choice, require_count
from tauscope.tasks.base import OUT, Batch, Head, Task, require_fields

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

CHANNELS = "xyz"
"""Names of the coordinates of both systems."""

N_STEPS = 4700
"""Steps of a series."""

PARTS = {"train": (200, 2600), "valid": (2600, 3200), "test": (3200, N_STEPS)}
"""First step of each split and the one behind its last; what comes before lets a network that follows the whole series settle."""

STANDARD = (200, 3200)
"""Steps whose mean and standard deviation are 0 and 1."""

_TRANSIENT = 1000
"""Steps before the first, in which the system reaches its attractor."""


def lorenz(state: Array) -> Array:
    """Return the time derivative of Lorenz's system with σ = 10, ρ = 28, β = 8/3.

    Examples
    --------
    >>> lorenz(np.array([1.0, 1.0, 1.0])).round(3)
    array([ 0.   , 26.   , -1.667])
    """
    x, y, z = state
    return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def roessler(state: Array) -> Array:
    """Return the time derivative of Rössler's system with a = b = 0.2, c = 5.7.

    Examples
    --------
    >>> roessler(np.array([1.0, 1.0, 1.0])).round(3)
    array([-2. ,  1.2, -4.5])
    """
    x, y, z = state
    return np.array([-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)])


SYSTEMS: dict[str, tuple[Callable[[Array], Array], float, Array]] = {
    "lorenz": (lorenz, 0.02, np.array([0.0, 0.0, 25.0])),
    "roessler": (roessler, 0.1, np.array([0.0, -5.0, 0.0])),
}
"""Each system with its time step, and where it begins, but for a draw from N(0, 1)."""


def runge_kutta(derivative: Callable[[Array], Array], state: Array, dt: float, n_steps: int) -> Array:
    """Solve an equation by the classical method of Runge and Kutta, of fourth order.

    Parameters
    ----------
    derivative : callable
        From a state to its time derivative.
    state : array [coordinate]
        State at the first step.
    dt : float
        Time step.
    n_steps : int
        Number of steps that are returned, the first one included.

    Returns
    -------
    array [step, coordinate]
        The states.

    Examples
    --------
    >>> bool(abs(runge_kutta(lambda x: -x, np.ones(1), 0.1, 11)[-1, 0] - np.exp(-1)) < 1e-6)
    True
    """
    states = [state]
    for _ in range(n_steps - 1):
        a = derivative(state)
        b = derivative(state + dt / 2 * a)
        c = derivative(state + dt / 2 * b)
        d = derivative(state + dt * c)
        state = state + dt / 6 * (a + 2 * b + 2 * c + d)
        states.append(state)
    return np.stack(states)


@functools.lru_cache(maxsize=64)
def _standardised(system: str, series_number: int) -> Tensor:
    derivative, dt, start = SYSTEMS[system]
    draw = normal((3,), torch.Generator("cpu").manual_seed(series_number)).double().numpy()
    states = runge_kutta(derivative, start + draw, dt, _TRANSIENT + N_STEPS)[_TRANSIENT:]
    part = states[slice(*STANDARD)]
    return torch.as_tensor((states - part.mean(axis=0)) / part.std(axis=0), device="cpu")


@dataclass(frozen=True)
class Series(Task):
    """Say at every step where a chaotic system will be some steps later, of which some coordinates are shown.

    A trial is a window of one long series, Lorenz's by steps of 0.02 or Rössler's by steps of 0.1; the splits are parts of it that
    follow each other. The loss is the mean squared error of x, y and z, in their variances; the score is its root (NRMSE), 0 for
    perfect answers and 1 for the mean.

    Attributes
    ----------
    system : {"lorenz", "roessler"}
        which system
    shown : str
        coordinates that are shown, of x, y and z; from one alone, the state must be told from its past
    horizon : int
        steps ahead that are asked
    n_steps : int
        steps of a trial
    burn_in : int
        steps of a trial before the first answer
    series_number : int
        which series: each begins elsewhere

    Notes
    -----
    Systems of Lorenz (J. Atmos. Sci. 20, 130 (1963)) and Rössler (Phys. Lett. A 57, 397 (1976)), as stand-ins for the series of
    Chakraborty et al., ICLR 2024.

    Examples
    --------
    >>> batch = Series(n_steps=100).sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape
    (torch.Size([100, 4, 1]), torch.Size([50, 4, 1, 3]))
    """

    system: str = "lorenz"
    shown: str = "x"
    horizon: int = 5
    n_steps: int = 200
    burn_in: int = 50
    series_number: int = 0

    source: ClassVar[str] = "Lorenz 1963 and Rössler 1976, after Chakraborty et al., ICLR 2024"
    metric: ClassVar[str] = "error"

    def __post_init__(self) -> None:
        require_fields(self)
        require_choice("system", self.system, SYSTEMS)
        if not self.shown or set(self.shown) - set(CHANNELS) or len(set(self.shown)) < len(self.shown):
            raise InputError(f"shown is {self.shown!r}: expected one or more of x, y and z, such as 'x' or 'xyz'")
        require_count("horizon", self.horizon, 0)
        require_count("number of steps", self.n_steps)
        require_count("burn_in", self.burn_in, 0)
        require_count("series_number", self.series_number, 0)
        if self.burn_in >= self.n_steps:
            raise InputError(f"burn_in is {self.burn_in} of {self.n_steps} steps: expected at most {self.n_steps - 1}")
        longest = min(last - first for first, last in PARTS.values()) - self.horizon
        if self.n_steps > longest:
            raise InputError(
                f"n_steps is {self.n_steps} with horizon {self.horizon}: expected at most {longest}, so that a trial fits its split"
            )

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of coordinates that are shown."""
        return len(self.shown)

    @property
    def heads(self) -> dict[str, Head]:
        """The only head, with an output for each coordinate; answering the mean scores 1."""
        return {OUT: Head(len(CHANNELS), 1.0, 0.0)}

    def series(self) -> Tensor:
        """Return the whole series, standardised, ``[step, coordinate]`` in float64."""
        return _standardised(self.system, self.series_number).clone()

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw windows of a split as `Task.sample` says.

        Returns
        -------
        Batch
            ``inputs [time, batch, shown]`` and ``targets [answer, batch, 1, coordinate]``; ``info`` with ``start [batch]``, the first
            step of each window in the series.
        """
        require_draw(batch_size, generator)
        require_choice("split", split, PARTS)
        low, high = PARTS[split]
        device = generator.device
        n_starts = high - self.horizon - self.n_steps - low + 1
        start = low + torch.randint(n_starts, (batch_size,), generator=generator, device=device)
        steps = start + torch.arange(self.n_steps, device=device)[:, None]
        series = self.series().to(device, torch.float32)
        inputs = series[steps][..., [CHANNELS.index(name) for name in self.shown]]
        targets = series[steps[self.burn_in :] + self.horizon].unsqueeze(-2)
        return Batch(inputs, targets, info={"start": start})

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of ``outputs [answer, batch, 1, coordinate]``, ``[1]``."""
        return (outputs - batch.targets).square().mean().unsqueeze(0)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of squared errors and their number, ``[1]`` each."""
        squares = (outputs - batch.targets).square()
        return squares.sum().unsqueeze(0), squares.new_tensor([squares.numel()])

    def of_sums(self, part: Tensor, whole: Tensor) -> Tensor:
        """Return the root of the mean squared error."""
        return (part / whole).sqrt()
