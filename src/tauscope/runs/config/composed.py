"""A run of any system: its options are those of every run and of the parts of its setup."""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import operator
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from tauscope._named import imported
from tauscope.errors import InputError, require_at_least
from tauscope.learning.curricula import Curriculum, require_asked, require_fitting
from tauscope.learning.recipe import OPTIMIZERS, Recipe, generators
from tauscope.runs.config import own
from tauscope.runs.config.base import Config, option
from tauscope.runs.config.setup import SCHEDULES, SETUPS, Setup, curriculum_from, setup_of_class
from tauscope.tasks import Task
from tauscope.tasks.check import check_task

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model
    from tauscope.tasks import Head

RESERVED = (
    "help",
    "gru",
    "lstm",
    "base_path",
    "resume",
    "device",
    "threads",
    "time_limit",
    "save_every",
    "tensorboard",
)
"""Flags of ``tauscope train`` that are no options of a run."""

DEFAULT = "default"
"""The curriculum of a setup itself."""

_UNNAMED = ("task", "curriculum_type", "network_number", "seed", "epochs", "test_steps", "vocabulary", "sha256")
"""Options that a folder's name does not tell as others: they stand elsewhere in it, or two runs that differ in them alone are
one run, have other numbers, or read another text under the same name."""
_LONGEST = 160


@dataclass(frozen=True)
class RunConfig(Config):
    """The options of a run of any setup; `kind_for` adds those of the setup's task, network and curriculum.

    Each field is a flag of ``tauscope train``; its help text is in the field's metadata.
    """

    setup: ClassVar[Setup]

    task: str = option("", "what must be remembered, or a task of your own as module:Class", "t")
    curriculum_type: str = option(DEFAULT, "the task's own, or a curriculum of your own as module:Name", "c")
    network_number: int = option(1, "number of the network, the last part of its folder's name", "n")
    seed: int | None = option(None, "root of all random numbers; by default a random one", "s")

    cell: str = option("", "cell", group="network")
    num_neurons: int = option(1, "units", "nn", group="network")

    epochs: int = option(1, "epochs at most", group="training")
    steps_per_epoch: int = option(1, "optimiser steps an epoch", group="training")
    batch_size: int = option(1, "trials a step", group="training")
    test_steps: int = option(1, "batches of fresh trials that test an epoch", group="training")
    optimizer: str = option("adam", "optimiser", choices=OPTIMIZERS, group="training")
    lr: float = option(0.001, "learning rate", group="training")
    momentum: float = option(0.1, "Nesterov momentum of sgd", group="training")
    clip: float | None = option(None, "largest global gradient norm; by default any", group="training")
    schedule: str = option("none", "how the learning rate falls: to 30 % after 60 and after 85 % of the epochs (steps), or to "
                           "a half when 2 epochs were no better by 1 % (plateau)", choices=tuple(SCHEDULES),
                           group="training")  # fmt: skip
    patience: int | None = option(None, "epochs without a gain after which training ends; by default it does not",
                                  group="training")  # fmt: skip
    activity_cost: float = option(0.0, "cost of activity", group="training")
    weight_cost: float = option(0.0, "cost of the sum of all squared weights (half the weight decay of Adam)",
                                group="training")  # fmt: skip

    def __post_init__(self) -> None:
        self._check_options()
        self._settle()
        require_at_least("network_number", self.network_number, 0)
        if self.curriculum_type != DEFAULT and not own.is_own(self.curriculum_type):
            raise InputError(
                f"curriculum {self.curriculum_type!r} is unknown: expected {DEFAULT!r}, or one of your own as module:Name"
            )
        self.network()
        self.recipe()
        require_asked(self.curriculum(), self.template())

    def _settle(self) -> None:
        """Fill in what the task leaves open."""
        settled = self.template().settled()
        for name in options_of(self.setup.task, self.setup.taught):
            object.__setattr__(self, name, getattr(settled, name))

    def __reduce__(self) -> tuple[Any, ...]:
        # Its class is made anew in every process; what this process may import, one that it starts may import too.
        return _restored, (self.to_dict(),)

    @property
    def name(self) -> str:
        """Name of the run's folder: ``{task}[_options that are not the defaults]_network_{n}``."""
        affixes = [] if self.curriculum_type == DEFAULT else [_text(self.curriculum_type)]
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in _UNNAMED and value != one.default:
                affixes.append(
                    _text(value) if one.name == "cell" else f"{_SHORT.get(one.name, one.name)}_{_text(value)}"
                )
        start = [_text(self.task)]
        if len("_".join(affixes).encode()) > _LONGEST:
            affixes = [hashlib.sha256("_".join(affixes).encode()).hexdigest()[:12]]
        return "_".join([*start, *affixes, f"network_{self.network_number}"])

    def template(self) -> Task:
        """Return the task, of which the stages of the curriculum ask."""
        return typing.cast(Task, self._part(self.setup.task))

    def network(self) -> Any:
        """Return the options of the network."""
        return self._part(self.setup.network)

    def curriculum(self) -> Curriculum:
        """Return the curriculum at its start."""
        if self.curriculum_type == DEFAULT:
            return typing.cast(Curriculum, self._part(self.setup.teaching).build(self.template()))
        found = own.known(self.curriculum_type, "curriculum_type")
        return curriculum_from(self.curriculum_type, found, self.template())

    def recipe(self) -> Recipe:
        """Return how the network is trained."""
        set_here = {
            "seed": self.seed or 0,
            "clip": math.inf if self.clip is None else self.clip,
            "schedule": SCHEDULES[self.schedule](self.epochs) or self.setup.recipe.schedule,
        }
        return typing.cast(Recipe, replace(self._part(self.setup.recipe, tuple(set_here)), **set_here))

    def identity(self) -> dict[str, Any]:
        """Return the options that a run cannot change once begun, with the epochs where the learning rate follows from them."""
        return super().identity() | ({"epochs": self.epochs} if self.schedule == "steps" else {})

    def model(self, device: torch.device | str = "cpu") -> Model:
        """Return the network with its initial weights, after a look at whether it fits what it is asked.

        Raises
        ------
        InputError
            If a stage has other inputs, heads or outputs than the network, or batches of other shapes than it says.
        """
        template, curriculum = self.template(), self.curriculum()
        tasks = [template.at(stage) for stage in curriculum.stages]
        for task in tasks:
            check_task(task)
        heads: dict[str, Head] = {}
        for stage, task in zip(curriculum.stages, tasks, strict=True):
            for name, head in zip(stage.heads, task.heads.values(), strict=True):
                if heads.setdefault(name, head).n_outputs != head.n_outputs:
                    raise InputError(f"stage {stage.name}: head {name} has {head.n_outputs} outputs: expected "
                                     f"{heads[name].n_outputs}, as before")  # fmt: skip
        # Drawn on the CPU, so that a seed gives the same network on every device.
        made: Model = self.network().build(tasks[0], heads, generators(self.seed or 0)["init"])
        require_fitting(curriculum, template, made)
        return made.to(device)

    def facts(self) -> list[tuple[str, str]]:
        """Return network, task, its options and the order of teaching in words."""
        template = self.template()
        named = [name for name in options_of(self.setup.task, self.setup.taught) if name not in _UNNAMED]
        of_task = [f"{name} = {_text(getattr(self, name))}" for name in named]
        stages = ", ".join(stage.name for stage in self.curriculum().stages)
        return [
            ("Network", f"{self.num_neurons} unit{'s' * (self.num_neurons > 1)} ({self.cell})"),
            ("Task", template.question),
            *([("Trial", ", ".join(of_task))] if of_task else []),
            ("Stages", stages),
            ("Seed", str(self.seed)),
        ]

    def _part(self, default: Any, skip: tuple[str, ...] = ()) -> Any:
        """Return a part of the setup with the values that the options have."""
        if not is_dataclass(default) or isinstance(default, type):
            return default
        taken = [one.name for one in fields(self)]
        own_fields = [one.name for one in fields(default) if one.init and one.name in taken and one.name not in skip]
        try:
            return replace(default, **{name: getattr(self, name) for name in own_fields})
        except InputError:
            raise
        except ValueError as error:  # how a task of a user's own refuses a value
            raise InputError(f"task {self.task!r}: {error}") from error


_SHORT = {"num_neurons": "size"}


def _restored(options: dict[str, Any]) -> Config:
    own.allow(options)
    return kind_for(options["task"]).from_dict(options)


def _text(value: object) -> str:
    """Return a value as a part of a folder's name.

    Examples
    --------
    >>> _text("mytasks:Recall"), _text((10, 20)), _text(0.1), _text(True), _text("15,21,1"), _text("hmm:4")
    ('Recall', '10-20', '0.1', 'yes', '15-21-1', 'hmm-4')
    """
    if isinstance(value, tuple):
        return "-".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    text = str(value)
    # Of code of a user's own, the name in its module.
    last = text.rpartition(":")[2]
    return re.sub(r"[^\w.+-]", "-", last if last.isidentifier() else text)


_KINDS: dict[str, type[RunConfig]] = {}


def kind_for(task: str) -> type[RunConfig]:
    """Return the kind of run of a task that has a setup, or of one of a user's own.

    Parameters
    ----------
    task : str
        A key of `SETUPS`, or ``module:Class`` that the user named, see `own.allow`; that may be a `Setup` too.

    Raises
    ------
    InputError
        If the user did not name it, or it cannot be a run's task.
    """
    found = own.known(task, "task") if own.is_own(task) else imported(SETUPS[task], "setup")
    if task not in _KINDS:
        _KINDS[task] = kind_of_setup(task, found if isinstance(found, Setup) else setup_of_class(task, found))
    return _KINDS[task]


def kind_of_setup(task: str, setup: Setup) -> type[RunConfig]:
    """Return the kind of run of a setup: a dataclass with its options.

    Parameters
    ----------
    task : str
        Name of its task.
    setup : Setup
        What it is made of.

    Raises
    ------
    InputError
        If two of its parts have an option of the same name, or one has the name of another flag.

    Examples
    --------
    >>> from tauscope.tasks import Tracking
    >>> kind = kind_of_setup("signals", Setup(Tracking()))
    >>> kind(n_signals=2, num_neurons=50, seed=0).name
    'signals_size_50_n_signals_2_network_1'
    """
    shared = {one.name: one for one in fields(RunConfig)}
    hints = typing.get_type_hints(RunConfig)
    own_defaults = {
        "clip": setup.recipe.clip if math.isfinite(setup.recipe.clip) else None,
        "schedule": setup.schedule,
    }
    defaults = vars(setup.recipe) | own_defaults
    found: dict[str, tuple[str, Any, Any]] = {
        name: (name, hints[name], _with_default(one, defaults[name]))
        for name, one in shared.items()
        if one.metadata["group"] == "training"
    }
    found["task"] = ("task", str, _with_default(shared["task"], task))
    parts = {"task": (setup.task, setup.taught), "network": (setup.network, ()), "curriculum": (setup.teaching, ())}
    for part, (default, hidden) in parts.items():
        for name, (hint, own_option) in options_of(default, hidden, part).items():
            taken = name in RESERVED or name in found or (name in shared and part != "network")
            if taken:
                raise InputError(
                    f"{type(default).__name__} has a field {name}, which is another option of a run of {task}: expected "
                    "another name"
                )
            found[name] = (name, hint, own_option)
    namespace = {"setup": setup, "__doc__": f"The options of a run of {task}.", "__module__": __name__}
    kind = make_dataclass("RunConfig", found.values(), bases=(RunConfig,), frozen=True, namespace=namespace)
    return typing.cast(type[RunConfig], kind)


def options_of(default: object, hidden: tuple[str, ...] = (), group: str = "task") -> dict[str, tuple[Any, Any]]:
    """Return type and option of every field of a dataclass that a flag can give, with the values of an instance.

    A field of another type than whole numbers, numbers, truth values, texts, tuples of numbers, one of several of these, or
    a `typing.Literal` of texts is no option.

    Parameters
    ----------
    default : object
        An instance; what is no dataclass has no options.
    hidden : tuple of str
        Fields that are no options.
    group : str
        Heading of the flags, where a field does not name its own.

    Examples
    --------
    >>> from tauscope.tasks import Parity
    >>> hint, found = options_of(Parity())["p"]
    >>> hint, found.default, found.metadata["group"]
    (float | None, None, 'task')
    """
    if not is_dataclass(default) or isinstance(default, type):
        return {}
    hints, texts = typing.get_type_hints(type(default)), documented(type(default))
    found = {}
    for one in fields(default):
        hint, choices = _plain(hints[one.name])
        if hint is None or not one.init or one.name in hidden or one.name.startswith("_"):
            continue
        meta: Mapping[str, Any] = one.metadata
        value = getattr(default, one.name)
        found[one.name] = (
            hint,
            option(
                tuple(value) if isinstance(value, list) else value,
                meta.get("help", texts.get(one.name, one.name.replace("_", " "))),
                meta.get("short"),
                meta.get("choices") or choices,
                meta.get("group", group) if group != "curriculum" else group,
            ),
        )
    return found


def _plain(hint: Any) -> tuple[Any, tuple[str, ...] | None]:
    """Return a type as options have it, and its choices; no type where an option cannot be of it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal and all(isinstance(one, str) for one in arguments):
        return str, arguments
    if origin in (typing.Union, types.UnionType):
        plain = [type(None) if one is type(None) else _plain(one)[0] for one in arguments]
        return (None if None in plain else functools.reduce(operator.or_, plain)), None
    if origin is tuple:
        elements = {one for one in arguments if one is not Ellipsis}
        return (hint if elements in ({int}, {float}) else None), None
    return (hint if hint in (int, float, bool, str) else None), None


def _with_default(one: Any, default: Any) -> Any:
    meta = one.metadata
    return option(default, meta["help"], meta["short"], meta["choices"], meta["group"])


def documented(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of its attributes, by their names.

    Examples
    --------
    >>> from tauscope.tasks import Tracking
    >>> documented(Tracking)["n_steps"]
    'length T of a trial'
    """
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        found |= dict(_attributes(inspect.cleandoc(one.__dict__.get("__doc__") or "")))
    return found


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and descriptions of a docstring's section of attributes."""
    section = re.search(r"^Attributes\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", text, re.DOTALL | re.MULTILINE)
    for entry in re.finditer(r"^(\w[^\n]*)\n((?:[ \t]+\S[^\n]*\n?|\n)+)", section[1] if section else "", re.MULTILINE):
        words = " ".join(entry[2].replace("``", "").replace("`", "").split()).removesuffix(".")
        for name in entry[1].partition(":")[0].split(","):
            yield name.strip(), words[:1].lower() + words[1:]
