"""What it costs to save the state of a run inside an epoch."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import tauscope as ts
from benchmarks import steps
from tauscope.learning.training import _step
from tauscope.runs.run import Run


def seconds(rounds: int, n_epochs: int = 0) -> float:
    """Return the median time of `Run.save_state` for a network of 500 units.

    Parameters
    ----------
    rounds : int
        Times that it is saved.
    n_epochs : int
        Records of finished epochs, of 100 heads each, that the state carries.

    Returns
    -------
    float
        Seconds, with the flush to the disk of the temporary folder.
    """
    training = steps.training("fp32", 2)
    _step(training)
    training.records = [
        {"epoch": epoch, "Ns": list(range(2, 102)), "loss": 1.0, "accuracy": [0.5] * 100} for epoch in range(n_epochs)
    ]
    times = []
    with tempfile.TemporaryDirectory() as folder, Run(Path(folder) / "run", ts.TrainConfig(seed=0)) as run:
        for _ in range(rounds):
            start = time.perf_counter()
            run.save_state(training)
            times.append(time.perf_counter() - start)
    return statistics.median(times)
