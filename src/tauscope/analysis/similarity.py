"""How alike the dynamics of networks are: distances by dynamical similarity analysis, between groups and within."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from tauscope.errors import InputError, require_choice, require_count

Array = NDArray[np.float64]

SCORES = ("wasserstein", "angular", "euclidean")
"""How the operators of two networks are compared, as dsa-metric names it."""


def dynamical_similarity(
    activity: Sequence[ArrayLike],
    groups: Sequence[str],
    *,
    n_components: int = 10,
    n_delays: int = 5,
    rank: int = 20,
    score: str = "wasserstein",
    n_permutations: int = 2000,
) -> xr.Dataset:
    """Measure how far apart the dynamics of networks are, by `dsa-metric <https://pypi.org/project/dsa-metric>`_.

    Parameters
    ----------
    activity : sequence of array [trial, time, unit]
        Of every network; the numbers of units may differ.
    groups : sequence of str
        The group of every network, such as its curriculum.
    n_components : int
        Principal components of the activity of each network that are kept; fewer in a network of fewer units.
    n_delays : int
        Steps that stand side by side in the delay embedding.
    rank : int
        Rank of the linear operator that is fitted to the embedding of each network; at most ``n_components * n_delays``.
    score : {"wasserstein", "angular", "euclidean"}
        What is compared: the eigenvalues of the operators ("wasserstein": their mean squared distance under the best
        transport), or the operators themselves under the best rotation.
    n_permutations : int
        Random assignments of the networks to the groups, with which the difference is compared.

    Returns
    -------
    Dataset [network, other]
        ``distance [network, other]``; the coordinate ``group [network]``; ``between`` and ``within``, the mean distances of
        networks of different groups and of the same; ``p_value``, the share of assignments with a difference of the two that
        is at least as large, the true one among them. As attributes the version of dsa-metric and the options.

    Raises
    ------
    InputError
        If dsa-metric is not installed, an option is out of range, there are not two groups, of which one has two networks, or
        the activity is not finite or too short.

    Notes
    -----
    Source: Ostrow, Eisen, Kozachkov & Fiete, *Beyond geometry: comparing the temporal structure of computation in neural
    circuits with dynamical similarity analysis*, NeurIPS 2023; computed by the authors' package, not here. Its delay
    embedding takes activity under input for autonomous: compare networks under the same inputs. The sample size is the
    number of networks, of which the distances are not independent; hence the permutations of networks.
    """
    options = {"n_components": n_components, "n_delays": n_delays, "rank": rank, "n_permutations": n_permutations}
    for name, value in options.items():
        require_count(name, value)
    require_choice("score", score, SCORES)
    if rank > n_components * n_delays:
        raise InputError(
            f"rank is {rank}: expected at most {n_components * n_delays}, the numbers of {n_components} components in {n_delays} delays"
        )
    kept = [_components(states, i, n_components) for i, states in enumerate(activity)]
    pairs = _pairs(groups, len(kept))
    shortest = min(components.shape[1] for components in kept)
    if shortest <= n_delays:
        raise InputError(f"trials have {shortest} steps: expected more than the {n_delays} delays")
    distance, version = _distances(kept, {"n_delays": n_delays, "rank": rank, "score_method": score})
    difference = _difference(distance, groups)
    names = list(groups)
    generator = np.random.default_rng(0)
    shuffled = [_difference(distance, generator.permutation(names)) for _ in range(n_permutations)]
    # Rounding tells equal assignments apart otherwise.
    as_large = sum(value >= difference - 1e-9 * abs(difference) for value in shuffled)
    inside, outside = (distance[tuple(np.array(chosen).T)].mean() for chosen in pairs)
    described = {"long_name": "dynamical distance", "units": "1"}
    return xr.Dataset(
        {
            "distance": (("network", "other"), distance, described),
            "between": ((), float(outside), described),
            "within": ((), float(inside), described),
            "p_value": ((), (1 + as_large) / (1 + n_permutations), {"long_name": "p of equal distances", "units": "1"}),
        },
        coords={"group": ("network", names)},
        attrs={**options, "score": score, "dsa_metric": version, "method": "DSA"},
    )


def _components(activity: ArrayLike, place: int, n: int) -> Array:
    """Return the first principal components of the activity of a network, [trial, time, component]."""
    values = np.asarray(activity)
    if values.ndim != 3 or 0 in values.shape or values.dtype.kind not in "buif":
        raise InputError(
            f"the activity of network {place} has shape {values.shape} and type {values.dtype}: expected real numbers [trial, time, unit]"
        )
    if not np.isfinite(values).all():
        raise InputError(f"the activity of network {place} is not finite: expected a network that stays bounded")
    rows = values.reshape(-1, values.shape[2]).astype(np.float64)
    rows = rows - rows.mean(axis=0)
    axes = np.linalg.eigh(rows.T @ rows)[1][:, ::-1][:, :n]
    return (rows @ axes).reshape(*values.shape[:2], -1)


def _pairs(groups: Sequence[str], n: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the pairs of networks of the same group, and of different ones."""
    if len(groups) != n:
        raise InputError(f"{len(groups)} groups of {n} networks: expected one for each network")
    inside = [pair for pair in itertools.combinations(range(n), 2) if groups[pair[0]] == groups[pair[1]]]
    outside = [pair for pair in itertools.combinations(range(n), 2) if groups[pair[0]] != groups[pair[1]]]
    if not inside or not outside:
        found = ", ".join(dict.fromkeys(groups))
        raise InputError(f"{n} networks of the groups {found}: expected two groups, of which one has two networks")
    return inside, outside


def _difference(distance: Array, groups: Sequence[str] | NDArray[Any]) -> float:
    """Return the mean distance of networks of different groups less that of networks of the same."""
    inside, outside = _pairs(list(groups), len(distance))
    return float(distance[tuple(np.array(outside).T)].mean() - distance[tuple(np.array(inside).T)].mean())


def _distances(activity: Sequence[Array], options: dict[str, Any]) -> tuple[Array, str]:
    """Return the distances of all pairs of networks, and the version of the package that computed them."""
    compare, version = _package()
    # Its rotations start from torch's global generator, and are found by gradients.
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            found = compare([torch.from_numpy(states).float() for states in activity], None, **options).fit_score()
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"dsa-metric cannot compare these networks: {reason}; expected other options") from error
    distance = np.asarray(found, dtype=np.float64).reshape(len(activity), len(activity))
    if not np.isfinite(distance).all():
        raise InputError("dsa-metric gives distances that are not finite: expected a smaller rank, or longer trials")
    return distance, version


def _package() -> tuple[Callable[..., Any], str]:
    from importlib import metadata

    try:
        with warnings.catch_warnings():
            # Of packages that it imports.
            warnings.simplefilter("ignore")
            from DSA import DSA
        return DSA, metadata.version("dsa-metric")
    except ImportError as error:
        raise InputError("dsa-metric is not installed: expected pip install 'tauscope[dsa]'") from error
