"""Jobs for the tests of the pool: functions that its processes can import."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch

from tauscope.errors import InputError
from tauscope.jobs.pool import Job, run_jobs
from tauscope.jobs.signals import collect_signals

Send = Callable[[Any], None]


def tell(send: Send, n: int) -> tuple[int, int, bool]:
    """Send 0 … n - 1 and return who did it, with how many threads, and whether Ctrl-C is left to others."""
    for i in range(n):
        send(i)
    return os.getpid(), torch.get_num_threads(), signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def refuse(_: Send) -> NoReturn:
    raise InputError("tau is 0.5:\nexpected at least 1")


def stumble(_: Send) -> NoReturn:
    raise KeyError("head")


def die(_: Send, number: int) -> None:
    os.kill(os.getpid(), number)


def leave(_: Send) -> NoReturn:
    os._exit(5)


def meet(_: Send, mine: Path, other: Path) -> bool:
    """Return whether another job is there at the same time."""
    mine.touch()
    deadline = time.monotonic() + 60
    while not other.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return other.exists()


def save_when_told(send: Send, folder: Path) -> None:
    """Work until told to stop, then take a moment to save."""
    with collect_signals(patient=True) as caught:
        (folder / f"{os.getpid()}.started").touch()
        send("started")
        while not caught:
            time.sleep(0.01)
        time.sleep(0.2)
        (folder / f"{os.getpid()}.saved").touch()


def ignore_all(send: Send) -> None:
    """Never end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    send("started")
    while True:
        time.sleep(0.01)


if __name__ == "__main__":
    run_jobs([Job(name, save_when_told, (Path(sys.argv[1]),)) for name in ("first", "second", "third")], 2)
