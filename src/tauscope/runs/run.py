"""A run folder, written: configuration, environment, metrics, checkpoints, by one process at a time."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from tauscope._lazy import torch
from tauscope.errors import DamagedFileError, DivergedError, InputError
from tauscope.learning.state import Training
from tauscope.runs import checkpoints, published
from tauscope.runs.asking import asked_for, read_config, require_plausible
from tauscope.runs.config import Config
from tauscope.runs.config.own import PACKAGES
from tauscope.runs.environment import KEPT, environment
from tauscope.runs.files import remove_unfinished, write_atomically
from tauscope.runs.folder import (
    CHECKSUM,
    CONFIG,
    ENVIRONMENT,
    LOCK,
    METRICS,
    STATS,
    checksum_of,
    read_json,
    read_metrics,
)
from tauscope.runs.locks import NoLocksError, take

if TYPE_CHECKING:
    from tauscope.models import Model

INITIAL, EPOCH = "rnn_init", "rnn_epoch_"
OWN_FILES = (CONFIG, ENVIRONMENT, METRICS, STATS, checkpoints.STATE, "rnn_")
"""How the names of all files begin that only the process which holds the lock may write."""


class Run:
    """A run folder, open for writing by this process alone; a run that fails before anything of it is kept leaves nothing.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    config : Config
        Must be that of the folder, if it holds a run; only ``epochs`` and ``max_N`` may change. A seed that is not
        given is the folder's.
    device : str
        Where to compute.

    Raises
    ------
    InputError
        If the folder holds another run, is being written by another process, or cannot be written, or if the network
        cannot be built; nothing is left behind then.
    """

    def __init__(self, folder: Path, config: Config, device: str = "cpu") -> None:
        self.folder = Path(folder)
        self.device = device
        # Whatever can be refused is refused before anything is written.
        self.config = self._settle(config)
        self._model = self.config.model(device)
        self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
        self._unguarded, self._fresh = "", False
        self._lock = self._claim()
        try:
            self._sign()
            self._settle(self.config)  # another process may have begun a run in the meantime
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A network that diverged in its first steps can be looked at.
        failed = kind is not None and issubclass(kind, Exception) and not issubclass(kind, DivergedError)
        if failed and self._fresh and not self._has_results():
            for name in (INITIAL, METRICS, ENVIRONMENT, CONFIG):
                with contextlib.suppress(OSError):
                    (self.folder / name).unlink()
        self.close()

    def close(self) -> None:
        """Let other processes write to the folder; take it away if no run was begun in it."""
        if not (self.folder / CONFIG).exists():
            with contextlib.suppress(OSError):
                (self.folder / LOCK).unlink()
            self._remove_made()
        self._lock.close()

    def begin(self) -> tuple[Model, dict[str, Any] | None, list[str]]:
        """Write down what the run depends on and return the network, the state to go on from, and notices.

        Returns
        -------
        model : Model
            With its initial weights.
        state : dict or None
            For `train`; ``None`` for a fresh run.
        notices : list of str
            Damaged files that were passed over, a disk without locks, a changed environment.

        Raises
        ------
        DamagedFileError
            If a file that the run needs is damaged or of another run.
        """
        state, notices = checkpoints.load_state(self.folder)
        if self._unguarded:
            notices.append(
                f"{self.folder} cannot be locked ({self._unguarded}): nothing keeps other commands from writing to this run, "
                "start none until this one has ended"
            )
        if state is not None:
            self._require_fit(state)
        here, sessions = environment(self.device, self.config.task), self._sessions()
        remove_unfinished(self.folder, OWN_FILES)
        checkpoints.turn_states(self.folder)
        if state is not None and not state.get("flushes_subnormals", False):
            here["subnormals"] = KEPT
        if state is not None and sessions:
            # What version 0.1 did not write down cannot be compared.
            before = {"products": here["products"], "subnormals": here["subnormals"]} | sessions[-1]
            notices += [
                f"{name} was {before.get(name)} and is {here.get(name)}: the result will not be bitwise the same"
                for name in ("torch", "threads", "device", "capability", "products", "subnormals", *PACKAGES)
                if before.get(name) != here.get(name)
            ]
        history = [] if state is None else state["history"]
        if history:
            # The run may be asked for more than when that epoch ended.
            history[-1]["finished"] = asked_for(self.config, history)[1]
            self._write_history(history)
        options = self.config.to_dict()
        self._fresh = not (self.folder / CONFIG).exists()
        self._write_json(CONFIG, options | {CHECKSUM: checksum_of(options)})
        self._write_json(ENVIRONMENT, [*sessions, here])
        if state is None:
            checkpoints.save_weights(self.folder / INITIAL, published.to_published(self._model))
        if not history:
            self._write_history([])
        return self._model, state, notices

    def save_state(self, training: Training) -> None:
        """Keep the state of the run under way."""
        checkpoints.save_state(self.folder, training.state_dict())

    def save_epoch(self, training: Training, kept: str | None) -> None:
        """Keep a finished epoch: the network under a stage's name if it is to be kept, the state that counts it, the records.

        Killed in between, a run goes on from either state: `begin` writes the records anew from it.
        """
        if kept is not None:
            weights = published.to_published(training.model)
            checkpoints.save_weights(self.folder / checkpoints.checkpoint_name(kept), weights)
        if self.config.setup.keep_every is not None and training.epoch % self.config.setup.keep_every == 0:
            weights = published.to_published(training.model)
            checkpoints.save_weights(self.folder / f"{EPOCH}{training.epoch}", weights)
        self.save_state(training)
        self._write_history(training.history)

    def _claim(self) -> IO[bytes]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / LOCK).open("ab+", buffering=0)
        except OSError as error:
            self._remove_made()
            raise self._unwritable(error) from error
        try:
            free = take(lock)
        except NoLocksError as error:
            # A lock is a precaution: whoever starts one command at a time needs none.
            self._unguarded, free = str(error.strerror), True
        except OSError as error:
            lock.close()
            raise self._unwritable(error) from error
        if not free:
            holder = _text_of(lock)
            lock.close()
            raise InputError(
                f"{self.folder} is being written by process {holder or 'unknown'}: expected a run of one's own; "
                "choose another network number"
            )
        if not _is_at(lock, self.folder / LOCK):
            # Who held it has taken it away in the meantime, and a third one may hold a new one.
            lock.close()
            return self._claim()
        return lock

    def _sign(self) -> None:
        """Write into the lock which process holds it."""
        try:
            self._lock.truncate(0)
            self._lock.write(str(os.getpid()).encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"cannot write to {self.folder}: {error.strerror}; expected a writable folder with room")

    def _has_results(self) -> bool:
        """Return whether a step was kept, without which a run that failed is none."""
        kept = any((self.folder / name).exists() for name in checkpoints.STATES)
        return kept or bool(read_metrics(self.folder))

    def _remove_made(self) -> None:
        """Remove the folders that were made for this run, if they hold nothing."""
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _require_fit(self, state: dict[str, Any]) -> None:
        """Refuse a state that was not written by this run, before anything of the run is changed."""
        try:
            self._model.load_state_dict(state["model"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise DamagedFileError(
                f"{self.folder / checkpoints.STATE} is the state of a different network: expected that of the run in "
                f"{self.folder}"
            ) from error
        config = self.config
        try:
            trial = Training(self._model, config.template(), config.curriculum(), config.recipe())
            trial.load_state_dict(state)
            # As they are written now: those of version 0.1 do not name their stage.
            state["history"] = trial.history
            asked_for(config, trial.history)
        except InputError:
            raise
        except Exception as error:  # whatever a state lacks
            raise DamagedFileError(
                f"{self.folder / checkpoints.STATE} is not a state of the run in {self.folder}: {error!r}"
            ) from error
        if not all(bool(torch.isfinite(weight).all()) for weight in self._model.state_dict().values()):
            raise DamagedFileError(
                f"{self.folder / checkpoints.STATE} holds non-finite numbers: expected finite weights"
            )

    def _sessions(self) -> list[dict[str, Any]]:
        """Return in what the earlier sessions of the run computed."""
        path = self.folder / ENVIRONMENT
        sessions = read_json(path) if path.exists() else []
        if not isinstance(sessions, list) or not all(isinstance(session, dict) for session in sessions):
            raise DamagedFileError(f"{path} is not a list of sessions: expected one as tauscope wrote it")
        return sessions

    def _settle(self, config: Config) -> Config:
        """Return the configuration with a seed, refusing a folder that holds something else."""
        for stage in config.curriculum().stages:
            name = checkpoints.checkpoint_name(stage.name)
            if name.lower() == INITIAL or name.lower().startswith(EPOCH):
                raise InputError(
                    f"stage {stage.name!r}: expected another name, because {name} holds an untaught network"
                )
        if not (self.folder / CONFIG).exists():
            foreign = sorted(path.name for path in self.folder.glob("rnn_*"))
            if foreign:
                raise InputError(
                    f"{self.folder} holds {foreign[0]} but no {CONFIG}: expected an empty folder or a run of tauscope's; "
                    f"the nearest free network number is {free_number(self.folder.parent, config)}"
                )
            return config if config.seed is not None else config.replace(seed=_random_seed())
        there = read_config(self.folder)
        require_plausible(there, *(self.folder / name for name in checkpoints.STATES))
        if config.seed is None:
            config = config.replace(seed=there.seed)
        if type(config) is not type(there):
            raise InputError(
                f"{self.folder} holds a different run: its task is {there.task}, not {config.task}; expected a folder "
                "of this run's own"
            )
        if config.n_heads is not None and there.n_heads is not None and config.n_heads != there.n_heads:
            last = there.n_heads + 1
            raise InputError(
                f"max_N is {config.n_heads + 1}: the network in {self.folder} has heads for N = 2 ... {last} "
                f"(nearest valid value: {last})"
            )
        ours, theirs = config.identity(), there.identity()
        for name, value in ours.items():
            if value != theirs.get(name):
                raise InputError(
                    f"{self.folder} holds a different run: its {name} is {theirs.get(name)}, not {value}; give "
                    f"network number {free_number(self.folder.parent, config)} for a new run, or {name} {theirs.get(name)}"
                )
        if not any((self.folder / name).exists() for name in checkpoints.STATES) and read_metrics(self.folder):
            raise InputError(
                f"{self.folder} holds a run that cannot go on, because its {checkpoints.STATE} is not there: expected a "
                f"run of one's own; the nearest free network number is {free_number(self.folder.parent, config)}"
            )
        return config

    def _write_json(self, name: str, content: Any) -> None:
        write_atomically(self.folder / name, (json.dumps(content, indent=2) + "\n").encode())

    def _write_history(self, records: list[dict[str, Any]]) -> None:
        """Write the records of all epochs, the last one with how many there may be, and what the published code keeps."""
        limit = {"epochs": self.config.recipe().epochs}
        lines = "".join(json.dumps(record | (limit if record is records[-1] else {})) + "\n" for record in records)
        write_atomically(self.folder / METRICS, lines.encode())
        # The published code knows no other score.
        if records and "accuracy" in records[0]:
            losses = [record["loss"] for record in records]
            accuracies = [record["accuracy"] for record in records]
            write_atomically(self.folder / STATS, published.stats_bytes(losses, accuracies))


def free_number(base: Path, config: Config) -> int:
    """Return the first network number whose folder does not exist yet."""
    number = config.network_number
    while (base / config.replace(network_number=number).name).exists():
        number += 1
    return number


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Return whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _text_of(lock: IO[bytes]) -> str:
    """Return what the process that holds a lock wrote into its file, as far as the system lets others read it."""
    try:
        lock.seek(0)
        return lock.read().decode(errors="replace").strip()
    except OSError:
        return ""


def _random_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])
