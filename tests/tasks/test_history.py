"""History tasks: which entries a code repeats, the stream against its definition in integers, chance and optimum."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histories import PUBLISHED, SMALL, stream
from tauscope import InputError
from tauscope.tasks import Stage
from tauscope.tasks.history import History, boundary_matrix, continuation, named_codes, parse_code


def written(code: tuple[int, int, int]) -> str:
    return ",".join(map(str, code))


def test_codes_of_two_lags_and_components_are_all_signed_selections_once_each() -> None:
    masks = [a for a in range(16) if a.bit_count() == 2]
    found = [
        tuple(boundary_matrix(2, 2, code).int().flatten().tolist())
        for code in itertools.product(masks, (0, 1), range(4))
    ]
    expected = set()
    for columns in itertools.permutations(range(4), 2):
        for signs in itertools.product((1, -1), repeat=2):
            rows = np.zeros((2, 4), dtype=int)
            rows[[0, 1], columns] = signs
            expected.add(tuple(rows.flatten().tolist()))
    assert len(found) == len(set(found)) == 48
    assert set(found) == expected


@st.composite
def codes(draw: st.DrawFn) -> tuple[int, int, tuple[int, int, int]]:
    """Draw lags, components and a valid code."""
    dim, lags = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    chosen = draw(st.permutations(range(lags * dim)))[:dim]
    digits = [draw(st.integers(0, dim - 1 - i)) for i in range(dim)]
    a, b = sum(1 << k for k in chosen), sum(q * dim**i for i, q in enumerate(digits))
    return dim, lags, (a, b, draw(st.integers(0, 2**dim - 1)))


@settings(deadline=None, max_examples=100)
@given(drawn=codes(), horizon=st.integers(1, 30), batch_size=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_a_batch_is_the_stream_of_its_definition(
    drawn: tuple[int, int, tuple[int, int, int]], horizon: int, batch_size: int, seed: int
) -> None:
    dim, lags, code = drawn
    task = History(dim=dim, lags=lags, map=written(code), horizon=horizon)
    batch = task.sample(batch_size, torch.Generator().manual_seed(seed))
    assert batch.inputs.shape == (lags + horizon, batch_size, dim) == (task.n_steps, batch_size, task.n_inputs)
    assert batch.targets.shape == (horizon, batch_size, 1, task.heads["out"].n_outputs)
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    assert batch.inputs[lags:].abs().sum() == 0
    shown = batch.inputs[:lags].int()
    assert set(shown.abs().flatten().tolist()) == {1}
    for trial in range(batch_size):
        assert batch.targets[:, trial, 0].int().tolist() == stream(task.boundary, shown[:, trial].tolist(), horizon)


def test_named_maps_say_what_they_repeat() -> None:
    shown = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    following = {name: stream(boundary_matrix(3, 3, name), shown, 3) for name in ("copy", "cyclic", "diagonal")}
    assert following["copy"] == shown
    assert following["cyclic"] == [[-2, 3, 1], [-5, 6, 4], [-8, 9, 7]]
    assert following["diagonal"] == [[1, 5, 9], [4, 8, 9], [7, 5, 9]]


def test_named_maps_are_the_published_codes() -> None:
    assert named_codes(8)["copy"] == PUBLISHED["T1"]
    assert named_codes(8)["diagonal"] == PUBLISHED["T2"]
    assert list(named_codes(4).values()) == [SMALL["T1"], SMALL["T1c"], SMALL["T2"]]
    assert parse_code(8, "9241421688590303745,262676,189") == PUBLISHED["T3"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_maps_read_one_entry_of_each_component(name: str) -> None:
    F = boundary_matrix(8, 8, PUBLISHED[name])
    assert F.abs().sum(dim=1).tolist() == [1.0] * 8
    blocks, components = np.divmod(F.abs().argmax(dim=1).numpy(), 8)
    assert sorted(components) == list(range(8))
    assert sorted(blocks) == ([0] * 8 if name == "T1" else list(range(8)))


def test_vectors_are_fair_and_independent(generator: torch.Generator) -> None:
    n = 20_000
    shown = History(dim=2, lags=2, horizon=1).sample(n, generator).inputs[:2].transpose(0, 1).flatten(1).double()
    moments = shown.T @ shown / n
    assert (shown.mean(dim=0).abs() < 5 / n**0.5).all()
    assert ((moments - torch.eye(4)).abs() < 5 / n**0.5).all()


@pytest.mark.parametrize("name", SMALL)
def test_the_true_stream_is_optimal_and_every_constant_answer_is_at_chance(name: str) -> None:
    task = (
        History(dim=4, lags=4, map=written(SMALL[name]))
        if name != "T1"
        else History(dim=2, lags=2, map="3,1,2", horizon=5)
    )
    bits = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=task.lags * task.dim)))
    batch = task.batch_of(bits.unflatten(1, (task.lags, task.dim)).transpose(0, 1))
    assert task.score(batch.targets, batch).tolist() == [task.heads["out"].optimum]
    assert task.loss(batch.targets, batch).tolist() == [0]
    # Over all equally likely trials every component of every step is as often +1 as -1: no constant beats another.
    assert (batch.targets.mean(dim=1) == 0).all()
    for constant in (-1.0, 0.0, 1.0):
        answer = torch.full_like(batch.targets, constant)
        assert task.score(answer, batch).tolist() == [task.heads["out"].chance]
        assert task.loss(answer, batch).tolist() == [1 + constant**2]


def test_an_output_of_zero_counts_as_plus_one() -> None:
    task = History(dim=2, lags=1, horizon=1)
    batch = task.batch_of(torch.tensor([[[1.0, -1.0]]]))
    assert task.score(torch.zeros(1, 1, 1, 2), batch).tolist() == [0.5]
    right, asked = task.tally(torch.tensor([0.0, -0.1]).view(1, 1, 1, 2), batch)
    assert (right.tolist(), asked.tolist()) == ([2.0], [2.0])


def test_a_continuation_is_the_power_of_its_companion_matrix() -> None:
    F = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    companion = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], F[0].tolist()], dtype=torch.float64)
    for k, found in enumerate(continuation(F, 6)):
        expected = torch.linalg.matrix_power(companion, k + 1)[-1:]
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"map": "copi"}, "map 'copi' is unknown: expected one of copy, cyclic, diagonal, a,b,c; did you mean 'copy'"),
        ({"map": "1,2"}, "map '1,2' is unknown"),
        ({"map": "7,0,0"}, "a = 7 selects 3 of 16 columns: expected 4"),
        ({"map": f"{15 << 16},0,0"}, "selects 0 of 16 columns"),
        ({"map": f"{(1 << 16) + 7},0,0"}, "selects 3 of 16 columns"),
        ({"map": "-1,0,0"}, "selects 0 of 16 columns"),
        ({"map": f"15,{3 * 4},0"}, r"digit 3 at place 1 of b = 12: expected 0 \.\.\. 2"),
        ({"map": f"15,{4**4},0"}, r"b = 256: expected 0 \.\.\. 255"),
        ({"map": "15,0,16"}, r"c = 16: expected 0 \.\.\. 15"),
        ({"map": "15,0,-1"}, "c = -1"),
        ({"map": "diagonal", "lags": 3}, "selects 3 of 12 columns"),
        ({"horizon": 0}, "horizon is 0: expected at least 1"),
        ({"dim": 0}, "dim is 0: expected at least 1"),
        ({"lags": 0}, "lags is 0: expected at least 1"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line) as caught:
        History(**({"dim": 4, "lags": 4} | options))
    assert "\n" not in str(caught.value)


def test_a_longer_horizon_goes_on_from_the_same_stream() -> None:
    short = History(dim=4, lags=4, map="cyclic", horizon=5)
    shown = short.sample(3, torch.Generator().manual_seed(0)).inputs[:4]
    longer = short.at(Stage("horizon9", {"horizon": 9})).batch_of(shown)
    assert longer.inputs.shape[0] == 13
    assert longer.targets[:5].equal(short.batch_of(shown).targets)
