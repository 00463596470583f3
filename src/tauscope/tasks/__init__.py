"""What must be remembered."""

from tauscope.tasks.base import Batch, ClassificationTask, Task
from tauscope.tasks.binary import BinaryMemoryTask, DelayedMatchToSample, Parity

TASKS: dict[str, type[BinaryMemoryTask]] = {"parity": Parity, "dms": DelayedMatchToSample}

__all__ = ["TASKS", "Batch", "BinaryMemoryTask", "ClassificationTask", "DelayedMatchToSample", "Parity", "Task"]
