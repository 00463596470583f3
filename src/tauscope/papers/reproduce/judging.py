"""What the results say of each claim."""

from __future__ import annotations

from dataclasses import dataclass

from tauscope.errors import InputError
from tauscope.jobs.pool import reason
from tauscope.papers.vocabulary import Claim, Finding, Paper, Results, Scale, Verdict, verdict

MARKS: dict[Verdict, str] = {
    "holds": "✓",
    "inconclusive": "≈",
    "does not hold": "✗",
    "not judged": "–",
    "missing": "?",
    "error": "!",
}
"""What stands before a verdict, so that it can be told without colours."""


@dataclass(frozen=True)
class Judged:
    """A claim and what it came to.

    Attributes
    ----------
    claim : Claim
    verdict : Verdict
        Of all findings together.
    findings : tuple of Finding
        One for each inequality.
    reason : str
        Why there are none; empty if there are.
    """

    claim: Claim
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    reason: str = ""


def judge(paper: Paper, scale: Scale, results: Results) -> list[Judged]:
    """Judge every claim of a paper.

    Parameters
    ----------
    paper : Paper
        Its claims.
    scale : Scale
        Says which of them it cannot reach; those are not judged, whatever was found.
    results : Results
        What was found. A claim whose judge raises an `InputError` is missing; of any other exception, a mistake in the
        paper, the verdict is ``error``, and its ``reason`` says where it arose.

    Returns
    -------
    list of Judged
        In the order of the claims.

    Examples
    --------
    >>> held = Finding("2 > 1", "2, 1", "3 + 3", "holds")
    >>> claim = Claim("C1", "Two is more than one.", "section 1", lambda _: [held])
    >>> paper = Paper("sums", "", "", "", (), (), (claim,), (), {})
    >>> [one.verdict for one in judge(paper, Scale("quick", "a second", 3, {}), Results({}, {}))]
    ['holds']
    """
    return [_judged(claim, scale.out_of_reach.get(claim.key, ""), results) for claim in paper.claims]


def _judged(claim: Claim, out_of_reach: str, results: Results) -> Judged:
    if out_of_reach:
        return Judged(claim, "not judged", reason=out_of_reach)
    try:
        findings = tuple(claim.judge(results))
    except InputError as error:
        return Judged(claim, "missing", reason=f"cannot be judged: {error}")
    except Exception as error:  # a mistake in the paper must not cost hours of training: the other claims are judged
        return Judged(claim, "error", reason=f"cannot be judged: {reason(error)}")
    return Judged(claim, verdict(findings), findings, "" if findings else "nothing to judge it by was measured")


HEADING = ("claim", "inequality", "paper", "ours", "n", "effect", "verdict")


def claim_rows(judged: list[Judged]) -> list[tuple[str, ...]]:
    """Return the table of claims: a row with the statement of each, and under it a row for each inequality.

    Returns
    -------
    list of tuple of str
        Cells under `HEADING`; the first is empty in the row of an inequality.

    Examples
    --------
    >>> claim = Claim("C1", "Two is more than one.", "section 1", lambda _: [])
    >>> claim_rows([Judged(claim, "not judged", reason="too few numbers")])
    [('C1', 'Two is more than one.', 'section 1', '', '', 'too few numbers', '– not judged')]
    """
    rows: list[tuple[str, ...]] = []
    for one in judged:
        claim = one.claim
        rows.append((claim.key, claim.statement, claim.where, "", "", one.reason, said(one.verdict)))
        rows += [
            ("", finding.statement, finding.published, finding.ours, finding.n, finding.effect, said(finding.verdict))
            for finding in one.findings
        ]
    return rows


def said(verdict: Verdict) -> str:
    """Return a verdict with its mark.

    Examples
    --------
    >>> said("holds")
    '✓ holds'
    """
    return f"{MARKS[verdict]} {verdict}"
