"""Random numbers that follow from a generator's seed alone, whatever torch's default dtype and device are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tauscope._lazy import torch
from tauscope.errors import require_count, require_instance

if TYPE_CHECKING:
    from torch import Tensor


def uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw numbers from U[0, 1) in float32, on the generator's device.

    Examples
    --------
    >>> uniform((2,), torch.Generator().manual_seed(0))
    tensor([0.4963, 0.7682])
    """
    require_generator(generator)
    return torch.rand(shape, generator=generator, dtype=torch.float32, device=generator.device)


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers in float32, on the generator's device.

    Examples
    --------
    >>> normal((2,), torch.Generator().manual_seed(0))
    tensor([ 1.5410, -0.2934])
    """
    require_generator(generator)
    return torch.randn(shape, generator=generator, dtype=torch.float32, device=generator.device)


def require_generator(generator: object) -> None:
    """Raise an `InputError` unless it is a generator: chance never comes from anything else.

    Examples
    --------
    >>> require_generator(0)
    Traceback (most recent call last):
    tauscope.errors.InputError: generator is of type int: expected a torch.Generator, as of torch.Generator().manual_seed(0)
    """
    require_instance(
        "generator", generator, torch.Generator, "a torch.Generator, as of torch.Generator().manual_seed(0)"
    )


def require_draw(batch_size: object, generator: object) -> None:
    """Raise an `InputError` unless a batch can be drawn: a whole number of trials, from a generator.

    Examples
    --------
    >>> require_draw(8, torch.Generator())
    """
    require_count("batch size", batch_size)
    require_generator(generator)
