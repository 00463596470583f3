"""Learning rates and the end of patience, against torch's scheduler and sums written out."""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tauscope as ts
from tauscope.learning.schedules import Geometric, Plateau, Steps, epochs_without_gain

SCORES = st.lists(st.floats(0.01, 10), min_size=1, max_size=40)


@settings(deadline=None)
@given(scores=SCORES, better=st.sampled_from(["more", "less"]), patience=st.integers(0, 4),
       threshold=st.sampled_from([0.0, 0.015, 0.3]), min_lr=st.sampled_from([0.0, 0.2]))  # fmt: skip
def test_a_plateau_lowers_the_learning_rate_as_that_of_torch(
    scores: list[float], better: Literal["more", "less"], patience: int, threshold: float, min_lr: float
) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if better == "more" else "min", 0.5, patience, threshold, min_lr=min_lr, eps=0.0
    )
    plateau = Plateau(0.5, patience, threshold, min_lr)
    for i, score in enumerate(scores):
        oracle.step(score)
        assert plateau.rate(1.0, [scores[: i + 1]], better) == optimizer.param_groups[0]["lr"]


def test_a_new_stage_keeps_the_learning_rate_and_compares_its_own_scores() -> None:
    plateau = Plateau(0.5, patience=0)
    assert plateau.rate(1.0, [[0.9, 0.8], [0.3, 0.4]], "more") == 0.5
    assert plateau.rate(1.0, [[0.9, 0.8, 0.3, 0.4]], "more") == 0.125


def test_steps_multiply_from_their_epoch_on() -> None:
    steps = Steps({17: 0.25, 12: 0.5})
    rates = [steps.rate(3.0, [[0.0] * 5, [0.0] * (n - 5)], "more") for n in (11, 12, 16, 17, 100)]
    assert rates == [3.0, 1.5, 1.5, 0.375, 0.375]


@given(share=st.floats(1e-3, 2.0), epochs=st.integers(2, 50))
def test_a_geometric_fall_is_that_of_torch_and_ends_at_its_share(share: float, epochs: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    oracle = torch.optim.lr_scheduler.ExponentialLR(optimizer, share ** (1 / (epochs - 1)))
    fall = Geometric(share, epochs)
    rates = [fall.rate(1.0, [[0.0] * (n // 2), [0.0] * (n - n // 2)], "less") for n in range(epochs + 3)]
    for rate in rates[:epochs]:
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        oracle.step()
    assert rates[epochs - 1] == pytest.approx(share)
    assert rates[epochs:] == [rates[epochs - 1]] * 3
    assert Geometric(share, 1).rate(1.0, [[]], "less") == 1.0


def test_what_steps_are_made_of_is_copied() -> None:
    factors = {1: 0.5}
    steps = Steps(factors)
    factors[1] = 99.0
    assert steps.rate(1.0, [[0.0]], "less") == 0.5


@given(scores=SCORES, better=st.sampled_from(["more", "less"]), gain=st.sampled_from([0.0, 0.5]))
def test_epochs_without_gain_are_those_since_the_last_record(
    scores: list[float], better: Literal["more", "less"], gain: float
) -> None:
    signed = [score if better == "more" else -score for score in scores]
    best, last = -math.inf, 0
    for i, score in enumerate(signed):
        if score > best + gain:
            best, last = score, i
    assert epochs_without_gain(scores, better, gain) == len(scores) - 1 - last


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steps({0: 0.5}), "epoch of a step is 0: expected at least 1"),
        (lambda: Steps({3: 0.0}), r"factor is 0.0: expected a number above 0"),
        (lambda: Plateau(1.5), r"factor is 1.5: expected a number between 0 and 1"),
        (lambda: Plateau(math.nan), "factor is nan"),
        (lambda: Geometric(0.0, 5), "share is 0.0: expected a number above 0"),
        (lambda: Geometric(0.1, 0), "epochs is 0: expected at least 1"),
        (lambda: Plateau(0.5, patience=-1), "patience is -1"),
        (lambda: Plateau(0.5, min_lr=-1.0), "min_lr is -1"),
        (lambda: ts.Recipe(patience=0), "patience is 0: expected at least 1"),
        (lambda: ts.Recipe(gain=-0.1), "gain is -0.1"),
        (lambda: ts.Recipe(betas=(0.9, 1.0)), r"betas is 1.0: expected a number in \[0, 1\)"),
        (lambda: ts.Recipe(eps=math.nan), "eps is nan"),
        (lambda: ts.Recipe(split="validate"), "did you mean 'valid'"),
        (lambda: ts.Recipe(dtype="float16"), "dtype 'float16' is unknown"),
    ],
)
def test_what_cannot_be_followed_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ts.InputError, match=message):
        make()


# --- in a training ----------------------------------------------------------------------------------------------------


def trained(seed: int = 0, state: Any = None, stop_every: int = 10**9, **options: Any) -> ts.Training:
    recipe = {"epochs": 7, "steps_per_epoch": 3, "batch_size": 5, "test_steps": 9, "seed": 3, "lr": 0.3} | options
    taken = itertools.count(1)
    return ts.train(
        ts.LeakyRNN(6, n_heads=4, generator=torch.Generator().manual_seed(seed)),
        ts.Parity(),
        ts.cumulative(last=5),
        ts.Recipe(**recipe),
        state=state,
        stop=lambda: next(taken) % stop_every == 0,
    )


def comparable(training: ts.Training) -> Any:
    records = [
        {name: value for name, value in record.items() if name not in ("seconds", "steps_per_second")}
        for record in training.history
    ]
    return records, [value.tolist() for value in training.model.state_dict().values()]


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": Plateau(0.5, patience=0)},
        {"schedule": Geometric(0.1, 6)},
        {"schedule": Steps({2: 0.1, 3: 10.0, 5: 0.5}), "optimizer": "adam", "betas": (0.5, 0.6), "eps": 1e-3},
        {"schedule": Plateau(0.5, patience=1), "patience": 4},
        {"patience": 2, "gain": 0.3, "dtype": "float64"},
    ],
)
def test_a_schedule_is_followed_between_epochs_and_resumed_bitwise(options: dict[str, Any]) -> None:
    straight = trained(**options)
    state, sessions = None, 0
    while True:
        training = trained(seed=sessions, state=state, stop_every=2, **options)
        state, sessions = training.state_dict(), sessions + 1
        if training.finished:
            break
    assert sessions > 4
    assert comparable(training) == comparable(straight)
    if "schedule" in options:
        scores = [record["accuracy"][0] for record in straight.history]
        assert len({record["stage"] for record in straight.history}) == 1
        expected = [options["schedule"].rate(0.3, [scores[:i]], "more") for i in range(len(scores))]
        assert [record["lr"] for record in straight.history] == expected
        assert len(set(expected)) > 1


def test_patience_ends_a_training_and_its_record_says_so() -> None:
    training = trained(patience=2, gain=0.9)
    assert training.finished
    assert training.epoch == 3
    assert [record["stopped_early"] for record in training.history] == [False, False, True]
    assert [record["finished"] for record in training.history] == [False, False, True]
    assert "stopped_early" not in trained(epochs=1).history[0]


def test_a_learning_rate_that_falls_to_almost_nothing_leaves_the_weights_alone() -> None:
    short, long = (trained(epochs=n, schedule=Steps({2: 1e-30})) for n in (2, 5))
    assert comparable(short)[1] == comparable(long)[1]


def test_adam_takes_its_betas_and_eps() -> None:
    training = trained(epochs=1, optimizer="adam", betas=(0.5, 0.75), eps=0.125)
    group = training.state_dict()["optimizer"]["param_groups"][0]
    assert (group["betas"], group["eps"]) == ((0.5, 0.75), 0.125)


def test_a_recipe_trains_in_float64() -> None:
    training = trained(epochs=1, dtype="float64")
    assert {parameter.dtype for parameter in training.model.parameters()} == {torch.float64}
    single = trained(epochs=1)
    for double, value in zip(training.model.parameters(), single.model.parameters(), strict=True):
        torch.testing.assert_close(double.float(), value, rtol=1e-4, atol=1e-5)
