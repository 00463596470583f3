"""Cloning: say what an expert did, from what it saw."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from tauscope._draws import require_draw
from tauscope._lazy import torch
from tauscope.errors import InputError, NotApplicableError, require_at_most, require_choice, require_count
from tauscope.tasks.base import OUT, Batch, ClassificationTask, Head, require_fields
from tauscope.tasks.demonstrations import (
    SPRINGS,
    Demonstrations,
    drawn,
    environment_of,
    is_recorded,
    recorded,
    sha256_of,
)
from tauscope.tasks.environment import Environment
from tauscope.tasks.experts import SHIPPED, LinearPolicy, expert_of
from tauscope.tasks.gym import Gymnasium
from tauscope.tasks.shifts import Standard

if TYPE_CHECKING:
    from torch import Tensor

MOST_STEPS = 10_000_000
"""Steps of all demonstrations: what is more is no experiment but a slip."""

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Cloning(ClassificationTask):
    """Say at every step what an expert did, from what it saw.

    A trial is a window of an episode of the expert; what is seen is standardised by mean and standard deviation of all that is learnt
    from. The loss is the mean squared error of actions between -1 and 1, or the cross-entropy of choices; the score is the squared error
    in parts of that of the mean action, or the share of right choices. A quarter as many episodes as are learnt from are held out: they
    are both the valid and the test split. How a clone acts by itself, `tauscope.closed_loop` tells.

    Attributes
    ----------
    environment : str
        springs (masses on springs, which needs no package), an environment of Gymnasium, such as HalfCheetah-v5, or demonstrations of
        your own: an .npz with observations [episode, time, channel] and actions [episode, time, action] or [episode, time]
    expert : str
        file of a linear policy, for environments without a known expert
    n_demonstrations : int
        episodes to learn from
    n_steps : int
        steps of an episode at most
    window : int
        steps of a trial
    shown : int
        the first so many channels are shown; by default (0) the positions of springs and HalfCheetah, and all channels elsewhere
    demonstrations_number : int
        which demonstrations: each number has others
    sha256 : str
        SHA-256 that the file of demonstrations or of the expert must have; by default any, and a run goes on with the file that it was
        begun with

    Raises
    ------
    InputError
        If there is no such environment or no expert for it, or a file is another one.

    Notes
    -----
    After Tumma, Lechner, Loo, Hasani & Rus, ICLR 2024 (arXiv 2310.03915), who clone experts trained by reinforcement.

    Examples
    --------
    >>> batch = Cloning(n_demonstrations=4, n_steps=50).sample(8, torch.Generator().manual_seed(0))
    >>> batch.inputs.shape, batch.targets.shape
    (torch.Size([32, 8, 2]), torch.Size([32, 8, 1, 2]))
    """

    environment: str = SPRINGS
    expert: str = ""
    n_demonstrations: int = 20
    n_steps: int = 250
    window: int = 32
    shown: int = 0
    demonstrations_number: int = 0
    sha256: str = ""

    source: ClassVar[str] = "after Tumma, Lechner, Loo, Hasani & Rus, ICLR 2024 (arXiv 2310.03915)"

    def __post_init__(self) -> None:
        require_fields(self)
        for name in ("n_demonstrations", "n_steps", "window"):
            require_count(name, getattr(self, name))
        for name in ("shown", "demonstrations_number"):
            require_count(name, getattr(self, name), 0)
        if self.window > self.n_steps:
            raise InputError(
                f"window is {self.window} of episodes of {self.n_steps} steps: expected at most {self.n_steps}"
            )
        require_at_most("n_demonstrations × n_steps", self.n_demonstrations * self.n_steps, MOST_STEPS)
        if self.sha256 and not self._file:
            raise InputError(
                f"sha256 is {self.sha256!r} without a file of demonstrations or of an expert: expected none"
            )
        if self.is_recorded and self.expert:
            raise InputError(f"expert is {self.expert!r} with recorded demonstrations: expected none")
        if not self.is_recorded and not self.expert and self.environment not in (SPRINGS, *SHIPPED):
            # Says what is wrong with the name first.
            expert_of(Gymnasium(self.environment))
        if self._file and self.sha256 not in ("", found := sha256_of(self._file)):
            raise InputError(
                f"{self._file!r} has changed: its SHA-256 is {found}, expected {self.sha256}, that of the file that was meant"
            )

    @property
    def is_recorded(self) -> bool:
        """Whether the demonstrations are a user's own."""
        return is_recorded(self.environment)

    @property
    def _file(self) -> str:
        return self.environment if self.is_recorded else self.expert

    def settled(self) -> Self:
        """Return the task with the SHA-256 of the file that it reads, as it is now."""
        return replace(self, sha256=sha256_of(self._file)) if self._file else self

    def acted_in(self) -> Environment:
        """Return the environment in which the expert acted.

        Raises
        ------
        NotApplicableError
            If the demonstrations are a user's own.
        """
        if self.is_recorded:
            raise NotApplicableError(
                f"{self.environment} is a recording, in which nothing can act: expected an environment"
            )
        return environment_of(self.environment, self.n_steps)

    def policy(self) -> LinearPolicy:
        """Return the expert."""
        return expert_of(self.acted_in(), self.expert)

    def demonstrations(self) -> Demonstrations:
        """Return what the expert saw and did."""
        if self.is_recorded:
            return recorded(self.environment, self.n_demonstrations, self.n_steps)
        sha256 = sha256_of(self.expert) if self.expert else ""
        return drawn(
            self.environment, self.expert, self.n_demonstrations, self.n_steps, self.demonstrations_number, sha256
        )

    def standard(self) -> Standard:
        """Return mean and standard deviation of all channels, of what is learnt from."""
        return self.demonstrations().standard()

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        """Number of channels that are shown."""
        n_channels = self._sizes[0]
        if self.shown > n_channels:
            raise InputError(
                f"shown is {self.shown} of {n_channels} channels of {self.environment}: expected at most {n_channels}"
            )
        if self.shown:
            return self.shown
        if self.environment == SPRINGS:
            return n_channels // 2
        if self.environment in SHIPPED:
            return int(json.loads(SHIPPED[self.environment].read_text(encoding="utf-8"))["shown"])
        return n_channels

    @functools.cached_property
    def _sizes(self) -> tuple[int, int, bool]:
        """Channels that there are, numbers of an action or choices, and whether actions are real numbers."""
        if self.is_recorded:
            kept = self.demonstrations()
            return kept.observations.shape[-1], kept.n_actions, kept.continuous
        if self.environment in SHIPPED:
            # Known without the packages of the environment, so that what needs them can be planned.
            policy = LinearPolicy.from_json(SHIPPED[self.environment].read_text(encoding="utf-8"), self.environment)
            n_actions, n_channels = policy.gain.shape
            return n_channels, n_actions, policy.continuous
        environment = self.acted_in()
        return environment.n_inputs, environment.n_actions, environment.continuous

    @property
    def continuous(self) -> bool:
        """Whether actions are real numbers."""
        return self._sizes[2]

    @property
    def metric(self) -> str:  # type: ignore[override]
        """Error in parts of that of the mean action, or accuracy of choices."""
        return "relative_error" if self.continuous else "accuracy"

    @property
    def heads(self) -> dict[str, Head]:
        """The only head: a number for every number of an action, or a logit for every choice."""
        n_actions = self._sizes[1]
        return {OUT: Head(n_actions, 1.0, 0.0) if self.continuous else Head(n_actions, 1 / n_actions, 1.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        """Draw windows of the episodes of a split, none of which crosses the end of one.

        Returns
        -------
        Batch
            ``inputs [time, batch, channel]``, standardised; ``targets [time, batch, 1, action]`` or ``[time, batch, 1]``; ``info`` with
            ``episode [batch]`` and ``start [batch]``, the first step of each window.
        """
        require_draw(batch_size, generator)
        require_choice("split", split, SPLITS)
        device, windows = generator.device, self._windows[split]
        chosen = torch.randint(len(windows), (batch_size,), generator=generator, device=device)
        start, episode = windows.to(device)[chosen].unbind(dim=1)
        steps = start + torch.arange(self.window, device=device)[:, None]
        inputs, actions = (series.to(device)[steps, episode] for series in self._series)
        return Batch(inputs, actions.unsqueeze(2), info={"episode": episode, "start": start})

    @functools.cached_property
    def _series(self) -> tuple[Tensor, Tensor]:
        """What is shown, standardised, and what was done, ``[time, episode, …]``."""
        kept = self.demonstrations()
        return kept.standard()(kept.observations)[..., : self.n_inputs], kept.actions

    @functools.cached_property
    def _windows(self) -> dict[str, Tensor]:
        """First step and episode of all windows of every split, ``[window, 2]``."""
        kept = self.demonstrations()
        fits = torch.arange(len(kept.observations), device="cpu")[:, None] + self.window <= kept.lengths
        trained = torch.arange(len(kept.lengths), device="cpu") < kept.n_train
        found = {"train": (fits & trained).nonzero(), "test": (fits & ~trained).nonzero()}
        for split, windows in found.items():
            if not len(windows):
                longest = int(kept.lengths[trained if split == "train" else ~trained].max())
                raise InputError(
                    f"window is {self.window}, the longest {split} episode has {longest} steps: expected at most {longest}"
                )
        return found | {"valid": found["test"]}

    @functools.cached_property
    def _mean_action(self) -> Tensor:
        kept = self.demonstrations()
        return kept.learnt(kept.actions).mean(dim=0)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error, or the cross-entropy in nats, of ``outputs [time, batch, 1, output]``, ``[1]``."""
        if not self.continuous:
            return super().loss(outputs, batch)
        return (outputs - batch.targets).square().mean().unsqueeze(0)

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sums of squared errors of the answers and of the mean action, or the right choices and their number."""
        if not self.continuous:
            return super().tally(outputs, batch)
        of_mean = (self._mean_action.to(batch.targets) - batch.targets).square().sum()
        return (outputs - batch.targets).square().sum().unsqueeze(0), of_mean.unsqueeze(0)
