"""Binary decisions about what was shown before a delay: change detection, left or right, larger or smaller."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tauscope._draws import uniform
from tauscope._lazy import torch
from tauscope.tasks.base import Batch, weighted_mean
from tauscope.tasks.delayed import PopulationTask, Trials
from tauscope.tasks.populations import CircularTuning, GaussianTuning

if TYPE_CHECKING:
    from torch import Tensor

# Log-odds of the largest probability that a network can state, 1 - 1e-6 as published.
_LARGEST = math.log(1e6 - 1)


class DecisionTask(PopulationTask):
    """A question with two answers: cross-entropy of a probability, scored by what it lacks of the ideal one.

    The score is the information loss E KL(p_ideal ‖ p_net) / E KL(p_ideal ‖ 1/2): 0 for the ideal observer, 1 for one
    who always says 1/2. The network's only output is the log-odds of "yes", limited to probabilities in
    [1e-6, 1 - 1e-6].

    Notes
    -----
    Source: Orhan & Ma 2019. The published code leaves out every trial in which the ideal probability is 0 or 1 in
    float64, because it multiplies 0 by log 0; ``reference=True`` does so too.
    """

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the cross-entropy in nats, ``[1]``, averaged over response and trials, of log-odds ``[answer, batch, 1, 1]``."""
        stated = outputs.clamp(-_LARGEST, _LARGEST)
        errors = torch.nn.functional.binary_cross_entropy_with_logits(stated, batch.targets, reduction="none")
        return weighted_mean(errors.squeeze(-1), batch.weight)

    def excess(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return KL(p_ideal ‖ p_net) and KL(p_ideal ‖ 1/2), ``[batch]``, in nats."""
        ideal = batch.info["log_odds"]
        stated = outputs[self.score_step, :, 0, 0].double().clamp(-_LARGEST, _LARGEST)
        lost, known = (bernoulli_divergence(ideal, other) for other in (stated, torch.zeros_like(stated)))
        if self.reference:
            p = torch.sigmoid(ideal)
            uncertain = (p > 0) & (p < 1)
            lost, known = lost * uncertain, known * uncertain
        return lost, known

    def chance(self) -> float:
        """Return the information loss of the best answer without any input, which is "perhaps": 1."""
        return 1.0


def bernoulli_divergence(log_odds: Tensor, other: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence between two yes-no probabilities, given by their log-odds.

    Parameters
    ----------
    log_odds, other : Tensor [...]
        Log-odds of p and of q; finite, but p and q may be as near to 0 and 1 as one likes.

    Returns
    -------
    Tensor [...]
        p ln(p / q) + (1 - p) ln((1 - p) / (1 - q)), in nats.

    Examples
    --------
    >>> bernoulli_divergence(torch.tensor([0.0, 1000.0]), torch.tensor([0.0, 0.0])).round(decimals=4)
    tensor([0.0000, 0.6931])
    """
    yes = torch.sigmoid(log_odds) * (torch.nn.functional.logsigmoid(log_odds) - torch.nn.functional.logsigmoid(other))
    no = torch.sigmoid(-log_odds) * (torch.nn.functional.logsigmoid(-log_odds) - torch.nn.functional.logsigmoid(-other))
    return yes + no


def _decision(shown: Tensor, asked: Tensor, yes: Tensor, log_odds: Tensor, stimulus: Tensor) -> Trials:
    """Return trials whose observer knows the log-odds and the probability of ``yes [trial]``."""
    known = {"stimulus": stimulus, "log_odds": log_odds, "probability": torch.sigmoid(log_odds)}
    return Trials(shown.flatten(1), asked.flatten(1), yes.float().unsqueeze(-1), known)


@dataclass(frozen=True)
class ChangeDetection(DecisionTask):
    """Say whether the orientation shown in the response differs from that before the delay (CD).

    In half of the trials it is drawn anew from U(0, π).

    Attributes
    ----------
    kappa : float
        Concentration of the tuning.

    Notes
    -----
    The odds of a change are I0(κ R_1) I0(κ R_2) / I0(κ |R_1 e^{iμ_1} + R_2 e^{iμ_2}|), with R e^{iμ} the resultant of
    the spikes of an epoch; they are averaged over the locations where it can have happened. Source: Orhan & Ma 2019.
    The observer of the published code leaves κ out and computes R, but not μ, from φ instead of 2φ, so that a network
    can know more than it; ``reference=True`` uses it, and the published population (see `DelayedEstimation`).

    Examples
    --------
    >>> batch = ChangeDetection().sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape, batch.info["probability"].shape
    (torch.Size([150, 4, 50]), torch.Size([25, 4, 1, 1]), torch.Size([4]))
    """

    kappa: float = 2.0

    bump_amplitude: ClassVar[float] = 0.1

    @property
    def tuning(self) -> CircularTuning:
        """The population at each location."""
        return CircularTuning(self.n_in, self.kappa, both_ends=self.reference)

    def trials(self, batch_size: int, generator: torch.Generator) -> Trials:
        """Draw trials; ``info`` has ``stimulus [batch, location, epoch]``, ``log_odds`` and ``probability [batch]``."""
        first = math.pi * uniform((batch_size, self.n_locations), generator)
        anew = math.pi * uniform((batch_size, 1), generator)
        change = uniform((batch_size,), generator) < 0.5
        where = torch.randint(self.n_locations, (batch_size, 1), generator=generator, device=generator.device)
        second = torch.where(change[:, None], first.scatter(1, where, anew), first)
        shown, asked = self._spikes(first, generator), self._spikes(second, generator)
        return _decision(shown, asked, change, self.log_odds(shown, asked), torch.stack([first, second], dim=-1))

    def log_odds(self, shown: Tensor, asked: Tensor) -> Tensor:
        """Return the ideal observer's log-odds of a change, ``[trial]``, from spikes ``[trial, location, neuron]``."""
        (R_1, mu_1), (R_2, mu_2) = self._evidence(shown), self._evidence(asked)
        both = torch.sqrt((R_1**2 + R_2**2 + 2 * R_1 * R_2 * torch.cos(mu_2 - mu_1)).clamp(min=0))
        log_ratio = _log_i0(R_1) + _log_i0(R_2) - _log_i0(both)
        return torch.logsumexp(log_ratio, dim=-1) - math.log(self.n_locations)

    def _evidence(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return concentration and direction of the likelihood at every location."""
        length, angle = self.tuning.resultant(counts)
        if not self.reference:
            return self.kappa * length, angle
        phi = self.tuning.preferred(counts.device).double()
        return torch.hypot(counts.double() @ torch.cos(phi), counts.double() @ torch.sin(phi)), angle


class ChangeDetection2(ChangeDetection):
    """Say whether one of the orientations at two locations has changed over the delay (CD2).

    Examples
    --------
    >>> ChangeDetection2().sample(4, torch.Generator().manual_seed(0)).inputs.shape
    torch.Size([150, 4, 100])
    """

    n_locations: ClassVar[int] = 2


@dataclass(frozen=True)
class TwoAlternativeChoice(DecisionTask):
    """Say whether the stimulus stood right or left (2AFC), after Harvey et al. 2012: s = ±15.

    Attributes
    ----------
    sigma, reach : float
        Width of the tuning, largest preferred place.

    Notes
    -----
    The log-odds of "right" are 30 Σ_i r_i φ_i / σ², 0 without a spike (the published code then has no probability).
    Source: Orhan & Ma 2019.

    Examples
    --------
    >>> TwoAlternativeChoice().sample(4, torch.Generator().manual_seed(0)).inputs.shape
    torch.Size([150, 4, 50])
    """

    sigma: float = 15.0
    reach: float = 40.0

    place: ClassVar[float] = 15.0

    @property
    def tuning(self) -> GaussianTuning:
        """The population."""
        return GaussianTuning(self.n_in, self.sigma, self.reach)

    def trials(self, batch_size: int, generator: torch.Generator) -> Trials:
        """Draw trials; ``info`` has ``stimulus``, ``log_odds`` and ``probability [batch]``."""
        right = uniform((batch_size, 1), generator) < 0.5
        stimulus = self.place * (2 * right.float() - 1)
        shown = self._spikes(stimulus, generator)
        asked = self._spontaneous(batch_size, generator)
        return _decision(shown, asked, right.squeeze(1), self.log_odds(shown), stimulus.squeeze(1))

    def log_odds(self, shown: Tensor) -> Tensor:
        """Return the ideal observer's log-odds of "right", ``[trial]``, from spikes ``[trial, 1, neuron]``."""
        evidence = shown.squeeze(1).double() @ self.tuning.preferred(shown.device).double()
        return 2 * self.place * evidence / self.sigma**2


@dataclass(frozen=True)
class Comparison(DecisionTask):
    """Say whether the stimulus before the delay was larger than that in the response (COMP): s_1, s_2 ~ U(-40, 40).

    Attributes
    ----------
    sigma, reach : float
        Width of the tuning, largest preferred place.

    Notes
    -----
    The ideal observer has the exact posterior of both stimuli, on a grid. That of the published code takes posteriors
    for Gaussian with mean Σ_i r_i φ_i / Σ_i r_i and variance σ² / Σ_i r_i, which forgets that stimuli end at ±40, and
    has no answer where an epoch has no spike (here it then takes 1/2); ``reference=True`` uses it. Source: Orhan & Ma
    2019.

    Examples
    --------
    >>> Comparison().sample(4, torch.Generator().manual_seed(0)).inputs.shape
    torch.Size([150, 4, 50])
    """

    sigma: float = 10.0
    reach: float = 50.0

    bump_amplitude: ClassVar[float] = 0.1
    largest: ClassVar[float] = 40.0
    n_grid: ClassVar[int] = 321

    @property
    def tuning(self) -> GaussianTuning:
        """The population."""
        return GaussianTuning(self.n_in, self.sigma, self.reach)

    def trials(self, batch_size: int, generator: torch.Generator) -> Trials:
        """Draw trials; ``info`` has ``stimulus [batch, epoch]``, ``log_odds`` and ``probability [batch]``."""
        draws = uniform((batch_size, 2), generator)
        stimulus = self.largest * (2 * draws - 1)
        first, second = stimulus[:, :1], stimulus[:, 1:]
        shown, asked = self._spikes(first, generator), self._spikes(second, generator)
        return _decision(shown, asked, (first > second).squeeze(1), self.log_odds(shown, asked), stimulus)

    def log_odds(self, shown: Tensor, asked: Tensor) -> Tensor:
        """Return the ideal observer's log-odds of "larger", ``[trial]``, from spikes ``[trial, 1, neuron]``."""
        shown, asked = shown.squeeze(1), asked.squeeze(1)
        if self.reference:
            return self._published_log_odds(shown, asked)
        width = 2 * self.largest / self.n_grid
        centres = width * (torch.arange(self.n_grid, device=shown.device, dtype=torch.float64) + 0.5) - self.largest
        first, second = (self.tuning.posterior(counts, centres, self.gain) for counts in (shown, asked))
        # Within one cell of the grid, either is the larger with probability 1/2.
        ties = (first * second).sum(dim=-1) / 2
        larger, smaller = (
            (one * _below(other)).sum(dim=-1) + ties for one, other in ((first, second), (second, first))
        )
        tiny = torch.finfo(torch.float64).tiny
        return larger.clamp(min=tiny).log() - smaller.clamp(min=tiny).log()

    def _published_log_odds(self, shown: Tensor, asked: Tensor) -> Tensor:
        phi = self.tuning.preferred(shown.device).double()
        n_1, n_2 = (counts.double().sum(dim=-1) for counts in (shown, asked))
        difference = (shown.double() @ phi) / n_1 - (asked.double() @ phi) / n_2
        z = difference / (self.sigma * torch.sqrt(1 / n_1 + 1 / n_2))
        return torch.special.log_ndtr(z).sub(torch.special.log_ndtr(-z)).nan_to_num(nan=0.0)


def _below(p: Tensor) -> Tensor:
    """Return the probability that lies below every cell, ``[..., cell]``."""
    return p.cumsum(dim=-1) - p


def _log_i0(x: Tensor) -> Tensor:
    """Return ln I0(x) for x ≥ 0, where I0 itself would overflow."""
    return torch.special.i0e(x).log() + x
