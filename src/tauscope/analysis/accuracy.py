"""How well a network answers: accuracy of every head on every N, with its confidence interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from scipy.special import betaincinv

from tauscope.analysis.checked import checked
from tauscope.errors import require_at_least, require_choice
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks.binary import BinaryMemoryTask, head_name


def binomial_interval(right: np.ndarray, total: int, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the Clopper-Pearson interval of a proportion.

    Parameters
    ----------
    right : ndarray of int
        Numbers of successes.
    total : int
        Number of trials of each.
    confidence : float
        Coverage.

    Returns
    -------
    low, high : ndarray
        Bounds, of the shape of ``right``.

    Examples
    --------
    >>> low, high = binomial_interval(np.array(5), 10)
    >>> float(low.round(3)), float(high.round(3))
    (0.187, 0.813)
    """
    tail = (1 - confidence) / 2
    right = np.asarray(right)
    # Quantiles of beta distributions; scipy.stats has them by that name, but takes a second to import.
    low = np.where(right > 0, betaincinv(np.maximum(right, 1), total - right + 1, tail), 0.0)
    high = np.where(right < total, betaincinv(right + 1, np.maximum(total - right, 1), 1 - tail), 1.0)
    return low, high


@checked
@torch.no_grad()
def evaluate(
    model: Model,
    task: BinaryMemoryTask,
    Ns: Sequence[int],
    *,
    heads: Sequence[int] | str = "own",
    n_sequences: int = 2560,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
) -> xr.DataArray:
    """Measure a network's accuracy for each N.

    Parameters
    ----------
    model : Model
        The network.
    task : BinaryMemoryTask
        Its options (p, length, coding) are used, its Ns are not.
    Ns : sequence of int
        Memory demands to ask, from 1 on, also beyond the trained ones.
    heads : "own" or sequence of int
        Read every N by its own head, or each N by the heads that answer these N.
    n_sequences : int
        Fresh sequences, each asked all Ns.
    batch_size : int
        Sequences that are run at once; each batch has one length.
    generator : torch.Generator, optional
        Source of sequences and initial states; seeded with 0 if not given.

    Returns
    -------
    DataArray [N] or [head, N]
        Accuracy, with the 95 % Clopper-Pearson bounds over sequences as coordinates ``low`` and ``high``, the
        accuracy of the best constant answer as ``chance``, and the number of sequences in the attributes. NaN where
        ``heads="own"`` and N has no head.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> accuracy = ts.evaluate(model, ts.Parity(), Ns=[2, 3], n_sequences=64)
    >>> accuracy.dims, accuracy.sizes["N"]
    (('N',), 2)
    """
    require_at_least("number of sequences", n_sequences, 1)
    require_at_least("batch size", batch_size, 1)
    asked = task.replace(Ns=tuple(sorted(Ns)))
    if isinstance(heads, str):
        require_choice("heads", heads, ("own",))
        asked_heads = [N for N in asked.Ns if model.heads.shared or head_name(N) in model.heads.names]
    else:
        asked_heads = list(heads)
    generator = generator_for(model, generator)
    right = _count_right(model, asked, asked_heads, n_sequences, batch_size, generator)
    low, high = binomial_interval(right, n_sequences)
    result = xr.DataArray(
        right / n_sequences,
        dims=("head", "N"),
        coords={
            "head": asked_heads,
            "N": list(asked.Ns),
            "low": (("head", "N"), low),
            "high": (("head", "N"), high),
            "chance": ("N", [task.chance(N) for N in asked.Ns]),
        },
        name="accuracy",
        attrs={"long_name": "accuracy", "units": "fraction of sequences", "n_sequences": n_sequences},
    )
    return _own_heads(result) if isinstance(heads, str) else result


def _count_right(
    model: Model,
    task: BinaryMemoryTask,
    heads: Sequence[int],
    n_sequences: int,
    batch_size: int,
    generator: torch.Generator,
) -> np.ndarray:
    """Return the number of right answers ``[head, N]`` at the last step."""
    task = task.replace(labels="last")
    right = torch.zeros(len(heads), len(task.Ns), dtype=torch.long, device="cpu")
    for first in range(0, n_sequences, batch_size):
        batch = task.sample(min(batch_size, n_sequences - first), generator)
        outputs = run(model, batch, generator, heads=[*map(head_name, heads)], first=len(batch.inputs) - 1).outputs
        if heads:
            said = outputs[0].argmax(dim=-1)
            right += (said[:, :, None] == batch.targets[0][:, None, :]).sum(dim=0).cpu()
    return right.numpy()


def _own_heads(table: xr.DataArray) -> xr.DataArray:
    """Return the accuracy of every N by its own head, NaN where it has none."""
    Ns = table["N"].values
    known = xr.DataArray([N for N in Ns if N in table["head"].values], dims="N")
    own = table.sel(head=known, N=known).drop_vars("head").assign_coords(N=known.values)
    return own.reindex(N=Ns).assign_coords(chance=table["chance"])
