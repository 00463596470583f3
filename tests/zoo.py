"""One small network of every kind, for tests of what must run on all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from problems import LinearCell
from tauscope import Heads, LeakyRNN, Model, build_model
from tauscope.models.wrapped import wrap

N_UNITS = 10


class _Step(nn.Module):
    """A step as a user would write it, with parameters of its own."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.W = nn.Parameter(0.4 * torch.randn(N_UNITS, N_UNITS, generator=generator))

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(h @ self.W.t() + x + 0.1)


def _wrapped(generator: torch.Generator) -> Model:
    return wrap(_Step(generator), 1, N_UNITS, heads=Heads(N_UNITS, ["N2", "N3", "N4", "N5"], 2, False, generator))


def _continuous(generator: torch.Generator) -> Model:
    return LeakyRNN(N_UNITS, form="continuous", afunc="tanh", n_heads=4, generator=generator).at_resolution(3)


def _own_cell(generator: torch.Generator) -> Model:
    return Model([LinearCell(1, N_UNITS, generator)], Heads(N_UNITS, ["N2", "N3", "N4", "N5"], 2, False, generator))


ZOO: dict[str, Callable[[torch.Generator], Model]] = {
    "default": lambda generator: LeakyRNN(N_UNITS, n_heads=4, generator=generator),
    "mod": lambda generator: LeakyRNN(N_UNITS, form="mod", afunc="sigmoid", n_heads=4, generator=generator),
    "continuous": _continuous,
    "single head": lambda generator: LeakyRNN(N_UNITS, n_heads=4, shared_head=True, generator=generator),
    "layers": lambda generator: LeakyRNN([5, 5], n_heads=4, generator=generator),
    "mod layers": lambda generator: LeakyRNN([5, 5], form="mod", afunc="relu", n_heads=4, generator=generator),
    "gru": lambda generator: build_model("gru", [6, 4], n_heads=4, generator=generator),
    "lstm": lambda generator: build_model("lstm", N_UNITS, n_heads=4, generator=generator),
    "own cell": _own_cell,
    "wrapped": _wrapped,
}
"""Builders of networks of 10 units with heads for N = 2 … 5, by name."""

LEAKY = ("default", "mod", "continuous", "single head", "layers", "mod layers")
