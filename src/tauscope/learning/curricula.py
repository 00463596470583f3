"""In which order a task is taught: which Ns are asked now, and what is asked once they are solved."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

from tauscope.errors import InputError, require_at_least

SOLVED = 0.98
"""Accuracy that the mean over active heads and the newest head must both exceed (Khajehabdollahi et al. 2024)."""


class Curriculum(abc.ABC):
    """The state of a curriculum: the Ns asked now, and whether the last one is solved.

    Parameters
    ----------
    first_N : int
        Smallest N asked at the start.
    max_N : int
        Largest N that is ever asked; solving it finishes the curriculum.

    Attributes
    ----------
    Ns : tuple of int
        The memory demands asked now.
    finished : bool
        Whether the last stage is solved.
    """

    shared_head = False
    keeps_every_epoch = False
    """Whether the network is kept after every epoch, and not only when it has solved a stage."""

    def __init__(self, first_N: int = 2, max_N: int = 101) -> None:
        require_at_least("ns_init", first_N, 2)
        if max_N < first_N:
            raise InputError(f"max N is {max_N}: expected at least the first N, {first_N}")
        self.first_N = first_N
        self.max_N = max_N
        self.finished = False
        self.Ns: tuple[int, ...] = (first_N,)

    @abc.abstractmethod
    def _next(self) -> tuple[int, ...]:
        """Return the Ns of the next stage, before they are cut at ``max_N``."""

    def update(self, accuracy: Sequence[float]) -> bool:
        """Take the accuracy of every active head and move on if the stage is solved.

        A stage is solved when the mean over active heads and the newest head both exceed 98 %.

        Parameters
        ----------
        accuracy : sequence of float [head]
            Accuracy of every active head in [0, 1], in the order of `Ns`.

        Returns
        -------
        bool
            Whether the stage was solved.

        Raises
        ------
        InputError
            If there is not one accuracy for each N.

        Examples
        --------
        >>> curriculum = Cumulative()
        >>> curriculum.update([0.99]), curriculum.Ns
        (True, (2, 3))
        """
        if len(accuracy) != len(self.Ns):
            raise InputError(f"{len(accuracy)} accuracies for Ns {list(self.Ns)}: expected {len(self.Ns)}")
        solved = sum(accuracy) / len(accuracy) > SOLVED and accuracy[-1] > SOLVED
        if solved:
            following = tuple(N for N in self._next() if self.max_N >= N)
            if self.Ns[-1] >= self.max_N or following == self.Ns or not following:
                self.finished = True
            else:
                self.Ns = following
        return bool(solved)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here."""
        return {"Ns": list(self.Ns), "finished": self.finished}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; a raised ``max_N`` reopens a finished curriculum at its last stage."""
        self.Ns = tuple(state["Ns"])
        self.finished = bool(state["finished"]) and self.Ns[-1] >= self.max_N


class Single(Curriculum):
    """One N at a time with one head: 2, 3, 4, … (single-head).

    Examples
    --------
    >>> curriculum = Single()
    >>> curriculum.update([0.99]), curriculum.Ns
    (True, (3,))
    """

    shared_head = True

    def _next(self) -> tuple[int, ...]:
        return (self.Ns[0] + 1,)


class Cumulative(Curriculum):
    """Every N so far, each with its own head, and new ones on top (multi-head).

    Parameters
    ----------
    init_heads : int
        Number of Ns at the start.
    add_heads : int
        Number of Ns added when a stage is solved.
    first_N, max_N : int
        As in `Curriculum`.

    Examples
    --------
    >>> Cumulative(init_heads=3).Ns
    (2, 3, 4)
    """

    def __init__(self, init_heads: int = 1, add_heads: int = 1, first_N: int = 2, max_N: int = 101) -> None:
        super().__init__(first_N, max_N)
        require_at_least("init heads", init_heads, 1)
        require_at_least("add heads", add_heads, 1)
        _require_room(first_N, init_heads, max_N)
        self.Ns = tuple(range(first_N, first_N + init_heads))
        self.add_heads = add_heads

    def _next(self) -> tuple[int, ...]:
        return self.Ns + tuple(range(self.Ns[-1] + 1, min(self.Ns[-1] + self.add_heads, self.max_N) + 1))


class Sliding(Curriculum):
    """A window of Ns that drops its oldest and takes in as many new ones; every N keeps its own head.

    Parameters
    ----------
    init_heads : int
        Width of the window; widened to ``forget_heads`` if smaller, as published.
    forget_heads : int
        Number of Ns dropped, and added, when a stage is solved.
    first_N, max_N : int
        As in `Curriculum`.

    Notes
    -----
    The published code reads heads by their position in the window, so that after a slide every retained N is
    read by another N's head. Here head N - 2 stays with its N.

    Examples
    --------
    >>> curriculum = Sliding(init_heads=3, forget_heads=2)
    >>> curriculum.update([0.99, 0.99, 0.99]), curriculum.Ns
    (True, (4, 5, 6))
    """

    def __init__(self, init_heads: int = 1, forget_heads: int = 1, first_N: int = 2, max_N: int = 101) -> None:
        super().__init__(first_N, max_N)
        require_at_least("init heads", init_heads, 1)
        require_at_least("forget heads", forget_heads, 1)
        width = max(init_heads, forget_heads)
        _require_room(first_N, width, max_N)
        self.Ns = tuple(range(first_N, first_N + width))
        self.forget_heads = forget_heads

    def _next(self) -> tuple[int, ...]:
        return self.Ns[self.forget_heads :] + tuple(self.Ns[-1] + 1 + i for i in range(self.forget_heads))


class NoCurriculum(Curriculum):
    """One N from scratch; finished when it is solved.

    Examples
    --------
    >>> curriculum = NoCurriculum(first_N=7)
    >>> curriculum.update([0.99]), curriculum.finished
    (True, True)
    """

    shared_head = True

    def _next(self) -> tuple[int, ...]:
        return self.Ns

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.finished = bool(state["finished"])


class Stages(Curriculum):
    """One task after another with one head, each for a number of epochs, whatever is reached.

    The stages are asked as N = 1, 2, …, see `tauscope.tasks.Succession`.

    Parameters
    ----------
    n_stages : int
        Number of tasks.
    epochs : int
        Epochs of each but the last one, which goes on for as long as the training does.

    Examples
    --------
    >>> curriculum = Stages(2, epochs=1)
    >>> curriculum.update([0.3]), curriculum.Ns
    (False, (2,))
    """

    shared_head = True
    keeps_every_epoch = True

    def __init__(self, n_stages: int = 1, epochs: int = 1) -> None:
        require_at_least("number of stages", n_stages, 1)
        require_at_least("epochs", epochs, 1)
        self.first_N, self.max_N = 1, n_stages
        self.finished = False
        self.Ns = (1,)
        self.epochs = epochs
        self.epoch = 0

    def update(self, accuracy: Sequence[float]) -> bool:
        """Count an epoch, whatever its score, and go over to the next task when it was the stage's last."""
        del accuracy
        self.epoch += 1
        self.Ns = (min(1 + self.epoch // self.epochs, self.max_N),)
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here."""
        return {"epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.epoch = state["epoch"] - 1
        self.update([])

    def _next(self) -> tuple[int, ...]:
        return self.Ns


def _require_room(first_N: int, n_heads: int, max_N: int) -> None:
    if first_N + n_heads - 1 > max_N:
        raise InputError(
            f"init heads is {n_heads}: expected at most {max_N - first_N + 1}, for N = {first_N} ... {max_N}"
        )


CURRICULA: dict[str, type[Curriculum]] = {
    "cumulative": Cumulative,
    "sliding": Sliding,
    "single": Single,
    "single_nocurr": NoCurriculum,
}

CURRICULUM_NAMES = {
    "cumulative": "multi-head",
    "single": "single-head",
    "sliding": "sliding window",
    "single_nocurr": "no curriculum",
}
"""What a curriculum is called in tables and figures."""
