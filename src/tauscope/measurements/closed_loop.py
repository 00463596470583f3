"""Clones in the environments of their experts."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from tauscope.analysis.closed_loop import closed_loop
from tauscope.measurements.subject import Subject
from tauscope.tasks.cloning import Cloning


def measure_closed_loop(subject: Subject, **options: Any) -> xr.Dataset:
    """Let a clone act, unshifted and under every shift."""
    return closed_loop(subject.model, subject.task, generator=subject.generator(), **options)


def lacks_loop(subject: Subject) -> str:
    """Say what a network lacks to act in a closed loop; empty if it lacks nothing."""
    if not isinstance(subject.task, Cloning):
        return "the network has no environment to act in: expected one that was trained on the task cloning"
    if subject.task.is_recorded:
        return "the network was trained on recorded demonstrations, in which nothing can act: expected an environment"
    return ""


def closed_loop_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return by shift the mean return, that of the expert, and the first in parts of the second where that is above 0."""
    found: dict[str, float] = {}
    for shift in result["shift"].values:
        own, expert = (float(result[name].sel(shift=shift).mean()) for name in ("return_", "expert"))
        found |= {
            f"return, {shift}": own,
            f"return, {shift} (expert)": expert,
            f"return, {shift}, in parts of the expert's": own / expert if expert > 0 else np.nan,
        }
    return found
