"""How large gradients are beside the weights that they move."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from tauscope.analysis.checked import checked
from tauscope.errors import require_count
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.models.weights import masked_copy
from tauscope.tasks.base import Task


@checked
def gradient_over_weight(
    model: Model, task: Task, *, n_trials: int = 64, generator: torch.Generator | None = None
) -> xr.Dataset:
    """Measure the largest gradient of the loss over the weight that it moves, of every parameter.

    Parameters
    ----------
    model : Model
        The network, with heads of the names that the task's have; nothing of it is changed.
    task : Task
        What is asked.
    n_trials : int
        Trials of the loss.
    generator : torch.Generator, optional
        Source of trials, initial states and noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [parameter]
        ``ratio``, the largest ``|∂L/∂w| / |w|`` of any number of a parameter that has a gradient, and ``gradient``, the largest ``|∂L/∂w|``:
        the ratio also grows where a weight happens to be near 0.

    Notes
    -----
    What Wang & Li, ICML 2024 (arXiv 2311.14495), ask a map of decay rates to bound.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, n_heads=1, tau_map="sigmoid", generator=torch.Generator().manual_seed(0))
    >>> result = gradient_over_weight(model, ts.Parity([2], length=9))
    >>> bool(result.ratio.sel(parameter="cells.0.raw_tau") > 0)
    True
    """
    require_count("number of trials", n_trials)
    generator = generator_for(model, generator)
    seed, batch = generator.initial_seed(), task.sample(n_trials, generator)
    twin, first = masked_copy(model), len(batch.inputs) - len(batch.targets)
    named = {name: kept.requires_grad_() for name, kept in twin.named_parameters()}
    with torch.enable_grad():
        loss = task.loss(run(twin, batch, generator, heads=list(task.heads), first=first).outputs, batch).sum()
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    there = {
        name: (gradient.abs(), weight.detach().abs())
        for (name, weight), gradient in zip(named.items(), gradients, strict=True)
        if gradient is not None
    }
    # A weight of 0 without a gradient is none that is moved.
    ratios = [float(torch.where(size > 0, size / weight, 0.0).max()) for size, weight in there.values()]
    largest = [float(size.max()) for size, _ in there.values()]
    return xr.Dataset(
        {
            "ratio": ("parameter", np.array(ratios), {"long_name": "largest gradient over weight", "units": "loss"}),
            "gradient": ("parameter", np.array(largest), {"long_name": "largest gradient", "units": "loss"}),
        },
        coords={"parameter": list(there)},
        attrs={"n_trials": n_trials, "seed": str(seed)},
    )
