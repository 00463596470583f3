"""Finding a paper by its name."""

from __future__ import annotations

import pytest

import tiny_paper
from tauscope.errors import InputError
from tauscope.papers import PAPERS, paper


def test_every_paper_is_named_as_it_names_itself() -> None:
    for name in PAPERS:
        assert paper(name).name == name
    assert paper("tiny_paper:PAPER") is tiny_paper.PAPER


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("emergent-timescale", "did you mean 'emergent-timescales'"),
        ("tiny_paperr:PAPER", "'tiny_paperr' cannot be imported"),
        (
            "tiny_paper:PAPR",
            "has no paper 'PAPR', expected one of PAPER, MISTAKEN, BROKEN, LONG, STUDIED, UNSTUDIED, RENAMED, OWN; did you mean 'PAPER'",
        ),
        ("tiny_paper:TRAINING", "has no paper 'TRAINING'"),
        (":", "cannot be imported"),
        (".x:PAPER", "cannot be imported"),
    ],
)
def test_an_unknown_paper_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        paper(name)
