"""Initial values, drawn from an explicit generator."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tauscope._draws import require_generator
from tauscope.errors import require_count


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw i.i.d. uniform numbers on the generator's device.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    low, high : float
        Interval, ``[low, high)``.
    generator : torch.Generator
        Source of chance.

    Returns
    -------
    Tensor
        The numbers, float32.

    Examples
    --------
    >>> uniform((3,), 1.0, 2.0, torch.Generator().manual_seed(0)).round(decimals=2)
    tensor([1.5000, 1.7700, 1.0900])
    """
    require_generator(generator)
    return torch.empty(shape, dtype=torch.float32, device=generator.device).uniform_(low, high, generator=generator)


def linear_(weight: Tensor, bias: Tensor | None, generator: torch.Generator) -> None:
    """Fill a linear map in place with U(-1/√fan_in, 1/√fan_in), the initialisation of `torch.nn.Linear`.

    Parameters
    ----------
    weight : Tensor [out, in]
        Filled in place.
    bias : Tensor [out], optional
        Filled in place, over the same interval.
    generator : torch.Generator
        Source of chance.

    Examples
    --------
    >>> weight, bias = torch.empty(2, 4), torch.empty(2)
    >>> linear_(weight, bias, torch.Generator().manual_seed(0))
    >>> bool(weight.abs().max() <= 0.5)
    True
    """
    bound = 1 / math.sqrt(weight.shape[1])
    with torch.no_grad():
        for tensor in (weight,) if bias is None else (weight, bias):
            tensor.copy_(uniform(tuple(tensor.shape), -bound, bound, generator))


def linear(n_in: int, n_out: int, generator: torch.Generator, bias: bool = True) -> nn.Linear:
    """Return a `torch.nn.Linear` initialised by `linear_` instead of the global generator.

    Examples
    --------
    >>> linear(4, 2, torch.Generator().manual_seed(0)).weight.shape
    torch.Size([2, 4])
    """
    require_generator(generator)
    require_count("number of inputs", n_in)
    require_count("number of units", n_out)
    module = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=bias, dtype=torch.float32, device=generator.device)
    linear_(module.weight, module.bias, generator)
    return module


def linear_of(weight: Tensor, bias: bool = True) -> nn.Linear:
    """Return the linear map of a weight ``[to, from]``, with a bias of zeros or without one.

    Examples
    --------
    >>> linear_of(torch.ones(1, 2))(torch.tensor([1.0, 2.0]))
    tensor([3.], grad_fn=<ViewBackward0>)
    """
    linear = nn.utils.skip_init(
        nn.Linear, weight.shape[1], weight.shape[0], bias=bias, dtype=weight.dtype, device=weight.device
    )
    linear.weight = nn.Parameter(weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
