"""What a reproduction will do, settled before it does anything: which networks, how far, measured how."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tauscope.errors import InputError, nearest, require_at_least, require_file_name
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.measurements.keeping import Asked, target
from tauscope.models import user_cell
from tauscope.papers import paper
from tauscope.papers.reproduce.published import PublishedNetwork, published_networks
from tauscope.papers.reproduce.studying import PlannedStudy, planned_studies
from tauscope.papers.vocabulary import Condition, Measure, Paper, Scale
from tauscope.runs.asking import asked_for, read_config
from tauscope.runs.checkpoints import checkpoint_name
from tauscope.runs.config import Config, allow, config_of, kind_of
from tauscope.runs.files import require_writable
from tauscope.runs.folder import CONFIG, read_metrics
from tauscope.runs.loading import trained_Ns


@dataclass(frozen=True)
class Network:
    """One network to train and to measure; where the options of conditions agree, it is one of each.

    Attributes
    ----------
    paper : str
        As in `tauscope.papers.paper`.
    config : Config
        How it is trained.
    folder : Path
        Of its run.
    numbers : tuple of (str, int)
        Names of its conditions, and which of their networks it is, from 1.
    measures : tuple of Measure
        What is measured of it.
    measured_Ns : tuple of int
        Where measurements with ``at="each"`` are made beside its largest N.
    measurement_options : dict
        Options of measurements, by name.
    results : Path
        Folder of the results.
    measured_at : dict
        The N at which single measurements are made instead, by name.
    """

    paper: str
    config: Config
    folder: Path
    numbers: tuple[tuple[str, int], ...]
    measures: tuple[Measure, ...]
    measured_Ns: tuple[int, ...]
    measurement_options: Mapping[str, Mapping[str, Any]]
    results: Path
    measured_at: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its first condition and its number there."""
        condition, number = self.numbers[0]
        return f"{condition} {number}"

    @property
    def measurement_seed(self) -> int:
        """Seed of its measurements: no other network of a plan has it, nor has its training, and a repeat has the same.

        What all networks were measured on would never enter the spread between them.
        """
        return self._seed(self.config.name)

    def _seed(self, name: str) -> int:
        entropy = (self.config.seed or 0, zlib.crc32(name.encode()))
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def records(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the records of the epochs that are asked for, and whether they are all there."""
        return asked_for(self.config, read_metrics(self.folder))

    def asked(self, records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], Asked]:
        """Return what is measured of it, by measurement and N, given the records of its epochs."""
        criterion = self.config.curriculum().criterion
        names = dict.fromkeys(
            checkpoint_name(record["stage"]) for record in records if criterion.keeps(record["solved"])
        )
        # A stage without a number in its name counts as N = 1, as in `Trained.solved`.
        solved = {(trained_Ns(Path(name)) or (1, 1))[1]: name for name in names}
        wanted = {
            (measure.what, N): solved[N]
            for measure in self.measures
            for N in sorted(solved)
            if self._is_measured(measure, N, max(solved))
        }
        own = paper(self.paper).measurements
        # Networks of one seed share that of a measurement by which conditions are compared pair by pair.
        paired = {measure.what for measure in self.measures if measure.paired}
        return {
            (what, N): Asked(
                self.folder / name,
                what,
                target(self.folder / name, what, self.results),
                seed=self._seed(what) if what in paired else self.measurement_seed,
                options=self.measurement_options.get(what, {}),
                measurement=own.get(what),
            )
            for (what, N), name in wanted.items()
        }

    def _is_measured(self, measure: Measure, N: int, largest: int) -> bool:
        if measure.what in self.measured_at:
            return N in self.measured_at[measure.what]
        return largest == N or (measure.at == "each" and N in self.measured_Ns)


@dataclass(frozen=True)
class Choice:
    """What a user can ask of a paper, beside its scale.

    Attributes
    ----------
    networks : int, optional
        Networks of every condition; by default the scale's.
    cell, task : str, optional
        Instead of the paper's own.
    seed : int
        Added to the seed of every network.
    published : Path, optional
        Folder with the run folders of networks of the published code, which are measured beside ours.
    """

    networks: int | None = None
    cell: str | None = None
    task: str | None = None
    seed: int = 0
    published: Path | None = None

    def __post_init__(self) -> None:
        require_at_least("seed", self.seed, 0)
        if self.networks is not None:
            require_at_least("networks", self.networks, 1)
        if self.task is not None:
            allow({"task": self.task})
            kind_of(self.task)
        if self.cell is not None and ":" in self.cell:
            user_cell(self.cell)

    @property
    def suffix(self) -> str:
        """Return what tells its folder from that of the paper's own cell and task."""
        return "".join(f"-{named.rpartition(':')[2]}" for named in (self.cell, self.task) if named is not None)

    def options(self) -> dict[str, str]:
        """Return the cell and the task, where one is asked for."""
        return {name: named for name, named in (("cell", self.cell), ("task", self.task)) if named is not None}


@dataclass(frozen=True)
class Plan:
    """All that a reproduction will do.

    Attributes
    ----------
    paper : Paper
    scale : Scale
    choice : Choice
    base : Path
        Folder of the runs.
    networks : tuple of Network
        In the order in which they are worked on: those of the scale's ``first`` conditions, then the others; of these
        the first of every condition, then the second, …
    left_out : dict
        Conditions that are not trained, each with the reason.
    studies : tuple of PlannedStudy
        What is measured without a network.
    published : tuple of PublishedNetwork
        Networks of the published code to measure.
    """

    paper: Paper
    scale: Scale
    choice: Choice
    base: Path
    networks: tuple[Network, ...]
    left_out: Mapping[str, str]
    studies: tuple[PlannedStudy, ...] = ()
    published: tuple[PublishedNetwork, ...] = ()


def scale_of(found: Paper, name: str) -> Scale:
    """Return a scale of a paper.

    Raises
    ------
    InputError
        If it has none of that name.
    """
    if name not in found.scales:
        raise InputError(f"scale {name!r} is unknown: {nearest(name, found.scales)}")
    return found.scales[name]


def make_plan(name: str, scale: str, base: Path | None = None, choice: Choice | None = None) -> Plan:
    """Settle what a reproduction will do.

    Parameters
    ----------
    name : str
        Of the paper, as in `tauscope.papers.paper`.
    scale : str
        Of the paper's.
    base : Path, optional
        Folder of the runs; by default ``reproductions/PAPER-SCALE``.
    choice : Choice, optional
        Other networks than the paper's.

    Returns
    -------
    Plan
        Nothing is written yet.

    Raises
    ------
    InputError
        If something that is asked for is unknown, two conditions would share a folder, nothing is left to train, a
        folder holds a different run, the folder of published networks holds none, or the base cannot be written.
    """
    found, choice = paper(name), choice or Choice()
    size = scale_of(found, scale)
    _require_known(found, size)
    base = base or Path("reproductions") / f"{found.name}-{scale}{choice.suffix}"
    require_writable(base)
    configs, left_out = _configurations(found, size, choice)
    if not configs:
        raise InputError(f"no condition of {found.name} can be trained so: {'; '.join(left_out.values())}")
    networks = _networks(name, found, size, base, configs)
    for network in networks:
        _require_fitting(network)
    kept = base / "measured" / size.name
    studies = planned_studies(name, found.studies, kept, choice.seed, size.measurement_options)
    published = (
        () if choice.published is None else published_networks(name, found, size, choice.published, kept / "published")
    )
    return Plan(found, size, choice, base, networks, left_out, studies, published)


def _require_known(found: Paper, scale: Scale) -> None:
    """Refuse a paper that names what it does not have, which would be left out silently, or what no file can be called."""
    files = [("figure", part.name) for part in (*found.figures, *found.animations)]
    files += [("study", part.name) for part in found.studies] + [("measurement", name) for name in found.measurements]
    for what, name in [*files, *(("scale", name) for name in found.scales)]:
        require_file_name(f"{found.name}: {what}", name)
    conditions = [condition.name for condition in found.conditions]
    for name in [
        *scale.by_condition,
        *scale.first,
        *(name for measure in found.measures for name in measure.conditions),
    ]:
        if name not in conditions:
            raise InputError(f"{found.name}: condition {name!r} is unknown: {nearest(name, conditions)}")
    measurements = [*MEASUREMENTS, *found.measurements]
    studies = [study.name for study in found.studies]
    for name in [*scale.measurement_options, *scale.measured_at, *(measure.what for measure in found.measures)]:
        if name not in measurements and not (name in studies and name in scale.measurement_options):
            raise InputError(f"{found.name}: measurement {name!r} is unknown: {nearest(name, measurements)}")
    claims = [claim.key for claim in found.claims]
    for key in scale.out_of_reach:
        if key not in claims:
            raise InputError(f"{found.name}: claim {key!r} is unknown: {nearest(key, claims)}")


def _configurations(found: Paper, scale: Scale, choice: Choice) -> tuple[dict[str, list[Config]], dict[str, str]]:
    """Return the configurations of the networks of every condition, and the conditions left out with the reasons."""
    configs: dict[str, list[Config]] = {}
    left_out: dict[str, str] = {}
    owners: dict[str, tuple[str, Config]] = {}
    for condition in found.conditions:
        reason = _not_meant(condition, scale, choice)
        if not reason:
            try:
                made = _of_condition(condition, scale, choice)
                _require_own_names(condition, made, owners)
            except InputError as error:
                if not choice.options():
                    raise
                # What holds for the paper's own cell and task need not be possible for others.
                reason = str(error)
        if reason:
            left_out[condition.name] = reason
        else:
            configs[condition.name] = made
            owners |= {network.name: (condition.name, network) for network in made}
    return configs, left_out


def _not_meant(condition: Condition, scale: Scale, choice: Choice) -> str:
    """Return why a condition is left out from the start, or nothing."""
    if condition.name in scale.by_condition and scale.by_condition[condition.name] is None:
        return f"not trained at scale {scale.name}"
    for name, asked in choice.options().items():
        own = condition.options.get(name, asked)
        if own != asked:
            return f"about {name} {own}, not {asked}"
    return ""


def _of_condition(condition: Condition, scale: Scale, choice: Choice) -> list[Config]:
    papers = {**scale.options, **condition.options, **(scale.by_condition.get(condition.name) or {})}
    options = {**papers, **choice.options()}
    if choice.options() and "lr" in options and _optimizer(options) != _optimizer(papers):
        # A learning rate is one of an optimiser; that of the paper's own cell is none of another's.
        del options["lr"]
    number, seed = options.pop("network_number", 1), options.pop("seed", 0) + choice.seed
    singly = scale.each.get(condition.name) or [{}] * (choice.networks or scale.networks)
    return [_named({**options, **own, "network_number": number + i, "seed": seed + i}) for i, own in enumerate(singly)]


def _optimizer(options: Mapping[str, Any]) -> str:
    return _named(options).recipe().optimizer


def _named(options: Mapping[str, Any]) -> Config:
    """Return a configuration that a paper means; what a user's paper names may be imported, as the paper itself is."""
    allow(options)
    return config_of(options)


def _require_own_names(condition: Condition, made: Sequence[Config], owners: Mapping[str, tuple[str, Config]]) -> None:
    """Refuse two different runs in one folder; two conditions that are trained alike share theirs."""
    for config in made:
        owner, there = owners.get(config.name, ("", config))
        if there != config:
            ours, theirs = config.to_dict(), there.to_dict()
            name = next(name for name in ours if ours[name] != theirs[name])
            raise InputError(
                f"conditions {owner!r} and {condition.name!r} would share the folder {config.name}, but differ in {name} "
                f"({theirs[name]}, {ours[name]}): expected another network_number for one of them"
            )


def _networks(
    name: str, found: Paper, scale: Scale, base: Path, configs: Mapping[str, Sequence[Config]]
) -> tuple[Network, ...]:
    """Return every network once, in the order of `Plan.networks`."""
    by_config: dict[Config, list[tuple[str, int]]] = {}
    numbered = [(i, condition, config) for condition, made in configs.items() for i, config in enumerate(made)]
    for i, condition, config in sorted(numbered, key=lambda network: (network[1] not in scale.first, network[0])):
        by_config.setdefault(config, []).append((condition, i + 1))
    # Networks of a condition differ in their start at most: what one of them has, all have.
    measures = {
        conditions: _measures(found, config, conditions)
        for conditions, config in {
            frozenset(condition for condition, _ in numbers): config for config, numbers in by_config.items()
        }.items()
    }
    return tuple(
        Network(
            paper=name,
            config=config,
            folder=base / config.name,
            numbers=tuple(numbers),
            measures=measures[frozenset(condition for condition, _ in numbers)],
            measured_Ns=scale.measured_Ns,
            measurement_options=scale.measurement_options,
            results=base / "measured" / scale.name,
            measured_at=scale.measured_at,
        )
        for config, numbers in by_config.items()
    )


def _measures(found: Paper, config: Config, conditions: Set[str]) -> tuple[Measure, ...]:
    """Return what is measured of a network of these conditions, without what it does not have."""
    subject = Subject(config.measured_model(), config.measured_task(), (1, 1), seed=0)
    known = {**MEASUREMENTS, **found.measurements}
    return tuple(
        measure
        for measure in found.measures
        if not conditions.isdisjoint(measure.conditions) and not known[measure.what].lacks(subject)
    )


def _require_fitting(network: Network) -> None:
    """Refuse a folder that holds a run of other options."""
    if not (network.folder / CONFIG).exists():
        return
    ours, theirs = network.config.identity(), read_config(network.folder).identity()
    for name, value in ours.items():
        if value != theirs[name]:
            raise InputError(
                f"{network.folder} holds a different run: its {name} is {theirs[name]}, not {value}; expected another "
                "--base_path"
            )
