"""The parts of a paper: conditions to train, measurements and studies to make, claims to judge, figures to draw."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tauscope.learning.curricula import stage_name

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure

    from tauscope.measurements import Measurement

SCALES = ("smoke", "quick", "standard", "paper", "gpu")
"""Scales of the papers of this package."""

Verdict = Literal["holds", "inconclusive", "does not hold", "not judged", "missing", "error"]


@dataclass(frozen=True)
class Condition:
    """A group of networks that are trained with the same options and different seeds.

    Attributes
    ----------
    name : str
        Short name, unique in the paper.
    label : str
        Name in legends and tables.
    options : dict
        Options of the task's `tauscope.runs.config.Config`, added to those of the scale. A condition that sets the cell
        or the task is left out where the user reproduces the paper with another cell or task. ``network_number`` and
        ``seed`` belong to the first network (by default 1 and 0) and rise by 1 from network to network. Two conditions
        must differ in the names of their run folders (`Config.name`); where they differ only in options that the name
        does not show, such as ``ns_init``, give them different ``network_number``, e.g. from 101 on.
    """

    name: str
    label: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """A measurement to make of the networks of some conditions.

    Attributes
    ----------
    what : str
        Key of `tauscope.measurements.MEASUREMENTS` or of the paper's own ``measurements``.
    conditions : tuple of str
        Names of the conditions.
    at : {"each", "last"}
        Checkpoints to measure: ``"each"`` of the scale's ``measured_Ns`` that a network solved, and its largest N; or
        the largest N alone (``"last"``).
    paired : bool
        Whether networks of the same seed are measured on the same streams in all conditions, so that their difference is
        one of the networks alone; otherwise each has streams of its own.
    """

    what: str
    conditions: tuple[str, ...]
    at: Literal["each", "last"] = "last"
    paired: bool = False


@dataclass(frozen=True)
class Study:
    """A measurement without a trained network, such as the predictions of a theory.

    Attributes
    ----------
    name : str
        Name, unique among the studies and measurements of the paper.
    run : callable
        Function of a ``torch.Generator`` that returns a Dataset; its keywords are the scale's ``measurement_options`` of
        this name.
    """

    name: str
    run: Callable[..., xr.Dataset]


@dataclass(frozen=True)
class Scale:
    """The size of a reproduction, fixed before any network is trained.

    Attributes
    ----------
    name : str
        Name, a member of `SCALES`; a user's paper can have other scales.
    cost : str
        Time, machine and disk space, in words.
    networks : int
        Number of networks of every condition.
    options : dict
        Options of the task's `tauscope.runs.config.Config`, for every condition.
    by_condition : dict
        Further options of single conditions, by name; ``None`` leaves a condition out.
    each : dict
        Options of each network, by condition, where the networks of a condition differ in more than their seeds; the
        number of options is then the number of networks.
    measured_Ns : tuple of int
        N at which measurements with ``at="each"`` are made, beside the largest N of each network.
    measured_at : dict
        N at which a measurement is made instead of ``measured_Ns``, by name, where every N would cost too much.
    measurement_options : dict
        Options of measurements and studies, by name: plain values, keywords of
        `tauscope.measurements.Measurement.measure` and `Study.run`.
    out_of_reach : dict
        Reasons why this scale cannot judge some claims, by the claim's key.
    first : tuple of str
        Conditions whose networks are all trained before any other, such as those that take longest and carry the most
        claims.
    """

    name: str
    cost: str
    networks: int
    options: Mapping[str, Any]
    by_condition: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    each: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    measured_Ns: tuple[int, ...] = ()
    measured_at: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    measurement_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    out_of_reach: Mapping[str, str] = field(default_factory=dict)
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """A network of a condition, read from its run folder.

    Attributes
    ----------
    condition : str
        Name of its condition.
    network : int
        Number of the network in its condition: 1, 2, 3, …
    history : tuple of dict
        A record for every epoch, as in ``metrics.jsonl``.
    measured : dict
        Datasets by measurement and N of the checkpoint: ``measured["timescales", 10]``.
    missing : str
        Why the training or a measurement failed; empty if none failed.
    options : dict
        Options of its configuration.
    """

    condition: str
    network: int
    history: tuple[Mapping[str, Any], ...]
    measured: Mapping[tuple[str, int], xr.Dataset]
    missing: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def solved(self) -> int:
        """Largest number of a solved stage, such as N; 1 without a solved stage: one bit is remembered untrained."""
        numbers = (re.findall(r"\d+", stage_name(record)) for record in self.history if record["solved"])
        return max((int(found[-1]) for found in numbers if found), default=1)

    def last(self, what: str) -> xr.Dataset | None:
        """Return the result of a measurement at the largest N; ``None`` if the network was not measured.

        Examples
        --------
        >>> Trained("multi", 1, (), {}).last("timescales") is None
        True
        """
        results = {N: result for (name, N), result in self.measured.items() if name == what}
        return results[max(results)] if results else None


@dataclass(frozen=True)
class Results:
    """All results of a reproduction: trained networks, their measurements, and studies.

    Attributes
    ----------
    networks : dict
        Trained networks of every condition of the scale, by the condition's name.
    labels : dict
        Labels of the conditions, by name.
    studies : dict of Dataset
        Results of the paper's studies that succeeded, by name.
    failed_studies : dict of str
        Why each of the other studies failed, by name.
    published : dict
        Networks of the published code that the user gave, measured as ours, by the condition's name. No claim is judged
        by them.
    """

    networks: Mapping[str, Sequence[Trained]]
    labels: Mapping[str, str]
    studies: Mapping[str, xr.Dataset] = field(default_factory=dict)
    failed_studies: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Sequence[Trained]] = field(default_factory=dict)

    def of(self, condition: str) -> Sequence[Trained]:
        """Return the networks of a condition; an empty sequence for a condition that was left out."""
        return self.networks.get(condition, ())

    def has(self, *conditions: str) -> bool:
        """Return whether all these conditions are trained at this scale, with this cell and this task."""
        return all(name in self.networks for name in conditions)

    def trained(self, conditions: Sequence[str]) -> list[str]:
        """Return those of the conditions that are trained at this scale."""
        return [name for name in conditions if name in self.networks]

    def label(self, condition: str) -> str:
        """Return the label of a condition; its name if it has no label."""
        return self.labels.get(condition, condition)

    def solved(self, condition: str) -> list[float]:
        """Return the largest N that each network of a condition solved; an empty list for a condition that was left out.

        Examples
        --------
        >>> record = {"Ns": [2, 3], "solved": [2, 3]}
        >>> Results({"multi": [Trained("multi", 1, (record,), {})]}, {"multi": "multi-head"}).solved("multi")
        [3.0]
        """
        return [float(network.solved) for network in self.of(condition) if network.history]

    def measured(self, what: str, condition: str, N: int | None = None) -> list[xr.Dataset]:
        """Return the results of a measurement of every network of a condition that was measured there.

        Parameters
        ----------
        what : str
            Name of the measurement.
        condition : str
            Name of the condition.
        N : int, optional
            N of the checkpoint; by default the largest that each network solved.
        """
        results = (network.measured.get((what, network.solved if N is None else N)) for network in self.of(condition))
        return [result for result in results if result is not None]

    def values(
        self, what: str, condition: str, number: Callable[[xr.Dataset], float], N: int | None = None
    ) -> list[float]:
        """Return a number for every network that `measured` finds: the sample size is the number of networks.

        Parameters
        ----------
        what, condition, N
            As in `measured`.
        number : callable
            Function of the measurement's Dataset that returns the number.
        """
        return [number(result) for result in self.measured(what, condition, N)]

    def against_N(self, what: str, condition: str, number: Callable[[xr.Dataset], float]) -> list[dict[int, float]]:
        """Return a number of every network of a condition at each N where the network was measured."""
        return [
            {N: number(result) for (name, N), result in sorted(network.measured.items()) if name == what}
            for network in self.of(condition)
        ]


@dataclass(frozen=True)
class Finding:
    """The judgement of an inequality of a claim.

    Attributes
    ----------
    statement : str
        The inequality, in words.
    ours : str
        Our values with their spread over networks.
    n : str
        Numbers of networks, such as ``3 + 3``.
    verdict : Verdict
        ``holds`` if the whole 95 % interval satisfies the inequality, ``does not hold`` if the mean does not satisfy it,
        ``inconclusive`` in between, ``missing`` if too few networks were trained or measured.
    effect : str
        Effect size and interval, where they exist.
    published : str
        The paper's values with their certainty; empty where the paper has none.
    """

    statement: str
    ours: str
    n: str
    verdict: Verdict
    effect: str = ""
    published: str = ""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and how it is judged.

    Attributes
    ----------
    key : str
        Key such as ``C1``.
    statement : str
        The paper's claim, in a sentence.
    where : str
        Section or figure of the paper.
    judge : callable
        Function of the results that returns a finding for each inequality. Networks and measurements may be missing from
        the results; where nothing can be judged without them, return no finding or raise an `InputError`. Any other
        exception is a mistake in the paper: the verdict is ``error``.
    """

    key: str
    statement: str
    where: str
    judge: Callable[[Results], Sequence[Finding]]


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper, drawn from our results with the published values beside them.

    Attributes
    ----------
    name : str
        File name without suffix, such as ``figure_4_timescales``.
    caption : str
        Complete caption: quantities, number of networks, source of the published values.
    draw : callable
        Function of the results that returns a figure or an animation, or ``None`` where none of its measurements was made
        at this scale; it raises an `InputError` where a missing result prevents drawing. Any other exception is a
        mistake in the paper.
    """

    name: str
    caption: str
    draw: Callable[[Results], Figure | FuncAnimation | None]


@dataclass(frozen=True)
class Paper:
    """A paper to reproduce.

    Attributes
    ----------
    name : str
        Name, as in ``tauscope reproduce NAME``.
    title, authors, reference : str
        Citation.
    conditions : tuple of Condition
        Networks to train.
    measures : tuple of Measure
        Measurements to make of the networks.
    claims : tuple of Claim
        Claims to judge.
    figures : tuple of PaperFigure
        Figures to draw.
    scales : dict of Scale
        Sizes of the reproduction, by name.
    measurements : dict of Measurement
        Measurements that belong to this paper alone, by name.
    animations : tuple of PaperFigure
        Animations to draw.
    studies : tuple of Study
        Measurements without a network.
    published : tuple of str
        Measurements that are made of networks of the published code too, where the user has them.
    """

    name: str
    title: str
    authors: str
    reference: str
    conditions: tuple[Condition, ...]
    measures: tuple[Measure, ...]
    claims: tuple[Claim, ...]
    figures: tuple[PaperFigure, ...]
    scales: Mapping[str, Scale]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    animations: tuple[PaperFigure, ...] = ()
    studies: tuple[Study, ...] = ()
    published: tuple[str, ...] = ()


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict of a claim from its findings: the claim holds if every inequality holds.

    Examples
    --------
    >>> held = Finding("a > b", "2, 1", "3 + 3", "holds")
    >>> verdict([held, Finding("c > d", "", "0 + 3", "missing")])
    'missing'
    """
    order: tuple[Verdict, ...] = ("does not hold", "missing", "inconclusive", "not judged", "holds")
    return min((finding.verdict for finding in findings), key=order.index, default="missing")
