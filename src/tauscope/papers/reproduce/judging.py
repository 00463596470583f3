"""Judge the claims of a paper by the results, and make the table of claims."""

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
"""Mark before each verdict, so that verdicts differ without colours."""


@dataclass(frozen=True)
class Judged:
    """A claim and its verdict.

    Attributes
    ----------
    claim : Claim
    verdict : Verdict
        Verdict of all findings together.
    findings : tuple of Finding
        A finding for each inequality.
    reason : str
        Why the claim has no findings; empty if it has findings.
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
        Paper with the claims.
    scale : Scale
        Scale of the reproduction; claims in its ``out_of_reach`` are not judged.
    results : Results
        Results to judge by. A claim whose judge raises an `InputError` is ``missing``. Any other exception is a mistake
        in the paper: the verdict is ``error``, and ``reason`` says where the exception arose.

    Returns
    -------
    list of Judged
        In the order of the claims.

    Examples
    --------
    >>> held = Finding("2 > 1", "2, 1", "3 + 3", "holds")
    >>> claim = Claim("C1", "Two is more than one.", "section 1", lambda _: [held])
    >>> paper = Paper("sums", "", "", "", (), (), (claim,), (), {})
    >>> [judged.verdict for judged in judge(paper, Scale("quick", "a second", 3, {}), Results({}, {}))]
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
    """Return the table of claims: a row for each claim, followed by a row for each of its inequalities.

    Returns
    -------
    list of tuple of str
        Cells under `HEADING`; the first cell is empty in the row of an inequality.

    Examples
    --------
    >>> claim = Claim("C1", "Two is more than one.", "section 1", lambda _: [])
    >>> claim_rows([Judged(claim, "not judged", reason="too few numbers")])
    [('C1', 'Two is more than one.', 'section 1', '', '', 'too few numbers', '– not judged')]
    """
    rows: list[tuple[str, ...]] = []
    for judgement in judged:
        claim = judgement.claim
        rows.append((claim.key, claim.statement, claim.where, "", "", judgement.reason, said(judgement.verdict)))
        rows += [
            ("", finding.statement, finding.published, finding.ours, finding.n, finding.effect, said(finding.verdict))
            for finding in judgement.findings
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
