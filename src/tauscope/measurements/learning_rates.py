"""At which learning rates a network trains."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from tauscope.errors import DivergedError, InputError, require_positive
from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.recipe import Recipe
from tauscope.learning.training import train
from tauscope.models.model import Model
from tauscope.tasks.base import METRICS, Stage, Task

LRS = (5.0, 0.5, 0.05, 0.005, 0.0005)
"""Learning rates of Wang & Li (ICML 2024)."""


def learning_rates(
    model: Model, task: Task, recipe: Recipe, *, threshold: float, lrs: Sequence[float] = LRS
) -> xr.Dataset:
    """Train copies of a network at several learning rates, and find the largest at which it trains.

    Parameters
    ----------
    model : Model
        With heads of the names that the task's have; it is not changed.
    task : Task
        What is asked.
    recipe : Recipe
        How each copy is trained, but for the learning rate.
    threshold : float
        Score at the end, the mean over heads, from which on a network counts as trained.
    lrs : sequence of float
        Learning rates.

    Returns
    -------
    Dataset [lr]
        ``score`` at the end, not a number where training diverged; ``trains``; and ``largest_lr``, not a number where none trains.

    Raises
    ------
    InputError
        If there is no learning rate, or one is not above 0.

    Examples
    --------
    >>> import tauscope as ts, torch
    >>> model = ts.LeakyRNN(8, n_heads=1, generator=torch.Generator().manual_seed(0))
    >>> recipe = ts.Recipe(epochs=1, steps_per_epoch=2, batch_size=4, test_steps=1)
    >>> result = learning_rates(model, ts.Parity([2]), recipe, threshold=0.0, lrs=[0.1, 0.01])
    >>> result.trains.values, float(result.largest_lr)
    (array([ True,  True]), 0.1)
    """
    rates = list(lrs)
    if not rates:
        raise InputError(f"lrs are {lrs}: expected one learning rate or more, such as {LRS}")
    for lr in rates:
        require_positive("a learning rate", lr)
    scores = np.array([_score(model, task, replace(recipe, lr=lr)) for lr in rates])
    trains = scores >= threshold if METRICS[task.metric] == "more" else scores <= threshold
    largest = max((lr for lr, right in zip(rates, trains, strict=True) if right), default=float("nan"))
    return xr.Dataset(
        {
            "score": ("lr", scores, {"long_name": task.metric.replace("_", " "), "units": "1"}),
            "trains": ("lr", trains),
            "largest_lr": ((), largest, {"long_name": "largest learning rate that trains", "units": "1"}),
        },
        coords={"lr": rates},
        attrs={"threshold": threshold},
    )


def _score(model: Model, task: Task, recipe: Recipe) -> float:
    stage = Stage("task", {}, tuple(task.heads))
    curriculum = Curriculum([stage], Criterion(task.metric, goes_on=True))
    try:
        record = train(copy.deepcopy(model), task, curriculum, recipe).history[-1]
    except DivergedError:
        return float("nan")
    return float(np.mean(record[task.metric]))
