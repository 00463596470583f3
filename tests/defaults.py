"""Torch's defaults, changed for as long as a test looks at what follows from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

DEFAULTS = ("float64", "bfloat16", "meta")
"""Names of dtypes and of a device on which nothing can be computed."""


@contextlib.contextmanager
def default(name: str) -> Iterator[None]:
    """Make a dtype or the device "meta" torch's default."""
    before = torch.get_default_dtype()
    try:
        if name == "meta":
            torch.set_default_device("meta")
        else:
            torch.set_default_dtype(getattr(torch, name))
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before)
