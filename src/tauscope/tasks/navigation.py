"""Navigation: know where one is, or where one looks, from the start and all movements since."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tauscope._draws import normal, require_draw, uniform
from tauscope._lazy import torch
from tauscope.errors import require_count
from tauscope.tasks.base import OUT, Batch, Head, Task, require_fields, weighted_mean, weighted_sums

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = "Krishna et al., ICLR 2024 (arXiv 2505.17003), and published code"

BOX = 2.2
"""Side of the box in metres; its centre is the origin."""

DT, TURN = 0.02, 11.52
"""Time step in seconds; spread of the turning rate in rad/√s of a step, so that a step turns by 0.23 rad."""

SPEED = 0.26 * math.pi
"""Scale of the Rayleigh distribution of speeds, in m/s."""

WALL = 0.03
"""Distance from a wall, in metres, below which it is avoided."""

PULL = 0.05
"""Share of the way to the middle of the box that a biased walk is pulled by at every step."""

WIDTH, KAPPA = 0.2, (6 / math.pi) ** 2
"""Width of the fields of place cells in metres; concentration of head-direction cells."""

DECODED = 3
"""Most active cells whose centres are averaged."""

_SPREAD = {False: 0.937, True: 0.395}
"""Root mean square distance of walks of 100 steps from the middle of the box in metres, by whether they are biased."""


class CodedTask(Task):
    """Answer with the code of a position by many cells; positions decoded of the answers are scored in their unit.

    A subclass says how a position is coded and decoded. The loss is the mean squared error over the cells, the score the root
    mean square distance of decoded and true positions.
    """

    metric: ClassVar[str] = "error"
    periodic: ClassVar[bool] = False
    """Whether positions are angles."""

    @property
    @abc.abstractmethod
    def centres(self) -> Tensor:
        """What the cells prefer, ``[cell, coordinate]``."""

    @abc.abstractmethod
    def code(self, positions: Tensor) -> Tensor:
        """Return the activity of all cells, ``[..., cell]``, at positions ``[..., coordinate]``."""

    def decode(self, outputs: Tensor) -> Tensor:
        """Return the mean of the centres of the three most active cells.

        Parameters
        ----------
        outputs : Tensor [..., cell]
            Activity of the cells.

        Returns
        -------
        Tensor [..., coordinate]
            Positions, in metres or radians.
        """
        chosen = self.centres.to(outputs.device)[outputs.topk(min(DECODED, outputs.shape[-1]), dim=-1).indices]
        if not self.periodic:
            return chosen.mean(dim=-2)
        return torch.atan2(chosen.sin().sum(dim=-2), chosen.cos().sum(dim=-2))

    def distance(self, positions: Tensor, others: Tensor) -> Tensor:
        """Return how far positions ``[..., coordinate]`` are from others, ``[...]``; of angles, the shorter way round."""
        difference = positions - others
        return (wrapped(difference) if self.periodic else difference).norm(dim=-1)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of ``outputs [answer, batch, 1, cell]``, ``[1]``."""
        return weighted_mean((outputs - self.code(batch.targets).to(outputs)).square().mean(dim=-1), batch.weight)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of squared distances of decoded and true positions, and the number of answers, ``[1]`` each."""
        distance = self.distance(self.decode(outputs), batch.targets)
        return weighted_sums(distance.square().to(outputs.dtype), batch.weight)

    def of_sums(self, part: Tensor, whole: Tensor) -> Tensor:
        """Return the root mean square distance."""
        return (part / whole).sqrt()


@dataclass(frozen=True)
class PathIntegration(CodedTask):
    """Report at every step the place in a box, given the place at the start and the displacements.

    Walks turn at random and slow down at walls, along which they turn. Displacements are the input; the answer is the
    activity of place cells, exp(-(p - u)² / 2 w²) over its sum over all cells, with centres u and width w.

    Attributes
    ----------
    n_cells : int
        Number of place cells, each an output.
    place_seed : int
        Seed of the centres of the place cells, which lie anywhere in the box.
    biased : bool
        Pull the walk to the middle of the box, by 5 % of the way at every step.
    n_steps : int
        Steps of a walk.

    Notes
    -----
    Source: Krishna et al., ICLR 2024, published code; the defaults are the published ones. A step is 0.0197 m long on average
    (0.0174 m if biased).

    Examples
    --------
    >>> task = PathIntegration(n_cells=64, n_steps=20)
    >>> batch = task.sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.start.shape, batch.targets.shape
    (torch.Size([20, 4, 2]), torch.Size([4, 64]), torch.Size([20, 4, 1, 2]))
    >>> outputs = task.code(batch.targets)
    >>> outputs.sum(dim=-1).min().round(decimals=4), bool(task.score(outputs, batch) < 0.2)
    (tensor(1.), True)
    """

    n_cells: int = 512
    place_seed: int = 0
    biased: bool = False
    n_steps: int = 100

    source: ClassVar[str] = SOURCE
    unit: ClassVar[str] = "m"
    n_inputs: ClassVar[int] = 2

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("n_cells", self.n_cells)
        require_count("place_seed", self.place_seed, 0)
        require_count("n_steps", self.n_steps)

    @property
    def heads(self) -> dict[str, Head]:
        """The only head, with an output for each place cell; chance is the error of answering the middle of the box."""
        return {OUT: Head(self.n_cells, _SPREAD[self.biased], 0.0)}

    @property
    def centres(self) -> Tensor:
        """Centres of the place cells in metres, ``[cell, 2]``."""
        return _places(self.n_cells, self.place_seed)

    def code(self, positions: Tensor) -> Tensor:
        """Return the activity of the place cells, which sums to 1."""
        centres = self.centres.to(positions)
        # The square of p is the same for all cells, so that a product is all that the sum over cells needs.
        fields = positions @ centres.t() - centres.square().sum(dim=-1) / 2
        return torch.softmax(fields / WIDTH**2, dim=-1)

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw walks as `Task.sample` says, anew in every split.

        Returns
        -------
        Batch
            ``inputs [time, batch, 2]``, displacements in metres; ``targets [time, batch, 1, 2]``, positions after them; and
            ``start [batch, cell]``, the code of the position before the first one.
        """
        del split
        require_draw(batch_size, generator)
        path = walk(self.n_steps + 1, batch_size, self.biased, generator)[1:]
        return Batch(path.diff(dim=0).float(), path[1:, :, None].float(), start=self.code(path[0]).float())


@dataclass(frozen=True)
class HeadDirection(CodedTask):
    """Report at every step the direction of the head, given that at the start and the turns.

    Turns are the input, independent and normal with a standard deviation of 0.23 rad; the answer is the activity of cells
    exp(κ (cos(θ - μ) - 1)) with preferred directions μ evenly round the ring.

    Attributes
    ----------
    n_cells : int
        Number of head-direction cells, each an output.
    biased : bool
        Turn to the left only, by the sizes of the turns.
    n_steps : int
        Turns of a trial.

    Notes
    -----
    Source: Krishna et al., ICLR 2024, published code; the defaults are the published ones. Of the published cells two prefer
    the same direction, -π and π.

    Examples
    --------
    >>> task = HeadDirection(n_cells=64, n_steps=20)
    >>> batch = task.sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape, bool(task.score(task.code(batch.targets), batch) < 0.1)
    (torch.Size([20, 4, 1]), torch.Size([20, 4, 1, 1]), True)
    """

    n_cells: int = 512
    biased: bool = False
    n_steps: int = 100

    source: ClassVar[str] = SOURCE
    unit: ClassVar[str] = "rad"
    periodic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("n_cells", self.n_cells)
        require_count("n_steps", self.n_steps)

    @property
    def heads(self) -> dict[str, Head]:
        """The only head, with an output for each cell; chance is the error of any constant answer."""
        return {OUT: Head(self.n_cells, math.pi / math.sqrt(3), 0.0)}

    @property
    def centres(self) -> Tensor:
        """Preferred directions -π + 2 π i / n, ``[cell, 1]``."""
        cells = torch.arange(self.n_cells, dtype=torch.float32, device="cpu")
        return (2 * math.pi / self.n_cells * cells - math.pi)[:, None]

    def code(self, positions: Tensor) -> Tensor:
        """Return the activity of the cells, 1 at what they prefer."""
        return torch.exp(KAPPA * ((positions - self.centres.to(positions)[:, 0]).cos() - 1))

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials as `Task.sample` says, anew in every split.

        Returns
        -------
        Batch
            ``inputs [time, batch, 1]``, turns in radians; ``targets [time, batch, 1, 1]``, directions in (-π, π] after them;
            and ``start [batch, cell]``, the code of the direction before the first one.
        """
        del split
        require_draw(batch_size, generator)
        start = 2 * math.pi * uniform((1, batch_size, 1), generator).double()
        turns = (DT * TURN * normal((self.n_steps, batch_size, 1), generator)).double()
        turns = turns.abs() if self.biased else turns
        path = wrapped(torch.cat([start, turns]).cumsum(dim=0))
        return Batch(turns.float(), path[1:, :, None].float(), start=self.code(path[0]).float())


def wrapped(angles: Tensor) -> Tensor:
    """Return angles in (-π, π], from angles in radians.

    Examples
    --------
    >>> wrapped(torch.tensor([0.5, 4.0, -4.0])).round(decimals=4)
    tensor([ 0.5000, -2.2832,  2.2832])
    """
    return math.pi - torch.remainder(math.pi - angles, 2 * math.pi)


def walk(n_steps: int, n_walks: int, biased: bool, generator: torch.Generator) -> Tensor:
    """Draw walks in the box, from anywhere in it and in any direction.

    Parameters
    ----------
    n_steps : int
        Number of steps.
    n_walks : int
        Number of walks.
    biased : bool
        Whether they are pulled to the middle.
    generator : torch.Generator
        Source of all random numbers.

    Returns
    -------
    Tensor [step + 1, walk, 2]
        Positions in metres, in float64, so that steps and positions agree. A walk may leave the box by a step.

    Examples
    --------
    >>> walk(5, 2, False, torch.Generator().manual_seed(0)).shape
    torch.Size([6, 2, 2])
    """
    start, directions = uniform((n_walks, 2), generator), uniform((n_walks,), generator)
    chances, turns = uniform((n_steps, n_walks), generator), normal((n_steps, n_walks), generator)
    # Steps are small: NumPy's calls cost less than torch's.
    at, heading = BOX * (_float64(start) - 0.5), 2 * math.pi * _float64(directions)
    speeds = SPEED * np.sqrt(-2 * np.log1p(-_float64(chances)))
    path = [at]
    for speed, turned in zip(speeds, DT * TURN * _float64(turns), strict=True):
        slowed, turn = avoid_walls(at, heading)
        step = (DT * speed * slowed)[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        at = at + (step - PULL * at if biased else step)
        heading = heading + turn + turned
        path.append(at)
    return torch.from_numpy(np.stack(path)).to(generator.device)


def avoid_walls(
    at: NDArray[np.float64], heading: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return by what a walk is slowed down and how far it turns because of the nearest wall.

    Within 3 cm of a wall, and with a heading less than 90° from it, it has a quarter of its speed and turns until it runs along
    the wall, to the side that it is heading for; from straight ahead it does not turn.

    Parameters
    ----------
    at : array [walk, 2]
        Positions in metres.
    heading : array [walk]
        Directions in radians.

    Returns
    -------
    slowed, turn : array [walk]
        Factor of the speed; angle in radians.

    Examples
    --------
    >>> avoid_walls(np.array([[1.09, 0.0]]), np.array([math.pi / 6]))
    (array([0.25]), array([1.04719755]))
    """
    nearest = np.abs(at).argmax(axis=-1)
    coordinate = at[np.arange(len(at)), nearest]
    outward = np.pi / 2 * nearest + np.pi * (coordinate < 0)
    angle = np.pi - (np.pi - heading + outward) % (2 * np.pi)
    avoids = (BOX / 2 - np.abs(coordinate) < WALL) & (np.abs(angle) < np.pi / 2)
    return np.where(avoids, 0.25, 1.0), np.where(avoids, np.sign(angle) * (np.pi / 2 - np.abs(angle)), 0.0)


def _float64(numbers: Tensor) -> NDArray[np.float64]:
    values: NDArray[np.float64] = numbers.double().cpu().numpy()
    return values


@lru_cache(maxsize=64)
def _places(n_cells: int, seed: int) -> Tensor:
    return BOX * (uniform((n_cells, 2), torch.Generator("cpu").manual_seed(seed)) - 0.5)
