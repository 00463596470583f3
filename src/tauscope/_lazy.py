"""Imports that wait until they are needed, so that `tauscope --help` and every refused command line answer at once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["exports", "torch", "xr"]


class _LazyModule(ModuleType):
    """A module that is imported when something of it is first used."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        # Asked for again, it is found without this function, which takes longer than a small tensor operation.
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import torch
    import xarray as xr
else:
    torch, xr = _LazyModule("torch"), _LazyModule("xarray")


def exports(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package that imports what it hands on when it is first asked for.

    Parameters
    ----------
    package : str
        Name of the package.
    homes : dict
        Names that the package hands on, by the module in which each is defined; a module's own last name stands for
        the module itself.

    Examples
    --------
    >>> get, names = exports("tauscope", {"tauscope.errors": ("InputError", "errors")})
    >>> get("InputError").__name__, get("errors").__name__, "InputError" in names()
    ('InputError', 'tauscope.errors', True)
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(home_of[name])
        value = module if module.__name__ == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted({*vars(sys.modules[package]), *home_of})
