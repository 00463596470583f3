"""What survives on disk: failed writes, damaged states, and files that are not what they seem."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import random
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tauscope as ts
from tauscope.runs import checkpoints, published
from tauscope.runs.checkpoints import (
    load_state,
    load_weights,
    save_state,
    save_weights,
    turn_states,
)
from tauscope.runs.files import remove_unfinished, write_atomically

STATE: dict[str, Any] = {
    "weights": torch.arange(6.0).reshape(2, 3),
    "epoch": 3,
    "history": [{"Ns": [2, 3]}],
    "best": {},
}


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def small_weights() -> dict[str, Tensor]:
    return published.to_published(ts.LeakyRNN(3, generator=torch.Generator().manual_seed(0), n_heads=1))


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def flipped(content: bytes, position: int, change: int) -> bytes:
    return content[:position] + bytes([content[position] ^ change]) + content[position + 1 :]


class Shell:
    """A pickle of this runs a shell command when it is loaded."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


# --- atomic writes ----------------------------------------------------------------------------------------------------


def test_a_write_replaces_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    for content in (b"old and longer", b"new", b""):
        write_atomically(tmp_path / "file", content)
        assert listing(tmp_path) == {"file": content}


def test_a_written_file_has_the_permissions_of_any_other_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "file", b"x")
    plain, ours = ((tmp_path / name).stat().st_mode for name in ("plain", "file"))
    assert stat.S_IMODE(ours) == stat.S_IMODE(plain)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "file", b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(ts.InputError, match=r"cannot write .*file: No space left on device.*room for 3 bytes"):
        write_atomically(tmp_path / "file", b"new")
    monkeypatch.undo()
    assert listing(tmp_path) == {"file": b"old"}


def test_a_target_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    for target in (tmp_path / "file" / "below", tmp_path / "missing" / "below", tmp_path / "folder"):
        with pytest.raises(ts.InputError, match="cannot write"):
            write_atomically(target, b"y")
    assert listing(tmp_path) == {"file": b"x"}
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["inside"]


def test_unfinished_writes_are_removed_by_the_name_of_what_they_were_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        """Stands for the end of the process: nothing catches it."""

    def die(*_: object) -> None:
        raise KilledError

    for name in ("state.pt.new", "rnn_N2_N3", "evaluation.csv"):
        (tmp_path / name).write_bytes(b"old")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", die)
            with pytest.raises(KilledError):
                write_atomically(tmp_path / name, b"new")
    assert len(listing(tmp_path)) == 6
    remove_unfinished(tmp_path, ["state.pt", "rnn_"])
    kept = listing(tmp_path)
    assert {name for name in kept if not name.startswith(".")} == {"state.pt.new", "rnn_N2_N3", "evaluation.csv"}
    assert [name.startswith(".evaluation.csv.") for name in kept if name.startswith(".")] == [True]


# --- states -----------------------------------------------------------------------------------------------------------


def test_a_folder_without_states_has_none(tmp_path: Path) -> None:
    assert load_state(tmp_path) == (None, [])


def test_the_newest_state_is_loaded_and_one_before_it_kept(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save_state(tmp_path, STATE | {"epoch": epoch})
    state, notices = load_state(tmp_path)
    assert state is not None
    assert (state["epoch"], state["history"], notices) == (3, STATE["history"], [])
    assert torch.equal(state["weights"], STATE["weights"])
    assert sorted(listing(tmp_path)) == ["state.previous.pt", "state.pt"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "foreign"])
def test_a_damaged_state_falls_back_to_the_one_before_and_then_to_none(damage: str, tmp_path: Path) -> None:
    def harm(path: Path) -> None:
        content = path.read_bytes()
        middle = len(content) // 2
        damaged = {
            "truncated": content[:middle],
            "empty": b"",
            "flipped": flipped(content, middle, 1),
            "foreign": b"a letter to a friend",
        }
        path.write_bytes(damaged[damage])

    save_state(tmp_path, STATE | {"epoch": 1})
    save_state(tmp_path, STATE | {"epoch": 2})
    harm(tmp_path / "state.pt")
    state, (notice,) = load_state(tmp_path)
    assert state is not None
    assert state["epoch"] == 1
    assert notice.endswith(
        "state.pt is damaged: its checksum does not match its content; going on from state.previous.pt"
    )

    harm(tmp_path / "state.previous.pt")
    with pytest.raises(
        ts.DamagedFileError, match=r"state\.pt is damaged.*state\.previous\.pt is damaged.*no intact state"
    ):
        load_state(tmp_path)


def test_any_changed_byte_of_a_state_is_detected(tmp_path: Path) -> None:
    save_state(tmp_path, {"epoch": 1})
    content, draw = (tmp_path / "state.pt").read_bytes(), random.Random(0)
    for position in range(len(content)):
        (tmp_path / "state.pt").write_bytes(flipped(content, position, draw.randrange(1, 256)))
        with pytest.raises(ts.DamagedFileError, match="no intact state"):
            load_state(tmp_path)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_other_content_of_a_state_is_detected(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("state")
    save_state(folder, {"weights": torch.ones(2), "epoch": 1})
    content = (folder / "state.pt").read_bytes()
    cut = data.draw(st.integers(0, len(content)), label="kept bytes")
    tail = data.draw(st.binary(max_size=20), label="then")
    (folder / "state.pt").write_bytes(content[:cut] + tail)
    if content[:cut] + tail == content:
        assert load_state(folder)[0] is not None
    else:
        with pytest.raises(ts.DamagedFileError):
            load_state(folder)


@pytest.mark.parametrize("at", [1, 2])
def test_a_process_killed_while_it_turns_states_over_loses_nothing(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path, STATE | {"epoch": 1})
    save_state(tmp_path, STATE | {"epoch": 2})
    # The state before is damaged, so that only the newest can be gone on from.
    (tmp_path / "state.pt").write_bytes(b"damaged")
    renames = iter(range(3))
    replace = os.replace

    def dying(source: Path, target: Path) -> None:
        if next(renames) == at:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            save_state(tmp_path, STATE | {"epoch": 3})
    state, notices = load_state(tmp_path)
    assert state is not None
    assert (state["epoch"], notices) == (3, [])
    # What it left undone can be done later, once.
    for _ in range(2):
        turn_states(tmp_path)
        assert sorted(listing(tmp_path)) == ["state.previous.pt", "state.pt"]
        assert load_state(tmp_path)[1] == []
    save_state(tmp_path, STATE | {"epoch": 4})
    state, _ = load_state(tmp_path)
    assert state is not None
    assert state["epoch"] == 4
    assert sorted(listing(tmp_path)) == ["state.previous.pt", "state.pt"]


def test_a_state_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, STATE | {"epoch": 1})
    before = listing(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ts.InputError, match="No space left"):
            save_state(tmp_path, STATE | {"epoch": 2})
    assert listing(tmp_path) == before


def test_a_state_with_code_in_it_is_refused_and_not_executed(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"epoch": Shell(f"touch {tmp_path / 'executed'}")}, file)
    payload = file.getvalue()
    (tmp_path / "state.pt").write_bytes(checkpoints._MAGIC + hashlib.sha256(payload).digest() + payload)
    with pytest.raises(ts.DamagedFileError, match="no intact state"):
        load_state(tmp_path)
    assert not (tmp_path / "executed").exists()


# --- weights ----------------------------------------------------------------------------------------------------------


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    save_weights(tmp_path / "rnn_N2_N2", small_weights())
    assert same(load_weights(tmp_path / "rnn_N2_N2"), small_weights())


def test_weights_in_the_form_of_older_torch_versions_are_read(tmp_path: Path) -> None:
    torch.save({"state_dict": small_weights()}, tmp_path / "old", _use_new_zipfile_serialization=False)
    assert same(load_weights(tmp_path / "old"), small_weights())


def test_weights_that_share_their_numbers_are_read(tmp_path: Path) -> None:
    tied = torch.arange(600.0).reshape(20, 30)
    weights = {f"layer.{i}": tied for i in range(4)} | {"half": tied[:, ::2]}
    torch.save({"state_dict": weights}, tmp_path / "tied")
    assert same(load_weights(tmp_path / "tied"), weights)


@pytest.mark.parametrize("legacy", [False, True])
def test_one_number_for_many_is_refused(legacy: bool, tmp_path: Path) -> None:
    repeated = torch.ones(1).expand(10**9)
    torch.save({"state_dict": {"w": repeated}}, tmp_path / "few bytes", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ts.DamagedFileError, match="unpacks to more than it holds"):
        load_weights(tmp_path / "few bytes")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "rnn_N2_N2", tmp_path):
        with pytest.raises(ts.InputError, match=f"no checkpoint at {path}: expected a file"):
            load_weights(path)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain pickle"])
@pytest.mark.parametrize("place", ["value", "key", "whole"])
def test_code_in_a_checkpoint_is_refused_and_not_executed(form: str, place: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    code: Any = Shell(f"touch {marker}")
    content = {"value": {"state_dict": {"w": code}}, "key": {"state_dict": {(code,): torch.ones(1)}}, "whole": code}[
        place
    ]
    path = tmp_path / "rnn_N2_N2"
    if form == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ts.DamagedFileError, match="is not a checkpoint of weights"):
        load_weights(path)
    assert not marker.exists()

    # The same file is a live one.
    if form == "plain pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize(("legacy", "message"), [(False, "the end of its archive is missing"), (True, "")])
def test_a_checkpoint_cut_off_anywhere_is_refused(legacy: bool, message: str, tmp_path: Path) -> None:
    torch.save({"state_dict": small_weights()}, tmp_path / "whole", _use_new_zipfile_serialization=not legacy)
    content, path = (tmp_path / "whole").read_bytes(), tmp_path / "cut"
    for length in range(4, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ts.DamagedFileError, match=f"{re.escape(str(path))} is .*{message}"):
            load_weights(path)


def data_positions(path: Path) -> list[int]:
    """Return the positions of all bytes that a zip archive's checksums cover."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        positions = []
        for entry in archive.infolist():
            file.seek(entry.header_offset + 26)
            name, extra = np.frombuffer(file.read(4), "<u2")
            start = entry.header_offset + 30 + int(name) + int(extra)
            positions += list(range(start, start + entry.file_size))
    return positions


def test_a_flipped_bit_anywhere_in_the_data_of_a_checkpoint_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "rnn_N2_N2"
    save_weights(path, small_weights())
    content, positions = path.read_bytes(), data_positions(path)
    assert len(positions) > sum(4 * one.numel() for one in small_weights().values())
    for position in positions:
        path.write_bytes(flipped(content, position, 1 << position % 8))
        with pytest.raises(ts.DamagedFileError, match="is damaged: Bad CRC-32 for file"):
            load_weights(path)


def test_a_changed_header_is_detected_or_changes_no_weight(tmp_path: Path) -> None:
    path, draw = tmp_path / "rnn_N2_N2", random.Random(0)
    save_weights(path, small_weights())
    content, refused = path.read_bytes(), 0
    headers = sorted(set(range(len(content))) - set(data_positions(path)))
    for position in draw.sample(headers, 300):
        path.write_bytes(flipped(content, position, draw.randrange(1, 256)))
        try:
            assert same(load_weights(path), small_weights())
        except ts.DamagedFileError:
            refused += 1
    assert refused > 50


def test_an_entry_disguised_as_a_folder_is_read_all_the_same(tmp_path: Path) -> None:
    # torch's own reader takes such an entry's tensor from uninitialised memory.
    path = tmp_path / "rnn_N2_N2"
    save_weights(path, small_weights())
    content = path.read_bytes()
    for match in re.finditer(rb"PK\x01\x02", content):
        content = flipped(content, match.start() + 38, 0x10)
    path.write_bytes(content)
    assert same(load_weights(path), small_weights())


def test_an_archive_that_unpacks_to_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rnn_N2_N2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data/0", bytes(10_000))
        archive.filelist.extend([archive.filelist[0]] * 100)
    with pytest.raises(ts.DamagedFileError, match="unpacks to more than it holds"):
        load_weights(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_legacy_checkpoint_gives_finite_weights_or_one_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("legacy") / "rnn_N2_N2"
    torch.save({"state_dict": small_weights()}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    # The file names storages by where they lie in memory, so that its length is not the same every time.
    position = data.draw(st.integers(0, 2**20), label="position") % len(content)
    path.write_bytes(flipped(content, position, data.draw(st.integers(1, 255), label="change")))
    try:
        weights = load_weights(path)
    except ts.DamagedFileError:
        return
    assert all(bool(torch.isfinite(one).all()) for one in weights.values())


@pytest.mark.parametrize(
    "content",
    [
        {"weights": {}},
        {"state_dict": [torch.ones(1)]},
        {"state_dict": {"w": 1.0}},
        {"state_dict": {1: torch.ones(1)}},
        [torch.ones(1)],
        "state_dict",
    ],
)
def test_foreign_content_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "rnn_N2_N2")
    with pytest.raises(ts.DamagedFileError, match=r"expected \{'state_dict': named tensors\}"):
        load_weights(tmp_path / "rnn_N2_N2")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    weights = small_weights()
    weights["modulelist.1.weight"][1, 2] = value
    save_weights(tmp_path / "rnn_N2_N2", weights)
    with pytest.raises(ts.DamagedFileError, match=r"non-finite numbers in 'modulelist\.1\.weight'"):
        load_weights(tmp_path / "rnn_N2_N2")


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "stored", small_weights())
    with (
        zipfile.ZipFile(tmp_path / "stored") as stored,
        zipfile.ZipFile(tmp_path / "deflated", "w", zipfile.ZIP_DEFLATED) as deflated,
    ):
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    with pytest.raises(ts.DamagedFileError, match="it is compressed, expected the uncompressed archive"):
        load_weights(tmp_path / "deflated")
