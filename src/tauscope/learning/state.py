"""Everything that changes while a network is trained: what is saved of it, and how it goes on from there exactly."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tauscope._lazy import torch
from tauscope.errors import InputError, require_instance
from tauscope.learning.acting import ActorCritic
from tauscope.learning.checks import require_methods, require_own_engine, require_plain, require_trainable
from tauscope.learning.curricula import Curriculum, require_fitting, stage_name
from tauscope.learning.learners import Learner, Supervised
from tauscope.learning.online import gradient_of
from tauscope.learning.recipe import Recipe, generators, optimizer_of
from tauscope.tasks.base import Task
from tauscope.tasks.environment import Environment

if TYPE_CHECKING:
    from tauscope.models.model import Model


@dataclass
class Training:
    """Everything that changes while a network is trained.

    Attributes
    ----------
    model, template, curriculum, recipe
        What is trained, on what, in which order, how.
    learner : Learner, optional
        What an update is; by default supervised learning by backpropagation through whole trials.
    lesson : Learner
        The learner as the current stage asks it.
    epoch, step : int
        Finished epochs; finished steps of the epoch under way.
    loss_sum, told_sums : float, dict of float
        Sums of the losses of those steps, and of what else was reported of them.
    frames : int
        Steps that were taken in environments so far.
    history : list of dict
        One record for every finished epoch, copied.
    flushes_subnormals : bool
        Whether subnormal numbers are taken for zero, see `tauscope.models.kernels.subnormals`. A training goes on in the
        mode in which it was begun; version 0.1 kept them.
    """

    model: Model
    template: Task
    curriculum: Curriculum
    recipe: Recipe
    learner: Learner | None = None
    epoch: int = field(default=0, init=False)
    step: int = field(default=0, init=False)
    loss_sum: float = field(default=0.0, init=False)
    told_sums: dict[str, float] = field(default_factory=dict, init=False)
    frames: int = field(default=0, init=False)
    flushes_subnormals: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        from tauscope.models.model import require_model
        from tauscope.models.trace import generator_for

        require_model(self.model)
        require_instance("task", self.template, Task, "a task, such as ts.Parity()")
        require_instance("curriculum", self.curriculum, Curriculum, "a Curriculum")
        require_instance("recipe", self.recipe, Recipe, "a Recipe, such as ts.Recipe(epochs=10)")
        require_fitting(self.curriculum, self.template, self.model)
        if self.recipe.dtype is not None:
            self.model.to(getattr(torch, self.recipe.dtype))
        self._learner = self.learner or learner_of(self.model, self.template, self.recipe)
        require_own_engine(self.learner, self.recipe.engine)
        require_methods("learner", self._learner, "at", "parameters", "settle", "pieces", "test")
        require_trainable(self.model, self._learner, self.curriculum.stages)
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.records: list[dict[str, Any]] = []
        # It needs one to begin with; `ask` adds the others.
        self.optimizer = optimizer_of(self.parameters[:1], self.recipe)
        # What was left on the network would be added to.
        self.model.zero_grad()
        self.ask()
        self.generators = generators(self.recipe.seed, generator_for(self.model, None).device)

    @property
    def task(self) -> Task:
        """The template as the current stage asks it."""
        return self.template.at(self.curriculum.stage)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Copies of the records of all finished epochs."""
        return copy.deepcopy(self.records)

    @property
    def finished(self) -> bool:
        """Whether the curriculum, the epochs or the recipe's patience is used up."""
        given_up = bool(self.records) and self.records[-1].get("stopped_early", False)
        return self.curriculum.finished or self.epoch >= self.recipe.epochs or given_up

    def ask(self) -> None:
        """Take up the current stage: what its answers depend on, and the learning rate that the scores so far give."""
        self.lesson: Learner = self._learner.at(self.curriculum.stage)
        asked = {id(parameter) for parameter in self.lesson.parameters()}
        places = [place for place, parameter in enumerate(self.parameters) if id(parameter) in asked]
        # To walk through a hundred heads at every step takes as long as a product.
        self.asked = [self.parameters[place] for place in places]
        self._optimize(max(places, default=-1) + 1)
        if self.recipe.schedule is not None:
            better = self.curriculum.criterion.direction
            self.optimizer.param_groups[0]["lr"] = self.recipe.schedule.rate(self.recipe.lr, self.scores(), better)

    def scores(self) -> list[list[float]]:
        """Return the mean score over heads of every finished epoch, in one list for every stage."""
        metric = self.curriculum.criterion.metric
        stages = itertools.groupby(self.records, stage_name)
        return [[float(np.mean(record[metric])) for record in records] for _, records in stages]

    def _optimize(self, n_parameters: int) -> None:
        """Let the optimiser see so many of the parameters, if not more."""
        group = self.optimizer.param_groups[0]
        group["params"] += self.parameters[len(group["params"]) : n_parameters]
        if group.get("momentum"):
            # The fused step takes momenta of all parameters or of none; SGD starts from 0, and heads are asked one by one.
            for parameter in group["params"]:
                self.optimizer.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that `load_state_dict` needs to go on from this moment bit for bit."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "generators": {name: generator.get_state() for name, generator in self.generators.items()},
                "curriculum": self.curriculum.state_dict(),
                "epoch": self.epoch,
                "step": self.step,
                "loss_sum": self.loss_sum,
                "told_sums": self.told_sums,
                "frames": self.frames,
                "history": self.records,
                "flushes_subnormals": self.flushes_subnormals,
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, which is left as it is.

        Raises
        ------
        InputError
            If it is not a state of a training of this network, curriculum and optimiser.
        """
        require_instance("state", state, dict, "what Training.state_dict() returns")
        missing = sorted(self.state_dict().keys() - state.keys() - {"flushes_subnormals", "told_sums", "frames"})
        if missing:
            raise InputError(f"state has no {missing[0]}: expected what Training.state_dict() returns")
        self._load_weights(state["model"], state["optimizer"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name].cpu())
        self.curriculum.load_state_dict(state["curriculum"])
        self.epoch, self.step, self.loss_sum = int(state["epoch"]), int(state["step"]), float(state["loss_sum"])
        self.told_sums = dict(state.get("told_sums", {}))
        self.frames = int(state.get("frames", 0))
        self.records = [record | {"stage": stage_name(record)} for record in copy.deepcopy(state["history"])]
        self.flushes_subnormals = state.get("flushes_subnormals", False)
        if not isinstance(self.flushes_subnormals, bool):
            raise InputError(f"flushes_subnormals is {self.flushes_subnormals!r}: expected true or false")

    def _load_weights(self, weights: dict[str, Any], moments: dict[str, Any]) -> None:
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(f"state is of another network: {' '.join(str(error).split())}") from error
        (group,) = moments["param_groups"]
        if ("betas" in group) != (self.recipe.optimizer == "adam"):
            raise InputError(f"state is of another optimiser: expected that of {self.recipe.optimizer}")
        self._optimize(len(group["params"]))
        # The optimiser keeps the very tensors that it is given, and changes them.
        self.optimizer.load_state_dict(copy.deepcopy(moments))


def learner_of(model: Model, task: Task, recipe: Recipe) -> Learner:
    """Return what an update is by a recipe.

    Raises
    ------
    InputError
        If the network cannot be trained by that gradient, or the recipe asks what an actor-critic does not do.
    """
    gradient = gradient_of(recipe.gradient, recipe.every, recipe.engine)
    if isinstance(task, Environment):
        require_plain(recipe, task)
        return ActorCritic(model, task, gradient)
    return Supervised(model, task, recipe.objective, gradient, recipe.duplicates)
