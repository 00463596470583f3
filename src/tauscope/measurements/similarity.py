"""How alike the dynamics of trained networks are, from their files to a result on disk that is not measured twice."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from tauscope.analysis.similarity import dynamical_similarity
from tauscope.errors import InputError, require_count
from tauscope.measurements.keeping import png, subject_of
from tauscope.models.trace import run
from tauscope.plotting.similarity import plot_similarity
from tauscope.runs.files import write_atomically
from tauscope.runs.results import current_result, save_result

TRIALS = 20
"""Trials of the activity of each network."""


@dataclass(frozen=True)
class SimilarityAsked:
    """Networks of groups that are compared.

    Attributes
    ----------
    checkpoints : tuple of Path
        Of the networks.
    names, groups : tuple of str
        What each is called, and its group.
    target : Path
        File of the result; its table and its picture lie beside it.
    seed : int
        Of the trials, which are the same for networks of the same task.
    n_trials : int
        Number of trials.
    options : dict
        Further ones of `tauscope.analysis.dynamical_similarity`.
    """

    checkpoints: tuple[Path, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    target: Path
    seed: int = 0
    n_trials: int = TRIALS
    options: Mapping[str, Any] = field(default_factory=dict)

    def source(self, environment: dict[str, Any]) -> dict[str, Any]:
        """Return the provenance of the result."""
        content = hashlib.sha256()
        for checkpoint in self.checkpoints:
            content.update(hashlib.sha256(checkpoint.read_bytes()).digest())
        options = {**self.options, "seed": self.seed, "n_trials": self.n_trials, "groups": list(self.groups)}
        return {
            "checkpoint": ", ".join(f"{path.parent.name}/{path.name}" for path in self.checkpoints),
            "sha256": content.hexdigest(),
            "analysis": "dsa",
            "options": json.loads(json.dumps(options)),
            "environment": environment,
        }


def similarity(
    asked: SimilarityAsked,
    environment: dict[str, Any],
    *,
    force: bool = False,
    cell: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> xr.Dataset:
    """Compare the dynamics of networks on their trials and keep the result, its table and its picture, or read what was kept.

    Parameters
    ----------
    asked : SimilarityAsked
        The networks.
    environment : dict
        From `tauscope.runs.environment.environment`.
    force : bool
        Compare again, and overwrite another result.
    cell : str, optional
        ``"module:Class"`` of a user's own cell.
    tell : callable, optional
        Called with how far the comparison is, in words.

    Raises
    ------
    InputError
        If a network cannot be read or measured, or another result is in the way.
    """
    require_count("n_trials", asked.n_trials)
    source = asked.source(environment)
    kept = None if force else current_result(asked.target, source)
    if kept is None and asked.target.exists() and not force:
        raise InputError(
            f"{asked.target} holds another result (networks, options or version); expected --force to overwrite, or another "
            "--output"
        )
    if kept is None:
        recorded = []
        for i, checkpoint in enumerate(asked.checkpoints):
            tell(f"network {i + 1} of {len(asked.checkpoints)}")
            recorded.append(_activity(checkpoint, asked, cell))
        tell("distances")
        kept = dynamical_similarity(recorded, asked.groups, **asked.options)
        kept = kept.assign_coords(network=list(asked.names), other=list(asked.names))
        kept = kept.assign_attrs(n_trials=asked.n_trials, seed=str(asked.seed))
        asked.target.parent.mkdir(parents=True, exist_ok=True)
        save_result(asked.target, kept, source)
    write_atomically(asked.target.with_suffix(".csv"), _table(kept).encode())
    write_atomically(asked.target.with_suffix(".png"), png(plot_similarity(kept), asked.target))
    return kept


@torch.no_grad()
def _activity(checkpoint: Path, asked: SimilarityAsked, cell: str | None) -> torch.Tensor:
    """Return the activity of a network on its trials, or on a stream of bits, [trial, time, unit]."""
    subject = subject_of(checkpoint, "cpu", cell, asked.seed)
    generator = subject.generator()
    batch = subject.trials().sample(asked.n_trials, generator)
    return run(subject.model, batch, generator).states.transpose(0, 1)


def pairs_of(result: xr.Dataset) -> Sequence[tuple[str, str, str, str, float]]:
    """Return of every pair of networks the name and group of one, of the other, and their distance.

    Examples
    --------
    >>> result = xr.Dataset(
    ...     {"distance": (("network", "other"), [[0.0, 0.1], [0.1, 0.0]])},
    ...     {"network": ["x", "y"], "other": ["x", "y"], "group": ("network", ["a", "b"])},
    ... )
    >>> pairs_of(result)
    [('x', 'a', 'y', 'b', 0.1)]
    """
    names, groups = result["network"].values.tolist(), result["group"].values.tolist()
    distance = result["distance"].values
    return [
        (names[i], groups[i], names[j], groups[j], float(distance[i, j]))
        for i, j in itertools.combinations(range(len(names)), 2)
    ]


def _table(result: xr.Dataset) -> str:
    table = io.StringIO()
    heading = ("network", "group", "other", "group of the other", f"distance (dsa-metric {result.attrs['dsa_metric']})")
    csv.writer(table).writerows([heading, *pairs_of(result)])
    return table.getvalue()
