"""What models can be asked for by name, known without torch: a command line that misspells one is refused at once."""

from __future__ import annotations

FORMS = ("default", "mod", "continuous")
"""Where the nonlinearity of a leaky cell stands."""

PRECISIONS = ("fp32", "bf16")
"""Of the matrix products of leaky cells."""

ACTIVATION_NAMES = ("leakyrelu", "relu", "tanh", "sigmoid")
"""Keys of `tauscope.models.kernels.activations.ACTIVATIONS`."""

BALANCED_STARTS = ("balanced", "ei")
"""Initial weights of a balanced network: all units alike, or excitatory and inhibitory ones."""

ELEMENTWISE_CELLS = ("elstm", "egru", "leaky_units")
"""Cells of which no unit's recurrence sees another's."""

CELLS = ("leaky", "gru", "lstm", "elman", "cp", "mi", "second_order", "bilinear", *ELEMENTWISE_CELLS)
"""Cells that `tauscope.models.build_model` knows."""

RANK = 16
"""Rank of the second-order term of a `tauscope.models.CPCell` unless another is asked for."""

GRADIENTS = ("bptt", "rtrl", "immediate")
"""How the gradient through time can be found: `tauscope.learning.learners.BPTT`, `tauscope.learning.online`."""
