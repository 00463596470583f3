"""Who remembers."""

from tauscope.models.base import Cell, Model, State
from tauscope.models.build import CELLS, build_model
from tauscope.models.gated import GRUCell, LSTMCell
from tauscope.models.leaky import LeakyCell, LeakyRNN
from tauscope.models.readout import Heads

__all__ = ["CELLS", "Cell", "GRUCell", "Heads", "LSTMCell", "LeakyCell", "LeakyRNN", "Model", "State", "build_model"]
