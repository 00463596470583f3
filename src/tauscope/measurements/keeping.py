"""One measurement of one checkpoint, from its file to a result on disk that is not measured twice."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tauscope.errors import InputError, NotApplicableError
from tauscope.measurements import MEASUREMENTS, Measurement, Subject
from tauscope.plotting.style import title
from tauscope.runs.files import write_atomically
from tauscope.runs.loading import checkpoints_of, course_of, load, trained_Ns, trained_task
from tauscope.runs.results import ANALYSIS, current_result, provenance, save_result


@dataclass(frozen=True)
class Asked:
    """One measurement of one checkpoint.

    Attributes
    ----------
    checkpoint : Path
        File of the network.
    name : str
        Of the measurement.
    target : Path
        Of the result; its table and pictures lie beside it.
    seed : int
        Of the measurement.
    options : dict
        Further ones of `Measurement.measure`, plain values.
    measurement : Measurement, optional
        How it is measured; by default that of `MEASUREMENTS`.
    """

    checkpoint: Path
    name: str
    target: Path
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    measurement: Measurement | None = None

    @property
    def how(self) -> Measurement:
        """Return how it is measured and shown."""
        return self.measurement or MEASUREMENTS[self.name]

    def source(self, environment: dict[str, Any]) -> dict[str, Any]:
        """Return what the result will say of where it comes from."""
        return provenance(self.checkpoint, self.name, {"seed": self.seed, **self.options}, environment)

    def current(self, environment: dict[str, Any]) -> xr.Dataset | None:
        """Return the result that is on disk, if it is one of this measurement, network, options and version.

        Raises
        ------
        DamagedFileError
            If there is a file and it is not a result of tauscope.
        """
        return current_result(self.target, self.source(environment))


def target(checkpoint: Path, name: str, output: Path | None = None) -> Path:
    """Return where a result is kept: beside its run, or in a folder of results by the run's name.

    Examples
    --------
    >>> target(Path("runs/single_parity_network_1/rnn_N5_N5"), "lyapunov", Path("results")).parts
    ('results', 'single_parity_network_1', 'analysis', 'rnn_N5_N5_lyapunov.nc')
    """
    run = checkpoint.parent if output is None else output / checkpoint.parent.name
    return run / ANALYSIS / f"{checkpoint.name}_{name}.nc"


def subject_of(checkpoint: Path, device: str = "cpu", cell: str | None = None, seed: int = 0) -> Subject:
    """Return a network as it is measured: at the time resolution of its training, with its task.

    Parameters
    ----------
    checkpoint : Path
        Its file, in the folder of its run.
    device : str
        Where it is put.
    cell : str, optional
        ``"module:Class"`` of a user's own cell.
    seed : int
        Of the measurement.

    Raises
    ------
    InputError
        If the file's name does not say what it solved, or it cannot be loaded.
    """
    trained = trained_Ns(checkpoint)
    if trained is None and checkpoint in checkpoints_of(checkpoint.parent):
        Ns = getattr(trained_task(checkpoint), "Ns", (1,))
        trained = Ns[0], Ns[-1]
    if trained is None:
        raise InputError("its name does not say which N it solved: expected a file such as rnn_N2_N10")
    course = course_of(checkpoint.parent, device, cell)
    subject = Subject(load(checkpoint, device, cell), trained_task(checkpoint), trained, seed, course)
    k = getattr(subject.task, "repeat", 1)
    return replace(subject, model=subject.model.at_resolution(k)) if k > 1 else subject


def measure(
    asked: Asked, environment: dict[str, Any], *, device: str = "cpu", cell: str | None = None, pictures: bool = True
) -> xr.Dataset:
    """Measure, and keep the result with its table and pictures.

    Parameters
    ----------
    asked : Asked
        What to measure; whatever result is there is overwritten.
    environment : dict
        From `tauscope.runs.run.environment`.
    device : str
        Where to compute.
    cell : str, optional
        ``"module:Class"`` of a user's own cell.
    pictures : bool
        Whether to draw.

    Returns
    -------
    Dataset
        What was measured.

    Raises
    ------
    NotApplicableError
        If the network does not have what is measured.
    InputError
        If it cannot be measured otherwise, or not written.
    """
    source = asked.source(environment)
    subject = subject_of(asked.checkpoint, device, cell, asked.seed)
    lacking = asked.how.lacks(subject)
    if lacking:
        raise NotApplicableError(lacking)
    result = asked.how.measure(subject, **asked.options)
    figures = {name: draw(result, subject) for name, draw in asked.how.figures.items()} if pictures else {}
    _keep(asked, result, source, figures)
    return result


def _keep(asked: Asked, result: xr.Dataset, source: dict[str, Any], figures: dict[str, Axes]) -> None:
    """Write the pictures and the table, and last the result, which says that all is there."""
    try:
        asked.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write to {asked.target.parent}: {error.strerror}; expected a writable --output"
        ) from error
    for name, ax in figures.items():
        picture = io.BytesIO()
        title(ax, asked.checkpoint.parent.name, asked.checkpoint.name)
        cast(Figure, ax.figure).savefig(picture, format="png", dpi=200)
        stem = asked.target.stem + (f"_{name}" if name else "")
        write_atomically(asked.target.with_name(f"{stem}.png"), picture.getvalue())
    table = io.StringIO()
    csv.writer(table).writerows([("quantity", "value"), *asked.how.numbers(result).items()])
    write_atomically(asked.target.with_suffix(".csv"), table.getvalue().encode())
    save_result(asked.target, result, source)
