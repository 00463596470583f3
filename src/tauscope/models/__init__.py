"""Who remembers."""

from tauscope.models.balanced import BalancedCell, BalancedRNN
from tauscope.models.base import Cell, Model, State
from tauscope.models.build import CELLS, build_model, user_cell
from tauscope.models.gated import GATED, GRUCell, LSTMCell
from tauscope.models.leaky import LeakyCell, LeakyRNN
from tauscope.models.rate import RateCell
from tauscope.models.readout import Heads
from tauscope.models.relu import RELU_CELLS, HebbianCell, ReluCell, ReluGRUCell, ReluRNN
from tauscope.models.run import Trace, run
from tauscope.models.solvers import Fast, Loop, Solver
from tauscope.models.weights import Weight

__all__ = [
    "CELLS",
    "GATED",
    "RELU_CELLS",
    "BalancedCell",
    "BalancedRNN",
    "Cell",
    "Fast",
    "GRUCell",
    "Heads",
    "HebbianCell",
    "LSTMCell",
    "LeakyCell",
    "LeakyRNN",
    "Loop",
    "Model",
    "RateCell",
    "ReluCell",
    "ReluGRUCell",
    "ReluRNN",
    "Solver",
    "State",
    "Trace",
    "Weight",
    "build_model",
    "run",
    "user_cell",
]
