"""The numbers that the claims compare and the figures show, from histories and measurements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from tauscope.analysis.connectivity import recurrent_matrices
from tauscope.analysis.sequentiality import peak_order, sequentiality_index, task_states, weights_by_peak_difference
from tauscope.measurements import Measurement, Subject
from tauscope.papers.recurrent_memory.conditions import LEARNT
from tauscope.papers.vocabulary import Results, Trained
from tauscope.plotting.sequentiality import plot_peak_order
from tauscope.tasks import BinaryMemoryTask, Task

Number = Callable[[xr.Dataset], float]

BITS = 60
"""Length of the N-parity trials, in bits: as many steps as the trials of the quick scale."""

POOLED_TRIALS = 50
"""Trials whose pairs of units are pooled."""


def trials_of(subject: Subject) -> Task:
    """Return the task of the measured trials: of N-parity the largest trained N alone, in trials of `BITS` bits."""
    if isinstance(subject.task, BinaryMemoryTask):
        return subject.task.replace(Ns=(subject.trained[1],), length=BITS)
    return subject.task


def sequences(subject: Subject, n_trials: int = 300) -> xr.Dataset:
    """Measure sequentiality, and mean weights by the order of peaks.

    Parameters
    ----------
    subject : Subject
        The network and its task.
    n_trials : int
        Number of trials.

    Returns
    -------
    Dataset
        Means over trials of the robust index, its ``entropy``, ``baseline`` and number of units, and of the
        ``published`` index; ``forward`` and ``backward`` mean weights between units by the order of their peaks, with
        ``weight [difference]``; and the mean activity ``[time, rank]`` of the units in the order of their peaks.
    """
    generator = subject.generator()
    states, _ = task_states(subject.model, trials_of(subject), n_trials, generator)
    robust = sequentiality_index(states, generator=generator)
    published = sequentiality_index(states, mode="reference")["sequentiality"]
    order = peak_order(states).reset_index("rank")
    weights = list(recurrent_matrices(subject.model.layers[0]).values())
    # In gated networks the weights of the candidate come last.
    between = weights_by_peak_difference(weights[-1], states[:, :POOLED_TRIALS, : len(weights[-1])])
    with np.errstate(invalid="ignore"):
        means = {name: robust[name].mean("trial") for name in ("sequentiality", "entropy", "baseline", "n_units")}
    return xr.Dataset(
        means | {"published": published.mean("trial"), "activity": order["activity"]}
        | {name: between[name] for name in ("forward", "backward", "weight", "std", "n_pairs")},
        attrs={"n_trials": n_trials, "units": "nats"},
    )  # fmt: skip


def _numbers(result: xr.Dataset) -> dict[str, float]:
    return {
        "sequentiality index (nats)": float(result["sequentiality"]),
        "of the same activity with time shuffled (nats)": float(result["baseline"]),
        "published sequentiality index (nats)": float(result["published"]),
        "entropy of peak times (nats)": float(result["entropy"]),
        "active units": float(result["n_units"]),
        "mean weight to a later peak": float(result["forward"]),
        "mean weight to an earlier peak": float(result["backward"]),
    }


MEASUREMENTS = {
    "sequences": Measurement(sequences, {"": lambda result, _: plot_peak_order(result)}, _numbers),
}


# --- numbers of a network ---------------------------------------------------------------------------------------------


def learnt(network: Trained) -> bool:
    """Return whether a network learnt its task: N-parity if it solved an N, others with a fractional loss below 0.5.

    Examples
    --------
    >>> learnt(Trained("basic_2afc", 1, ({"fractional_loss": [0.1], "solved": False},), {}))
    True
    """
    if not network.history:
        return False
    last = network.history[-1]
    return network.solved > 1 if "accuracy" in last else last["fractional_loss"][-1] < LEARNT


def value(network: Trained, number: Number, what: str = "sequences") -> float:
    """Return a number of a network's last result of a measurement; NaN without a result or if it did not learn.

    Examples
    --------
    >>> math.isnan(value(Trained("basic_2afc", 1, (), {}), index))
    True
    """
    result = network.last(what)
    return number(result) if result is not None and learnt(network) else math.nan


def index(result: xr.Dataset) -> float:
    """Return the sequentiality index, in nats."""
    return float(result["sequentiality"])


def forward_surplus(result: xr.Dataset) -> float:
    """Return by how much weights to later peaks exceed those to earlier ones."""
    return float(result["forward"] - result["backward"])


def start(network: Trained) -> tuple[float, float]:
    """Return λ0 and σ0 of a network.

    Examples
    --------
    >>> start(Trained("", 1, (), {}, options={"lambda_val": 0.9, "sigma_val": 0.025, "num_neurons": 100}))
    (0.9, 0.25)
    """
    options: Mapping[str, Any] = network.options
    return options["lambda_val"], round(options["sigma_val"] * math.sqrt(options["num_neurons"]), 4)


# --- numbers of many networks -----------------------------------------------------------------------------------------


def values(results: Results, condition: str, number: Number = index, what: str = "sequences") -> list[float]:
    """Return a number of every network of a condition that learnt its task."""
    found = [value(network, number, what) for network in results.of(condition)]
    return [number for number in found if math.isfinite(number)]


def differences(results: Results, first: str, second: str) -> list[float]:
    """Return by how much the index of a network of the first condition exceeds that of its partner in the second.

    Partners have the same start and seed; a pair is left out unless both networks learnt their task.
    """
    partners = {(*start(network), network.options["seed"]): value(network, index) for network in results.of(second)}
    pairs = [
        value(network, index) - partners.get((*start(network), network.options["seed"]), math.nan)
        for network in results.of(first)
    ]
    return [difference for difference in pairs if math.isfinite(difference)]


def against_sigma(results: Results, condition: str) -> tuple[list[float], list[float]]:
    """Return σ0 and the index of every network of a condition that learnt its task."""
    found = [(start(network)[1], value(network, index)) for network in results.of(condition)]
    known = [(sigma, index) for sigma, index in found if math.isfinite(index)]
    return [sigma for sigma, _ in known], [index for _, index in known]
