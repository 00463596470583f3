"""Error lines name what was wrong and the nearest valid value."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tauscope import DamagedFileError, DivergedError, InputError
from tauscope.errors import nearest, require_at_least, require_choice

NAMES = ["cumulative", "sliding", "single", "single_nocurr"]


@given(name=st.sampled_from(NAMES), data=st.data())
def test_a_name_with_a_letter_missing_is_recognised(name: str, data: st.DataObject) -> None:
    missing = data.draw(st.integers(0, len(name) - 1))
    line = nearest(name[:missing] + name[missing + 1 :], NAMES)
    assert line == f"expected one of cumulative, sliding, single, single_nocurr; did you mean {name!r}?"


def test_a_name_far_from_all_gets_the_list_alone() -> None:
    assert nearest("xyz", NAMES) == "expected one of cumulative, sliding, single, single_nocurr"


def test_options_need_not_be_strings() -> None:
    assert nearest(12, [1, 11, 30]) == "expected one of 1, 11, 30; did you mean '1'?"


@pytest.mark.parametrize("options", [["parity", "dms"], ("parity", "dms"), iter(["parity", "dms"])])
def test_a_choice_is_accepted_or_refused(options: list[str]) -> None:
    with pytest.raises(InputError, match=r"^task 'paritty' is unknown: expected one of parity, dms; did you mean"):
        require_choice("task", "paritty", options)
    require_choice("task", "dms", ["parity", "dms"])


@pytest.mark.parametrize("value", [1, 1.0, 5, math.inf])
def test_a_number_at_or_above_the_minimum_is_accepted(value: float) -> None:
    require_at_least("tau", value, 1)


@pytest.mark.parametrize("value", [0, 0.999, -math.inf, math.nan])
def test_a_number_below_the_minimum_is_refused(value: float) -> None:
    with pytest.raises(InputError, match=rf"^tau is {value}: expected at least 1 \(nearest valid value: 1\)$"):
        require_at_least("tau", value, 1)


def test_bad_input_and_divergence_are_told_apart() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(DamagedFileError, InputError)
    assert not issubclass(DivergedError, InputError)
