"""Networks that are left without input: where they start, their noise, and what is read of them on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tauscope._draws import normal
from tauscope.errors import InputError
from tauscope.models.cell import State
from tauscope.models.model import Model
from tauscope.tasks.base import Batch, Task
from tauscope.tasks.navigation import CodedTask

States = tuple[State, ...]

_CHUNK = 100
"""Steps that are held in memory at once."""
_TENTH = 10
"""Steps of a task of which the last is shown."""

STARTS = ("active", "common", "rest", "shuffled")
"""Where silent runs begin: states of the task, one of them for all, the initial state without a code, or every unit at a
state that it has in the task, independently of the others."""


@dataclass(frozen=True)
class Decoder:
    """How a position is read of a network.

    Attributes
    ----------
    decode : callable
        From ``states [time, batch, unit]`` and ``outputs [time, batch, head, output]`` to ``positions [time, batch,
        coordinate]``.
    periodic : bool
        Whether positions are angles in radians, of which there is one.
    unit : str
        Of the positions.

    Examples
    --------
    >>> Decoder(lambda states, outputs: states[..., :2]).unit
    '1'
    """

    decode: Callable[[Tensor, Tensor], Tensor]
    periodic: bool = False
    unit: str = "1"


def decoder_of(task: Task, states: Tensor) -> Decoder:
    """Return the decoder of a task, or where it has none the first two principal components of the network's states.

    Parameters
    ----------
    task : Task
        A `tauscope.tasks.CodedTask` decodes its answers.
    states : Tensor [time, batch, unit]
        Of the task.

    Examples
    --------
    >>> from tauscope.tasks import Parity
    >>> states = torch.eye(3)[:, None] * torch.tensor([3.0, 2.0, 0.0])
    >>> decoder_of(Parity(), states).decode(states, states).shape
    torch.Size([3, 1, 2])
    """
    if isinstance(task, CodedTask):
        return Decoder(lambda _, outputs: task.decode(outputs)[..., 0, :], task.periodic, task.unit)
    flat = states.flatten(0, 1).double()
    mean = flat.mean(dim=0)
    axes = torch.linalg.eigh((flat - mean).t() @ (flat - mean)).eigenvectors[:, -2:].flip(-1)
    return Decoder(lambda states, _: (states.double() - mean) @ axes)


@dataclass(frozen=True)
class Noise:
    """The private noise of a silent run.

    Attributes
    ----------
    model : Model
        Whose own it is.
    sigma : float, optional
        Its size in the place of the network's own.
    """

    model: Model
    sigma: float | None

    def draw(self, n_steps: int, n_trials: int, factor: float, generator: torch.Generator) -> Tensor | None:
        """Draw noise of ``factor`` times its variance, ``[time, batch, unit]``; ``None`` where there is none."""
        if factor == 0 or self.sigma == 0:
            return None
        if self.sigma is None:
            own = self.model.draw_noise(n_steps, n_trials, generator)
            return None if own is None else math.sqrt(factor) * own
        shape = (n_steps, n_trials, self.model.n_units)
        return (
            math.sqrt(factor) * self.sigma * normal(shape, generator).to(self.model.hidden(self.model.initial_state(1)))
        )

    def std(self, generator: torch.Generator) -> float:
        """Return its standard deviation at a step."""
        drawn = self.draw(100, 10, 1.0, generator)
        return 0.0 if drawn is None else float(drawn.double().std())


def perform(model: Model, batch: Batch, heads: Sequence[str], noise: Noise, generator: torch.Generator) -> tuple[Tensor, Tensor, States]:  # fmt: skip
    """Return states, outputs and the final state of a network that does its task under noise."""
    n_steps, n_trials = batch.inputs.shape[:2]
    state = model.initial_state(n_trials, generator, batch.start)
    private = noise.draw(n_steps, n_trials, 1.0, generator)
    inputs = batch.inputs.to(model.hidden(state))
    states, final, _ = model.solve(inputs, state, noise=private, hold=batch.hold)
    return states, model.readout(states, heads), final


def start_states(model: Model, start: str, batch: Batch, final: States, n_trials: int, generator: torch.Generator) -> States:  # fmt: skip
    """Return states to begin a silent run from; see `STARTS`.

    Parameters
    ----------
    model : Model
        The network.
    start : str
        One of `STARTS`.
    batch : Batch
        Trials with the codes that it starts from, where it has a start.
    final : tuple of layer states
        At the end of the task's trials, at least as many as asked for.
    n_trials : int
        Number of runs.
    generator : torch.Generator
        Source of chance.
    """
    if start == "rest":
        return model.initial_state(n_trials, generator)
    if batch.start is not None:
        active = model.initial_state(n_trials, generator, batch.start[:n_trials])
    else:
        active = tuple(tuple(part[:n_trials] for part in layer) for layer in final)
    if start == "active":
        return active
    if start == "common":
        return tuple(tuple(part[:1].expand(n_trials, *part.shape[1:]) for part in layer) for layer in active)

    def shuffle(part: Tensor) -> Tensor:
        chosen = torch.randint(len(part), (n_trials, *part.shape[1:]), generator=generator, device=generator.device)
        return part.gather(0, chosen)

    return tuple(tuple(shuffle(part) for part in layer) for layer in final)


@dataclass(frozen=True)
class Silence:
    """What is read of silent runs.

    Attributes
    ----------
    positions : Tensor [time, run, coordinate]
        Decoded, on the CPU.
    covariance : Tensor [unit, unit]
        Of the states in the later half.
    norm, peak : float
        Mean norm of the states and mean of the largest output, in the later half.
    shown, shown_at : Tensor [state, unit], [state, coordinate]
        States of the later half, of every so many steps, and the positions that they are decoded as.
    """

    positions: Tensor
    covariance: Tensor
    norm: float
    peak: float
    shown: Tensor
    shown_at: Tensor


def rest(
    model: Model,
    state: States,
    heads: Sequence[str],
    decoder: Decoder,
    noise: Callable[[int], Tensor | None],
    n_steps: int,
) -> Silence:
    """Leave a network without input.

    Parameters
    ----------
    model : Model
        The network.
    state : tuple of layer states
        To begin from.
    heads : sequence of str
        Heads that are read out.
    decoder : Decoder
        How positions are read.
    noise : callable
        From a number of steps to their noise, ``[time, run, unit]`` or ``None``.
    n_steps : int
        Number of steps.

    Raises
    ------
    InputError
        If the activity does not stay finite.
    """
    found = _Collected(model.hidden(state))
    positions = []
    done = 0
    while done < n_steps:
        length = min(_CHUNK, n_steps - done, n_steps // 2 - done if done < n_steps // 2 else n_steps)
        inputs = model.hidden(state).new_zeros(length, len(state[0][0]), model.n_inputs)
        states, state, _ = model.solve(inputs, state, noise=noise(length))
        if not states[-1].isfinite().all():
            raise InputError(f"the activity is not finite after {done + length} silent steps: expected fewer n_steps")
        outputs = model.readout(states, heads)
        positions.append(decoder.decode(states, outputs).cpu())
        if done >= n_steps // 2:
            found.add(states, outputs, positions[-1])
        done += length
    return found.result(torch.cat(positions))


def summed(states: Tensor, outputs: Tensor, positions: Tensor) -> Silence:
    """Return the same of the states ``[time, trial, unit]`` of a task."""
    found, positions = _Collected(states[0]), positions.cpu()
    for blocks in zip(*(series.split(_TENTH) for series in (states, outputs, positions)), strict=True):
        found.add(*blocks)
    return found.result(positions)


class _Collected:
    """Sums over blocks of steps."""

    def __init__(self, like: Tensor) -> None:
        n_units = like.shape[1]
        self._n, self._norm, self._peak = 0, 0.0, 0.0
        self._sum = like.new_zeros(n_units, dtype=torch.float64)
        self._products = like.new_zeros(n_units, n_units, dtype=torch.float64)
        self._shown: list[tuple[Tensor, Tensor]] = []

    def add(self, states: Tensor, outputs: Tensor, positions: Tensor) -> None:
        flat = states.flatten(0, 1).double()
        self._n += len(flat)
        self._norm += float(flat.norm(dim=1).sum())
        self._peak += float(outputs.amax(dim=-1).double().mean()) * len(flat)
        self._sum += flat.sum(dim=0)
        self._products += flat.t() @ flat
        self._shown.append((states[-1], positions[-1]))

    def result(self, positions: Tensor) -> Silence:
        mean = self._sum / self._n
        covariance = self._products / self._n - torch.outer(mean, mean)
        shown, at = (torch.cat(parts) for parts in zip(*self._shown, strict=True))
        return Silence(positions, covariance, self._norm / self._n, self._peak / self._n, shown, at)
