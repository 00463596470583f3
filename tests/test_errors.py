"""Error lines name what was wrong and the nearest valid value."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tauscope import DamagedFileError, DivergedError, InputError
from tauscope.errors import (
    nearest,
    require_at_least,
    require_choice,
    require_count,
    require_file_name,
    require_instance,
    require_positive,
    require_probability,
    shown,
)

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


@pytest.mark.parametrize("value", ["2", None, [2, 3], torch.ones(2), np.ones(2), 2j])
def test_what_is_no_number_is_refused(value: Any) -> None:
    for require in (require_at_least, require_count):
        with pytest.raises(InputError, match=r"^tau is .*: expected a (whole )?number of at least 1$"):
            require("tau", value, 1)
    with pytest.raises(InputError, match=r"^p is .*: expected a probability, such as 0.5$"):
        require_probability("p", value)


@pytest.mark.parametrize("value", [1, 5, np.int64(3), torch.tensor(2)])
def test_a_whole_number_is_accepted(value: Any) -> None:
    require_count("lags", value)


@pytest.mark.parametrize("value", [1.0, 1.5, math.inf, math.nan, Fraction(3, 2)])
def test_a_number_that_is_not_whole_counts_nothing(value: Any) -> None:
    with pytest.raises(InputError, match=r"^lags is .*: expected a whole number of at least 1$"):
        require_count("lags", value)


def test_a_class_is_told_from_its_instance() -> None:
    require_instance("seed", 3, int, "a whole number")
    with pytest.raises(InputError, match=r"^seed is the class int itself: expected a whole number$"):
        require_instance("seed", int, int, "a whole number")
    with pytest.raises(InputError, match=r"^seed is of type str: expected a whole number$"):
        require_instance("seed", "3", (int, float), "a whole number")


@pytest.mark.parametrize("name", ["", "CON", "nul.txt", "Lpt1", "a:b", "a*", "what?", "a|b", "<a>", 'a"b', "a\\b", "a/b", "..",
                                  "a.", "a ", "a\nb", "\x00", "\x7f", "\udcff", "x" * 101, "é" * 51])  # fmt: skip
def test_names_that_some_system_takes_for_no_file_are_refused(name: str) -> None:
    with pytest.raises(
        InputError, match=r"^stage .*: expected a name that a file can have on any system, such"
    ) as error:
        require_file_name("stage", name)
    assert "\n" not in str(error.value)
    require_file_name("stage", str(error.value).rpartition("such as ")[2].strip("'"))


@pytest.mark.parametrize("name", ["N2_N3", "0.5", ".a", "console", "com10", "a b", "été", "x" * 100, "a+b", "2afc"])
def test_other_names_are_names_of_files(name: str) -> None:
    require_file_name("stage", name)


@pytest.mark.parametrize(
    "value", [np.zeros((2, 2)), torch.zeros(3, 2), np.ones(2), ["a\nb"], {"a": np.eye(40)}, "x" * 500]
)
def test_whatever_is_refused_is_refused_in_a_short_line(value: Any) -> None:
    for require in (require_at_least, require_count, require_choice, require_positive, require_probability):
        with pytest.raises(InputError) as caught:
            require(
                "it", value, *([1] if require is require_at_least else [["a"]] if require is require_choice else [])
            )  # type: ignore[operator]
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 200
    assert len(shown(value)) < 100


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_counts_nothing(value: bool) -> None:
    with pytest.raises(InputError, match=f"units is {value}: expected a whole number"):
        require_count("units", value, 0)


def test_a_number_above_0_may_have_to_be_finite() -> None:
    require_positive("clip", math.inf)
    with pytest.raises(InputError, match="dt is inf: expected a finite number above 0"):
        require_positive("dt", math.inf, finite=True)
