"""Every kind of network, small and in float64, for tests of what holds for each of them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tauscope import Heads, LeakyCell, Model
from tauscope.models import BalancedRNN, NoisyGRUCell, NoisyRateCell, ReluRNN
from zoo import N_UNITS, ZOO

N_INPUTS = 1


def heads(generator: torch.Generator) -> Heads:
    return Heads(N_UNITS, [f"N{N}" for N in range(2, 6)], 2, False, generator, bias=False)


def plain_tanh(generator: torch.Generator) -> Model:
    """h ← tanh(W h + V x) with a linear read-out, without any bias."""
    cell = LeakyCell(1, N_UNITS, generator, afunc="tanh", tau=1, bias=False, diagonal=True, start=0.0)
    return Model([cell], heads(generator))


def noisy(form: str) -> Callable[[torch.Generator], Model]:
    def build(generator: torch.Generator) -> Model:
        cell = LeakyCell(1, N_UNITS, generator, form, "tanh", diagonal=form == "default", sigma=0.3)
        return Model([cell], heads(generator))

    return build


def noisy_state(kind: type[NoisyRateCell] | type[NoisyGRUCell]) -> Callable[[torch.Generator], Model]:
    return lambda generator: Model([kind(1, N_UNITS, generator, sigma=0.1)], heads(generator))


def rectified(cell: str) -> Callable[[torch.Generator], Model]:
    return lambda generator: ReluRNN(
        N_UNITS, n_inputs=1, n_outputs=2, cell=cell, generator=generator, lambda_0=0.8, sigma_0=0.2
    )


NETWORKS: dict[str, Callable[[torch.Generator], Model]] = ZOO | {
    "plain tanh": plain_tanh,
    "noisy": noisy("default"),
    "noisy mod": noisy("mod"),
    "noisy rate": noisy_state(NoisyRateCell),
    "noisy gru": noisy_state(NoisyGRUCell),
    "relu": rectified("relu"),
    "hebbian": rectified("hebbian"),
    "relu_gru": rectified("relu_gru"),
    "balanced": lambda generator: BalancedRNN(N_UNITS, n_outputs=2, g=0.5, generator=generator),
}
"""Builders of networks of 10 units and one input, by name."""


def network(name: str) -> Model:
    return NETWORKS[name](torch.Generator().manual_seed(0)).double()
