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

from tauscope import Batch, InputError, Parity
from tauscope.tasks.base import validate_Ns, weighted_mean

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
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


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
