"""At which learning rates linear networks train under every map, and how large their gradients become beside their weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import xarray as xr

from tauscope.papers.stable_reparameterisation.linear import MAPS, LinearNetworks, dataset, initial_values
from tauscope.tasks.functional import Functional


def learning_rates(
    generator: torch.Generator,
    *,
    n_networks: int = 5,
    n_units: int = 16,
    rates: Sequence[float] = (5.0, 0.5, 0.05, 0.005, 0.0005),
    n_updates: int = 1000,
) -> xr.Dataset:
    """Train linear networks of every map on the long memory at several learning rates, without clipping or penalty.

    Parameters
    ----------
    generator, n_networks
        As in `linear`.
    n_units : int
        Size m.
    rates : sequence of float
        Learning rates of Adam.
    n_updates : int
        Updates at each.

    Returns
    -------
    Dataset [map, lr, network]
        ``loss`` at the end, in parts of that of answering 0, infinite where a network diverged; ``largest_ratio``, the largest
        |∂L/∂w| / |w| of any unit in the course of training, and ``largest_gradient``, the largest |∂L/∂w|.
    """
    initial = initial_values(n_networks, n_units, generator)
    several = {name: torch.stack([value] * len(rates)) for name, value in initial.items()}
    networks = LinearNetworks.start(tuple(MAPS.values()), "pol", several)
    lr = torch.tensor(rates, dtype=torch.float64, device="cpu")[:, None].expand(len(MAPS), -1, n_networks)
    networks.train(n_updates, lr, clip=math.inf, margin=0.0)
    loss = (networks.loss() / Functional("pol").power).nan_to_num(nan=math.inf, posinf=math.inf)
    dims = ("map", "lr", "network")
    return dataset(
        {
            "loss": (dims, loss),
            "largest_ratio": (dims, networks.largest_ratio),
            "largest_gradient": (dims, networks.largest_gradient),
        },
        {"map": tuple(MAPS), "lr": rates},
    )
