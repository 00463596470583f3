"""Measurements of this paper, and the numbers that the claims compare and the figures show."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import xarray as xr

from tauscope.analysis.linearisation import linearise
from tauscope.analysis.travelling_waves import project, travelling_waves
from tauscope.analysis.wave_basis import readout_basis
from tauscope.analysis.wave_operator import embedding, substrate_period, wave_operator
from tauscope.analysis.wave_spectrum import slow_eigenvalues, wave_spectrum
from tauscope.errors import InputError
from tauscope.measurements import Measurement, Subject
from tauscope.models import Model
from tauscope.models.trace import run
from tauscope.papers.travelling_waves.conditions import CODES
from tauscope.papers.vocabulary import Results, Study
from tauscope.plotting.waves import plot_operator, plot_wave_spectrum
from tauscope.tasks.history import History

Number = Callable[[xr.Dataset], float]

ALIGNED = 0.95
"""Correlation with a place of the substrate above which a unit counts as that place."""

_SHOWN = 32
"""Steps of the trial in the figures."""


# --- measurement of a network -----------------------------------------------------------------------------------------


@torch.no_grad()
def accuracy(
    model: Model, task: History, generator: torch.Generator, *, n_batches: int = 10, n_trials: int = 64
) -> float:
    """Return the fraction of right signs over the whole horizon; as published, of 10 batches of 64 trials."""
    sums = []
    for _ in range(n_batches):
        batch = task.sample(n_trials, generator)
        outputs = run(model, batch, generator, heads=list(task.heads), first=task.lags).outputs
        sums.append(torch.stack(task.tally(outputs, batch)).double())
    right, asked = torch.stack(sums).sum(dim=0)
    return float(right / asked)


@torch.no_grad()
def waves(subject: Subject, *, horizon: int | None = None, n_batches: int = 10, n_trials: int = 64) -> xr.Dataset:
    """Measure a network that was trained on a history task.

    Parameters
    ----------
    subject : Subject
        The network; if its start was saved, slow modes are counted before training too.
    horizon : int, optional
        Steps that the network answers; by default those of the checkpoint's stage.
    n_batches, n_trials : int
        Number of batches for the accuracy, and trials of a batch.

    Returns
    -------
    Dataset
        All of `tauscope.analysis.wave_spectrum.wave_spectrum`, `tauscope.analysis.wave_basis.readout_basis` and
        `tauscope.analysis.travelling_waves.travelling_waves` at the fixed point of silence; ``accuracy [horizon]`` at the
        horizon and at twice as many steps; ``count_before``, the number of slow modes before training (NaN if the start
        was not saved); and a trial, as ``substrate [time, lag, component]`` and ``states [time, unit]``.
    """
    task, generator = subject.task, subject.generator()
    if not isinstance(task, History):
        raise InputError("the network repeats no history: expected a network trained on task 'history'")
    task = task.replace(horizon=horizon or task.horizon)
    boundary = task.boundary.numpy()
    network = linearise(subject.model)
    before = len(slow_eigenvalues(linearise(subject.course[0]).recurrent)) if 0 in subject.course else math.nan
    spectrum = wave_spectrum(network.recurrent, wave_operator(boundary), generator=generator)
    basis = readout_basis(network.recurrent, network.readout, boundary)
    horizons = (task.horizon, 2 * task.horizon)
    right = [
        accuracy(subject.model, task.replace(horizon=steps), generator, n_batches=n_batches, n_trials=n_trials)
        for steps in horizons
    ]
    batch = task.sample(n_trials, generator)
    states = run(subject.model, batch, generator, first=task.lags).states.double().cpu().numpy()
    travel = travelling_waves(basis["coordinates"], states, boundary)
    shown = states[:_SHOWN, :1]
    return xr.Dataset(
        {
            **spectrum.data_vars,
            **basis.drop_vars("count").data_vars,
            **travel.rename(lag="place").data_vars,
            "accuracy": ("horizon", right, {"long_name": "accuracy of signs", "units": "1"}),
            "count_before": ((), before, {"long_name": "slow modes before training", "units": "modes"}),
            "substrate": project(basis["coordinates"], shown).isel(trial=0),
            "states": (("time", "unit"), shown[:, 0], {"long_name": "activity", "units": "1"}),
        },
        coords={"horizon": list(horizons)},
    )


MEASUREMENTS = {
    "waves": Measurement(
        waves,
        {
            "spectrum": lambda result, _: plot_wave_spectrum(result),
            "operator": lambda result, _: plot_operator(result["operator"], result.sizes["component"]),
            "theory": lambda result, _: plot_operator(result["theory"], result.sizes["component"]),
        },
        lambda result: {
            "slow modes": float(result["count"]),
            "slow modes of the theory": float(result["rank"]),
            "difference of phases (rad)": float(result["phase_error"]),
            "the same of random matrices (rad)": float(result["null_phase_error"]),
            "intertwining error": float(result["intertwining_error"]),
            "correlation of waves": float(result["wave_correlation"]),
            "best correlation of two units": float(result["unit_correlation"]),
            f"units that are a place of the substrate (correlation above {ALIGNED:g})": open_units(result),
            "accuracy at the longest horizon": longest(result),
            "accuracy at twice that horizon": beyond(result),
        },
    ),
}


# --- the theory alone, without a trained network ----------------------------------------------------------------------


def theory(generator: torch.Generator, *, n_trials: int = 64, horizon: int = 100) -> xr.Dataset:
    """Measure the theory's operators, and tanh networks that embed them.

    Parameters
    ----------
    generator : torch.Generator
        Source of trials and bases.
    n_trials : int
        Trials of each network.
    horizon : int
        Steps that each network answers.

    Returns
    -------
    Dataset [task]
        By task, such as ``T2, d = 8``: ``rank``, the number of slow modes of the operator; ``distinct``, the number of
        their phases; ``period`` in steps; ``accuracy`` of a network of two units for each place of the substrate; ``phase_error`` and
        ``intertwining_error`` of its float32 weights; and ``oldest``, 1 where F reads nothing but the oldest vector.
    """
    rows, names = [], []
    for dim, codes in sorted(CODES.items()):
        for name, code in codes.items():
            task = History(dim=dim, lags=dim, map=code, horizon=horizon)
            names.append(f"{name}, d = {dim}")
            rows.append(_embedded(task, n_trials, generator))
    units = {"period": "steps", "phase_error": "rad"}
    columns = {name: ("task", [row[name] for row in rows], {"units": units.get(name, "1")}) for name in rows[0]}
    return xr.Dataset(columns, coords={"task": names}, attrs={"horizon": horizon})


def _embedded(task: History, n_trials: int, generator: torch.Generator) -> dict[str, float]:
    boundary = task.boundary.numpy()
    operator = wave_operator(boundary)
    weights = [part.astype(np.float32) for part in embedding(boundary, 2 * len(operator), generator=generator)]
    into, recurrent, out = weights
    batch = task.sample(n_trials, generator)
    h, answers = np.zeros((n_trials, len(recurrent)), dtype=np.float32), []
    for u in batch.inputs.numpy():
        h = np.tanh(h @ recurrent.T + u @ into.T)
        answers.append(h @ out.T)
    outputs = torch.from_numpy(np.stack(answers[-task.horizon :])).unsqueeze(-2)
    slow = slow_eigenvalues(operator)
    return {
        "oldest": float(np.abs(boundary[:, task.dim :]).sum() == 0),
        "rank": len(slow),
        "distinct": len(np.unique(np.round(slow, 6) + 0.0)),
        "period": substrate_period(operator),
        "accuracy": float(task.score(outputs, batch)),
        "phase_error": float(wave_spectrum(recurrent, operator, n_matrices=1)["phase_error"]),
        "intertwining_error": float(readout_basis(recurrent, out, boundary)["intertwining_error"]),
    }


STUDIES = (Study("theory", theory),)


# --- numbers of networks ----------------------------------------------------------------------------------------------


def measured(results: Results, condition: str) -> list[xr.Dataset]:
    """Return the last result of every network of a condition."""
    return [result for network in results.of(condition) if (result := network.last("waves")) is not None]


def values(
    results: Results, condition: str, number: Number, where: Callable[[xr.Dataset], bool] = lambda _: True
) -> list[float]:
    """Return a finite number of every network of a condition whose result satisfies ``where``."""
    found = [number(result) for result in measured(results, condition) if where(result)]
    return [value for value in found if math.isfinite(value)]


def epochs_to_solve(results: Results, condition: str) -> list[float]:
    """Return the epochs after which each network of a condition solved the longest horizon; all of them if it did not."""
    longest_horizon = max(record["horizon"] for name in ("T1_random", "T1_theory")
                          for network in results.of(name) for record in network.history)  # fmt: skip
    return [
        float(next((record["epoch"] for record in network.history
                    if record["horizon"] == longest_horizon and record["solved"]), len(network.history)))
        for network in results.of(condition)
    ]  # fmt: skip


def scalar(name: str) -> Number:
    """Return a function of a result that returns one of its variables.

    Examples
    --------
    >>> scalar("count")(xr.Dataset({"count": 16}))
    16.0
    """
    return lambda result: float(result[name])


def longest(result: xr.Dataset) -> float:
    """Return the accuracy at the longest horizon of the training."""
    return float(result["accuracy"][0])


def beyond(result: xr.Dataset) -> float:
    """Return the accuracy at twice the longest horizon of the training."""
    return float(result["accuracy"][1])


def surplus(result: xr.Dataset) -> float:
    """Return the difference between the numbers of slow modes of a network and of the theory."""
    return abs(float(result["count"]) - float(result["rank"]))


def relative_phase_error(result: xr.Dataset) -> float:
    """Return the phase error over the phase error of random orthogonal matrices."""
    return float(result["phase_error"] / result["null_phase_error"])


def hidden(result: xr.Dataset) -> float:
    """Return the correlation of waves minus the correlation of the best pair of units."""
    return float(result["wave_correlation"] - result["unit_correlation"])


def open_units(result: xr.Dataset) -> float:
    """Return the number of units whose activity is that of a place of the substrate."""
    return float((result["alignment"] > ALIGNED).sum())
