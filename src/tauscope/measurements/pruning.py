"""Pruning of the network at hand: its own trials, or all N that it solved, asked again."""

from __future__ import annotations

from typing import Any

import xarray as xr

from tauscope.analysis.connectivity import recurrent_matrices
from tauscope.analysis.pruned import pruning_curves
from tauscope.errors import NotApplicableError
from tauscope.measurements.making import asked_bits, lacks_question
from tauscope.measurements.subject import TRIAL_STEPS, Subject


def measure_pruning(subject: Subject, **options: Any) -> xr.Dataset:
    """Prune the network by every rule, and ask it its own trials; of bits, every N that it solved."""
    task = subject.task
    if subject.bits is not None:
        Ns = range(subject.trained[0], subject.trained[1] + 1)
        bits = asked_bits(subject)
        if subject.model.heads.shared:
            Ns = range(subject.trained[1], subject.trained[1] + 1)
        steps = max(subject.trained[1], -(-TRIAL_STEPS // bits.repeat))
        task = bits.replace(Ns=tuple(Ns), length=steps)
    return pruning_curves(subject.model, task, generator=subject.generator(), **options)


def lacks_synapses(subject: Subject) -> str:
    """Say what a network lacks to be pruned; empty if it lacks nothing."""
    try:
        for cell in subject.model.layers:
            shapes = {tuple(block.shape) for block in recurrent_matrices(cell).values()}
            if shapes != {(cell.n_units, cell.n_units)}:
                return (
                    f"{type(cell).__name__} has recurrent weights that are no synapses between units: expected others"
                )
    except NotApplicableError as error:
        return str(error)
    return lacks_question(subject)
