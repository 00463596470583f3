"""The numbers that the claims compare and the figures show: one of each network, in the order of their seeds."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tauscope.errors import InputError
from tauscope.papers.lyapunov_noise_pruning.networks import COMBINATIONS
from tauscope.papers.lyapunov_noise_pruning.studies import WHOLE
from tauscope.papers.vocabulary import Results

PRUNING = "pruning"

LABELS = {"lorenz": "Lorenz63", "roessler": "Rössler"}
"""Names of the systems in words."""


def study(results: Results, name: str) -> xr.Dataset:
    """Return the result of a study.

    Raises
    ------
    InputError
        If it failed.

    Examples
    --------
    >>> study(Results({}, {}), "prunings")
    Traceback (most recent call last):
    tauscope.errors.InputError: study prunings failed: it was not made
    """
    if name not in results.studies:
        raise InputError(f"study {name} failed: {results.failed_studies.get(name, 'it was not made')}")
    return results.studies[name]


def numbers(
    results: Results, what: str, method: str, system: str, setting: str = "A", timescales: str = "gamma"
) -> NDArray[np.float64]:
    """Return a number of every network, ``[network]``, of the study of all settings.

    Parameters
    ----------
    results : Results
    what : {"nrmse", "rate", "exponent"}
    method, system, setting, timescales : str
        Coordinates of `studies.prunings`.
    """
    found = study(results, "prunings")[what]
    values: NDArray[np.float64] = found.sel(rule=method, system=system, setting=setting, timescales=timescales).values
    return values


def exponent_change(results: Results, method: str, system: str, setting: str) -> NDArray[np.float64]:
    """Return how far the largest exponent of every network with different timescales is from that of the dense one, in nats a step."""
    dense, pruned = (numbers(results, "exponent", name, system, setting) for name in (WHOLE, method))
    return np.abs(pruned - dense)


def step_effect(results: Results, step: int, system: str, setting: str) -> NDArray[np.float64]:
    """Return what a step of the method adds to the error of every network: the mean over all combinations of the other steps.

    Where no unit is removed, step 2 is left out.
    """
    others = [other for other in (1, 2, 3) if other != step and (other != 2 or setting == "B")]
    names = {steps: name for name, steps in COMBINATIONS.items()}
    differences = []
    for chosen in itertools.chain.from_iterable(itertools.combinations(others, n) for n in range(len(others) + 1)):
        with_it = tuple(sorted((*chosen, step)))
        both = (
            numbers(results, "nrmse", name_in(names, taken, setting), system, setting) for taken in (with_it, chosen)
        )
        differences.append(next(both) - next(both))
    mean: NDArray[np.float64] = np.mean(differences, axis=0)
    return mean


def name_in(names: dict[tuple[int, ...], str], steps: tuple[int, ...], setting: str) -> str:
    """Return the name of a combination of steps in a setting: without removed units, both together are called after all three.

    Examples
    --------
    >>> name_in({steps: name for name, steps in COMBINATIONS.items()}, (1, 3), "A")
    'LNP 1-3'
    """
    return names[(1, 2, 3) if steps == (1, 3) and setting != "B" else steps]


def trained(results: Results, condition: str, method: str, share: float) -> list[float]:
    """Return the mean score over heads and draws of every trained network, pruned by a method."""
    found = results.measured(PRUNING, condition)
    return [
        float(own["score"].sel(rule=method).sel(share=share, method="nearest").mean(("draw", "head"))) for own in found
    ]
