"""What an expert saw and did: drawn in an environment, or recorded by a user."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tauscope._lazy import torch
from tauscope.errors import InputError
from tauscope.tasks.environment import Environment
from tauscope.tasks.experts import expert_of, rollout
from tauscope.tasks.gym import Gymnasium
from tauscope.tasks.plants import Springs
from tauscope.tasks.shifts import Standard

if TYPE_CHECKING:
    from torch import Tensor

RECORDED = ".npz"
"""Ending of the files that are recordings, where other names are environments."""

HELD_OUT = 4
"""Of so many episodes to learn from, or a part of them, there is one more that is held out."""

LARGEST_FILE = 1 << 30
"""Bytes of a recording at most."""


@dataclass(frozen=True)
class Demonstrations:
    """Episodes of an expert.

    Attributes
    ----------
    observations : Tensor [time, episode, channel]
        Everything that was seen.
    actions : Tensor [time, episode, action] or [time, episode] of int
        What was done; real numbers, or choices.
    lengths : Tensor [episode] of int
        Steps before the end of each; what comes behind it counts for nothing.
    n_train : int
        The first so many episodes are learnt from, the others are held out.
    """

    observations: Tensor
    actions: Tensor
    lengths: Tensor
    n_train: int

    @property
    def continuous(self) -> bool:
        """Whether actions are real numbers."""
        return self.actions.is_floating_point()

    @property
    def n_actions(self) -> int:
        """Numbers of an action, or choices."""
        return self.actions.shape[-1] if self.continuous else int(self.actions.max()) + 1

    def learnt(self, series: Tensor) -> Tensor:
        """Return the rows ``[row, …]`` of a series ``[time, episode, …]`` that are learnt from."""
        going = torch.arange(len(series), device="cpu")[:, None] < self.lengths[: self.n_train]
        return series[:, : self.n_train][going]

    def standard(self) -> Standard:
        """Return mean and standard deviation of all channels that are learnt from; 1 where nothing varied."""
        seen = self.learnt(self.observations).double()
        scale = seen.std(dim=0, correction=0)
        return Standard(seen.mean(dim=0), torch.where(scale > 1e-7, scale, 1.0))


def is_recorded(name: str) -> bool:
    """Return whether a name is that of a recording rather than of an environment.

    Examples
    --------
    >>> is_recorded("mouse.npz"), is_recorded("HalfCheetah-v5")
    (True, False)
    """
    return name.lower().endswith(RECORDED)


@lru_cache(maxsize=8)
def environment_of(name: str, n_steps: int) -> Environment:
    """Return an environment by its name: ``"springs"``, or one of Gymnasium.

    Examples
    --------
    >>> environment_of("springs", 100)
    Springs(n_masses=2, mass=1.0, gear=1.0, noise=0.1, n_steps=100)
    """
    return Springs(n_steps=n_steps) if name == SPRINGS else Gymnasium(name)


SPRINGS = "springs"
"""Name of `tauscope.tasks.Springs`, which needs no further package."""


@lru_cache(maxsize=8)
def drawn(name: str, expert: str, n_episodes: int, n_steps: int, number: int, sha256: str) -> Demonstrations:
    """Let an expert act in so many episodes, and in a quarter as many that are held out."""
    del sha256  # of the expert's file, another one of which is another call
    environment = environment_of(name, n_steps)
    policy = expert_of(environment, expert)
    n_held_out = max(1, n_episodes // HELD_OUT)
    generator = torch.Generator("cpu").manual_seed(number)
    observations, actions, _, going = rollout(environment, policy, n_episodes + n_held_out, n_steps, generator)
    return Demonstrations(
        observations, actions.clamp(-1, 1) if environment.continuous else actions, going.sum(dim=0), n_episodes
    )


def sha256_of(file: str) -> str:
    """Return the SHA-256 of a file, or refuse it if it cannot be read."""
    return hashlib.sha256(_content(file, _stamp(file))).hexdigest()


def recorded(file: str, n_episodes: int, n_steps: int) -> Demonstrations:
    """Return a user's demonstrations, of which a fifth at least is held out.

    Parameters
    ----------
    file : str
        An ``.npz`` with ``observations [episode, time, channel]`` and ``actions [episode, time, action]``, or ``[episode, time]``: whole
        numbers there are choices.
    n_episodes : int
        Episodes to learn from, at most.
    n_steps : int
        Steps of an episode, at most.

    Raises
    ------
    InputError
        If it cannot be read, or its arrays are not that.
    """
    return _recorded(file, n_episodes, n_steps, _stamp(file))


@lru_cache(maxsize=4)
def _recorded(file: str, n_episodes: int, n_steps: int, stamp: tuple[int, int]) -> Demonstrations:
    seen, done = _arrays(file, stamp)
    if seen.ndim != 3 or done.ndim not in (2, 3) or done.shape[:2] != seen.shape[:2] or 0 in (*seen.shape, *done.shape):
        raise InputError(
            f"{file}: observations of shape {seen.shape} with actions of shape {done.shape}: expected [episode, time, channel] with "
            "[episode, time, action] or [episode, time]"
        )
    if len(seen) < 2:
        raise InputError(f"{file} has {len(seen)} episode: expected at least 2, one of which is held out")
    choices = done.ndim == 2 and done.dtype.kind in "iub"
    for name, array in (("observations", seen), ("actions", done)):
        # As they are kept: a number can be too large for single precision.
        with np.errstate(over="ignore"):
            finite = np.isfinite(array.astype(np.float32)).all()
        if not finite:
            raise InputError(f"{name} of {file} are not finite in single precision everywhere: expected numbers")
    if choices and (done.min() < 0 or done.max() > MOST_CHOICES):
        raise InputError(
            f"actions of {file} go from {done.min()} to {done.max()}: expected choices from 0 to at most {MOST_CHOICES}"
        )
    if (done == done[:1, :1]).all():
        raise InputError(f"actions of {file} are the same at every step: expected some to tell apart")
    n_train = min(n_episodes, len(seen) - max(1, len(seen) // (HELD_OUT + 1)))
    seen, done = (np.swapaxes(array, 0, 1)[:n_steps] for array in (seen, done))
    actions = torch.from_numpy(done.astype(np.int64 if choices else np.float32))
    if not choices and done.ndim == 2:
        actions = actions.unsqueeze(-1)
    observations = torch.from_numpy(seen.astype(np.float32))
    return Demonstrations(
        observations, actions, torch.full((seen.shape[1],), len(seen), dtype=torch.int64, device="cpu"), n_train
    )


MOST_CHOICES = 10_000
"""Largest choice of a recording: what is larger is no choice but a slip."""


def _arrays(file: str, stamp: tuple[int, int]) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    expected = "expected an .npz with the arrays observations and actions"
    try:
        with np.load(io.BytesIO(_content(file, stamp)), allow_pickle=False) as kept:
            arrays = tuple(np.asarray(kept[name]) for name in ("observations", "actions"))
    except InputError:
        raise
    except Exception as error:  # a damaged archive, or one array alone, can raise anything
        raise InputError(f"{file} cannot be read ({' '.join(str(error).split())[:100]}): {expected}") from error
    for array in arrays:
        if array.dtype.kind not in "iubf":
            raise InputError(f"{file} has an array of {array.dtype}: expected real numbers")
    seen, done = arrays
    return seen, done


def _stamp(file: str) -> tuple[int, int]:
    """Return what tells that a file has changed since it was read."""
    try:
        status = Path(file).stat()
    except (OSError, ValueError) as error:
        raise InputError(f"{file!r} is not there: expected a file") from error
    if not Path(file).is_file() or status.st_size > LARGEST_FILE:
        raise InputError(f"{file!r} has {status.st_size} bytes: expected a file of at most {LARGEST_FILE}")
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)
def _content(file: str, stamp: tuple[int, int]) -> bytes:
    del stamp
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file!r} cannot be read ({error.strerror}): expected a file") from error
