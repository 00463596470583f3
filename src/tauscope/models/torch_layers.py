"""Cells of the recurrent modules of torch, with which they share their parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tauscope.errors import InputError
from tauscope.models.cell import Cell
from tauscope.models.gated import GRUCell, LSTMCell
from tauscope.models.leaky import LeakyCell

TORCH_LAYERS = (nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell)
"""The modules that `cells_of` knows."""


def is_torch_layer(module: object) -> bool:
    """Return whether a module computes what one of `TORCH_LAYERS` does; a subclass may compute something else.

    Examples
    --------
    >>> is_torch_layer(nn.GRU(1, 4)), is_torch_layer(nn.Linear(1, 4))
    (True, False)
    """
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in TORCH_LAYERS)


def cells_of(module: nn.RNNBase | nn.RNNCellBase, n_inputs: int, n_units: int) -> list[Cell]:
    """Return a cell for every layer of a recurrent module of torch, with the module's own parameters.

    Parameters
    ----------
    module : nn.Module
        One of `TORCH_LAYERS`. Its layers become a `GRUCell`, an `LSTMCell`, or, of an Elman network, a `LeakyCell` with
        τ = 1, which is h ← φ(W h + b + V x + b_in).
    n_inputs, n_units : int
        Channels of the input; units of every layer.

    Raises
    ------
    InputError
        If the sizes are not those of the module, or it is bidirectional, projects its state, drops units out, or does
        not hold its weights as they are.

    Examples
    --------
    >>> gru = nn.GRU(1, 4)
    >>> (cell,) = cells_of(gru, 1, 4)
    >>> cell.weights()["rnn.weight_hh_l0"].parameters[0] is gru.weight_hh_l0
    True
    """
    name = type(module).__name__
    if (module.input_size, module.hidden_size) != (n_inputs, n_units):
        raise InputError(
            f"a {name} of {module.input_size} inputs and {module.hidden_size} units: "
            f"expected n_inputs={module.input_size}, n_units={module.hidden_size}, not {n_inputs} and {n_units}"
        )
    if parametrize.is_parametrized(module) or module._forward_pre_hooks:
        raise InputError(f"the weights of the {name} are computed by hooks: expected weights that it holds itself")
    suffixes = [""]
    if isinstance(module, nn.RNNBase):
        if module.bidirectional:
            raise InputError(f"the {name} is bidirectional: expected a network that does not know its future")
        if module.proj_size:
            raise InputError(f"the {name} projects its state to {module.proj_size} units: expected proj_size=0")
        if module.dropout and module.training and module.num_layers > 1:
            raise InputError(f"the {name} drops out {module.dropout} of its units: expected dropout=0, or .eval()")
        suffixes = [f"_l{layer}" for layer in range(module.num_layers)]
    return [_cell(module, suffix) for suffix in suffixes]


def _cell(module: nn.RNNBase | nn.RNNCellBase, suffix: str) -> Cell:
    """Return the cell of the layer whose parameters have names with this suffix."""
    kept = dict(module.named_parameters(recurse=False))
    input, recurrent = kept[f"weight_ih{suffix}"], kept[f"weight_hh{suffix}"]
    n_inputs, n_units = input.shape[1], recurrent.shape[1]
    # What the cell draws is replaced.
    generator = torch.Generator(input.device)
    if isinstance(module, nn.GRU | nn.GRUCell | nn.LSTM | nn.LSTMCell):
        kind = GRUCell if isinstance(module, nn.GRU | nn.GRUCell) else LSTMCell
        gated = kind(n_inputs, n_units, generator).to(input)
        for name, weight in gated.weights().items():
            own = f"{name.removeprefix('rnn.').removesuffix('_l0')}{suffix}"
            setattr(weight.module, weight.name, kept.get(own, _no_bias(weight.tensor)))
        return gated
    bias = f"bias_ih{suffix}" in kept
    leaky = LeakyCell(
        n_inputs, n_units, generator, afunc=str(module.nonlinearity), tau=1, bias=bias, diagonal=True, start=0
    ).to(input)
    leaky.input.weight, leaky.recurrent.weight = input, recurrent
    if bias:
        leaky.input.bias, leaky.recurrent.bias = kept[f"bias_ih{suffix}"], kept[f"bias_hh{suffix}"]
    return leaky


def _no_bias(bias: Tensor) -> nn.Parameter:
    """Return the bias of a gated layer that has none: zeros that are not trained."""
    return nn.Parameter(torch.zeros_like(bias), requires_grad=False)
