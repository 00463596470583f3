"""The networks of the studies: a small world of spiking units, its pruned variants, and many variants run side by side."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tauscope._draws import normal, uniform
from tauscope.analysis.lyapunov import advance, forward_derivatives
from tauscope.analysis.pruning import LyapunovNoise, prune
from tauscope.analysis.transforms import SilencedCell
from tauscope.models import Heads, LIFCell, Model, small_world

REWIRED = 0.2
GAIN, INPUT_GAIN = 8.0, 8.0
MEAN_TAU, TAU_SHAPE = 4.0, 1.5
"""Setting Q of the trials: share of the synapses that are rewired, spread of the weights, and timescales in steps."""

TIMESCALES = ("gamma", "equal")
"""Of the units: drawn from a gamma distribution, or all alike with the same mean."""


def spiking_network(n_units: int, n_neighbours: int, generator: torch.Generator) -> dict[str, Model]:
    """Draw a network in float64, with timescales of both kinds: weights are the same, and so is the mean of τ.

    Parameters
    ----------
    n_units, n_neighbours : int
        Units, and synapses into each of them.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    dict of Model
        By `TIMESCALES`, with one input and a head ``out`` for three numbers.
    """
    cell = LIFCell(1, n_units, generator, mean_tau=MEAN_TAU, tau_shape=TAU_SHAPE)
    graph = small_world(n_units, n_neighbours, REWIRED, generator)
    with torch.no_grad():
        cell.recurrent.weight.copy_(GAIN / n_neighbours**0.5 * graph * normal((n_units, n_units), generator))
        cell.input.weight.copy_(INPUT_GAIN * (2 * uniform((n_units, 1), generator) - 1))
    model = Model([cell], Heads(n_units, ["out"], 3, False, generator)).double().requires_grad_(False)
    equal = copy.deepcopy(model)
    tau = equal.layers[0].weights()["raw_tau"]
    tau.put(torch.full_like(tau.tensor, float(tau.tensor.mean())))
    return {"gamma": model, "equal": equal}


@dataclass(frozen=True)
class Variant:
    """A way to prune a network.

    Attributes
    ----------
    rule : str or tuple of int
        A method of `tauscope.analysis.prune`, or the steps of `LyapunovNoise`.
    rescale : str
        As of `tauscope.analysis.prune`.
    """

    rule: str | tuple[int, ...]
    rescale: str = "radius"


LNP, LNP_1 = "LNP 1-3", "LNP 1"
RIVALS = ("random", "magnitude", "noise on W")
PLAIN = ", not rescaled"
"""Behind the name of a variant whose weights stay as they are."""

_RULES: dict[str, str | tuple[int, ...]] = {
    "random": "random",
    "magnitude": "magnitude",
    "noise on W": "noise",
    LNP_1: (1,),
    LNP: (1, 2, 3),
}

COMBINATIONS: dict[str, tuple[int, ...]] = {
    "random": (), LNP_1: (1,), "LNP 2": (2,), "LNP 3": (3,), "LNP 1+2": (1, 2), "LNP 1+3": (1, 3), "LNP 2+3": (2, 3), LNP: (1, 2, 3)
}  # fmt: skip
"""All combinations of steps; with none of them, removal is random."""

VARIANTS: dict[str, Variant] = {
    **{name: Variant(rule) for name, rule in _RULES.items()},
    "activity": Variant("activity"),
    **{name: Variant(steps) for name, steps in COMBINATIONS.items() if steps and name not in _RULES},
    "LNP 1, weights / p": Variant((1,), "probability"),
    **{name + PLAIN: Variant(rule, "none") for name, rule in _RULES.items()},
}

OF_UNITS = ("activity", "LNP 2", "LNP 1+2", "LNP 1+3", "LNP 2+3")
"""Variants that are others, or the same as others, where no unit is removed."""


def pruned(
    model: Model, variant: Variant, shares: tuple[float, float], seed: int, inputs: Tensor, exponents: ArrayLike
) -> Model:
    """Return a variant of a network with shares of its synapses and units, of the first the share of all that it had."""
    rule = variant.rule if isinstance(variant.rule, str) else LyapunovNoise(variant.rule, node_exponents=exponents)
    generator = torch.Generator().manual_seed(seed)
    return prune(model, rule, shares[0], shares[1], variant.rescale, generator, inputs)


class Stack(NamedTuple):
    """Variants of one network of spiking units, side by side."""

    cell: LIFCell
    """The cell that all have but for their recurrent weights."""
    recurrent: Tensor
    """``[variant, to, from]``"""
    alive: Tensor
    """1 for the units that are left, ``[variant, unit]``."""

    @classmethod
    def of(cls, models: Sequence[Model]) -> Stack:
        """Stack networks that `pruned` made of one."""
        cells = [model.layers[0] for model in models]
        first = cells[0].intact
        assert isinstance(first, LIFCell)
        recurrent = torch.stack([cell.weights()["recurrent.weight"].value for cell in cells])
        alive = torch.stack([cell.mask for cell in cells if isinstance(cell, SilencedCell)])
        return cls(first, recurrent, alive)

    def current(self, inputs: Tensor) -> Tensor:
        """Return what inputs ``[time, channel]`` bring to every unit, bias included, ``[time, unit]``."""
        weight, bias = self.cell.input_map()
        return inputs @ weight.t() + bias

    def membranes(self, current: Tensor, before: Tensor) -> Tensor:
        """Return the membranes ``[variant, unit]`` after a step."""
        spikes = self.cell.spikes(before)
        drive = (self.recurrent @ spikes.unsqueeze(-1)).squeeze(-1) + current
        return self.cell.integrate(drive, before) * self.alive


@torch.no_grad()
def traces(stack: Stack, inputs: Tensor) -> Tensor:
    """Run all variants along inputs ``[time, channel]`` from rest, and return their traces ``[time, variant, unit]``."""
    membranes = follow = torch.zeros_like(stack.alive)
    kept = torch.empty(len(inputs), *stack.alive.shape, dtype=membranes.dtype, device="cpu")
    for t, current in enumerate(stack.current(inputs)):
        membranes = stack.membranes(current, membranes)
        follow = stack.cell.follow(follow, membranes) * stack.alive
        kept[t] = follow
    return kept


@torch.no_grad()
def exponents(stack: Stack, inputs: Tensor, n_exponents: int, burn_in: int, generator: torch.Generator) -> Tensor:
    """Return the largest exponents of the membranes of all variants along inputs, ``[variant, exponent]``, in nats a step.

    A silent unit stays at 0: no direction along it survives a step, so that exponents are those of the units that are left.
    """

    def step(current: Tensor, membranes: Tensor, noise: None) -> Tensor:
        del noise
        return stack.membranes(current, membranes)

    z = torch.zeros_like(stack.alive)
    Q = torch.linalg.qr(normal((*z.shape, n_exponents), generator).to(z)).Q
    growth = torch.zeros(len(z), n_exponents, dtype=torch.float64, device="cpu")
    with forward_derivatives():
        for t, current in enumerate(stack.current(inputs)):
            z, Q, logarithms = advance(step, current, z, Q)
            if t >= burn_in:
                growth += logarithms
    return (growth / (len(inputs) - burn_in)).sort(dim=1, descending=True).values
