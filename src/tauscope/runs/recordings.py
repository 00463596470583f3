"""Recorded activity from files: NumPy arrays, tables, netCDF, and spike times from NWB."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tauscope._lazy import xr
from tauscope.errors import DamagedFileError, InputError, nearest, require_choice

_DIMENSIONS = ("trial", "time", "unit")


@dataclass(frozen=True)
class Recording:
    """Activity of units in trials.

    Attributes
    ----------
    activity : array [trial, time, unit]
        In float64; NaN behind the end of a trial that is shorter than others.
    dt : float, optional
        Duration of a step, where the file tells it.
    time_unit : str, optional
        Of `dt`, where the file tells it.
    """

    activity: NDArray[np.float64]
    dt: float | None = None
    time_unit: str | None = None


def load_recording(path: Path, *, variable: str | None = None, bin_width: float | None = None) -> Recording:
    """Read a recording.

    Parameters
    ----------
    path : Path
        A ``.npz`` or ``.npy`` file with an array [trial, time, unit]; a ``.csv`` file with a column for every unit and,
        optionally, columns ``trial`` and ``time``; a netCDF file (``.nc``) with a variable of the dimensions trial, time
        and unit, in any order; or an ``.nwb`` file with spike times of units. Without a trial there is one.
    variable : str, optional
        Name of the array in a ``.npz`` or netCDF file; by default ``activity``, or the only one.
    bin_width : float, optional
        Width of the bins in which the spikes of an NWB file are counted, in seconds.

    Returns
    -------
    Recording
        Its activity, with the time step of a column or coordinate ``time``, of a number ``dt`` in a ``.npz`` file, or of
        the bins.

    Raises
    ------
    DamagedFileError
        If the file cannot be read as what its ending says.
    InputError
        If it does not exist, is of another kind, or does not hold a recording.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: expected a file with recorded activity, {_KINDS}")
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{path} ends in {path.suffix!r}: {nearest(path.suffix, _READERS)}")
    nwb = path.suffix.lower() == ".nwb"
    if nwb and bin_width is None:
        raise InputError(f"{path} holds spike times: expected the width of bins in seconds, such as 0.01")
    if not nwb and bin_width is not None:
        raise InputError(
            f"a bin width of {bin_width:g} for {path}: expected it for spike times, in an .nwb file, alone"
        )
    if variable is not None and path.suffix.lower() not in (".npz", ".nc"):
        raise InputError(f"a variable {variable!r} of {path}: expected it of a .npz or .nc file alone")
    try:
        return _READERS[path.suffix.lower()](path, bin_width if nwb else variable)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(f"{path} needs pynwb: expected it installed, by pip install 'tauscope[nwb]'") from error
    except MemoryError as error:
        raise InputError(
            f"{path} needs more memory than there is: expected a smaller recording, or wider bins"
        ) from error
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        RuntimeError,
        csv.Error,
        zipfile.BadZipFile,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DamagedFileError(f"{path} cannot be read: {reason}") from error


def _from_numpy(path: Path, variable: str | None) -> Recording:
    # Opened here, because numpy leaves a damaged file open.
    with path.open("rb") as file:
        content = np.load(file, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return Recording(_in_trials(content, path))
        arrays = {name: content[name] for name in content.files}
    dt = arrays.pop("dt", None)
    if dt is not None and (dt.dtype.kind not in "iuf" or dt.size != 1 or not 0 < dt.item() < np.inf):
        raise InputError(f"{path} holds a dt of {str(dt.tolist())[:40]}: expected one number above 0, such as 0.01")
    name = _chosen(path, variable, arrays)
    return Recording(_in_trials(arrays[name], path), None if dt is None else float(dt.item()))


def _from_table(path: Path, variable: None) -> Recording:
    del variable
    import pandas as pd

    _require_equal_rows(path)
    table = pd.read_csv(path, index_col=False)
    table.columns = pd.Index([_column(str(name)) for name in table.columns])
    units = [name for name in table.columns if name not in _ORDERING]
    if not units or not len(table):
        raise InputError(
            f"{path} has {len(table)} rows and {len(units)} columns of units: expected at least one of each"
        )
    _require_names(path, units)
    words = [name for name in units if table[name].dtype.kind not in "iufb"]
    if words:
        raise InputError(
            f"{path} has words in the column {words[0]!r}: expected numbers in every unit's column, separated by commas"
        )
    if "trial" in table and table["trial"].isna().any():
        missing = int(table["trial"].isna().to_numpy().argmax())
        raise InputError(
            f"{path} has no trial in its row {missing + 2}: expected a trial in every row, or no such column"
        )
    trials = [rows for _, rows in table.groupby("trial", sort=False)] if "trial" in table else [table]
    dt = _time_step([rows["time"].to_numpy() for rows in trials], path) if "time" in table else None
    activity = np.full((len(trials), max(map(len, trials)), len(units)), np.nan)
    for row, rows in zip(activity, trials, strict=True):
        row[: len(rows)] = rows[units].to_numpy(dtype=np.float64)
    return Recording(activity, dt)


def _require_equal_rows(path: Path) -> None:
    """Refuse a table with a row that was cut off, or is too long, which pandas would fill up, or cut."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        names = next(rows, [])
        for row in rows:
            if row and len(row) != len(names):
                raise InputError(
                    f"{path} has {len(row)} fields in its line {rows.line_num} and {len(names)} names in its first: expected as "
                    "many, separated by commas"
                )


_ORDERING = ("trial", "time")
"""Columns of a table that are no units."""


def _column(name: str) -> str:
    """Return the name of a column without spaces around it; of trials and times in lower case."""
    name = name.strip()
    return name.lower() if name.lower() in _ORDERING else name


def _require_names(path: Path, units: Sequence[str]) -> None:
    """Refuse a table whose first line holds no names of units: a row of numbers, or the gap above an index."""
    unnamed = [name for name in units if not name or name.startswith("Unnamed: ")]
    if unnamed:
        raise InputError(
            f"{path} has a column without a name: expected a name for every unit, and no index, as of to_csv(index=False)"
        )
    # A unit can have a number for its name.
    if all(map(_is_number, units)) and not all(name.isdecimal() for name in units):
        raise InputError(f"{path} begins with the numbers {', '.join(units)[:40]}: expected the names of its columns")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _from_netcdf(path: Path, variable: str | None) -> Recording:
    with path.open("rb") as file:
        engine = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    with xr.open_dataset(path, engine=engine, decode_times=False) as dataset:
        kept = dataset.load()
    fitting = {
        name: array for name, array in kept.data_vars.items() if {"time", "unit"} <= set(array.dims) <= {*_DIMENSIONS}
    }
    if not fitting:
        dims = "; ".join(f"{name} [{', '.join(map(str, array.dims))}]" for name, array in kept.data_vars.items())
        raise InputError(f"{path} has no variable [trial, time, unit]: it has {dims or 'none at all'}")
    array = kept[_chosen(path, variable, fitting)]
    if "trial" not in array.dims:
        array = array.expand_dims("trial")
    dt, unit = None, None
    if "time" in array.coords:
        # Of "seconds since 2020-01-01", the unit of a step is the first word.
        dt, unit = _time_step([array["time"].to_numpy()], path), array["time"].attrs.get("units")
        unit = unit if unit is None else str(unit).partition(" since ")[0]
    return Recording(_in_trials(array.transpose(*_DIMENSIONS).to_numpy(), path), dt, unit)


def _from_nwb(path: Path, bin_width: float) -> Recording:
    from pynwb import NWBHDF5IO

    from tauscope.analysis.recorded import bin_spikes

    with NWBHDF5IO(str(path), "r", load_namespaces=True) as file:
        session: Any = file.read()
        if session.units is None or "spike_times" not in session.units.colnames:
            raise InputError(f"{path} holds no units with spike times: expected a table of units that were sorted")
        spikes = [np.asarray(session.units["spike_times"][unit]) for unit in range(len(session.units))]
        if session.trials is not None and len(session.trials):
            starts, stops = (np.asarray(session.trials[name][:]) for name in ("start_time", "stop_time"))
        else:
            every = np.concatenate([*spikes, np.empty(0)])
            starts, stops = (every.min(keepdims=True), every.max(keepdims=True)) if len(every) else (every, every)
    return Recording(bin_spikes(spikes, bin_width, list(zip(starts, stops, strict=True))), bin_width, "s")


_READERS: dict[str, Callable[[Path, Any], Recording]] = {
    ".npz": _from_numpy,
    ".npy": _from_numpy,
    ".csv": _from_table,
    ".nc": _from_netcdf,
    ".nwb": _from_nwb,
}

_KINDS = ", ".join(_READERS)


def _chosen(path: Path, variable: str | None, found: Iterable[Any]) -> Any:
    """Return the name of the array that is meant."""
    names = list(found)
    if variable is not None:
        require_choice(f"variable of {path}", variable, names)
        return variable
    if "activity" in names:
        return "activity"
    if not names:
        raise InputError(f"{path} holds no array: expected one [trial, time, unit]")
    if len(names) != 1:
        raise InputError(f"{path} holds {len(names)} arrays: {nearest('activity', names)}, given by --variable")
    return names[0]


def _in_trials(values: ArrayLike, path: Path) -> NDArray[np.float64]:
    """Return an array [trial, time, unit]; of two dimensions, those are time and unit."""
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise InputError(f"{path} holds {array.dtype}: expected real numbers [trial, time, unit]")
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3:
        raise InputError(f"{path} holds an array of shape {array.shape}: expected [trial, time, unit] or [time, unit]")
    return array.astype(np.float64)


def _time_step(times: list[NDArray[Any]], path: Path) -> float | None:
    """Return the step of times that are evenly spaced in every trial; ``None`` where no trial has two."""
    steps = np.concatenate([np.diff(trial.astype(np.float64)) for trial in times])
    if not len(steps):
        return None
    step = float(np.median(steps))
    if not step > 0 or not np.allclose(steps, step, rtol=1e-3):
        raise InputError(
            f"{path} has times {steps.min():g} to {steps.max():g} apart: expected evenly spaced ones, from past to future"
        )
    return step
