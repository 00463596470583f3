"""One measurement of one checkpoint, from its file to a result on disk that is not measured twice."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import xarray as xr

from tauscope.errors import InputError, NotApplicableError
from tauscope.measurements import MEASUREMENTS, Measurement, Subject
from tauscope.runs.files import outdated, write_atomically
from tauscope.runs.loading import checkpoints_of, course_of, load, trained_Ns, trained_task
from tauscope.runs.results import ANALYSIS, current_result, provenance, save_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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

        A network whose checkpoint is gone is known by the names of its run and checkpoint.

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
    asked: Asked,
    environment: dict[str, Any],
    *,
    device: str = "cpu",
    cell: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> xr.Dataset:
    """Measure, and keep the result with its table.

    Parameters
    ----------
    asked : Asked
        What to measure; whatever result is there is overwritten, and its pictures are deleted.
    environment : dict
        From `tauscope.runs.environment.environment`.
    device : str
        Where to compute.
    cell : str, optional
        ``"module:Class"`` of a user's own cell.
    tell : callable, optional
        Called with how far a long measurement is, in words.

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
    subject = replace(subject_of(asked.checkpoint, device, cell, asked.seed), tell=tell)
    lacking = asked.how.lacks(subject)
    if lacking:
        raise NotApplicableError(lacking)
    result = asked.how.measure(subject, **asked.options)
    keep(asked, result, source)
    return result


def draw(asked: Asked, result: xr.Dataset, *, device: str = "cpu", cell: str | None = None) -> dict[str, Exception]:
    """Draw the pictures of a kept result that are not there.

    Parameters
    ----------
    asked : Asked
        The measurement.
    result : Dataset
        Its result, which is on disk: whatever happens to a picture, the measurement is not lost.
    device, cell
        As in `measure`.

    Returns
    -------
    dict of Exception
        What kept pictures from being drawn, by the names of their files.

    Raises
    ------
    InputError
        If a picture cannot be written.
    """
    missing = {_picture(asked, name): how for name, how in asked.how.figures.items()}
    missing = {path: how for path, how in missing.items() if not path.exists()}
    problems: dict[str, Exception] = {}
    for path, how in missing.items():
        try:
            content = png(how(result, subject_of(asked.checkpoint, device, cell, asked.seed)), asked.checkpoint)
        except Exception as error:  # fonts, TeX, a backend or a figure function can fail in any way
            problems[path.name] = error
        else:
            write_atomically(path, content)
    if missing:
        # A picture that is newer than its result was not made of it.
        asked.target.touch()
    return problems


def png(ax: Axes, checkpoint: Path) -> bytes:
    """Return a picture as the content of a PNG file, with the names of a file and of its folder above it."""
    from tauscope.plotting.style import title

    picture = io.BytesIO()
    title(ax, checkpoint.parent.name, checkpoint.name)
    cast("Figure", ax.figure).savefig(picture, format="png", dpi=200)
    return picture.getvalue()


def _picture(asked: Asked, name: str) -> Path:
    return asked.target.with_name(asked.target.stem + (f"_{name}" if name else "") + ".png")


def keep(asked: Asked, result: xr.Dataset, source: dict[str, Any]) -> None:
    """Write the result and its table, in the place of an earlier one and its pictures."""
    try:
        asked.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write to {asked.target.parent}: {error.strerror}; expected a writable --output"
        ) from error
    with outdated(_picture(asked, name) for name in asked.how.figures):
        save_result(asked.target, result, source)
    table = io.StringIO()
    csv.writer(table).writerows([("quantity", "value"), *asked.how.numbers(result).items()])
    write_atomically(asked.target.with_suffix(".csv"), table.getvalue().encode())
