"""Networks made from networks: ablated, perturbed, with frozen timescales. None of these changes its argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from tauscope._draws import normal
from tauscope.analysis.checked import checked
from tauscope.errors import InputError, NotApplicableError, require_at_least, require_choice
from tauscope.models.cell import Cell, State
from tauscope.models.leaky import LeakyCell
from tauscope.models.model import Model
from tauscope.models.weights import Weight, masked_copy

ABLATION_MODES = ("silence", "published")
PERTURBED = ("recurrent", "tau", "readout", "input")
PARTS = (*PERTURBED, "bias", "rest", "all")
"""What can be perturbed: weights of a role, all parameters but timescales, or all."""
NORMS = ("relative", "largest")
SPACES = ("tau", "raw")


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
    >>> from tauscope.models import GRUCell
    >>> cell = SilencedCell(GRUCell(1, 2, torch.Generator().manual_seed(0)), torch.tensor([0.0, 1.0]))
    >>> (cell.step(torch.ones(1, 1), cell.initial_state(1))[0] == 0).tolist()
    [[True, False]]
    """

    mask: Tensor

    def __init__(self, cell: Cell, mask: Tensor) -> None:
        super().__init__(cell.n_inputs, cell.n_units)
        self.cell = cell
        self.weighted_sum = cell.weighted_sum
        self.register_buffer("mask", mask)

    @property
    def tau(self) -> Tensor | None:
        """Timescales of the intact cell, ``[unit]``."""
        return self.cell.tau

    @property
    def intact(self) -> Cell:
        """The intact cell."""
        return self.cell

    def rates(self, states: Tensor) -> Tensor:
        """Return what units of the intact cell pass on in these states."""
        return self.cell.rates(states)

    def weights(self) -> Mapping[str, Weight]:
        """Return the weights of the intact cell; in the values of its recurrent weights, silent units have none."""
        weights = dict(self.cell.weights())
        for name, weight in weights.items():
            if weight.role == "recurrent":
                into = self.mask.repeat(max(len(weight.gates), 1))
                weights[name] = replace(weight, scale=weight.scale * into[:, None] * self.mask)
        return weights

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


@checked
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
    twin = masked_copy(model)
    if mode == "published":
        _cut_as_published(twin, chosen)
        return twin
    silent = torch.zeros(model.n_units, dtype=torch.bool, device="cpu")
    silent[chosen] = True
    cells = zip(twin.layers, silent.split([cell.n_units for cell in twin.layers]), strict=True)
    twin.cells = nn.ModuleList(_silence(cell, own) for cell, own in cells)
    return twin


@checked
def perturb(
    model: Model,
    which: str,
    epsilon: float,
    generator: torch.Generator,
    *,
    norm: str = "relative",
    space: str = "tau",
) -> Model:
    """Return a network with parameters moved by a given size in a random direction.

    Parameters
    ----------
    model : Model
        The network.
    which : {"recurrent", "tau", "readout", "input", "bias", "rest", "all"}
        What is perturbed, by the ``weights`` of the cells and heads, each in a direction of its own. For gated cells,
        ``"recurrent"`` is the whole hidden-to-hidden matrix; ``"input"`` is the weights of the network's input. ``"all"`` is
        every parameter, ``"rest"`` every one that is no timescale, those that a cell does not name included.
    epsilon : float
        Size of the change, at least 0.
    generator : torch.Generator
        Source of the direction; it draws as many numbers for every ``epsilon``, also for 0.
    norm : {"relative", "largest"}
        Whether the size is the norm of the change over that of the parameters, or the largest change of a number.
    space : {"tau", "raw"}
        Whether timescales are moved themselves, as published, or what is trained in their place, see
        `tauscope.models.TauMap`.

    Returns
    -------
    Model
        A network of its own.

    Raises
    ------
    InputError
        If the network has no such parameters, or an option is not known or negative.

    Notes
    -----
    W' = W + ε ‖W‖_F d / ‖d‖_F with d ~ N(0, 1) elementwise, and ``τ' = τ + ε ‖τ‖ |d| / ‖d‖``, so that τ only grows; with the
    norm ``"largest"``, ``W' = W + ε d / max |d|``, and timescales fall too. Source: Wu, Xia & Wang, NeurIPS 2020, eq. 5;
    Khajehabdollahi et al., ICLR 2024, section 4.3; of the largest change, Wang, Li & Li, ICLR 2024. Leaky units have no
    self-connections, so their d has no diagonal and the change has exactly the norm ε ‖W‖_F; the published code draws
    one, counts it in ‖d‖, and drops it, so that its change is smaller by a factor √(1 - 1/n). What is moved is what the
    step uses: of a weight that is parametrised, the outcome of the parametrisation, which a masked entry is no part of.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> moved = perturb(model, "tau", 0.1, torch.Generator().manual_seed(1))
    >>> round(((moved.tau - model.tau).norm() / model.tau.norm()).item(), 4)
    0.1
    """
    require_choice("what is perturbed", which, PARTS)
    require_choice("norm", norm, NORMS)
    require_choice("space", space, SPACES)
    require_at_least("epsilon", epsilon, 0)
    twin = masked_copy(model)
    with torch.no_grad():
        for weight in perturbed_weights(twin, which):
            if space == "raw" and weight.role == "tau":
                for kept in trained_in_place(weight):
                    kept.add_(_change(kept, torch.ones_like(kept), epsilon, generator, norm))
                continue
            tensor, movable = weight.tensor, weight.movable
            before = tensor if weight.tau_map is None else weight.tau_map.tau(tensor)
            if weight.least is not None:
                # A τ below one step acts as one step, and is moved from there.
                before = before.clamp(min=weight.least)
            only_grows = weight.role == "tau" and norm == "relative"
            after = before + _change(before, movable, epsilon, generator, norm, only_grows=only_grows)
            if weight.tau_map is not None:
                # What is not moved stays as it is to the bit.
                after = torch.where(after == before, tensor, weight.tau_map.raw(after))
            weight.put(after)
    return twin


def _change(
    tensor: Tensor, movable: Tensor, epsilon: float, generator: torch.Generator, norm: str, *, only_grows: bool = False
) -> Tensor:
    """Return a random change of a given size, 0 where nothing is movable."""
    d = movable * normal(tuple(tensor.shape), generator).to(tensor)
    if only_grows:
        d = d.abs()
    # Of nothing that can be moved, nothing is.
    size = d.norm() if norm == "relative" else d.abs().amax() if d.numel() else d.new_zeros(())
    if not size:
        return torch.zeros_like(tensor)
    return epsilon * d / size if norm == "largest" else epsilon * (movable * tensor).norm() * d / size


def trained_in_place(weight: Weight) -> tuple[Tensor, ...]:
    """Return what is trained in the place of a weight; where it is fixed, itself.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(3, tau=4.0, generator=torch.Generator().manual_seed(0))
    >>> trained_in_place(model.weights()["cells.0.raw_tau"])
    (tensor([4., 4., 4.]),)
    """
    return weight.parameters or (weight.tensor,)


@checked
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
    twin = masked_copy(model)
    for weight in perturbed_weights(twin, "tau"):
        weight.freeze()
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
    readout = next(weight for weight in model.heads.weights().values() if weight.role == "readout")
    for weight in [*cell.weights().values(), readout]:
        tensor = weight.tensor.detach().clone()
        if weight.role in ("recurrent", "input"):
            tensor[units] = 0
        if weight.role in ("recurrent", "readout"):
            tensor[:, units] = 0
        if tensor.dim() == 2:
            weight.put(tensor)


def perturbed_weights(model: Model, which: str) -> list[Weight]:
    """Return the weights that `perturb` moves, each once.

    Raises
    ------
    NotApplicableError
        If a layer has none that are known.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, n_heads=1, generator=torch.Generator().manual_seed(0))
    >>> [weight.name for weight in perturbed_weights(model, "rest")]
    ['weight', 'weight', 'bias', 'bias', 'weight', 'bias']
    """
    if which in ("all", "rest"):
        return [weight for weight in _every(model) if which == "all" or weight.role != "tau"]
    if which == "bias":
        return _of_role({name: weight for name, weight in model.weights().items() if weight.parameters}, which)
    if which == "readout":
        return _of_role(model.heads.weights(), which)
    # Layers of a leaky network share the input's projection; those of other networks above the first have none.
    cells = model.layers[: 1 if which == "input" else None]
    for cell in cells:
        if not _of_role(cell.weights(), which):
            kind = type(cell.intact).__name__
            raise NotApplicableError(
                f"{kind} has no {which} parameters that are known: expected a cell whose `weights` has some"
            )
    return [weight for cell in cells for weight in _of_role(cell.weights(), which)]


def _every(model: Model) -> list[Weight]:
    """Return a weight for every parameter, also for those that no cell names."""
    found: dict[int, Weight] = {}
    for weight in model.weights().values():
        found |= {id(kept): weight for kept in weight.parameters if id(kept) not in found}
    weights = list({id(weight): weight for weight in found.values()}.values())
    return weights + [
        Weight("other", part, name)
        for part in model.modules()
        for name, kept in part.named_parameters(recurse=False)
        if id(kept) not in found
    ]


def _of_role(weights: Mapping[str, Weight], role: str) -> list[Weight]:
    return [weight for weight in weights.values() if weight.role == role]
