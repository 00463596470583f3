"""Runs whose networks answer trials, made without training, and quick measurements of them."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from few import applicable, few
from tauscope.measurements import MEASUREMENTS
from tauscope.measurements.keeping import subject_of
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.config import kind_of
from tauscope.runs.environment import environment
from tauscope.runs.loading import checkpoints_of
from tauscope.runs.published import to_published
from tauscope.runs.results import provenance, save_result
from tauscope.runs.run import Run

MemoryConfig = kind_of("de1")

TRIALS = MemoryConfig(
    task="cd", condition="multitask", then="2afc", num_neurons=12, stim_steps=5, delay_steps=(8,), resp_steps=6, seed=7,
    epochs=2,
)  # fmt: skip


def learn_nothing(base: Path, config: MemoryConfig = TRIALS) -> Path:
    """Make the folder of a run on trials, of two epochs a task, whose checkpoints hold the initial weights."""
    run = base / config.name
    with Run(run, config) as opened:
        opened.begin()
    Ns = [1, 1] if config.then is None else [1, 1, 2, 2]
    records = [
        {"epoch": i, "stage": f"N{N}_N{N}", "loss": 0.5 / i, "fractional_loss": [1.2 / i], "solved": False, "seconds": 1800.0,
         "steps_per_second": 3.0, "finished": i == len(Ns), "epochs": len(Ns)} for i, N in enumerate(Ns, 1)
    ]  # fmt: skip
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for N in set(Ns):
        save_weights(run / f"rnn_N{N}_N{N}", to_published(config.model()))
    return run


def measure_trials(run: Path, names: Collection[str] | None = None) -> None:
    """Keep quick measurements of all checkpoints of a run on trials."""
    (run / "analysis").mkdir(exist_ok=True)
    for checkpoint in checkpoints_of(run):
        subject = subject_of(checkpoint)
        for name in applicable(subject) if names is None else names:
            result = MEASUREMENTS[name].measure(subject, **few(name, subject))
            source = provenance(checkpoint, name, {"seed": 0}, environment("cpu"))
            save_result(run / "analysis" / f"{checkpoint.name}_{name}.nc", result, source)
