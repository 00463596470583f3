"""Every signal that asks a process to stop lets it save first; what it was told to ignore, it ignores."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tauscope.cli import main
from tauscope.jobs.signals import STOPPING, collect_signals
from tauscope.learning import training
from tauscope.runs.checkpoints import load_state

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_collected_and_its_handler_put_back(number: signal.Signals) -> None:
    assert number in STOPPING
    before = signal.getsignal(number)
    with collect_signals(patient=True) as caught:
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert caught == [number, number]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", NUMBERS)
def test_a_second_signal_would_end_an_impatient_process(number: signal.Signals) -> None:
    with collect_signals() as caught:
        signal.raise_signal(number)
        assert all(signal.getsignal(other) is signal.SIG_DFL for other in NUMBERS)
    assert caught == [number]


@pytest.mark.parametrize("number", NUMBERS)
def test_what_a_process_was_started_to_ignore_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with collect_signals() as caught:
            signal.raise_signal(number)
        assert caught == []
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_command_saves_and_goes_on_bitwise(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, taken = training._step, 0

    def signalling(state: training.Training) -> float:
        nonlocal taken
        taken += 1
        if taken == 5:
            signal.raise_signal(number)
        return step(state)

    flags = ["-nn", "6", "--max-N", "4", "-s", "0", "--epochs", "3", "--steps-per-epoch", "3", "--batch-size", "4",
             "--test-steps", "1"]  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", *flags, "-b", str(whole)]) == 0
    monkeypatch.setattr(training, "_step", signalling)
    assert main(["train", *flags, "-b", str(parts)]) == 128 + number
    (folder,) = parts.iterdir()
    state, _ = load_state(folder)
    assert state is not None
    assert (state["epoch"], state["step"]) == (1, 2)
    assert main(["train", *flags, "-b", str(parts)]) == 0
    (other,) = whole.iterdir()
    assert load_state(folder)[0]["model"].keys() == load_state(other)[0]["model"].keys()
    for name, value in load_state(folder)[0]["model"].items():
        assert value.equal(load_state(other)[0]["model"][name]), name
