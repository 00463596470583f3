"""Claims judged by what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import xarray as xr

from tauscope.errors import DamagedFileError, InputError, NotApplicableError
from tauscope.papers.reproduce.judging import MARKS, claim_rows, judge
from tauscope.papers.vocabulary import Finding, Results, Trained, Verdict
from tiny_paper import PAPER, SCALES


def network(condition: str, i: int, N: int, radius: float = 0.5, missing: str = "") -> Trained:
    if missing:
        return Trained(condition, i, (), {}, missing)
    history = ({"epoch": 1, "Ns": [N], "solved": True},)
    return Trained(condition, i, history, {("connectivity", N): xr.Dataset({"spectral_radius": ("matrix", [radius])})})


def results(**missing: str) -> Results:
    reached = {"multi": (99, 98), "single": (3, 2), "fixed": (200, 201), "gated": (3, 3)}
    networks = {
        name: [network(name, i, N, 0.5 + i / 100, missing.get(f"{name}_{i}", "")) for i, N in enumerate(Ns, 1)]
        for name, Ns in reached.items()
    }
    return Results(networks, {name: name for name in reached})


def verdicts(found: Results, scale: str = "quick") -> dict[str, str]:
    return {one.claim.key: one.verdict for one in judge(PAPER, SCALES[scale], found)}


def test_a_claim_holds_if_all_of_its_inequalities_do() -> None:
    assert verdicts(results()) == {"C1": "holds", "C2": "holds", "C3": "missing", "C4": "not judged"}


def test_too_few_networks_are_said() -> None:
    judged = judge(PAPER, SCALES["quick"], results(single_2="diverged"))
    assert [one.verdict for one in judged[:2]] == ["missing", "missing"]
    (finding,) = judged[0].findings
    assert (finding.n, finding.effect) == ("2 + 1", "fewer than 2 networks")
    assert [finding.verdict for finding in judged[1].findings] == ["missing", "holds"]


def test_a_mistake_in_a_judge_is_an_error_and_harms_no_other_claim() -> None:
    without = Results({name: ones for name, ones in results().networks.items() if name != "gated"}, {})
    judged = judge(PAPER, SCALES["quick"], without)
    assert [one.verdict for one in judged] == ["holds", "holds", "error", "not judged"]
    assert judged[2].reason.startswith("cannot be judged: KeyError: 'gated' (tiny_paper.py, line ")


@pytest.mark.parametrize("kind", [InputError, NotApplicableError, DamagedFileError])
def test_a_judge_that_lacks_something_is_missing_with_its_reason(kind: type[InputError]) -> None:
    def lacking(_: Results) -> list[Finding]:
        raise kind("no network solved N = 9: expected one")

    paper = replace(PAPER, claims=(replace(PAPER.claims[0], judge=lacking), *PAPER.claims[1:]))
    judged = judge(paper, SCALES["quick"], results())
    assert [one.verdict for one in judged] == ["missing", "holds", "missing", "not judged"]
    assert judged[0].reason == "cannot be judged: no network solved N = 9: expected one"


def test_a_claim_without_findings_is_missing() -> None:
    paper = replace(PAPER, claims=(replace(PAPER.claims[0], judge=lambda _: []),))
    (judged,) = judge(paper, SCALES["quick"], results())
    assert (judged.verdict, judged.reason) == ("missing", "nothing to judge it by was measured")


def test_what_is_out_of_reach_is_decided_before_anything_was_found() -> None:
    assert set(verdicts(results(), "smoke").values()) == {"not judged"}
    assert {one.reason for one in judge(PAPER, SCALES["smoke"], results())} == {"too few epochs"}


def test_rows() -> None:
    rows = claim_rows(judge(PAPER, SCALES["quick"], results()))
    assert [row[0] for row in rows] == ["C1", "", "C2", "", "", "C3", "", "C4"]
    assert rows[0] == ("C1", "Many heads reach as far as one.", "section 1, | p. 1", "", "", "", "✓ holds")
    assert rows[1][:5] == ("", "N multi >= N single", "", "98.5 ± 0.71 against 2.5 ± 0.71", "2 + 2")
    assert rows[3][2] == "0.96"
    assert rows[-1][5:] == ("needs a night", "– not judged")


def test_every_verdict_has_a_mark_of_its_own() -> None:
    assert set(MARKS) == set(get_args(Verdict))
    assert len(set(MARKS.values())) == len(MARKS)
