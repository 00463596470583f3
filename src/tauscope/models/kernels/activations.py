"""Pointwise nonlinearities whose derivative follows from their value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """A nonlinearity and its derivative, as the fast recurrence needs them.

    Attributes
    ----------
    function : callable
        ``φ(z)``, differentiable.
    into : callable
        ``into(z, out)`` writes ``φ(z)`` to ``out``.
    backward : callable
        ``backward(gradient, value, out)`` writes ``gradient * φ'(z)`` to ``out``, given the value ``φ(z)``.
    """

    function: Callable[[Tensor], Tensor]
    into: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]


LEAKY_SLOPE = 0.01

ACTIVATIONS: dict[str, Activation] = {
    "leakyrelu": Activation(
        lambda z: torch.nn.functional.leaky_relu(z, LEAKY_SLOPE),
        lambda z, out: _aten.leaky_relu.out(z, LEAKY_SLOPE, out=out),
        lambda g, value, out: _aten.leaky_relu_backward.grad_input(g, value, LEAKY_SLOPE, True, grad_input=out),
    ),
    "relu": Activation(
        torch.relu,
        # Unlike relu.out, which makes a tensor of its own and copies it, this writes where it is told to.
        lambda z, out: torch.clamp_min(z, 0, out=out),
        lambda g, value, out: _aten.threshold_backward.grad_input(g, value, 0.0, grad_input=out),
    ),
    "tanh": Activation(
        torch.tanh,
        lambda z, out: torch.tanh(z, out=out),
        lambda g, value, out: _aten.tanh_backward.grad_input(g, value, grad_input=out),
    ),
    "sigmoid": Activation(
        torch.sigmoid,
        lambda z, out: torch.sigmoid(z, out=out),
        lambda g, value, out: _aten.sigmoid_backward.grad_input(g, value, grad_input=out),
    ),
    "hardtanh": Activation(
        torch.nn.functional.hardtanh,
        lambda z, out: torch.clamp(z, -1.0, 1.0, out=out),
        lambda g, value, out: _aten.hardtanh_backward.grad_input(g, value, -1.0, 1.0, grad_input=out),
    ),
    "identity": Activation(
        lambda z: z,
        lambda z, out: out.copy_(z),
        lambda g, _, out: out.copy_(g),
    ),
}
