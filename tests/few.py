"""Options with which a measurement takes little time, by what it declares: a new measurement needs no line here."""

from __future__ import annotations

from typing import Any

from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.measurements.options import options_of

ON_BITS: dict[str, Any] = {
    "n_trials": 5, "n_steps": 80, "n_sequences": 32, "burn_in": 10, "max_lag": 35, "bootstrap": 2, "n_starts": 5,
    "max_iterations": 20, "n": 2, "sizes": (0.1, 1.0), "n_draws": 1, "n_Ns": 2, "epochs": 2, "steps_per_epoch": 2,
    "batch_size": 8, "test_steps": 1, "beyond": 2, "ks": (1, 2), "timed": False,
}  # fmt: skip
ON_TRIALS: dict[str, Any] = {"n_trials": 12, "sizes": (0.1,), "n_draws": 1}


def few(name: str, subject: Subject) -> dict[str, Any]:
    """Return small values of the options that a measurement of this network has."""
    small = ON_TRIALS if subject.bits is None else ON_BITS
    return {option: value for option, value in small.items() if option in options_of(name)}


def applicable(subject: Subject) -> list[str]:
    """Return the names of the measurements that can be made of a network."""
    return [name for name, listed in MEASUREMENTS.items() if not listed.lacks(subject)]
