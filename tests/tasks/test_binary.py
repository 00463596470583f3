"""Parity and delayed match to sample against loops over bits, enumeration and known distributions."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tauscope import DelayedMatchToSample, InputError, Parity
from tauscope.tasks import TASKS, BinaryMemoryTask

KINDS = [Parity, DelayedMatchToSample]
# The seeds below are fixed; a right sampler fails a test of a distribution for one seed in a thousand.
P_VALUE = 1e-3


def brute_force(kind: type[BinaryMemoryTask], bits: list[int], N: int) -> int:
    """Return the answer at the end of a list of bits, by the task's definition."""
    if kind is Parity:
        return sum(bits[len(bits) - N :]) % 2
    return int(bits[-1] == bits[len(bits) - N])


@st.composite
def tasks(draw: st.DrawFn) -> BinaryMemoryTask:
    """Draw a task with any valid options."""
    kind = draw(st.sampled_from(KINDS))
    Ns = tuple(sorted(draw(st.sets(st.integers(1, 9), min_size=1, max_size=5))))
    shortest = draw(st.integers(Ns[-1], Ns[-1] + 6))
    lengths = st.sampled_from([None, shortest, (shortest, shortest + draw(st.integers(0, 5)))])
    return kind(
        Ns,
        p=draw(st.none() | st.floats(0, 1)),
        plus_minus=draw(st.booleans()),
        repeat=draw(st.integers(1, 4)),
        labels=draw(st.sampled_from(["last", "every"])),
        length=draw(lengths),
    )


@settings(deadline=None, max_examples=100)
@given(task=tasks(), batch_size=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_samples_are_what_a_loop_over_bits_gives(task: BinaryMemoryTask, batch_size: int, seed: int) -> None:
    batch = task.sample(batch_size, torch.Generator().manual_seed(seed))
    n_steps = len(batch.inputs)
    assert batch.inputs.shape == (n_steps, batch_size, 1)
    assert batch.inputs.dtype == torch.float32
    assert batch.targets.dtype == torch.int64
    assert batch.hold is None
    assert batch.info["p"].shape == (batch_size,)

    coding = {-1.0: 0, 1.0: 1} if task.plus_minus else {0.0: 0, 1.0: 1}
    k = task.repeat
    for i in range(batch_size):
        shown = [coding[value] for value in batch.inputs[:, i, 0].tolist()]
        bits = shown[::k]
        assert shown == [bit for bit in bits for _ in range(k)]
        low, high = task.length_range
        assert low <= len(bits) <= high
        for head, N in enumerate(task.Ns):
            if task.labels == "last":
                assert batch.targets.shape == (1, batch_size, len(task.Ns))
                assert batch.weight is None
                assert batch.targets[0, i, head] == brute_force(type(task), bits, N)
                continue
            assert batch.weight is not None
            assert batch.targets.shape == (n_steps, batch_size, len(task.Ns))
            weight = batch.weight.expand(n_steps, batch_size, len(task.Ns))
            for step in range(1, n_steps + 1):
                n_shown, part = divmod(step, k)
                asked = part == 0 and n_shown >= N
                assert weight[step - 1, i, head] == float(asked)
                if asked:
                    assert batch.targets[step - 1, i, head] == brute_force(type(task), bits[:n_shown], N)


@pytest.mark.parametrize("kind", KINDS)
def test_every_stream_of_six_bits_is_labelled_right(kind: type[BinaryMemoryTask]) -> None:
    streams = list(itertools.product([0, 1], repeat=6))
    batch = kind(tuple(range(1, 7))).batch_of(torch.tensor(streams, dtype=torch.float32).t())
    for stream, labels in zip(streams, batch.targets[0].tolist(), strict=True):
        assert labels == [brute_force(kind, list(stream), N) for N in range(1, 7)]


@pytest.mark.parametrize("labels", ["last", "every"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_ideal_observer_reaches_the_optimum(
    kind: type[BinaryMemoryTask], labels: str, generator: torch.Generator
) -> None:
    task = kind((2, 3, 5), labels=labels, repeat=2)
    batch = task.sample(20, generator)
    said = torch.nn.functional.one_hot(batch.targets, 2).double()
    if batch.weight is not None:
        said = torch.where(batch.weight.bool().unsqueeze(-1), said, said.flip(-1))
    assert task.score(said, batch).tolist() == [head.optimum for head in task.heads.values()]
    assert task.score(said.flip(-1), batch).tolist() == [0.0] * 3
    assert task.loss(100 * said, batch).max() < 1e-12


def elsewhere() -> tuple[object, ...]:
    """Return the state of every global source of chance."""
    of_numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    return (
        random.getstate(),
        str(of_numpy["state"]["pos"]),
        of_numpy["state"]["key"].tolist(),
        torch.get_rng_state().tolist(),
    )


@settings(deadline=None, max_examples=50)
@given(task=tasks(), seed=st.integers(0, 2**31))
def test_chance_comes_from_the_given_generator_alone(task: BinaryMemoryTask, seed: int) -> None:
    before = elsewhere()
    one, other = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    for _ in range(2):
        a, b = task.sample(3, one), task.sample(3, other)
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.targets, b.targets)
        assert torch.equal(a.info["p"], b.info["p"])
    assert torch.equal(one.get_state(), other.get_state())
    assert elsewhere() == before


def test_batches_follow_each_other_without_repetition(generator: torch.Generator) -> None:
    task = Parity((3,), length=20)
    assert not torch.equal(task.sample(8, generator).inputs, task.sample(8, generator).inputs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [None, (4, 9)])
def test_length_is_uniform_from_its_first_to_its_last_value(
    kind: type[BinaryMemoryTask], length: tuple[int, int] | None, generator: torch.Generator
) -> None:
    task = kind((2, 3), length=length)
    first, last = length or (3 + 2, 4 * 3 + 1)
    drawn = [len(task.sample(1, generator).inputs) for _ in range(2000)]
    counts = [drawn.count(M) for M in range(first, last + 1)]
    assert sum(counts) == len(drawn)
    assert stats.chisquare(counts).pvalue > P_VALUE


def test_a_fixed_length_is_kept(generator: torch.Generator) -> None:
    assert {len(Parity((3,), length=7, repeat=2).sample(1, generator).inputs) for _ in range(20)} == {14}


def test_parity_draws_p_uniformly_for_every_sequence(generator: torch.Generator) -> None:
    batch = Parity((2,), length=20).sample(20_000, generator)
    p = batch.info["p"].double().numpy()
    ones = batch.inputs.sum(dim=(0, 2)).numpy()
    assert stats.kstest(p, "uniform").pvalue > P_VALUE
    # Averaged over p ~ U(0, 1), every number of ones is equally likely.
    counts = np.bincount(ones.astype(int), minlength=21)
    assert stats.chisquare(counts).pvalue > P_VALUE
    # Given p, the number of ones is binomial.
    z = ((ones - 20 * p) ** 2).sum() / (20 * p * (1 - p)).sum()
    assert z == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("task", "p"),
    [
        (DelayedMatchToSample((2,), length=12), 0.5),
        (DelayedMatchToSample((2,), length=12, p=0.2), 0.2),
        (Parity((2,), length=12, p=0.5), 0.5),
        (Parity((2,), length=12, p=0.8), 0.8),
    ],
)
def test_with_one_p_the_number_of_ones_is_binomial(
    task: BinaryMemoryTask, p: float, generator: torch.Generator
) -> None:
    batch = task.sample(20_000, generator)
    assert torch.allclose(batch.info["p"], torch.tensor(p))
    counts = np.bincount(batch.inputs.sum(dim=(0, 2)).int().numpy(), minlength=13)
    expected = stats.binom.pmf(np.arange(13), 12, p) * 20_000
    common = expected > 5
    counts = np.append(counts[common], counts[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    assert stats.chisquare(counts, expected).pvalue > P_VALUE


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_extreme_p_gives_constant_streams(p: float, generator: torch.Generator) -> None:
    assert Parity((2,), p=p).sample(50, generator).inputs.unique().tolist() == [p]


@pytest.mark.parametrize("N", range(1, 9))
@pytest.mark.parametrize("p", [None, Fraction(0), Fraction(1, 5), Fraction(1, 2), Fraction(9, 10)])
@pytest.mark.parametrize("kind", KINDS)
def test_chance_is_the_best_constant_answer_by_enumeration(
    kind: type[BinaryMemoryTask], p: Fraction | None, N: int
) -> None:
    odds = [Fraction(0), Fraction(0)]
    for stream in itertools.product([0, 1], repeat=N):
        ones = sum(stream)
        if p is None and kind is Parity:
            # ∫ p^k (1 - p)^(N - k) dp = 1 / ((N + 1) C(N, k))
            probability = Fraction(1, (N + 1) * math.comb(N, ones))
        else:
            q = Fraction(1, 2) if p is None else p
            probability = q**ones * (1 - q) ** (N - ones)
        odds[brute_force(kind, list(stream), N)] += probability
    assert sum(odds) == 1
    chance = kind((N,), p=None if p is None else float(p)).chance(N)
    assert chance == pytest.approx(float(max(odds)), abs=1e-12)


@pytest.mark.parametrize("p", [None, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_chance_is_what_a_constant_answer_scores(
    kind: type[BinaryMemoryTask], p: float | None, generator: torch.Generator
) -> None:
    task, n = kind((2, 3, 4), p=p), 40_000
    batch = task.sample(n, generator)
    rate = batch.targets[0].double().mean(dim=0)
    for N, measured in zip(task.Ns, torch.maximum(rate, 1 - rate).tolist(), strict=True):
        assert measured == pytest.approx(task.chance(N), abs=4 / math.sqrt(4 * n))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"Ns": []}, r"Ns \[\] cannot be asked"),
        ({"Ns": [3, 2]}, r"Ns \[3, 2\] cannot be asked"),
        ({"p": -0.1}, r"p is -0.1: expected a probability \(nearest valid value: 0.0\)"),
        ({"p": 1.5}, r"p is 1.5: expected a probability \(nearest valid value: 1.0\)"),
        ({"p": math.nan}, r"p is nan: expected a probability"),
        ({"repeat": 0}, r"repeat is 0: expected at least 1"),
        ({"labels": "evry"}, r"labels 'evry' is unknown: expected one of last, every; did you mean 'every'\?"),
        ({"length": 4}, r"length 4 is too short for N = 5: expected at least 5"),
        ({"length": (4, 9)}, r"length \(4, 9\) is too short for N = 5: expected at least 5"),
        ({"length": (9, 7)}, r"length \(9, 7\) is not a range: expected \(shortest, longest\), such as \(7, 9\)"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_options_are_refused_in_one_line(kind: type[BinaryMemoryTask], options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line) as caught:
        kind(**({"Ns": [2, 5]} | options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", ["last", "every"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_shorter_than_N_has_no_answer(kind: type[BinaryMemoryTask], labels: str) -> None:
    with pytest.raises(InputError, match=r"2 bits are too few for N = 3: expected at least 3"):
        kind((3,), labels=labels).batch_of(torch.ones(2, 1))


def test_the_registry_names_the_tasks_and_each_states_its_source() -> None:
    assert {"parity": Parity, "dms": DelayedMatchToSample} == TASKS
    assert all("ICLR 2024" in task.source for task in TASKS.values())
