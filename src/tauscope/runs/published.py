"""Read and write the files of the published code (LevinaLab/rnn_timescale_public)."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tauscope import models
from tauscope._lazy import torch
from tauscope.errors import DamagedFileError, InputError

if TYPE_CHECKING:
    from torch import Tensor


def _leaky_names(n_layers: int, n_heads: int) -> dict[str, str]:
    """Return our parameter name for every published name: τ, then input, recurrent, feed-forward and head layers."""
    names = {f"parameterlist.{i}": f"cells.{i}.raw_tau" for i in range(n_layers)}
    modules = ["cells.0.input"]
    modules += [f"cells.{i}.recurrent" for i in range(n_layers)]
    modules += [f"cells.{i}.from_below" for i in range(1, n_layers)]
    modules += [f"heads.linears.{i}" for i in range(n_heads)]
    for i, module in enumerate(modules):
        names |= {f"modulelist.{i}.{kind}": f"{module}.{kind}" for kind in ("weight", "bias")}
    return names


def _gated_names(cell: str, n_layers: int, n_heads: int) -> dict[str, str]:
    names = {
        f"{cell}.{kind}_{side}_l{layer}": f"cells.{layer}.rnn.{kind}_{side}_l0"
        for layer in range(n_layers)
        for kind in ("weight", "bias")
        for side in ("ih", "hh")
    }
    for i in range(n_heads):
        names |= {f"modulelist.{i}.{kind}": f"heads.linears.{i}.{kind}" for kind in ("weight", "bias")}
    return names


def _names(model: models.Model) -> dict[str, str] | None:
    n_layers, n_heads = len(model.cells), len(model.heads.names)
    if isinstance(model.cells[0], models.LeakyCell):
        return _leaky_names(n_layers, n_heads)
    for cell, kind in models.GATED.items():
        if isinstance(model.cells[0], kind):
            return _gated_names(cell, n_layers, n_heads)
    return None


def _kept_names(model: models.Model) -> dict[str, str]:
    """Return our parameter name for every name in a file: published names if every parameter has one, or our own."""
    own, names = model.state_dict().keys(), _names(model)
    return {key: key for key in own} if names is None or not own >= set(names.values()) else names


def to_published(model: models.Model) -> dict[str, Tensor]:
    """Return a network's weights under the published code's names.

    Parameters
    ----------
    model : Model
        Leaky, GRU or LSTM network, as in the published code; other networks keep their own names.

    Returns
    -------
    dict of Tensor
        ``parameterlist.0`` (τ), ``modulelist.0`` (input), ``modulelist.1`` (recurrent), ``modulelist.2 …`` (heads).

    Examples
    --------
    >>> from tauscope.models import LeakyRNN
    >>> model = LeakyRNN(4, generator=torch.Generator().manual_seed(0), n_heads=1)
    >>> sorted(to_published(model))[:3]
    ['modulelist.0.bias', 'modulelist.0.weight', 'modulelist.1.bias']
    """
    weights: dict[str, Tensor] = model.state_dict()
    return {published: weights[ours] for published, ours in _kept_names(model).items()}


def describe(weights: dict[str, Tensor], path: Path) -> dict[str, Any]:
    """Infer the cell and the sizes of a network from published weights.

    Parameters
    ----------
    weights : dict of Tensor
        Weights from `load_weights`.
    path : Path
        File of the weights, for messages.

    Returns
    -------
    dict
        ``cell``, ``n_units`` (of every layer), ``n_inputs``, ``n_outputs``, ``n_heads``.

    Raises
    ------
    InputError
        If the weights belong to no network of the published code.
    """
    modules = 1 + max(
        (int(m[1]) for key in weights if (m := re.fullmatch(r"modulelist\.(\d+)\.weight", key))), default=-1
    )
    gated = next((cell for cell in models.GATED if f"{cell}.weight_hh_l0" in weights), None)
    try:
        if gated:
            n_layers = sum(key.startswith(f"{gated}.weight_hh_l") for key in weights)
            sizes = [weights[f"{gated}.weight_hh_l{i}"].shape[1] for i in range(n_layers)]
            n_inputs, n_heads = weights[f"{gated}.weight_ih_l0"].shape[1], modules
        else:
            n_layers = sum(key.startswith("parameterlist.") for key in weights)
            sizes = [weights[f"modulelist.{1 + i}.weight"].shape[0] for i in range(n_layers)]
            n_inputs, n_heads = weights["modulelist.0.weight"].shape[1], modules - 2 * n_layers
        n_outputs = weights[f"modulelist.{modules - 1}.weight"].shape[0]
        if not sizes or n_heads < 1:
            raise KeyError("parameterlist.0")
        _require_shapes(weights, _shapes(gated, sizes, n_inputs, n_outputs, n_heads), path)
    except (KeyError, IndexError) as error:
        raise InputError(f"{path} holds no network that tauscope knows: {error.args[0]!r} is missing") from error
    return {
        "cell": gated or "leaky",
        "n_units": sizes,
        "n_inputs": n_inputs,
        "n_outputs": n_outputs,
        "n_heads": n_heads,
    }


def _shapes(gated: str | None, sizes: list[int], n_inputs: int, n_outputs: int, n_heads: int) -> dict[str, list[int]]:
    """Return the shapes of all matrices of a network by their published names."""
    below = [n_inputs, *sizes]
    if gated:
        gates = {"gru": 3, "lstm": 4}[gated]
        shapes = {
            f"{gated}.weight_{side}_l{i}": [gates * size, n_in]
            for i, size in enumerate(sizes)
            for side, n_in in (("ih", below[i]), ("hh", size))
        }
        first_head = 0
    else:
        pairs = [(sizes[0], n_inputs), *((size, size) for size in sizes), *zip(sizes[1:], sizes, strict=False)]
        shapes = {f"modulelist.{i}.weight": list(pair) for i, pair in enumerate(pairs)}
        first_head = len(pairs)
    return shapes | {f"modulelist.{first_head + i}.weight": [n_outputs, sizes[-1]] for i in range(n_heads)}


def _require_shapes(weights: dict[str, Tensor], shapes: dict[str, list[int]], path: Path) -> None:
    """Refuse weights whose shapes do not fit together, before a network of these sizes is built."""
    for name, expected in shapes.items():
        shape = list(weights[name].shape)
        if 0 in shape:
            raise InputError(f"{path}: {name!r} of shape {shape} is empty, expected weights")
        if shape != expected:
            raise InputError(f"{path}: {name!r} has shape {shape}, expected {expected}")


def load_published(model: models.Model, weights: dict[str, Tensor], path: Path) -> None:
    """Fill a network in place with published weights.

    Parameters
    ----------
    model : Model
        Network with the sizes that `describe` returns.
    weights : dict of Tensor
        Weights from `load_weights`; a single τ applies to all units.
    path : Path
        File of the weights, for messages.

    Raises
    ------
    InputError
        If a tensor is missing, unknown, or of another shape or dtype.
    """
    own = model.state_dict()
    names = _kept_names(model)
    unknown = sorted(set(weights) - set(names))
    missing = sorted(set(names) - set(weights))
    if unknown or missing:
        problem = f"{missing[0]!r} is missing" if missing else f"{unknown[0]!r} is unknown"
        raise InputError(f"{path} does not fit this network: {problem}")
    with torch.no_grad():
        for published, ours in names.items():
            value = weights[published]
            if value.numel() == 1 and ours.endswith("raw_tau"):
                value = value.expand(own[ours].shape)
            if value.shape != own[ours].shape:
                expected = list(own[ours].shape)
                raise InputError(f"{path}: {published!r} has shape {list(value.shape)}, expected {expected}")
            if not torch.can_cast(value.dtype, own[ours].dtype):
                raise InputError(f"{path}: {published!r} is of type {value.dtype}, expected {own[ours].dtype}")
            own[ours].copy_(value)


def stats_bytes(losses: list[float], accuracies: list[list[float]]) -> bytes:
    """Return the content of the published code's ``stats.npy``.

    Parameters
    ----------
    losses : list of float [epoch]
        Mean loss of every epoch.
    accuracies : list of list of float [epoch][head]
        Accuracy of every active head, in [0, 1]; the file holds percent.

    Returns
    -------
    bytes
        An ``.npy`` file.
    """
    content = {"loss": losses, "accuracy": [100 * np.asarray(epoch) for epoch in accuracies]}
    buffer = io.BytesIO()
    np.save(buffer, np.array(content, dtype=object), allow_pickle=True)
    return buffer.getvalue()


def read_stats(path: Path) -> dict[str, list[Any]]:
    """Read the published code's ``stats.npy``, unpickling only lists and arrays of numbers.

    Parameters
    ----------
    path : Path
        File to read.

    Returns
    -------
    dict
        ``loss`` [epoch], ``accuracy`` [epoch] of arrays [head] in percent.

    Raises
    ------
    DamagedFileError
        If the file holds other data.
    """
    try:
        with Path(path).open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            if shape != () or dtype != np.dtype(object):
                raise ValueError(f"an array of shape {shape} and type {dtype}")
            content = _unpickled(file.read())
        if isinstance(content, _Array):
            content = content.value.item()
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}")
        accuracies = [np.atleast_1d(_numbers(value)) for value in content["accuracy"]]
        # A pickle can refer to the same array many times.
        if sum(accuracy.size for accuracy in accuracies) > path.stat().st_size:
            raise ValueError("it unpacks to more than it holds")
        return {
            "loss": [float(_numbers(loss)) for loss in content["loss"]],
            "accuracy": [accuracy.astype(float) for accuracy in accuracies],
        }
    except Exception as error:  # an altered pickle or header can raise anything
        raise DamagedFileError(f"{path} is no stats.npy: {error}; expected a dict of 'loss' and 'accuracy'") from error


def _unpickled(content: bytes) -> Any:
    """Return the content of a pickle, refusing pickles that make Python allocate more memory than they hold."""
    for code, argument, _ in pickletools.genops(content):
        if "PUT" in code.name and isinstance(argument, int) and argument > len(content):
            raise pickle.UnpicklingError(f"it numbers {argument} objects")
    return _NumbersUnpickler(io.BytesIO(content)).load()


def _numbers(value: Any) -> Any:
    """Return a number or an array of numbers, refusing lists, which can contain the same list many times."""
    if isinstance(value, _Array):
        value = value.value
    if not isinstance(value, np.ndarray | np.generic | int | float):
        raise ValueError(f"a {type(value).__name__} in the place of numbers")
    return value


class _Array:
    """Replacement of a NumPy array or scalar during unpickling: takes the data and executes no code."""

    def __init__(self, *arguments: Any) -> None:
        self.value: Any = None
        if len(arguments) == 2 and isinstance(arguments[0], _DType):
            self.value = np.frombuffer(_raw(arguments[1]), arguments[0].dtype())[0]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if isinstance(content, list):
            if len(content) != math.prod(shape):
                raise pickle.UnpicklingError("array of objects of another length than its shape")
            self.value = np.empty(len(content), dtype=object)
            self.value[:] = content
            self.value = self.value.reshape(shape)
        else:
            flat = np.frombuffer(_raw(content), dtype.dtype())
            self.value = flat.reshape(shape, order="F" if fortran else "C")


def _raw(content: Any) -> bytes:
    if not isinstance(content, str | bytes):
        raise pickle.UnpicklingError(f"a {type(content).__name__} in the place of an array's bytes")
    return content.encode("latin1") if isinstance(content, str) else content


class _DType:
    """Replacement of a NumPy dtype during unpickling; accepts only numbers."""

    def __init__(self, name: Any, *_: Any) -> None:
        if not isinstance(name, str):
            raise pickle.UnpicklingError(f"a {type(name).__name__} in the place of an array's type")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in "<>" else "="

    def dtype(self) -> np.dtype[Any]:
        """Return the NumPy dtype."""
        if not re.fullmatch(r"[fiu][1248]", self.name):
            raise pickle.UnpicklingError(f"array of type {self.name!r}")
        return np.dtype(self.order + self.name)


def _reconstruct(*_: Any) -> _Array:
    return _Array()


_REPLACEMENTS: dict[str, Any] = {"_reconstruct": _reconstruct, "scalar": _Array, "ndarray": object, "dtype": _DType}


class _NumbersUnpickler(pickle.Unpickler):
    """Unpickler that replaces the five globals of pickled arrays of numbers, and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a global."""
        if module == "_codecs" and name == "encode":
            return _encode
        if module.partition(".")[0] == "numpy" and name in _REPLACEMENTS:
            return _REPLACEMENTS[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _encode(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")
