"""Linear networks of several sizes: does a larger network bear less?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import xarray as xr
from torch import Tensor

from tauscope.analysis.perturbation_error import BETAS
from tauscope.papers.stable_reparameterisation.conditions import COMPARED
from tauscope.papers.stable_reparameterisation.linear import MAPS, PARTS, RHOS, LinearNetworks, dataset, initial_values


def sizes(
    generator: torch.Generator,
    *,
    n_networks: int = 5,
    n_units: Sequence[int] = (8, 16, 32, 64),
    first_updates: int = 500,
    n_updates: int = 20_000,
    lr: float = 0.01,
    n_draws: int = 30,
) -> xr.Dataset:
    """Train larger and larger linear networks, each until its loss is below that of the one before, as published.

    Parameters
    ----------
    generator, n_networks, lr, n_draws
        As in `linear`.
    n_units : sequence of int
        Sizes m, ascending.
    first_updates, n_updates : int
        Updates of the first size, as two published epochs, and of all others at most.

    Returns
    -------
    Dataset [rho, map, units, network]
        ``error [.., part, beta]`` as in `linear`, of the maps direct and softplus, and ``updates``, after how many each stopped.
    """
    errors, updates = [], []
    initial = {m: initial_values(n_networks, m, generator) for m in n_units}
    for rho in RHOS:
        below: Tensor | None = None
        for m in n_units:
            networks = _start(rho, initial[m])
            most = first_updates if below is None else n_updates
            updates.append(networks.train(most, lr, stop_below=below))
            below = networks.loss()
            errors.append(networks.errors(generator, n_draws))
    return _by_size(n_units, errors, "updates", updates)


def optima(
    generator: torch.Generator,
    *,
    n_networks: int = 5,
    n_units: Sequence[int] = (2, 4, 8, 16),
    lrs: Sequence[float] = (0.01, 0.001, 0.0001),
    n_updates: int = 10_000,
    n_draws: int = 30,
) -> xr.Dataset:
    """Train linear networks of several sizes, each to its own optimum as far as Adam finds it, and perturb them.

    Parameters
    ----------
    generator, n_networks, n_draws
        As in `linear`.
    n_units : sequence of int
        Sizes m, each twice the one before.
    lrs : sequence of float
        Learning rates, one after another.
    n_updates : int
        Updates at each.

    Returns
    -------
    Dataset [rho, map, units, network]
        ``error [.., part, beta]`` as in `linear`, of the maps direct and softplus, and ``fell``, the loss before the last learning rate over the
        loss at the end: 1 where nothing was left to gain.
    """
    errors, fell = [], []
    initial = {m: initial_values(n_networks, m, generator) for m in n_units}
    for rho in RHOS:
        for m in n_units:
            networks = _start(rho, initial[m])
            for lr in lrs:
                before = networks.loss()
                networks.train(n_updates, lr)
            fell.append(before / networks.loss())
            errors.append(networks.errors(generator, n_draws))
    return _by_size(n_units, errors, "fell", fell)


def _start(rho: str, initial: Mapping[str, Tensor]) -> LinearNetworks:
    return LinearNetworks.start([MAPS[name] for name in COMPARED], rho, initial)


def _by_size(n_units: Sequence[int], errors: list[Tensor], name: str, numbers: list[Tensor]) -> xr.Dataset:
    shape = (len(RHOS), len(n_units))
    return dataset(
        {
            "error": (("rho", "units", "map", "part", "network", "beta"), torch.stack(errors).unflatten(0, shape)),
            name: (("rho", "units", "map", "network"), torch.stack(numbers).unflatten(0, shape)),
        },
        {"rho": RHOS, "map": COMPARED, "units": n_units, "part": PARTS, "beta": BETAS},
    )
