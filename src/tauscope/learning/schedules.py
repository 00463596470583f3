"""When the learning rate falls, and when training is given up: functions of the scores of the epochs so far.

What they decide follows from the records of a run, so that a run which is resumed goes on as it would have gone on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tauscope.errors import InputError, require_at_least, require_count, require_instance, require_positive

Better = Literal["more", "less"]


class Schedule(Protocol):
    """What the learning rate is after so many epochs."""

    def rate(self, lr: float, scores: Sequence[Sequence[float]], better: Better) -> float:
        """Return the learning rate of the next epoch.

        Parameters
        ----------
        lr : float
            That of the recipe.
        scores : sequence of sequence of float
            Of every finished epoch, the mean over heads, in one sequence for every stage so far.
        better : {"more", "less"}
            Which of two scores is better.
        """


@dataclass(frozen=True)
class Steps:
    """The learning rate is multiplied by a factor after certain epochs.

    Attributes
    ----------
    factors : dict
        Factors by the number of finished epochs after which each is applied, on top of the earlier ones.

    Examples
    --------
    >>> Steps({6: 0.3, 8: 0.5}).rate(1.0, [[0.1] * 7], "less")
    0.3
    """

    factors: Mapping[int, float]

    def __post_init__(self) -> None:
        require_instance("factors", self.factors, Mapping, "factors by epoch, such as {60: 0.3}")
        object.__setattr__(self, "factors", dict(sorted(self.factors.items())))
        for epoch, factor in self.factors.items():
            require_count("epoch of a step", epoch)
            require_positive("factor", factor)

    def rate(self, lr: float, scores: Sequence[Sequence[float]], better: Better) -> float:
        """Return the learning rate of the next epoch, as `Schedule`."""
        del better
        n_epochs = sum(map(len, scores))
        return lr * math.prod(factor for epoch, factor in self.factors.items() if epoch <= n_epochs)


@dataclass(frozen=True)
class Geometric:
    """The learning rate falls by the same factor after every epoch.

    Attributes
    ----------
    share : float
        Of the learning rate that is left in the last epoch.
    epochs : int
        Of the run, the first with the whole learning rate; it stays where it is after the last.

    Examples
    --------
    >>> [round(Geometric(0.01, 3).rate(1.0, [[0.5] * n], "less"), 6) for n in range(4)]
    [1.0, 0.1, 0.01, 0.01]
    """

    share: float
    epochs: int

    def __post_init__(self) -> None:
        require_positive("share", self.share)
        require_count("epochs", self.epochs)

    def rate(self, lr: float, scores: Sequence[Sequence[float]], better: Better) -> float:
        """Return the learning rate of the next epoch, as `Schedule`."""
        del better
        last = max(self.epochs - 1, 1)
        return lr * self.share ** (min(sum(map(len, scores)), last) / last)


@dataclass(frozen=True)
class Plateau:
    """The learning rate falls when the score no longer improves, as `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    Attributes
    ----------
    factor : float
        By which it is multiplied.
    patience : int
        Epochs without an improvement that are let pass; the next one lowers the learning rate, and they are counted
        anew. A new stage of a curriculum begins with the learning rate that was reached, and its scores are compared
        with each other alone.
    threshold : float
        An improvement is a score better than the best one by more than this part of that.
    min_lr : float
        It does not fall below this.

    Examples
    --------
    >>> Plateau(0.5, patience=1).rate(1.0, [[0.9, 0.5, 0.5, 0.5]], "less")
    0.5
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        require_count("patience", self.patience, 0)
        for name in ("threshold", "min_lr"):
            require_at_least(name, getattr(self, name), 0.0)
        require_positive("factor", self.factor)
        if not self.factor < 1:
            raise InputError(f"factor is {self.factor}: expected a number between 0 and 1")

    def rate(self, lr: float, scores: Sequence[Sequence[float]], better: Better) -> float:
        """Return the learning rate of the next epoch, as `Schedule`."""
        sign = 1 if better == "more" else -1
        for stage in scores:
            best, waited = -math.inf, 0
            for score in stage:
                gain = self.threshold * sign * best if math.isfinite(best) else 0.0
                if sign * score > best + gain:
                    best, waited = sign * score, 0
                else:
                    waited += 1
                if waited > self.patience:
                    lr, waited = max(lr * self.factor, self.min_lr), 0
        return lr


def epochs_without_gain(scores: Iterable[float], better: Better, gain: float) -> int:
    """Return how many of the last epochs were no better than the best one before by more than a gain.

    Examples
    --------
    >>> epochs_without_gain([3.0, 2.0, 1.95, 2.5], "less", gain=0.1)
    2
    """
    sign, best, waited = 1 if better == "more" else -1, -math.inf, 0
    for score in scores:
        if sign * score > best + gain:
            best, waited = sign * score, 0
        else:
            waited += 1
    return waited
