"""Memory tasks."""

from tauscope.tasks.base import METRICS, OUT, Batch, ClassificationTask, Head, Stage, Task
from tauscope.tasks.binary import BinaryMemoryTask, DelayedMatchToSample, Parity, head_name
from tauscope.tasks.cloning import Cloning
from tauscope.tasks.comparison import ChangeDetection, ChangeDetection2, Comparison, TwoAlternativeChoice
from tauscope.tasks.cues import Copy, Cue, CueGame
from tauscope.tasks.delayed import DelayedResponseTask
from tauscope.tasks.digits import Digits
from tauscope.tasks.environment import Environment, Turn
from tauscope.tasks.estimation import DelayedEstimation, DelayedEstimation2, DelayedSine, GatedDelayedEstimation
from tauscope.tasks.functional import Filter, Functional
from tauscope.tasks.gym import Gymnasium
from tauscope.tasks.history import History
from tauscope.tasks.naming import POPULATION_TASKS, PUBLISHED_CODES, population_task_name
from tauscope.tasks.navigation import CodedTask, HeadDirection, PathIntegration
from tauscope.tasks.neurogym import Neurogym
from tauscope.tasks.plants import Springs
from tauscope.tasks.series import Series
from tauscope.tasks.text import Text
from tauscope.tasks.tracking import Tracking

TASKS: dict[str, type[BinaryMemoryTask]] = {"parity": Parity, "dms": DelayedMatchToSample}

__all__ = [
    "METRICS",
    "OUT",
    "POPULATION_TASKS",
    "PUBLISHED_CODES",
    "TASKS",
    "Batch",
    "BinaryMemoryTask",
    "ChangeDetection",
    "ChangeDetection2",
    "ClassificationTask",
    "Cloning",
    "CodedTask",
    "Comparison",
    "Copy",
    "Cue",
    "CueGame",
    "DelayedEstimation",
    "DelayedEstimation2",
    "DelayedMatchToSample",
    "DelayedResponseTask",
    "DelayedSine",
    "Digits",
    "Environment",
    "Filter",
    "Functional",
    "GatedDelayedEstimation",
    "Gymnasium",
    "Head",
    "HeadDirection",
    "History",
    "Neurogym",
    "Parity",
    "PathIntegration",
    "Series",
    "Springs",
    "Stage",
    "Task",
    "Text",
    "Tracking",
    "Turn",
    "TwoAlternativeChoice",
    "head_name",
    "population_task_name",
]
