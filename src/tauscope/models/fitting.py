"""Whether what a network is made of and what it is given fit each other; what does not is refused in one line."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_count, require_instance
from tauscope.models.cell import Cell, State
from tauscope.models.readout import Heads


def require_parts(cells: object, heads: object, start: object, skip_input: bool) -> list[Cell]:
    """Return the cells of a network, or raise an `InputError` if its parts are none or do not fit each other."""
    if isinstance(cells, Cell) or not isinstance(cells, Iterable):
        require_instance("cells", cells, list, "a list of cells, the first one nearest to the input")
    layers = list(cast(Iterable[Cell], cells))
    require_count("number of layers", len(layers))
    for cell in layers:
        require_instance("a layer", cell, Cell, "a tauscope Cell, such as LeakyCell(1, 8, generator)")
    for below, cell in itertools.pairwise(layers):
        n_inputs = below.n_units + skip_input * layers[0].n_inputs
        if cell.n_inputs != n_inputs:
            raise InputError(f"a layer has {cell.n_inputs} inputs: expected {n_inputs}, as those below have outputs")
    require_instance("heads", heads, Heads, "tauscope Heads, such as Heads(8, ['out'], 2, False, generator)")
    for linear in cast(Heads, heads).linears[:1]:
        if linear.in_features != layers[-1].n_units:
            raise InputError(f"heads read {linear.in_features} units: expected {layers[-1].n_units}, the top layer's")
    if start is not None:
        require_instance("start", start, nn.Module, "a module that makes units of codes, such as torch.nn.Linear(3, 8)")
    return layers


def require_one_precision(inputs: Tensor, state: Tensor, error: Exception) -> None:
    """Raise an `InputError` if it was another precision or device of the inputs that a layer failed on."""
    wanted = (state.dtype.to_real(), state.device)
    if (inputs.dtype, inputs.device) != wanted:
        raise InputError(
            f"inputs are {inputs.dtype} on {inputs.device}: expected {wanted[0]} on {wanted[1]}, as the network; "
            "tauscope.run casts them"
        ) from error


def require_weights(part: nn.Module, alike: bool = False) -> None:
    """Raise an `InputError` unless a process has all weights, and in one precision where they have to be alike.

    Examples
    --------
    >>> part = nn.Linear(1, 2)
    >>> part.bias = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    >>> require_weights(part, alike=True)
    Traceback (most recent call last):
    tauscope.errors.InputError: bias of Linear is torch.float64, weight torch.float32: expected one precision, such as model.float()
    """
    first, precision = "", None
    for name, weight in part.named_parameters():
        # Named, not imported: what is distributed takes long to import.
        if type(weight).__name__ == "DTensor":
            raise InputError(
                f"the weights of the network ({type(part).__name__}) are distributed over processes (DTensor): expected a "
                "Model that holds them whole, such as a new one with get_model_state_dict(…, full_state_dict=True)"
            )
        if not (alike and (weight.is_floating_point() or weight.is_complex())):
            continue
        if precision not in (None, weight.dtype.to_real()):
            raise InputError(
                f"{name} of {type(part).__name__} is {weight.dtype}, {first} {precision}: expected one precision, such as "
                "model.float()"
            )
        first, precision = name, weight.dtype.to_real()


def require_series(name: str, series: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raise an `InputError` unless a series is a tensor of that shape, where there is one."""
    if series is None:
        return
    require_instance(name, series, Tensor, f"a tensor of shape {shape}")
    if series.shape != shape:
        raise InputError(f"{name} has shape {tuple(series.shape)}: expected {shape}")


def require_state(layers: Sequence[Cell], state: object, n_trials: int) -> tuple[State, ...]:
    """Return a state, or raise an `InputError` if it is none of these layers' for so many trials."""
    expected = "expected a tuple of tensors for each layer, all in a tuple, such as model.initial_state(8)"
    if isinstance(state, Tensor) or not isinstance(state, Sequence) or len(state) != len(layers):
        size = f" of {len(state)}" if isinstance(state, Sequence) else ""
        raise InputError(f"state is a {type(state).__name__}{size}, the network has {len(layers)}: {expected}")
    for cell, own in zip(layers, state, strict=True):
        if (
            isinstance(own, Tensor)
            or not isinstance(own, Sequence)
            or not all(isinstance(tensor, Tensor) for tensor in own)
        ):
            raise InputError(f"the state of a layer is a {type(own).__name__}: {expected}")
        if len(own) < cell.n_states:
            raise InputError(f"the state of a layer has {len(own)} tensors, not {cell.n_states}: {expected}")
        if not own or own[0].shape != (n_trials, cell.n_units):
            shape = tuple(own[0].shape) if own else ()
            raise InputError(f"the state of a layer has shape {shape}: expected {(n_trials, cell.n_units)}")
    return tuple(tuple(own) for own in state)


def require_float64(device: torch.device) -> None:
    """Raise an `InputError` if numbers of a device are never in float64, in which scores and measurements add up.

    Examples
    --------
    >>> require_float64(torch.device("mps"))
    Traceback (most recent call last):
    tauscope.errors.InputError: the network lies on mps, which has no float64: expected cpu or cuda, such as model.cpu()
    """
    if device.type == "mps":
        raise InputError("the network lies on mps, which has no float64: expected cpu or cuda, such as model.cpu()")
