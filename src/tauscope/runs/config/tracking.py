"""A run of Engelken & Goedeke (2022): a balanced network that tracks signals, and the folder it is kept in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tauscope.errors import InputError, nearest, require_at_least
from tauscope.learning.curricula import Criterion, Curriculum
from tauscope.learning.recipe import Recipe, generators
from tauscope.models.names import ACTIVATION_NAMES, BALANCED_STARTS
from tauscope.runs.config.base import Config, option
from tauscope.tasks import Stage, Tracking

if TYPE_CHECKING:
    import torch

    from tauscope.models import Model

SCRIPTS = {"runOneStimulus": 1, "runTwoStimuli": 2, "runThreeStimuli": 3}
"""Signals of the published example scripts, which differ in nothing else."""


@dataclass(frozen=True)
class TrackingConfig(Config):
    """The options of a run that tracks Ornstein-Uhlenbeck signals.

    Each field is a flag of ``tauscope train``; its help text is in the field's metadata. Source of the defaults:
    Engelken & Goedeke, NeurIPS 2022, published code.

    Examples
    --------
    >>> TrackingConfig(signals="runTwoStimuli", seed=0).name
    'tracking_2_network_1'
    """

    task: str = option("tracking", "tracking", choices=("tracking",))
    signals: str = option(
        "1", "number of signals, or the published script: runOneStimulus, runTwoStimuli, runThreeStimuli"
    )
    network_number: int = option(1, "number of the network, the last part of its folder's name", "n")
    seed: int | None = option(None, "root of all random numbers; by default a random one", "s")
    trial_steps: int = option(50, "steps of a trial")
    tau_signal: float = option(0.1, "time constant of the signals, in units of that of the network")
    reference: bool = option(False, "start every signal at its mean, as the published code does")

    cell: str = option("balanced", "balanced", choices=("balanced",), group="network")
    start: str = option("balanced", "initial weights: balanced, or ei for excitatory and inhibitory units",
                        choices=BALANCED_STARTS, group="network")  # fmt: skip
    balance: float = option(1.0, "strength b of the initial inhibition; the signals have the mean b", group="network")
    g: float = option(0.032, "spread of the initial weights", group="network")
    sigma: float = option(1.0, "strength of the private noise", group="network")
    dt: float = option(0.2, "time step, in units of the network's time constant", group="network")
    afunc: str = option("relu", "nonlinearity", "a", ACTIVATION_NAMES, "network")
    num_neurons: int = option(100, "units", "nn", group="network")

    activity_cost: float = option(1e-4, "cost of activity", group="training")
    epochs: int = option(100, "epochs", group="training")
    steps_per_epoch: int = option(1000, "optimiser steps an epoch", group="training")
    batch_size: int = option(10, "trials a step", group="training")
    test_steps: int = option(10, "batches of fresh trials that test an epoch", group="training")
    lr: float = option(0.001, "learning rate of adam", group="training")

    def __post_init__(self) -> None:
        self._check_options()
        if self.signals in SCRIPTS:
            object.__setattr__(self, "signals", str(SCRIPTS[self.signals]))
        if not re.fullmatch("[1-9][0-9]{0,3}", self.signals):
            raise InputError(
                f"signals {self.signals!r} is no number and no script: {nearest(self.signals, SCRIPTS)}, or a number"
            )
        for name, minimum in (("network_number", 0), ("num_neurons", 2), ("epochs", 1)):
            require_at_least(name, getattr(self, name), minimum)
        self.template()
        self.recipe()

    @property
    def name(self) -> str:
        """Name of the run's folder: ``tracking_{signals}[_affixes]_network_{n}``."""
        affixes = [f"size_{self.num_neurons}"] if self.num_neurons != 100 else []
        affixes += ["ei"] if self.start == "ei" else []
        affixes += [f"b_{self.balance:g}"] if self.balance != 1 else []
        return "_".join(["tracking", self.signals, *affixes, f"network_{self.network_number}"])

    @property
    def keep_every(self) -> int:
        """Epochs between networks that are kept for the course of training."""
        return 1

    def curriculum(self) -> Curriculum:
        """Return the curriculum at its start."""
        return Curriculum([Stage("N1_N1")], Criterion(Tracking.metric, epochs=self.epochs))

    def template(self) -> Tracking:
        """Return the task."""
        return Tracking(
            n_signals=int(self.signals),
            n_steps=self.trial_steps,
            dt=self.dt,
            tau_signal=self.tau_signal,
            mean=self.balance,
            amplitude=0.1 * self.balance,
            reference=self.reference,
        )

    def recipe(self) -> Recipe:
        """Return how the network is trained."""
        return Recipe(
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            test_steps=self.test_steps,
            optimizer="adam",
            lr=self.lr,
            clip=math.inf,
            activity_cost=self.activity_cost,
            activity="answers",
            seed=self.seed or 0,
        )

    def model(self, device: torch.device | str = "cpu") -> Model:
        """Return the network with its initial weights."""
        from tauscope.models import BalancedRNN

        made: Model = BalancedRNN(
            self.num_neurons,
            n_inputs=int(self.signals),
            generator=generators(self.seed or 0)["init"],
            start=self.start,
            balance=self.balance,
            g=self.g,
            dt=self.dt,
            sigma=self.sigma,
            afunc=self.afunc,
            mean_input=self.balance,
        )
        return made.to(device)

    def facts(self) -> list[tuple[str, str]]:
        """Return network, start and task in words."""
        return [
            ("Network", f"{self.num_neurons} units (balanced, {self.afunc}), private noise {self.sigma:g}"),
            ("Start", f"{self.start}, balance {self.balance:g}, spread {self.g:g}"),
            ("Task", f"{self.template().question} Signals: {self.signals}."),
            ("Trial", f"{self.trial_steps} steps of {self.dt:g} time constants"),
            ("Seed", str(self.seed)),
        ]
