"""Who remembers."""

from typing import TYPE_CHECKING

from tauscope._lazy import exports
from tauscope.models.names import CELLS

if TYPE_CHECKING:
    from tauscope.models.balanced import BalancedCell, BalancedRNN
    from tauscope.models.base import Cell, Model, State
    from tauscope.models.build import build_model, user_cell
    from tauscope.models.gated import GATED, GRUCell, LSTMCell
    from tauscope.models.leaky import LeakyCell, LeakyRNN
    from tauscope.models.readout import Heads
    from tauscope.models.relu import RELU_CELLS, HebbianCell, ReluCell, ReluGRUCell, ReluRNN
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "tauscope.models.balanced": ("BalancedCell", "BalancedRNN"),
            "tauscope.models.base": ("Cell", "Model", "State"),
            "tauscope.models.build": ("build_model", "user_cell"),
            "tauscope.models.gated": ("GATED", "GRUCell", "LSTMCell"),
            "tauscope.models.leaky": ("LeakyCell", "LeakyRNN"),
            "tauscope.models.readout": ("Heads",),
            "tauscope.models.relu": ("RELU_CELLS", "HebbianCell", "ReluCell", "ReluGRUCell", "ReluRNN"),
        },
    )

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
