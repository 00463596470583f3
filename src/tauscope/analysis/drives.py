"""In how few directions a network drives itself: principal components of what units receive from each other and from the input."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from tauscope.analysis.checked import checked
from tauscope.errors import InputError, NotApplicableError, require_count
from tauscope.models.cell import Cell
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks import Task


@checked
@torch.no_grad()
def drives(
    model: Model,
    task: Task,
    *,
    n_components: int = 5,
    n_trials: int = 50,
    burn_in: int = 0,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure how much of the variance of recurrent drive, input drive and activity few principal components hold.

    Parameters
    ----------
    model : Model
        The network, run with its private noise where it has any; of several layers, the first is measured.
    task : Task
        What its trials are of.
    n_components : int
        Number of components.
    n_trials : int
        Trials, whose steps are pooled.
    burn_in : int
        Steps at the start of every trial that do not count.
    generator : torch.Generator, optional
        Source of trials, initial states and noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [part]
        ``share [part]`` of the variance, in [0, 1]: of W h (``source`` "recurrent") and V x ("input") of every ``gate``, and of
        the units themselves ("state"); NaN where nothing varies.

    Raises
    ------
    NotApplicableError
        If the cell does not say which of its weights are recurrent and which are the input's.
    InputError
        If an option is out of range, or no steps are left.

    Notes
    -----
    h is what units pass on before a step and x the input of the step, over all steps and trials; their means are taken out.
    Source: Tumma et al., ICLR 2024.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.build_model("gru", 8, generator=torch.Generator().manual_seed(0))
    >>> result = drives(model, ts.Parity([2], length=30), n_trials=5)
    >>> result.source.values.tolist()[:4], float(result.share.sel(part=result.source == "input").min().round(3))
    (['recurrent', 'recurrent', 'recurrent', 'input'], 1.0)
    """
    for name, number in (("number of components", n_components), ("number of trials", n_trials)):
        require_count(name, number)
    require_count("burn-in", burn_in, 0)
    cell = model.layers[0]
    matrices = matrices_of(cell)
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    batch = task.sample(n_trials, generator)
    states = run(model, batch, generator).states[..., : cell.n_units]
    before, shown = cell.rates(states[burn_in:-1]), batch.inputs[burn_in + 1 :].to(states)
    if len(shown) < 2:
        raise InputError(f"{len(states)} steps with a burn-in of {burn_in}: expected at least two steps more")
    received = {"recurrent": before, "input": shown}
    for source, gate, W in matrices:
        if W.shape[1] != received[source].shape[-1]:
            raise NotApplicableError(
                f"the {source} weights of {gate} see {W.shape[1]} of {received[source].shape[-1]} channels: expected matrices of all"
            )
    rows = [(source, gate, received[source] @ W.t()) for source, gate, W in matrices] + [
        ("state", "", states[burn_in:])
    ]
    return xr.Dataset(
        {
            "share": (
                "part",
                [_share(values, n_components) for _, _, values in rows],
                {"long_name": f"variance in the first {n_components} components", "units": "1"},
            )
        },
        coords={"source": ("part", [row[0] for row in rows]), "gate": ("part", [row[1] for row in rows])},
        attrs={"n_components": n_components, "n_trials": n_trials, "burn_in": burn_in, "seed": str(seed)},
    )


def matrices_of(cell: Cell) -> list[tuple[str, str, Tensor]]:
    """Return source, gate and matrix ``[unit, from]`` of all weights of units and of inputs.

    Raises
    ------
    NotApplicableError
        As `drives`.

    Examples
    --------
    >>> from tauscope.models import LeakyCell
    >>> [source for source, _, _ in matrices_of(LeakyCell(1, 4, torch.Generator().manual_seed(0)))]
    ['recurrent', 'input']
    """
    found: list[tuple[str, str, Tensor]] = []
    for role in ("recurrent", "input"):
        weights = [weight for weight in cell.weights().values() if weight.role == role]
        if not weights or any(weight.tensor.dim() != 2 for weight in weights):
            raise NotApplicableError(
                f"{type(cell).__name__} has no {role} matrices that are known: expected a cell whose `weights` has some"
            )
        if role == "input" and not weights[0].gates:
            found.append((role, role, torch.cat([weight.value for weight in weights], dim=1)))
        else:
            found += [(role, gate, block) for weight in weights for gate, block in weight.blocks().items()]
    return found


def _share(values: Tensor, n_components: int) -> float:
    """Return the share of the variance of ``[time, trial, unit]`` that the first components hold."""
    flat = values.flatten(0, 1).double()
    variances = torch.linalg.svdvals(flat - flat.mean(dim=0)).square()
    return float(variances[:n_components].sum() / variances.sum()) if bool(variances.sum() > 0) else np.nan
