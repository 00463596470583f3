"""One task after another, for a network that is taught several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tauscope._lazy import torch
from tauscope.errors import InputError
from tauscope.tasks.base import Batch, Task, validate_Ns

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Succession(Task):
    """Tasks that one head learns one after another; N is the number of the task that is asked.

    Attributes
    ----------
    tasks : tuple of Task
        The first is asked as N = 1, the second as N = 2, …; all have as many inputs and outputs, and one metric.
    Ns : tuple of int
        The one that is asked.

    Examples
    --------
    >>> from tauscope.tasks import ChangeDetection, TwoAlternativeChoice
    >>> Succession(tasks=(ChangeDetection(), TwoAlternativeChoice()), Ns=(2,)).asked.question
    'Say whether the stimulus stood right or left (2AFC), after Harvey et al. 2012: s = ±15.'
    """

    Ns: Sequence[int] = (1,)
    tasks: tuple[Task, ...] = ()

    source: ClassVar[str] = "as of its tasks"

    def __post_init__(self) -> None:
        object.__setattr__(self, "Ns", validate_Ns(self.Ns))
        if len(self.Ns) != 1 or self.Ns[0] > len(self.tasks):
            raise InputError(f"Ns {list(self.Ns)}: expected the number of one task, from 1 to {len(self.tasks)}")
        kinds = {(task.n_inputs, task.n_outputs, task.metric) for task in self.tasks}
        if len(kinds) > 1:
            raise InputError(
                f"tasks with (inputs, outputs, metric) {sorted(kinds)} cannot share a network: expected equal ones"
            )

    @property
    def asked(self) -> Task:
        """The task that is asked."""
        return self.tasks[self.Ns[0] - 1]

    @property
    def metric(self) -> str:  # type: ignore[override]
        """What the score of every task is."""
        return self.asked.metric

    @property
    def optimum(self) -> float:  # type: ignore[override]
        """Best score of the task that is asked."""
        return self.asked.optimum

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of input channels."""
        return self.asked.n_inputs

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """Number of outputs."""
        return self.asked.n_outputs

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw a batch of the task that is asked."""
        return self.asked.sample(batch_size, generator)

    def chance(self, N: int) -> float:
        """Return the chance level of task N."""
        return self.tasks[N - 1].chance(1)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the loss of the task that is asked."""
        return self.asked.loss(outputs, batch)

    def score(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the score of the task that is asked, ``[1]``."""
        return self.asked.score(outputs, batch)

    def activity(self, states: Tensor) -> Tensor:
        """Return what activity costs in the task that is asked."""
        return self.asked.activity(states)
