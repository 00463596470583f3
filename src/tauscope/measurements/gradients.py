"""Decay of gradients, and recurrent and input drive, of the network at hand in its own trials."""

from __future__ import annotations

from typing import Any

import xarray as xr

from tauscope.analysis.drives import drives, matrices_of
from tauscope.analysis.gradient_decay import gradient_decay
from tauscope.errors import NotApplicableError
from tauscope.measurements.subject import Subject


def measure_gradient_decay(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure how fast derivatives fade in the network's trials."""
    return gradient_decay(subject.model, subject.trials(), generator=subject.generator(), **options)


def measure_drives(subject: Subject, **options: Any) -> xr.Dataset:
    """Measure principal components of drives and activity in the network's trials."""
    return drives(subject.model, subject.trials(), generator=subject.generator(), **options)


def lacks_matrices(subject: Subject) -> str:
    """Say what a network lacks for its drives to be told apart; empty if it lacks nothing."""
    try:
        matrices_of(subject.model.layers[0])
    except NotApplicableError as error:
        return str(error)
    return ""
