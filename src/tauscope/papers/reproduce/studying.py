"""Studies of a paper: measurements without a network, each made once by a job of its own and kept on disk."""

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
"""Name of the folder, beside the measured networks, that keeps the results of studies."""


@dataclass(frozen=True)
class PlannedStudy:
    """One study to be made.

    Attributes
    ----------
    paper : str
        As in `tauscope.papers.paper`.
    name : str
        Of the study.
    target : Path
        File of its result.
    seed : int
        Of its generator.
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
        """Name of its job."""
        return f"study {self.name}"

    def source(self, environment: dict[str, Any]) -> dict[str, Any]:
        """Return what the result will say of where it comes from; it was measured on no checkpoint."""
        # As they will be read again: JSON knows no tuples.
        options = json.loads(json.dumps({"seed": self.seed, **self.options}))
        return {"sha256": "", "analysis": self.job, "options": options, "environment": environment}

    def current(self, environment: dict[str, Any]) -> xr.Dataset | None:
        """Return the result that is on disk, if it is one of this study, options and version; of a damaged one, none."""
        try:
            return current_result(self.target, self.source(environment))
        except DamagedFileError:
            return None


def planned_studies(
    name: str, studies: tuple[Study, ...], base: Path, seed: int, options: Mapping[str, Mapping[str, Any]]
) -> tuple[PlannedStudy, ...]:
    """Return the studies of a paper as they will be made.

    Parameters
    ----------
    name : str
        Of the paper, as in `tauscope.papers.paper`.
    studies : tuple of Study
        Of the paper.
    base : Path
        Folder of what is measured.
    seed : int
        Of their generators.
    options : dict
        Options of studies, by name.

    Examples
    --------
    >>> study = Study("theory", lambda generator: xr.Dataset())
    >>> (one,) = planned_studies("waves", (study,), Path("measured"), 0, {})
    >>> one.target.as_posix(), one.job
    ('measured/studies/theory.nc', 'study theory')
    """
    return tuple(
        PlannedStudy(name, one.name, base / FOLDER / f"{one.name}.nc", seed, options.get(one.name, {}))
        for one in studies
    )


def make_study(send: Callable[[object], None], planned: PlannedStudy, environment: dict[str, Any]) -> None:
    """Make a study and keep its result; a job of `tauscope.jobs.pool`.

    Parameters
    ----------
    send : callable
        Not used: how far a study is, only the study knows.
    planned : PlannedStudy
        What to do; whatever result is there is overwritten.
    environment : dict
        From `tauscope.runs.run.environment`.

    Raises
    ------
    InputError
        If the result cannot be written.
    """
    del send
    found = next(one for one in paper(planned.paper).studies if one.name == planned.name)
    result = found.run(torch.Generator().manual_seed(planned.seed), **planned.options)
    try:
        planned.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {planned.target.parent}: {error.strerror}") from error
    save_result(planned.target, result, planned.source(environment))
