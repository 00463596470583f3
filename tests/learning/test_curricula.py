"""Every transition of the curricula, the 98 % rule, and going on from a saved state."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import Cumulative, Curriculum, InputError, NoCurriculum, Single, Sliding
from tauscope.learning.curricula import CURRICULA, SOLVED

Make = Callable[[], Curriculum]


def stages(curriculum: Curriculum) -> list[tuple[int, ...]]:
    """Return the Ns of every stage of a network that solves each in one epoch."""
    seen = []
    while not curriculum.finished:
        seen.append(curriculum.Ns)
        assert curriculum.update([1.0] * len(curriculum.Ns))
    assert curriculum.Ns == seen[-1]
    return seen


@pytest.mark.parametrize(
    ("curriculum", "expected"),
    [
        (Single(max_N=5), [(2,), (3,), (4,), (5,)]),
        (Single(first_N=7, max_N=8), [(7,), (8,)]),
        (Single(first_N=4, max_N=4), [(4,)]),
        (NoCurriculum(), [(2,)]),
        (NoCurriculum(first_N=9), [(9,)]),
        (Cumulative(max_N=4), [(2,), (2, 3), (2, 3, 4)]),
        (Cumulative(first_N=5, max_N=6), [(5,), (5, 6)]),
        (Cumulative(init_heads=3, max_N=6), [(2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)]),
        (Cumulative(add_heads=2, max_N=6), [(2,), (2, 3, 4), (2, 3, 4, 5, 6)]),
        (Cumulative(init_heads=2, add_heads=3, max_N=7), [(2, 3), (2, 3, 4, 5, 6), (2, 3, 4, 5, 6, 7)]),
        (Cumulative(init_heads=3, max_N=4), [(2, 3, 4)]),
        (Sliding(max_N=4), [(2,), (3,), (4,)]),
        (Sliding(init_heads=3, max_N=6), [(2, 3, 4), (3, 4, 5), (4, 5, 6)]),
        (Sliding(init_heads=3, forget_heads=2, max_N=8), [(2, 3, 4), (4, 5, 6), (6, 7, 8)]),
        (Sliding(init_heads=3, forget_heads=2, max_N=7), [(2, 3, 4), (4, 5, 6), (6, 7)]),
        (Sliding(init_heads=1, forget_heads=2, max_N=5), [(2, 3), (4, 5)]),
        (Sliding(init_heads=2, forget_heads=2, first_N=3, max_N=7), [(3, 4), (5, 6), (7,)]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Curriculum) else str(len(value)),
)
def test_stages_from_the_first_to_the_last(curriculum: Curriculum, expected: list[tuple[int, ...]]) -> None:
    assert stages(curriculum) == expected


def test_the_published_sliding_window_of_ten_with_five_forgotten() -> None:
    seen = stages(Sliding(init_heads=10, forget_heads=5))
    assert seen[0] == tuple(range(2, 12))
    assert seen[1] == tuple(range(7, 17))
    assert seen[-1] == tuple(range(92, 102))
    assert len(seen) == 19


def test_the_defaults_end_at_the_last_of_a_hundred_heads() -> None:
    for curriculum, n_last in ((Single(), 1), (Cumulative(), 100), (Sliding(), 1)):
        seen = stages(curriculum)
        assert len(seen) == 100
        assert seen[-1][-1] == 101
        assert len(seen[-1]) == n_last


@pytest.mark.parametrize(
    ("accuracy", "solved"),
    [
        ([0.99, 0.99, 0.99], True),
        ([1.0, 1.0, SOLVED], False),
        ([1.0, 1.0, 0.9801], True),
        ([1.0, 0.9, 1.0], False),
        ([0.95, 1.0, 1.0], True),
        ([0.94, 1.0, 1.0], False),
        ([1.0, 1.0, 0.95], False),
        ([SOLVED] * 3, False),
        ([float("nan"), 1.0, 1.0], False),
        ([1.0, 1.0, float("nan")], False),
    ],
)
def test_a_stage_is_solved_when_mean_and_newest_head_exceed_98_percent(accuracy: list[float], solved: bool) -> None:
    curriculum = Cumulative(init_heads=3)
    assert curriculum.update(accuracy) is solved
    assert curriculum.Ns == ((2, 3, 4, 5) if solved else (2, 3, 4))


@pytest.mark.parametrize("make", [Single, NoCurriculum, Cumulative, Sliding])
def test_one_head_must_exceed_98_percent_strictly(make: Make) -> None:
    curriculum = make()
    assert not curriculum.update([0.98])
    assert curriculum.Ns == (2,)
    assert not curriculum.finished
    assert curriculum.update([0.98 + 1e-9])


def test_an_unsolved_last_stage_does_not_finish() -> None:
    curriculum = Single(max_N=2)
    assert not curriculum.update([0.98])
    assert not curriculum.finished
    assert curriculum.update([0.99])
    assert curriculum.finished


@pytest.mark.parametrize("accuracy", [[], [1.0], [1.0, 1.0, 1.0]])
def test_accuracies_must_match_the_heads(accuracy: list[float]) -> None:
    curriculum = Cumulative(init_heads=2)
    with pytest.raises(InputError, match=rf"{len(accuracy)} accuracies for Ns \[2, 3\]: expected 2"):
        curriculum.update(accuracy)
    assert curriculum.Ns == (2, 3)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Single(first_N=1), "ns_init is 1: expected at least 2"),
        (lambda: NoCurriculum(first_N=0), "ns_init is 0: expected at least 2"),
        (lambda: Single(first_N=5, max_N=4), "max N is 4: expected at least the first N, 5"),
        (lambda: Cumulative(init_heads=0), "init heads is 0: expected at least 1"),
        (lambda: Cumulative(add_heads=0), "add heads is 0: expected at least 1"),
        (lambda: Sliding(forget_heads=0), "forget heads is 0: expected at least 1"),
        (lambda: Sliding(init_heads=-1), "init heads is -1: expected at least 1"),
        (lambda: Cumulative(init_heads=10, max_N=10), r"init heads is 10: expected at most 9, for N = 2 \.\.\. 10"),
        (lambda: Sliding(forget_heads=10, max_N=10), r"is 10: expected at most 9, for N = 2 \.\.\. 10"),
    ],
)
def test_impossible_curricula_are_refused(make: Make, line: str) -> None:
    with pytest.raises(InputError, match=line):
        make()


@st.composite
def curricula(draw: st.DrawFn) -> Make:
    """Draw a way to make a curriculum."""
    first, init, change = draw(st.integers(2, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    last = first + max(init, change) - 1 + draw(st.integers(0, 12))
    makes: list[Make] = [
        lambda: Single(first, last),
        lambda: NoCurriculum(first, last),
        lambda: Cumulative(init, change, first, last),
        lambda: Sliding(init, change, first, last),
    ]
    return draw(st.sampled_from(makes))


def after(start: Curriculum, n_solved: int) -> tuple[int, ...]:
    """Return the Ns after a number of solved stages, by counting from the start."""
    low, high = start.Ns[0], start.Ns[-1]
    if isinstance(start, Single):
        low, high = low + n_solved, high + n_solved
    elif isinstance(start, Cumulative):
        high += n_solved * start.add_heads
    elif isinstance(start, Sliding):
        low, high = low + n_solved * start.forget_heads, high + n_solved * start.forget_heads
    return tuple(range(low, min(high, start.max_N) + 1))


@settings(deadline=None)
@given(make=curricula(), data=st.data())
def test_any_course_of_accuracies_saved_and_resumed_anywhere(make: Make, data: st.DataObject) -> None:
    curriculum, start, n_solved = make(), make(), 0
    while not curriculum.finished and data.draw(st.booleans(), label="go on"):
        n_heads = len(curriculum.Ns)
        accuracy = data.draw(st.lists(st.floats(0.9, 1), min_size=n_heads, max_size=n_heads))
        if data.draw(st.booleans(), label="perfect"):
            accuracy = [1.0] * n_heads
        was_last = isinstance(curriculum, NoCurriculum) or curriculum.Ns[-1] == curriculum.max_N
        solved = curriculum.update(accuracy)
        assert not solved or accuracy[-1] > SOLVED
        n_solved += solved and not was_last
        assert curriculum.Ns == after(start, n_solved)
        assert curriculum.finished == (solved and was_last)

        resumed = make()
        resumed.load_state_dict(json.loads(json.dumps(curriculum.state_dict())))
        assert (resumed.Ns, resumed.finished) == (curriculum.Ns, curriculum.finished)
        curriculum = resumed


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda last: Single(max_N=last), [(4,), (5,), (6,)]),
        (lambda last: Cumulative(max_N=last), [(2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)]),
        (lambda last: Sliding(init_heads=2, max_N=last), [(3, 4), (4, 5), (5, 6)]),
    ],
)
def test_a_raised_max_N_reopens_a_finished_curriculum_at_its_last_stage(
    make: Callable[[int], Curriculum], expected: list[tuple[int, ...]]
) -> None:
    short = make(4)
    stages(short)
    same, longer = make(4), make(6)
    same.load_state_dict(short.state_dict())
    assert same.finished
    longer.load_state_dict(short.state_dict())
    assert not longer.finished
    assert stages(longer) == expected


def test_no_curriculum_stays_finished_whatever_max_N() -> None:
    solved = NoCurriculum(first_N=5, max_N=10)
    stages(solved)
    longer = NoCurriculum(first_N=5, max_N=20)
    longer.load_state_dict(solved.state_dict())
    assert longer.finished
    assert longer.Ns == (5,)


def test_single_head_curricula_share_their_head() -> None:
    assert {name for name, kind in CURRICULA.items() if kind.shared_head} == {"single", "single_nocurr"}
    assert {"cumulative": Cumulative, "sliding": Sliding, "single": Single, "single_nocurr": NoCurriculum} == CURRICULA
