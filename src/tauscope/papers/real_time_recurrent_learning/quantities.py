"""The numbers that the claims compare and the figures show, read from the records of the runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from tauscope.analysis import timescales_summary
from tauscope.papers.vocabulary import Results, Trained

LEVEL = 0.95
"""Score from which on a network counts as one that has learnt."""

LAST = 2
"""Epochs at the end whose mean is the final score."""


def curve(network: Trained) -> list[float]:
    """Return the score of a network after every epoch: a return, or a share of sequences.

    Examples
    --------
    >>> curve(Trained("game5_rtrl", 1, ({"return": [0.5]},), {}))
    [0.5]
    """
    return [float((record.get("return") or record["accuracy"])[-1]) for record in network.history]


def curves(results: Results, condition: str) -> dict[int, list[float]]:
    """Return the score after every epoch, by the number of the network."""
    return {network.network: found for network in results.of(condition) if (found := curve(network))}


def final(results: Results, condition: str) -> dict[int, float]:
    """Return the mean score of the last epochs, by the number of the network."""
    return {number: float(np.mean(found[-LAST:])) for number, found in curves(results, condition).items()}


def epochs_to_learn(results: Results, condition: str) -> dict[int, float]:
    """Return the first epoch with a score of `LEVEL`, by the number of the network; the last epoch where there is none."""
    return {
        number: float(next((epoch for epoch, score in enumerate(found, 1) if score >= LEVEL), len(found)))
        for number, found in curves(results, condition).items()
    }


def learnt(results: Results, condition: str) -> int:
    """Return how many networks reached `LEVEL`."""
    return sum(max(found) >= LEVEL for found in curves(results, condition).values())


def frames(network: Trained) -> float:
    """Return the frames of an epoch of training.

    Examples
    --------
    >>> frames(Trained("game5_rtrl", 1, (), {}, options={"steps_per_epoch": 2, "batch_size": 3, "span": 4}))
    30.0
    """
    return float(network.options["steps_per_epoch"] * network.options["batch_size"] * (network.options["span"] + 1))


def differences(more: Mapping[int, float], less: Mapping[int, float]) -> list[float]:
    """Return by how much the numbers of two conditions differ, pair by pair of networks with the same start.

    Examples
    --------
    >>> differences({1: 3.0, 2: 4.0}, {1: 1.0})
    [2.0]
    """
    return [more[number] - less[number] for number in more if number in less]


def timescale(result: xr.Dataset, name: str) -> float:
    """Return a mean over units of a measurement of timescales, such as ``tau_net_mean``, in steps.

    Examples
    --------
    >>> timescale(xr.Dataset({"tau_net": ("unit", [2.0, 4.0]), "tau": ("unit", [1.0, 2.0])}), "tau_net_mean")
    3.0
    """
    return float(timescales_summary(result)[name].sel(units="all"))
