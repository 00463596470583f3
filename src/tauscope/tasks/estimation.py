"""Estimation after a delay: an orientation, two, a cued one, or a curve in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from tauscope._draws import uniform
from tauscope._lazy import torch
from tauscope.tasks.base import Batch, weighted_mean
from tauscope.tasks.delayed import DelayedResponseTask, PopulationTask, Trials
from tauscope.tasks.populations import CircularTuning

if TYPE_CHECKING:
    from torch import Tensor

# Trials from which the error of the ideal observer is estimated; its standard error is then below 1 %.
_N_IDEAL = 20_000


def circular_error(difference: Tensor) -> Tensor:
    """Return the distance between orientations, in [0, π/2], given their difference in radians.

    Examples
    --------
    >>> circular_error(torch.tensor([0.5, math.pi - 0.5, -2.0])).round(decimals=4)
    tensor([0.5000, 0.5000, 1.1416])
    """
    wrapped = torch.remainder(difference, math.pi)
    return torch.minimum(wrapped, math.pi - wrapped)


def wrapped_error(difference: Tensor) -> Tensor:
    """Return the published error of a difference d in radians, mod(abs(d), π), in [0, π).

    Examples
    --------
    >>> wrapped_error(torch.tensor([0.5, 0.5 - math.pi, 4.0])).round(decimals=4)
    tensor([0.5000, 2.6416, 0.8584])
    """
    return torch.remainder(difference.abs(), math.pi)


@dataclass(frozen=True)
class DelayedEstimation(PopulationTask):
    """Say which orientation was shown (DE-1): s ~ U(0, π).

    The loss is the mean of mod(|s - ŝ|, π). The score is the fractional loss
    (E|s - ŝ_net| - E|s - ŝ_ideal|) / E|s - ŝ_ideal| with |·| the distance of orientations.

    Attributes
    ----------
    kappa : float
        Concentration of the tuning.

    Notes
    -----
    Source: Orhan & Ma 2019. The published code scores by mod(|s - ŝ|, π) too, in which an error of almost π counts as
    π although orientations 0 and π are the same, so that its ideal observer can be beaten; and two of its neurons
    prefer 0 and π, one and the same orientation. Here the score is circular and the population even, so that the
    resultant of the spikes tells all there is to know; ``reference=True`` does both as published. The loss stays: the
    distance of orientations has a plateau where GDE settles on one location.

    Examples
    --------
    >>> batch = DelayedEstimation().sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape
    (torch.Size([150, 4, 50]), torch.Size([25, 4, 1, 1]))
    """

    kappa: float = 2.0

    @property
    def tuning(self) -> CircularTuning:
        """The population at each location."""
        return CircularTuning(self.n_in, self.kappa, both_ends=self.reference)

    def trials(self, batch_size: int, generator: torch.Generator) -> Trials:
        """Draw trials; ``info`` has ``stimulus`` and the ideal ``estimate``, ``[batch, location]`` in radians."""
        stimulus = _orientations(batch_size, self.n_locations, generator)
        spikes = self._spikes(stimulus, generator)
        known = {"stimulus": stimulus, "estimate": self.tuning.estimate(spikes)}
        return Trials(spikes.flatten(1), self._spontaneous(batch_size, generator), stimulus, known)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the wrapped error of ``outputs [answer, batch, 1, output]``, ``[1]``, averaged over all but heads."""
        return weighted_mean(wrapped_error(outputs - batch.targets).mean(dim=-1), batch.weight)

    def cost(self, difference: Tensor) -> Tensor:
        """Return what counts for the score of answers that miss by ``difference`` radians."""
        return wrapped_error(difference) if self.reference else circular_error(difference)

    def excess(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the cost beyond the ideal observer's, and the ideal observer's, ``[batch]``, in radians."""
        answers = batch.targets[self.score_step, :, 0].double()
        said = self.cost(outputs[self.score_step, :, 0].double() - answers).mean(dim=-1)
        ideal = self.cost(batch.info["estimate"] - answers).mean(dim=-1)
        return said - ideal, ideal

    def chance(self) -> float:
        """Return the fractional loss of the best constant answer, whose mean cost is π/4.

        That of the ideal observer is averaged over 20 000 trials with a fixed seed.

        Examples
        --------
        >>> 5 < DelayedEstimation().chance() < 10
        True
        """
        return math.pi / 4 / _ideal_cost(self) - 1


@lru_cache(maxsize=32)
def _ideal_cost(task: DelayedEstimation) -> float:
    """Return the mean cost of the ideal observer's answers."""
    trials = task.trials(_N_IDEAL, torch.Generator().manual_seed(0))
    return float(task.cost(trials.info["estimate"] - trials.answers).mean())


class DelayedEstimation2(DelayedEstimation):
    """Say which orientations were shown at two locations (DE-2), each by an output of its own.

    Examples
    --------
    >>> batch = DelayedEstimation2().sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape
    (torch.Size([150, 4, 100]), torch.Size([25, 4, 1, 2]))
    """

    n_locations: ClassVar[int] = 2
    n_outputs: ClassVar[int] = 2


class GatedDelayedEstimation(DelayedEstimation):
    """Say which orientation was shown at the location that is cued after the delay (GDE).

    The cue is five times the spontaneous rate at that location during the response. The ideal observer is told which
    location is cued; at the published rates it would be mistaken about it in one trial in twenty thousand.

    Examples
    --------
    >>> batch = GatedDelayedEstimation().sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape, batch.info["estimate"].shape
    (torch.Size([150, 4, 100]), torch.Size([25, 4, 1, 1]), torch.Size([4, 1]))
    """

    n_locations: ClassVar[int] = 2
    cue_gain: ClassVar[float] = 5.0

    def trials(self, batch_size: int, generator: torch.Generator) -> Trials:
        """Draw trials; ``info`` has ``stimulus [batch, location]``, ``cued [batch]`` and ``estimate [batch, 1]``."""
        stimulus = _orientations(batch_size, self.n_locations, generator)
        spikes = self._spikes(stimulus, generator)
        cued = torch.randint(self.n_locations, (batch_size, 1), generator=generator, device=generator.device)
        rates = torch.full_like(stimulus, self.spontaneous)
        rates.scatter_(1, cued, self.cue_gain * self.spontaneous)
        cue = torch.poisson(rates.repeat_interleave(self.n_in, dim=1), generator=generator)
        estimate = self.tuning.estimate(spikes).gather(1, cued)
        known = {"stimulus": stimulus, "cued": cued.squeeze(1), "estimate": estimate}
        return Trials(spikes.flatten(1), cue, stimulus.gather(1, cued), known)


@dataclass(frozen=True)
class DelayedSine(DelayedResponseTask):
    """Produce a quarter of a half-wave after the delay (Sine): sin(α x), x running from 0 to π over the response.

    The input is silent but for noise of standard deviation 0.1 in the delay, whose end is the only cue. The cost and
    the score are the mean absolute error over the response.

    Attributes
    ----------
    alpha : float
        α.

    Notes
    -----
    Source: Orhan & Ma 2019. The published code cannot score this task: it compares the curve of 25 steps with one step
    of 50 trials. At one step a constant is right, so here all steps of the response are scored.

    Examples
    --------
    >>> batch = DelayedSine().sample(4, torch.Generator().manual_seed(0))
    >>> batch.targets[[0, -1], 0, 0, 0].round(decimals=4)
    tensor([0.0000, 0.7071])
    """

    alpha: float = 0.25
    noise: ClassVar[float] = 0.1

    def _draw(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Any]]:
        shape = (self.n_steps, batch_size, self.n_in)
        inputs = torch.zeros(shape, dtype=torch.float32, device=generator.device)
        delay = inputs[self.stim_steps : -self.resp_steps]
        delay.normal_(0.0, self.noise, generator=generator)
        return inputs, self._curve(generator.device).view(-1, 1, 1).expand(-1, batch_size, -1), {}

    def _curve(self, device: torch.device | str = "cpu") -> Tensor:
        x = torch.linspace(0, math.pi, self.resp_steps, dtype=torch.float32, device=device)
        return torch.sin(self.alpha * x)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean absolute error of ``outputs [answer, batch, 1, 1]``, ``[1]``."""
        return weighted_mean((outputs - batch.targets).abs().mean(dim=-1), batch.weight)

    def excess(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the absolute error, averaged over the response, and 1, ``[batch]``: the curve is the same always."""
        error = (outputs - batch.targets).double().abs().mean(dim=(0, 2, 3))
        return error, torch.ones_like(error)

    def chance(self) -> float:
        """Return the error of the best constant answer, the median of the curve.

        Examples
        --------
        >>> round(DelayedSine().chance(), 3)
        0.186
        """
        curve = self._curve().double()
        return float((curve - curve.median()).abs().mean())


def _orientations(batch_size: int, n_locations: int, generator: torch.Generator) -> Tensor:
    return math.pi * uniform((batch_size, n_locations), generator)
