"""What a system is made of: a task, a network, a curriculum and a recipe, each with its options; and all systems by name.

A new system is one entry. Beside its task, its module says::

    HISTORY = Setup(
        History(dim=8, lags=8),                       # a dataclass; its fields are options, these are their defaults
        network=Network(afunc="tanh", tau=1.0, bias=False, diagonal=True, start=0.0, head_bias=False, num_neurons=128),
        teaching=Horizons(),                          # a dataclass with build(task); its fields are options too
        recipe=Recipe(epochs=200, optimizer="adam", lr=1e-3, clip=1.0, batch_size=64, weight_cost=0.0),
        taught=("horizon",),                          # fields that the stages set, which are no options
    )

    @dataclass(frozen=True)
    class Horizons:
        horizons: tuple[int, ...] = option((10, 20, 40, 60, 100), "steps that are asked, stage by stage")

        def build(self, task: Task) -> Curriculum:
            return Curriculum(ladder("horizon", self.horizons), Criterion("accuracy", goes_on=True))

and `SETUPS` names it: ``"history": "tauscope.runs.setups.history:HISTORY"``. Flags, ``config.json``, the folder's name, resume,
status, sweeps, analyses and the report follow from those. The help of an option is that of its field, or what the class says
of it under ``Attributes``. A task of a user's own, ``--task module:Class``, is a system with the defaults of `Setup`.

Where a published code has options of its own for the task or the recipe, dataclasses with ``build()`` stand for them. A part
that depends on an option of another one has a field of the same name, made by `shared`; what a part makes of an option when
it is made, such as the name that a code stands for, is the option's value. Published folder names are a function of all options.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tauscope.errors import InputError
from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.recipe import Recipe
from tauscope.models.names import ACTIVATION_NAMES, CELLS, FORMS, RANK, RESETS, RESIDUAL_ACTIVATIONS, TAU_MAPS
from tauscope.runs.config.base import OWN_CLASS, OWN_NAME, check_options, has_default, option, values
from tauscope.runs.config.own import refusing
from tauscope.runs.config.recipes import RecipeOptions
from tauscope.tasks import Environment, Stage, Task
from tauscope.tasks.base import OUT

if TYPE_CHECKING:
    import torch

    from tauscope.models import Cell, Model
    from tauscope.tasks import Head

SETUPS: dict[str, str] = {
    **dict.fromkeys(("parity", "dms"), "tauscope.runs.setups.binary:BINARY"),
    **dict.fromkeys(("de1", "de2", "cd", "cd2", "gde", "2afc", "sine", "comp"), "tauscope.runs.setups.memory:MEMORY"),
    "tracking": "tauscope.runs.setups.tracking:TRACKING",
    "history": "tauscope.runs.setups.history:HISTORY",
    "text": "tauscope.runs.setups.text:TEXT",
    "functional": "tauscope.runs.setups.functional:FUNCTIONAL",
    "filter": "tauscope.runs.setups.functional:FILTER",
    "path-integration": "tauscope.runs.setups.navigation:PATH_INTEGRATION",
    "head-direction": "tauscope.runs.setups.navigation:HEAD_DIRECTION",
    "copy": "tauscope.runs.setups.cues:COPY",
    "cue": "tauscope.runs.setups.cues:CUE",
    "cue-game": "tauscope.runs.setups.cues:CUE_GAME",
    "gymnasium": "tauscope.runs.setups.cues:GYMNASIUM",
    "series": "tauscope.runs.setups.series:SERIES",
    "digits": "tauscope.runs.setups.series:DIGITS",
    "cloning": "tauscope.runs.setups.cloning:CLONING",
}
"""Where the setup of a task lies, as ``module:NAME``, by the task's name; imported when the task is asked for."""

WHOLE = "task"
"""Name of the only stage of a task that is asked as it is: its network is the checkpoint ``rnn_task``."""

DEFAULT = "default"
"""The curriculum of a setup itself."""

COMMON = ("task", "network_number", "seed", "cell", "num_neurons", "curriculum_type")
"""Options that every run has, in the order in which they come first in ``config.json``."""

AS_PUBLISHED = ("curriculum", "task", "network", "training")
"""Order of the parts of a setup whose runs version 0.1 knew."""


class Options(Protocol):
    """Options of a task that are not its fields, or of a recipe: a dataclass."""

    def build(self) -> Any:
        """Return the task as a whole, or the recipe but for its seed."""


class Builder(Protocol):
    """Options of a network: a dataclass with, among others, ``cell`` and ``num_neurons``."""

    @property
    def cell(self) -> str:
        """What the layer is made of."""

    @property
    def num_neurons(self) -> int:
        """Number of units."""

    def build(self, task: Task, heads: Mapping[str, Head], generator: torch.Generator) -> Model:
        """Return the network for a task, with these heads and fresh weights from the generator."""


class Teaching(Protocol):
    """Options of a curriculum: a dataclass."""

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start, for a task with all its options."""


_LEAKY = ("leaky",)
_RESIDUAL = ("residual",)
_LIF = ("lif",)
_WITH_MAPS = ("leaky", "residual", "ssm")


def tau_map_option(cells: Sequence[str]) -> Any:
    """Return the option that says how trained timescales are parametrised, of these cells."""
    return option("inverse", "how trained timescales are parametrised", choices=TAU_MAPS, group="network", cells=cells,
                  added=True)  # fmt: skip


def settle_tau_map(options: Any) -> None:
    """Give a map one name, and refuse one of timescales that are not trained."""
    if options.tau_map == "clamp":
        object.__setattr__(options, "tau_map", "inverse")
    if options.tau_map != "inverse" and options.tau is not None and options.cell == "leaky":
        raise InputError(
            f"tau_map is {options.tau_map} with tau {options.tau:g}: expected no tau, which fixes the timescales"
        )


@dataclass(frozen=True)
class Network:
    """One layer of any cell, and a linear read-out for every head.

    Attributes
    ----------
    cell : str
        A key of `tauscope.models.CELLS`, or a user's own as ``module:Class``.
    num_neurons : int
        Number of units.
    form, afunc, tau, bias, diagonal, sigma, start
        As in `tauscope.models.LeakyCell`; no other cell has them.
    rank : int
        As in `tauscope.models.CPCell`; no other cell has it.
    tau_map : str
        As in `tauscope.models.TauMap`; of leaky, residual and state-space cells alone.
    mixed_decay, published_start : bool
        As in `tauscope.models.ResidualCell`; no other cell has them. ``afunc`` is the residual cell's too.
    mean_tau, tau_shape, clusters, slope, reset
        As in `tauscope.models.LIFCell`; no other cell has them.
    head_bias : bool
        Whether read-outs have biases.

    Examples
    --------
    >>> import torch
    >>> from tauscope.tasks import Tracking
    >>> task = Tracking(n_signals=2)
    >>> Network(num_neurons=5).build(task, task.heads, torch.Generator().manual_seed(0)).n_inputs
    2
    """

    cell: str = option("leaky", f"{', '.join(CELLS)}, or a cell of your own as module:Class",
                       choices=(*CELLS, OWN_CLASS), group="network")  # fmt: skip
    num_neurons: int = option(100, "units", "nn", group="network", at_least=1)
    form: str = option("default", "where the nonlinearity of leaky units stands", "m", FORMS, "network",
                       cells=_LEAKY)  # fmt: skip
    afunc: str = option("leakyrelu", "nonlinearity of leaky and residual units", "a", ACTIVATION_NAMES, "network",
                        cells=(*_LEAKY, *_RESIDUAL))  # fmt: skip
    tau: float | None = option(None, "fix the timescales of leaky units at this value (>= 1); by default they are trained",
                               "T", group="network", at_least=1.0, cells=_LEAKY)  # fmt: skip
    bias: bool = option(True, "biases of leaky units", group="network", cells=_LEAKY)
    diagonal: bool = option(False, "let leaky units receive from themselves", group="network", cells=_LEAKY)
    sigma: float = option(0.0, "standard deviation of the private noise of leaky units", group="network",
                         at_least=0.0, cells=_LEAKY)  # fmt: skip
    start: float = option(0.1, "leaky units start between 0 and this", group="network", at_least=0.0, cells=_LEAKY)
    rank: int = option(RANK, "terms that multiply state and input (cp)", group="network", at_least=0, cells=("cp",))
    tau_map: str = tau_map_option(_WITH_MAPS)
    mixed_decay: bool = option(False, "let residual units decay in another basis, which is trained", group="network",
                         cells=_RESIDUAL, added=True)  # fmt: skip
    published_start: bool = option(False, "start residual units as published, whatever the map", group="network",
                             cells=_RESIDUAL, added=True)  # fmt: skip
    mean_tau: float = option(4.0, "mean timescale of spiking units, in steps, which is not trained", group="network",
                             cells=_LIF, added=True)  # fmt: skip
    tau_shape: float = option(1.5, "shape of the gamma distribution of the timescales of spiking units; 0 for one timescale",
                              group="network", at_least=0.0, cells=_LIF, added=True)  # fmt: skip
    clusters: int = option(1, "groups of spiking units with distributions of their own", group="network", at_least=1,
                           cells=_LIF, added=True)  # fmt: skip
    slope: float = option(5.0, "slope k of the surrogate derivative of spikes", group="network", cells=_LIF, added=True)
    reset: str = option("subtract", "what a spike does to the membrane", choices=RESETS, group="network", cells=_LIF,
                        added=True)  # fmt: skip
    head_bias: bool = option(True, "biases of the read-outs", group="network")

    def __post_init__(self) -> None:
        check_options(self)
        settle_tau_map(self)
        if self.cell in _RESIDUAL and self.afunc not in RESIDUAL_ACTIVATIONS:
            known = ", ".join(RESIDUAL_ACTIVATIONS)
            raise InputError(
                f"afunc is {self.afunc} with cell {self.cell!r}: expected one of {known}, such as afunc tanh"
            )

    def build(self, task: Task, heads: Mapping[str, Head], generator: torch.Generator) -> Model:
        """Return the network for a task, with fresh weights."""
        from tauscope.models import Heads, Model

        of_cell = [known.name for known in fields(self) if self.cell in (known.metadata.get("cells") or ())]
        cell = cell_of(self.cell, task.n_inputs, self.num_neurons, generator, **values(self, *of_cell))
        return Model([cell], Heads(self.num_neurons, tuple(heads), outputs(heads), False, generator, self.head_bias))


def cell_of(name: str, n_inputs: int, n_units: int, generator: torch.Generator, **options: Any) -> Cell:
    """Return a cell with fresh weights.

    Parameters
    ----------
    name : str
        A key of `tauscope.models.CELLS`, or a user's own as ``module:Class``.
    n_inputs, n_units, generator, **options
        What it is made of.

    Raises
    ------
    InputError
        If there is no such cell, or it cannot be made of these.
    """
    from tauscope.models import LeakyCell, cell_maker

    maker: Any = functools.partial(LeakyCell, **options) if name == "leaky" else cell_maker(name, **options)
    try:
        made: Cell = maker(n_inputs, n_units, generator)
    except TypeError as error:
        raise InputError(f"cell {name!r} cannot be made of (n_inputs, n_units, generator): {error}") from error
    return made


def outputs(heads: Mapping[str, Head]) -> int:
    """Return how many outputs each head has."""
    return next(iter(heads.values())).n_outputs


@dataclass(frozen=True)
class AsItIs:
    """One stage that asks the task as it is, for all epochs, each of which keeps the network.

    Examples
    --------
    >>> from tauscope.tasks import Tracking
    >>> [stage.name for stage in AsItIs().build(Tracking()).stages]
    ['task']
    """

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start."""
        # Environments have a single head; how many outputs it has is known when their packages are imported.
        heads = (OUT,) if isinstance(task, Environment) else tuple(task.heads)
        return Curriculum([Stage(WHOLE, {}, heads)], Criterion(task.metric, goes_on=True))


@dataclass(frozen=True)
class Setup:
    """A system: what is learnt, by which network, in which order, how.

    Attributes
    ----------
    task : Task or Options
        With its defaults; where it is a dataclass, its fields are options.
    network : Builder
        Options of the network, with their defaults; see `Network`.
    teaching : Teaching
        Options of the curriculum, with their defaults; by default the task is asked as it is.
    recipe : Recipe or Options
        How the network is trained by default.
    taught : tuple of str
        Fields of the task that stages set, which are no options.
    schedule : str
        How the learning rate changes by default, where the recipe does not say: a key of `SCHEDULES`.
    names : callable, optional
        From all options to the parts of a folder's name that stand before the network's number; by default the task, and
        the options that are not the defaults.
    facts : callable, optional
        From all options to what the network, the task and the curriculum are in words, by what they are.
    extends : tuple of str
        Options that say how far a run goes: they can change when it is resumed.
    keep_every : int, optional
        Epochs between networks that are kept to follow the course of training; none is kept if not given.
    measured : dict
        Values of options with which a network is measured, where it is trained with others.
    counts_N : bool
        Whether its stages ask memory demands N, by which checkpoints are told.
    order : tuple of str
        Keys of the parts, in the order in which their options are listed.

    Examples
    --------
    >>> from tauscope.tasks import Tracking
    >>> Setup(Tracking()).parts["training"].build().optimizer
    'adam'
    """

    task: Task | Options
    network: Builder = field(default_factory=Network)
    teaching: Teaching = field(default_factory=AsItIs)
    recipe: Recipe | Options = field(
        default_factory=lambda: Recipe(epochs=50, steps_per_epoch=200, batch_size=64, test_steps=10, optimizer="adam", lr=1e-3)
    )  # fmt: skip
    taught: tuple[str, ...] = ()
    schedule: str = "none"
    names: Callable[[Any], Sequence[str]] | None = None
    facts: Callable[[Any], list[tuple[str, str]]] | None = None
    extends: tuple[str, ...] = ("epochs",)
    keep_every: int | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    counts_N: bool = False
    order: tuple[str, ...] = ("training", "task", "network", "curriculum")

    @property
    def parts(self) -> dict[str, Any]:
        """What has options, by what it is."""
        recipe = RecipeOptions.of(self.recipe, self.schedule) if isinstance(self.recipe, Recipe) else self.recipe
        parts = {"task": self.task, "network": self.network, "curriculum": self.teaching, "training": recipe}
        return {name: parts[name] for name in self.order}


def setup_of_class(name: str, found: object) -> Setup:
    """Return the system of a task of a user's own, with its own defaults.

    Parameters
    ----------
    name : str
        Its ``module:Class``, for errors.
    found : object
        What that names.

    Raises
    ------
    InputError
        If it is no task that can be made without arguments.
    """
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise InputError(f"task {name!r} is not a task: expected a subclass of tauscope.tasks.Task")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise InputError(
            f"task {name!r} has no {missing}: expected a subclass of tauscope.tasks.Task that defines them"
        )
    if is_dataclass(found):
        for known in fields(found):
            if known.init and not has_default(known):
                raise InputError(f"task {name!r}: its field {known.name} has no default: expected one for each")
    with refusing(f"task {name!r} cannot be made without arguments"):
        return Setup(found())


def curriculum_from(name: str, found: object, task: Task) -> Curriculum:
    """Return a curriculum of a user's own at its start.

    Parameters
    ----------
    name : str
        Its ``module:Name``, for errors.
    found : object
        What that names: stages, a `Curriculum` that is left alone, or a function of the task that returns either.
    task : Task
        With all its options.

    Raises
    ------
    InputError
        If it is none of these.
    """
    with refusing(f"curriculum {name!r}"):
        teaching: Any = found() if isinstance(found, type) and hasattr(found, "build") else found
        made = teaching.build(task) if hasattr(teaching, "build") else found(task) if callable(found) else found
    if isinstance(made, Curriculum):
        twin = copy.deepcopy(made)
        twin.position, twin.epoch, twin.finished = 0, 0, False
        return twin
    if isinstance(made, Sequence) and made and all(isinstance(stage, Stage) for stage in made):
        return Curriculum(made, Criterion(task.metric))
    raise InputError(
        f"curriculum {name!r} is a {type(made).__name__}: expected stages, a Curriculum, or a function of the task that "
        "returns either"
    )


def curriculum_option(choices: Sequence[str] = (DEFAULT,), added: bool = False) -> Any:
    """Return the option that names a curriculum: the setup's own, or one of a user's own."""
    help_text = "order in which N is taught" if len(choices) > 1 else "the task's own"
    return option(choices[0], f"{help_text}, or a curriculum of your own as module:Name", "c -curriculum",
                  (*choices, OWN_NAME), added=added)  # fmt: skip
