"""The numbers that the claims compare and the figures show, from histories and measurements."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from tauscope.analysis.fit_quality import is_described
from tauscope.papers.vocabulary import Results, Trained

Number = Callable[[xr.Dataset], float]


@cache
def published() -> dict[str, Any]:
    """Return the published values; a mark tells the source of each, explained under ``marks``.

    Examples
    --------
    >>> published()["max_N"]["single"]["trained"], published()["max_N"]["mark"]
    ([37, 33, 35, 35], 'D')
    """
    text = files(__package__).joinpath("published.json").read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


# --- training ---------------------------------------------------------------------------------------------------------


def horizon(results: Results, *conditions: str) -> int:
    """Return the smallest number of epochs of the conditions' longest runs.

    Shorter runs do not count: a run that solves its largest N ends early and keeps that N.

    Examples
    --------
    >>> short, long = ({"epoch": 1}, {"epoch": 2}), ({"epoch": 1}, {"epoch": 2}, {"epoch": 3})
    >>> networks = {"a": [Trained("a", 1, short, {})], "b": [Trained("b", 1, long, {})]}
    >>> horizon(Results(networks, {}), "a", "b")
    2
    """
    return min(max((len(network.history) for network in results.of(name)), default=0) for name in conditions)


def solved_within(results: Results, condition: str, epochs: int) -> list[float]:
    """Return the largest N that each network of a condition solved in its first epochs; 1 if it solved none.

    Examples
    --------
    >>> history = ({"epoch": 1, "Ns": [2], "solved": True}, {"epoch": 2, "Ns": [3], "solved": True})
    >>> results = Results({"single": [Trained("single", 1, history, {})]}, {})
    >>> solved_within(results, "single", 1), solved_within(results, "single", 2)
    ([2.0], [3.0])
    """
    return [
        float(max((record["Ns"][-1] for record in network.history[:epochs] if record["solved"]), default=1))
        for network in results.of(condition)
        if network.history
    ]


def first_solved(network: Trained) -> dict[int, int]:
    """Return the first epoch in which each N was solved.

    Examples
    --------
    >>> first_solved(Trained("single", 1, ({"epoch": 4, "Ns": [2], "solved": True},), {}))
    {2: 4}
    """
    epochs: dict[int, int] = {}
    for record in network.history:
        if record["solved"]:
            epochs.setdefault(record["Ns"][-1], record["epoch"])
    return epochs


def epochs_to_solve(results: Results, condition: str, N: int) -> list[float]:
    """Return the epochs that each network of a condition needed to solve N; infinity if N was not solved.

    Examples
    --------
    >>> history = ({"epoch": 1, "Ns": [2], "solved": True}, {"epoch": 2, "Ns": [3], "solved": False})
    >>> results = Results({"single": [Trained("single", 1, history, {})]}, {})
    >>> epochs_to_solve(results, "single", 2), epochs_to_solve(results, "single", 3)
    ([1.0], [inf])
    """
    networks = [network for network in results.of(condition) if network.history]
    return [float(first_solved(network).get(N, math.inf)) for network in networks]


def power(epochs: Mapping[int, float]) -> tuple[float, float]:
    """Return the power of N with which epochs grow, and r² of that power law: of their logarithm against that of N.

    Examples
    --------
    >>> [round(number, 6) for number in power({2: 3.0, 4: 12.0, 8: 48.0})]
    [2.0, 1.0]
    """
    line = stats.linregress(np.log(list(epochs)), np.log(list(epochs.values())))
    return float(line.slope), float(line.rvalue) ** 2


def steps(network: Trained) -> list[int]:
    """Return the optimiser steps that a network had taken after every epoch.

    Examples
    --------
    >>> record = {"seconds": 2.0, "steps_per_second": 50.0}
    >>> steps(Trained("multi", 1, (record, record), {}))
    [100, 200]
    """
    # The record of an interrupted epoch counts only the steps after the interruption.
    an_epoch = max((round(record["seconds"] * record["steps_per_second"]) for record in network.history), default=0)
    return [an_epoch * (i + 1) for i in range(len(network.history))]


# --- N at which networks can be compared ------------------------------------------------------------------------------


def measured_Ns(results: Results, what: str, condition: str) -> set[int]:
    """Return the N at which all measured networks of a condition were measured.

    Examples
    --------
    >>> some = {("connectivity", 2): xr.Dataset(), ("connectivity", 5): xr.Dataset()}
    >>> networks = [Trained("multi", 1, (), some), Trained("multi", 2, (), {("connectivity", 5): xr.Dataset()})]
    >>> measured_Ns(Results({"multi": networks}, {}), "connectivity", "multi")
    {5}
    """
    each = [{N for name, N in network.measured if name == what} for network in results.of(condition)]
    return set.intersection(*(Ns for Ns in each if Ns)) if any(each) else set()


def common_N(results: Results, what: str, *conditions: str) -> int | None:
    """Return the largest N at which all networks of these conditions were measured; ``None`` without such an N.

    Examples
    --------
    >>> networks = {name: [Trained(name, 1, (), {("connectivity", 5): xr.Dataset()})] for name in ("a", "b")}
    >>> common_N(Results(networks, {}), "connectivity", "a", "b")
    5
    """
    return max(set.intersection(*(measured_Ns(results, what, name) for name in conditions)), default=None)


def at_common_N(
    results: Results, what: str, conditions: Sequence[str], number: Number
) -> tuple[int | None, list[list[float]]]:
    """Return the largest common N, and the numbers of every condition's networks at that N; empty lists without it."""
    N = common_N(results, what, *conditions)
    return N, [[] if N is None else known(results.values(what, name, number, N)) for name in conditions]


def known(values: Sequence[float]) -> list[float]:
    """Return the finite values: a network without an answer is no sample.

    Examples
    --------
    >>> known([1.0, float("nan")])
    [1.0]
    """
    return [value for value in values if math.isfinite(value)]


# --- numbers of a measurement -----------------------------------------------------------------------------------------


def tau_mean(result: xr.Dataset) -> float:
    """Return the mean τ of all units, in steps."""
    return float(result["tau"].mean())


def tau_std(result: xr.Dataset) -> float:
    """Return the standard deviation of τ over all units, in steps."""
    return float(result["tau"].std())


def tau_net_mean(result: xr.Dataset) -> float:
    """Return the mean τ_net of the units with τ_net > 1, the paper's filter, in steps; poor fits do not count."""
    return float(_long_tau_net(result).mean())


def tau_net_std(result: xr.Dataset) -> float:
    """Return the standard deviation of τ_net over the units with τ_net > 1, in steps."""
    return float(_long_tau_net(result).std())


def _long_tau_net(result: xr.Dataset) -> xr.DataArray:
    return result["tau_net"].where(is_described(result) & (result["tau_net"] > 1))


def mean_weight(result: xr.Dataset) -> float:
    """Return the mean recurrent weight off the diagonal, over all gates where a cell has several."""
    return float(result["mean"].mean())


def components(result: xr.Dataset) -> float:
    """Return the number of principal components for 90 % of the variance, mean over trials."""
    return float(result["n_components"].mean())


def without(group: str) -> Number:
    """Return a function of a result that returns the mean relative accuracy without a unit of the group."""

    def number(result: xr.Dataset) -> float:
        own = result["relative_accuracy"].isel(unit=(result["group"] == group).values)
        return float(own.mean()) if own.size else math.nan

    return number


def without_fast_minus_slow(result: xr.Dataset) -> float:
    """Return the relative accuracy without a fastest unit minus the accuracy without a slowest unit."""
    return without("fastest")(result) - without("slowest")(result)


def robustness(result: xr.Dataset) -> float:
    """Return the mean relative accuracy over all ε > 0; log ε is evenly spaced, so the mean measures the area.

    Examples
    --------
    >>> relative = xr.DataArray([[1.0], [0.8], [0.4]], dims=("epsilon", "trial"), coords={"epsilon": [0, 0.1, 1]})
    >>> round(robustness(xr.Dataset({"relative_accuracy": relative})), 3)
    0.6
    """
    relative = result["relative_accuracy"]
    return float(relative.isel(epsilon=(relative["epsilon"] > 0).values).mean())


def retrained(result: xr.Dataset) -> float:
    """Return the relative accuracy after retraining, mean over the N beyond the first."""
    return float(result["relative_accuracy"][1:].mean())


def accuracy_on_smaller(result: xr.Dataset) -> float:
    """Return the mean accuracy on the N below the largest trained N; NaN if the largest is 2."""
    return float(result["accuracy"].isel(N=(result["N"] < _own(result)).values).mean())


def forgotten(result: xr.Dataset) -> float:
    """Return the accuracy on the largest trained N minus the mean accuracy on smaller N."""
    return float(result["accuracy"].sel(N=_own(result))) - accuracy_on_smaller(result)


def _own(result: xr.Dataset) -> int:
    return int(result["N"][result["trained"].values].max())


def beyond(N: int) -> Number:
    """Return a function of a result that returns the mean accuracy of a fresh read-out over trials and larger N."""

    def number(result: xr.Dataset) -> float:
        return float(result["accuracy"].isel(N=(result["N"] > N).values).mean())

    return number


def kept_at(ks: Sequence[int], trained: int) -> Number:
    """Return a function of a result: mean accuracy over N and k in ``ks``, minus that at k = ``trained``."""

    def number(result: xr.Dataset) -> float:
        accuracy = result["accuracy"].mean("N")
        return float(accuracy.sel(k=list(ks)).mean() - accuracy.sel(k=trained))

    return number
