"""Putting a network together from the names that the command line uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch

from tauscope._draws import require_generator
from tauscope._named import imported
from tauscope.errors import InputError, nearest, require_instance
from tauscope.models.cell import Cell, layer_sizes
from tauscope.models.cfc import CfCCell
from tauscope.models.elementwise import ELEMENTWISE
from tauscope.models.gated import GATED
from tauscope.models.leaky import LeakyRNN
from tauscope.models.lif import LIFCell
from tauscope.models.model import Model
from tauscope.models.names import CELLS, RANK
from tauscope.models.readout import Heads, numbered
from tauscope.models.residual import ResidualCell
from tauscope.models.second_order import SECOND_ORDER, CPCell
from tauscope.models.ssm import SSMCell

DECAYING: dict[str, Callable[..., Cell]] = {"residual": ResidualCell, "ssm": SSMCell}
"""Cells of trained decay rates, whose options are their own."""

SPIKING: dict[str, Callable[..., Cell]] = {"lif": LIFCell}
"""Cells that spike, whose options are their own."""

CONTINUOUS: dict[str, Callable[..., Cell]] = {"cfc": CfCCell}
"""Cells in closed form of continuous time."""

CellMaker = Callable[[int, int, torch.Generator], Cell]
"""From channels of the input, number of units and the source of initial weights to a layer."""


def cell_maker(name: str, rank: int = RANK, **options: Any) -> CellMaker:
    """Return what makes a layer of a named cell, which takes no options but its sizes.

    Parameters
    ----------
    name : str
        ``"gru"``, ``"lstm"``, ``"cfc"``, ``"elman"``, ``"cp"``, ``"mi"``, ``"second_order"``, ``"bilinear"``, ``"residual"``, ``"ssm"``,
        ``"elstm"``, ``"egru"``, ``"leaky_units"``, ``"lif"``, or a user's own as ``"module:Class"``.
    rank : int
        Of the second-order term, for ``"cp"`` alone.
    **options
        Of `ResidualCell`, `SSMCell` and `LIFCell`, for ``"residual"``, ``"ssm"`` and ``"lif"`` alone.

    Raises
    ------
    InputError
        If there is no such cell.

    Examples
    --------
    >>> cell_maker("cp", 3)(2, 4, torch.Generator().manual_seed(0)).rank
    3
    """
    if name == "cp":
        return partial(CPCell, rank=rank)
    if name in DECAYING | SPIKING:
        return partial((DECAYING | SPIKING)[name], **options)
    known = GATED | CONTINUOUS | SECOND_ORDER | ELEMENTWISE
    if name not in known and ":" not in name:
        raise InputError(f"cell {name!r} is unknown: {nearest(name, [*CELLS, 'module:Class'])}")
    return cast(CellMaker, known.get(name) or user_cell(name))


def user_cell(name: str) -> type[Cell]:
    """Import a cell class named ``module:Class``.

    Parameters
    ----------
    name : str
        Importable module and the name of a `Cell` subclass in it.

    Returns
    -------
    type
        The class.

    Raises
    ------
    InputError
        If there is no such module or class, or it is not a `Cell` with a step.

    Examples
    --------
    >>> user_cell("tauscope.models.gated:GRUCell").__name__
    'GRUCell'
    """
    found = imported(name, "cell")
    if not (isinstance(found, type) and issubclass(found, Cell)):
        raise InputError(f"cell {name!r} is not a cell: expected a subclass of tauscope.Cell")
    if inspect.isabstract(found):
        raise InputError(f"cell {name!r} has no step: expected a subclass of tauscope.Cell that defines it")
    return found


def build_model(
    cell: str = "leaky",
    n_units: int | Sequence[int] = 500,
    *,
    generator: torch.Generator,
    n_inputs: int = 1,
    n_outputs: int = 2,
    n_heads: int = 100,
    shared_head: bool = False,
    form: str = "default",
    afunc: str = "leakyrelu",
    tau: float | None = None,
    precision: str = "fp32",
    rank: int = RANK,
    tau_map: str = "inverse",
) -> Model:
    """Build a network of a named cell.

    Parameters
    ----------
    cell : str
        ``"leaky"``, or one of `cell_maker`.
    n_units, generator, n_inputs, n_outputs, n_heads, shared_head, form, afunc, tau, precision, tau_map
        As in `LeakyRNN`; the last five are the leaky network's alone, but for ``tau_map``, which residual and state-space cells have too.
    rank : int
        Of the second-order terms, for ``"cp"`` alone.

    Returns
    -------
    Model
        The network with fresh weights.

    Raises
    ------
    InputError
        If the name or an option is not known.

    Examples
    --------
    >>> build_model("gru", 8, generator=torch.Generator().manual_seed(0)).n_units
    8
    """
    require_generator(generator)
    require_instance("cell", cell, str, f"a name: {', '.join(CELLS)}, or a cell of your own as 'module:Class'")
    if cell == "leaky":
        return LeakyRNN(
            n_units,
            generator=generator,
            n_inputs=n_inputs,
            n_outputs=n_outputs,
            n_heads=n_heads,
            shared_head=shared_head,
            form=form,
            afunc=afunc,
            tau=tau,
            precision=precision,
            tau_map=tau_map,
        )
    maker = cell_maker(cell, rank, **({"tau_map": tau_map} if cell in DECAYING else {}))
    leaky = {
        "form": (form, "default"),
        "afunc": (afunc, "leakyrelu"),
        "tau": (tau, None),
        "precision": (precision, "fp32"),
        "tau_map": ("inverse" if cell in DECAYING else tau_map, "inverse"),
    }
    for name, (value, default) in leaky.items():
        if value != default:
            raise InputError(f"{name} {value!r} is for leaky networks: expected {default!r} for cell {cell!r}")
    sizes = layer_sizes(n_units)
    cells = [maker(below, size, generator) for below, size in zip((n_inputs, *sizes), sizes, strict=False)]
    return Model(cells, Heads(sizes[-1], numbered(n_heads), n_outputs, shared_head, generator))
