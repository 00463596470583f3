"""How a continuous-time network answers when its time steps are finer or coarser than in its training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from tauscope.analysis.accuracy import binomial_interval
from tauscope.analysis.checked import checked
from tauscope.errors import InputError, require_at_least
from tauscope.models.model import Model
from tauscope.models.trace import generator_for, run
from tauscope.tasks.base import validate_Ns
from tauscope.tasks.binary import BinaryMemoryTask

KS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30, 50, 70, 100, 150, 200)
"""Numbers of steps that a bit lasts, over the range that Khajehabdollahi et al. (ICLR 2024) test."""

_BLOCK_STEPS = 512


@checked
@torch.no_grad()
def resolution(
    model: Model,
    task: BinaryMemoryTask,
    Ns: Sequence[int],
    *,
    ks: Sequence[int] = KS,
    n_sequences: int = 1280,
    batch_size: int = 256,
    p: float = 0.5,
    generator: torch.Generator | None = None,
) -> xr.Dataset:
    """Measure the accuracy of a continuous-time network at time steps of 1/k of a bit.

    Parameters
    ----------
    model : Model
        A continuous-time network, at whatever resolution; run with its private noise where it has any.
    task : BinaryMemoryTask
        Its coding and length are used; Ns, p and steps a bit are those given here.
    Ns : sequence of int
        Memory demands to ask, each of its own head.
    ks : sequence of int
        Numbers of steps that a bit lasts, ascending.
    n_sequences : int
        Fresh sequences, shown at every k, so that what differs between two k is the time step alone.
    batch_size : int
        Sequences that are run at once; each batch has one length.
    p : float
        Probability of a 1. At 0.5 no constant answer beats chance.
    generator : torch.Generator, optional
        Source of sequences, initial states and private noise; seeded with 0 if not given.

    Returns
    -------
    Dataset [k, N]
        ``accuracy`` with the 95 % Clopper-Pearson bounds over sequences, ``low`` and ``high``, the time step ``dt [k]``
        in bits, and ``chance [N]``. The sample size over networks is their number.

    Raises
    ------
    InputError
        If the network is not a continuous-time one, an option is out of range, or there is no head for an N.

    Notes
    -----
    With Δt = 1/k, a unit's timescale is max(k τ, 1) steps: h ← (1 - a) h + a φ(W h + W_in x + b), a = 1 / max(k τ, 1).
    Source: Khajehabdollahi et al., ICLR 2024, appendix on continuous time.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, form="continuous", generator=torch.Generator().manual_seed(0))
    >>> result = resolution(model, ts.Parity(), [2, 3], ks=[1, 10], n_sequences=64)
    >>> dict(result.accuracy.sizes), result.dt.values.tolist()
    ({'k': 2, 'N': 2}, [1.0, 0.1])
    """
    ks, Ns = sorted(set(ks)), validate_Ns(Ns)
    if not ks:
        raise InputError("no resolution is asked: expected numbers of steps a bit, such as 1, 10, 100")
    for k in ks:
        require_at_least("k", k, 1)
    require_at_least("number of sequences", n_sequences, 1)
    require_at_least("batch size", batch_size, 1)
    generator = generator_for(model, generator)
    seed = generator.initial_seed()
    networks = [model.at_resolution(k) for k in ks]
    bare = task.replace(Ns=Ns, p=p, labels="last", repeat=1, plus_minus=False)
    right = torch.zeros(len(ks), len(Ns), dtype=torch.long, device="cpu")
    for first in range(0, n_sequences, batch_size):
        bits = bare.sample(min(batch_size, n_sequences - first), generator).inputs[..., 0]
        start = model.initial_state(bits.shape[1], generator)
        for i, (network, k) in enumerate(zip(networks, ks, strict=True)):
            batch = bare.replace(repeat=k, plus_minus=task.plus_minus).batch_of(bits)
            state = start
            # Block by block: the memory does not grow with k.
            for block in batch.inputs.split(_BLOCK_STEPS):
                state = run(network, block, generator, state=state, first=len(block) - 1).final
            said = network.readout(network.hidden(state), bare.heads).argmax(dim=-1)
            right[i] += (said == batch.targets[0]).sum(dim=0).cpu()
    return _dataset(right, n_sequences, ks, bare).assign_attrs(n_sequences=n_sequences, p=p, seed=str(seed))


def _dataset(right: Tensor, n_sequences: int, ks: Sequence[int], task: BinaryMemoryTask) -> xr.Dataset:
    share = {"units": "fraction of sequences"}
    low, high = binomial_interval(right.numpy(), n_sequences)
    dims = ("k", "N")
    return xr.Dataset(
        {
            "accuracy": (dims, right.numpy() / n_sequences, {"long_name": "accuracy", **share}),
            "low": (dims, low, {"long_name": "lower 95 % bound of the accuracy", **share}),
            "high": (dims, high, {"long_name": "upper 95 % bound of the accuracy", **share}),
            "chance": ("N", [task.chance(N) for N in task.Ns], {"long_name": "chance level", **share}),
        },
        coords={
            "k": ("k", list(ks), {"long_name": "steps a bit", "units": "steps"}),
            "dt": ("k", 1 / np.asarray(ks, dtype=float), {"long_name": "time step", "units": "bits"}),
            "N": list(task.Ns),
        },
    )
