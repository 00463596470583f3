"""tauscope: how does a recurrent network hold a memory?"""

from typing import TYPE_CHECKING

from tauscope._lazy import exports
from tauscope._version import __version__
from tauscope.errors import DamagedFileError, DivergedError, InputError

if TYPE_CHECKING:
    from tauscope import analysis
    from tauscope.analysis.accuracy import evaluate
    from tauscope.analysis.closed_loop import closed_loop
    from tauscope.analysis.pruning import prune
    from tauscope.analysis.ridge import fit_readout
    from tauscope.learning.curricula import Criterion, Curriculum, cumulative, ladder, once, single, sliding
    from tauscope.learning.interrupts import Interrupted
    from tauscope.learning.recipe import Recipe
    from tauscope.learning.state import Training
    from tauscope.learning.training import train
    from tauscope.measurements.retraining import forgetting, retrain
    from tauscope.models import (
        Cell,
        GRUCell,
        Heads,
        LeakyCell,
        LeakyRNN,
        LSTMCell,
        Maps,
        Model,
        Solution,
        Trace,
        TwoPartCell,
        build_model,
        low_rank_sparse,
        run,
        solve,
    )
    from tauscope.models.wrapped import wrap
    from tauscope.runs.loading import load, load_model
    from tauscope.runs.published import read_stats
    from tauscope.runs.saved import save
    from tauscope.runs.setups.binary import TrainConfig
    from tauscope.tasks import Batch, DelayedMatchToSample, Head, Parity, Stage, Task
else:
    # What is not used is not imported: torch, pandas, scipy and matplotlib take seconds.
    __getattr__, __dir__ = exports(
        __name__,
        {
            "tauscope.analysis": ("analysis",),
            "tauscope.analysis.accuracy": ("evaluate",),
            "tauscope.analysis.closed_loop": ("closed_loop",),
            "tauscope.analysis.pruning": ("prune",),
            "tauscope.analysis.ridge": ("fit_readout",),
            "tauscope.learning.curricula": (
                "Criterion",
                "Curriculum",
                "cumulative",
                "ladder",
                "once",
                "single",
                "sliding",
            ),
            "tauscope.learning.interrupts": ("Interrupted",),
            "tauscope.learning.recipe": ("Recipe",),
            "tauscope.learning.state": ("Training",),
            "tauscope.learning.training": ("train",),
            "tauscope.measurements.retraining": ("forgetting", "retrain"),
            "tauscope.models": (
                "Cell",
                "GRUCell",
                "Heads",
                "LeakyCell",
                "LeakyRNN",
                "LSTMCell",
                "Maps",
                "Model",
                "Solution",
                "Trace",
                "TwoPartCell",
                "build_model",
                "low_rank_sparse",
                "run",
                "solve",
            ),
            "tauscope.models.wrapped": ("wrap",),
            "tauscope.runs.loading": ("load", "load_model"),
            "tauscope.runs.published": ("read_stats",),
            "tauscope.runs.saved": ("save",),
            "tauscope.runs.setups.binary": ("TrainConfig",),
            "tauscope.tasks": ("Batch", "DelayedMatchToSample", "Head", "Parity", "Stage", "Task"),
        },
    )

__all__ = [
    "Batch",
    "Cell",
    "Criterion",
    "Curriculum",
    "DamagedFileError",
    "DelayedMatchToSample",
    "DivergedError",
    "GRUCell",
    "Head",
    "Heads",
    "InputError",
    "Interrupted",
    "LSTMCell",
    "LeakyCell",
    "LeakyRNN",
    "Maps",
    "Model",
    "Parity",
    "Recipe",
    "Solution",
    "Stage",
    "Task",
    "Trace",
    "TrainConfig",
    "Training",
    "TwoPartCell",
    "__version__",
    "analysis",
    "build_model",
    "closed_loop",
    "cumulative",
    "evaluate",
    "fit_readout",
    "forgetting",
    "ladder",
    "load",
    "load_model",
    "low_rank_sparse",
    "once",
    "prune",
    "read_stats",
    "retrain",
    "run",
    "save",
    "single",
    "sliding",
    "solve",
    "train",
    "wrap",
]
