"""Losses and scores against sums written out, and what memory demands are refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import Batch, Head, InputError, Parity, Stage, tasks
from tauscope.tasks import ClassificationTask, Tracking, TwoAlternativeChoice
from tauscope.tasks.base import METRICS, validate_Ns, weighted_mean

SIZES = {"n_answers": st.integers(1, 4), "n_batch": st.integers(1, 5), "n_heads": st.integers(1, 3)}


def answers(
    n_answers: int, n_batch: int, n_heads: int, seed: int, n_classes: int = 3
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random logits, targets and weights that leave every head at least one answer."""
    generator = torch.Generator().manual_seed(seed)
    shape = (n_answers, n_batch, n_heads)
    logits = 3 * torch.randn(*shape, n_classes, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, n_classes, shape, generator=generator)
    weight = torch.rand(n_answers, 1, n_heads, generator=generator, dtype=torch.float64)
    weight = torch.where(weight < 0.5, 0.0, weight)
    weight[-1] = 1.0
    return logits, targets, weight


@settings(deadline=None, max_examples=50)
@given(**SIZES, seed=st.integers(0, 2**31), weighted=st.booleans())
def test_loss_is_the_cross_entropy_of_each_head_averaged_over_answers_and_batch(
    n_answers: int, n_batch: int, n_heads: int, seed: int, weighted: bool
) -> None:
    logits, targets, weight = answers(n_answers, n_batch, n_heads, seed)
    expected = []
    for head in range(n_heads):
        total = mass = 0.0
        for t in range(n_answers):
            w = weight[t, 0, head].item() if weighted else 1.0
            for i in range(n_batch):
                z = logits[t, i, head].tolist()
                total += w * (math.log(sum(math.exp(one) for one in z)) - z[int(targets[t, i, head])])
                mass += w
        expected.append(total / mass)
    batch = Batch(torch.empty(0), targets, weight=weight if weighted else None)
    loss = Parity().loss(logits, batch)
    # A loss near 0 is a difference of numbers of order one.
    np.testing.assert_allclose(loss, expected, rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=50)
@given(**SIZES, seed=st.integers(0, 2**31), weighted=st.booleans())
def test_score_is_the_weighted_fraction_of_right_answers_of_each_head(
    n_answers: int, n_batch: int, n_heads: int, seed: int, weighted: bool
) -> None:
    logits, targets, weight = answers(n_answers, n_batch, n_heads, seed)
    right = logits.numpy().argmax(axis=-1) == targets.numpy()
    w = np.broadcast_to(weight.numpy(), right.shape) if weighted else np.ones(right.shape)
    batch = Batch(torch.empty(0), targets, weight=weight if weighted else None)
    score = Parity().score(logits, batch)
    np.testing.assert_allclose(score.numpy(), (w * right).sum((0, 1)) / w.sum((0, 1)), rtol=1e-12)


def test_an_answer_of_weight_zero_neither_counts_nor_gets_a_gradient() -> None:
    logits, targets, weight = answers(4, 5, 2, seed=1)
    weight[:2] = 0
    logits.requires_grad_()
    loss = Parity().loss(logits, Batch(torch.empty(0), targets, weight=weight))
    loss.sum().backward()
    assert logits.grad is not None
    assert not logits.grad[:2].any()
    assert logits.grad[-1].abs().sum() > 0


def test_weighted_mean_without_weights_is_the_mean() -> None:
    values = torch.arange(12.0).view(2, 3, 2)
    torch.testing.assert_close(weighted_mean(values, None), torch.tensor([5.0, 6.0]))
    torch.testing.assert_close(weighted_mean(values, torch.ones(1, 1, 1)), torch.tensor([5.0, 6.0]))


@pytest.mark.parametrize(
    ("given_Ns", "expected"),
    [(3, (3,)), ([2, 3], (2, 3)), (range(1, 4), (1, 2, 3)), (np.array([2, 7]), (2, 7)), (np.int64(4), (4,))],
)
def test_memory_demands_become_a_tuple_of_int(given_Ns: Any, expected: tuple[int, ...]) -> None:
    Ns = validate_Ns(given_Ns)
    assert Ns == expected
    assert all(type(N) is int for N in Ns)


@pytest.mark.parametrize("wrong", [[], [0, 1], [-2], [3, 2], [2, 2], [2.5, 3], "23", 2.5, None])
def test_other_memory_demands_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"expected ascending integers from 1, such as \[2, 3\]"):
        validate_Ns(wrong)


def test_batches_and_tasks_cannot_be_changed() -> None:
    batch = Parity().sample(1, torch.Generator().manual_seed(0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.inputs = torch.empty(0)  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Parity().p = 0.3  # type: ignore[misc]


# --- what a stage asks ------------------------------------------------------------------------------------------------


class Repeated(Parity):
    """A task that a user makes in a way of its own."""

    def __init__(self, times: int) -> None:
        super().__init__((3,), repeat=times)
        object.__setattr__(self, "times", times)


class Recall(ClassificationTask):
    """A task that is no dataclass, with a field that cannot be set."""

    source = "this test"
    corpus: tuple[int, ...]

    def __init__(self) -> None:
        self.horizon, self.corpus = 1, tuple(range(100))

    @property
    def heads(self) -> dict[str, Head]:
        return {"out": Head(100, 0.01, 1.0)}

    @property
    def length(self) -> int:
        return 2 * self.horizon

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        raise NotImplementedError


def test_a_stage_asks_a_copy_of_the_task_with_other_fields() -> None:
    task = Parity(p=0.3, repeat=2, length=30)
    asked = task.at(Stage("N2_N3", {"Ns": [2, 3], "p": 0.5}))
    assert asked == Parity((2, 3), p=0.5, repeat=2, length=30)
    assert task == Parity((2,), p=0.3, repeat=2, length=30)
    assert list(asked.heads) == ["N2", "N3"]
    assert task.at(Stage("as it is")) == task


def test_a_task_with_a_constructor_of_its_own_is_copied_and_not_made_anew() -> None:
    task = Repeated(4)
    asked = task.replace(Ns=(2, 5))
    assert type(asked) is Repeated
    assert (asked.Ns, asked.times, asked.repeat) == ((2, 5), 4, 4)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="expected ascending integers"):
        task.replace(Ns=(5, 2))


def test_a_task_that_is_no_dataclass_is_copied() -> None:
    task = Recall()
    asked = task.replace(horizon=7)
    assert (asked.horizon, asked.length, task.horizon) == (7, 14, 1)
    assert asked.corpus is task.corpus


@pytest.mark.parametrize(
    ("task", "ask", "line"),
    [
        (Parity(), {"horizon": 3}, "Parity has no field 'horizon': expected one of Ns, p, .*"),
        (Recall(), {"horizn": 3}, "Recall has no field 'horizn': .*did you mean 'horizon'"),
        (Recall(), {"length": 3}, "Recall has no field 'length'"),
        (Parity(length=4), {"Ns": (5,)}, "length 4 is too short for N = 5"),
    ],
)
def test_what_a_task_cannot_be_asked_is_refused(task: Parity, ask: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        task.at(Stage("wrong", ask))


def test_a_stage_may_ask_another_task() -> None:
    other = Tracking()
    assert Parity().at(Stage("tracking", {"task": other})) == other
    assert Parity().at(Stage("tracking", {"task": other, "n_steps": 7})) == Tracking(n_steps=7)


# --- scores over several batches --------------------------------------------------------------------------------------


def test_a_score_over_batches_is_the_ratio_of_sums_and_not_the_mean_of_ratios(generator: torch.Generator) -> None:
    task = TwoAlternativeChoice(gain=0.05)
    batches = [task.sample(n, generator) for n in (3, 40)]
    outputs = [torch.randn(batch.targets.shape, generator=generator) for batch in batches]
    parts = [task.excess(said, batch) for said, batch in zip(outputs, batches, strict=True)]
    expected = sum(float(excess.sum()) for excess, _ in parts) / sum(float(scale.sum()) for _, scale in parts)
    part, whole = sum(torch.stack(task.tally(said, batch)) for said, batch in zip(outputs, batches, strict=True))
    assert float(part / whole) == pytest.approx(expected, rel=1e-12)
    ratios = [float(task.score(said, batch)) for said, batch in zip(outputs, batches, strict=True)]
    assert abs(np.mean(ratios) - expected) > 1e-3


def test_every_metric_has_a_direction() -> None:
    assert METRICS == {
        "accuracy": "more",
        "bpc": "less",
        "error": "less",
        "fractional_loss": "less",
        "relative_error": "less",
        "score": "more",
    }


TASKS: tuple[Any, ...] = (
    Parity,
    tasks.DelayedMatchToSample,
    Tracking,
    TwoAlternativeChoice,
    tasks.Comparison,
    tasks.ChangeDetection,
    tasks.GatedDelayedEstimation,
    tasks.DelayedSine,
    tasks.History,
    tasks.Text,
    tasks.PathIntegration,
    tasks.HeadDirection,
)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize(
    ("batch_size", "generator"),
    [
        (0, torch.Generator()),
        (-1, torch.Generator()),
        (2.5, torch.Generator()),
        ("2", torch.Generator()),
        (None, torch.Generator()),
        (2, 0),
        (2, None),
        (2, torch.Generator),
        (torch.Generator(), 2),
    ],
)
def test_trials_that_cannot_be_drawn_are_refused(kind: Any, batch_size: Any, generator: Any) -> None:
    with pytest.raises(InputError, match=r"^(batch size|generator) is .*: expected"):
        kind().sample(batch_size, generator)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("value", ["x", None, [1, 2], torch.ones(2)])
def test_fields_are_refused_at_the_door_or_can_be_used(kind: Any, value: Any) -> None:
    for entry in dataclasses.fields(kind):
        try:
            task = kind(**{entry.name: value})
        except InputError:
            continue
        assert entry.name in ("Ns", "p", "length", "delay_steps"), entry.name
        task.sample(2, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"p": "x"}, "p is 'x': expected a probability, such as 0.5"),
        ({"p": [0.5]}, r"p is \[0.5\]: expected a probability"),
        ({"repeat": 1.5}, "repeat is of type float: expected a whole number"),
        ({"length": 10.5}, "length is 10.5: expected a whole number"),
        ({"length": (3,)}, r"length \(3,\): expected a number of bits, or \(shortest, longest\)"),
        ({"length": (5, 9.5)}, "length is 9.5: expected a whole number"),
        ({"plus_minus": "yes"}, "plus_minus is of type str: expected True or False"),
    ],
)
def test_fields_of_binary_tasks_are_refused_in_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}"):
        Parity(**options)


def test_numbers_of_numpy_are_numbers() -> None:
    task = Parity(np.array([2, 3]), p=np.float64(0.5), length=np.int64(9))
    assert task.Ns == (2, 3)
    assert task.sample(2, torch.Generator().manual_seed(0)).inputs.shape == (9, 2, 1)
