"""What a user sees while a network is trained, on a terminal and in a file."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import tauscope as ts
from tauscope.cli.progress import Display, NetworksDisplay, clock, epoch_line, ranges
from tauscope.jobs.pool import Outcome
from tauscope.jobs.training import Progress
from tauscope.papers.reproduce.planning import make_plan

PART = re.compile(r"(\d+)(?:-(\d+))?: (\d+\.\d)")


@given(st.integers(2, 90), st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_ranges_cover_every_head_once_with_its_mean_and_the_newest_by_itself(first: int, accuracy: list[float]) -> None:
    Ns = [first + i for i in range(len(accuracy))]
    text = ranges(Ns, accuracy)
    parts = [(int(a), int(b or a), float(mean)) for a, b, mean in PART.findall(text)]
    assert text.startswith("N ")
    assert text.endswith(" %")
    assert 1 <= len(parts) <= 4
    assert [N for low, high, _ in parts for N in range(low, high + 1)] == Ns
    assert parts[-1][:2] == (Ns[-1], Ns[-1])
    for low, high, mean in parts:
        own = accuracy[low - first : high - first + 1]
        assert mean == pytest.approx(100 * sum(own) / len(own), abs=0.051)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00 h"), (90061, "25:01 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_line_says_whether_the_stage_was_solved() -> None:
    record: dict[str, Any] = {
        "epoch": 3, "stage": "N2_N3", "Ns": [2, 3], "loss": 0.25, "accuracy": [1.0, 0.5], "solved": False, "steps_per_second": 12.34
    }  # fmt: skip
    assert epoch_line(record) == "epoch 3 | loss 0.2500 | N 2: 100.0, 3: 50.0 % | 12.3 steps/s"
    assert epoch_line(record | {"solved": True}).endswith(" steps/s | solved N = 3")


def show(terminal: bool) -> tuple[str, list[dict[str, Any]]]:
    """Return what is shown of a training of three epochs."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=200)
    model = ts.LeakyRNN(4, generator=torch.Generator().manual_seed(0), n_heads=2)
    recipe = ts.Recipe(epochs=3, steps_per_epoch=2, batch_size=2, test_steps=1)
    with Display(console) as display:
        training = ts.train(
            model, ts.Parity(), ts.cumulative(last=3), recipe, on_step=display.on_step, on_epoch=display.on_epoch
        )
        if terminal:
            display._bar.refresh()
    return file.getvalue(), training.history


def test_a_file_gets_one_plain_line_for_every_epoch() -> None:
    text, history = show(terminal=False)
    assert text.splitlines() == [epoch_line(record) for record in history]
    assert "\x1b" not in text


def test_a_terminal_gets_a_bar_too() -> None:
    text, history = show(terminal=True)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert all(epoch_line(record) in plain for record in history)
    assert re.search(r"epoch 3 \| N2_N2 \| loss \d\.\d{4} \| last test N 2: \d+\.\d % ", plain)
    assert re.search(r"\d+\.\d steps/s \| next stage in 0:00 at the earliest", plain)


def show_networks(base: Path, console: Console) -> None:
    """Show two networks that run at the same time, the second of which fails."""
    first, second = make_plan("tiny_paper:PAPER", "quick", base).networks[:2]
    with NetworksDisplay(console) as display:
        display.on_plan(2, 10)
        display.on_start(first)
        display.on_start(second)
        display.on_progress(first, Progress(2, 8, "learning N = 2 … 4"))
        display._bar.refresh()
        display.on_end(second, Outcome(None, "killed by signal 9 [out of memory?]", 61.0))
        display.on_end(first, Outcome([], "", 3.0))


def test_networks_are_reported_in_a_line_each_without_a_terminal(tiny_reproduction: Path) -> None:
    out = io.StringIO()
    show_networks(tiny_reproduction, Console(file=out, width=160))
    assert out.getvalue().splitlines() == [
        "8 of 10 networks are trained and measured already",
        "[1/2] single 1: missing: killed by signal 9 [out of memory?] (1:01)",
        "[2/2] multi 1: solved N = 4 in 3 epochs (0:03)",
    ]


def test_networks_under_way_have_a_bar_each_on_a_terminal(tmp_path: Path) -> None:
    out = io.StringIO()
    show_networks(tmp_path, Console(file=out, width=160, force_terminal=True))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "all networks" in text
    assert "epoch 2/8 | learning N = 2 … 4" in text
    assert "[2/2] multi 1: solved no N in 0 epochs (0:03)" in text
