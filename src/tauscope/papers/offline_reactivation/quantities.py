"""What is measured for this paper, and the numbers that the claims compare and the figures show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from tauscope.analysis.density import divergence
from tauscope.analysis.reactivation import reactivation
from tauscope.analysis.trials import trial_timescales
from tauscope.errors import NotApplicableError
from tauscope.measurements import Measurement, Subject
from tauscope.measurements.numbers import reactivation_numbers
from tauscope.papers.vocabulary import Results
from tauscope.plotting.reactivation import plot_divergences, plot_trajectories
from tauscope.tasks import Batch, CodedTask, Head, HeadDirection, PathIntegration, Task

Number = Callable[[xr.Dataset], float]

MATCHED: dict[type[Task], float] = {PathIntegration: 0.01, HeadDirection: 0.1}
"""Noise under which networks that were trained without are measured too: that of the others."""

BOUNDED = (0.5, 2.0)
"""Norms of the states over that in the task between which a network counts as reactivating."""

STATIONARY = 0.1
"""Divergence of the last quarter of silent runs from the one before, in nats, below which they count as stationary."""

_TRIALS = 100


# --- measurement of a network -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Silent(Task):
    """A task whose trials begin as they do and show nothing."""

    task: CodedTask

    source: ClassVar[str] = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_inputs", self.task.n_inputs)

    @property
    def heads(self) -> Mapping[str, Head]:
        """Those of the task."""
        return self.task.heads

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw trials of the task, and take their input away."""
        batch = self.task.sample(batch_size, generator, split)
        return Batch(torch.zeros_like(batch.inputs), batch.targets, start=batch.start)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return that of the task."""
        return self.task.loss(outputs, batch)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return that of the task."""
        return self.task.tally(outputs, batch)


def replay(subject: Subject, *, n_steps: int = 1000, n_trajectories: int = 60, n_samples: int = 4000) -> xr.Dataset:
    """Measure a network without input, and the timescales of its units with input and without.

    Parameters
    ----------
    subject : Subject
        A network that was trained on a `tauscope.tasks.CodedTask`.
    n_steps, n_trajectories, n_samples : int
        As of `tauscope.analysis.reactivation`.

    Returns
    -------
    Dataset
        That of `tauscope.analysis.reactivation`, under the noise of `MATCHED` where the network has none; and ``tau``,
        ``tau_action`` and ``tau_silence``, medians over units of their own timescale and of τ_net in the task and in as many steps
        of silence under the noise of the training, in steps.

    Raises
    ------
    NotApplicableError
        If the network was trained on another task.
    """
    task, model = subject.task, subject.model
    if not isinstance(task, CodedTask):
        raise NotApplicableError(
            "the network decodes no position: expected task 'path-integration' or 'head-direction'"
        )
    own = model.draw_noise(1, 1, subject.generator())
    result = reactivation(
        model, task, sigma=MATCHED[type(task)] if own is None else None, n_steps=n_steps, n_trajectories=n_trajectories,
        n_samples=n_samples, untrained=subject.course.get(0), generator=subject.generator(),
    )  # fmt: skip
    steps = {"units": "steps"}
    told = {"tau": float("nan") if model.tau is None else float(model.tau.median())}
    for name, asked in (("tau_action", task), ("tau_silence", Silent(task))):
        found = trial_timescales(model, asked, n_trials=_TRIALS, generator=subject.generator())
        told[name] = float(found["tau_net"].median())
    return result.assign({name: ((), value, steps) for name, value in told.items()})


def replay_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the numbers of the silent runs, and the timescales."""
    return reactivation_numbers(result) | {
        "median tau (steps)": float(result["tau"]),
        "median tau_net in the task (steps)": float(result["tau_action"]),
        "median tau_net in silence (steps)": float(result["tau_silence"]),
    }


MEASUREMENTS = {
    "replay": Measurement(
        replay,
        {
            "positions": lambda result, _: plot_trajectories(result),
            "runs": lambda result, _: plot_divergences(result),
        },
        replay_numbers,
        lambda subject: "" if isinstance(subject.task, CodedTask) else "the network decodes no position",
    ),
}


# --- numbers of networks ----------------------------------------------------------------------------------------------


def measured(results: Results, condition: str) -> dict[int, xr.Dataset]:
    """Return what was measured of every network of a condition, by the network's number."""
    found = {network.network: network.last("replay") for network in results.of(condition)}
    return {number: result for number, result in found.items() if result is not None}


def values(
    results: Results, condition: str, number: Number, where: Callable[[xr.Dataset], bool] = lambda _: True
) -> list[float]:
    """Return a finite number of every network of a condition whose result satisfies ``where``."""
    found = [number(result) for result in measured(results, condition).values() if where(result)]
    return [value for value in found if math.isfinite(value)]


def of_run(what: str, run: str = "active") -> Number:
    """Return a function of a result that returns a number of one of its runs; not a number where it was not made.

    Examples
    --------
    >>> of_run("kl")(xr.Dataset({"kl": ("run", [0.5])}, {"run": ["active"]}))
    0.5
    """
    return lambda result: float(result[what].sel(run=run)) if run in result["run"].values else math.nan


def scalar(name: str) -> Number:
    """Return a function of a result that returns a number of the network."""
    return lambda result: float(result[name])


def is_bounded(result: xr.Dataset) -> bool:
    """Return whether the activity of a silent run stays as large as that of the task."""
    low, high = BOUNDED
    return low < of_run("norm_ratio")(result) < high


def is_stationary(result: xr.Dataset) -> bool:
    """Return whether the positions of silent runs have settled, so that a drift can be compared with a density."""
    return of_run("stationarity")(result) < STATIONARY


def across(results: Results, silent: str, active: str, run: str = "active") -> list[float]:
    """Return the divergence of the silent positions of a condition from the task's positions of another.

    Networks of the same number have the same cells.
    """
    return list(pairs(measured(results, silent), measured(results, active), run).values())


def pairs(silent: dict[int, xr.Dataset], active: dict[int, xr.Dataset], run: str) -> dict[int, float]:
    """Return the divergences of the positions of a run from those of the task, by the number of the networks."""
    found = {}
    for number in silent.keys() & active.keys():
        if run not in silent[number]["run"].values:
            continue
        some, others = (
            of["positions"].sel(run=name).dropna("sample").values.astype(float)
            for of, name in ((silent[number], run), (active[number], "task"))
        )
        periodic = bool(active[number].attrs["periodic"])
        found[number] = divergence(some, others, periodic=periodic, generator=np.random.default_rng(number))
    return {number: value for number, value in sorted(found.items()) if math.isfinite(value)}


def from_uniform(result: xr.Dataset, run: str = "active") -> float:
    """Return the divergence of the angles of a run from the uniform density of the ring."""
    return divergence(result["positions"].sel(run=run).dropna("sample").values.astype(float), None, periodic=True)


def half_untrained_step(result: xr.Dataset) -> float:
    """Return half of the mean step of the untrained network."""
    return of_run("step", "untrained")(result) / 2
