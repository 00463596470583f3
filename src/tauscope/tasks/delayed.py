"""Delayed response: a stimulus, a delay, and an answer."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope.errors import InputError, require_at_least, require_count
from tauscope.tasks.base import OUT, Batch, Head, Task, require_fields
from tauscope.tasks.populations import Tuning, spread, sweeping_bump

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = "Orhan & Ma, Nature Neuroscience 22, 275 (2019), methods and published code"


class Trials(NamedTuple):
    """Trials of a task before their spikes are spread over time."""

    shown: Tensor
    """Spikes ``[trial, channel]`` of the stimulus epoch."""
    asked: Tensor
    """Spikes ``[trial, channel]`` of the response epoch."""
    answers: Tensor
    """Right answers ``[trial, output]``."""
    info: dict[str, Any]
    """Stimuli and the ideal observer's knowledge, tensors ``[trial, ...]``."""


@dataclass(frozen=True)
class DelayedResponseTask(Task):
    """Trials of three epochs: stimulus, delay, response. A head with one or two outputs answers in the response.

    Attributes
    ----------
    stim_steps, resp_steps : int
        Length of the stimulus and of the response epoch; a step is 10 ms.
    delay_steps : int or tuple of int
        Length of the delay, or lengths from which every trial draws its delay. All trials are as long as the longest;
        for the rest of a shorter delay the state is held, and the input is silent.
    n_in : int
        Number of input channels of a location.
    score_step : int
        Index of the scored step, counted from the end of the trial (-10 in the published tethered condition).
    reference : bool
        Reproduce the defects of the published code: see the subclasses.
    """

    stim_steps: int = 25
    delay_steps: int | tuple[int, ...] = 100
    resp_steps: int = 25
    n_in: int = 50
    score_step: int = -5
    reference: bool = False

    source: ClassVar[str] = SOURCE
    metric: ClassVar[str] = "fractional_loss"
    n_outputs: ClassVar[int] = 1
    n_locations: ClassVar[int] = 1

    def __post_init__(self) -> None:
        require_fields(self)
        for name, minimum in (("stim_steps", 1), ("resp_steps", 1), ("n_in", 2)):
            require_count(name, getattr(self, name), minimum)
        if isinstance(self.delay_steps, list):
            object.__setattr__(self, "delay_steps", tuple(self.delay_steps))
        if not self.delays:
            raise InputError("no delay is given: expected a number of steps, or several such as (10, 40, 70, 100)")
        for delay in self.delays:
            require_count("delay_steps", delay)
        if not -self.resp_steps <= self.score_step < 0:
            raise InputError(
                f"score_step is {self.score_step}: expected -{self.resp_steps} ... -1, a step of the response "
                f"(nearest valid value: {min(max(self.score_step, -self.resp_steps), -1)})"
            )

    @property
    def heads(self) -> dict[str, Head]:
        """The only head."""
        return {OUT: Head(self.n_outputs, self.chance(), 0.0)}

    @property
    def delays(self) -> tuple[int, ...]:
        """Lengths that a delay can have, in steps."""
        return tuple(self.delay_steps) if isinstance(self.delay_steps, Iterable) else (self.delay_steps,)

    @property
    def n_steps(self) -> int:
        """Length of a trial."""
        return self.stim_steps + max(self.delays) + self.resp_steps

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of input channels."""
        return self.n_locations * self.n_in

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials as `Task.sample` says, anew in every split.

        Returns
        -------
        Batch
            ``inputs [time, batch, channel]``; ``targets [answer, batch, 1, output]`` at the steps of the response;
            ``hold [time, batch]`` where delays vary; ``info`` with tensors ``[batch, ...]``: ``delay`` in steps, and the
            variables of the task's `Trials`.
        """
        del split
        require_draw(batch_size, generator)
        inputs, answers, info = self._draw(batch_size, generator)
        delays = torch.tensor(self.delays, device=generator.device)
        chosen = torch.randint(len(delays), (batch_size,), generator=generator, device=generator.device)
        info = info | {"delay": delays[chosen]}
        hold = None
        if len(delays) > 1:
            step = torch.arange(self.n_steps, device=generator.device)[:, None] - self.stim_steps
            hold = (step >= info["delay"]) & (step < max(self.delays))
            inputs = inputs.masked_fill(hold.unsqueeze(-1), 0.0)
        targets = answers.unsqueeze(-2).expand(self.resp_steps, -1, -1, -1)
        return Batch(inputs, targets, hold=hold, info=info)

    @abc.abstractmethod
    def _draw(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Return inputs ``[time, trial, channel]``, answers ``[trial, output]`` or ``[answer, trial, output]``, and info."""

    @abc.abstractmethod
    def chance(self) -> float:
        """Return the fractional loss of the best answer that ignores the input."""

    @abc.abstractmethod
    def excess(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return an answer's cost beyond the ideal observer's, and the scale of that cost, for every trial.

        Parameters
        ----------
        outputs : Tensor [answer, batch, 1, output]
            Outputs of the network at the steps of the response.
        batch : Batch
            Batch of these trials.

        Returns
        -------
        excess, scale : Tensor [batch]
            Both in the unit of the task's cost.
        """

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sums of excess and scale, ``[1]``, whose ratio is the fractional loss: 0 for an ideal observer."""
        excess, scale = self.excess(outputs, batch)
        return excess.sum().unsqueeze(0), scale.sum().unsqueeze(0)


@dataclass(frozen=True)
class PopulationTask(DelayedResponseTask):
    """A delayed response to the spikes of Poisson neurons.

    Attributes
    ----------
    gain : float
        Mean spike count in an epoch of a neuron at its preferred stimulus.
    spontaneous : float
        Mean spike count of every neuron in the delay, and in the response unless a second stimulus is shown.
    dynamic : bool
        Add a population of ``n_in`` neurons with a moving bump of activity, which carries no information but the time.
    """

    gain: float = 1.0
    spontaneous: float = 0.1
    dynamic: bool = False

    bump_amplitude: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("gain", "spontaneous"):
            require_at_least(name, getattr(self, name), 0.0)

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of input channels."""
        return (self.n_locations + self.dynamic) * self.n_in

    @property
    @abc.abstractmethod
    def tuning(self) -> Tuning:
        """The population at each location."""

    @abc.abstractmethod
    def trials(self, batch_size: int, generator: torch.Generator) -> Trials:
        """Draw trials, without spreading their spikes over time."""

    def _draw(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Any]]:
        trials = self.trials(batch_size, generator)
        between = self._spontaneous(batch_size, generator)
        epochs = [(trials.shown, self.stim_steps), (between, max(self.delays)), (trials.asked, self.resp_steps)]
        inputs = torch.cat([spread(counts, n_steps, generator) for counts, n_steps in epochs])
        if self.dynamic:
            bump = sweeping_bump(
                self.tuning, self.bump_amplitude, self.n_steps, batch_size, generator, in_units=self.reference
            )
            inputs = torch.cat([inputs, bump], dim=-1)
        return inputs, trials.answers, trials.info

    def _spikes(self, stimulus: Tensor, generator: torch.Generator) -> Tensor:
        """Return the spikes ``[trial, location, neuron]`` of an epoch that shows ``stimulus [trial, location]``."""
        return torch.poisson(self.gain * self.tuning.rates(stimulus), generator=generator)

    def _spontaneous(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Return the spikes ``[trial, channel]`` of an epoch in which nothing is shown."""
        shape = (batch_size, self.n_locations * self.n_in)
        rates = torch.full(shape, self.spontaneous, dtype=torch.float32, device=generator.device)
        return torch.poisson(rates, generator=generator)
