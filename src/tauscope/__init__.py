"""tauscope: how does a recurrent network hold a memory?"""

from typing import TYPE_CHECKING

from tauscope._lazy import exports
from tauscope._version import __version__
from tauscope.errors import DamagedFileError, DivergedError, InputError

if TYPE_CHECKING:
    from tauscope import analysis
    from tauscope.analysis.accuracy import evaluate
    from tauscope.learning.curricula import Cumulative, Curriculum, NoCurriculum, Single, Sliding
    from tauscope.learning.training import Recipe, Training, train
    from tauscope.models import Cell, GRUCell, Heads, LeakyCell, LeakyRNN, LSTMCell, Model, build_model
    from tauscope.models.wrapped import wrap
    from tauscope.runs.config import TrainConfig
    from tauscope.runs.loading import load, load_model
    from tauscope.runs.published import read_stats
    from tauscope.tasks import Batch, DelayedMatchToSample, Parity, Task
else:
    # What is not used is not imported: torch, pandas, scipy and matplotlib take seconds.
    __getattr__, __dir__ = exports(
        __name__,
        {
            "tauscope.analysis": ("analysis",),
            "tauscope.analysis.accuracy": ("evaluate",),
            "tauscope.learning.curricula": ("Cumulative", "Curriculum", "NoCurriculum", "Single", "Sliding"),
            "tauscope.learning.training": ("Recipe", "Training", "train"),
            "tauscope.models": (
                "Cell",
                "GRUCell",
                "Heads",
                "LeakyCell",
                "LeakyRNN",
                "LSTMCell",
                "Model",
                "build_model",
            ),
            "tauscope.models.wrapped": ("wrap",),
            "tauscope.runs.config": ("TrainConfig",),
            "tauscope.runs.loading": ("load", "load_model"),
            "tauscope.runs.published": ("read_stats",),
            "tauscope.tasks": ("Batch", "DelayedMatchToSample", "Parity", "Task"),
        },
    )

__all__ = [
    "Batch",
    "Cell",
    "Cumulative",
    "Curriculum",
    "DamagedFileError",
    "DelayedMatchToSample",
    "DivergedError",
    "GRUCell",
    "Heads",
    "InputError",
    "LSTMCell",
    "LeakyCell",
    "LeakyRNN",
    "Model",
    "NoCurriculum",
    "Parity",
    "Recipe",
    "Single",
    "Sliding",
    "Task",
    "TrainConfig",
    "Training",
    "__version__",
    "analysis",
    "build_model",
    "evaluate",
    "load",
    "load_model",
    "read_stats",
    "train",
    "wrap",
]
