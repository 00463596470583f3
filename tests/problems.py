"""Systems whose answer is known in closed form or from equations written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from tauscope import Cell, Heads, LeakyCell, Model
from tauscope.models import State, init


class LinearCell(Cell):
    """h ← W h + V x + noise, written as a user would write a cell of one's own."""

    def __init__(self, n_inputs: int, n_units: int, generator: torch.Generator) -> None:
        super().__init__(n_inputs, n_units)
        self.recurrent = nn.Parameter(init.uniform((n_units, n_units), -0.5, 0.5, generator))
        self.input = nn.Parameter(init.uniform((n_units, n_inputs), -1.0, 1.0, generator))

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        (h,) = state
        h = h @ self.recurrent.t() + x @ self.input.t()
        return (h if noise is None else h + noise,)


class Accumulator(Cell):
    """h ← h + x: a cell without parameters, whose state is the running sum of its input."""

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        h = state[0] + x
        return (h if noise is None else h + noise,)


NUMPY_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "leakyrelu": lambda z: np.where(z > 0, z, 0.01 * z),
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}


def leaky_states(model: Model, inputs: Tensor, start: Tensor, noise: np.ndarray | None = None) -> np.ndarray:
    """Return the states ``[time, batch, unit]`` of a leaky network from its equations and weights, in NumPy.

    ``start [batch, unit]`` and ``noise [time, batch, unit]`` hold the units of all layers.
    """
    cells = [cast(LeakyCell, cell) for cell in model.layers]
    stack = [{name: one.detach().numpy() for name, one in cell.state_dict().items()} for cell in cells]
    h = np.split(start.detach().numpy(), len(cells), axis=1)
    states = []
    for t, x in enumerate(inputs.detach().numpy()):
        for i, (cell, own) in enumerate(zip(cells, stack, strict=True)):
            tau, phi = np.maximum(own["raw_tau"] * cell.k, 1.0), NUMPY_ACTIVATIONS[cell.afunc]
            W = own["recurrent.weight"].copy()
            np.fill_diagonal(W, 0)
            drive = h[i] @ W.T + own["recurrent.bias"] + x @ stack[0]["input.weight"].T + stack[0]["input.bias"]
            if i > 0:
                drive += h[i - 1] @ own["from_below.weight"].T + own["from_below.bias"]
            if noise is not None:
                drive += np.split(noise[t], len(cells), axis=1)[i]
            if cell.form == "default":
                h[i] = phi((1 - 1 / tau) * h[i] + drive / tau)
            else:
                h[i] = (1 - 1 / tau) * h[i] + phi(drive) / tau
        states.append(np.concatenate(h, axis=1))
    return np.stack(states)


def linear_model(W: np.ndarray, V: np.ndarray) -> Model:
    """Return the network h ← W h + V x, in float64, with ``W [unit, unit]`` and ``V [unit, channel]``."""
    generator = torch.Generator().manual_seed(0)
    cell = LinearCell(V.shape[1], len(W), generator)
    model = Model([cell], Heads(len(W), ["N2", "N3", "N4"], 2, False, generator)).double()
    with torch.no_grad():
        cell.recurrent.copy_(torch.from_numpy(W))
        cell.input.copy_(torch.from_numpy(V))
    return model


def linear_states(W: np.ndarray, V: np.ndarray, initial: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return the states ``[time, batch, unit]`` of a linear network: h_t = W^t h_0 + Σ_s W^{t-s} V x_s."""
    powers = [np.linalg.matrix_power(W, k) for k in range(len(inputs) + 1)]
    return np.stack(
        [
            initial @ powers[t].T + sum(inputs[s - 1] @ (powers[t - s] @ V).T for s in range(1, t + 1))
            for t in range(1, len(inputs) + 1)
        ]
    )


def delay_line(n_units: int) -> Model:
    """Return a linear network whose unit i repeats the input of i steps before."""
    return linear_model(np.eye(n_units, k=-1), np.eye(n_units, 1))
