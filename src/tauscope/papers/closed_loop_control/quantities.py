"""The numbers that the claims compare and the figures show: one for each network, in the order of their seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

from tauscope.errors import InputError
from tauscope.papers.vocabulary import Results

Array = NDArray[np.float64]

UNSHIFTED = "none"


def study(results: Results) -> xr.Dataset:
    """Return the study of matrices at the start.

    Raises
    ------
    InputError
        If it failed.

    Examples
    --------
    >>> study(Results({}, {}))
    Traceback (most recent call last):
    tauscope.errors.InputError: study starts failed: it was not made
    """
    if "starts" not in results.studies:
        raise InputError(f"study starts failed: {results.failed_studies.get('starts', 'it was not made')}")
    return results.studies["starts"]


def by_seed(results: Results, what: str, condition: str) -> dict[int, xr.Dataset]:
    """Return the results of a measurement of a condition by the number of the network, which has its seed."""
    found = {network.network: network.last(what) for network in results.of(condition)}
    return {number: result for number, result in found.items() if result is not None}


def shared(results: Results, what: str, *conditions: str) -> list[list[xr.Dataset]]:
    """Return the results of conditions for the seeds that all of them have, ``[condition][seed]``."""
    found = [by_seed(results, what, name) for name in conditions]
    seeds = sorted(set.intersection(*(set(each) for each in found)))
    return [[each[seed] for seed in seeds] for each in found]


def kept(result: xr.Dataset, shifts: Sequence[str] | None = None, kind: str | None = None) -> float:
    """Return the mean return over shifts, in parts of the expert's return without a shift.

    Parameters
    ----------
    result : Dataset
        Of `tauscope.closed_loop`.
    shifts : sequence of str, optional
        Names of the shifts; by default all of the kind.
    kind : {"sensors", "body"}, optional
        By default all shifts of both kinds.

    Examples
    --------
    >>> rows = (("shift", "episode"), [[8.0], [4.0], [2.0]])
    >>> coordinates = {"shift": ["none", "noise", "mass"], "kind": ("shift", ["none", "sensors", "body"])}
    >>> result = xr.Dataset({"return_": rows, "expert": (rows[0], [[10.0], [5.0], [5.0]])}, coordinates)
    >>> kept(result), kept(result, kind="body"), kept(result, [UNSHIFTED])
    (0.3, 0.2, 0.8)
    """
    kinds = result["kind"].values
    chosen = (kinds != "none") if kind is None else (kinds == kind)
    if shifts is not None:
        chosen = np.isin(result["shift"].values, shifts)
    returns = result["return_"].mean("episode")
    return float(returns.values[chosen].mean() / result["expert"].sel(shift=UNSHIFTED).mean())


def gains(results: Results, structured: str, dense: str, **which: object) -> Array:
    """Return by how much more of the expert's return a structured network keeps than the dense one of the same seed."""
    ours, theirs = shared(results, "closed_loop", structured, dense)
    numbers = [kept(a, **which) - kept(b, **which) for a, b in zip(ours, theirs, strict=True)]  # type: ignore[arg-type]
    return np.array(numbers)


def mean_ranks(results: Results, conditions: Sequence[str]) -> dict[str, Array]:
    """Return the rank of the return among conditions, averaged over shifts, of every seed that all have; 1 is the best."""
    present = [name for name in conditions if by_seed(results, "closed_loop", name)]
    found = shared(results, "closed_loop", *present) if present else []
    if not found or not found[0]:
        return {}
    returns = np.array([[_shifted(result) for result in each] for each in found])
    ranks = rankdata(-returns, axis=0).mean(axis=2)
    return dict(zip(present, ranks, strict=True))


def _shifted(result: xr.Dataset) -> Array:
    values: Array = result["return_"].mean("episode").values[result["kind"].values != "none"]
    return values


def radius(result: xr.Dataset) -> float:
    """Return the spectral radius of the trained recurrent weights, averaged over gates."""
    return float(result["spectral_radius"].mean())


def rate(result: xr.Dataset) -> float:
    """Return the decay of the gradient in nats a step, averaged over trials."""
    return float(result["rate"].mean())


def recurrent_share(result: xr.Dataset) -> float:
    """Return the share of the variance of W h that five components hold, of the first candidate."""
    chosen = (result["source"] == "recurrent") & (result["gate"] == "first")
    return float(result["share"].values[chosen.values][0])


def state_share(result: xr.Dataset) -> float:
    """Return the share of the variance of the units that five components hold."""
    return float(result["share"].values[(result["source"] == "state").values][0])
