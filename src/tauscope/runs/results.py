"""Measured results on disk: netCDF files that say what they were measured on and by what."""

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
"""Name of the folder in a run's own that keeps its results."""

_PROVENANCE = "tauscope_provenance"
# Stands with the checksum behind the end of the netCDF file, where other readers do not look.
_SEAL = b"tauscope sha256\n"


def provenance(checkpoint: Path, analysis: str, options: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
    """Return what a result was measured on and by what.

    Parameters
    ----------
    checkpoint : Path
        File of the network.
    analysis : str
        Name of the measurement.
    options : dict
        Its options, plain values.
    environment : dict
        Versions, commit, device, threads, as `tauscope.runs.run.environment` gives them.

    Returns
    -------
    dict
        ``checkpoint`` (name), ``sha256`` (of its content), ``analysis``, ``options``, ``environment``.
    """
    return {
        "checkpoint": f"{checkpoint.parent.name}/{checkpoint.name}",
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "analysis": analysis,
        # As they will be read again: JSON knows no tuples.
        "options": json.loads(json.dumps(options)),
        "environment": environment,
    }


def save_result(path: Path, result: xr.Dataset, source: dict[str, Any]) -> None:
    """Write a result and its provenance to a netCDF file with a checksum, all of it or nothing.

    Parameters
    ----------
    path : Path
        Target; its folder must exist.
    result : Dataset
        What was measured.
    source : dict
        From `provenance`.

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
        In memory; the file is closed.
    source : dict
        Its provenance.

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
    """Return the netCDF part of a file, after a look at the checksum, which results of early versions do not have."""
    length = len(_SEAL) + hashlib.sha256().digest_size
    result, end = content[:-length], content[-length:]
    if not end.startswith(_SEAL):
        return content
    if hashlib.sha256(result).digest() != end[len(_SEAL) :]:
        raise ValueError("it is damaged, its checksum does not match its content")
    return result


def _require_modest(content: bytes) -> None:
    """Refuse a netCDF file that unpacks to more than it holds: what is compressed, or was never written."""
    with h5netcdf.File(io.BytesIO(content), "r") as file:
        sizes = [math.prod(one.shape) * np.dtype(one.dtype).itemsize for one in file.variables.values()]
    if sum(sizes) > len(content):
        raise ValueError("it unpacks to more than it holds")


def current_result(path: Path, source: dict[str, Any]) -> xr.Dataset | None:
    """Return the result that a file holds, if it is of the same measurement, options, network and version.

    Parameters
    ----------
    path : Path
        File written by `save_result`; need not exist.
    source : dict
        From `provenance`, of the result that is wanted.

    Raises
    ------
    DamagedFileError
        If there is a file and it is not a result of tauscope.
    """
    if not path.exists():
        return None
    result, there = load_result(path)
    same = all(there.get(key) == source[key] for key in ("sha256", "analysis", "options"))
    return result if same and there["environment"].get("tauscope") == source["environment"]["tauscope"] else None
