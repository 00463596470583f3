"""The stages of every curriculum, the criterion in both directions, and going on from a saved state."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tauscope import Criterion, Curriculum, InputError, Stage, cumulative, ladder, once, single, sliding
from tauscope.learning.curricula import SOLVED

Stages = tuple[Stage, ...]


def asked(stages: Stages) -> list[tuple[int, ...]]:
    """Return the Ns of every stage, which its name and its heads tell too."""
    for stage in stages:
        Ns = stage.ask["Ns"]
        assert stage.name == f"N{Ns[0]}_N{Ns[-1]}"
        assert stage.heads in (("out",), tuple(f"N{N}" for N in Ns))
    return [stage.ask["Ns"] for stage in stages]


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (single(last=5), [(2,), (3,), (4,), (5,)]),
        (single(first=7, last=8), [(7,), (8,)]),
        (single(first=4, last=4), [(4,)]),
        (once(2), [(2,)]),
        (once(9), [(9,)]),
        (cumulative(last=4), [(2,), (2, 3), (2, 3, 4)]),
        (cumulative(first=5, last=6), [(5,), (5, 6)]),
        (cumulative(start=3, last=6), [(2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)]),
        (cumulative(add=2, last=6), [(2,), (2, 3, 4), (2, 3, 4, 5, 6)]),
        (cumulative(start=2, add=3, last=7), [(2, 3), (2, 3, 4, 5, 6), (2, 3, 4, 5, 6, 7)]),
        (cumulative(start=3, last=4), [(2, 3, 4)]),
        (sliding(last=4), [(2,), (3,), (4,)]),
        (sliding(width=3, last=6), [(2, 3, 4), (3, 4, 5), (4, 5, 6)]),
        (sliding(width=3, forget=2, last=8), [(2, 3, 4), (4, 5, 6), (6, 7, 8)]),
        (sliding(width=3, forget=2, last=7), [(2, 3, 4), (4, 5, 6), (6, 7)]),
        (sliding(width=1, forget=2, last=5), [(2, 3), (4, 5)]),
        (sliding(width=2, forget=2, first=3, last=7), [(3, 4), (5, 6), (7,)]),
    ],
    ids=lambda value: value[-1].name if isinstance(value[-1], Stage) else str(len(value)),
)
def test_stages_from_the_first_to_the_last(stages: Stages, expected: list[tuple[int, ...]]) -> None:
    assert asked(stages) == expected


def test_the_published_sliding_window_of_ten_with_five_forgotten() -> None:
    seen = asked(sliding(width=10, forget=5))
    assert seen[0] == tuple(range(2, 12))
    assert seen[1] == tuple(range(7, 17))
    assert seen[-1] == tuple(range(92, 102))
    assert len(seen) == 19


def test_the_defaults_end_at_the_last_of_a_hundred_heads() -> None:
    for stages, n_last in ((single(), 1), (cumulative(), 100), (sliding(), 1)):
        seen = asked(stages)
        assert len(seen) == 100
        assert seen[-1][-1] == 101
        assert len(seen[-1]) == n_last


def test_single_head_curricula_ask_one_head_always_and_a_window_of_one_asks_its_own() -> None:
    assert {stage.heads for stage in (*single(), *once(5))} == {("out",)}
    assert [stage.heads for stage in sliding(last=4)] == [("N2",), ("N3",), ("N4",)]


def test_a_ladder_gives_one_field_one_value_after_another() -> None:
    stages = ladder("horizon", (10, 20, 40))
    assert [(stage.name, dict(stage.ask), stage.heads) for stage in stages] == [
        ("horizon10", {"horizon": 10}, ("out",)),
        ("horizon20", {"horizon": 20}, ("out",)),
        ("horizon40", {"horizon": 40}, ("out",)),
    ]
    assert [stage.name for stage in ladder("task", [object(), object()], ("first", "second"))] == ["first", "second"]


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
    curriculum = Curriculum(cumulative(start=3))
    assert curriculum.update({"accuracy": accuracy}) is solved
    assert curriculum.stage.ask["Ns"] == ((2, 3, 4, 5) if solved else (2, 3, 4))


@pytest.mark.parametrize(
    ("criterion", "score", "solved"),
    [
        (Criterion("fractional_loss", 0.98), 1.44, False),
        (Criterion("fractional_loss", 0.1), 0.1, False),
        (Criterion("fractional_loss", 0.1), 0.09, True),
        (Criterion("fractional_loss", 0.1), float("nan"), False),
        (Criterion("relative_error", 0.5), 0.6, False),
        (Criterion("relative_error", epochs=5), -1.0, False),
        (Criterion("reward", 10.0, "more"), 11.0, True),
        (Criterion("regret", 10.0, "less"), 11.0, False),
    ],
)
def test_a_criterion_knows_which_scores_are_better(criterion: Criterion, score: float, solved: bool) -> None:
    curriculum = Curriculum(ladder("horizon", (1, 2)), criterion)
    assert curriculum.update({criterion.metric: [score]}) is solved


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Criterion("acuracy"), "metric 'acuracy' is unknown: .* did you mean 'accuracy'"),
        (lambda: Criterion("reward", 1.0, "most"), "better 'most' is unknown"),  # type: ignore[arg-type]
        (lambda: Criterion("fractional_loss"), "without a threshold: expected one, or a number of epochs"),
        (lambda: Criterion(epochs=0), "epochs is 0: expected at least 1"),
        (lambda: Curriculum(()), "expected at least one"),
        (lambda: Curriculum(once(2) * 2), "each with a name of its own"),
        (lambda: Curriculum([Stage("Easy"), Stage("easy")]), "each with a name of its own"),
        (lambda: Curriculum(once(2)).update({"fractional_loss": [0.1]}), "metric 'accuracy' is unknown"),
    ],
)
def test_criteria_and_scores_that_do_not_fit_are_refused(make: Callable[[], object], line: str) -> None:
    with pytest.raises(InputError, match=line):
        make()


def test_stages_of_a_number_of_epochs_pass_whatever_is_reached() -> None:
    curriculum = Curriculum(ladder("horizon", (1, 2)), Criterion(epochs=3))
    seen = []
    while not curriculum.finished:
        seen.append((curriculum.stage.name, curriculum.update({"accuracy": [1.0]})))
    assert seen == [("horizon1", True)] * 3 + [("horizon2", True)] * 3
    assert [Criterion(epochs=3).keeps(solved) for solved in (True, False)] == [True, True]
    assert [Criterion().keeps(solved) for solved in (True, False)] == [True, False]


@pytest.mark.parametrize("stages", [single(), once(2), cumulative(), sliding()])
def test_one_head_must_exceed_98_percent_strictly(stages: Stages) -> None:
    curriculum = Curriculum(stages)
    assert not curriculum.update({"accuracy": [0.98]})
    assert (curriculum.position, curriculum.finished) == (0, False)
    assert curriculum.update({"accuracy": [0.98 + 1e-9]})


def test_an_unsolved_last_stage_does_not_finish() -> None:
    curriculum = Curriculum(once(2))
    assert not curriculum.update({"accuracy": [0.98]})
    assert not curriculum.finished
    assert curriculum.update({"accuracy": [0.99]})
    assert curriculum.finished


@pytest.mark.parametrize("accuracy", [[], [1.0], [1.0, 1.0, 1.0]])
def test_scores_must_match_the_heads(accuracy: list[float]) -> None:
    curriculum = Curriculum(cumulative(start=2))
    with pytest.raises(InputError, match=rf"{len(accuracy)} scores for heads \['N2', 'N3'\]: expected one for each"):
        curriculum.update({"accuracy": accuracy})
    assert (curriculum.position, curriculum.epoch) == (0, 0)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: single(first=1), "ns_init is 1: expected at least 2"),
        (lambda: once(0), "ns_init is 0: expected at least 2"),
        (lambda: single(first=5, last=4), "max N is 4: expected at least the first N, 5"),
        (lambda: cumulative(start=0), "init heads is 0: expected at least 1"),
        (lambda: cumulative(add=0), "add heads is 0: expected at least 1"),
        (lambda: sliding(forget=0), "forget heads is 0: expected at least 1"),
        (lambda: sliding(width=-1), "init heads is -1: expected at least 1"),
        (lambda: cumulative(start=10, last=10), r"init heads is 10: expected at most 9, for N = 2 \.\.\. 10"),
        (lambda: sliding(forget=10, last=10), r"is 10: expected at most 9, for N = 2 \.\.\. 10"),
    ],
)
def test_impossible_stages_are_refused(make: Callable[[], Stages], line: str) -> None:
    with pytest.raises(InputError, match=line):
        make()


@st.composite
def curricula(draw: st.DrawFn) -> Stages:
    """Draw the stages of a curriculum."""
    first, init, change = draw(st.integers(2, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    last = first + max(init, change) - 1 + draw(st.integers(0, 12))
    makes = [
        single(first, last),
        once(first),
        cumulative(first, last, init, change),
        sliding(first, last, init, change),
    ]
    return draw(st.sampled_from(makes))


@settings(deadline=None)
@given(stages=curricula(), epochs=st.none() | st.integers(1, 3), data=st.data())
def test_any_course_of_scores_saved_and_resumed_anywhere(
    stages: Stages, epochs: int | None, data: st.DataObject
) -> None:
    criterion = Criterion(epochs=epochs)
    curriculum, n_over, n_epochs = Curriculum(stages, criterion), 0, 0
    while not curriculum.finished and data.draw(st.booleans(), label="go on"):
        n_heads = len(curriculum.stage.heads)
        accuracy = data.draw(st.lists(st.floats(0.9, 1), min_size=n_heads, max_size=n_heads))
        if data.draw(st.booleans(), label="perfect"):
            accuracy = [1.0] * n_heads
        stage, n_epochs = curriculum.stage.name, n_epochs + 1
        solved = curriculum.update({"accuracy": accuracy})
        assert not solved or accuracy[-1] > SOLVED
        n_over += solved if epochs is None else n_epochs % epochs == 0
        assert curriculum.position == min(n_over, len(stages) - 1)
        assert curriculum.finished == (n_over == len(stages)) == curriculum.ends(stage, n_epochs, solved)

        resumed = Curriculum(stages, criterion)
        resumed.load_state_dict(json.loads(json.dumps(curriculum.state_dict())))
        assert resumed.state_dict() == curriculum.state_dict()
        assert resumed.position == curriculum.position
        curriculum = resumed


def solve(curriculum: Curriculum) -> list[str]:
    """Solve all stages that are left, and return their names."""
    seen = []
    while not curriculum.finished:
        seen.append(curriculum.stage.name)
        assert curriculum.update({"accuracy": [1.0] * len(curriculum.stage.heads)})
    return seen


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda last: single(last=last), ["N5_N5", "N6_N6"]),
        (lambda last: cumulative(last=last), ["N2_N5", "N2_N6"]),
        (lambda last: sliding(width=2, last=last), ["N4_N5", "N5_N6"]),
    ],
)
def test_a_longer_curriculum_goes_on_where_a_shorter_one_is_finished(
    make: Callable[[int], Stages], left: list[str]
) -> None:
    short, same, longer = Curriculum(make(4)), Curriculum(make(4)), Curriculum(make(6))
    solve(short)
    same.load_state_dict(short.state_dict())
    assert same.finished
    longer.load_state_dict(short.state_dict())
    assert not longer.finished
    assert solve(longer) == left


def test_more_epochs_reopen_a_last_stage() -> None:
    stages = (Stage("N1_N1"),)
    short, longer = Curriculum(stages, Criterion(epochs=2)), Curriculum(stages, Criterion(epochs=3))
    for _ in range(2):
        short.update({"accuracy": [0.5]})
    assert short.finished
    longer.load_state_dict(short.state_dict())
    assert (longer.finished, longer.epoch) == (False, 2)


def test_a_state_of_another_curriculum_is_refused() -> None:
    state = Curriculum(single(first=7, last=9)).state_dict()
    with pytest.raises(InputError, match=r"stage N7_N7 is not one of the curriculum: expected N2_N2 … N2_N5"):
        Curriculum(cumulative(last=5)).load_state_dict(state)


@pytest.mark.parametrize(
    ("curriculum", "state", "stage", "finished"),
    [
        (Curriculum(cumulative()), {"Ns": [2, 3, 4], "finished": False}, "N2_N4", False),
        (Curriculum(cumulative(last=4)), {"Ns": [2, 3, 4], "finished": True}, "N2_N4", True),
        (Curriculum(sliding(width=10, forget=5)), {"Ns": list(range(7, 17)), "finished": False}, "N7_N16", False),
        (Curriculum(single()), {"Ns": [5], "finished": False}, "N5_N5", False),
        (Curriculum(once(5)), {"Ns": [5], "finished": True}, "N5_N5", True),
        (Curriculum(ladder("a", (1, 2)), Criterion(epochs=3)), {"epoch": 2}, "a1", False),
        (Curriculum(ladder("a", (1, 2)), Criterion(epochs=3)), {"epoch": 4}, "a2", False),
        (Curriculum(ladder("a", (1, 2)), Criterion(epochs=3)), {"epoch": 6}, "a2", True),
    ],
)
def test_states_of_version_0_1_are_gone_on_from(
    curriculum: Curriculum, state: dict[str, Any], stage: str, finished: bool
) -> None:
    curriculum.load_state_dict(state)
    assert (curriculum.stage.name, curriculum.finished) == (stage, finished)
