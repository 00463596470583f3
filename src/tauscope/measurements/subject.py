"""What is measured: a trained network, and what it was trained on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import xarray as xr

from tauscope.analysis.gates import gate_timescales
from tauscope.analysis.trials import trial_gate_timescales
from tauscope.errors import InputError, nearest, require_at_least
from tauscope.models.model import Model
from tauscope.models.trace import generator_for
from tauscope.tasks import BinaryMemoryTask, Task

_Analysis = Callable[..., Any]

TRIAL_STEPS = 150
"""Length of the trials of a stream of bits, in steps: that of the published trials of the tasks with a delay, so that
sequentiality indices, which grow with the length, can be compared. It is the same whatever N a network solves."""


@dataclass(frozen=True)
class Subject:
    """A trained network and what it was trained on.

    Attributes
    ----------
    model : Model
        The network, at its own time resolution.
    task : Task
        With all options of its training, as its stage asked it.
    trained : (int, int)
        Smallest and largest N that it solved; of a network that answers trials, the numbers in its stage's name, or 1.
    seed : int
        Of the measurement.
    course : dict of Model
        The network at the start of its training (0) and after epochs of it, where it was kept.
    tell : callable
        Called with how far a long measurement is, in words.
    """

    model: Model
    task: Task
    trained: tuple[int, int]
    seed: int
    course: Mapping[int, Model] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda _: None

    @property
    def bits(self) -> BinaryMemoryTask | None:
        """The task, if it is one of random bits, which go on for as long as one likes; otherwise trials are asked."""
        return self.task if isinstance(self.task, BinaryMemoryTask) else None

    def generator(self) -> torch.Generator:
        """Return a fresh generator on the network's device."""
        return generator_for(self.model, None).manual_seed(self.seed)

    def drive(self) -> dict[str, Any]:
        """Return the options of measurements that drive the network as in training: by random bits, or by its trials."""
        if self.bits is None:
            return {"task": self.task, "generator": self.generator()}
        return {"repeat": self.bits.repeat, "plus_minus": self.bits.plus_minus, "generator": self.generator()}

    def driven(self, by_bits: _Analysis, by_trials: _Analysis, **options: Any) -> Any:
        """Measure by the analysis that drives the network as in training, with its options."""
        analysis = by_trials if self.bits is None else by_bits
        for name in options:
            if name not in (known := inspect.signature(analysis).parameters):
                kind = "answers trials" if self.bits is None else "is driven by random bits"
                choices = nearest(name, [each for each in known if each not in ("model", "task", "generator")])
                raise InputError(f"{name} is no option of a network that {kind}: {choices}")
        return analysis(self.model, **(self.drive() | options))

    def trials(self, steps: int | None = None) -> Task:
        """Return the task as one of trials of one length: bits end with the question for the largest N.

        Parameters
        ----------
        steps : int, optional
            Of a trial of bits, rounded up to whole ones; by default `TRIAL_STEPS`, or as many as the largest N asks for.
        """
        if self.bits is None:
            if steps is not None:
                raise InputError(f"trial_steps is {steps}: expected none, the network's trials have their own length")
            return self.task
        N, repeat = self.trained[1], self.bits.repeat
        if steps is None:
            steps = max(N * repeat, TRIAL_STEPS)
        require_at_least("trial_steps", steps, N * repeat)
        return self.bits.replace(Ns=(N,), length=-(-steps // repeat))

    def tau(self) -> xr.DataArray | None:
        """Return the units' own timescales: τ, the gates' for gated cells, ``None`` where a cell has neither."""
        if self.model.tau is not None:
            return xr.DataArray(self.model.tau.detach().double().cpu().numpy(), dims="unit")
        state = self.model.initial_state(1)
        if self.model.retention(self.model.hidden(state).new_zeros(1, self.model.n_inputs), state) is None:
            return None
        return self.driven(gate_timescales, trial_gate_timescales)
