"""What models can be asked for by name, known without torch: a command line that misspells one is refused at once."""

from __future__ import annotations

FORMS = ("default", "mod", "continuous")
"""Where the nonlinearity of a leaky cell stands."""

PRECISIONS = ("fp32", "bf16")
"""Of the matrix products of leaky cells."""

ACTIVATION_NAMES = ("leakyrelu", "relu", "tanh", "sigmoid", "hardtanh", "identity")
"""Keys of `tauscope.models.kernels.activations.ACTIVATIONS`."""

MATCHED = "matched_"
"""Before the name of a map: with w scaled so that dτ/dw is 1 in size at τ = 1.5, as under ``inverse``."""

TAU_MAPS = (
    *("inverse", "clamp", "exp", "softplus", "sigmoid", "best", "direct"),
    *(MATCHED + name for name in ("exp", "softplus", "sigmoid", "best", "direct")),
)
"""Names that `tauscope.models.TauMap` takes; the second is another name of the first."""

RESIDUAL_ACTIVATIONS = ("identity", "hardtanh", "tanh")
"""Nonlinearities of a `tauscope.models.ResidualCell`, with slope 1 at 0."""

BALANCED_STARTS = ("balanced", "ei")
"""Initial weights of a balanced network: all units alike, or excitatory and inhibitory ones."""

ELEMENTWISE_CELLS = ("elstm", "egru", "leaky_units")
"""Cells of which no unit's recurrence sees another's."""

SPIKING_CELLS = ("lif",)
"""Cells that spike, whose step jumps: gradients and Jacobians are those of a surrogate."""

CELLS = (
    *("leaky", "gru", "lstm", "cfc", "elman", "cp", "mi", "second_order", "bilinear", "residual", "ssm"),
    *ELEMENTWISE_CELLS,
    *SPIKING_CELLS,
)
"""Cells that `tauscope.models.build_model` knows."""

ENGINES = ("loop", "adjoint", "parallel")
"""How a gradient through time is found, see `tauscope.learning.learners.BPTT`."""

RANK = 16
"""Rank of the second-order term of a `tauscope.models.CPCell` unless another is asked for."""

NOISES = ("normal", "uniform")
"""Noise of cells that add it to their state: standard normal, or uniform on [0, 1)."""

TIMESCALES = ("equal", "different", "trained")
"""Of the units of a `tauscope.models.NoisyRateCell`."""

NOISY_CELLS = ("noisy_rate", "noisy_gru")
"""Cells of the tasks of navigation, whose noise is added to their state."""
GRADIENTS = ("bptt", "rtrl", "immediate")
"""How the gradient through time can be found: `tauscope.learning.learners.BPTT`, `tauscope.learning.online`."""
RESETS = ("subtract", "zero")
"""What a spike does to the membrane of a `tauscope.models.LIFCell`."""

STARTS = ("own", "glorot", "orthogonal")
"""Full matrices from which recurrent weights of low rank and sparse ones begin, see `tauscope.models.low_rank_sparse`."""
