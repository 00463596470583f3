"""Being told to stop: by Ctrl-C, by a scheduler, by ``kill``."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def collect_signals(*, patient: bool = False) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of ending, so that work under way can be saved.

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

    def note(number: int, _: object) -> None:
        caught.append(number)
        if not patient:
            for one in STOPPING:
                signal.signal(one, signal.SIG_DFL)

    for number in STOPPING:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
