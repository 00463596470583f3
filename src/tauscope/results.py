"""Measured results on disk: netCDF files that say what they were measured on and by what."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import xarray as xr

from tauscope.checkpoints import write_atomically
from tauscope.errors import DamagedFileError

ANALYSIS = "analysis"
"""Name of the folder in a run's own that keeps its results."""

_PROVENANCE = "tauscope_provenance"


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
        Versions, commit, device, threads, as `tauscope.runs.environment` gives them.

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
    """Write a result and its provenance to a netCDF file, all of it or nothing.

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
    content = result.assign_attrs({_PROVENANCE: json.dumps(source)}).to_netcdf(engine="h5netcdf")
    write_atomically(path, bytes(content))


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
        result = xr.load_dataset(path, engine="h5netcdf")
    except Exception as error:  # HDF5 raises many kinds of errors on damaged files
        raise DamagedFileError(f"{path} is not a result of tauscope: {str(error).splitlines()[0]}") from error
    try:
        source = json.loads(result.attrs.pop(_PROVENANCE))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} is not a result of tauscope: expected a netCDF file with provenance") from error
    return result, source


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
