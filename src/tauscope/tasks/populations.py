"""Populations of Poisson neurons that show a stimulus to a network, and what can be known from their spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tauscope._lazy import torch
from tauscope.errors import InputError, require_count

if TYPE_CHECKING:
    from torch import Tensor


def spread(counts: Tensor, n_slots: int, generator: torch.Generator) -> Tensor:
    """Spread counted spikes independently and uniformly over slots.

    A Poisson count of mean m spread over n slots gives n independent Poisson counts of mean m / n. Where the rate is
    constant over the slots, this draws the same numbers as one count a slot, from n times fewer of them.

    Parameters
    ----------
    counts : Tensor [...]
        Whole numbers of spikes.
    n_slots : int
        Over how many slots each is spread.
    generator : torch.Generator
        Source of chance, on the device of ``counts``.

    Returns
    -------
    Tensor [slot, ...]
        Spikes in every slot; they sum to ``counts``.

    Examples
    --------
    >>> spread(torch.tensor([3.0, 0.0]), 4, torch.Generator().manual_seed(0)).sum(dim=0)
    tensor([3., 0.])
    """
    flat = counts.flatten().long()
    source = torch.repeat_interleave(flat)
    slot = torch.randint(n_slots, source.shape, generator=generator, device=counts.device)
    slots = counts.new_zeros(n_slots * len(flat))
    slots.index_add_(0, slot * len(flat) + source, torch.ones_like(source, dtype=counts.dtype))
    return slots.view(n_slots, *counts.shape)


@dataclass(frozen=True)
class CircularTuning:
    """Neurons tuned to an orientation s in [0, π): mean count g exp(κ (cos 2(s - φ_i) - 1)).

    Attributes
    ----------
    n : int
        Number of neurons; their preferred orientations φ_i are evenly spaced.
    kappa : float
        Concentration κ.
    both_ends : bool
        Space φ from 0 to π, both included, as the published code does; 0 and π are one orientation, so that two
        neurons then stand at one place, and an orientation there is met with more spikes than any other.

    Examples
    --------
    >>> CircularTuning(4).preferred()
    tensor([0.0000, 0.7854, 1.5708, 2.3562])
    """

    n: int = 50
    kappa: float = 2.0
    both_ends: bool = False

    def __post_init__(self) -> None:
        require_count("number of neurons", self.n, 2)

    @property
    def span(self) -> tuple[float, float]:
        """First and last value of the feature axis, in radians."""
        return 0.0, math.pi

    def preferred(self, device: torch.device | str = "cpu") -> Tensor:
        """Return φ, ``[neuron]``, in radians."""
        steps = torch.arange(self.n, device=device, dtype=torch.float32)
        return math.pi * steps / (self.n - self.both_ends)

    def rates(self, stimulus: Tensor) -> Tensor:
        """Return the mean counts at gain 1, ``[..., neuron]``, for stimuli ``[...]`` in radians."""
        angle = stimulus.unsqueeze(-1) - self.preferred(stimulus.device).to(stimulus)
        return torch.exp(self.kappa * (torch.cos(2 * angle) - 1))

    def resultant(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Add the spikes up as unit vectors at twice their neuron's preferred orientation.

        The likelihood of s is proportional to exp(κ R cos(2s - μ)): R and μ are all that the spikes tell of it.

        Parameters
        ----------
        counts : Tensor [..., neuron]
            Spikes.

        Returns
        -------
        length, angle : Tensor [...]
            R, and μ in radians, in float64.

        Examples
        --------
        >>> length, angle = CircularTuning(4).resultant(torch.tensor([2.0, 2.0, 0.0, 0.0]))
        >>> round(length.item(), 4), round(angle.item(), 4)
        (2.8284, 0.7854)
        """
        counts = counts.double()
        angle = 2 * self.preferred(counts.device).double()
        x, y = counts @ torch.cos(angle), counts @ torch.sin(angle)
        return torch.hypot(x, y), torch.atan2(y, x)

    def estimate(self, counts: Tensor) -> Tensor:
        """Return the most likely stimulus, ``[...]``, in [0, π), for spikes ``[..., neuron]``; it is also the mean.

        Examples
        --------
        >>> CircularTuning(4).estimate(torch.tensor([1.0, 0.0, 0.0, 1.0])) / math.pi
        tensor(0.8750, dtype=torch.float64)
        """
        return torch.remainder(self.resultant(counts)[1] / 2, math.pi)


@dataclass(frozen=True)
class GaussianTuning:
    """Neurons tuned to a place s on a line: mean count g exp(-(s - φ_i)² / 2σ²).

    Attributes
    ----------
    n : int
        Number of neurons; their preferred places φ_i are evenly spaced from -reach to reach.
    sigma : float
        Width σ.
    reach : float
        Largest preferred place.

    Examples
    --------
    >>> GaussianTuning(3, 10.0, 50.0).preferred()
    tensor([-50.,   0.,  50.])
    """

    n: int
    sigma: float
    reach: float

    def __post_init__(self) -> None:
        require_count("number of neurons", self.n, 2)

    @property
    def span(self) -> tuple[float, float]:
        """First and last value of the feature axis."""
        return -self.reach, self.reach

    def preferred(self, device: torch.device | str = "cpu") -> Tensor:
        """Return φ, ``[neuron]``."""
        return torch.linspace(-self.reach, self.reach, self.n, dtype=torch.float32, device=device)

    def rates(self, stimulus: Tensor) -> Tensor:
        """Return the mean counts at gain 1, ``[..., neuron]``, for stimuli ``[...]``."""
        distance = stimulus.unsqueeze(-1) - self.preferred(stimulus.device).to(stimulus)
        return torch.exp(-0.5 * (distance / self.sigma) ** 2)

    def posterior(self, counts: Tensor, stimuli: Tensor, gain: float = 1.0) -> Tensor:
        """Return the probability of every stimulus that is possible, all being equally likely before.

        Parameters
        ----------
        counts : Tensor [..., neuron]
            Spikes.
        stimuli : Tensor [stimulus]
            What could have been shown.
        gain : float
            Mean count of a neuron at its preferred place.

        Returns
        -------
        Tensor [..., stimulus]
            Posterior probabilities, in float64.

        Notes
        -----
        The Poisson likelihood is exp(Σ_i r_i ln λ_i(s) - Σ_i λ_i(s)). The second sum is not constant here: places near
        the end of the population are met with fewer spikes.

        Examples
        --------
        >>> tuning = GaussianTuning(3, 10.0, 50.0)
        >>> tuning.posterior(torch.tensor([0.0, 0.0, 2.0]), torch.tensor([-50.0, 50.0])).round(decimals=3)
        tensor([0., 1.], dtype=torch.float64)
        """
        distance = stimuli.double().unsqueeze(-1) - self.preferred(stimuli.device).double()
        log_rates = -0.5 * (distance / self.sigma) ** 2
        likelihood = counts.double() @ log_rates.t() - gain * log_rates.exp().sum(dim=-1)
        return torch.softmax(likelihood, dim=-1)


Tuning = CircularTuning | GaussianTuning


def sweeping_bump(
    tuning: Tuning, amplitude: float, n_steps: int, n_trials: int, generator: torch.Generator, *, in_units: bool = False
) -> Tensor:
    """Draw the spikes of a population across which a bump moves once in a trial, telling nothing but the time.

    The mean count of neuron i at step t is A exp(-10 (x_t - φ_i)²), x running evenly over the feature axis.

    Parameters
    ----------
    tuning : Tuning
        The population whose axis it is.
    amplitude : float
        A.
    n_steps, n_trials : int
        Length of a trial, number of trials.
    generator : torch.Generator
        Source of chance; the result lies on its device.
    in_units : bool
        Measure the distance in the units of the axis, as the published code does; a bump then is as wide as seven
        neurons of a circular population but falls between those of the line, which stay mostly silent. Otherwise the
        axis is taken as π long, so that every population shows the same bump.

    Returns
    -------
    Tensor [time, trial, neuron]
        Spikes.

    Raises
    ------
    InputError
        If there is not at least one step.

    Examples
    --------
    >>> sweeping_bump(CircularTuning(), 1.0, 150, 2, torch.Generator().manual_seed(0)).shape
    torch.Size([150, 2, 50])
    """
    if n_steps < 1:
        raise InputError(f"a bump over {n_steps} steps: expected at least 1")
    low, high = tuning.span
    place = torch.linspace(low, high, n_steps, dtype=torch.float32, device=generator.device)
    distance = place[:, None] - tuning.preferred(generator.device)
    scale = 1.0 if in_units else math.pi / (high - low)
    rates = amplitude * torch.exp(-10 * (scale * distance) ** 2)
    # The rates are those of every trial, so that the spikes of all trials can be drawn at once.
    counts = torch.poisson(n_trials * rates, generator=generator)
    return spread(counts, n_trials, generator).transpose(0, 1)
