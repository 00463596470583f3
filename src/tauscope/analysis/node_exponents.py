"""Which units hold the stable and the unstable directions: Lyapunov exponents that are shared out to units."""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from tauscope._draws import normal
from tauscope.analysis.checked import checked
from tauscope.analysis.lyapunov import advance, flatten, forward_derivatives
from tauscope.analysis.transforms import SilencedCell
from tauscope.errors import InputError, require_at_least, require_count
from tauscope.models.cell import Cell, State
from tauscope.models.kernels.subnormals import flushing
from tauscope.models.lif import LIFCell, MembraneCell
from tauscope.models.model import Model
from tauscope.models.trace import generator_for
from tauscope.models.weights import sharing_copy

BURN_IN = 5
"""Share of the steps, one in so many, in which tangent vectors turn into their directions."""


@checked
@flushing()
@torch.no_grad()
def node_exponents(
    model: Model,
    inputs: Tensor,
    *,
    n_exponents: int | None = None,
    burn_in: int | None = None,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure Lyapunov exponents along given inputs, and share them out to the units whose states they are about.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any. Traces of `LIFCell`, which no unit of a single layer sees, are
        left out.
    inputs : Tensor [time, trial, channel]
        What drives it.
    n_exponents : int, optional
        Number of exponents; by default as many as the state has coordinates.
    burn_in : int, optional
        Steps that are not counted; by default one in five.
    generator : torch.Generator, optional
        Source of initial states, noise and tangent vectors; seeded with 0 if not given.

    Returns
    -------
    Dataset [trial, exponent, unit]
        ``exponents [trial, exponent]`` in nats a step, the largest first, and ``node_exponents [trial, unit]``.

    Raises
    ------
    InputError
        If an option is out of range, the state does not stay finite, or it has tensors that do not belong to units.

    Notes
    -----
    λ_i = Σ_k P_ik λ_k, with P_ik the time mean of (Q_t)_ik², summed over the coordinates of unit i, and Q_t the frame of
    `tauscope.analysis.lyapunov`. Of all exponents, the rows and columns of P over coordinates sum to 1, so that the sum is kept:
    Σ_i λ_i = Σ_k λ_k; of fewer, λ_i is divided by Σ_k P_ik. A full frame starts along the axes, so that units without a
    connection never share. The papers that attach exponents to units do not say how; this is our definition. A step that
    collapses a direction counts as ln ε, with ε the rounding of the state's dtype, instead of -inf: units that are silent in some
    steps (ReLU) are told from units that are silent in all.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0)).double()
    >>> result = node_exponents(model, torch.ones(50, 1, 1))
    >>> result.node_exponents.dims, bool(abs(result.node_exponents.sum() - result.exponents.sum()) < 1e-10)
    (('trial', 'unit'), True)
    """
    n_steps = len(inputs)
    burn_in = n_steps // BURN_IN if burn_in is None else burn_in
    require_at_least("burn-in", burn_in, 0)
    if burn_in >= n_steps:
        raise InputError(f"burn-in is {burn_in} of {n_steps} steps: expected at most {n_steps - 1}")
    generator = generator_for(model, generator)
    model = without_traces(model)
    state = model.initial_state(inputs.shape[1], generator)
    noise = model.draw_noise(n_steps, inputs.shape[1], generator)
    z, step = flatten(model, state)
    n_exponents = z.shape[1] if n_exponents is None else n_exponents
    require_count("number of exponents", n_exponents)
    if n_exponents > z.shape[1]:
        raise InputError(f"{n_exponents} exponents of a state of size {z.shape[1]}: expected at most {z.shape[1]}")
    units = _units(model, state)
    collapsed = math.log(torch.finfo(z.dtype).eps)
    Q = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(z), -1, -1)
    if n_exponents < z.shape[1]:
        Q = torch.linalg.qr(normal((*z.shape, n_exponents), generator).to(z)).Q
    growth, shares = torch.zeros_like(Q[:, 0], dtype=torch.float64), torch.zeros_like(Q, dtype=torch.float64)
    with forward_derivatives():
        for t, x in enumerate(inputs.to(z)):
            z, Q, logarithms = advance(step, x, z, Q, None if noise is None else noise[t])
            if t >= burn_in:
                growth += logarithms.clamp(min=collapsed)
                shares += Q.double().square()
            if not z.isfinite().all():
                raise InputError(f"the network diverged within {t + 1} steps: expected finite states")
    counted = n_steps - burn_in
    return _dataset(growth / counted, shares / counted, units, model.n_units).assign_attrs(
        n_steps=counted, burn_in=burn_in, seed=str(generator.initial_seed())
    )


def without_traces(model: Model) -> Model:
    """Return a network of spiking units without their traces, where no other layer sees them; any other network as it is.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.build_model("lif", 4, n_heads=1, generator=torch.Generator().manual_seed(0))
    >>> len(without_traces(model).initial_state(1)[0])
    1
    """
    (cell, *above) = model.layers
    if above or not isinstance(cell.intact, LIFCell):
        return model
    bare: Cell = MembraneCell(cell.intact)
    twin = sharing_copy(model)
    twin.cells = nn.ModuleList([SilencedCell(bare, cell.mask) if isinstance(cell, SilencedCell) else bare])
    return twin


def _units(model: Model, state: tuple[State, ...]) -> Tensor:
    """Return the unit that each coordinate of a state belongs to."""
    found, first = [], 0
    for cell, layer in zip(model.layers, state, strict=True):
        for tensor in layer:
            if tensor.shape[1:] != (cell.n_units,):
                raise InputError(
                    f"a state of {type(cell.intact).__name__} has shape {tuple(tensor.shape)}: expected [trial, {cell.n_units}], "
                    "a number for each unit"
                )
            found.append(torch.arange(first, first + cell.n_units, device=tensor.device))
        first += cell.n_units
    return torch.cat(found)


def _dataset(exponents: Tensor, shares: Tensor, units: Tensor, n_units: int) -> xr.Dataset:
    """Return exponents ``[trial, exponent]`` and their shares ``[trial, coordinate, exponent]`` by units."""
    by_unit = shares.new_zeros(len(shares), n_units, shares.shape[2]).index_add_(1, units, shares)
    parts = (by_unit * exponents[:, None]).sum(dim=2)
    if shares.shape[1] > shares.shape[2]:
        parts = parts / by_unit.sum(dim=2)
    ordered = np.flip(np.sort(exponents.cpu().numpy(), axis=1), axis=1)
    units_of = {"units": "nats/step"}
    return xr.Dataset(
        {
            "exponents": (("trial", "exponent"), ordered, {"long_name": "Lyapunov exponent", **units_of}),
            "node_exponents": (
                ("trial", "unit"), parts.cpu().numpy(), {"long_name": "Lyapunov exponent of a unit", **units_of}
            ),
        },
        coords={"trial": np.arange(len(ordered)), "exponent": 1 + np.arange(ordered.shape[1]), "unit": np.arange(n_units)},
    )  # fmt: skip
