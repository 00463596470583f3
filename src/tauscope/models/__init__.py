"""Who remembers."""

from typing import TYPE_CHECKING

from tauscope._lazy import exports
from tauscope.models.names import CELLS

if TYPE_CHECKING:
    from tauscope.models.balanced import BalancedCell, BalancedRNN
    from tauscope.models.build import build_model, cell_maker, user_cell
    from tauscope.models.cell import Cell, State
    from tauscope.models.cfc import CfCCell
    from tauscope.models.elementwise import ELEMENTWISE, ElementwiseCell, ElementwiseGRUCell, ELSTMCell, LeakyUnitsCell
    from tauscope.models.gated import GATED, GRUCell, LSTMCell
    from tauscope.models.leaky import LeakyCell, LeakyRNN
    from tauscope.models.lif import LIFCell, MembraneCell, gamma_timescales, small_world
    from tauscope.models.low_rank import low_rank_sparse
    from tauscope.models.model import Model
    from tauscope.models.noisy import NoisyCell, NoisyGRUCell, NoisyRateCell
    from tauscope.models.parallel.engines import Adjoint, Parallel
    from tauscope.models.parallel.solve import Solution, solve
    from tauscope.models.rate import RateCell
    from tauscope.models.readout import Heads
    from tauscope.models.relu import RELU_CELLS, HebbianCell, ReluCell, ReluGRUCell, ReluRNN
    from tauscope.models.residual import ResidualCell
    from tauscope.models.second_order import (
        SECOND_ORDER,
        BilinearCell,
        CPCell,
        ElmanCell,
        MICell,
        MultiplicativeCell,
        SecondOrderCell,
    )
    from tauscope.models.solvers import Fast, Loop, Solver
    from tauscope.models.ssm import SSMCell
    from tauscope.models.timescales import StableReparam, TauMap
    from tauscope.models.trace import Trace, run
    from tauscope.models.two_parts import Maps, TwoPartCell
    from tauscope.models.weights import Weight
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "tauscope.models.balanced": ("BalancedCell", "BalancedRNN"),
            "tauscope.models.cell": ("Cell", "State"),
            "tauscope.models.cfc": ("CfCCell",),
            "tauscope.models.low_rank": ("low_rank_sparse",),
            "tauscope.models.model": ("Model",),
            "tauscope.models.build": ("build_model", "cell_maker", "user_cell"),
            "tauscope.models.elementwise": (
                "ELEMENTWISE",
                "ELSTMCell",
                "ElementwiseCell",
                "ElementwiseGRUCell",
                "LeakyUnitsCell",
            ),
            "tauscope.models.gated": ("GATED", "GRUCell", "LSTMCell"),
            "tauscope.models.leaky": ("LeakyCell", "LeakyRNN"),
            "tauscope.models.lif": ("LIFCell", "MembraneCell", "gamma_timescales", "small_world"),
            "tauscope.models.noisy": ("NoisyCell", "NoisyGRUCell", "NoisyRateCell"),
            "tauscope.models.parallel.engines": ("Adjoint", "Parallel"),
            "tauscope.models.parallel.solve": ("Solution", "solve"),
            "tauscope.models.rate": ("RateCell",),
            "tauscope.models.readout": ("Heads",),
            "tauscope.models.relu": ("RELU_CELLS", "HebbianCell", "ReluCell", "ReluGRUCell", "ReluRNN"),
            "tauscope.models.residual": ("ResidualCell",),
            "tauscope.models.second_order": (
                "SECOND_ORDER",
                "BilinearCell",
                "CPCell",
                "ElmanCell",
                "MICell",
                "MultiplicativeCell",
                "SecondOrderCell",
            ),
            "tauscope.models.timescales": ("StableReparam", "TauMap"),
            "tauscope.models.trace": ("Trace", "run"),
            "tauscope.models.solvers": ("Fast", "Loop", "Solver"),
            "tauscope.models.ssm": ("SSMCell",),
            "tauscope.models.two_parts": ("Maps", "TwoPartCell"),
            "tauscope.models.weights": ("Weight",),
        },
    )

__all__ = [
    "CELLS",
    "ELEMENTWISE",
    "GATED",
    "RELU_CELLS",
    "SECOND_ORDER",
    "Adjoint",
    "BalancedCell",
    "BalancedRNN",
    "BilinearCell",
    "CPCell",
    "Cell",
    "CfCCell",
    "ELSTMCell",
    "ElementwiseCell",
    "ElementwiseGRUCell",
    "ElmanCell",
    "Fast",
    "GRUCell",
    "Heads",
    "HebbianCell",
    "LIFCell",
    "LSTMCell",
    "LeakyCell",
    "LeakyRNN",
    "LeakyUnitsCell",
    "Loop",
    "MICell",
    "Maps",
    "MembraneCell",
    "Model",
    "MultiplicativeCell",
    "NoisyCell",
    "NoisyGRUCell",
    "NoisyRateCell",
    "Parallel",
    "RateCell",
    "ReluCell",
    "ReluGRUCell",
    "ReluRNN",
    "ResidualCell",
    "SSMCell",
    "SecondOrderCell",
    "Solution",
    "Solver",
    "StableReparam",
    "State",
    "TauMap",
    "Trace",
    "TwoPartCell",
    "Weight",
    "build_model",
    "cell_maker",
    "gamma_timescales",
    "low_rank_sparse",
    "run",
    "small_world",
    "solve",
    "user_cell",
]
