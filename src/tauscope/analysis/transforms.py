"""Networks made from networks: ablated, perturbed, with frozen timescales. None of these changes its argument."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from tauscope.errors import InputError, require_at_least, require_choice
from tauscope.models.balanced import BalancedCell
from tauscope.models.base import Cell, Model, State
from tauscope.models.gated import GRUCell, LSTMCell
from tauscope.models.leaky import LeakyCell
from tauscope.models.relu import ReluCell, ReluGRUCell

ABLATION_MODES = ("silence", "published")
PERTURBED = ("recurrent", "tau", "readout", "input")

_LINEAR: tuple[type[Cell], ...] = (LeakyCell, ReluCell, ReluGRUCell, BalancedCell)
_TORCH: tuple[type[Cell], ...] = (GRUCell, LSTMCell)
_WEIGHTS: dict[str, dict[type[Cell], str]] = {
    "recurrent": dict.fromkeys(_LINEAR, "recurrent.weight") | dict.fromkeys(_TORCH, "rnn.weight_hh_l0"),
    "input": dict.fromkeys(_LINEAR, "input.weight") | dict.fromkeys(_TORCH, "rnn.weight_ih_l0"),
    "tau": {LeakyCell: "raw_tau"},
}


class SilencedCell(Cell):
    """A cell some of whose units are silent: their states are 0 for the cell itself, the layers above and the heads.

    Parameters
    ----------
    cell : Cell
        The intact cell.
    mask : Tensor [unit]
        0 for a silent unit, 1 for the others.

    Examples
    --------
    >>> cell = SilencedCell(GRUCell(1, 2, torch.Generator().manual_seed(0)), torch.tensor([0.0, 1.0]))
    >>> (cell.step(torch.ones(1, 1), cell.initial_state(1))[0] == 0).tolist()
    [[True, False]]
    """

    mask: Tensor

    def __init__(self, cell: Cell, mask: Tensor) -> None:
        super().__init__(cell.n_inputs, cell.n_units)
        self.cell = cell
        self.register_buffer("mask", mask)

    @property
    def tau(self) -> Tensor | None:
        """Timescales of the intact cell, ``[unit]``."""
        return self.cell.tau

    @property
    def recurrent_weights(self) -> Tensor:
        """Recurrent weights ``[to, from]`` without those of silent units, where the intact cell has any."""
        weights: Tensor = self.cell.recurrent_weights  # type: ignore[assignment]
        return self.mask[:, None] * weights * self.mask

    def retention(self, x: Tensor, state: State) -> Tensor | None:
        """Return what the intact cell keeps of a silenced state, ``[batch, unit]``."""
        return self.cell.retention(x, self._silenced(state))

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> State:
        """Return the initial state of the intact cell, silenced."""
        return self._silenced(self.cell.initial_state(batch_size, generator))

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        """Return the next state of the intact cell from a silenced state, silenced."""
        return self._silenced(self.cell.step(x, self._silenced(state), noise))

    def draw_noise(self, n_steps: int, batch_size: int, generator: torch.Generator) -> Tensor | None:
        """Return the private noise of the intact cell; that of silent units counts for nothing."""
        return self.cell.draw_noise(n_steps, batch_size, generator)

    def at_resolution(self, k: int) -> Cell:
        """Return this cell with time steps of 1/k of a bit."""
        return SilencedCell(self.cell.at_resolution(k), self.mask)

    def _silenced(self, state: State) -> State:
        return tuple(tensor * self.mask for tensor in state)


def ablate(model: Model, units: int | Sequence[int], mode: str = "silence") -> Model:
    """Return a network without some of its units.

    Parameters
    ----------
    model : Model
        The network.
    units : int or sequence of int
        Which, counted through all layers from 0; with none, an intact network of the same structure.
    mode : {"silence", "published"}
        ``"silence"``: the units' states are 0 at every step, for the network, the layers above and every head.
        ``"published"``, for leaky networks of one layer: row and column of W, input weights, and the column of the
        first head are 0, whichever head is asked.

    Returns
    -------
    Model
        A network of its own.

    Raises
    ------
    InputError
        If there is no such unit, or the mode does not fit the network.

    Notes
    -----
    The published code leaves a unit its biases, and the heads N > 2 of a multi-head network go on reading the
    constant that these drive it to; for single-head networks both modes give the same answers.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> states, _ = ablate(model, [2])(torch.ones(5, 1, 1))
    >>> bool((states[..., 2] == 0).all()), bool((states[..., 3] == 0).any())
    (True, False)
    """
    require_choice("ablation mode", mode, ABLATION_MODES)
    chosen = [int(unit) for unit in np.atleast_1d(units)]
    for unit in chosen:
        if not 0 <= unit < model.n_units:
            closest = min(max(unit, 0), model.n_units - 1)
            raise InputError(f"no unit {unit}: expected 0 ... {model.n_units - 1} (nearest valid value: {closest})")
    twin = copy.deepcopy(model)
    if mode == "published":
        _cut_as_published(twin, chosen)
        return twin
    silent = torch.zeros(model.n_units, dtype=torch.bool)
    silent[chosen] = True
    cells = zip(twin.layers, silent.split([cell.n_units for cell in twin.layers]), strict=True)
    twin.cells = nn.ModuleList(_silence(cell, own) for cell, own in cells)
    return twin


def perturb(model: Model, which: str, epsilon: float, generator: torch.Generator) -> Model:
    """Return a network with parameters moved by a given share of their norm in a random direction.

    Parameters
    ----------
    model : Model
        The network.
    which : {"recurrent", "tau", "readout", "input"}
        What is perturbed, each layer (or head) in a direction of its own. For GRU and LSTM, ``"recurrent"`` is the
        whole hidden-to-hidden matrix; ``"input"`` is the weights of the network's input.
    epsilon : float
        Norm of the change over that of the parameters, at least 0.
    generator : torch.Generator
        Source of the direction; it draws as many numbers for every ``epsilon``, also for 0.

    Returns
    -------
    Model
        A network of its own.

    Raises
    ------
    InputError
        If the network has no such parameters, or ``epsilon`` is negative.

    Notes
    -----
    W' = W + ε ‖W‖_F d / ‖d‖_F with d ~ N(0, 1) elementwise, and ``τ' = τ + ε ‖τ‖ |d| / ‖d‖``, so that τ only grows.
    Source: Wu, Xia & Wang, NeurIPS 2020, eq. 5; Khajehabdollahi et al., ICLR 2024, section 4.3. Leaky units have no
    self-connections, so their d has no diagonal and the change has exactly the norm ε ‖W‖_F; the published code draws
    one, counts it in ‖d‖, and drops it, so that its change is smaller by a factor √(1 - 1/n).

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> moved = perturb(model, "tau", 0.1, torch.Generator().manual_seed(1))
    >>> round(((moved.tau - model.tau).norm() / model.tau.norm()).item(), 4)
    0.1
    """
    require_choice("what is perturbed", which, PERTURBED)
    require_at_least("epsilon", epsilon, 0)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for tensor, allowed in _perturbed_tensors(twin, which):
            d = allowed * torch.randn(tensor.shape, generator=generator, device=generator.device).to(tensor)
            if which == "tau":
                d = d.abs()
            tensor += epsilon * (allowed * tensor).norm() * d / d.norm()
    return twin


def freeze_tau(model: Model) -> Model:
    """Return a network whose timescales keep their values when it is trained.

    Parameters
    ----------
    model : Model
        A leaky network.

    Returns
    -------
    Model
        A network of its own.

    Raises
    ------
    InputError
        If a layer has no timescales.

    Examples
    --------
    >>> import tauscope as ts
    >>> frozen = freeze_tau(ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0)))
    >>> "cells.0.raw_tau" in dict(frozen.named_parameters()), "cells.0.raw_tau" in dict(frozen.named_buffers())
    (False, True)
    """
    twin = copy.deepcopy(model)
    for cell in _intact_cells(twin):
        raw_tau = _parameter(cell, "tau").detach()
        del cell.raw_tau
        cell.register_buffer("raw_tau", raw_tau)
    return twin


def _silence(cell: Cell, silent: Tensor) -> SilencedCell:
    if not isinstance(cell, SilencedCell):
        cell = SilencedCell(cell, cell.initial_state(1)[0].detach().new_ones(cell.n_units))
    cell.mask[silent.to(cell.mask.device)] = 0
    return cell


def _cut_as_published(model: Model, units: list[int]) -> None:
    cell = model.layers[0]
    if len(model.layers) != 1 or not isinstance(cell, LeakyCell):
        raise InputError("ablation mode 'published' is for leaky networks of one layer: expected mode 'silence'")
    with torch.no_grad():
        cell.recurrent.weight[units] = 0
        cell.recurrent.weight[:, units] = 0
        cell.input.weight[units] = 0
        cast(nn.Linear, model.heads.linears[0]).weight[:, units] = 0


def _intact_cells(model: Model) -> list[Cell]:
    return [cell.cell if isinstance(cell, SilencedCell) else cell for cell in model.layers]


def _parameter(cell: Cell, which: str) -> Tensor:
    """Return the tensor of a cell that is perturbed or frozen."""
    for kind, name in _WEIGHTS[which].items():
        if isinstance(cell, kind):
            path, _, attribute = name.rpartition(".")
            tensor: Tensor = getattr(cell.get_submodule(path), attribute)
            return tensor
    kinds = ", ".join(kind.__name__ for kind in _WEIGHTS[which])
    raise InputError(f"{type(cell).__name__} has no {which} parameters that are known: expected one of {kinds}")


def _perturbed_tensors(model: Model, which: str) -> list[tuple[Tensor, Tensor | float]]:
    """Return the tensors that are moved, each with the pattern of 0 and 1 that its direction keeps to."""
    if which == "readout":
        return [(cast(nn.Linear, head).weight, 1.0) for head in model.heads.linears]
    # Layers of a leaky network share the input's projection; those of other networks above the first have none.
    cells = _intact_cells(model)[: 1 if which == "input" else None]
    tensors: list[tuple[Tensor, Tensor | float]] = []
    for cell in cells:
        tensor = _parameter(cell, which)
        if which == "tau":
            # A τ below one step acts as one step, and is moved from there.
            tensor.clamp_(min=1 / cast(LeakyCell, cell).k)
        empty = which == "recurrent" and isinstance(cell, LeakyCell | BalancedCell)
        tensors.append((tensor, cast(LeakyCell, cell).off_diagonal if empty else 1.0))
    return tensors
