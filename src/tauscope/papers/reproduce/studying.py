"""Studies of a paper: measurements without a network, each made by a job of its own and kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from tauscope.errors import DamagedFileError, InputError
from tauscope.papers import paper
from tauscope.papers.vocabulary import Study
from tauscope.runs.results import current_result, save_result

FOLDER = "studies"
"""Name of the folder with the results of studies, beside the folders of the measured networks."""


@dataclass(frozen=True)
class PlannedStudy:
    """A study to make.

    Attributes
    ----------
    paper : str
        Name of the paper, as in `tauscope.papers.paper`.
    name : str
        Name of the study.
    target : Path
        File of the result.
    seed : int
        Seed of the study's generator.
    options : dict
        Keywords of `tauscope.papers.vocabulary.Study.run`, plain values.
    """

    paper: str
    name: str
    target: Path
    seed: int
    options: Mapping[str, Any]

    @property
    def job(self) -> str:
        """Name of the study's job."""
        return f"study {self.name}"

    def source(self, environment: dict[str, Any]) -> dict[str, Any]:
        """Return the provenance of the result; its checksum is empty because a study has no checkpoint."""
        # Through JSON, because options are read back from JSON, where tuples are lists.
        options = json.loads(json.dumps({"seed": self.seed, **self.options}))
        return {"sha256": "", "analysis": self.job, "options": options, "environment": environment}

    def current(self, environment: dict[str, Any]) -> xr.Dataset | None:
        """Return the result on disk if it has this provenance; ``None`` if it has another or is damaged."""
        try:
            return current_result(self.target, self.source(environment))
        except DamagedFileError:
            return None


def planned_studies(
    name: str, studies: tuple[Study, ...], base: Path, seed: int, options: Mapping[str, Mapping[str, Any]]
) -> tuple[PlannedStudy, ...]:
    """Return the studies of a paper with their files, seeds and options.

    Parameters
    ----------
    name : str
        Name of the paper, as in `tauscope.papers.paper`.
    studies : tuple of Study
        Studies of the paper.
    base : Path
        Folder of the results.
    seed : int
        Seed of their generators.
    options : dict
        Options of studies, by name.

    Examples
    --------
    >>> study = Study("theory", lambda generator: xr.Dataset())
    >>> (planned,) = planned_studies("waves", (study,), Path("measured"), 0, {})
    >>> planned.target.as_posix(), planned.job
    ('measured/studies/theory.nc', 'study theory')
    """
    return tuple(
        PlannedStudy(name, study.name, base / FOLDER / f"{study.name}.nc", seed, options.get(study.name, {}))
        for study in studies
    )


def make_study(send: Callable[[object], None], planned: PlannedStudy, environment: dict[str, Any]) -> None:
    """Make a study and keep its result; a job of `tauscope.jobs.pool`.

    Parameters
    ----------
    send : callable
        Not used: studies report no progress.
    planned : PlannedStudy
        Study to make; an earlier result is overwritten.
    environment : dict
        From `tauscope.runs.environment.environment`.

    Raises
    ------
    InputError
        If the result cannot be written.
    """
    del send
    run = next(study.run for study in paper(planned.paper).studies if study.name == planned.name)
    result = run(torch.Generator().manual_seed(planned.seed), **planned.options)
    try:
        planned.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {planned.target.parent}: {error.strerror}") from error
    save_result(planned.target, result, planned.source(environment))
