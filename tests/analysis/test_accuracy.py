"""Accuracy against networks whose answers are known, SciPy's exact interval and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

import tauscope as ts
from tauscope.analysis.accuracy import binomial_interval
from tauscope.tasks import TASKS


def constant(answers: dict[int, int], shared: bool = False) -> ts.Model:
    """Return a network whose head for each N always gives the same answer."""
    model = ts.LeakyRNN(3, generator=torch.Generator().manual_seed(0), n_heads=len(answers), shared_head=shared)
    model.heads.names = tuple(f"N{N}" for N in answers)
    with torch.no_grad():
        for linear, answer in zip(model.heads.linears, answers.values(), strict=True):
            linear.weight.zero_()  # type: ignore[operator]
            linear.bias.copy_(torch.tensor([1.0 - answer, answer]))  # type: ignore[operator]
    return model


class Ones(ts.Cell):
    """Counts ones since the start; its unit says whether their number is odd."""

    def step(
        self, x: torch.Tensor, state: tuple[torch.Tensor, ...], noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        del noise
        return ((state[0] + x) % 2,)

    def initial_state(self, batch_size: int, generator: torch.Generator | None = None) -> tuple[torch.Tensor, ...]:
        del generator
        return (torch.zeros(batch_size, 1),)


def parity_of_all() -> ts.Model:
    """Return a network that answers the parity of all bits it was shown."""
    heads = ts.Heads(1, ["N5"], 2, True, torch.Generator().manual_seed(0))
    with torch.no_grad():
        heads.linears[0].weight.copy_(torch.tensor([[-1.0], [1.0]]))  # type: ignore[operator]
        heads.linears[0].bias.copy_(torch.tensor([0.5, -0.5]))  # type: ignore[operator]
    return ts.Model([Ones(1, 1)], heads)


# --- the interval -----------------------------------------------------------------------------------------------------


@given(data=st.data(), total=st.integers(1, 3000), confidence=st.floats(0.5, 0.999))
def test_the_interval_is_the_exact_one(data: st.DataObject, total: int, confidence: float) -> None:
    right = data.draw(st.integers(0, total))
    low, high = binomial_interval(np.array(right), total, confidence)
    expected = binomtest(right, total).proportion_ci(confidence, method="exact")
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_interval_keeps_the_shape_of_the_counts_and_its_ends() -> None:
    low, high = binomial_interval(np.array([[0, 5, 10]]), 10)
    assert low.shape == high.shape == (1, 3)
    assert (low[0, 0], high[0, 2]) == (0.0, 1.0)
    assert (low < high).all()


# --- accuracy ---------------------------------------------------------------------------------------------------------


def test_every_N_is_read_by_its_own_head() -> None:
    # With bits that are all 1, the parity of N bits is that of N, and only the head for N + 1 gets N wrong.
    model = constant({N: N % 2 for N in range(2, 8)})
    own = ts.evaluate(model, ts.Parity((2,), p=1.0), [7, 3, 2, 1, 6, 9], n_sequences=30, batch_size=8)
    assert own.dims == ("N",)
    assert own["N"].values.tolist() == [1, 2, 3, 6, 7, 9]
    assert own.values.tolist() == pytest.approx([math.nan, 1, 1, 1, 1, math.nan], nan_ok=True)
    assert own.attrs["n_sequences"] == 30
    assert own.attrs["units"]
    assert own["chance"].values.tolist() == [1.0] * 6  # with p = 1 a constant answer is right


def test_each_head_can_be_asked_every_N() -> None:
    model = constant({N: N % 2 for N in range(2, 8)})
    table = ts.evaluate(model, ts.Parity((2,), p=1.0), range(1, 10), heads=[3, 2, 7], n_sequences=10)
    assert table.dims == ("head", "N")
    assert table["head"].values.tolist() == [3, 2, 7]
    for head in (3, 2, 7):
        assert table.sel(head=head).values.tolist() == [float(head % 2 == N % 2) for N in range(1, 10)]


def test_a_shared_head_answers_every_N() -> None:
    model = constant({2: 1, 3: 0}, shared=True)
    own = ts.evaluate(model, ts.Parity((2,), p=1.0), range(1, 8), n_sequences=10)
    assert own.values.tolist() == [1, 0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("p", [None, 0.2, 0.5])
@pytest.mark.parametrize("task", TASKS)
def test_a_constant_answer_scores_what_its_probability_is(task: str, p: float | None) -> None:
    Ns, total = range(1, 7), 3000
    # The likelier answer to either task, at these p, is "even" and "match".
    model = constant(dict.fromkeys(Ns, {"parity": 0, "dms": 1}[task]))
    accuracy = ts.evaluate(model, TASKS[task]((2,), p=p), Ns, n_sequences=total)
    for N in Ns:
        one = accuracy.sel(N=N)
        if task == "parity":
            even = 0.5 * (1 + ((1 - 2 * p) ** N if p is not None else (N % 2 == 0) / (N + 1)))
            expected = even
        else:
            q = 0.5 if p is None else p
            expected = 1.0 if N == 1 else q**2 + (1 - q) ** 2
        right = round(float(one) * total)
        assert float(one) == right / total
        assert binomtest(right, total, expected).pvalue > 1e-4
        assert float(one["chance"]) == pytest.approx(max(expected, 1 - expected))
        interval = binomtest(right, total).proportion_ci(0.95, method="exact")
        assert (float(one["low"]), float(one["high"])) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_the_answer_is_read_at_the_last_step_of_streams_of_the_given_length() -> None:
    for length in (5, 6):
        table = ts.evaluate(
            parity_of_all(), ts.Parity((2,), p=0.5, length=length), range(1, length + 1), n_sequences=2000
        )
        # All bits are the last `length` bits; any other parity is independent of theirs.
        assert float(table.sel(N=length)) == 1.0
        assert table.sel(N=slice(1, length - 1)).values == pytest.approx([0.5] * (length - 1), abs=0.06)


def test_labels_at_every_step_are_asked_at_the_last_one() -> None:
    task = ts.Parity((2,), p=0.5, length=5, labels="every")
    assert float(ts.evaluate(parity_of_all(), task, [5], n_sequences=50).sel(N=5)) == 1.0


def test_every_sequence_is_asked_once_whatever_the_size_of_batches() -> None:
    model = constant({2: 0})
    for n_sequences, batch_size in ((1, 256), (10, 3), (256, 256), (257, 256)):
        accuracy = ts.evaluate(model, ts.Parity(), [2], n_sequences=n_sequences, batch_size=batch_size)
        right = float(accuracy[0]) * n_sequences
        assert right == pytest.approx(round(right), abs=1e-9)


def test_the_generator_is_the_only_source_of_chance() -> None:
    model = ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0), n_heads=4)

    def accuracy(seed: int | None) -> list[float]:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        values: list[float] = ts.evaluate(model, ts.Parity(), [2, 3, 4], generator=generator).values.tolist()
        return values

    assert accuracy(3) == accuracy(3)
    assert accuracy(None) == accuracy(0)
    assert accuracy(3) != accuracy(4)


def test_neither_the_network_nor_its_gradients_change() -> None:
    model = ts.LeakyRNN(6, generator=torch.Generator().manual_seed(0), n_heads=4)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    ts.evaluate(model, ts.Parity(), [2, 3], n_sequences=20)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"Ns": [0, 2]}, "expected ascending integers from 1"),
        ({"Ns": [2, 2]}, "expected ascending integers from 1"),
        ({"Ns": []}, "expected ascending integers from 1"),
        ({"Ns": [2], "n_sequences": 0}, "number of sequences is 0: expected at least 1"),
        ({"Ns": [2], "batch_size": 0}, "batch size is 0: expected at least 1"),
        ({"Ns": [2], "heads": "ovn"}, "heads 'ovn' is unknown: .*did you mean 'own'"),
        ({"Ns": [2], "heads": [9]}, r"no head 'N9': expected N2 … N4"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ts.InputError, match=message):
        ts.evaluate(constant({2: 0, 3: 0, 4: 0}), ts.Parity(), **options)  # type: ignore[arg-type]


def test_a_length_that_is_shorter_than_N_is_refused() -> None:
    with pytest.raises(ts.InputError, match="length 5 is too short for N = 6"):
        ts.evaluate(constant({2: 0}), ts.Parity((2,), length=5), [2, 6])
