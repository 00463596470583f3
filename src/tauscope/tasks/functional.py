"""Functions of all white inputs so far: weighted sums with weights that fall fast or slowly, and what a random network answers."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tauscope._draws import normal, require_draw, uniform
from tauscope._lazy import torch
from tauscope.errors import require_at_most, require_choice, require_count
from tauscope.tasks.base import OUT, Batch, Head, Task, require_fields

if TYPE_CHECKING:
    from torch import Tensor

_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": lambda t: torch.exp(-t),
    "pol": lambda t: (1 + 0.1 * t) ** -1.1,
    "shift": lambda t: (t == 10).to(t.dtype),
    "twoparts": lambda t: torch.exp(-t) + torch.exp(-((t - 9) ** 2)),
    "airy": lambda t: torch.special.airy_ai(t - 6),
    "sin": lambda t: torch.sin(t),
}
LONGEST, LARGEST = 1_000_000, 10_000
"""Steps of a trial, and units of the network that answers a `Filter`: what is more is no task but a slip."""

RHOS = tuple(_KERNELS)
"""Names of the memories that a `Functional` can ask for."""


def memory_kernel(rho: str, n_steps: int) -> Tensor:
    """Return the weights ρ(0), ρ(1), … of inputs that lie so many steps back, in float64.

    Parameters
    ----------
    rho : {"exp", "pol", "shift", "twoparts", "airy", "sin"}
        e^-t, (1 + 0.1 t)^-1.1, 1 at t = 10 alone, e^-t + e^-(t - 9)², Ai(t - 6), sin t.
    n_steps : int
        Number of weights.

    Returns
    -------
    Tensor [lag]
        ρ.

    Raises
    ------
    InputError
        If there is no such memory.

    Examples
    --------
    >>> memory_kernel("pol", 11)[10].item() == 2**-1.1
    True
    """
    require_choice("rho", rho, _KERNELS)
    require_count("number of steps", n_steps)
    return _KERNELS[rho](torch.arange(n_steps, dtype=torch.float64, device="cpu"))


def time_weights(n_steps: int) -> Tensor:
    """Return the factors w_t of errors at steps 0 … T - 1, ∝ ((t + 1) / (T + 1))² with the sum T, in float64.

    The published code multiplies the error with them, so that the squared error has the weight w_t².

    Examples
    --------
    >>> round(time_weights(100).square().mean().item(), 6)
    1.790986
    """
    require_count("number of steps", n_steps)
    weights = torch.arange(1, n_steps + 1, dtype=torch.float64, device="cpu").square()
    return weights * (n_steps / weights.sum())


def lag_weights(n_steps: int) -> Tensor:
    """Return W_s = Σ_{t ≥ s} w_t² / T, the weight of an error of the memory at lag s under white inputs, in float64.

    Examples
    --------
    >>> rho = memory_kernel("exp", 100)
    >>> round((lag_weights(100) * rho.square()).sum().item(), 6)
    2.071307
    """
    return time_weights(n_steps).square().flip(0).cumsum(0).flip(0) / n_steps


class WhiteInputs(Task):
    """Report at every step what follows from all white inputs so far.

    Inputs are x_t ~ N(0, 1). The loss is the mean over steps and trials of (w_t (y_t - ŷ_t))² with `time_weights`; the score is the
    loss over `power`. A subclass has the field ``n_steps``.
    """

    n_steps: int
    source: ClassVar[str] = "Wang, Li & Li, ICLR 2024, and published code"
    metric: ClassVar[str] = "relative_error"

    @abc.abstractmethod
    def answers(self, inputs: Tensor) -> Tensor:
        """Return what is to be answered to inputs, both ``[time, batch, 1]`` and in float64."""

    @property
    @abc.abstractmethod
    def power(self) -> float:
        """Loss of the best answer that ignores the inputs."""

    @property
    def heads(self) -> dict[str, Head]:
        """The only head; the best answer that ignores the inputs scores 1."""
        return {OUT: Head(1, 1.0, 0.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials as `Task.sample` says, anew in every split.

        Returns
        -------
        Batch
            ``inputs [time, batch, 1]``, ``targets [time, batch, 1, 1]`` and ``weight [time, 1, 1, 1]``, w_t².
        """
        del split
        require_draw(batch_size, generator)
        inputs = normal((self.n_steps, batch_size, 1), generator)
        weight = time_weights(self.n_steps).square()[:, None, None, None].to(inputs)
        return Batch(inputs, self.answers(inputs.double()).to(inputs.dtype).unsqueeze(-1), weight=weight)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the weighted squared error of ``outputs [time, batch, 1, 1]``, ``[1]``, a mean over steps and trials."""
        return _squares(outputs, batch).mean().unsqueeze(0)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sum of weighted squared errors, and the number of errors times `power`, ``[1]`` each."""
        squares = _squares(outputs, batch)
        return squares.sum().unsqueeze(0), squares.new_tensor([squares.numel() * self.power])


def _squares(outputs: Tensor, batch: Batch) -> Tensor:
    """Return weighted squared errors, ``[time, batch, 1, 1]``, also of a window of a trial."""
    squares = (outputs - batch.targets).square()
    return squares if batch.weight is None else squares * batch.weight


@dataclass(frozen=True)
class Functional(WhiteInputs):
    """Report at every step the sum of all inputs so far, each weighted by how long ago it was: y_t = Σ_s ρ(s) x_{t-s}.

    Inputs are white, x_t ~ N(0, 1). The loss is the mean over steps and trials of (w_t (y_t - ŷ_t))² with `time_weights`; the
    score is the loss over that of answering 0, ‖ρ‖²_W = Σ_s W_s ρ(s)² with `lag_weights`.

    Attributes
    ----------
    rho : {"exp", "pol", "shift", "twoparts", "airy", "sin"}
        the memory, see `tauscope.tasks.functional.memory_kernel`: exp is short, pol is long.
    n_steps : int
        Length T of a trial.

    Notes
    -----
    Source: Wang, Li & Li, ICLR 2024 (arXiv 2305.19190), and published code.

    Examples
    --------
    >>> task = Functional("pol")
    >>> batch = task.sample(4, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape, round(task.power, 6)
    (torch.Size([100, 4, 1]), torch.Size([100, 4, 1, 1]), 14.785362)
    """

    rho: str = "pol"
    n_steps: int = 100

    def __post_init__(self) -> None:
        require_fields(self)
        require_choice("rho", self.rho, _KERNELS)
        require_count("number of steps", self.n_steps)
        require_at_most("number of steps", self.n_steps, LONGEST)

    @property
    def power(self) -> float:
        """Loss ‖ρ‖²_W of answering 0."""
        return float((lag_weights(self.n_steps) * memory_kernel(self.rho, self.n_steps).square()).sum())

    def answers(self, inputs: Tensor) -> Tensor:
        """Return Σ_s ρ(s) x_{t-s}."""
        rho = memory_kernel(self.rho, self.n_steps).to(inputs.device)
        # As many zeros keep the end of a trial out of its beginning.
        spectra = [torch.fft.rfft(part, n=2 * self.n_steps, dim=0) for part in (inputs, rho[:, None, None])]
        return torch.fft.irfft(spectra[0] * spectra[1], n=2 * self.n_steps, dim=0)[: self.n_steps]


@dataclass(frozen=True)
class Filter(WhiteInputs):
    """Report at every step what a random recurrent network, which saw the same inputs, answers.

    It is h ← tanh(V x + W h + b), y = r · h + r₀ with h = 0 at first; all its weights ~ U(±1/√n_hidden). The score is the loss over
    that of answering the mean at each step, found from 2000 trials.

    Attributes
    ----------
    n_hidden : int
        Units of the network that answers; 16 as published.
    target_seed : int
        Seed of its weights.
    n_steps : int
        Length T of a trial.

    Notes
    -----
    Source: Wang, Li & Li, ICLR 2024 (arXiv 2305.19190), and published code, target ``rnn``.

    Examples
    --------
    >>> task = Filter()
    >>> batch = task.sample(4, torch.Generator().manual_seed(0))
    >>> batch.targets.shape, round(float(task.score(batch.targets, batch)), 3)
    (torch.Size([100, 4, 1, 1]), 0.0)
    """

    n_hidden: int = 16
    target_seed: int = 0
    n_steps: int = 100

    def __post_init__(self) -> None:
        require_fields(self)
        require_count("number of hidden units", self.n_hidden)
        require_at_most("number of hidden units", self.n_hidden, LARGEST)
        require_count("target seed", self.target_seed, 0)
        require_at_most("target seed", self.target_seed, 2**63 - 1)
        require_count("number of steps", self.n_steps)
        require_at_most("number of steps", self.n_steps, LONGEST)

    @functools.cached_property
    def power(self) -> float:
        """Loss of answering the mean at each step, by 2000 trials."""
        generator = torch.Generator("cpu").manual_seed(self.target_seed)
        answers = self.answers(normal((self.n_steps, 2000, 1), generator).double())
        return float((time_weights(self.n_steps).square() * answers[..., 0].var(dim=1)).mean())

    def answers(self, inputs: Tensor) -> Tensor:
        """Return what the random network answers."""
        V, W, b, r, offset = (weight.to(inputs.device) for weight in self._weights)
        h, answers = inputs.new_zeros(inputs.shape[1], self.n_hidden), []
        for x in inputs:
            h = torch.tanh(x @ V + h @ W + b)
            answers.append(h @ r + offset)
        return torch.stack(answers)

    @functools.cached_property
    def _weights(self) -> tuple[Tensor, ...]:
        n, generator = self.n_hidden, torch.Generator("cpu").manual_seed(self.target_seed)
        shapes = ((1, n), (n, n), (n,), (n, 1), (1,))
        return tuple((2 * uniform(shape, generator).double() - 1) / n**0.5 for shape in shapes)
