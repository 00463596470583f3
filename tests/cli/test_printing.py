"""What is printed: texts of users as they are, in any encoding, and to whoever reads them or nobody."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from tauscope._streams import command_line, lasting_streams, spelled
from tauscope.cli import UNPRINTED, main
from tauscope.cli.console import PlainConsole, progress_bar
from tauscope.runs.checkpoints import load_state

NAME = "cumulative_parity_size_4_network_1"
TRAIN = [
    "train",
    "-nn",
    "4",
    "-s",
    "0",
    "--max-N",
    "4",
    "--epochs",
    "3",
    "--steps-per-epoch",
    "2",
    "--batch-size",
    "2",
    "--test-steps",
    "1",
    "--threads",
    "1",
]
TEXTS = ["a [old]", "a[/b]", "[red]x[/red]", ":smile:", "{x} %s", "[link=http://x]y", "\\[x]", "a  b"]


def call(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of bash, in which ``$T`` is this program."""
    environment = os.environ | {"T": f"{sys.executable} -m tauscope"} | variables
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="latin-1",
        timeout=300,
        check=False,
    )


def is_trained(folder: Path) -> bool:
    state, notices = load_state(folder / NAME)
    return state is not None and state["epoch"] == 3 and notices == []


# --- texts of users ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_users_are_no_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = PlainConsole()
    console.print(text)
    table = Table(text, title=text)
    table.add_row(text)
    console.print(table)
    assert [line.strip("┃│ ") for line in capsys.readouterr().out.splitlines() if text in line] == [text] * 4


@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_users_are_no_markup_beside_a_bar(text: str) -> None:
    out = io.StringIO()
    with progress_bar(Console(file=out, force_terminal=True, width=120), "doing") as bar:
        bar.add_task(text, doing=f"<{text}>")
        bar.refresh()
    assert out.getvalue().count(text) >= 2


@pytest.mark.parametrize("name", ["a [old]", "a[/b]", ":smile: [bold]", "two  spaces", "qu'ote"])
def test_a_run_in_any_folder_is_told_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "-b", name, "--time-limit", "0"]) == 0
    told = capsys.readouterr().out
    assert f"{name}/{NAME}: seed 0" in told
    _, _, again = told.splitlines()[-1].partition("go on: ")
    words = subprocess.run(["bash", "-c", f"printf '%s\\n' {again}"], capture_output=True, text=True, check=True).stdout
    assert words.splitlines() == ["tauscope", "train", "--resume", f"{name}/{NAME}"]
    assert main(["status", "."]) == 0
    assert f"{name}/{NAME}" in capsys.readouterr().out
    for command in (["analyze", "connectivity"], ["evaluate"]):
        assert main([*command, f"{name}/{NAME}"]) == 2
        assert name in capsys.readouterr().err
    assert main(["train", "--resume", f"{name}/none"]) == 2
    assert f"{name}/none" in capsys.readouterr().err


# --- encodings --------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(), st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8", "koi8-r"]))
def test_any_text_can_be_printed_in_any_encoding(text: str, encoding: str) -> None:
    told = spelled(text, encoding)
    assert told.encode(encoding).decode(encoding) == told
    if text.isascii():
        assert told == text


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=1, max_size=3))
def test_a_printed_command_line_means_its_words(words: list[str]) -> None:
    names = [os.fsdecode(word.encode("utf-8", "surrogatepass")) for word in words]
    line = command_line(names, "ascii")
    assert line.isascii()
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    assert done.stdout.split(b"\0")[:-1] == [os.fsencode(name) for name in names]


def test_signs_and_letters_have_others_that_stand_for_them() -> None:
    assert spelled("✓ ✗ ≈ – × τ Σ λ0 é 日 \udcff", "ascii") == "+ x ~ - x tau Sigma lambda0 \\xe9 \\u65e5 \\xff"
    assert spelled("τ in é", "latin-1") == "tau in é"
    assert spelled("caf\udcc3\udca9", "utf-8") == "café"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_stream_takes_any_text(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    below = io.BytesIO()
    stream = io.TextIOWrapper(below, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with lasting_streams():
        console = PlainConsole()
        table = Table("τ", title="a ✓ 日 \udcff")
        table.add_row("– × é")
        console.print(table)
        print("a ✓ \udcff")
    text = below.getvalue().decode(encoding)
    lines = [line for line in text.splitlines() if line]
    # All lines of the table are as wide as its frame, whatever stands for what.
    assert len({len(line.rstrip()) for line in lines if line[0] in "+|┏┃┡│└"}) == 1
    assert lines[-1].endswith("\\xff")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
def test_commands_speak_any_encoding(encoding: str, tmp_path: Path) -> None:
    words = " ".join(TRAIN)
    command = f"$T {words} -b 'résumé τ' && $T status . && $T reproduce --dry-run && $T reproduce emergent-timescales --scale smoke -b r --dry-run"
    done = call(command, tmp_path, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sum" in done.stdout
    assert is_trained(tmp_path / "résumé τ")


def test_a_system_without_utf_8_has_folders_of_any_name(tmp_path: Path) -> None:
    words = " ".join(TRAIN)
    done = call(
        f"$T {words} -b 'résumé' --time-limit 0 && $T status 'résumé'",
        tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "go on: tauscope train --resume $'r\\xc3\\xa9sum\\xc3\\xa9/" in done.stdout
    assert (tmp_path / "résumé" / NAME / "state.pt").exists()


# --- streams that end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "code", "error"),
    [
        (">&-", 0, ""),
        (">&- 2>&- <&-", 0, ""),
        ("2>&- >/dev/null", 0, ""),
        ("2>/dev/full >/dev/null", 0, ""),
        (">/dev/full", UNPRINTED, "No space left on device"),
        (">/dev/full 2>&1", UNPRINTED, ""),
        ("| head -n 1; exit ${PIPESTATUS[0]}", 0, ""),
        ("2>&1 | true; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_a_run_is_trained_whoever_reads_of_it(end: str, code: int, error: str, tmp_path: Path) -> None:
    done = call(f"$T {' '.join(TRAIN)} -b . {end}", tmp_path)
    assert done.returncode == code
    lines = done.stderr.splitlines()
    assert len(lines) == (1 if error else 0)
    assert all(error in line and line.startswith("tauscope: error: standard output cannot be") for line in lines)
    assert is_trained(tmp_path)
    # No file of the run took the place of the closed stream.
    config = (tmp_path / NAME / "config.json").read_text()
    assert config.startswith("{\n")
    assert (tmp_path / NAME / "run.lock").read_text().isdecimal()


def test_other_commands_say_that_they_cannot_print(tmp_path: Path) -> None:
    assert main([*TRAIN, "-b", str(tmp_path), "--time-limit", "0"]) == 0
    for command, code in (("status .", UNPRINTED), ("--help", UNPRINTED), ("status nowhere", 2)):
        done = call(f"$T {command} >/dev/full", tmp_path)
        assert done.returncode == code
    for command in ("status .", "--help", "train --help"):
        done = call(f"$T {command} | head -n 1; exit ${{PIPESTATUS[0]}}", tmp_path)
        assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)


def test_the_streams_of_before_come_back() -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), lasting_streams():
        raise ZeroDivisionError
    assert (sys.stdout, sys.stderr) == before
