"""The timescales of a recording, from its file to a result on disk that is not measured twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from tauscope.analysis.recorded import timescales_of
from tauscope.errors import InputError
from tauscope.measurements import MEASUREMENTS, Measurement
from tauscope.measurements.keeping import Asked, keep, png
from tauscope.measurements.numbers import timescale_numbers
from tauscope.runs.files import write_atomically
from tauscope.runs.recordings import load_recording
from tauscope.runs.results import ANALYSIS, current_result, provenance


@dataclass(frozen=True)
class RecordingAsked:
    """The timescales of a recording.

    Attributes
    ----------
    data : Path
        File that `tauscope.runs.recordings.load_recording` reads.
    output : Path, optional
        Folder of the result; by default ``analysis`` beside the file.
    seed : int
        Of the resamples.
    reading : dict
        ``dt``, ``time_unit``, ``variable``, ``bin_width``, where they are given.
    options : dict
        Further ones of `tauscope.analysis.timescales_of`.
    """

    data: Path
    output: Path | None = None
    seed: int = 0
    reading: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> Path:
        """Return the file of the result; its table and pictures lie beside it."""
        folder = self.data.parent / ANALYSIS if self.output is None else self.output
        return folder / f"{self.data.stem}_timescales.nc"


def recording_timescales(asked: RecordingAsked, environment: dict[str, Any], *, force: bool = False) -> xr.Dataset:
    """Measure the timescales of a recording and keep them with their table and pictures, or read what was kept.

    Parameters
    ----------
    asked : RecordingAsked
        The recording.
    environment : dict
        From `tauscope.runs.environment.environment`.
    force : bool
        Measure again, and overwrite another result.

    Raises
    ------
    InputError
        If the recording cannot be read or measured, or another result is in the way.
    """
    reading = dict(asked.reading)
    how = {name: reading.pop(name) for name in ("variable", "bin_width") if name in reading}
    if "dt" in reading and "bin_width" in how:
        raise InputError(f"dt {reading['dt']:g} with a bin width of {how['bin_width']:g}: expected one of them")
    recording = load_recording(asked.data, **how)
    source = provenance(asked.data, "timescales", {"seed": asked.seed, **asked.reading, **asked.options}, environment)
    kept = None if force else current_result(asked.target, source)
    if kept is None and asked.target.exists() and not force:
        raise InputError(
            f"{asked.target} holds another result (recording, options or version); expected --force to overwrite"
        )
    if kept is None:
        dt = reading.get("dt", recording.dt if recording.dt is not None else 1.0)
        unit = reading.get("time_unit", recording.time_unit)
        generator = torch.Generator().manual_seed(asked.seed)
        kept = timescales_of(recording.activity, dt, time_unit=unit, generator=generator, **asked.options)
        keep(Asked(asked.data, "timescales", asked.target, measurement=_HOW), kept, source)
    no_network: Any = None  # for which these figures do not ask
    for name, draw in _HOW.figures.items():
        path = asked.target.with_name(f"{asked.target.stem}_{name}.png")
        if not path.exists():
            write_atomically(path, png(draw(kept, no_network), asked.data))
    return kept


def recording_numbers(result: xr.Dataset) -> dict[str, float]:
    """Sum up the timescales of a recording.

    Examples
    --------
    >>> activity = torch.randn(4, 200, 2, generator=torch.Generator().manual_seed(0))
    >>> numbers = recording_numbers(timescales_of(activity, dt=0.1, bootstrap=0))
    >>> numbers["units"], numbers["units silent"]
    (2.0, 0.0)
    """
    unit = result.attrs["time_unit"]
    described = result["timescale"].where(~result["poor_fit"])
    return {
        f"median timescale ({unit})": float(described.median()),
        f"median ACW-50 ({unit})": float(result["acw_50"].median()),
        f"median ACW-0 ({unit})": float(result["acw_0"].median()),
        "units silent": float(result["dead"].sum()),
        "units recorded for too short": float(result["too_short"].sum()),
        "units with samples that are not finite": float(result["diverged"].sum()),
    } | timescale_numbers(result)


_HOW = Measurement(lambda _: xr.Dataset(), MEASUREMENTS["timescales"].figures, recording_numbers)
"""How a recording is drawn and put in numbers; it is no network that could be measured."""
