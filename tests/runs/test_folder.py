"""What is read of a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeping import keep, record
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
