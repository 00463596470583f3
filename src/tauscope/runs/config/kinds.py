"""Which options the run of a task has: kinds of configurations, made of setups and found by the name of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, make_dataclass
from typing import Any, cast

from tauscope._named import imported
from tauscope.errors import InputError, nearest
from tauscope.learning.recipe import Recipe
from tauscope.models.names import ENGINES, GRADIENTS, STARTS
from tauscope.runs.config import own
from tauscope.runs.config.base import option, options_of
from tauscope.runs.config.composed import Config
from tauscope.runs.config.setup import COMMON, SETUPS, Setup, curriculum_option, setup_of_class
from tauscope.tasks import PUBLISHED_CODES, Task

RESERVED = (
    "curriculum",
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


def config_of(options: Mapping[str, Any]) -> Config:
    """Return the configuration with these options, of the kind that its task has.

    Parameters
    ----------
    options : dict
        Options by name, as `Config.to_dict` gives them; without a ``task``, N-parity is meant.

    Raises
    ------
    InputError
        If the task or an option is unknown or invalid, or names code that `allow` was not told of.

    Examples
    --------
    >>> config_of({"task": "dms"}).name, config_of({"task": "2afc", "sigma_val": 0.01}).name
    ('cumulative_dms_network_1', 'basic_2afc_lambda_0.98_sigma_0.01_network_1')
    """
    task = options.get("task", "parity")
    kind = kind_of(task)
    for name in options:
        others = (
            [] if name in kind.__dataclass_fields__ else [known for known in task_names() if name in fields_of(known)]
        )
        if others:
            tasks = "task" if len(others) == 1 else "the tasks"
            raise InputError(f"{name} is an option of {tasks} {', '.join(others)}: expected none for task {task!r}")
    return kind.from_dict({"task": task, **options})


def fields_of(task: str) -> dict[str, Field[Any]]:
    """Return the options of a task of the package, by name."""
    return kind_of(task).__dataclass_fields__


def task_names() -> list[str]:
    """Return the names of all tasks; of those of other packages, what stands before their names.

    Examples
    --------
    >>> task_names()[-1]
    'neurogym:'
    """
    return [*SETUPS, *(f"{package}:" for package in own.PACKAGES)]


_KINDS: dict[str, type[Config]] = {}


def kind_of(task: object) -> type[Config]:
    """Return the kind of run of a task: a dataclass whose fields are its options.

    Parameters
    ----------
    task : str
        A key of `SETUPS` or a published code or spelling of one; ``neurogym:`` and the name of an environment; or
        ``module:Class`` of a task that the user named, see `own.allow`, which may be a `Setup` too.

    Raises
    ------
    InputError
        If there is no such task, the user did not name it, or it cannot be a run's task.

    Examples
    --------
    >>> kind_of("COMP") is kind_of("8") is kind_of("de1")
    True
    """
    name = str(task)
    if own.is_own(name):
        place, found = name, own.known(name, "task")
    elif (package := own.package_of(name)) is not None:
        name, place = package, own.PACKAGES[package]
        found = imported(place, "setup")
    else:
        name = _known(name)
        place = SETUPS[name]
        found = imported(place, "setup")
        name = next(known for known in SETUPS if SETUPS[known] == place)
    if place not in _KINDS:
        _KINDS[place] = kind_of_setup(name, found if isinstance(found, Setup) else setup_of_class(name, found))
    return _KINDS[place]


def _known(task: str) -> str:
    """Return the key of `SETUPS` that is meant by a task's name or published code."""
    if task in SETUPS:
        return task
    name = task.strip().lower().replace("-", "")
    name = {str(code): known for code, known in PUBLISHED_CODES.items()}.get(name, name)
    if name.isdecimal():
        codes = ", ".join(f"{code} ({known})" for code, known in PUBLISHED_CODES.items())
        raise InputError(f"task {task!r} is unknown: expected {codes}")
    if name not in SETUPS:
        raise InputError(f"task {task!r} is unknown: {nearest(name, task_names())}")
    return name


def kind_of_setup(task: str, setup: Setup) -> type[Config]:
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
    found: dict[str, tuple[Any, Any]] = {
        "task": (str, option(task, "what must be remembered, or a task of your own as module:Class", "t", (task,))),
        "curriculum_type": (str, curriculum_option()),
        "network_number": (int, option(1, "number of the network, the last part of its folder's name", "n", at_least=0)),
        "engine": (str, _engine_option(setup)),
        "gradient": (str, option("bptt", "how the gradient through time is found: by backpropagation (bptt), online and exact for element-wise cells "
                                 "(rtrl), or of the last step alone (immediate)", choices=GRADIENTS, group="training", added=True)),
        "every": (int | None, option(None, "steps of a segment of a trial, after which the weights are updated; by default a trial (bptt), or 1",
                                     group="training", at_least=1, added=True)),
        "recurrent_rank": (int | None, option(None, "rank of the recurrent weights before their mask, which are then a product of two factors; by default "
                                              "they are one matrix", group="network", at_least=1, added=True)),
        "sparsity": (float, option(0.0, "share of the recurrent weights that is 0 and stays so: 0 … 1", group="network", at_least=0.0, added=True)),
        "recurrent_start": (str, option("own", "matrix from which recurrent weights begin: the cell's own, with entries N(0, 1/units) (glorot), or orthogonal; "
                                        "of low rank, the nearest to it", choices=STARTS, group="network", added=True)),
        "recurrent_rescale": (bool, option(False, "scale the recurrent weights at the start to the spectral radius of the full matrix", group="network",
                                           added=True)),
        "seed": (int | None, option(None, "root of all random numbers; by default a random one", "s", at_least=0)),
    }  # fmt: skip
    made = {name: options_of(part, setup.taught if name == "task" else (), name) for name, part in setup.parts.items()}
    _require_names_of_their_own(task, setup, made)
    found |= {name: made_option for options in made.values() for name, made_option in options.items()}
    order = dict.fromkeys([*COMMON, *found])
    namespace = {"setup": setup, "__doc__": f"The options of a run of {task}.", "__module__": __name__}
    types = [(name, *found[name]) for name in order]
    return cast(type[Config], make_dataclass("Config", types, bases=(Config,), frozen=True, namespace=namespace))


def _engine_option(setup: Setup) -> Any:
    """Return the option that says how the gradient through time is found."""
    default = setup.recipe.engine if isinstance(setup.recipe, Recipe) else "loop"
    help_text = "how the gradient through time is found: the same numbers, faster for small networks and long sequences"
    return option(default, help_text, choices=ENGINES, group="training", added=True)


def _require_names_of_their_own(task: str, setup: Setup, made: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse an option that another part of a setup, every run or the command line has too, and a setup that lacks one."""
    taken = {*RESERVED, "task", "network_number", "seed", "curriculum_type", "engine", "gradient", "every"}
    taken |= {"recurrent_rank", "sparsity", "recurrent_start", "recurrent_rescale"}
    # A clash is the mistake of the part that users write most often.
    for name in ("training", "network", "curriculum", "task"):
        part = setup.parts[name]
        # Options of a task may name several tasks, those of a curriculum several curricula.
        free = () if isinstance(part, Task) else {"task": ("task",), "curriculum": ("curriculum_type",)}.get(name, ())
        clash = next((option for option in made[name] if option in taken and option not in free), None)
        if clash is not None:
            raise InputError(
                f"{type(part).__name__} has a field {clash}, which is another option of a run of {task}: expected another "
                "name"
            )
        taken.update(made[name])
    for needed in ("cell", "num_neurons", "epochs"):
        if needed not in taken:
            raise InputError(f"the setup of {task} has no option {needed}: expected cell, num_neurons and epochs")
