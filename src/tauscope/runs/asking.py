"""What a run was asked for: its configuration, as its folder keeps it, and which of its epochs belong to it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from tauscope.errors import DamagedFileError, InputError
from tauscope.runs.config import Config, config_of
from tauscope.runs.config.own import NotNamedError
from tauscope.runs.folder import CONFIG, read_options


def read_config(folder: Path) -> Config:
    """Return the configuration of a run folder.

    Raises
    ------
    DamagedFileError
        If there is none or it is not one.
    NotNamedError
        If it names a task or a curriculum of a user's own, which the user has to name too.
    """
    try:
        return config_of(read_options(folder))
    except DamagedFileError:
        raise
    except NotNamedError as error:
        raise NotNamedError(f"the run in {folder} is of the {error}") from error
    except InputError as error:
        raise DamagedFileError(f"{folder / CONFIG}: {error}") from error


_LITTLE = 1 << 28  # bytes


def require_plausible(config: Config, *files: Path) -> None:
    """Refuse a configuration of a large network that no file can hold, before memory is taken for it.

    Files that are not there count for nothing: another process may have given them another name just now.

    Raises
    ------
    DamagedFileError
        If the largest file has no room for the recurrent weights of one layer.
    """
    sizes = {}
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            sizes[file] = file.stat().st_size
    if sizes and ":" not in config.cell and 4 * config.num_neurons**2 > max(*sizes.values(), _LITTLE):
        file = max(sizes, key=lambda path: sizes[path])
        raise DamagedFileError(
            f"{file.parent / CONFIG} is of another network: its num_neurons is {config.num_neurons}, for which {file.name} "
            "has no room"
        )


def asked_for(config: Config, records: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """Return the records of the epochs that a configuration asks for, and whether they are all there.

    Parameters
    ----------
    config : Config
        Its ``epochs`` and ``max_N`` say how far a run goes; the run may have gone further for another one.
    records : list of dict
        Of the epochs of a run, as `read_metrics` gives them.

    Examples
    --------
    >>> records = [{"epoch": N - 1, "stage": f"N{N}_N{N}", "solved": True} for N in (2, 3, 4)]
    >>> kept, finished = asked_for(config_of({"curriculum_type": "single", "max_N": 3}), records)
    >>> len(kept), finished
    (2, True)
    """
    curriculum, epochs = config.curriculum(), config.recipe().epochs
    for i, record in enumerate(records, start=1):
        over = record["epoch"] >= epochs or record.get("stopped_early", False)
        if over or curriculum.ends(record["stage"], record["epoch"], record["solved"]):
            return records[:i], True
    return records, False
