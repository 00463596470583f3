"""What is read of a run folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeping import keep, record
from tauscope.errors import DamagedFileError
from tauscope.runs import folder as folders


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=30), st.integers(1, 300), st.booleans())
def test_the_last_records_are_those_that_reading_all_gives(
    tmp_path_factory: pytest.TempPathFactory, solved: list[bool], block: int, cut: bool
) -> None:
    records = [record(i + 1, i + 2, one) for i, one in enumerate(solved)]
    folder = keep(tmp_path_factory.mktemp("runs") / "run", {}, records)
    if cut:
        with (folder / "metrics.jsonl").open("a") as file:
            file.write('{"epoch": 99, "solved": true')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folders, "_BLOCK", block)
        last, newest = folders.last_records(folder)
    assert last == (records[-1] if records else None)
    assert newest == next((one for one in reversed(records) if one["solved"]), None)


def test_no_more_is_read_than_is_needed(tmp_path: Path) -> None:
    newest = record(2001, 2, True)
    folder = keep(tmp_path / "run", {}, [])
    with (folder / "metrics.jsonl").open("wb") as file:
        # A hole, which takes no room on the disk and would take this much memory.
        file.truncate(1 << 40)
        file.seek(0, 2)
        file.write(b"\n" + json.dumps(newest).encode() + b"\n")
    assert folders.last_records(folder) == (newest, newest)


def test_records_that_are_right_pass_whatever_else_they_hold(tmp_path: Path) -> None:
    # A loss can be any number, and a stage of a user's own need not count.
    right = [record(1, 2, False) | {"loss": 1e308, "mine": {}}, record(2, 2, True) | {"loss": float("nan")}]
    del right[1]["Ns"]
    folder = keep(tmp_path / "run", {}, right)
    assert str(folders.read_records(folder)) == str(right)
    assert folders.read_records(folder, stages=["N2_N2"])
    with pytest.raises(DamagedFileError, match=r"metrics\.jsonl: line 1 has no reward; expected a list of scores"):
        folders.read_records(folder, "reward")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("epoch", [[], {}, [[2]], "1", None, True, 0, -1, 1.5, 1e308, 10**400]),
        ("stage", [[], 5, None, "unknown"]),
        ("Ns", [[], {}, None, 2, ["2"], [None], [2.5], [10**400]]),
        ("loss", [[], {}, "0.5", None, True, 10**400]),
        ("accuracy", [[], 0.5, None, ["0.5"], [[0.5]], [None], [10**400]]),
        ("solved", [[], 1, "true", None]),
        ("seconds", ["1", None, -1.0, float("nan"), float("inf"), 1e308]),
    ],
)
def test_the_line_of_a_wrong_record_is_named(name: str, values: list[Any], tmp_path: Path) -> None:
    for i, value in enumerate(values):
        folder = keep(tmp_path / str(i), {}, [record(1, 2, False), record(2, 2, True) | {name: value}])
        told = re.escape(str(folder / "metrics.jsonl")) + rf": {name} of line 2 is .*; expected \w+[^\n]*$"
        with pytest.raises(DamagedFileError, match=told):
            folders.read_records(folder, stages=["N2_N2"])


@pytest.mark.parametrize("line", ["5", "[]", "null", "[[]]"])
def test_a_line_that_is_no_record_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record(1, 2, False)) + f"\n{line}\n")
    with pytest.raises(DamagedFileError, match="line 2 is no record of an epoch; expected values by name"):
        folders.read_records(tmp_path)
