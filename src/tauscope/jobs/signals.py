"""Signals that tell a process to stop: Ctrl-C, those of a scheduler or of ``kill``, and the end of a terminal."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

# There is no SIGHUP on Windows.
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def collect_signals(*, patient: bool = False) -> Iterator[list[int]]:
    """Collect SIGINT, SIGTERM and SIGHUP instead of ending, so that work under way can be saved.

    A signal that the process was started to ignore, as ``nohup`` starts it, stays ignored.

    Parameters
    ----------
    patient : bool
        Whether further signals are collected too; otherwise a second one ends the process at once.

    Yields
    ------
    list of int
        The signals that came, as they come. The handlers of before are put back in the end.

    Examples
    --------
    >>> with collect_signals() as caught:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     print([signal.Signals(number).name for number in caught])
    ['SIGTERM']
    """
    caught: list[int] = []
    before = {number: signal.getsignal(number) for number in STOPPING}
    heeded = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]

    def note(number: int, _: object) -> None:
        caught.append(number)
        if not patient:
            for further in heeded:
                signal.signal(further, signal.SIG_DFL)

    for number in heeded:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number in heeded:
            signal.signal(number, before[number])
