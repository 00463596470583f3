"""Find a trained network on disk and rebuild it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tauscope._lazy import torch
from tauscope.errors import InputError, nearest
from tauscope.learning.curricula import range_name
from tauscope.models.names import ACTIVATION_NAMES, TAU_MAPS
from tauscope.runs import published
from tauscope.runs.asking import read_config, require_plausible
from tauscope.runs.checkpoints import checkpoint_name, load_weights
from tauscope.runs.config import own
from tauscope.runs.folder import CONFIG, read_metrics
from tauscope.runs.run import EPOCH, INITIAL
from tauscope.runs.saved import NETWORK, saved_model, saved_task
from tauscope.tasks import TASKS, Task, head_name

if TYPE_CHECKING:
    from tauscope.models import Model

# The numbers in the name of a stage, such as N2_N10 or horizon20.
_RANGE = re.compile(r"rnn_N\d+_N\d+")
_CHECKPOINT = re.compile(r"rnn_(?!epoch_)\D*(\d+)(?:\D+(\d+))?")


def load_model(
    curriculum_type: str,
    task: str,
    network_number: int,
    N_max: int,
    N_min: int | None = None,
    device: str = "cpu",
    base_path: str | Path = "./trained_models",
    affixes: list[str] | tuple[str, ...] = (),
    cell: str | None = None,
) -> Model:
    """Load a trained network by its curriculum, task and N, as the published code does.

    Parameters
    ----------
    curriculum_type : str
        ``"cumulative"``, ``"single"``, ``"single_nocurr"`` or ``"sliding_{heads}_{forget}"``.
    task : str
        ``"parity"`` or ``"dms"``.
    network_number : int
        Number of the network: 1, 2, 3, …
    N_max : int
        Largest N that the network solves.
    N_min : int, optional
        Smallest N that the network solves; by default ``N_max`` for single-head networks, 2 for others.
    device : str
        Device of the network.
    base_path : path
        Folder of the runs.
    affixes : sequence of str
        Further parts of the folder's name, such as ``["size", "100"]``; not needed if a single folder fits.
    cell : str, optional
        ``"module:Class"`` of a user's own cell. It is never read from a file, because importing runs code.

    Returns
    -------
    Model
        The network, with its size, cell, and fixed or trained τ.

    Raises
    ------
    InputError
        If the run or the checkpoint does not exist; the message names the nearest that exists.
    DamagedFileError
        If the file is damaged or holds no weights.

    Examples
    --------
    >>> load_model("cumulative", "parity", 1, N_max=10, base_path="nowhere")
    Traceback (most recent call last):
    tauscope.errors.InputError: nowhere does not exist: expected a folder of runs
    """
    base = Path(base_path)
    if not base.is_dir():
        raise InputError(f"{base} does not exist: expected a folder of runs")
    folder = _find_run(base, [curriculum_type, task, *affixes], network_number)
    if N_min is None:
        N_min = N_max if curriculum_type.startswith("single") else 2
    return load(folder / checkpoint_name(range_name((N_min, N_max))), device, cell)


def load(path: str | Path, device: str = "cpu", cell: str | None = None) -> Model:
    """Load a network from a checkpoint file, or from the last checkpoint of a run folder.

    Parameters
    ----------
    path : path
        A file such as ``rnn_N2_N10``, written by tauscope or by the published code, or its folder.
    device : str
        Device of the network.
    cell : str, optional
        ``"module:Class"`` of a user's own cell.

    Returns
    -------
    Model
        The network.

    Raises
    ------
    InputError, DamagedFileError
        As `load_model`.
    """
    from tauscope.models import build_model

    path = find_checkpoint(Path(path))
    weights = load_weights(path)
    model = saved_model(path.parent, cell) if (path.parent / NETWORK).exists() else _from_config(path, cell)
    if model is None:
        model = build_model(**_from_weights(weights, path), generator=torch.Generator().manual_seed(0))
    published.load_published(model, weights, path)
    # The published code finds heads by position: the first head belongs to the smallest N, which may not be 2.
    parts = _CHECKPOINT.fullmatch(path.name)
    if parts and not any((path.parent / name).exists() for name in (CONFIG, NETWORK)):
        model.heads.names = tuple(head_name(int(parts[1]) + i) for i in range(len(model.heads.names)))
    return model.to(device)


def find_checkpoint(path: Path) -> Path:
    """Return a checkpoint's path: the given path, or for a run folder its checkpoint with the largest solved N.

    Raises
    ------
    InputError
        If the checkpoint does not exist, or the folder has none.
    """
    # An absolute path contains the folder's name, which states the training, even for "." as the path.
    path = Path(os.path.abspath(path))
    if not path.is_dir():
        if path.exists() or not path.parent.is_dir():
            return path
        names = [known.name for known in [*checkpoints_of(path.parent), path.parent / INITIAL] if known.exists()]
        expected = nearest(path.name, names) if names else "expected a checkpoint or a run folder"
        raise InputError(f"no checkpoint {path.name} in {path.parent}: {expected}")
    solved = checkpoints_of(path)
    if not solved:
        raise InputError(f"{path} holds no checkpoint that solved an N: expected files such as rnn_N2_N10")
    return solved[-1]


def checkpoints_of(folder: Path) -> list[Path]:
    """Return the checkpoints of a run folder, ordered by the numbers in their stages' names, or by stages.

    A file without a number in its name is a checkpoint if the run's records contain its stage.
    """
    found = {path: Ns[::-1] for path in folder.iterdir() if (Ns := trained_Ns(path))}
    if all(_RANGE.fullmatch(path.name) for path in found) and found:
        return sorted(found, key=lambda path: (found[path], path))
    stages = dict.fromkeys(str(record.get("stage")) for record in read_metrics(folder) if isinstance(record, dict))
    if (folder / NETWORK).exists():
        stages |= dict.fromkeys(sorted(path.name.removeprefix(checkpoint_name("")) for path in folder.glob("rnn_*")))
    order = {folder / checkpoint_name(stage): place for place, stage in enumerate(stages)}
    taught = [path for path in order if path.is_file()]
    return sorted({*found, *taught}, key=lambda path: (order.get(path, -1), found.get(path, ()), path))


def course_of(folder: Path, device: str = "cpu", cell: str | None = None) -> dict[int, Model]:
    """Return the networks at the start of a training (0) and after its saved epochs, by epoch.

    Parameters
    ----------
    folder : Path
        Run folder; a run without saved epochs gives the network at the start alone.
    device, cell
        As in `load`.
    """
    if not (folder / CONFIG).exists():
        return {}
    epochs = sorted(int(path.name.removeprefix(EPOCH)) for path in folder.glob(f"{EPOCH}*"))
    kept = {0: folder / INITIAL} | {epoch: folder / f"{EPOCH}{epoch}" for epoch in epochs}
    return {epoch: load(path, device, cell) for epoch, path in kept.items() if path.exists()}


def trained_Ns(path: Path) -> tuple[int, int] | None:
    """Return the smallest and the largest N in a checkpoint's name, or a single number twice.

    Examples
    --------
    >>> trained_Ns(Path("rnn_N2_N10")), trained_Ns(Path("rnn_horizon20"))
    ((2, 10), (20, 20))
    """
    parts = _CHECKPOINT.fullmatch(Path(path).name)
    return (int(parts[1]), int(parts[2] or parts[1])) if parts else None


def trained_task(path: Path, name: str | None = None) -> Task:
    """Return the task of a checkpoint's training, as measurements use it.

    Parameters
    ----------
    path : Path
        The checkpoint, in its run folder.
    name : str, optional
        Another task to measure the network on, a key of `tauscope.tasks.TASKS`.

    Returns
    -------
    Task
        The task; ``repeat`` of a binary task is the largest k in training for continuous-time networks, 1 for others.

    Raises
    ------
    InputError
        If neither the run's configuration nor the folder's name contains the task.

    Examples
    --------
    >>> trained_task(Path("single_dms_network_1/rnn_N5_N5"))
    DelayedMatchToSample(Ns=(2,), p=None, plus_minus=False, repeat=1, labels='last', length=None)
    """
    folder = path.parent
    if (folder / NETWORK).exists() and (name is None or own.is_own(name)):
        return saved_task(folder)
    if (folder / CONFIG).exists():
        config = read_config(folder)
        if name is not None and config.task in TASKS:
            config = config.replace(task=name)
        return config.measured_task(path.name.removeprefix(checkpoint_name("")))
    name = name or next((known for known in TASKS if f"_{known}_" in folder.name), None)
    if name is None:
        raise InputError(f"the task of {path} is not in its folder's name: expected a task, {' or '.join(TASKS)}")
    duplicates = re.search(r"_duplicates\[([\d, ]+)\]", folder.name)
    return TASKS[name](repeat=max(int(k) for k in duplicates[1].split(",")) if duplicates else 1)


def _find_run(base: Path, parts: list[str], number: int) -> Path:
    exact = base / "_".join([*parts, f"network_{number}"])
    if exact.is_dir():
        return exact
    start, end = "_".join(parts) + "_", f"_network_{number}"
    fitting = sorted(run.name for run in base.iterdir() if run.name.startswith(start) and run.name.endswith(end))
    if len(fitting) == 1:
        return base / fitting[0]
    if fitting:
        raise InputError(
            f"{len(fitting)} runs fit {exact.name} in {base}: {', '.join(fitting)}; expected affixes of one"
        )
    runs = sorted(run.name for run in base.iterdir() if run.is_dir() and "_network_" in run.name)
    raise InputError(f"no run {exact.name} in {base}: {nearest(exact.name, runs)}")


def _from_config(path: Path, cell: str | None) -> Model | None:
    """Return an untrained network from the configuration of a checkpoint's run; ``None`` without a configuration."""
    folder = path.parent
    if not (folder / CONFIG).exists():
        return None
    config = read_config(folder)
    if ":" in config.cell and cell != config.cell:
        raise InputError(
            f"{folder} is of the cell {config.cell!r}: expected cell={config.cell!r} to allow importing it"
        )
    require_plausible(config, path)
    return config.measured_model()


def _from_weights(weights: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the options of `build_model` from the weights and, where these do not show an option, the folder's name."""
    options = published.describe(weights, path)
    folder = path.parent.name
    options["shared_head"] = folder.startswith(("single", "lstm_single"))
    if options["cell"] != "leaky":
        return options
    afunc = re.search(rf"_mod_({'|'.join(ACTIVATION_NAMES)})(_|$)", folder)
    if afunc:
        options |= {"form": "continuous" if "_duplicates" in folder else "mod", "afunc": afunc[1]}
    tau_map = re.search(rf"_tau_map_({'|'.join(TAU_MAPS)})(_|$)", folder)
    if tau_map:
        options["tau_map"] = tau_map[1]
    if weights["parameterlist.0"].numel() == 1 and options["n_units"][0] > 1:
        options["tau"] = max(float(weights["parameterlist.0"]), 1.0)
    return options
