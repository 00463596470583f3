"""Tracking: report the present values of several independent signals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tauscope._draws import normal, require_draw
from tauscope._lazy import torch
from tauscope.errors import InputError, require_count
from tauscope.tasks.base import OUT, Batch, Head, Task, require_fields

if TYPE_CHECKING:
    from torch import Tensor


def ornstein_uhlenbeck(
    n_steps: int, shape: tuple[int, ...], rho: float, generator: torch.Generator, *, from_mean: bool = False
) -> Tensor:
    """Draw Ornstein-Uhlenbeck processes of mean 0 and variance 1 at evenly spaced times.

    s_t = ρ s_{t-1} + √(1 - ρ²) ξ_t with ρ = exp(-dt / τ) is exact for any time step: the autocorrelation at a lag of k
    steps is ρ^k.

    Parameters
    ----------
    n_steps : int
        Number of steps.
    shape : tuple of int
        Shape of a step; all its entries are independent.
    rho : float
        Correlation ρ of successive steps, in [0, 1).
    generator : torch.Generator
        Source of random numbers.
    from_mean : bool
        Start every process at 0 instead of in its stationary distribution; step t = 0, 1, … then has the variance
        1 - ρ^{2t}.

    Returns
    -------
    Tensor [time, ...]
        The processes.

    Examples
    --------
    >>> signal = ornstein_uhlenbeck(20_000, (1,), 0.5, torch.Generator().manual_seed(0)).flatten()
    >>> signal.var(), (signal[1:] * signal[:-1]).mean()
    (tensor(1.0...), tensor(0.5...))
    """
    signal = normal((n_steps, *shape), generator)
    if from_mean:
        signal[0] = 0
    signal[1:] *= math.sqrt(1 - rho**2)
    # Each pass turns sums over the last k steps into sums over the last 2 k: log2(n_steps) passes are enough.
    k = 1
    while k < n_steps:
        signal[k:] += rho**k * signal[:-k]
        k *= 2
    return signal


@dataclass(frozen=True)
class Tracking(Task):
    """Report at every step the present values of several independent signals.

    Each signal is an Ornstein-Uhlenbeck process around a mean, and has an output. The loss is Σ (r - s)² / (B T S) over
    the steps t ≥ ``burn_in`` T, t from 1, of B trials of T steps with S signals; the score is the mean squared error
    over the variance of the signals, 0 for perfect answers and 1 for their mean.

    Attributes
    ----------
    n_signals : int
        Number S of signals; each is an input channel and an output.
    n_steps : int
        Length T of a trial.
    dt : float
        Time step, in the unit of the network's τ.
    tau_signal : float
        Time constant of the signals, in the same unit.
    mean : float
        Mean of the signals.
    amplitude : float
        Strength of the noise that drives a signal; the signal's standard deviation is amplitude / √(2 tau_signal).
    burn_in : float
        Share of a trial before the first answer, in [0, 1).
    reference : bool
        Start every signal at its mean, as published, instead of in its stationary distribution.

    Notes
    -----
    Source: Engelken & Goedeke, NeurIPS 2022, and published code. The defaults are the published ones: a trial of 50
    steps lasts 10 τ, with answers at the last 41 steps.

    Examples
    --------
    >>> task = Tracking(n_signals=2)
    >>> batch = task.sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape, round(task.std, 3)
    (torch.Size([50, 4, 2]), torch.Size([41, 4, 1, 2]), 0.224)
    """

    n_signals: int = 1
    n_steps: int = 50
    dt: float = 0.2
    tau_signal: float = 0.1
    mean: float = 1.0
    amplitude: float = 0.1
    burn_in: float = 0.2
    reference: bool = False

    source: ClassVar[str] = "Engelken & Goedeke, NeurIPS 2022, and published code"
    metric: ClassVar[str] = "relative_error"

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("number of signals", self.n_signals)
        require_count("number of steps", self.n_steps)
        for name in ("dt", "tau_signal", "amplitude"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{name} is {value}: expected a finite number above 0")
        if not math.isfinite(self.mean):
            raise InputError(f"mean is {self.mean}: expected a finite number, such as 1.0")
        if not 0 <= self.burn_in < 1:
            raise InputError(f"burn_in is {self.burn_in}: expected a share of a trial in [0, 1), such as 0.2")

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of input channels."""
        return self.n_signals

    @property
    def heads(self) -> dict[str, Head]:
        """The only head, with an output for each signal; answering the mean scores 1."""
        return {OUT: Head(self.n_signals, 1.0, 0.0)}

    @property
    def std(self) -> float:
        """Standard deviation of every signal."""
        return self.amplitude / math.sqrt(2 * self.tau_signal)

    @property
    def rho(self) -> float:
        """Autocorrelation of every signal at a lag of one step."""
        return math.exp(-self.dt / self.tau_signal)

    @property
    def n_answers(self) -> int:
        """Number of steps with an answer, at the end of a trial."""
        # Without rounding, 0.28 · 25 would be above 7.
        return self.n_steps - max(math.ceil(round(self.burn_in * self.n_steps, 9)), 1) + 1

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials as `Task.sample` says, anew in every split.

        Returns
        -------
        Batch
            ``inputs [time, batch, signal]``, and ``targets [answer, batch, 1, signal]``, the last ``n_answers`` inputs.
        """
        del split
        require_draw(batch_size, generator)
        shape = (batch_size, self.n_signals)
        signal = ornstein_uhlenbeck(self.n_steps, shape, self.rho, generator, from_mean=self.reference)
        inputs = self.mean + self.std * signal
        return Batch(inputs, inputs[-self.n_answers :].unsqueeze(-2))

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the squared error of ``outputs [answer, batch, 1, signal]``, ``[1]``, over all steps of the trials."""
        squares = (outputs - batch.targets).square()
        return squares.sum().unsqueeze(0) / (squares.shape[1] * self.n_steps * self.n_signals)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of squared errors, and the number of errors times a signal's variance, ``[1]`` each."""
        squares = (outputs - batch.targets).square()
        return squares.sum().unsqueeze(0), squares.new_tensor([squares.numel() * self.std**2])
