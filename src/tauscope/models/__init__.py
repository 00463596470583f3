"""Who remembers."""

from tauscope.models.balanced import BalancedCell, BalancedRNN
from tauscope.models.base import Cell, Model, State
from tauscope.models.build import CELLS, build_model, user_cell
from tauscope.models.gated import GATED, GRUCell, LSTMCell
from tauscope.models.leaky import LeakyCell, LeakyRNN
from tauscope.models.readout import Heads
from tauscope.models.relu import RELU_CELLS, HebbianCell, ReluCell, ReluGRUCell, ReluRNN

__all__ = [
    "CELLS",
    "GATED",
    "RELU_CELLS",
    "BalancedCell",
    "BalancedRNN",
    "Cell",
    "GRUCell",
    "Heads",
    "HebbianCell",
    "LSTMCell",
    "LeakyCell",
    "LeakyRNN",
    "Model",
    "ReluCell",
    "ReluGRUCell",
    "ReluRNN",
    "State",
    "build_model",
    "user_cell",
]
