"""What defines a run: every option of ``tauscope train``, its default, and the folder it is kept in."""

from __future__ import annotations

from typing import Any

from tauscope.errors import InputError, nearest
from tauscope.runs.config.base import Config
from tauscope.runs.config.binary import TrainConfig
from tauscope.runs.config.composed import RunConfig, kind_for
from tauscope.runs.config.memory import MemoryConfig
from tauscope.runs.config.own import allow, is_own
from tauscope.runs.config.setup import SETUPS
from tauscope.runs.config.tracking import TrackingConfig
from tauscope.tasks import POPULATION_TASKS, PUBLISHED_CODES, TASKS

CONFIGS: tuple[type[Config], ...] = (TrainConfig, MemoryConfig, TrackingConfig)
"""Every kind of run that is not of a setup; a setup has one of its own, which `kind_of` makes."""

_KINDS: dict[str, type[Config]] = dict.fromkeys(TASKS, TrainConfig) | dict.fromkeys(POPULATION_TASKS, MemoryConfig)
_KINDS["tracking"] = TrackingConfig

__all__ = [
    "CONFIGS",
    "SETUPS",
    "Config",
    "MemoryConfig",
    "RunConfig",
    "TrackingConfig",
    "TrainConfig",
    "allow",
    "config_of",
    "kind_of",
]


def config_of(options: dict[str, Any]) -> Config:
    """Return the configuration with these options, of the kind that its task has.

    Parameters
    ----------
    options : dict
        Options by name, as `Config.to_dict` gives them; without a ``task``, N-parity is meant.

    Returns
    -------
    Config
        `TrainConfig`, `MemoryConfig`, `TrackingConfig`, or a `RunConfig`.

    Raises
    ------
    InputError
        If the task or an option is unknown or invalid, or names code that `allow` was not told of.

    Examples
    --------
    >>> config_of({"task": "dms"}).name, config_of({"task": "2afc", "sigma_val": 0.01}).name
    ('cumulative_dms_network_1', 'basic_2afc_lambda_0.98_sigma_0.01_network_1')
    """
    task = options.get("task", "parity")
    kind = kind_of(task)
    for name in options:
        others = [task for task, other in _KINDS.items() if name in other.__dataclass_fields__]
        if others and name not in kind.__dataclass_fields__:
            raise InputError(f"{name} is an option of the tasks {', '.join(others)}: expected none for task {task!r}")
    return kind.from_dict(options)


def kind_of(task: object) -> type[Config]:
    """Return the kind of run that a task has.

    Raises
    ------
    InputError
        If there is no such task, or it is code that `allow` was not told of.

    Examples
    --------
    >>> kind_of("COMP").__name__
    'MemoryConfig'
    """
    if is_own(task) or str(task) in SETUPS:
        return kind_for(str(task))
    name = str(task).strip().lower().replace("-", "")
    name = {str(code): known for code, known in PUBLISHED_CODES.items()}.get(name, name)
    if name not in _KINDS:
        codes = ", ".join(f"{code} ({known})" for code, known in PUBLISHED_CODES.items())
        raise InputError(
            f"task {task!r} is unknown: {f'expected {codes}' if name.isdecimal() else nearest(name, [*_KINDS, *SETUPS])}"
        )
    return _KINDS[name]
