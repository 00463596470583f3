"""Files made to execute code, to take all memory, or to be taken for what they are not."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import pickletools
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import xarray as xr

import tauscope as ts
from tauscope.runs import checkpoints, published, results

HUGE = 5 * 10**8
"""Numbers that a file of a few bytes claims to hold; as float32 they take 2 GB."""


class Shell:
    """A pickle of this runs a shell command when it is loaded."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


# --- pickles by hand --------------------------------------------------------------------------------------------------


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def group(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + group(*arguments) + b"R"


def storage(numel: int, kind: str = "FloatStorage", key: str = "0") -> bytes:
    return group(text("storage"), name("torch", kind), text(key), text("cpu"), integer(numel)) + b"Q"


def tensor(stored: bytes, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    shape, strides = (group(*map(integer, one)) for one in (size, stride))
    hooks = call(name("collections", "OrderedDict"))
    return call(name("torch._utils", "_rebuild_tensor_v2"), stored, integer(offset), shape, strides, b"\x89", hooks)


def dictionary(**values: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def pickled(value: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + value + b"."


def laughs(depth: int, width: int, leaf: bytes) -> bytes:
    """Return nested lists, each of which holds the one within many times: width^depth leaves from a few bytes."""
    inner = leaf
    for i in range(depth):
        inner = b"](" + inner + b"q" + bytes([i]) + (b"h" + bytes([i])) * (width - 1) + b"e"
    return inner


def archive(pickle_content: bytes, data: bytes = bytes(16), **more: bytes) -> bytes:
    """Return an archive as `torch.save` makes it, of a pickle and one storage."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("archive/data.pkl", pickle_content)
        packed.writestr("archive/byteorder", "little")
        packed.writestr("archive/data/0", data)
        packed.writestr("archive/version", "3\n")
        for key, value in more.items():
            packed.writestr(f"archive/{key}", value)
    return file.getvalue()


def weights_archive(value: bytes, **more: bytes) -> bytes:
    return archive(pickled(dictionary(state_dict=dictionary(w=value))), **more)


def saved(content: Any, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def small_weights() -> dict[str, torch.Tensor]:
    return published.to_published(ts.LeakyRNN(3, generator=torch.Generator().manual_seed(0), n_heads=2))


def with_weights(**changes: torch.Tensor) -> bytes:
    weights = small_weights() | {key.replace("__", "."): value for key, value in changes.items()}
    return saved({"state_dict": weights})


# --- networks ---------------------------------------------------------------------------------------------------------


def networks(marker: Path) -> Iterator[tuple[str, bytes]]:
    """Yield files to be taken for a network, by what is wrong with them; code in them would make the marker."""
    shell = Shell(f"touch {marker}")
    four = storage(4)
    yield from _with_code(shell)
    yield "absurd size: storage of 2 GB in 16 bytes", weights_archive(tensor(storage(HUGE), (HUGE,), (1,)))
    yield "absurd size: storage of 4 TB", weights_archive(tensor(storage(10**12), (10**12,), (1,)))
    yield "absurd size: negative", weights_archive(tensor(storage(-4), (4,), (1,)))
    yield "absurd size: one number repeated", weights_archive(tensor(four, (HUGE,), (0,)))
    yield "absurd size: beyond its storage", weights_archive(tensor(four, (HUGE,), (1,)))
    yield "absurd size: behind its storage", weights_archive(tensor(four, (4,), (1,), 1 << 60))
    yield "absurd size: negative stride", weights_archive(tensor(four, (4,), (-1,)))
    yield "absurd size: one storage in many tensors", _many_views()
    yield "absurd size: asked of torch.Tensor", weights_archive(call(name("torch", "Tensor"), integer(HUGE)))
    yield "absurd size: asked of torch.FloatTensor", weights_archive(call(name("torch", "FloatTensor"), integer(HUGE)))
    yield "absurd size: asked of bytearray", weights_archive(call(name("builtins", "bytearray"), integer(HUGE)))
    yield "absurd size: by Python 2's name", weights_archive(call(name("__builtin__", "bytearray"), integer(HUGE)))
    yield "absurd size: in an older form", _legacy(HUGE)
    yield "absurd size: no numbers but many rows", with_weights(modulelist__1__weight=torch.ones(100_000, 0))
    yield "absurd size: one column of many rows", with_weights(modulelist__1__weight=torch.ones(100_000, 1))
    yield "absurd size: many classes", with_weights(modulelist__3__weight=torch.ones(200_000, 3))
    yield "tensor without numbers", weights_archive(
        call(name("torch._utils", "_rebuild_meta_tensor_no_storage"), name("torch", "float32"),
             group(integer(9)), group(integer(1)), b"\x89")
    )  # fmt: skip
    yield "nested lists of 10^10 leaves", weights_archive(laughs(10, 10, four))
    yield "a dictionary within itself", archive(pickled(b"}q\x00" + text("state_dict") + b"h\x00s"))
    yield "deeply nested", archive(pickled(b"(" * 200_000))
    yield "memo of 2^31 objects", archive(pickled(b"Nr\xff\xff\xff\x7f"))
    yield "pickle of another protocol", archive(pickled(dictionary(state_dict=dictionary()), 4))
    yield from _bombs()
    yield from _wrong()


def _with_code(shell: Shell) -> Iterator[tuple[str, bytes]]:
    for place, content in {
        "value": {"state_dict": {"w": shell}},
        "key": {"state_dict": {(shell,): torch.ones(1)}},
        "whole": shell,
    }.items():
        yield f"code in a pickle ({place}), torch archive", saved(content)
        yield f"code in a pickle ({place}), older form of torch", saved(content, legacy=True)
        for protocol in (0, 2, 4):
            yield f"code in a pickle ({place}), protocol {protocol}", pickle.dumps(content, protocol)
    executing = pickle.dumps(shell, 2)
    honest = saved({"state_dict": small_weights()})
    yield "code in front of a network", executing + honest
    yield "code behind a network", honest + executing
    yield "code in a second pickle", archive(pickled(dictionary(state_dict=dictionary())), **{"DATA.PKL": executing})
    yield "code in TorchScript's place", archive(pickled(dictionary()), **{"constants.pkl": executing})
    yield "code in a tar file", _tar(executing)
    yield "code in an .npy file", numpy_file(executing)
    yield "code in a class's build", archive(pickled(call(name("builtins", "eval"), text("1")) + b"}b"))


def _many_views() -> bytes:
    """Return 10 000 tensors that share one storage of 4 MB: 40 GB of a network from 4 MB."""
    entries = b"".join(text(f"modulelist.{i}.weight") + b"h\x00" for i in range(1, 10_000))
    whole = text("modulelist.0.weight") + tensor(storage(1 << 20), (1 << 20,), (1,)) + b"q\x00"
    return archive(pickled(b"}" + text("state_dict") + b"}(" + whole + entries + b"us"), bytes(4 << 20))


def _legacy(numel: int) -> bytes:
    """Return the older form with a storage that is not there."""
    stored = group(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), integer(numel), b"N") + b"Q"
    heads = [saved({}, legacy=True)]
    ends = [position for code, _, position in _codes(heads[0]) if code == "STOP"]
    content = pickled(dictionary(state_dict=dictionary(w=tensor(stored, (numel,), (1,)))))
    return heads[0][: ends[2] + 1] + content + pickled(b"]" + text("0") + b"a") + struct.pack("<q", numel) + bytes(64)


def _codes(content: bytes) -> Iterator[tuple[str, Any, int]]:
    file = io.BytesIO(content)
    for _ in range(3):
        for code, argument, position in pickletools.genops(file):
            assert position is not None
            yield code.name, argument, position


def _tar(executing: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as packed:
        for member in ("storages", "tensors", "pickle"):
            about = tarfile.TarInfo(member)
            about.size = len(executing)
            packed.addfile(about, io.BytesIO(executing))
    return file.getvalue()


def _bombs() -> Iterator[tuple[str, bytes]]:
    zeros = bytes(200 << 20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", pickled(dictionary()))
        packed.writestr("archive/data/0", zeros)
    yield "zip bomb: 200 MB of zeros", file.getvalue()
    once = bytearray(archive(pickled(dictionary()), bytes(1 << 20)))
    yield "zip bomb: entries over each other", bytes(_overlapping(once))
    flags = bytearray(file.getvalue())
    for start in _all(flags, b"PK\x01\x02"):
        flags[start + 10 : start + 12] = bytes(2)  # said not to be compressed
    yield "zip bomb: said not to be compressed", bytes(flags)
    sizes = bytearray(archive(pickled(dictionary())))
    for start in _all(sizes, b"PK\x01\x02"):
        sizes[start + 20 : start + 28] = struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)
    yield "zip entries of 4 GB that are not there", bytes(sizes)
    yield "two entries of one name", archive(pickled(dictionary()), **{"DATA/0": b"other"})


def _all(content: bytearray, part: bytes) -> Iterator[int]:
    start = content.find(part)
    while start >= 0:
        yield start
        start = content.find(part, start + 1)


def _overlapping(content: bytearray) -> bytearray:
    """Return an archive whose directory names one entry a hundred times."""
    end = content.rfind(b"PK\x05\x06")
    first = content.find(b"PK\x01\x02")
    second = content.find(b"PK\x01\x02", first + 1)
    n, size, offset = 100, 100 * (second - first), first
    directory = content[first:second] * n
    return content[:first] + directory + content[end : end + 8] + struct.pack("<HHIIH", n, n, size, offset, 0)


def _wrong() -> Iterator[tuple[str, bytes]]:
    for value in (float("nan"), float("inf")):
        broken = small_weights()["modulelist.1.weight"].clone()
        broken[1, 2] = value
        yield f"{value} among the weights", with_weights(modulelist__1__weight=broken)
    weights = small_weights()
    del weights["modulelist.1.bias"]
    yield "a tensor missing", saved({"state_dict": weights})
    yield "a tensor too many", with_weights(other=torch.ones(1))
    yield "wrong shape: recurrent weights not square", with_weights(modulelist__1__weight=torch.ones(3, 4))
    yield "wrong shape: a vector for a matrix", with_weights(modulelist__0__weight=torch.ones(3))
    yield "wrong shape: bias", with_weights(modulelist__0__bias=torch.ones(2))
    yield "wrong shape: head", with_weights(modulelist__2__weight=torch.ones(2, 5))
    yield "complex weights", with_weights(modulelist__1__weight=torch.ones(3, 3, dtype=torch.complex64))
    yield "another network", saved({"state_dict": {"conv.weight": torch.ones(3, 3)}})
    yield "no network", saved({"loss": [0.5]})
    yield "numbers by name", saved({"state_dict": {"w": 1.0}})
    yield "not named", saved([torch.ones(1)])
    yield "sparse", saved({"state_dict": {"w": torch.ones(3).to_sparse()}})
    yield "NumPy's own", numpy_file(pickle.dumps([1.0]))
    yield "empty", b""
    yield "a picture", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "text", "τ = 1\n".encode() * 50
    yield "JSON", b'{"state_dict": {}}'
    yield "HDF5", b"\x89HDF\r\n\x1a\n" + bytes(2000)


# --- states -----------------------------------------------------------------------------------------------------------


def state(payload: bytes) -> bytes:
    """Return a state with its checksum, of any content."""
    return checkpoints._MAGIC + hashlib.sha256(payload).digest() + payload


def states(marker: Path, honest: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield states to be continued from, each with a checksum that is right."""
    yield "code", state(saved({"epoch": Shell(f"touch {marker}")}))
    yield "code, older form", state(saved({"epoch": Shell(f"touch {marker}")}, legacy=True))
    yield "nothing", state(b"")
    yield "no dictionary", state(saved([1]))
    yield "nothing by name", state(saved({}))
    for key in honest:
        # States of earlier versions do not say whether subnormal numbers were flushed, what solvers told, nor how many frames there were.
        if key not in ("flushes_subnormals", "told_sums", "frames"):
            yield f"without {key}", state(saved({name: one for name, one in honest.items() if name != key}))
        yield f"text for {key}", state(saved(honest | {key: "text"}))
    yield "one number repeated", state(archive(pickled(dictionary(model=tensor(storage(4), (HUGE,), (0,))))))
    yield (
        "asked of bytearray",
        state(archive(pickled(dictionary(epoch=call(name("builtins", "bytearray"), integer(HUGE)))))),
    )
    records = laughs(9, 10, b"}")
    yield "records of 10^9 entries", state(archive(pickled(dictionary(history=records, epoch=integer(1)))))
    yield "NaN weights", state(saved(honest | {"model": {k: v * torch.nan for k, v in honest["model"].items()}}))
    yield "another network", state(saved(honest | {"model": {k: v[..., :1] for k, v in honest["model"].items()}}))
    yield (
        "generators of another kind",
        state(saved(honest | {"generators": {"data": torch.zeros(3, dtype=torch.uint8)}})),
    )
    yield "an epoch that is no number", state(saved(honest | {"epoch": None}))
    yield "records that are none", state(saved(honest | {"history": [1]}))


# --- results ----------------------------------------------------------------------------------------------------------


def sealed(content: bytes) -> bytes:
    """Return a result with its checksum, of any content."""
    return content + results._SEAL + hashlib.sha256(content).digest()


def netcdfs(_: Path, honest: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield files to be taken for a result."""
    foreign = xr.Dataset({"air": ("time", np.arange(4.0))})
    yield "netCDF of other origin", bytes(foreign.to_netcdf(engine="h5netcdf"))
    yield "netCDF-3", bytes(foreign.to_netcdf(engine="scipy"))
    yield "result cut in half", honest[: len(honest) // 2]
    yield "result with another's end", honest[:-1] + b"?"
    for options in ({"fillvalue": 1.0}, {"fillvalue": 1.0, "chunks": (1 << 20,), "compression": "gzip"}):
        yield f"HDF5 that claims 4 GB ({len(options)})", sealed(_claiming((HUGE,), options))
    yield "HDF5 that claims 8 EB", sealed(_claiming((1 << 30, 1 << 30), {"chunks": (1024, 1024)}))
    yield "HDF5 of 200 MB of zeros, compressed", sealed(_compressed())
    for about in (b"", b"{}", b"[1]", b"[" * 100_000, b'{"sha256": 1}'):
        yield f"provenance {about[:12]!r}", sealed(_with_provenance(foreign, about.decode()))
    yield "empty", b""
    yield "the mark of HDF5 alone", b"\x89HDF\r\n\x1a\n"
    yield "text", b"mine\n"


def _claiming(shape: tuple[int, ...], options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened.attrs[results._PROVENANCE] = "{}"
        opened.create_dataset("tau", shape=shape, dtype="f8", **options)
    return file.getvalue()


def _compressed() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened.create_dataset("tau", data=np.zeros(25 << 20), compression="gzip", compression_opts=9)
    return file.getvalue()


def _with_provenance(foreign: xr.Dataset, about: str) -> bytes:
    return bytes(foreign.assign_attrs({results._PROVENANCE: about}).to_netcdf(engine="h5netcdf"))


# --- stats.npy --------------------------------------------------------------------------------------------------------


def numpy_file(pickle_content: bytes, header: bytes | None = None) -> bytes:
    file = io.BytesIO()
    if header is None:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    else:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return file.getvalue() + pickle_content


def statistics(marker: Path) -> Iterator[tuple[str, bytes]]:
    """Yield files to be taken for the published code's ``stats.npy``."""
    shell, array = Shell(f"touch {marker}"), np.ones(1 << 18, dtype="f4")
    for content in (shell, {"loss": [shell], "accuracy": []}, {"loss": [], "accuracy": [np.array([shell])]}):
        yield "code", numpy_file(pickle.dumps(content))
    for function in (np.load, eval, getattr, io.open, np.lib.format.open_memmap, np.fromfile):
        yield f"a call of {function.__name__}", numpy_file(pickle.dumps(_Call(function, "x")))
    yield "one array at 20 000 places", numpy_file(pickle.dumps({"loss": [], "accuracy": [array] * 20_000}))
    tower = laughs(9, 10, b"G" + struct.pack(">d", 1.0))
    for key, other in (("accuracy", "loss"), ("loss", "accuracy")):
        yield f"nested lists of 10^9 numbers as {key}", numpy_file(pickled(dictionary(**{key: tower, other: b"]"})))
    kind = call(name("numpy", "dtype"), text("f8"), b"\x89", b"\x88")
    yield "a number of 500 MB", numpy_file(pickled(call(name("numpy.core.multiarray", "scalar"), kind, integer(HUGE))))
    yield "a type named by nested lists", numpy_file(pickled(call(name("numpy", "dtype"), tower, b"\x89", b"\x88")))
    yield "memo of 2^31 objects", numpy_file(pickled(b"Nr\xff\xff\xff\x7f"))
    for code in (b"\x8e", b"\x96", b"B"):
        length = struct.pack("<Q", HUGE) if code != b"B" else struct.pack("<I", HUGE)
        yield f"bytes of 500 MB that are not there ({code!r})", numpy_file(pickled(code + length, 5))
    yield "a frame of 2^60 bytes", numpy_file(pickled(b"\x95" + struct.pack("<Q", 1 << 60), 4))
    yield (
        "an array of 2^60 numbers",
        numpy_file(b"", b"{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,), }\n"),
    )
    yield "a header that is code", numpy_file(b"", f"__import__('os').system('touch {marker}')\n".encode())
    yield "a header in a header", numpy_file(b"", b"{'descr': " + b"[" * 5000 + b"\n")
    yield "numbers alone", numpy_file(b"", b"{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }\n")
    yield "empty", b""


class _Call:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


# --- configurations and records ---------------------------------------------------------------------------------------


def configurations() -> Iterator[tuple[str, bytes]]:
    """Yield files to be taken for a ``config.json``."""
    yield "deeply nested", b"[" * 200_000
    yield "deeply nested options", b'{"task": ' * 100_000
    yield "a list", b"[]"
    yield "a number of 5000 digits", b'{"seed": ' + b"9" * 5000 + b"}"
    yield "no UTF-8", b'{"task": "\xff"}'
    yield "a cell that is a function", b'{"cell": "os:system"}'
    yield "a cell of a module that is code", b'{"cell": "evil:Cell", "num_neurons": 8, "seed": 0}'
    for option, value in (
        ("num_neurons", 10**12), ("num_neurons", 10**5), ("num_neurons", 2.5), ("num_neurons", True), ("num_neurons", "9"),
        ("num_layers", 10**9), ("max_N", 10**12), ("init_heads", 10**9), ("init_heads", None), ("duplicates", 5), ("duplicates", ["a"]),
        ("seed", 1.5), ("seed", -1), ("seed", []), ("lr", "fast"), ("lr", float("nan")), ("lr", None), ("tau", 1e400), ("task", 5),
        ("task", ["parity"]), ("task", {}), ("labels", None), ("cell", 7), ("cell", ["leaky"]), ("plus_minus", "yes"), ("p", "x"),
        ("p", [0.5]), ("network_number", "../../x"), ("network_number", 1.5), ("epochs", {}), ("epochs", 1.5), ("batch_size", 10**15),
        ("batch_size", 1.5), ("momentum", []), ("clip", "1"), ("precision", 3), ("optimizer", []), ("afunc", {"a": 1}), ("nonsense", 1),
    ):  # fmt: skip
        yield f"{option} {value!r}", json.dumps({option: value}).encode()


def records() -> Iterator[tuple[str, bytes]]:
    """Yield files to be taken for a ``metrics.jsonl``."""
    honest = {"epoch": 1, "Ns": [2], "loss": 0.5, "accuracy": [0.5], "solved": False, "seconds": 1.0}
    honest |= {"steps_per_second": 9.0, "finished": False}
    yield "deeply nested", b"[" * 200_000
    yield "binary", bytes(range(256)) * 20
    yield "numbers", b"1\n2\n"
    yield "lists", b"[]\n[[]]\n"
    yield "a number of 5000 digits", b'{"epoch": ' + b"9" * 5000 + b"}\n"
    for key, value in honest.items():
        others: list[Any] = [None, "text", [], {}, -1, 10**400, [None], ["a"], [10**400], True, [[2]], 1e308]
        for other in others:
            if other != value:
                yield f"{key} {str(other)[:20]}", json.dumps(honest | {key: other}).encode() + b"\n"


def environments() -> Iterator[tuple[str, bytes]]:
    """Yield files to be taken for an ``environment.json``."""
    for content in (
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b'["x"]',
        b"[null]",
        b"[[]]",
        b"5",
        b'"x"',
        b"null",
        b"[{}]",
        b"[" * 200_000,
        b"\xff",
    ):
        yield f"{content[:20]!r}", content


def plans() -> Iterator[tuple[str, bytes]]:
    """Yield files to be taken for what a sweep wrote down."""
    texts = [
        "",
        "{}",
        "[]",
        "5",
        "null",
        "[" * 200_000,
        '{"runs": 5}',
        '{"runs": [1]}',
        '{"runs": {"a": 1}}',
        '{"jobs": 1}',
    ]
    run = {"epochs": 3, "options": {"task": "parity"}}
    for key, value in (
        ("epochs", None),
        ("epochs", "x"),
        ("epochs", 10**400),
        ("options", 5),
        ("options", {"task": 5}),
    ):
        texts.append(json.dumps({"runs": {"a": run | {key: value}}, "jobs": {}}))
    for name in ("", "../../../../etc", "/etc", "x" * 5000, "a\nb", "[red]", "\0"):
        texts.append(json.dumps({"runs": {name: run}, "jobs": {}}))
    for text in texts:
        yield repr(text[:40]), text.encode()
    yield "binary", bytes(range(256)) * 20


def sweeps() -> Iterator[tuple[str, bytes]]:
    """Yield files to be taken for a sweep file."""
    yield "deeply nested", b"options = " + b"[" * 100_000
    yield "deeply nested keys", b".".join([b"a"] * 100_000) + b" = 1\n"
    yield "two megabytes", b"# comment\n" * 200_000
    yield "binary", bytes(range(256)) * 20
    yield "no UTF-8", b'[options]\ntask = "\xff"\n'
    yield "another program's", b'[build-system]\nrequires = ["hatchling"]\n'
    yield "a number of 5000 digits", b"[options]\nseed = " + b"9" * 5000 + b"\n"
    yield "10^12 runs", b"[grid]\n" + b"".join(b"%s = [%s]\n" % (key, b",".join(b"%d" % i for i in range(1, 1001)))
                                              for key in (b"num_neurons", b"ns_init", b"seed", b"epochs"))  # fmt: skip
    yield "many networks", b"[networks]\nnumbers = [" + b",".join(b"%d" % i for i in range(60_000)) + b"]\n"
    for options in (
        'task = "paritty"', "num_neurons = 1e9", "num_neurons = true", "num_neurons = [1]", "lr = nan", "lr = 1979-05-27",
        'cell = "nowhere:Cell"', 'cell = "os:system"', "max_N = 1000000000000", "init_heads = 1000000000\nmax_N = 10000000000",
        "duplicates = 5", 'duplicates = ["a"]', "nonsense = 1", "network_number = -1",
    ):  # fmt: skip
        yield options, f"[options]\n{options}\n".encode()
