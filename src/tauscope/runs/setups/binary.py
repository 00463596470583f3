"""N-parity and N-DMS of Khajehabdollahi et al. (2024): leaky networks, taught one N after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tauscope.errors import InputError, require_at_most
from tauscope.learning.curricula import CURRICULUM_NAMES, Curriculum, cumulative, once, single, sliding
from tauscope.learning.recipe import OPTIMIZERS, Recipe
from tauscope.models.names import ACTIVATION_NAMES, CELLS, FORMS, PRECISIONS, RANK
from tauscope.runs.config.base import OWN_CLASS, option, shared, values
from tauscope.runs.config.composed import own_curriculum
from tauscope.runs.config.kinds import kind_of
from tauscope.runs.config.recipes import recipe_with
from tauscope.runs.config.setup import (
    AS_PUBLISHED,
    Setup,
    cell_of,
    curriculum_option,
    outputs,
    settle_tau_map,
    tau_map_option,
)
from tauscope.tasks import OUT, TASKS, BinaryMemoryTask, Task

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model
    from tauscope.tasks import Head

N_HEADS = 100
"""Heads of a network unless more are asked for, as published: N = 2 … 101."""

LARGEST_N, MOST_LAYERS = 10_000, 1000
"""Largest N of a curriculum, of which each has a head, and number of layers: what is larger is no network but a slip."""

GATED = ("gru", "lstm")
"""Cells whose defaults are those of the published protocol for the LSTM."""

LR = {"sgd": 0.05, "adam": 0.001}
"""Learning rates of the optimisers, unless another is given."""


@dataclass(frozen=True)
class Bits:
    """Options of the task."""

    task: str = option("parity", "what must be remembered", "t", tuple(TASKS))
    p: float | None = option(None, "probability of a 1; by default 0.5 for dms, gru and lstm, else U(0, 1) a sequence")
    plus_minus: bool | None = option(None, "code bits as -1 and +1; by default so for gru and lstm alone")
    labels: str = option("last", "ask at the last step, or at every one", choices=("last", "every"))
    cell: str = shared("leaky")

    def build(self) -> BinaryMemoryTask:
        """Return the task, of which the stages of the curriculum ask Ns."""
        gated = self.cell in GATED
        p = 0.5 if self.p is None and gated else self.p
        return TASKS[self.task](
            p=p, plus_minus=gated if self.plus_minus is None else self.plus_minus, labels=self.labels
        )


@dataclass(frozen=True)
class Demands:
    """Options of the curriculum."""

    curriculum_type: str = curriculum_option(tuple(CURRICULUM_NAMES))
    ns_init: int = option(2, "N at the start", "ni")
    init_heads: int = option(1, "number of Ns at the start", "ih")
    add_heads: int = option(1, "number of Ns added when all are solved (cumulative)", "dh")
    forget_heads: int = option(1, "number of Ns dropped, and added, when all are solved (sliding)", "fh")
    max_N: int = option(101, "largest N; the run ends when it is solved")

    def __post_init__(self) -> None:
        require_at_most("max_N", self.max_N, LARGEST_N)

    def build(self, task: Task) -> Curriculum:
        """Return the curriculum at its start."""
        del task
        first, last, start = self.ns_init, self.max_N, self.init_heads
        stages = {
            "cumulative": lambda: cumulative(first, last, start, self.add_heads),
            "sliding": lambda: sliding(first, last, start, self.forget_heads),
            "single": lambda: single(first, last),
            "single_nocurr": lambda: once(first),
        }
        return Curriculum(stages[self.curriculum_type]())


@dataclass(frozen=True)
class Layers:
    """Options of the network; a single head answers whatever is asked, or there is one for every N."""

    model_type: str = option("default", "where the nonlinearity stands", "m", FORMS, "network", cells=("leaky",))
    afunc: str = option("leakyrelu", "nonlinearity", "a", ACTIVATION_NAMES, "network", cells=("leaky",))
    num_neurons: int = option(500, "units of every layer", "nn", group="network", at_least=1)
    num_layers: int = option(1, "number of layers", group="network", at_least=1)
    tau: float | None = option(None, "fix every timescale at this value (>= 1); by default they are trained", "T",
                                group="network", at_least=1.0, cells=("leaky",))  # fmt: skip
    cell: str = option("leaky", f"{', '.join(CELLS)}, or a cell of your own as module:Class", choices=(*CELLS, OWN_CLASS),
                       group="network")  # fmt: skip
    rank: int | None = option(None, f"terms that multiply state and input (cp); by default {RANK}", group="network",
                              at_least=0, cells=("cp",), added=True)  # fmt: skip
    tau_map: str = tau_map_option(("leaky", "residual", "ssm"))
    duplicates: tuple[int, ...] | None = option(
        None, "continuous time: numbers of steps that a bit lasts, e.g. 7,8,9,10", "dup", group="network"
    )
    precision: str = option("fp32", "of the matrix products (leaky cells)", choices=PRECISIONS, group="network",
                            cells=("leaky",))  # fmt: skip
    max_N: int = shared(101)

    def __post_init__(self) -> None:
        require_at_most("num_layers", self.num_layers, MOST_LAYERS)
        settle_tau_map(self)
        if (self.duplicates is not None) != (self.model_type == "continuous"):
            raise InputError(
                f"model_type {self.model_type!r} with duplicates {self.duplicates}: expected model_type 'continuous' "
                "with duplicates such as 7,8,9,10, or neither"
            )

    @property
    def n_heads(self) -> int:
        """Number of heads, for N = 2, 3, ….

        Examples
        --------
        >>> Layers(max_N=150).n_heads
        149
        """
        return max(N_HEADS, self.max_N - 1)

    def build(self, task: Task, heads: Mapping[str, Head], generator: torch.Generator) -> Model:
        """Return the network with fresh weights."""
        from tauscope.models import Heads, LeakyRNN, Model
        from tauscope.models.readout import numbered

        sizes, names, shared_head = [self.num_neurons] * self.num_layers, numbered(self.n_heads), tuple(heads) == (OUT,)
        if not (shared_head or set(heads) <= set(names)):
            names = tuple(heads)  # those of a curriculum of a user's own
        if self.cell != "leaky":
            below = zip((task.n_inputs, *sizes), sizes, strict=False)
            further: dict[str, Any] = {} if self.rank is None else {"rank": self.rank}
            further |= {"tau_map": self.tau_map} if self.cell in ("residual", "ssm") else {}
            cells = [cell_of(self.cell, n_inputs, size, generator, **further) for n_inputs, size in below]
            return Model(cells, Heads(self.num_neurons, names, outputs(heads), shared_head, generator))
        shape: dict[str, Any] = {"n_inputs": task.n_inputs, "n_outputs": outputs(heads), "n_heads": len(names)}
        of_cell = {"form": self.model_type, **values(self, "afunc", "tau", "precision", "tau_map")}
        made = LeakyRNN(sizes, generator=generator, shared_head=shared_head, **shape, **of_cell)
        made.heads.names = names
        return made


@dataclass(frozen=True)
class Protocol:
    """Options of the recipe; those left at ``None`` take the published default of their cell."""

    epochs: int | None = option(None, "epochs at most (1000; 100 for gru and lstm)", group="training")
    steps_per_epoch: int | None = option(None, "optimiser steps an epoch (600; 300 for gru and lstm)", group="training")
    batch_size: int | None = option(None, "sequences a step (256; 64 for gru and lstm)", group="training")
    test_steps: int = option(50, "batches of fresh sequences that test an epoch", group="training")
    optimizer: str | None = option(None, "sgd; adam for gru and lstm", choices=OPTIMIZERS, group="training")
    lr: float | None = option(None, "learning rate (0.05 for sgd, 0.001 for adam)", group="training")
    momentum: float = option(0.1, "Nesterov momentum of sgd", group="training")
    clip: float = option(2.0, "largest global gradient norm", group="training")
    cell: str = shared("leaky")
    duplicates: tuple[int, ...] | None = shared(None)

    def build(self) -> Recipe:
        """Return how the network is trained, with the defaults of its cell filled in."""
        gated = Recipe(epochs=100, steps_per_epoch=300, batch_size=64, optimizer="adam")
        recipe = recipe_with(self, gated if self.cell in GATED else Recipe())
        return replace(recipe, lr=LR[recipe.optimizer]) if self.lr is None else recipe


def _names(options: Any) -> list[str]:
    """Return ``{curriculum}_{task}[_affixes]``, as published."""
    kind = options.curriculum_type
    if kind == "sliding":
        kind = f"sliding_{max(options.init_heads, options.forget_heads)}_{options.forget_heads}"
    affixes = [f"size_{options.num_neurons}"] if options.num_neurons != 500 else []
    affixes += [f"layers_{options.num_layers}"] if options.num_layers != 1 else []
    affixes += [f"duplicates{list(options.duplicates)}"] if options.duplicates is not None else []
    affixes += [f"mod_{options.afunc}"] if options.model_type != "default" else []
    affixes += [options.afunc] if options.model_type == "default" and options.afunc != "leakyrelu" else []
    affixes += [f"T_{float(options.tau)}"] if options.tau is not None else []
    affixes += [options.cell.rpartition(":")[2]] if options.cell != "leaky" else []
    affixes += [f"rank_{options.rank}"] if options.rank is not None else []
    affixes += [f"tau_map_{options.tau_map}"] if options.tau_map != "inverse" else []
    return [*(own_curriculum(options) or [kind]), options.task, *affixes]


def _facts(options: Any) -> list[tuple[str, str]]:
    """Return network, timescales, task and curriculum in words."""
    layers = f" in each of {options.num_layers} layers" if options.num_layers > 1 else ""
    kind = f"leaky, form {options.model_type}, {options.afunc}" if options.cell == "leaky" else options.cell
    trained = "trained" if options.tau_map == "inverse" else f"trained by the map {options.tau_map}"
    timescales = [("Timescales τ", trained if options.tau is None else f"fixed at {options.tau:g} steps")]
    return [
        ("Network", f"{options.num_neurons} unit{'s' * (options.num_neurons > 1)}{layers} ({kind})"),
        *(timescales if options.cell == "leaky" else []),
        ("Task", options.template().question),
        ("Curriculum", CURRICULUM_NAMES.get(options.curriculum_type, options.curriculum_type)),
    ]


BINARY = Setup(
    Bits(),
    network=Layers(),
    teaching=Demands(),
    recipe=Protocol(),
    names=_names,
    facts=_facts,
    extends=("epochs", "max_N"),
    measured={"precision": "fp32", "labels": "last"},
    counts_N=True,
    order=AS_PUBLISHED,
)

TrainConfig = kind_of("parity")
"""The options of a run on N-parity or N-DMS."""
