"""The autocovariance of a network's activity under random bits, from trials that threads share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol, runtime_checkable

import scipy.fft
import torch
from torch import Tensor

from tauscope.analysis.autocorrelation import Autocovariance, StreamingAutocovariance
from tauscope.analysis.simulation import random_bits
from tauscope.analysis.threads import Threads, cuts, n_parts
from tauscope.errors import InputError

# Numbers of a block of activity, 100 MB in float32: what bounds the memory, whatever the number of steps.
_BLOCK_NUMBERS = 25_000_000


@runtime_checkable
class Network(Protocol):
    """What `timescales` asks of a network; every model of this package has it."""

    n_inputs: int
    n_units: int

    @property
    def tau(self) -> Tensor | None:
        """Single-unit timescales in steps, [unit]."""

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> Any:
        """State before the first step."""

    def hidden(self, state: Any) -> Tensor:
        """Activity [batch, unit] of a state."""

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Private noise [time, batch, unit], where the network has any."""

    def __call__(self, inputs: Tensor, state: Any, *, noise: Tensor | None = None) -> tuple[Tensor, Any]:
        """Activity [time, batch, unit] under inputs [time, batch, channel] and noise, and the state after them."""


@torch.no_grad()
def record(
    model: Network,
    p: Tensor,
    generator: torch.Generator,
    *,
    n_steps: int,
    burn_in: int,
    max_lag: int,
    split: int = 1,
    repeat: int = 1,
    plus_minus: bool = False,
    normalization: str = "unbiased",
) -> Autocovariance:
    """Run a network under random bits and return the autocovariance of its activity; a thread takes some of the trials.

    Parameters
    ----------
    model : Network
        The network, run with its private noise where it has any.
    p : Tensor [trial]
        Probability of a 1 in every trial.
    generator : torch.Generator
        Source of initial states, bits and noise.
    n_steps, burn_in : int
        Recorded steps of every segment, and steps before them that are not recorded.
    max_lag : int
        Largest lag, in steps.
    split : int
        Segments of every trial, side by side.
    repeat : int
        Number of steps for which each bit is shown.
    plus_minus : bool
        Code the bits as -1 and +1 instead of 0 and 1.
    normalization : {"unbiased", "biased", "published"}
        See `StreamingAutocovariance.result`.

    Returns
    -------
    Autocovariance
        Of every trial and unit.

    Raises
    ------
    InputError
        If no unit stays finite, or the series is too short for the lags.

    Examples
    --------
    >>> import tauscope as ts
    >>> generator = torch.Generator().manual_seed(0)
    >>> model = ts.LeakyRNN(8, generator=generator)
    >>> record(model, torch.tensor([0.5]), generator, n_steps=100, burn_in=10, max_lag=5).covariance.shape
    torch.Size([1, 8, 6])
    """
    chances = p.repeat_interleave(split)
    n = min(len(p), n_parts(generator.device, model.n_units, len(chances)))
    parts = [
        _Part(model, slice(first * split, last * split), StreamingAutocovariance(max_lag, n_segments=split), generator)
        for first, last in cuts(len(p), n)
    ]
    # A fast length for Fourier transforms.
    steps = min(max(_BLOCK_NUMBERS // (len(chances) * model.n_units), 64), 4096)
    steps = int(scipy.fft.next_fast_len(steps + 2 * max_lag, real=True)) - 2 * max_lag
    bits = partial(
        _bits, chances, steps, n_channels=model.n_inputs, repeat=repeat, plus_minus=plus_minus, generator=generator
    )
    with Threads(len(parts)) as threads:
        for inputs in bits(burn_in):
            noise = model.draw_noise(len(inputs), inputs.shape[1], generator)
            threads.map(partial(_Part.run, inputs=inputs, noise=noise, keep=False), parts)
        for inputs in bits(n_steps):
            noise = model.draw_noise(len(inputs), inputs.shape[1], generator)
            threads.map(partial(_Part.run, inputs=inputs, noise=noise, keep=True), parts)
            if not any(part.finite for part in parts):
                seen = burn_in + parts[0].stream.n_steps
                raise InputError(f"the network diverged: after {seen} steps no unit is finite")
    measured = [part.stream.result(normalization) for part in parts]
    return Autocovariance(
        torch.cat([part.covariance for part in measured]),
        torch.cat([part.mean for part in measured]),
        measured[0].n_steps,
    )


class _Part:
    """Some trials of a recording, and where they are."""

    def __init__(
        self, model: Network, series: slice, stream: StreamingAutocovariance, generator: torch.Generator
    ) -> None:
        self.model, self.series, self.stream = model, series, stream
        self.state = model.initial_state(series.stop - series.start, generator)
        self.finite = True

    # Whether gradients are recorded is a thread's own.
    @torch.no_grad()
    def run(self, inputs: Tensor, noise: Tensor | None, keep: bool) -> None:
        """Go on for a block of input; the activity of one block is let go before that of the next is computed."""
        inputs = inputs[:, self.series].to(self.model.hidden(self.state))
        own = None if noise is None else noise[:, self.series]
        states, self.state = self.model(inputs, self.state, noise=own)
        if keep:
            self.stream.update(states)
            self.finite = bool(states[-1].isfinite().all(0).any())


def _bits(
    p: Tensor, block: int, n_steps: int, n_channels: int, repeat: int, plus_minus: bool, generator: torch.Generator
) -> Iterator[Tensor]:
    """Blocks of input [time, series, channel], all of whole bits."""
    block, total = (-(-length // repeat) * repeat for length in (block, n_steps))
    for first in range(0, total, block):
        length = min(block, total - first)
        yield random_bits(p, length, n_channels, generator, repeat=repeat, plus_minus=plus_minus)
