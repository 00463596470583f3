"""The paper's claims as inequalities, fixed before anything is run; C1 to C8 are identities or the spec's, X1 is ours.

Identities are judged on all numbers, without an interval. Networks of the same number start from the same weights.
"""

from __future__ import annotations

import xarray as xr

from tauscope.errors import InputError
from tauscope.papers.real_time_recurrent_learning import quantities as q
from tauscope.papers.real_time_recurrent_learning.conditions import METHODS, SEGMENTS
from tauscope.papers.statistics import positive
from tauscope.papers.vocabulary import Claim, Finding, Results

NEAR = 0.1
"""Returns that differ by less than this, a tenth of the range from chance to the optimum, count as alike."""

DEAREST = 1.5
"""Cost of RTRL in that of truncated backpropagation."""


def _study(results: Results, name: str) -> xr.Dataset:
    if name not in results.studies:
        raise InputError(f"study {name} failed: {results.failed_studies.get(name, 'it was not made')}")
    return results.studies[name]


def _all(statement: str, ours: str, n: int, holds: bool, published: str = "") -> Finding:
    """Return the judgement of an inequality on all numbers."""
    return Finding(statement, ours, str(n), "holds" if holds else "does not hold", published=published)


def _exact(results: Results) -> list[Finding]:
    error = _study(results, "exactness").error
    short = error.sel(gradient="bptt").isel(segment=0)
    findings = [
        _all(f"gradients of {cell} differ by less than 1e-10 from backpropagation through whole trials",
             f"at most {float(own.max()):.1e}", own.size, bool((own < 1e-10).all()))
        for cell in error.cell.values
        for own in [error.sel(cell=cell, gradient="rtrl")]
    ]  # fmt: skip
    return [
        *findings,
        _all("without the carry term they differ by more than 0.01", f"at least {float(short.min()):.2g}", short.size,
             bool((short > 0.01).all())),
    ]  # fmt: skip


def _copies(results: Results) -> list[Finding]:
    by_rtrl, by_bptt = (q.epochs_to_learn(results, f"copy_{method}") for method in METHODS)
    return [
        positive(f"share of sequences that RTRL copies > {q.LEVEL:g}", list(q.final(results, "copy_rtrl").values()),
                 threshold=q.LEVEL, published="1 (up to 500 bits)"),
        positive(f"TBPTT of one step takes more epochs to a share of {q.LEVEL:g} than RTRL (reached by "
                 f"{q.learnt(results, 'copy_bptt')} and {q.learnt(results, 'copy_rtrl')} networks)",
                 q.differences(by_bptt, by_rtrl)),
    ]  # fmt: skip


def _gaps(results: Results, every: int) -> list[float]:
    return q.differences(*(q.final(results, f"game{every}_{method}") for method in METHODS))


def _faster(results: Results, every: int) -> Finding:
    rtrl, bptt = (f"game{every}_{method}" for method in METHODS)
    return positive(
        f"M = {every}: TBPTT takes more epochs to a return of {q.LEVEL:g} than RTRL (reached by {q.learnt(results, bptt)} and "
        f"{q.learnt(results, rtrl)} networks)",
        q.differences(q.epochs_to_learn(results, bptt), q.epochs_to_learn(results, rtrl)),
    )


def _more(results: Results, every: int, published: str = "") -> Finding:
    return positive(
        f"M = {every}: the return of RTRL is above that of TBPTT", _gaps(results, every), published=published
    )


def _gap(results: Results) -> list[Finding]:
    return [_faster(results, SEGMENTS[0]), _more(results, SEGMENTS[0], "+7.3 and +24.4 (DMLab, M = 10)")]


def _closes(results: Results) -> list[Finding]:
    short, whole = SEGMENTS[0], SEGMENTS[-1]
    gaps = _gaps(results, whole)
    if not gaps:
        return []
    narrower = [wide - abs(own) for wide, own in zip(_gaps(results, short), gaps, strict=False)]
    return [
        positive(f"the gap at M = {short} is wider than at M = {whole}", narrower),
        _all(f"at M = {whole}, longer than an episode, there is none", f"at most {max(map(abs, gaps)):.2g}",
             len(gaps), not any(gaps), "+0.6, +0.5"),
    ]  # fmt: skip


def _stays(results: Results) -> list[Finding]:
    return [_more(results, every, "+24.4, +7.8, +9.2 (watermaze)") for every in SEGMENTS[:-1]]


def _reactive(results: Results) -> list[Finding]:
    rtrl = q.final(results, "shown_rtrl")
    return [
        positive(f"returns of RTRL and {label} differ by less than {NEAR:g}, the cue always shown",
                 [NEAR - abs(gap) for gap in q.differences(rtrl, q.final(results, name))], published="26.1, 26.1, 26.6")
        for name, label in (("shown_bptt", "TBPTT"), ("shown_none", "a feed-forward network"))
    ]  # fmt: skip


def _memory(results: Results) -> list[Finding]:
    found = _study(results, "memory").bytes
    ratio = found.isel(length=-1) / found.isel(length=0)
    times = float(found.length[-1] / found.length[0])
    rtrl, bptt = (float(ratio.sel(gradient=method)) for method in METHODS)
    between = f"from {int(found.length[0])} to {int(found.length[-1])} steps"
    return [
        _all(f"what RTRL keeps does not grow {between}", f"factor {rtrl:.4g}", 1, rtrl == 1),
        _all(f"what backpropagation keeps grows as the trial does {between}, within a tenth", f"factor {bptt:.4g}", 1,
             abs(bptt / times - 1) < 0.1),
    ]  # fmt: skip


def _two_layers(results: Results) -> list[Finding]:
    error = _study(results, "layers").error
    first, second, both = (error.sel(part=part) for part in error.part.values)
    return [
        _all("the gradient of the first of two layers is off by more than 0.01", f"at least {float(first.min()):.2g}", first.size,
             bool((first > 0.01).all())),
        _all("that of the second is exact (1e-10)", f"at most {float(second.max()):.1e}", second.size, bool((second < 1e-10).all())),
        _all("all are exact (1e-10) where sensitivities to all parameters are carried", f"at most {float(both.max()):.1e}", both.size,
             bool((both < 1e-10).all())),
    ]  # fmt: skip


def _stale(results: Results) -> list[Finding]:
    error = _study(results, "staleness").error
    still, moving = error.sel(rate=0.0), error.isel(rate=slice(1, None))
    steps = moving.diff("rate").values.T
    return [
        _all("without updates the carried gradient is exact (1e-10)", f"at most {float(still.max()):.1e}", still.size,
             bool((still < 1e-10).all())),
        *(positive(f"1 - cosine is larger at a learning rate of {float(moving.rate[i + 1]):g} than at {float(moving.rate[i]):g}", list(step))
          for i, step in enumerate(steps)),
    ]  # fmt: skip


def _cheap(results: Results) -> list[Finding]:
    seconds = _study(results, "cost").seconds
    ratio = seconds.sel(gradient="rtrl") / seconds.sel(gradient="bptt")
    return [
        _all(f"a segment costs at most {DEAREST:g} times truncated backpropagation (trials × units × inputs × steps: {size})",
             f"{float(own):.2f} times", 1, float(own) <= DEAREST)
        for size, own in zip(ratio["size"].values, ratio, strict=True)
    ]  # fmt: skip


CLAIMS = (
    Claim("C1", "RTRL of an element-wise layer is exact.", "section 3.1, appendix A", _exact),
    Claim("C2", "Online RTRL solves the copy task.", "section 4.1; the comparison is ours", _copies),
    Claim("C3", "With short segments RTRL earns more where memory must outlast them.", "table 1, figure 1c", _gap),
    Claim("C4", "The gap closes when a segment covers the span.", "table 1", _closes),
    Claim("C5", "It stays open while the span is longer than every segment.", "table 1 (watermaze)", _stays),
    Claim("C6", "There is no gain on a reactive task.", "table 1 (keys_doors)", _reactive),
    Claim("C7", "What is kept for the gradient does not grow with time.", "sections 1 and 3.1", _memory),
    Claim("C8", "RTRL of two layers, each with its own sensitivities, is no longer exact.", "section 5", _two_layers),
    Claim("C9", "Updating at every step makes the sensitivities stale.", "sections 2 and 3.2, in words", _stale),
    Claim("X1", "The hybrid form costs little more than truncated backpropagation.", "a question of ours", _cheap),
)
