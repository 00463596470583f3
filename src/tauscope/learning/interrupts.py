"""Ctrl-C while a network is trained: the step under way is finished, and what was reached is handed over."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tauscope.learning.state import Training


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C, between two steps.

    It ends a script as any `KeyboardInterrupt` does. Caught, it gives what was reached, to be looked at, kept and gone on
    from bit for bit.

    Attributes
    ----------
    training : Training
        What was reached.

    Examples
    --------
    >>> import tauscope as ts, torch
    >>> model = ts.LeakyRNN(8, generator=torch.Generator().manual_seed(0))
    >>> recipe = ts.Recipe(epochs=1, steps_per_epoch=3, batch_size=8, test_steps=2)
    >>> def impatient(training, loss):
    ...     raise KeyboardInterrupt
    >>> try:
    ...     training = ts.train(model, ts.Parity(), ts.cumulative(last=6), recipe, on_step=impatient)
    ... except ts.Interrupted as stopped:
    ...     state = stopped.training.state_dict()
    >>> state["epoch"], state["step"]
    (0, 1)
    >>> ts.train(model, ts.Parity(), ts.cumulative(last=6), recipe, state=state).epoch
    1
    """

    def __init__(self, training: Training) -> None:
        super().__init__(
            f"training was stopped in epoch {training.epoch + 1} after {training.step} steps; the exception's "
            "training.state_dict() is what ts.train(..., state=...) goes on from"
        )
        self.training = training


@contextlib.contextmanager
def noting_interrupts() -> Iterator[list[int]]:
    """Note the first Ctrl-C instead of raising `KeyboardInterrupt`; a second one raises it at once.

    Only where Python itself would raise it: in the main thread, with the handler that Python installs.

    Yields
    ------
    list of int
        The signals that came.
    """
    caught: list[int] = []
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield caught
        return

    def note(number: int, _: object) -> None:
        caught.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def noting_raised(caught: list[int]) -> Iterator[None]:
    """Note a `KeyboardInterrupt` that a callback raises."""
    try:
        yield
    except KeyboardInterrupt:
        caught.append(signal.SIGINT)
