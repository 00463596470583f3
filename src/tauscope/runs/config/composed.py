"""A run of any system: its options are those that every run has and those of the parts of its setup."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import Field, asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from tauscope._lazy import torch
from tauscope.errors import InputError, nearest, require_at_most
from tauscope.learning.curricula import Curriculum, range_name, require_asked, require_fitting
from tauscope.learning.recipe import Recipe, generators
from tauscope.runs.config import own
from tauscope.runs.config.base import check_cell, check_options, options_of
from tauscope.runs.config.setup import Setup, curriculum_from
from tauscope.tasks import Task
from tauscope.tasks.check import check_task

if TYPE_CHECKING:
    from tauscope.models import Model

_UNNAMED = (
    "task",
    "curriculum_type",
    "network_number",
    "seed",
    "epochs",
    "test_steps",
    "vocabulary",
    "sha256",
    "engine",
    "gradient",
    "every",
    "recurrent_rank",
    "sparsity",
    "recurrent_start",
    "recurrent_rescale",
)
"""Options that a folder's name does not tell as others: they stand elsewhere in it, or two runs that differ in them alone are
one run, have other numbers, or read another text under the same name. `Config.name` tells those of every run itself."""
_LONGEST = 160


class Config:
    """The options that define a run; two runs with the same ones have the same numbers.

    `kind_of` makes the dataclass of a task: its fields are the options of every run, which are declared here, and those of
    the parts of the task's `Setup`. Each is a flag of ``tauscope train``; its help text is in the field's metadata.
    """

    setup: ClassVar[Setup]

    task: str
    curriculum_type: str
    network_number: int
    seed: int | None
    engine: str
    gradient: str
    every: int | None
    recurrent_rank: int | None
    sparsity: float
    recurrent_start: str
    recurrent_rescale: bool
    cell: str
    num_neurons: int

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

        def __init__(self, **options: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

    def __post_init__(self) -> None:
        check_options(self)
        for part in map(self.part, self.setup.parts):
            # Options may stand for others, such as a published code for a name; a task settles what it leaves open itself.
            settled = part.settled() if isinstance(part, Task) else part
            for name in (
                options_of(settled, self.setup.taught) if not isinstance(part, Task) or settled is not part else ()
            ):
                object.__setattr__(self, name, getattr(settled, name))
        check_cell(self)
        require_at_most("sparsity", self.sparsity, 1.0)
        require_at_most("recurrent_rank", self.recurrent_rank or 1, self.num_neurons)
        self.recipe()
        curriculum, template = self.curriculum(), self.template()
        if self._has_own_code:
            with self._own_code():
                require_asked(curriculum, template)

    def __reduce__(self) -> tuple[Any, ...]:
        # Its class is made anew in every process; what this process may import, a process that it starts may import too.
        return _restored, (self.to_dict(),)

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        names = self.setup.names or default_names
        usual = self.__dataclass_fields__["engine"].default
        told = [f"recurrent_rank_{self.recurrent_rank}"] if self.recurrent_rank is not None else []
        told += [f"sparsity_{name_of(self.sparsity)}"] if self.sparsity else []
        told += [f"recurrent_start_{self.recurrent_start}"] if self.recurrent_start != "own" else []
        told += ["rescaled"] if self.recurrent_rescale else []
        told += [self.engine] if self.engine != usual else []
        told += [self.gradient] if self.gradient != "bptt" else []
        told += [f"every_{self.every}"] if self.every is not None else []
        return "_".join([*names(self), *told, f"network_{self.network_number}"])

    @property
    def n_heads(self) -> int | None:
        """Number of heads of the network, where that is the same however far the run goes."""
        return getattr(self.part("network"), "n_heads", None)

    @property
    def counts_N(self) -> bool:
        """Whether the stages ask memory demands N, by which they are named."""
        stages = self.curriculum().stages if self.setup.counts_N else ()
        return bool(stages) and all(stage.name == range_name(stage.ask.get("Ns", (0,))) for stage in stages)

    def template(self) -> Task:
        """Return the task, of which the stages of the curriculum ask."""
        part = self.part("task")
        return part if isinstance(part, Task) else cast(Task, part.build())

    def curriculum(self) -> Curriculum:
        """Return the curriculum at its start."""
        if not own.is_own(self.curriculum_type):
            return cast(Curriculum, self.part("curriculum").build(self.template()))
        found = own.known(self.curriculum_type, "curriculum_type")
        return curriculum_from(self.curriculum_type, found, self.template())

    def recipe(self) -> Recipe:
        """Return how the network is trained."""
        recipe = cast(Recipe, self.part("training").build())
        return dataclasses.replace(
            recipe, seed=self.seed or 0, engine=self.engine, gradient=self.gradient, every=self.every
        )

    def model(self, device: torch.device | str = "cpu") -> Model:
        """Return the network with its initial weights.

        Raises
        ------
        InputError
            If heads have different numbers of outputs, or a task or a curriculum of a user's own asks what the network
            cannot answer, or makes batches of other shapes than it says.
        """
        template, curriculum = self.template(), self.curriculum()
        tasks = [template.at(stage) for stage in curriculum.stages]
        heads: dict[str, Any] = dict.fromkeys(name for stage in curriculum.stages for name in stage.heads)
        sizes = set[int]()
        # The last stages ask most of them.
        for stage, task in zip(reversed(curriculum.stages), reversed(tasks), strict=True):
            if self._has_own_code or None in map(heads.get, stage.heads):
                heads |= zip(stage.heads, task.heads.values(), strict=True)
                sizes |= {head.n_outputs for head in task.heads.values()}
        if len(sizes) != 1:
            raise InputError(f"the heads {', '.join(heads)} have {sorted(sizes)} outputs: expected equally many")
        if self._has_own_code:
            with self._own_code():
                for task in tasks:
                    check_task(task)
        # Drawn on the CPU, so that a seed gives the same network on every device.
        generator = generators(self.seed or 0)["init"]
        made: Model = self.part("network").build(tasks[0], heads, generator)
        if self._recurrent():
            from tauscope.models.low_rank import low_rank_sparse

            made = low_rank_sparse(
                made,
                self.recurrent_rank,
                self.sparsity,
                generator=generator,
                start=self.recurrent_start,
                rescale=self.recurrent_rescale,
            )
        if self._has_own_code:
            require_fitting(curriculum, template, made)
        if self.gradient != "bptt":
            from tauscope.learning.state import learner_of

            # Before anything is written: a network that cannot be trained so is refused.
            learner_of(made, template, self.recipe())
        dtype = self.recipe().dtype
        return made.to(device, None if dtype is None else getattr(torch, dtype))

    def measured_model(self) -> Model:
        """Return a network of that kind on the CPU, as it is measured: in full precision."""
        return self.replace(**self.setup.measured).model()

    def measured_task(self, stage: str | None = None) -> Task:
        """Return the task as the stage of this name asks it, or the first one: what a network kept then is measured on.

        In continuous time it has the most steps a bit.
        """
        tasks = self.replace(**self.setup.measured).tasks()
        task, steps = tasks.get(stage or "", next(iter(tasks.values()))), self.recipe().duplicates
        return task if steps is None else task.replace(repeat=max(steps))

    def tasks(self) -> dict[str, Task]:
        """Return the task as every stage asks it, by the stage's name."""
        template = self.template()
        return {stage.name: template.at(stage) for stage in self.curriculum().stages}

    def facts(self) -> list[tuple[str, str]]:
        """Return network, task and order of teaching in words, by what they are."""
        facts = self.setup.facts or _facts
        return [*facts(self), *self._recurrent(), ("Seed", str(self.seed))]

    def _recurrent(self) -> list[tuple[str, str]]:
        rank = [f"rank {self.recurrent_rank} before the mask"] if self.recurrent_rank is not None else []
        sparse = [f"{self.sparsity:.0%} of them 0"] if self.sparsity else []
        start = [f"from {self.recurrent_start} matrices"] if self.recurrent_start != "own" else []
        start += ["rescaled at the start"] if self.recurrent_rescale else []
        told = ", ".join([*rank, *sparse, *start])
        return [("Recurrent weights", told)] if told else []

    def identity(self) -> dict[str, Any]:
        """Return what a run cannot change once begun: all options but those that say how far it goes.

        When stages follow one another after a number of epochs, or the learning rate follows from it, that number is not one
        of them.
        """
        curriculum = self.curriculum()
        timed = curriculum.criterion.epochs is not None and len(curriculum.stages) > 1
        timed |= getattr(self.part("training"), "follows_epochs", False)
        extends = set(self.setup.extends) - ({"epochs"} if timed else set())
        options = {name: value for name, value in _plain(self).items() if name not in extends}
        return options | ({} if self.n_heads is None else {"n_heads": self.n_heads})

    def to_dict(self) -> dict[str, Any]:
        """Return all options as plain values, without what published runs do not have and this one does not use."""
        added = {known.name: known.default for known in fields(self) if known.metadata.get("added")}
        return {name: value for name, value in _plain(self).items() if name not in added or value != added[name]}

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Return the configuration with these options.

        Raises
        ------
        InputError
            If one is unknown or invalid.
        """
        known = [known.name for known in fields(cls)]
        for name in options:
            if name not in known:
                raise InputError(f"option {name!r} is unknown: {nearest(name, known)}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})

    def replace(self, **options: Any) -> Self:
        """Return the configuration with some options changed."""
        return dataclasses.replace(self, **options)

    def part(self, name: str) -> Any:
        """Return a part of the setup with the values that the options have.

        Parameters
        ----------
        name : str
            Key of `Setup.parts`.
        """
        default = self.setup.parts[name]
        if not is_dataclass(default) or isinstance(default, type):
            return default
        taken = [known.name for known in fields(default) if known.init and known.name in self.__dataclass_fields__]
        with self._own_code() if own.is_own(self.task) else contextlib.nullcontext():
            options = {option: getattr(self, option) for option in taken}
            return default.replace(**options) if isinstance(default, Task) else dataclasses.replace(default, **options)

    @property
    def _has_own_code(self) -> bool:
        return own.is_own(self.task) or own.is_own(self.curriculum_type)

    def _own_code(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which errors of a user's own code are one line."""
        code = {"task": self.task, "curriculum": self.curriculum_type}
        named = " with ".join(f"{what} {name!r}" for what, name in code.items() if own.is_own(name))
        return own.refusing(named) if named else contextlib.nullcontext()


def _plain(config: Config) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def default_names(options: Config) -> list[str]:
    """Return the parts of a folder's name: ``{task}[_options that are not the defaults]``."""
    affixes = own_curriculum(options)
    for known in fields(options):
        value = getattr(options, known.name)
        if known.name not in _UNNAMED and value != known.default:
            text = name_of(value)
            affixes.append(text if known.name == "cell" else f"{_SHORT.get(known.name, known.name)}_{text}")
    if len("_".join(affixes).encode()) > _LONGEST:
        affixes = [hashlib.sha256("_".join(affixes).encode()).hexdigest()[:12]]
    return [name_of(options.task), *affixes]


_SHORT = {"num_neurons": "size"}


def _facts(options: Config) -> list[tuple[str, str]]:
    template, setup = options.template(), options.setup
    named = [name for name in options_of(setup.task, setup.taught) if name not in _UNNAMED]
    trial = [f"{name} = {name_of(getattr(options, name))}" for name in named]
    return [
        ("Network", f"{options.num_neurons} unit{'s' * (options.num_neurons > 1)} ({options.cell})"),
        ("Task", template.question),
        *([("Trial", ", ".join(trial))] if trial else []),
        ("Stages", ", ".join(stage.name for stage in options.curriculum().stages)),
    ]


def own_curriculum(options: Config) -> list[str]:
    """Return the part of a folder's name that tells a curriculum of a user's own, if there is one."""
    return [name_of(options.curriculum_type)] if own.is_own(options.curriculum_type) else []


def name_of(value: object) -> str:
    """Return a value as a part of a folder's name.

    Examples
    --------
    >>> name_of("mytasks:Recall"), name_of((10, 20)), name_of(0.1), name_of(True), name_of("15,21,1"), name_of("hmm:4")
    ('Recall', '10-20', '0.1', 'yes', '15-21-1', 'hmm-4')
    """
    if isinstance(value, tuple):
        return "-".join(map(name_of, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    text = str(value)
    # Of code of a user's own, the name in its module.
    last = text.rpartition(":")[2]
    return re.sub(r"[^\w.+-]", "-", last if last.isidentifier() else text)


def _restored(options: dict[str, Any]) -> Config:
    from tauscope.runs.config.kinds import config_of

    own.allow(options)
    return config_of(options)
