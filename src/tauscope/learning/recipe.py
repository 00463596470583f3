"""How a network is trained: optimiser, schedule, penalties, budget, as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tauscope._lazy import torch
from tauscope.errors import (
    InputError,
    require_at_least,
    require_choice,
    require_count,
    require_instance,
    require_positive,
)
from tauscope.learning.objectives import ACTIVITY, Term
from tauscope.learning.schedules import Schedule
from tauscope.models.names import ENGINES, GRADIENTS

if TYPE_CHECKING:
    from torch import nn

OPTIMIZERS = ("sgd", "adam")
DTYPES = ("float32", "float64")
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are those of Khajehabdollahi et al. (ICLR 2024).

    Attributes
    ----------
    epochs : int
        Epochs at most; the curriculum may finish earlier.
    steps_per_epoch : int
        Optimiser steps an epoch (for each of the ``duplicates``, where given).
    batch_size : int
        Sequences a step.
    test_steps : int
        Batches of fresh sequences on which every epoch ends.
    optimizer : {"sgd", "adam"}
        SGD with Nesterov momentum, or Adam.
    lr, momentum : float
        Learning rate; momentum (SGD alone).
    clip : float
        Largest global gradient norm; infinite for none.
    activity_cost, weight_cost : float
        Factors of the activity penalty and of the weight penalty in the loss that is differentiated; the loss that is
        reported has neither. The weight penalty is the sum of all squared weights, half the weight decay of Adam.
    activity : {"end", "answers"}
        Which activity is penalised: `tauscope.learning.objectives.activity_penalty` or `answer_penalty`.
    duplicates : tuple of int, optional
        Continuous time: numbers of steps k for which a bit is shown, one optimiser step for each in turn.
    seed : int
        Root of the generators of training data, initial states and test data; the network comes with its weights.
    betas, eps : (float, float), float
        Decay rates of the moments, and what is added to the root of the second one (Adam alone).
    terms : tuple of Term
        Further penalties.
    schedule : Schedule, optional
        How the learning rate changes between epochs: `tauscope.learning.schedules.Steps`, `Geometric` or `Plateau`; not at all if
        not given.
    patience : int, optional
        Training ends after so many epochs of a stage without a gain; its record says so under ``stopped_early``.
    gain : float
        A score counts as a gain if it is better than the best one of the stage before by more than this.
    split : {"test", "valid", "train"}
        Which split of the task's trials every epoch is tested on.
    engine : {"loop", "adjoint", "parallel"}
        How the gradient through time is found, see `tauscope.learning.learners.BPTT`.
    gradient : {"bptt", "rtrl", "immediate"}
        How the gradient through time is found: `tauscope.learning.learners.BPTT`, `tauscope.learning.online.RTRL` or `Immediate`.
    every : int, optional
        Steps of a segment of a trial, each of which ends in an update of its own, see `tauscope.learning.online.gradient_of`.
    dtype : {"float32", "float64"}, optional
        What the network is made into before it is trained; it is left as it is if not given.

    Examples
    --------
    >>> Recipe(epochs=10, seed=1).batch_size
    256
    """

    epochs: int = 1000
    steps_per_epoch: int = 600
    batch_size: int = 256
    test_steps: int = 50
    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.1
    clip: float = 2.0
    activity_cost: float = 0.0
    weight_cost: float = 0.0
    activity: str = "end"
    duplicates: tuple[int, ...] | None = None
    seed: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    terms: tuple[Term, ...] = ()
    schedule: Schedule | None = None
    patience: int | None = None
    gain: float = 0.0
    split: str = "test"
    engine: str = "loop"
    gradient: str = "bptt"
    every: int | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "test_steps"):
            require_count(name.replace("_", " "), getattr(self, name))
        choices = {
            "optimizer": OPTIMIZERS,
            "activity": ACTIVITY,
            "split": SPLITS,
            "engine": ENGINES,
            "dtype": (None, *DTYPES),
            "gradient": GRADIENTS,
        }
        for name, options in choices.items():
            require_choice(name, getattr(self, name), options)
        for name in ("activity_cost", "weight_cost", "eps", "gain"):
            require_at_least(name.replace("_", " "), getattr(self, name), 0.0)
        for name in ("lr", "clip"):
            require_positive(name, getattr(self, name))
        require_count("seed", self.seed, 0)
        for name in ("patience", "every"):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name))
        for name in ("betas", "terms", "duplicates"):
            values = getattr(self, name)
            if values is not None or name != "duplicates":
                require_instance(name, values, Iterable, "a tuple")
                object.__setattr__(self, name, tuple(values))
        if len(self.betas) != 2:
            raise InputError(f"betas are {self.betas}: expected two numbers, such as (0.9, 0.999)")
        for name, rate in (("momentum", self.momentum), *(("betas", rate) for rate in self.betas)):
            require_at_least(name, rate, 0.0)
            if not rate < 1:
                raise InputError(f"{name} is {rate}: expected a number in [0, 1) (nearest valid value: 0.1)")
        for k in self.duplicates or ():
            require_count("duplicates", k)
        for term in self.terms:
            require_instance(
                "a term", term, Term, "a Term, such as Term(1e-3, lambda trace, batch, model: trace.states.mean())"
            )
        if self.schedule is not None and (isinstance(self.schedule, type) or not hasattr(self.schedule, "rate")):
            raise InputError(
                f"schedule is {self.schedule!r}: expected a schedule, such as Steps({{60: 0.3}}) or Plateau(0.5)"
            )

    @property
    def objective(self) -> tuple[Term, ...]:
        """All terms that are added to the loss."""
        if not self.activity_cost:
            return self.terms
        return (Term(self.activity_cost, *ACTIVITY[self.activity]), *self.terms)


def generators(seed: int, device: torch.device | str = "cpu") -> dict[str, torch.Generator]:
    """Return the independent generators of a run.

    Parameters
    ----------
    seed : int
        Root seed.
    device : torch.device or str
        Where they draw.

    Returns
    -------
    dict of torch.Generator
        ``init`` (weights), ``data`` (training sequences), ``state`` (initial states), ``test`` (all of testing).

    Examples
    --------
    >>> sorted(generators(0))
    ['data', 'init', 'state', 'test']
    """
    names = ("init", "data", "state", "test")
    seeds = np.random.SeedSequence(seed).generate_state(len(names), dtype=np.uint64)
    # CUDA generators take signed 64-bit seeds only.
    return {name: torch.Generator(device).manual_seed(int(own) >> 1) for name, own in zip(names, seeds, strict=True)}


def optimizer_of(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser of a recipe, for these parameters.

    Examples
    --------
    >>> type(optimizer_of([torch.nn.Parameter(torch.zeros(1))], Recipe(optimizer="adam"))).__name__
    'Adam'
    """
    # The gradient of ρ Σ w² is 2 ρ w.
    decay, nesterov = 2 * recipe.weight_cost, recipe.momentum > 0
    if recipe.optimizer == "adam":
        return torch.optim.Adam(
            parameters, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, weight_decay=decay, fused=True
        )
    return torch.optim.SGD(parameters, recipe.lr, recipe.momentum, weight_decay=decay, nesterov=nesterov, fused=True)
