"""Objects that a user names as ``module:Class``."""

from __future__ import annotations

import importlib
from typing import Any

from tauscope.errors import InputError, nearest


def imported(name: str, what: str) -> Any:
    """Import what ``module:Class`` names, which runs the code of that module.

    Parameters
    ----------
    name : str
        An importable module, a colon, and the name of an object in it.
    what : str
        What the object is to be, for errors.

    Raises
    ------
    InputError
        If there is no such module or object.

    Examples
    --------
    >>> imported("tauscope.tasks:Parity", "task").__name__
    'Parity'
    """
    module_name, _, object_name = name.partition(":")
    if not module_name or module_name.startswith("."):
        raise InputError(f"{what} {name!r}: expected module:Class, such as 'mine:Recall'")
    try:
        module = importlib.import_module(module_name)
    except InputError:
        raise
    except Exception as error:  # a module can raise anything
        why = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise InputError(
            f"{what} {name!r}: module {module_name!r} cannot be imported ({why}); expected its folder on PYTHONPATH"
        ) from error
    found = getattr(module, object_name, None)
    if found is None:
        names = [key for key in vars(module) if not key.startswith("_")]
        raise InputError(f"{what} {name!r}: {module_name!r} has no {object_name!r}, {nearest(object_name, names)}")
    return found
