"""What a measurement takes: recorded for one network, scaled by the speed of the network at hand."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch

from tauscope.measurements.registry import MEASUREMENTS
from tauscope.measurements.retraining import RETRAINING
from tauscope.measurements.subject import Subject
from tauscope.models.trace import run

_REFERENCE = 0.028
"""Processor seconds in which the network of `Listed.cost` went through the trials of `_seconds`."""

_STEPS, _TRIALS = 500, 100


def estimate(subject: Subject, names: Iterable[str], epochs: int = RETRAINING.epochs) -> dict[str, float]:
    """Estimate the processor seconds of measurements, from a run of the network that takes a fraction of one.

    Parameters
    ----------
    subject : Subject
        The network.
    names : iterable of str
        Keys of `tauscope.measurements.MEASUREMENTS`.
    epochs : int
        Of retraining, at each N.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> costs = estimate(Subject(model, ts.Parity(), (2, 3), seed=0), ["retraining", "balance"])
    >>> costs["retraining"] > 1000 * costs["balance"] > 0
    True
    """
    speed = _seconds(subject) / _REFERENCE
    costs = {name: MEASUREMENTS[name].cost * speed for name in names}
    return costs | ({"retraining": costs["retraining"] * epochs / RETRAINING.epochs} if "retraining" in costs else {})


@torch.no_grad()
def _seconds(subject: Subject) -> float:
    """Return the processor seconds in which a network goes through some trials, after as many to warm up."""
    generator = subject.generator()
    inputs = torch.zeros(_STEPS, _TRIALS, subject.model.n_inputs, dtype=torch.float32, device=generator.device)
    for _ in range(2):
        start = time.process_time()
        run(subject.model, inputs, generator)
        seconds = time.process_time() - start
    return seconds
