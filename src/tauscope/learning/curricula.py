"""In which order a task is taught: stages, and the criterion by which the next one follows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tauscope.errors import InputError, require_at_least, require_choice, require_count, require_instance
from tauscope.tasks.base import METRICS, OUT, Stage, Task
from tauscope.tasks.binary import head_name

if TYPE_CHECKING:
    from tauscope.models.model import Model

SOLVED = 0.98
"""Accuracy that the mean over active heads and the newest head must both exceed (Khajehabdollahi et al. 2024)."""


@dataclass(frozen=True)
class Criterion:
    """When a stage is over.

    Attributes
    ----------
    metric : str
        Name of the score that counts: the task's `metric`.
    threshold : float, optional
        A stage is solved when the mean over its heads and the newest head are both better than this; an accuracy of
        98 % if not given. Of another metric, no stage is solved without one.
    better : {"more", "less"}, optional
        Which scores are better; that of the metric in `tauscope.tasks.METRICS` if not given.
    epochs : int, optional
        A stage lasts so many epochs, whatever is reached, and the network is kept after each of them.
    goes_on : bool
        Training goes on when the last stage is solved, until the recipe's epochs are used up, and the network is kept
        after each of them.

    Examples
    --------
    >>> Criterion().is_solved([0.99, 0.97]), Criterion("fractional_loss", 0.1).is_solved([1.44])
    (False, False)
    """

    metric: str = "accuracy"
    threshold: float | None = None
    better: Literal["more", "less"] | None = None
    epochs: int | None = None
    goes_on: bool = False

    def __post_init__(self) -> None:
        if self.better is None:
            require_choice("metric", self.metric, METRICS)
            object.__setattr__(self, "better", METRICS[self.metric])
        require_choice("better", self.better, ("more", "less"))
        if self.threshold is not None:
            require_at_least("threshold", self.threshold, 0.0 if self.metric == "accuracy" else -math.inf)
        if self.metric == "accuracy" and (self.threshold or 0.0) > 1:
            raise InputError(f"threshold is {self.threshold}: expected an accuracy of at most 1, such as {SOLVED}")
        if self.threshold is None and self.metric == "accuracy":
            object.__setattr__(self, "threshold", SOLVED)
        if self.epochs is not None:
            require_count("epochs", self.epochs)
        elif self.threshold is None and not self.goes_on:
            raise InputError(f"a criterion of {self.metric} without a threshold: expected one, or a number of epochs")

    @property
    def is_timed(self) -> bool:
        """Whether epochs, not scores, say when training is over."""
        return self.epochs is not None or self.goes_on

    @property
    def direction(self) -> Literal["more", "less"]:
        """Which scores are better."""
        return self.better or METRICS[self.metric]

    def is_solved(self, scores: Sequence[float]) -> bool:
        """Return whether the mean of scores and the last of them are both better than the threshold."""
        if self.threshold is None:
            return False
        sign = 1 if self.direction == "more" else -1
        return all(sign * value > sign * self.threshold for value in (sum(scores) / len(scores), scores[-1]))

    def keeps(self, solved: bool) -> bool:
        """Return whether a network is kept after an epoch, given whether it solved its stage."""
        return solved or self.is_timed


class Curriculum:
    """Stages in their order, and the one that is asked now.

    Parameters
    ----------
    stages : iterable of Stage
        With different names; see `single`, `cumulative`, `sliding`, `once` and `ladder`.
    criterion : Criterion, optional
        When the next one follows; by default an accuracy above 98 %.

    Attributes
    ----------
    position : int
        Index of the stage that is asked now.
    epoch : int
        Finished epochs.
    finished : bool
        Whether the last stage is over too.

    Examples
    --------
    >>> curriculum = Curriculum(cumulative(last=3))
    >>> curriculum.update({"accuracy": [0.99]}), curriculum.stage.name
    (True, 'N2_N3')
    """

    def __init__(self, stages: Iterable[Stage], criterion: Criterion | None = None) -> None:
        require_instance("stages", stages, Iterable, "stages, such as ts.cumulative(last=6)")
        self.stages = tuple(stages)
        self.criterion = Criterion() if criterion is None else criterion
        for stage in self.stages:
            require_instance("a stage", stage, Stage, 'a Stage, such as ts.Stage("N2", {"Ns": (2,)}, ("N2",))')
        require_instance("criterion", self.criterion, Criterion, "a Criterion, such as ts.Criterion(threshold=0.95)")
        self.position, self.epoch, self.finished = 0, 0, False
        # Some file systems hold names that differ in case for the same.
        if not self.stages or len({stage.name.casefold() for stage in self.stages}) < len(self.stages):
            raise InputError(
                f"stages {[stage.name for stage in self.stages]}: expected at least one, each with a name of its own"
            )

    @property
    def stage(self) -> Stage:
        """The stage that is asked now."""
        return self.stages[self.position]

    def update(self, scores: Mapping[str, Sequence[float]]) -> bool:
        """Count an epoch, and go on to the next stage if this one is over.

        Parameters
        ----------
        scores : dict of sequence of float
            By metric, the score of every head of the stage, the newest last.

        Returns
        -------
        bool
            Whether the stage was solved.

        Raises
        ------
        InputError
            If the scores are not those of the criterion's metric, one for each head.
        """
        require_choice("metric", self.criterion.metric, scores)
        values = scores[self.criterion.metric]
        if len(values) != len(self.stage.heads):
            raise InputError(f"{len(values)} scores for heads {list(self.stage.heads)}: expected one for each")
        solved = self.criterion.is_solved(values)
        self.load_state_dict({"stage": self.stage.name, "epoch": self.epoch + 1, "finished": solved})
        return solved

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here."""
        return {"stage": self.stage.name, "epoch": self.epoch, "finished": self.finished}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state, possibly of a curriculum with fewer stages or epochs, which then is not finished.

        Parameters
        ----------
        state : dict
            ``stage``, whether that is ``finished``, and ``epoch``. Those of version 0.1 have ``Ns`` for a stage.

        Raises
        ------
        InputError
            If this curriculum has no such stage.
        """
        self.epoch = int(state.get("epoch", 0))
        if self.criterion.epochs is not None:
            name, over, position = "", False, self.epoch // self.criterion.epochs
        else:
            name, over, names = stage_name(state), bool(state["finished"]), [stage.name for stage in self.stages]
            if name not in names:
                raise InputError(f"stage {name} is not one of the curriculum: expected {names[0]} … {names[-1]}")
            position = names.index(name) + over
        self.position = min(position, len(self.stages) - 1)
        self.finished = self.ends(name, self.epoch, over)

    def ends(self, stage: str, epoch: int, solved: bool) -> bool:
        """Return whether an epoch is the last one, given its stage, its number, and whether that stage was solved."""
        if self.criterion.epochs is not None:
            return epoch >= self.criterion.epochs * len(self.stages)
        return solved and stage == self.stages[-1].name and not self.criterion.goes_on


def require_asked(curriculum: Curriculum, task: Task) -> None:
    """Refuse stages whose scores the criterion does not judge, or that do not name a head for each question.

    Raises
    ------
    InputError
        If there are any.
    """
    metric, n_inputs = curriculum.criterion.metric, task.at(curriculum.stages[0]).n_inputs
    for stage in curriculum.stages:
        asked, of_it = task.at(stage), f"stage {stage.name} has"
        if asked.metric != metric:
            raise InputError(f"{of_it} the metric {asked.metric}: expected {metric}, that of the criterion")
        if asked.n_inputs != n_inputs:
            raise InputError(f"{of_it} {asked.n_inputs} inputs, the first one {n_inputs}: expected as many")
        if len(stage.heads) != len(asked.heads):
            raise InputError(f"{of_it} {len(stage.heads)} heads for {len(asked.heads)} questions: expected as many")


def require_fitting(curriculum: Curriculum, task: Task, model: Model) -> None:
    """Refuse stages whose scores the criterion does not judge, or for whose questions the network has no heads.

    Raises
    ------
    InputError
        If there are any.
    """
    require_asked(curriculum, task)
    for stage in curriculum.stages:
        asked, of_it = task.at(stage), f"stage {stage.name} has"
        if asked.n_inputs != model.n_inputs:
            raise InputError(f"{of_it} {asked.n_inputs} inputs, the network {model.n_inputs}: expected as many")
        if len(stage.heads) > 1 and model.heads.shared:
            names = ", ".join(stage.heads)
            raise InputError(f"{of_it} the heads {names}, the network a single one: expected shared_head=False")
        model.heads.asked(stage.heads)


def plain_fields(stage: Stage) -> dict[str, Any]:
    """Return the fields that a stage asks, as far as a record can hold them: all but a task.

    Examples
    --------
    >>> plain_fields(once(5)[0])
    {'Ns': [5]}
    """
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in stage.ask.items()}
    return {name: value for name, value in fields.items() if not isinstance(value, Task)}


def stage_name(record: Mapping[str, Any]) -> str:
    """Return the name of the stage that a record or a state is of; those of version 0.1 have only its Ns.

    Examples
    --------
    >>> stage_name({"stage": "N2_N3"}), stage_name({"Ns": [2, 3]})
    ('N2_N3', 'N2_N3')
    """
    return str(record["stage"] if "stage" in record else range_name(record["Ns"]))


def range_name(Ns: Sequence[int]) -> str:
    """Return the name of a stage that asks these Ns, as published.

    Examples
    --------
    >>> range_name((2, 3, 4))
    'N2_N4'
    """
    return f"N{Ns[0]}_N{Ns[-1]}"


def single(first: int = 2, last: int = 101) -> tuple[Stage, ...]:
    """Return stages of one N at a time, all answered by one head: 2, 3, 4, … (single-head).

    Examples
    --------
    >>> [stage.name for stage in single(last=4)]
    ['N2_N2', 'N3_N3', 'N4_N4']
    """
    _require_range(first, last)
    return tuple(_asking((N,), (OUT,)) for N in range(first, last + 1))


def cumulative(first: int = 2, last: int = 101, start: int = 1, add: int = 1) -> tuple[Stage, ...]:
    """Return stages of every N so far, each with its own head, and new ones on top (multi-head).

    Parameters
    ----------
    first, last : int
        Smallest and largest N.
    start, add : int
        Number of Ns of the first stage, and of those that are added in every further one.

    Examples
    --------
    >>> [stage.name for stage in cumulative(last=6, start=2, add=2)]
    ['N2_N3', 'N2_N5', 'N2_N6']
    """
    require_count("add heads", add)
    _require_range(first, last, start)
    ends = [*range(first + start - 1, last, add), last]
    return tuple(_asking(range(first, end + 1)) for end in ends)


def sliding(first: int = 2, last: int = 101, width: int = 1, forget: int = 1) -> tuple[Stage, ...]:
    """Return stages of a window of Ns that drops its oldest and takes in as many new ones; each N keeps its own head.

    Parameters
    ----------
    first, last : int
        Smallest and largest N.
    width : int
        Number of Ns in the window; widened to ``forget`` if smaller, as published.
    forget : int
        Number of Ns dropped, and added, from one stage to the next; at the end there may be fewer new ones.

    Notes
    -----
    The published code reads heads by their position in the window, so that after a slide every retained N is
    read by another N's head. Here each N keeps its head.

    Examples
    --------
    >>> [stage.name for stage in sliding(last=9, width=3, forget=2)]
    ['N2_N4', 'N4_N6', 'N6_N8', 'N8_N9']
    """
    require_count("init heads", width)
    require_count("forget heads", forget)
    width = max(width, forget)
    _require_range(first, last, width)
    starts = range(first, last - width + forget + 1, forget)
    return tuple(_asking(range(start, min(start + width - 1, last) + 1)) for start in starts)


def once(N: int) -> tuple[Stage, ...]:
    """Return the only stage of one N from scratch.

    Examples
    --------
    >>> once(7)[0].ask
    {'Ns': (7,)}
    """
    return single(N, N)


def ladder(field: str, values: Iterable[Any], names: Iterable[str] | None = None) -> tuple[Stage, ...]:
    """Return stages in which one field of the task takes one value after another.

    Parameters
    ----------
    field : str
        Of the task; ``task`` for one task after another.
    values : iterable
        Of the field.
    names : iterable of str, optional
        Of the stages; by default of field and value.

    Examples
    --------
    >>> [stage.name for stage in ladder("horizon", (10, 20))]
    ['horizon10', 'horizon20']
    """
    require_instance("values", values, Iterable, "several values")
    values = tuple(values)
    names = [f"{field}{value}" for value in values] if names is None else names
    names = tuple(names)
    if len(names) != len(values):
        raise InputError(f"{len(names)} names for {len(values)} values: expected one for each")
    return tuple(Stage(name, {field: value}) for name, value in zip(names, values, strict=True))


def _asking(Ns: Iterable[int], heads: tuple[str, ...] | None = None) -> Stage:
    Ns = tuple(Ns)
    return Stage(range_name(Ns), {"Ns": Ns}, tuple(map(head_name, Ns)) if heads is None else heads)


def _require_range(first: int, last: int, n_heads: int = 1) -> None:
    require_count("ns_init", first, 2)
    require_count("init heads", n_heads)
    require_count("max N", last, 1)
    if last < first:
        raise InputError(f"max N is {last}: expected at least the first N, {first}")
    if first + n_heads - 1 > last:
        raise InputError(f"init heads is {n_heads}: expected at most {last - first + 1}, for N = {first} ... {last}")


CURRICULUM_NAMES = {
    "cumulative": "multi-head",
    "single": "single-head",
    "sliding": "sliding window",
    "single_nocurr": "no curriculum",
}
"""What a curriculum is called in tables and figures."""
