"""Measured results on disk: netCDF files with their provenance and a checksum."""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np

from tauscope._lazy import xr
from tauscope.errors import DamagedFileError
from tauscope.runs.files import write_atomically

ANALYSIS = "analysis"
"""Name of the folder in a run folder with the run's results."""

_PROVENANCE = "tauscope_provenance"
# Marks the checksum, which follows the end of the netCDF content, where other readers ignore it.
_SEAL = b"tauscope sha256\n"


def provenance(checkpoint: Path, analysis: str, options: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance of a result: network, measurement, options and environment.

    Parameters
    ----------
    checkpoint : Path
        File of the network.
    analysis : str
        Name of the measurement.
    options : dict
        Options of the measurement, plain values.
    environment : dict
        Versions, commit, device and threads from `tauscope.runs.environment.environment`.

    Returns
    -------
    dict
        ``checkpoint`` (name), ``sha256`` (of its content; ``None`` if the file is gone), ``analysis``, ``options``,
        ``environment``.
    """
    return {
        "checkpoint": f"{checkpoint.parent.name}/{checkpoint.name}",
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest() if checkpoint.exists() else None,
        "analysis": analysis,
        # Through JSON, because options are read back from JSON, where tuples are lists.
        "options": json.loads(json.dumps(options)),
        "environment": environment,
    }


def save_result(path: Path, result: xr.Dataset, source: dict[str, Any]) -> None:
    """Write a result and its provenance to a netCDF file with a checksum, completely or not at all.

    Parameters
    ----------
    path : Path
        File to write; its folder must exist.
    result : Dataset
        Result of a measurement.
    source : dict
        Provenance from `provenance`.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    content = bytes(result.assign_attrs({_PROVENANCE: json.dumps(source)}).to_netcdf(engine="h5netcdf"))
    write_atomically(path, content + _SEAL + hashlib.sha256(content).digest())


def load_result(path: Path) -> tuple[xr.Dataset, dict[str, Any]]:
    """Read a result and its provenance.

    Parameters
    ----------
    path : Path
        File written by `save_result`.

    Returns
    -------
    result : Dataset
        Result in memory; the file is closed.
    source : dict
        Provenance of the result.

    Raises
    ------
    DamagedFileError
        If the file is damaged or was not written by `save_result`.
    """
    try:
        content = _checked(path.read_bytes())
        _require_modest(content)
        result = xr.load_dataset(io.BytesIO(content), engine="h5netcdf")
    except Exception as error:  # HDF5 raises many kinds of errors on damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DamagedFileError(f"{path} is not a result of tauscope: {reason}") from error
    try:
        source = json.loads(result.attrs.pop(_PROVENANCE))
        if not isinstance(source["environment"], dict):
            raise TypeError("an environment by name")
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is not a result of tauscope: expected a netCDF file with provenance") from error
    return result, source


def _checked(content: bytes) -> bytes:
    """Return the netCDF part of a file after comparing its checksum; results of early versions have no checksum."""
    length = len(_SEAL) + hashlib.sha256().digest_size
    result, end = content[:-length], content[-length:]
    if not end.startswith(_SEAL):
        return content
    if hashlib.sha256(result).digest() != end[len(_SEAL) :]:
        raise ValueError("it is damaged, its checksum does not match its content")
    return result


def _require_modest(content: bytes) -> None:
    """Refuse a netCDF file whose variables are larger than the file: compressed variables, or variables without data."""
    with h5netcdf.File(io.BytesIO(content), "r") as file:
        sizes = [math.prod(variable.shape) * np.dtype(variable.dtype).itemsize for variable in file.variables.values()]
    if sum(sizes) > len(content):
        raise ValueError("it unpacks to more than it holds")


def current_result(path: Path, source: dict[str, Any]) -> xr.Dataset | None:
    """Return the result in a file if its measurement, options, network and version are those of ``source``.

    Results outlive their checkpoint, the larger file: where it is gone, the network's name is compared, not its content.

    Parameters
    ----------
    path : Path
        File written by `save_result`; need not exist.
    source : dict
        Provenance of the wanted result, from `provenance`.

    Raises
    ------
    DamagedFileError
        If the file exists and is not a result of tauscope.
    """
    if not path.exists():
        return None
    result, stored = load_result(path)
    network = "checkpoint" if source["sha256"] is None else "sha256"
    same = all(stored.get(key) == source[key] for key in (network, "analysis", "options"))
    return result if same and stored["environment"].get("tauscope") == source["environment"]["tauscope"] else None
