"""Threads that take a part each: their share of the processor, and what comes back to the caller."""

from collections.abc import Iterator

import pytest
import torch

from tauscope.analysis.threads import Threads, cuts, n_parts

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("n_units", "n_series", "parts"), [(8, 130, 1), (512, 64, 1), (512, 130, 2), (1 << 20, 1, 1)])
def test_what_is_small_stays_whole(n_units, n_series, parts):
    assert n_parts(CPU, n_units, n_series) == parts


def test_one_thread_takes_all():
    assert n_parts(CPU, 512, 130) == 1


@pytest.mark.usefixtures("two_threads")
def test_threads_have_their_share_of_the_processor():
    with Threads(2) as threads:
        assert threads.map(lambda _: torch.get_num_threads(), range(2)) == [1, 1]
    assert torch.get_num_threads() == 2


def test_cuts_cover_everything_once():
    assert [list(range(*one)) for one in cuts(7, 3)] == [[0, 1], [2, 3], [4, 5, 6]]


@pytest.mark.usefixtures("two_threads")
def test_the_callers_threads_come_back_also_after_an_error():
    def enter_and_fail() -> None:
        with Threads(2) as threads:
            assert torch.get_num_threads() == 1
            threads.map([].index, range(2))

    with pytest.raises(ValueError, match="not in list"):
        enter_and_fail()
    assert torch.get_num_threads() == 2
