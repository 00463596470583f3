"""tauscope: how does a recurrent network hold a memory?"""

from tauscope import analysis
from tauscope.analysis.accuracy import evaluate
from tauscope.config import TrainConfig
from tauscope.curricula import Cumulative, Curriculum, NoCurriculum, Single, Sliding
from tauscope.errors import DamagedFileError, DivergedError, InputError
from tauscope.loading import load, load_model
from tauscope.models import Cell, GRUCell, Heads, LeakyCell, LeakyRNN, LSTMCell, Model, build_model
from tauscope.models.wrapped import wrap
from tauscope.published import read_stats
from tauscope.tasks import Batch, DelayedMatchToSample, Parity, Task
from tauscope.training import Recipe, Training, train

__version__ = "0.1.0"

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
    "analysis",
    "build_model",
    "evaluate",
    "load",
    "load_model",
    "read_stats",
    "train",
    "wrap",
]
