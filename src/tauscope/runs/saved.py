"""A network that was not trained by a run: kept in a folder with its task, as the commands read it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tauscope import models, tasks
from tauscope._lazy import torch
from tauscope._version import __version__
from tauscope.errors import DamagedFileError, InputError, require_file_name, require_instance
from tauscope.learning.curricula import range_name
from tauscope.runs import published
from tauscope.runs.checkpoints import checkpoint_name, save_weights
from tauscope.runs.config import own
from tauscope.runs.files import write_atomically
from tauscope.runs.folder import CHECKSUM, CONFIG, checksum_of, read_json
from tauscope.tasks import Task
from tauscope.tasks.base import fields_of
from tauscope.tasks.check import difference

if TYPE_CHECKING:
    from tauscope.models import Cell, Heads, Model

NETWORK = "network.json"
"""File that says of what kind a saved network is, and what task it does."""

_TASK = "task"
_PLAIN = (bool, int, float, str, type(None))


def save(model: Model, folder: str | Path, task: Task, stage: str | None = None) -> Path:
    """Keep a network and its task in a folder, as `load` and the commands ``evaluate``, ``analyze`` and ``report`` read them.

    Parameters
    ----------
    model : Model
        Of cells of this package, or of cells of a user's own, which are named ``module:Class`` and made of
        ``(n_inputs, n_units, generator)`` and of further options that they keep under the same names.
    folder : path
        Made if it does not exist. Several networks of the same kind and task can be kept in it, under different stages.
    task : Task
        What the network does. Of a user's own, a class in a module, made of values that it keeps under the same names.
    stage : str, optional
        The file is ``rnn_{stage}``; by default of the Ns that the task asks, as in ``rnn_N2_N10``, or ``rnn_task``.

    Returns
    -------
    Path
        The file, for `load`.

    Raises
    ------
    InputError
        If network or task could not be made anew from what is written, or the folder holds something else. Nothing is
        written then.

    Examples
    --------
    >>> import tauscope as ts, tempfile
    >>> model = ts.LeakyRNN(8, n_heads=3, generator=torch.Generator().manual_seed(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ts.save(model, folder, task=ts.Parity([2, 3, 4]))
    ...     path.name, torch.equal(ts.load(folder).tau, model.tau)
    ('rnn_N2_N4', True)
    """
    from tauscope.models.model import require_model

    require_model(model)
    require_instance("task", task, Task, "a task, such as ts.Parity()")
    folder, Ns = Path(folder), getattr(task, "Ns", ())
    if stage is not None:
        require_file_name("stage", stage)
    path = folder / checkpoint_name((range_name(Ns) if Ns else _TASK) if stage is None else stage)
    content = {"tauscope": __version__, "network": _network(model), "task": _task(task)}
    _require_like(folder, content)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; expected a writable folder") from error
    write_atomically(
        folder / NETWORK, (json.dumps(content | {CHECKSUM: checksum_of(content)}, indent=2) + "\n").encode()
    )
    save_weights(path, published.to_published(model))
    return path


def saved_model(folder: Path, cell: str | None) -> Model:
    """Return a network of the kind that a folder's file says, with other weights.

    Parameters
    ----------
    folder : Path
        In which `save` kept it.
    cell : str, optional
        ``"module:Class"`` of a user's own cell; it is not imported because a file says so.

    Raises
    ------
    InputError
        If the network has a cell of a user's own that was not named.
    DamagedFileError
        If the file is not what `save` wrote.
    """
    network = _read(folder)["network"]
    for layer in network["layers"]:
        name = layer["cell"]
        if own.is_own(name) and name != cell:
            raise InputError(f"{folder} is of the cell {name!r}: expected cell={name!r} to allow importing it")
    # A loaded network computes in full precision.
    return _build({**network, "layers": [layer | {"precision": "fp32"} for layer in network["layers"]]})


def saved_task(folder: Path) -> Task:
    """Return the task of the network that `save` kept in a folder.

    Raises
    ------
    NotNamedError
        If it is a user's own, whom it has to be named by, see `tauscope.runs.config.own`.
    DamagedFileError
        If the file is not what `save` wrote.
    """
    told = _read(folder)["task"]
    name = told["class"]
    try:
        kind = own.known(name, "task") if own.is_own(name) else getattr(tasks, name)
    except own.NotNamedError as error:
        raise own.NotNamedError(f"the network in {folder} is of the {error}") from error
    return cast(Task, kind(**_tuples(told["options"])))


def _read(folder: Path) -> dict[str, Any]:
    content = read_json(folder / NETWORK)
    if not isinstance(content, dict) or content.get(CHECKSUM) != checksum_of(content):
        raise DamagedFileError(f"{folder / NETWORK} is damaged: its checksum does not match its content")
    return content


def _require_like(folder: Path, content: dict[str, Any]) -> None:
    """Refuse a folder that holds a run, a network of another kind, or one of another task but for its Ns."""
    if (folder / CONFIG).exists():
        raise InputError(f"{folder} holds a run: expected a folder of the network's own")
    if not (folder / NETWORK).exists():
        if foreign := sorted(folder.glob("rnn_*")):
            raise InputError(
                f"{folder} holds {foreign[0].name} but no {NETWORK}: expected a folder of the network's own"
            )
        return
    there = _read(folder)
    for part in ("network", "task"):
        ours, theirs = (
            {**stored[part], "options": {**stored[part].get("options", {}), "Ns": 0}} for stored in (content, there)
        )
        if ours != theirs:
            raise InputError(
                f"{folder} holds a network of another kind or task: expected a folder of the network's own"
            )


# --- networks ---------------------------------------------------------------------------------------------------------


def _network(model: Model) -> dict[str, Any]:
    """Return what a network is made of but its weights, after making it anew to see that nothing is missing."""
    from tauscope.models.low_rank import structure

    if model.start is not None:
        raise InputError("the network makes its initial states of codes: expected one without a start to save")
    if getattr(models, type(model).__name__, None) is not type(model):
        raise InputError(
            f"the network is a {type(model).__name__}: expected a tauscope Model, whose parts say all, to save"
        )
    described = {
        "layers": [_layer(cell, model.layers[0]) for cell in model.layers],
        "heads": _heads(model.heads),
        "skip_input": model.skip_input,
        "dtype": str(model.hidden(model.initial_state(1)).dtype).removeprefix("torch."),
    }
    # Plain networks are told as in files of earlier versions.
    described |= {"recurrent": recurrent} if (recurrent := structure(model)) else {}
    try:
        twin = _build(described)
    except (TypeError, ValueError, RuntimeError) as error:
        kinds = ", ".join(type(cell).__name__ for cell in model.layers)
        raise InputError(
            f"the network of {kinds} cannot be made anew ({error}): expected cells made of (n_inputs, n_units, generator)"
        ) from error
    _require_equal(model, twin)
    return described


def _layer(cell: Cell, first: Cell) -> dict[str, Any]:
    options = _kept(cell, list(inspect.signature(type(cell)).parameters)[3:])
    layer: dict[str, Any] = {
        "cell": _named(type(cell), models, "cell"),
        "n_inputs": cell.n_inputs,
        "n_units": cell.n_units,
    }
    if isinstance(cell, models.LeakyCell):
        options |= {
            "below": cell.n_below,
            "bias": cell.recurrent.bias is not None,
            "diagonal": cell.off_diagonal is None,
        }
        if cell.tau_map == "inverse":
            # Files of earlier versions do not say it.
            del options["tau_map"]
        # Its value is among the weights.
        options["tau"] = None if isinstance(cell.raw_tau, torch.nn.Parameter) else 1.0
        layer |= {"precision": cell.precision, "shares_input": cell is not first and cell.input is first.input}
    return layer | {"options": options}


def _heads(heads: Heads) -> dict[str, Any]:
    from tauscope.models.balanced import RateHeads

    kind = type(heads)
    if kind not in (models.Heads, RateHeads):
        raise InputError(f"the read-outs are a {kind.__name__}: expected ts.Heads to save the network")
    first = heads.linears[0]
    about = {"kind": kind.__name__, "names": list(heads.names), "shared": heads.shared, "n_outputs": first.out_features}
    return about | ({"afunc": heads.afunc} if isinstance(heads, RateHeads) else {"bias": first.bias is not None})


def _build(network: Mapping[str, Any]) -> Model:
    """Return a network of this description, with fresh weights."""
    from tauscope.models.balanced import RateHeads

    generator, cells = torch.Generator().manual_seed(0), list[Any]()
    for layer in network["layers"]:
        name = layer["cell"]
        kind: Any = models.user_cell(name) if own.is_own(name) else getattr(models, name)
        shared = {"input_layer": cells[0].input} if layer.get("shares_input") else {}
        cells.append(kind(layer["n_inputs"], layer["n_units"], generator, **shared, **_tuples(layer["options"])))
        if isinstance(cells[-1], models.LeakyCell):
            cells[-1].precision = layer["precision"]
    heads, n_units = network["heads"], cells[-1].n_units
    if heads["kind"] == "RateHeads":
        read: Any = RateHeads(n_units, heads["n_outputs"], heads["afunc"], generator)
    else:
        read = models.Heads(n_units, heads["names"], heads["n_outputs"], heads["shared"], generator, heads["bias"])
    made: Model = models.Model(cells, read, network["skip_input"])
    if recurrent := network.get("recurrent"):
        # The masks are among the weights.
        sparsity = 0.5 if recurrent["masked"] else 0.0
        made = models.low_rank_sparse(made, recurrent["rank"], sparsity, generator=generator)
    return made.to(getattr(torch, network["dtype"]))


def _require_equal(model: Model, twin: Model) -> None:
    """Refuse a network that, made anew with the same weights, is another."""
    names, theirs = model.state_dict().keys(), twin.state_dict().keys()
    if names != theirs:
        raise InputError(
            f"the network has {(sorted(names - theirs) or sorted(theirs - names))[0]}, which its class does not make: expected plain weights, such as "
            "after torch.nn.utils.parametrize.remove_parametrizations"
        )
    try:
        twin.load_state_dict(model.state_dict())
    except RuntimeError as error:
        raise InputError(f"the network made anew has other weights: {' '.join(str(error).split())}") from error
    twin = twin.to(model.hidden(model.initial_state(1)).device)
    inputs = torch.linspace(-1, 1, 7 * 3 * model.n_inputs, dtype=torch.float32, device="cpu").view(7, 3, -1)
    ours, other = (_answers(network, inputs) for network in (model, twin))
    if not torch.allclose(ours, other, equal_nan=True):
        raise InputError(
            "the network made anew answers otherwise: expected cells that keep their options under their names"
        )


def _answers(model: Model, inputs: torch.Tensor) -> torch.Tensor:
    device = model.hidden(model.initial_state(1)).device
    with torch.no_grad():
        trace = models.run(
            model, inputs.to(device), torch.Generator(device).manual_seed(0), heads=model.heads.names[:1]
        )
    return torch.cat([trace.states.flatten(), trace.outputs.flatten()])


# --- tasks and what both are made of ------------------------------------------------------------------------------------


def _task(task: Task) -> dict[str, Any]:
    """Return class and options of a task, after making it anew to see that nothing is missing."""
    kind = type(task)
    options = _kept(task, [name for name in inspect.signature(kind).parameters if name in fields_of(task)])
    described = {"class": _named(kind, tasks, "task"), "options": options}
    try:
        anew = kind(**_tuples(json.loads(json.dumps(options))))
    except (TypeError, ValueError) as error:
        raise InputError(f"{kind.__name__} cannot be made anew of its fields: {error}") from error
    if differing := difference(task, anew):
        raise InputError(
            f"{kind.__name__} cannot be made anew of its fields: its {differing} would be another; expected plain values "
            "under the names of its options"
        )
    return described


def _named(kind: type, package: Any, what: str) -> str:
    """Return the name of a class of a package of ours, or where a class of a user's own lies."""
    if getattr(package, kind.__name__, None) is kind:
        return kind.__name__
    if kind.__module__ == "__main__" or kind.__qualname__ != kind.__name__:
        raise InputError(
            f"{what} {kind.__name__} is not found by the commands: expected it at the top of a module of its own, not of a "
            "script or notebook"
        )
    return f"{kind.__module__}:{kind.__name__}"


def _kept(owner: object, names: list[str]) -> dict[str, Any]:
    """Return the options of an object that it keeps under their names and that a file can hold."""
    return {name: getattr(owner, name) for name in names if _is_plain(getattr(owner, name, inspect.Parameter.empty))}


def _is_plain(value: object) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, tuple | list) else isinstance(value, _PLAIN)


def _tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tupled(value) for name, value in options.items()}


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
