"""How tightly a network is balanced: by its mean recurrent weight, and by the currents that its units receive."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.analysis.connectivity import recurrent_matrices
from tauscope.errors import InputError, NotApplicableError
from tauscope.models.cell import Cell
from tauscope.models.model import Model

Array = NDArray[np.float64]

_BALANCE = {
    "balance": "mean recurrent weight over that at the start",
    "mean_weight": "mean recurrent weight",
    "initial_mean_weight": "mean recurrent weight at the start",
    "feedback": "summed recurrent weight of a unit",
    "excitation": "summed excitatory weight of a unit",
    "inhibition": "summed inhibitory weight of a unit",
}


def single_matrix(cell: Cell) -> Array:
    """Return the recurrent weights ``[to, from]`` of a cell that has one matrix of them.

    Raises
    ------
    NotApplicableError
        If the cell is gated, or has no recurrent weights that are known.

    Examples
    --------
    >>> import tauscope as ts
    >>> single_matrix(ts.LeakyCell(1, 4, torch.Generator().manual_seed(0))).shape
    (4, 4)
    """
    roles = [weight.role for weight in cell.weights().values()]
    matrices = recurrent_matrices(cell) if "recurrent" in roles else {}
    if len(matrices) != 1:
        raise NotApplicableError(
            f"{type(cell).__name__} has no single matrix of recurrent weights: expected a balanced, leaky or rectified one"
        )
    (matrix,) = matrices.values()
    weights: Array = matrix.double().cpu().numpy()
    return weights


def mean_rates(model: Model, states: Tensor) -> Tensor:
    """Return what the units of a network pass on, averaged over units.

    Parameters
    ----------
    model : Model
        The network.
    states : Tensor [..., unit]
        Its states; the rates of a balanced network are φ(x), those of others the states themselves.

    Returns
    -------
    Tensor [...]
        Population rate.

    Examples
    --------
    >>> from tauscope.models import BalancedRNN
    >>> mean_rates(BalancedRNN(2, generator=torch.Generator().manual_seed(0)), torch.tensor([[-1.0, 3.0]]))
    tensor([1.5000])
    """
    return torch.cat(_rates(model, states), dim=-1).mean(dim=-1)


@checked
def balance(model: Model, initial: Model) -> xr.Dataset:
    """Measure by how much the mean recurrent weight of a network has grown since the start of training.

    Parameters
    ----------
    model, initial : Model
        The network, and the same at the start; with one matrix of recurrent weights a layer.

    Returns
    -------
    Dataset [layer]
        ``balance``, abs(J̄ / J̄_0) with J̄ the mean weight off the diagonal; ``mean_weight`` J̄ and ``initial_mean_weight``
        J̄_0; ``feedback``, the mean over units of the sum of all weights that they receive, of which ``excitation`` is
        the positive and ``inhibition`` the negative part. With J = -b/N the feedback is -b (N - 1) / N: less the sign,
        it is the b of the theory, whatever the network started from.

    Raises
    ------
    InputError
        If the two differ in size.
    NotApplicableError
        If a layer has no single matrix of recurrent weights, or their mean is 0 at the start.

    Notes
    -----
    Source: Engelken & Goedeke, NeurIPS 2022, published code; there the empty diagonal is part of both means, which
    leaves their ratio as it is. Where weights start around 0, as those of leaky networks do, J̄_0 is chance and the ratio
    tells nothing: look at the feedback, or at `input_balance`.

    Examples
    --------
    >>> import copy
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> twice = copy.deepcopy(model)
    >>> _ = twice.layers[0].recurrent.weight.data.mul_(2)
    >>> round(balance(twice, model).balance.item(), 6)
    2.0
    """
    sizes = [[cell.n_units for cell in network.layers] for network in (model, initial)]
    if sizes[0] != sizes[1]:
        raise InputError(f"networks of {sizes[0]} and {sizes[1]} units: expected the same one before and after")
    rows = []
    for now, before in zip(model.layers, initial.layers, strict=True):
        W, W_0 = single_matrix(now), single_matrix(before)
        mean, start = off_diagonal_mean(W), off_diagonal_mean(W_0)
        if start == 0:
            raise NotApplicableError("the mean weight at the start is 0: expected one that others can be compared with")
        excitation, inhibition = W.clip(min=0).sum(axis=1).mean(), W.clip(max=0).sum(axis=1).mean()
        rows.append((abs(mean / start), mean, start, excitation + inhibition, excitation, inhibition))
    columns = zip(_BALANCE.items(), np.array(rows).T, strict=True)
    return xr.Dataset(
        {name: ("layer", values, {"long_name": meaning, "units": "1"}) for (name, meaning), values in columns},
        coords={"layer": 1 + np.arange(len(rows))},
    )


def off_diagonal_mean(W: Array) -> float:
    """Return the mean of a square matrix off its diagonal; NaN for a single entry.

    Examples
    --------
    >>> off_diagonal_mean(np.array([[9.0, 1.0], [3.0, 9.0]]))
    2.0
    """
    n = len(W)
    return float((W.sum() - np.trace(W)) / (n * (n - 1))) if n > 1 else np.nan


@checked
@torch.no_grad()
def input_balance(model: Model, states: Tensor, inputs: Tensor) -> xr.Dataset:
    """Measure how far excitation and inhibition cancel in what every unit receives, in any network of weighted sums.

    The weights of a trained network are of both signs, and so may its rates be; what counts is the sign of the current
    that one source brings: W_ij r_j from unit j, the same from a unit of the layer below, V_ik s_k from an input
    channel, and the bias. The positive ones of a step are summed as excitation E_i(t), the others as inhibition I_i(t).

    Parameters
    ----------
    model : Model
        A balanced, leaky or rectified network.
    states : Tensor [time, trial, unit]
        Its recorded states.
    inputs : Tensor [time, trial, channel]
        What it was shown at the same steps.

    Returns
    -------
    Dataset [unit]
        ``excitation`` ⟨E⟩ and ``inhibition`` ⟨I⟩ over steps and trials; ``imbalance``,
        abs(⟨E⟩ + ⟨I⟩) / (⟨E⟩ + abs ⟨I⟩), 0 where they cancel on average and 1 where one is alone; and ``correlation`` of
        E and -I over steps and trials, near 1 where they cancel at every moment (tight balance) and NaN where one does
        not change.

    Raises
    ------
    InputError
        If states and inputs do not fit together, or there are not at least two steps.
    NotApplicableError
        If a layer is no weighted sum of what it receives.

    Notes
    -----
    For a network with J = -b/N driven by a constant b, linear and at rest, the imbalance is 1 / (1 + 2b).

    Examples
    --------
    >>> from tauscope.models import BalancedRNN
    >>> model = BalancedRNN(50, balance=4.0, g=0.0, mean_input=4.0, generator=torch.Generator().manual_seed(0))
    >>> states, _ = model(torch.full((9, 1, 1), 4.0))
    >>> round(input_balance(model, states, torch.full((9, 1, 1), 4.0)).imbalance.mean().item(), 2)
    0.11
    """
    if states.shape[:2] != inputs.shape[:2] or states.shape[2] != model.n_units or len(states) < 2:
        raise InputError(
            f"states {tuple(states.shape)} and inputs {tuple(inputs.shape)}: expected [time, trial, {model.n_units}] and "
            f"[time, trial, {model.n_inputs}] of the same two or more steps and trials"
        )
    # The current of a step comes from the rates of the step before, the input of the step itself.
    inputs, below, parts = inputs[1:].double(), inputs[1:].double(), []
    for depth, (cell, rates) in enumerate(zip(model.layers, _rates(model, states.double()), strict=True)):
        if depth and model.skip_input:
            below = torch.cat([below, inputs], dim=-1)
        parts.append(_currents(cell, rates[:-1], below))
        below = rates[1:]
    currents = (torch.cat([part[sign] for part in parts], dim=-1).flatten(0, 1).cpu().numpy() for sign in (0, 1))
    return _cancellation(*currents).assign_attrs(n_steps=len(states), n_trials=states.shape[1])


def input_map(cell: Cell) -> tuple[Tensor, Tensor]:
    """Return the weights ``[unit, channel]`` of what a layer is shown, and its bias ``[unit]``.

    Raises
    ------
    NotApplicableError
        If the layer is no weighted sum of what it receives.

    Examples
    --------
    >>> import tauscope as ts
    >>> weight, bias = input_map(ts.LeakyCell(1, 4, torch.Generator().manual_seed(0)))
    >>> weight.shape, bias.shape
    (torch.Size([4, 1]), torch.Size([4]))
    """
    if not cell.weighted_sum:
        raise NotApplicableError(
            f"{type(cell.intact).__name__} is no weighted sum of what it receives: "
            "expected a balanced, leaky or rectified network"
        )
    weights = cell.weights().values()
    weight = torch.cat([part.value for part in weights if part.role == "input"], dim=1)
    biases = [part.value for part in weights if part.role == "bias"]
    return weight, sum(biases, weight.new_zeros(cell.n_units))


def _rates(model: Model, states: Tensor) -> list[Tensor]:
    """Return the rates ``[..., unit]`` of every layer."""
    layers = states.split([cell.n_units for cell in model.layers], dim=-1)
    return [cell.rates(own) for cell, own in zip(model.layers, layers, strict=True)]


def _currents(cell: Cell, rates: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Return excitation and inhibition ``[time, trial, unit]`` of a layer."""
    weight, bias = (part.double() for part in input_map(cell))
    W = torch.cat([torch.from_numpy(single_matrix(cell)).to(weight), weight, bias[:, None]], dim=1)
    sources = torch.cat([rates, shown, torch.ones_like(shown[..., :1])], dim=-1)
    like, unlike = (
        sources.clamp(min=0) @ W.clamp(**{kept: 0}).t() + sources.clamp(max=0) @ W.clamp(**{other: 0}).t()
        for kept, other in (("min", "max"), ("max", "min"))
    )
    return like, unlike


def _cancellation(excitation: Array, inhibition: Array) -> xr.Dataset:
    mean_E, mean_I = excitation.mean(axis=0), inhibition.mean(axis=0)
    E, minus_I = excitation - mean_E, mean_I - inhibition
    with np.errstate(invalid="ignore", divide="ignore"):
        imbalance = np.abs(mean_E + mean_I) / (mean_E - mean_I)
        correlation = (E * minus_I).sum(axis=0) / np.sqrt(np.square(E).sum(axis=0) * np.square(minus_I).sum(axis=0))
    values = {
        "excitation": (mean_E, "mean excitation", "current"),
        "inhibition": (mean_I, "mean inhibition", "current"),
        "imbalance": (imbalance, "mean current over its excitation and inhibition", "1"),
        "correlation": (correlation, "correlation of excitation and inhibition", "1"),
    }
    return xr.Dataset(
        {
            name: ("unit", array, {"long_name": meaning, "units": units})
            for name, (array, meaning, units) in values.items()
        }
    )
