"""The words in which a paper is written down: what is trained, what is measured, what is claimed, what is drawn."""

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

SCALES = ("smoke", "quick", "standard", "paper")
"""Scales of the papers of this package."""

Verdict = Literal["holds", "inconclusive", "does not hold", "not judged", "missing", "error"]


@dataclass(frozen=True)
class Condition:
    """Networks that are trained alike, but for their seeds.

    Attributes
    ----------
    name : str
        Short, unique in the paper.
    label : str
        In legends and tables.
    options : dict
        Of the `tauscope.runs.config.Config` of the task, on top of those of the scale. The cell or the task that is set here is what
        the condition is about: asked of another cell or task, it is left out. ``network_number`` and ``seed`` are those
        of the first network (by default 1 and 0), and one more for each further one. The name of a run's folder
        (`Config.name`) must tell conditions apart; where only further options differ, such as ``ns_init``,
        ``network_number`` must, e.g. from 101 on.
    """

    name: str
    label: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """One measurement of the networks of some conditions.

    Attributes
    ----------
    what : str
        Key of `tauscope.measurements.MEASUREMENTS` or of the paper's own ``measurements``.
    conditions : tuple of str
        Names of the conditions.
    at : {"each", "last"}
        At each of the scale's ``measured_Ns`` that a network solved and at its largest N, or at its largest N alone.
    """

    what: str
    conditions: tuple[str, ...]
    at: Literal["each", "last"] = "last"


@dataclass(frozen=True)
class Study:
    """A measurement without a trained network, such as of what a theory says.

    Attributes
    ----------
    name : str
        Unique among the studies and measurements of the paper.
    run : callable
        From a ``torch.Generator``, and the scale's ``measurement_options`` of that name as keywords, to a Dataset.
    """

    name: str
    run: Callable[..., xr.Dataset]


@dataclass(frozen=True)
class Scale:
    """How large a reproduction is; written down before it is run.

    Attributes
    ----------
    name : str
        One of `SCALES`; a paper of one's own can have others.
    cost : str
        What it takes, in words: time, machine, disk.
    networks : int
        Networks of every condition.
    options : dict
        Of the `tauscope.runs.config.Config` of the task, for every condition.
    by_condition : dict
        Further ones of single conditions, by name; ``None`` leaves a condition out.
    each : dict
        Options of the single networks of some conditions, by name, where they are not trained alike; there are then as
        many networks as options.
    measured_Ns : tuple of int
        Where measurements with ``at="each"`` are made, beside the largest N of each network.
    measured_at : dict
        The N at which single measurements are made instead, by name, where they cost too much to be made at every one.
    measurement_options : dict
        Options of measurements and studies, by name; plain values, keywords of `tauscope.measurements.Measurement.measure`
        and `Study.run`.
    out_of_reach : dict
        Claims that this scale cannot judge, by key, each with the reason.
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


@dataclass(frozen=True)
class Trained:
    """A network of a condition, as its run folder tells.

    Attributes
    ----------
    condition : str
        Name of its condition.
    network : int
        1, 2, 3, …
    history : tuple of dict
        One record for every epoch, as in ``metrics.jsonl``.
    measured : dict
        Datasets by measurement and N of the checkpoint: ``measured["timescales", 10]``.
    missing : str
        Why the training or a measurement failed; empty if none did.
    options : dict
        Of its configuration.
    """

    condition: str
    network: int
    history: tuple[Mapping[str, Any], ...]
    measured: Mapping[tuple[str, int], xr.Dataset]
    missing: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def solved(self) -> int:
        """Largest number of a stage that was solved, such as N; 1 if none was: to remember one bit needs no training."""
        numbers = (re.findall(r"\d+", stage_name(record)) for record in self.history if record["solved"])
        return max((int(found[-1]) for found in numbers if found), default=1)


@dataclass(frozen=True)
class Results:
    """All that a reproduction found: its networks, by condition.

    Attributes
    ----------
    networks : dict
        Trained networks of every condition of the scale, by the condition's name.
    labels : dict
        Labels of the conditions, by name.
    studies : dict of Dataset
        Results of the paper's studies, by name, without those that failed.
    failed_studies : dict of str
        Why the others failed, by name.
    """

    networks: Mapping[str, Sequence[Trained]]
    labels: Mapping[str, str]
    studies: Mapping[str, xr.Dataset] = field(default_factory=dict)
    failed_studies: Mapping[str, str] = field(default_factory=dict)

    def solved(self, condition: str) -> list[float]:
        """Return the largest N that each network of a condition solved; none for a condition that was left out.

        Examples
        --------
        >>> record = {"Ns": [2, 3], "solved": [2, 3]}
        >>> Results({"multi": [Trained("multi", 1, (record,), {})]}, {"multi": "multi-head"}).solved("multi")
        [3.0]
        """
        return [float(one.solved) for one in self.networks.get(condition, ()) if one.history]

    def values(
        self, what: str, condition: str, number: Callable[[xr.Dataset], float], N: int | None = None
    ) -> list[float]:
        """Return a number of every network of a condition.

        Parameters
        ----------
        what : str
            Measurement.
        condition : str
            Name.
        number : callable
            From the measurement's Dataset to the number.
        N : int, optional
            Of the checkpoint; by default each network's largest.

        Returns
        -------
        list of float
            One for each network that was measured there; the sample size is their number.
        """
        found = []
        for one in self.networks.get(condition, ()):
            dataset = one.measured.get((what, one.solved if N is None else N))
            if dataset is not None:
                found.append(number(dataset))
        return found

    def against_N(self, what: str, condition: str, number: Callable[[xr.Dataset], float]) -> list[dict[int, float]]:
        """Return a number of every network of a condition at each N where it was measured."""
        return [
            {N: number(one) for (name, N), one in sorted(network.measured.items()) if name == what}
            for network in self.networks.get(condition, ())
        ]


@dataclass(frozen=True)
class Finding:
    """What one inequality of a claim came to.

    Attributes
    ----------
    statement : str
        The inequality, in words.
    ours : str
        Our values with their spread over networks.
    n : str
        Numbers of networks, such as ``3 + 3``.
    verdict : Verdict
        ``holds`` if the whole 95 % interval satisfies the inequality, ``does not hold`` if the mean does not,
        ``inconclusive`` in between, ``missing`` if too few networks were trained or measured.
    effect : str
        Effect size and interval, where there is one.
    published : str
        The paper's values for the same, with how sure they are; empty where there are none.
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
        Such as ``C1``.
    statement : str
        The paper's claim, in a sentence.
    where : str
        Where it stands in the paper.
    judge : callable
        From the results to a finding for each inequality. Networks and measurements may be missing from the results;
        where nothing can be judged without them it finds nothing, or raises an `InputError`. Any other exception is a
        mistake in the paper: the verdict is ``error``.
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
        Readable without anything else: what is drawn, how many networks, what the published values are.
    draw : callable
        From the results to a figure or an animation; ``None`` where nothing of it was measured at this scale, an
        `InputError` where it cannot be drawn without what is missing. Any other exception is a mistake in the paper.
    """

    name: str
    caption: str
    draw: Callable[[Results], Figure | FuncAnimation | None]


@dataclass(frozen=True)
class Paper:
    """A paper: one module of this package holds one.

    Attributes
    ----------
    name : str
        As in ``tauscope reproduce NAME``.
    title, authors, reference : str
        As it is cited.
    conditions : tuple of Condition
        All that is trained.
    measures : tuple of Measure
        All that is measured.
    claims : tuple of Claim
        All that is judged.
    figures : tuple of PaperFigure
        All that is drawn.
    scales : dict of Scale
        By name.
    measurements : dict of Measurement
        What is measured for this paper alone, by name.
    animations : tuple of PaperFigure
        All that moves.
    studies : tuple of Study
        All that is measured without a network.
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


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Return what the findings of a claim come to together: the claim holds if every inequality does.

    Examples
    --------
    >>> held = Finding("a > b", "2, 1", "3 + 3", "holds")
    >>> verdict([held, Finding("c > d", "", "0 + 3", "missing")])
    'missing'
    """
    order: tuple[Verdict, ...] = ("does not hold", "missing", "inconclusive", "not judged", "holds")
    return min((one.verdict for one in findings), key=order.index, default="missing")
