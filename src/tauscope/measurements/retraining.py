"""What a network can still learn, and what it has kept: retraining on larger N, accuracy on every N."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from tauscope.analysis.accuracy import evaluate
from tauscope.errors import InputError
from tauscope.learning.curricula import Criterion, Curriculum, once
from tauscope.learning.recipe import Recipe
from tauscope.learning.state import Training
from tauscope.learning.training import train
from tauscope.models.model import Model
from tauscope.tasks.base import OUT, validate_Ns
from tauscope.tasks.binary import BinaryMemoryTask, head_name

RETRAINING = Recipe(epochs=20)
"""The published budget of a retraining: 20 epochs for each N."""


def retrain(
    model: Model,
    task: BinaryMemoryTask,
    Ns: Sequence[int],
    *,
    recipe: Recipe = RETRAINING,
    on_epoch: Callable[[int, dict[str, Any]], None] | None = None,
) -> xr.Dataset:
    """Retrain copies of a network on one N each, with a single head, and measure how well they learn it.

    Parameters
    ----------
    model : Model
        A network that solves the first of the Ns; it is not changed.
    task : BinaryMemoryTask
        Its options are used, its Ns are not.
    Ns : sequence of int
        Memory demands, ascending. The head that answers the first one is where every copy's only head starts.
    recipe : Recipe
        How each copy is trained; each has all the recipe's epochs, also once it has solved its N.
    on_epoch : callable, optional
        Called with N and the record of every finished epoch.

    Returns
    -------
    Dataset [N, epoch]
        ``accuracy [N, epoch]`` on fresh sequences and ``loss [N, epoch]``, and ``relative_accuracy [N]``, that of the
        last epoch: (accuracy - 1/2) / (accuracy at the first N - 1/2). The sample size over networks is their number.

    Raises
    ------
    InputError
        If there is no head for the first N, or nothing to train.
    DivergedError
        If the loss or its gradient is not finite.

    Notes
    -----
    Every N starts anew from the given network. Source: Khajehabdollahi et al., ICLR 2024, section 4.3.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(16, generator=torch.Generator().manual_seed(0))
    >>> recipe = ts.Recipe(epochs=2, steps_per_epoch=3, batch_size=8, test_steps=2)
    >>> dict(retrain(model, ts.Parity(), [2, 3], recipe=recipe).sizes)
    {'N': 2, 'epoch': 2}
    """
    Ns = validate_Ns(Ns)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError("the network has no trainable parameters: expected at least one")
    histories = [_history(_single_headed(model, Ns[0]), task, N, recipe, on_epoch) for N in Ns]
    accuracy = np.array([[record["accuracy"][0] for record in history] for history in histories])
    loss = np.array([[record["loss"] for record in history] for history in histories])
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = (accuracy[:, -1] - 0.5) / (accuracy[0, -1] - 0.5)
    return xr.Dataset(
        {
            "accuracy": (("N", "epoch"), accuracy, {"long_name": "accuracy", "units": "fraction of sequences"}),
            "loss": (("N", "epoch"), loss, {"long_name": "loss", "units": "nats"}),
            "relative_accuracy": ("N", relative, {"long_name": "relative accuracy", "units": "1"}),
        },
        coords={"N": list(Ns), "epoch": np.arange(1, recipe.epochs + 1)},
        attrs={"steps_per_epoch": recipe.steps_per_epoch, "batch_size": recipe.batch_size, "seed": str(recipe.seed)},
    )


def forgetting(
    model: Model,
    task: BinaryMemoryTask,
    trained: tuple[int, int],
    *,
    Ns: Sequence[int] | None = None,
    p: float = 0.5,
    n_sequences: int = 2560,
    generator: torch.Generator | None = None,
) -> xr.DataArray:
    """Measure the accuracy of a trained network on every N, smaller and larger than those it was trained on.

    Parameters
    ----------
    model : Model
        The network.
    task : BinaryMemoryTask
        Its coding and length are used; p is that given here.
    trained : (int, int)
        Smallest and largest N that it was last trained on.
    Ns : sequence of int, optional
        Memory demands to ask; 2 … 2 times the largest trained one if not given.
    p : float
        Probability of a 1. At 0.5 no constant answer beats chance.
    n_sequences : int
        Fresh sequences, each asked all Ns.
    generator : torch.Generator, optional
        Source of sequences and initial states; seeded with 0 if not given.

    Returns
    -------
    DataArray [N]
        As from `evaluate`, each N read by its own head, with the coordinate ``trained``.

    Raises
    ------
    InputError
        If an option is out of range.

    Examples
    --------
    >>> import tauscope as ts
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> forgetting(model, ts.Parity(), (2, 3), n_sequences=64).trained.values.tolist()
    [True, True, False, False, False]
    """
    low, high = trained
    asked = range(2, 2 * high + 1) if Ns is None else Ns
    accuracy = evaluate(model, task.replace(p=p), asked, n_sequences=n_sequences, generator=generator)
    return accuracy.assign_coords(trained=("N", [low <= N <= high for N in accuracy.N.values]))


def _history(
    model: Model,
    task: BinaryMemoryTask,
    N: int,
    recipe: Recipe,
    on_epoch: Callable[[int, dict[str, Any]], None] | None,
) -> list[dict[str, Any]]:
    """Train a network on one N, in place, and return the records of all epochs."""

    def report(_: Training, record: dict[str, Any]) -> None:
        if on_epoch is not None:
            on_epoch(N, record)

    # Solved or not, every N has the same budget.
    curriculum = Curriculum(once(N), Criterion(epochs=recipe.epochs))
    return train(model, task, curriculum, recipe, on_epoch=report).history


def _single_headed(model: Model, N: int) -> Model:
    """Return a copy whose only head is the one that answers N."""
    twin = copy.deepcopy(model)
    heads = twin.heads
    heads.linears = nn.ModuleList([heads.linears[heads.index(head_name(N))]])
    heads.names, heads.shared = (OUT,), True
    return twin
