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
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tauscope.errors import InputError, nearest, require_at_least
from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.recipe import Recipe
from tauscope.learning.schedules import Plateau, Schedule, Steps
from tauscope.models.names import ACTIVATION_NAMES, CELLS, FORMS, RANK
from tauscope.runs.config.base import option
from tauscope.tasks import Stage, Task

if TYPE_CHECKING:
    import torch

    from tauscope.models import Cell, Model
    from tauscope.tasks import Head

SETUPS: dict[str, str] = {
    "history": "tauscope.runs.setups.history:HISTORY",
    "text": "tauscope.runs.setups.text:TEXT",
}
"""Where the setup of a task lies, as ``module:NAME``, by the task's name; imported when the task is asked for."""

SCHEDULES: dict[str, Callable[[int], Schedule | None]] = {
    "none": lambda _: None,
    "steps": lambda epochs: Steps({max(round(share * epochs), 1): 0.3 for share in (0.6, 0.85)}),
    "plateau": lambda _: Plateau(0.5, patience=2, threshold=0.01, min_lr=2e-5),
}
"""How the learning rate changes, by name, from the epochs of a run: not at all, to 30 % after 60 and after 85 % of them, or to a
half when 2 epochs were no better by 1 %."""

WHOLE = "task"
"""Name of the only stage of a task that is asked as it is: its network is the checkpoint ``rnn_task``."""


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

    cell: str = option("leaky", f"{', '.join(CELLS)}, or a cell of your own as module:Class", group="network")
    num_neurons: int = option(100, "units", "nn", group="network")
    form: str = option("default", "where the nonlinearity of leaky units stands", "m", FORMS, "network")
    afunc: str = option("leakyrelu", "nonlinearity of leaky units", "a", ACTIVATION_NAMES, "network")
    tau: float | None = option(None, "fix the timescales of leaky units at this value (>= 1); by default they are trained",
                               "T", group="network")  # fmt: skip
    bias: bool = option(True, "biases of leaky units", group="network")
    diagonal: bool = option(False, "let leaky units receive from themselves", group="network")
    sigma: float = option(0.0, "standard deviation of the private noise of leaky units", group="network")
    start: float = option(0.1, "leaky units start between 0 and this", group="network")
    rank: int = option(RANK, "terms that multiply state and input (cp)", group="network")
    head_bias: bool = option(True, "biases of the read-outs", group="network")

    def __post_init__(self) -> None:
        require_at_least("num_neurons", self.num_neurons, 1)
        if self.cell not in CELLS and ":" not in self.cell:
            raise InputError(f"cell {self.cell!r} is unknown: {nearest(self.cell, [*CELLS, 'module:Class'])}")
        require_rank(self.cell, self.rank, RANK)
        for name, least in (("tau", 1.0), ("sigma", 0.0), ("start", 0.0)):
            if getattr(self, name) is not None:
                require_at_least(name, getattr(self, name), least)

    def build(self, task: Task, heads: Mapping[str, Head], generator: torch.Generator) -> Model:
        """Return the network for a task, with fresh weights."""
        from tauscope.models import Heads, Model

        n_outputs = sorted({head.n_outputs for head in heads.values()})
        if len(n_outputs) != 1:
            raise InputError(f"the heads {', '.join(heads)} have {n_outputs} outputs: expected equally many")
        cell = self._cell(task.n_inputs, generator)
        return Model([cell], Heads(self.num_neurons, tuple(heads), n_outputs[0], False, generator, self.head_bias))

    def _cell(self, n_inputs: int, generator: torch.Generator) -> Cell:
        from tauscope.models import LeakyCell, cell_maker

        if self.cell == "leaky":
            names = ("form", "afunc", "tau", "bias", "diagonal", "sigma", "start")
            return LeakyCell(n_inputs, self.num_neurons, generator, **{name: getattr(self, name) for name in names})
        maker = cell_maker(self.cell, self.rank)
        try:
            made: Cell = maker(n_inputs, self.num_neurons, generator)
        except TypeError as error:
            raise InputError(f"cell {self.cell!r} cannot be made of (n_inputs, n_units, generator): {error}") from error
        return made


def require_rank(cell: str, rank: int | None, default: int | None) -> None:
    """Refuse a rank that is below 0, or that is not the default of a cell which has none.

    Raises
    ------
    InputError
        If it is one of these.

    Examples
    --------
    >>> require_rank("cp", 4, 16)
    """
    if rank is not None:
        require_at_least("rank", rank, 0)
    if rank != default and cell != "cp":
        raise InputError(f"rank is {rank}, an option of cell 'cp': expected {default} with cell {cell!r}")


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
        return Curriculum([Stage(WHOLE, {}, tuple(task.heads))], Criterion(task.metric, goes_on=True))


@dataclass(frozen=True)
class Setup:
    """A system: what is learnt, by which network, in which order, how.

    Attributes
    ----------
    task : Task
        With its defaults; where it is a dataclass, its fields are options.
    network : Builder
        Options of the network, with their defaults; see `Network`.
    teaching : Teaching
        Options of the curriculum, with their defaults; by default the task is asked as it is.
    recipe : Recipe
        How the network is trained by default.
    taught : tuple of str
        Fields of the task that stages set, which are no options.
    schedule : str
        How the learning rate changes by default, where the recipe does not say: a key of `SCHEDULES`.
    """

    task: Task
    network: Builder = field(default_factory=Network)
    teaching: Teaching = field(default_factory=AsItIs)
    recipe: Recipe = field(
        default_factory=lambda: Recipe(epochs=50, steps_per_epoch=200, batch_size=64, test_steps=10, optimizer="adam", lr=1e-3)
    )  # fmt: skip
    taught: tuple[str, ...] = ()
    schedule: str = "none"


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
        for one in fields(found):
            if one.init and not has_default(one):
                raise InputError(f"task {name!r}: its field {one.name} has no default: expected one for each")
    try:
        return Setup(found())
    except (TypeError, ValueError) as error:
        raise InputError(f"task {name!r} cannot be made without arguments: {error}") from error


def has_default(one: Field[Any]) -> bool:
    """Return whether a field of a dataclass has a default."""
    return one.default is not MISSING or one.default_factory is not MISSING


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
    made: Any = found.build(task) if hasattr(found, "build") else found(task) if callable(found) else found
    if isinstance(made, Curriculum):
        return Curriculum(made.stages, made.criterion)
    if isinstance(made, Sequence) and made and all(isinstance(one, Stage) for one in made):
        return Curriculum(made, Criterion(task.metric))
    raise InputError(
        f"curriculum {name!r} is a {type(made).__name__}: expected stages, a Curriculum, or a function of the task that "
        "returns either"
    )
