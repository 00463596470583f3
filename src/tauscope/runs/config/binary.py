"""A run on N-parity or N-DMS: its options, the published defaults, and the folder it is kept in."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tauscope.errors import InputError, nearest, require_at_least
from tauscope.learning.curricula import CURRICULUM_NAMES, Curriculum, cumulative, once, single, sliding
from tauscope.learning.recipe import OPTIMIZERS, Recipe, generators
from tauscope.models.names import ACTIVATION_NAMES, CELLS, FORMS, PRECISIONS, RANK
from tauscope.runs.config.base import Config, option
from tauscope.runs.config.setup import require_rank
from tauscope.tasks import TASKS, BinaryMemoryTask, Task

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model

N_HEADS = 100
"""Heads of a network unless more are asked for, as published: N = 2 … 101."""

LARGEST_N, MOST_LAYERS = 10_000, 1000
"""Largest N of a curriculum, of which each has a head, and number of layers: what is larger is no network but a slip."""

LEAKY_OPTIONS = ("model_type", "afunc", "tau", "precision")
"""Options that no other cell has."""


@dataclass(frozen=True)
class TrainConfig(Config):
    """The options that define a run; two runs with the same ones have the same numbers.

    Each field is a flag of ``tauscope train``; its help text is in the field's metadata. Options left at ``None``
    take the published default of their cell (`recipe`, `template`).

    Examples
    --------
    >>> TrainConfig(num_neurons=100, seed=0).name
    'cumulative_parity_size_100_network_1'
    """

    curriculum_type: str = option("cumulative", "order in which N is taught", "c", tuple(CURRICULUM_NAMES))
    task: str = option("parity", "what must be remembered", "t", tuple(TASKS))
    network_number: int = option(1, "number of the network, the last part of its folder's name", "n")
    seed: int | None = option(None, "root of all random numbers; by default a random one", "s")
    ns_init: int = option(2, "N at the start", "ni")
    init_heads: int = option(1, "number of Ns at the start", "ih")
    add_heads: int = option(1, "number of Ns added when all are solved (cumulative)", "dh")
    forget_heads: int = option(1, "number of Ns dropped, and added, when all are solved (sliding)", "fh")
    max_N: int = option(101, "largest N; the run ends when it is solved")
    p: float | None = option(None, "probability of a 1; by default 0.5 for dms, gru and lstm, else U(0, 1) a sequence")
    plus_minus: bool | None = option(None, "code bits as -1 and +1; by default so for gru and lstm alone")
    labels: str = option("last", "ask at the last step, or at every one", choices=("last", "every"))

    model_type: str = option("default", "where the nonlinearity stands", "m", FORMS, "network")
    afunc: str = option("leakyrelu", "nonlinearity", "a", ACTIVATION_NAMES, "network")
    num_neurons: int = option(500, "units of every layer", "nn", group="network")
    num_layers: int = option(1, "number of layers", group="network")
    tau: float | None = option(None, "fix every timescale at this value (>= 1); by default they are trained", "T",
                                group="network")  # fmt: skip
    cell: str = option("leaky", f"{', '.join(CELLS)}, or a cell of your own as module:Class", group="network")
    rank: int | None = option(None, f"terms that multiply state and input (cp); by default {RANK}", group="network")
    duplicates: tuple[int, ...] | None = option(
        None, "continuous time: numbers of steps that a bit lasts, e.g. 7,8,9,10", "dup", group="network"
    )
    precision: str = option("fp32", "of the matrix products (leaky cells)", choices=PRECISIONS, group="network")

    epochs: int | None = option(None, "epochs at most (1000; 100 for gru and lstm)", group="training")
    steps_per_epoch: int | None = option(None, "optimiser steps an epoch (600; 300 for gru and lstm)", group="training")
    batch_size: int | None = option(None, "sequences a step (256; 64 for gru and lstm)", group="training")
    test_steps: int = option(50, "batches of fresh sequences that test an epoch", group="training")
    optimizer: str | None = option(None, "sgd; adam for gru and lstm", choices=OPTIMIZERS, group="training")
    lr: float | None = option(None, "learning rate (0.05 for sgd, 0.001 for adam)", group="training")
    momentum: float = option(0.1, "Nesterov momentum of sgd", group="training")
    clip: float = option(2.0, "largest global gradient norm", group="training")

    def __post_init__(self) -> None:
        self._check_options()
        for name, minimum in (("network_number", 0), ("num_neurons", 1), ("num_layers", 1)):
            require_at_least(name, getattr(self, name), minimum)
        for name, most in (("max_N", LARGEST_N), ("num_layers", MOST_LAYERS)):
            if getattr(self, name) > most:
                raise InputError(
                    f"{name} is {getattr(self, name)}: expected at most {most} (nearest valid value: {most})"
                )
        if self.tau is not None:
            require_at_least("tau", self.tau, 1.0)
        if self.cell not in CELLS and ":" not in self.cell:
            raise InputError(f"cell {self.cell!r} is unknown: {nearest(self.cell, [*CELLS, 'module:Class'])}")
        require_rank(self.cell, self.rank, None)
        for one in fields(self):
            value = getattr(self, one.name)
            if self.cell != "leaky" and one.name in LEAKY_OPTIONS and value != one.default:
                raise InputError(
                    f"{one.name} is {value}, an option of the leaky cell: expected {one.default} with cell "
                    f"{self.cell!r}"
                )
        if (self.duplicates is not None) != (self.model_type == "continuous"):
            raise InputError(
                f"model_type {self.model_type!r} with duplicates {self.duplicates}: expected model_type 'continuous' "
                "with duplicates such as 7,8,9,10, or neither"
            )
        self.curriculum()
        self.template()
        self.recipe()

    @property
    def gated(self) -> bool:
        """Whether the published LSTM protocol gives the defaults."""
        return self.cell in ("gru", "lstm")

    @property
    def name(self) -> str:
        """Name of the run's folder: ``{curriculum}_{task}[_affixes]_network_{n}``, as published."""
        kind = self.curriculum_type
        if kind == "sliding":
            kind = f"sliding_{max(self.init_heads, self.forget_heads)}_{self.forget_heads}"
        affixes = [f"size_{self.num_neurons}"] if self.num_neurons != 500 else []
        affixes += [f"layers_{self.num_layers}"] if self.num_layers != 1 else []
        affixes += [f"duplicates{list(self.duplicates)}"] if self.duplicates is not None else []
        affixes += [f"mod_{self.afunc}"] if self.model_type != "default" else []
        affixes += [self.afunc] if self.model_type == "default" and self.afunc != "leakyrelu" else []
        affixes += [f"T_{float(self.tau)}"] if self.tau is not None else []
        affixes += [self.cell.rpartition(":")[2]] if self.cell != "leaky" else []
        affixes += [f"rank_{self.rank}"] if self.rank is not None else []
        return "_".join([kind, self.task, *affixes, f"network_{self.network_number}"])

    @property
    def n_heads(self) -> int:
        """Number of heads of the network."""
        return max(N_HEADS, self.max_N - 1)

    def curriculum(self) -> Curriculum:
        """Return the curriculum at its start."""
        first, last, start = self.ns_init, self.max_N, self.init_heads
        stages = {
            "cumulative": lambda: cumulative(first, last, start, self.add_heads),
            "sliding": lambda: sliding(first, last, start, self.forget_heads),
            "single": lambda: single(first, last),
            "single_nocurr": lambda: once(first),
        }
        return Curriculum(stages[self.curriculum_type]())

    def template(self) -> BinaryMemoryTask:
        """Return the task, of which the stages of the curriculum ask Ns."""
        plus_minus = self.gated if self.plus_minus is None else self.plus_minus
        p = 0.5 if self.p is None and self.gated else self.p
        return TASKS[self.task](p=p, plus_minus=plus_minus, labels=self.labels)

    def recipe(self) -> Recipe:
        """Return how the network is trained, with the defaults of its cell filled in."""
        published = Recipe()
        epochs, steps, batch, optimizer = (100, 300, 64, "adam") if self.gated else (
            published.epochs, published.steps_per_epoch, published.batch_size, published.optimizer)  # fmt: skip
        optimizer = self.optimizer or optimizer
        return Recipe(
            epochs=epochs if self.epochs is None else self.epochs,
            steps_per_epoch=steps if self.steps_per_epoch is None else self.steps_per_epoch,
            batch_size=batch if self.batch_size is None else self.batch_size,
            test_steps=self.test_steps,
            optimizer=optimizer,
            lr=(0.001 if optimizer == "adam" else 0.05) if self.lr is None else self.lr,
            momentum=self.momentum,
            clip=self.clip,
            duplicates=self.duplicates,
            seed=self.seed or 0,
        )

    def model(self, device: torch.device | str = "cpu") -> Model:
        """Return the network with its initial weights."""
        from tauscope.models import build_model

        return build_model(
            self.cell,
            [self.num_neurons] * self.num_layers,
            # Drawn on the CPU, so that a seed gives the same network on every device.
            generator=generators(self.seed or 0)["init"],
            n_heads=self.n_heads,
            shared_head=self.curriculum_type.startswith("single"),
            form=self.model_type,
            afunc=self.afunc,
            tau=self.tau,
            precision=self.precision,
            rank=RANK if self.rank is None else self.rank,
        ).to(device)

    def measured_model(self) -> Model:
        """Return a network of that kind on the CPU, in float32 also where it was trained in lower precision."""
        return replace(self, precision="fp32").model()

    def measured_task(self, stage: str | None = None) -> Task:
        """Return the task of a stage with the most steps a bit, asked at the last one."""
        return super().measured_task(stage).replace(labels="last", repeat=self.repeat)

    @property
    def repeat(self) -> int:
        """The largest k that a continuous-time network is trained at, 1 for any other."""
        return max(self.duplicates or (1,))

    def facts(self) -> list[tuple[str, str]]:
        """Return network, timescales, task and curriculum in words."""
        layers = f" in each of {self.num_layers} layers" if self.num_layers > 1 else ""
        kind = f"leaky, form {self.model_type}, {self.afunc}" if self.cell == "leaky" else self.cell
        timescales = [("Timescales τ", "trained" if self.tau is None else f"fixed at {self.tau:g} steps")]
        return [
            ("Network", f"{self.num_neurons} unit{'s' * (self.num_neurons > 1)}{layers} ({kind})"),
            *(timescales if self.cell == "leaky" else []),
            ("Task", self.template().question),
            ("Curriculum", CURRICULUM_NAMES[self.curriculum_type]),
            ("Seed", str(self.seed)),
        ]

    def identity(self) -> dict[str, Any]:
        """Return the options that a run cannot change once begun: all but how far it goes."""
        options = super().identity()
        del options["max_N"]
        return options | {"n_heads": self.n_heads}
