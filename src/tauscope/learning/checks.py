"""What a training is given, refused in one line where it is not what its name says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tauscope.errors import InputError, require_instance
from tauscope.learning.curricula import Curriculum
from tauscope.tasks.base import Stage, Task

if TYPE_CHECKING:
    from tauscope.learning.learners import Learner
    from tauscope.learning.recipe import Recipe
    from tauscope.models.model import Model


def as_curriculum(given: Curriculum | Iterable[Stage]) -> Curriculum:
    """Return a curriculum itself, or that of stages with the usual criterion.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> from tauscope.learning.curricula import cumulative
    >>> as_curriculum(cumulative(last=3)).stage.name
    'N2_N2'
    """
    if isinstance(given, Curriculum):
        return given
    require_instance("curriculum", given, Iterable, "a Curriculum or stages, such as ts.cumulative(last=6)")
    return Curriculum(given)


def require_calls(**calls: Callable[..., object] | None) -> None:
    """Refuse what cannot be called.

    Examples
    --------
    >>> require_calls(on_step=print, on_epoch=None)
    """
    for name, call in calls.items():
        if call is not None and not callable(call):
            raise InputError(f"{name} is of type {type(call).__name__}: expected a function")


def require_methods(name: str, value: object, *methods: str) -> None:
    """Refuse a class, or an object that lacks a method.

    Examples
    --------
    >>> require_methods("text", "some", "upper")
    """
    given = f"the class {value.__name__} itself" if isinstance(value, type) else f"of type {type(value).__name__}"
    if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in methods):
        raise InputError(f"{name} is {given}: expected an object with {' and '.join(methods)}")


def require_own_engine(learner: Learner | None, engine: str) -> None:
    """Refuse an engine beside a learner that is given, which finds its gradients by its own.

    Examples
    --------
    >>> require_own_engine(None, "adjoint")
    """
    if learner is not None and engine != "loop":
        raise InputError(
            f"engine is {engine!r} beside a learner that is given: expected engine 'loop', and a learner such as "
            f"Supervised(model, task, gradient=BPTT(engine={engine!r}))"
        )


def require_plain(recipe: Recipe, task: Task) -> None:
    """Refuse what a recipe asks of answers, where a network acts in a task instead.

    Examples
    --------
    >>> import tauscope as ts
    >>> require_plain(ts.Recipe(activity_cost=0.1), ts.tasks.CueGame())
    Traceback (most recent call last):
    tauscope.errors.InputError: activity cost is 0.1 for CueGame, which is acted in: expected 0.0
    """
    for name, none in (("engine", "loop"), ("duplicates", None), ("activity_cost", 0.0), ("terms", ())):
        given = getattr(recipe, name)
        if given != none:
            raise InputError(
                f"{name.replace('_', ' ')} is {given} for {type(task).__name__}, which is acted in: expected {none}"
            )


def require_trainable(model: Model, learner: Learner, stages: Iterable[Stage]) -> None:
    """Refuse weights that cannot be trained, and a stage whose updates would move none of the network's.

    Examples
    --------
    >>> import tauscope as ts, torch
    >>> from tauscope.learning.learners import Supervised
    >>> model = ts.LeakyRNN(4, generator=torch.Generator().manual_seed(0)).requires_grad_(False)
    >>> require_trainable(model, Supervised(model, ts.Parity()), ts.once(2))
    Traceback (most recent call last):
    tauscope.errors.InputError: stage N2_N2 has no parameter to train: expected at least one that requires a gradient
    """
    for name, parameter in model.named_parameters():
        if parameter.is_meta or parameter.is_inference():
            where = "on the meta device" if parameter.is_meta else "made in inference mode"
            raise InputError(
                f"{name} is {where}, so that it cannot be trained: expected weights on a device, made outside of it"
            )
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    for stage in stages:
        if trained.isdisjoint(map(id, learner.at(stage).parameters())):
            raise InputError(
                f"stage {stage.name} has no parameter to train: expected at least one that requires a gradient"
            )
