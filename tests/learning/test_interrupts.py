"""Ctrl-C hands over what was reached, between two steps, and training goes on from there bit for bit."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

import tauscope as ts

RECIPE = ts.Recipe(epochs=3, steps_per_epoch=4, batch_size=5, test_steps=2, lr=0.3, seed=3)


def trained(task: ts.Task | None = None, **options: Any) -> ts.Training:
    model = ts.LeakyRNN(6, n_heads=4, generator=torch.Generator().manual_seed(0))
    return ts.train(model, task or ts.Parity(), ts.cumulative(last=5), RECIPE, **options)


def comparable(training: ts.Training) -> Any:
    records = [
        {name: value for name, value in record.items() if name not in ("seconds", "steps_per_second")}
        for record in training.history
    ]
    return records, [value.tolist() for value in training.model.state_dict().values()]


class Interrupting(ts.Parity):
    """Is interrupted while a batch is drawn."""

    def __init__(self, at: int, split: str) -> None:
        super().__init__()
        object.__setattr__(self, "calls", itertools.count(1))
        object.__setattr__(self, "moment", (at, split))

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        if split == self.moment[1] and next(self.calls) == self.moment[0]:
            signal.raise_signal(signal.SIGINT)
        return super().sample(batch_size, generator, split)


def nth(n: int, do: Callable[[], Any]) -> Callable[..., bool]:
    """Return a callback that does something when it is called for the n-th time."""
    calls = itertools.count(1)
    return lambda *_: bool(do() if next(calls) == n else False)


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def fail() -> None:
    raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:Interrupting.sample changes:RuntimeWarning")
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (lambda: {"on_step": nth(6, ctrl_c)}, (1, 2)),
        (lambda: {"on_step": nth(4, fail)}, (0, 4)),
        (lambda: {"stop": nth(1, fail)}, (0, 1)),
        (lambda: {"on_epoch": nth(2, ctrl_c)}, (2, 0)),
        (lambda: {"on_epoch": nth(1, fail)}, (1, 0)),
        (lambda: {"task": Interrupting(7, "train")}, (1, 3)),
        (lambda: {"task": Interrupting(3, "test")}, (2, 0)),
    ],
)  # fmt: skip
def test_an_interrupted_training_hands_over_what_goes_on_bitwise(
    how: Callable[[], dict[str, Any]], expected: tuple[int, int]
) -> None:
    class Keeper:
        states: list[Any] = []  # noqa: RUF012

        def save_state(self, training: ts.Training) -> None:
            self.states.append(training.state_dict())

        def save_epoch(self, training: ts.Training, kept: str | None) -> None:
            del kept
            self.save_state(training)

    before, keeper = signal.getsignal(signal.SIGINT), Keeper()
    with pytest.raises(
        ts.Interrupted, match=rf"stopped in epoch {expected[0] + 1} after {expected[1]} steps"
    ) as stopped:
        trained(**how(), store=keeper)
    assert signal.getsignal(signal.SIGINT) is before
    training = stopped.value.training
    assert (training.epoch, training.step) == expected
    straight = comparable(trained())
    assert comparable(trained(state=training.state_dict())) == straight
    assert comparable(trained(state=keeper.states[-1])) == straight


def test_it_ends_what_does_not_know_of_it() -> None:
    assert issubclass(ts.Interrupted, KeyboardInterrupt)


def test_a_second_interrupt_does_not_wait_for_the_step() -> None:
    def twice() -> None:
        ctrl_c()
        ctrl_c()

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ts.Interrupted):
        trained(on_step=nth(2, twice))  # the callback of a finished step
    with pytest.raises(KeyboardInterrupt) as stopped:
        trained(Twice())
    assert not isinstance(stopped.value, ts.Interrupted)
    assert signal.getsignal(signal.SIGINT) is before


class Twice(ts.Parity):
    """Is interrupted twice while a batch is tested."""

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> ts.Batch:
        if split == "test":
            ctrl_c()
            ctrl_c()
        return super().sample(batch_size, generator, split)


def test_a_handler_of_a_users_own_is_left_alone() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        assert trained(on_step=nth(3, ctrl_c)).finished
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == [signal.SIGINT]


def test_other_threads_train_too() -> None:
    reached: list[ts.Training] = []
    thread = threading.Thread(target=lambda: reached.append(trained()))
    thread.start()
    thread.join()
    assert comparable(reached[0]) == comparable(trained())
