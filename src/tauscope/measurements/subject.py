"""What is measured: a trained network, and what it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import xarray as xr

from tauscope.analysis.gates import gate_timescales
from tauscope.analysis.trials import trial_gate_timescales
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
    """

    model: Model
    task: Task
    trained: tuple[int, int]
    seed: int
    course: Mapping[int, Model] = field(default_factory=dict)

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
        return analysis(self.model, **(self.drive() | options))

    def trials(self) -> Task:
        """Return the task as one of trials of one length: bits end with the question for the largest N."""
        if self.bits is None:
            return self.task
        N = self.trained[1]
        return self.bits.replace(Ns=(N,), length=max(N, -(-TRIAL_STEPS // self.bits.repeat)))

    def tau(self) -> xr.DataArray | None:
        """Return the units' own timescales: τ, the gates' for gated cells, ``None`` where a cell has neither."""
        if self.model.tau is not None:
            return xr.DataArray(self.model.tau.detach().double().cpu().numpy(), dims="unit")
        state = self.model.initial_state(1)
        if self.model.retention(self.model.hidden(state).new_zeros(1, self.model.n_inputs), state) is None:
            return None
        return self.driven(gate_timescales, trial_gate_timescales)
