"""Networks of the published code: found in their folders, and measured by the code that measures ours."""

from __future__ import annotations

import glob
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tauscope.errors import InputError
from tauscope.measurements.keeping import Asked, target
from tauscope.papers import paper
from tauscope.papers.vocabulary import Condition, Paper, Scale
from tauscope.runs.config import allow, config_of
from tauscope.runs.loading import checkpoints_of, trained_Ns


@dataclass(frozen=True)
class PublishedNetwork:
    """A network of the published code to measure.

    Attributes
    ----------
    paper : str
        Name of the paper, as in `tauscope.papers.paper`.
    condition : str
        Name of the condition that it was trained as.
    number : int
        Its number in the published code.
    checkpoints : dict
        Its files at the N where it is measured.
    measurements : tuple of str
        What is measured of it.
    measurement_options : dict
        Options of measurements, by name.
    results : Path
        Folder of the results.
    """

    paper: str
    condition: str
    number: int
    checkpoints: Mapping[int, Path]
    measurements: tuple[str, ...]
    measurement_options: Mapping[str, Mapping[str, Any]]
    results: Path

    @property
    def name(self) -> str:
        """Name that no network of ours has."""
        return f"published {self.condition} {self.number}"

    @property
    def asked(self) -> dict[tuple[str, int], Asked]:
        """What is measured of it, by measurement and N."""
        own, seed = paper(self.paper).measurements, zlib.crc32(self.name.encode())
        return {
            (what, N): Asked(
                path,
                what,
                target(path, what, self.results),
                seed=seed,
                options=self.measurement_options.get(what, {}),
                measurement=own.get(what),
            )
            for what in self.measurements
            for N, path in self.checkpoints.items()
        }


def published_networks(
    name: str, found: Paper, scale: Scale, folder: Path, results: Path
) -> tuple[PublishedNetwork, ...]:
    """Find the networks in a folder of the published code.

    Parameters
    ----------
    name : str
        Name of the paper, as in `tauscope.papers.paper`.
    found : Paper
        Paper whose conditions they were trained as: their folders have the names of the conditions without the options
        of a scale.
    scale : Scale
        Scale whose N they are measured at, beside the largest N for which a network has a file.
    folder : Path
        Folder with their folders.
    results : Path
        Folder of the results.

    Returns
    -------
    tuple of PublishedNetwork
        In the order of the conditions; nothing is measured yet.

    Raises
    ------
    InputError
        If the paper measures no published networks, or the folder holds none.
    """
    measured = {
        condition.name: tuple(measure.what for measure in found.measures
                              if measure.what in found.published and condition.name in measure.conditions)
        for condition in found.conditions
    }  # fmt: skip
    conditions = [condition for condition in found.conditions if measured[condition.name]]
    if not conditions:
        raise InputError(f"{found.name} measures no networks of a published code: expected no --published")
    networks = []
    for condition in conditions:
        stem = _folder_of_first(condition).removesuffix("1")
        runs = {run.name.removeprefix(stem): run for run in folder.glob(f"{glob.escape(stem)}*")}
        for number in sorted((number for number in runs if number.isdecimal()), key=int):
            if checkpoints := _checkpoints(runs[number], scale):
                networks.append(
                    PublishedNetwork(name, condition.name, int(number), checkpoints, measured[condition.name],
                                     scale.measurement_options, results)
                )  # fmt: skip
    if not networks:
        example = _folder_of_first(conditions[0])
        raise InputError(f"{folder} holds no network of the published code: expected folders such as {example}")
    return tuple(networks)


def _folder_of_first(condition: Condition) -> str:
    options = {**condition.options, "network_number": 1}
    allow(options)
    return config_of(options).name


def _checkpoints(run: Path, scale: Scale) -> dict[int, Path]:
    """Return the files of a network at the scale's N, and at the largest N that it has one for."""
    solved = {Ns[1]: path for path in checkpoints_of(run) if (Ns := trained_Ns(path))}
    return {N: path for N, path in sorted(solved.items()) if N in scale.measured_Ns or max(solved) == N}
