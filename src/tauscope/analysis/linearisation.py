"""A network as the linear one that it is near a fixed point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tauscope.analysis.checked import checked
from tauscope.analysis.lyapunov import flatten
from tauscope.analysis.modes import step_jacobian
from tauscope.errors import InputError
from tauscope.models.cell import State
from tauscope.models.model import Model
from tauscope.tasks.base import OUT

Array = NDArray[np.float64]

_STILL = 1e-4
"""How far a step may move a fixed point, in the units of the state."""


class Linearisation(NamedTuple):
    """A network near a fixed point: deviations z of the state obey z ← J z, and outputs deviate by C z."""

    recurrent: Array
    """J ``[to, from]``, all tensors of all layers side by side."""
    readout: Array
    """C ``[output, from]`` of one head."""


@checked
@torch.no_grad()
def linearise(model: Model, head: str = OUT, state: tuple[State, ...] | None = None) -> Linearisation:
    """Return the linear network that a network is near a fixed point without input.

    Parameters
    ----------
    model : Model
        The network, run without noise.
    head : str
        Name of the head that is read.
    state : tuple of layer states, optional
        The fixed point, tensors [1, unit]; zeros if not given, which every network without biases has.

    Returns
    -------
    Linearisation
        Jacobians of step and read-out, in float64.

    Raises
    ------
    InputError
        If the state moves, so that it is no fixed point.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(3, form="mod", afunc="tanh", tau=1.0, generator=torch.Generator().manual_seed(0))
    >>> with torch.no_grad():
    ...     _ = [bias.zero_() for name, bias in model.named_parameters() if "bias" in name]
    >>> W = model.layers[0].recurrent.weight.detach()
    >>> found = linearise(model, "N2")
    >>> bool(np.allclose(found.recurrent, W - torch.diag(W.diagonal()))), found.readout.shape
    (True, (2, 3))
    """
    if state is None:
        state = tuple(tuple(torch.zeros_like(part) for part in layer) for layer in model.initial_state(1))
    silence = model.hidden(state).new_zeros(1, model.n_inputs)
    z, step = flatten(model, state)
    moved = float((step(silence, z) - z).abs().max())
    if not moved <= _STILL:
        raise InputError(f"the state moves by {moved:.3g} in a step without input: expected a fixed point")
    units = torch.eye(model.n_units, dtype=z.dtype, device=z.device)
    readout = (model.readout(units, head) - model.readout(torch.zeros_like(units), head)).T
    # Heads see the first tensor of each layer's state.
    first = [torch.full_like(part[0], i == 0, dtype=torch.bool) for layer in state for i, part in enumerate(layer)]
    full = readout.new_zeros(len(readout), z.shape[1])
    full[:, torch.cat(first)] = readout
    jacobian = step_jacobian(model, state, silence)[0]
    return Linearisation(jacobian.double().cpu().numpy(), full.double().cpu().numpy())
