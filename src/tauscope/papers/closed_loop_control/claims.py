"""The claims as inequalities, fixed before anything is run; those of C1 to C10 were settled after trials by another implementation.

Networks of one seed see the same windows of the same demonstrations, start in the same states of the environment and meet the same
disturbances: what is compared is paired by seed, but for the gains of different cells in C7.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import xarray as xr

from tauscope.papers.closed_loop_control import quantities as q
from tauscope.papers.closed_loop_control.conditions import (
    ALL,
    CELLS,
    DENSE,
    LOW,
    MEMORYLESS,
    MIDDLE,
    RESCALED,
    Structure,
    name_of,
    told,
)
from tauscope.papers.statistics import greater, positive, summary
from tauscope.papers.vocabulary import Claim, Finding, Results

LOSS = 0.05
"""What structure may cost without a shift, in parts of the expert's return."""

EXACT = 1e-5
"""Difference of norms that rounding may leave."""

_STRUCTURES = (MIDDLE, LOW)
_FULL = name_of("cfc", (None, 0.0))


def _falls(name: str, larger: xr.DataArray, smaller: xr.DataArray) -> Finding:
    finding = positive(name, list((larger - smaller).values))
    return replace(finding, ours=f"{summary(list(larger.values))} to {summary(list(smaller.values))}")


def _with_sparsity(found: xr.DataArray, what: str, start: str, ranks: Sequence[int]) -> list[Finding]:
    return [
        _falls(f"{start}, r = {rank}: {what} falls from s = {low:g} to {high:g}", *(own.sel(sparsity=s) for s in (low, high)))
        for rank in ranks
        for own in [found.sel(start=start, rank=rank)]
        for low, high in itertools.pairwise((0.0, 0.5, 0.8))
    ]  # fmt: skip


def _radius(results: Results) -> list[Finding]:
    found = q.study(results).radius
    ranks = _ranks(found)
    findings = []
    for start in found.start.values:
        findings += _with_sparsity(found, "radius", str(start), ranks)
        own = found.sel(start=start, sparsity=0.0)
        for larger, smaller in itertools.pairwise(ranks):
            words = f"{start}, s = 0: radius falls from r = {larger} to {smaller}"
            findings.append(_falls(words, own.sel(rank=larger), own.sel(rank=smaller)))
    return findings


def _ranks(found: xr.DataArray) -> list[int]:
    """Return n, 16 and 4, as far as they are different."""
    n = int(found["rank"].max())
    return list(dict.fromkeys((n, min(16, n), min(4, n))))


def _norm(results: Results) -> list[Finding]:
    found = q.study(results).norm
    n = int(found["rank"].max())
    low = [rank for rank in _ranks(found) if rank <= n / 4]
    return _with_sparsity(found, "norm", "glorot", _ranks(found)) + _with_sparsity(found, "norm", "orthogonal", low)


def _norm_of_rank(results: Results) -> list[Finding]:
    found = q.study(results).norm.sel(sparsity=0.0)
    findings = []
    for start in found.start.values:
        own = found.sel(start=start)
        apart = float(abs(own - own.isel(rank=0)).max())
        words = f"{start}, s = 0: norms of all ranks differ by less than {EXACT:g}"
        n = str(own.sizes["matrix"])
        findings.append(Finding(words, f"at most {apart:.2g}", n, "holds" if apart < EXACT else "does not hold"))
    return findings


def _paired(
    results: Results, what: str, number: Callable[[xr.Dataset], float], larger: str, smaller: str, words: str
) -> Finding:
    high, low = ([number(result) for result in each] for each in q.shared(results, what, larger, smaller))
    finding = positive(words, list(np.array(high) - np.array(low)))
    return replace(finding, ours=f"{summary(high)} against {summary(low)}")


def _after_training(results: Results) -> list[Finding]:
    findings = []
    for larger, smaller in itertools.pairwise((DENSE, MIDDLE, LOW)):
        words = f"CfC: radius of trained weights, {told(larger)} above {told(smaller)}"
        names = name_of("cfc", larger), name_of("cfc", smaller)
        findings.append(_paired(results, "connectivity", q.radius, *names, words=words))
    return findings


def _in_distribution(results: Results) -> list[Finding]:
    findings = []
    for structure in _STRUCTURES:
        lost = q.gains(results, _FULL, name_of("cfc", structure), shifts=[q.UNSHIFTED])
        words = f"CfC, no shift: the dense network's return minus that of {told(structure)}, in parts of the expert's, > -{LOSS:g}"
        findings.append(positive(words, list(lost), threshold=-LOSS))
    return findings


def _gain(results: Results, cell: str, structure: Structure, where: str, **which: object) -> Finding:
    """Return the judgement that a structure keeps more under shifts than the dense network of the same cell."""
    dense, structured = name_of(cell, DENSE), name_of(cell, structure)
    ours, theirs = ([q.kept(result, **which) for result in each]  # type: ignore[arg-type]
                    for each in q.shared(results, "closed_loop", structured, dense))  # fmt: skip
    words = (
        f"{CELLS[cell]}, {where}: return of {told(structure)} above that of the dense network, in parts of the expert's"
    )
    finding = positive(words, list(np.array(ours) - np.array(theirs)))
    return replace(finding, ours=f"{summary(ours)} against {summary(theirs)}")


def _robust(results: Results) -> list[Finding]:
    return [_gain(results, "cfc", structure, "mean of all shifts") for structure in _STRUCTURES]


def _robust_by_rank(results: Results) -> list[Finding]:
    ranks = q.mean_ranks(results, ALL)
    findings = []
    for structure in _STRUCTURES if _FULL in ranks else ():
        dense, own = ranks[_FULL], ranks[name_of("cfc", structure)]
        words = f"CfC: mean rank over the shifts (1 is best) of the dense network above that of {told(structure)}"
        finding = positive(words, list(dense - own))
        findings.append(replace(finding, ours=f"{summary(list(dense))} against {summary(list(own))}"))
    return findings


def _body(results: Results) -> list[Finding]:
    return [_gain(results, "cfc", structure, "shifts of the body", kind="body") for structure in _STRUCTURES]


def _sensors(results: Results) -> list[Finding]:
    return [_gain(results, "cfc", structure, "shifts of the sensors", kind="sensors") for structure in _STRUCTURES]


def _most_amenable(results: Results) -> list[Finding]:
    findings = []
    for structure, cell in itertools.product(_STRUCTURES, [cell for cell in CELLS if cell != "cfc"]):
        of_cfc, of_cell = (
            list(q.gains(results, name_of(own, structure), name_of(own, DENSE))) for own in ("cfc", cell)
        )
        words = f"gain by {told(structure)} under shifts in CfC above that in {CELLS[cell]}"
        findings.append(greater(words, of_cfc, of_cell))
    return findings


def _dimension(results: Results, rank: int | None) -> list[Finding]:
    structures: tuple[Structure, Structure] = ((rank, 0.0), (rank, 0.8))
    dense, sparse = (name_of("cfc", structure) for structure in structures)
    words = f"CfC: variance of W h in 5 components, {told(structures[0])} above {told(structures[1])}"
    return [_paired(results, "drives", q.recurrent_share, dense, sparse, words)]


def _decay(results: Results) -> list[Finding]:
    words = "CfC: decay of the gradient (nats/step), r = 4, s = 0.8 above the dense network"
    return [_paired(results, "gradient_decay", q.rate, name_of("cfc", (4, 0.8)), _FULL, words)]


def _memory(results: Results) -> list[Finding]:
    findings = []
    for name in [name for name in ALL if name != MEMORYLESS and results.has(name)]:
        gain = q.gains(results, name, MEMORYLESS, shifts=[q.UNSHIFTED])
        findings.append(positive(f"no shift: return of {results.label(name)} above that without memory", list(gain)))
    return findings


def _scale_of_start(results: Results) -> list[Finding]:
    findings = []
    for structure, rescaled in RESCALED.items():
        for where, which in (("mean of all shifts", {}), ("no shift", {"shifts": [q.UNSHIFTED]})):
            gain = q.gains(results, rescaled, name_of("cfc", structure), **which)
            words = f"CfC, {told(structure)}, {where}: return with the start rescaled minus that without"
            findings.append(replace(positive(words, list(gain)), verdict="not judged"))
    return findings


def _heavier(results: Results) -> list[Finding]:
    return [
        _gain(results, cell, structure, "mass × 1.5", shifts=["mass"])
        for cell in ("cfc", "elman", "lstm")
        for structure in _STRUCTURES
    ]


def _not_judged(results: Results) -> list[Finding]:
    del results
    return []


CLAIMS = (
    Claim("C1", "At the start, the spectral radius falls with sparsity, and with falling rank.", "theorem", _radius),
    Claim("C2", "At the start, the norm falls with sparsity.", "theorem", _norm),
    Claim("C3", "At the start, without a mask, the norm does not depend on the rank.", "theorem", _norm_of_rank),
    Claim("C4", "After training, the radius is still smaller where rank and density are.", "figure 4", _after_training),
    Claim("C5", "Without a shift, dense full-rank networks are at least as good.", "section 4.1", _in_distribution),
    Claim("C6", "Under distribution shift, low-rank sparse CfC networks are better than dense ones.", "abstract, section 4.1", _robust),
    Claim("C6r", "The same by the paper's measure: the mean rank among all configurations.", "section 4.1", _robust_by_rank),
    Claim("C6b", "The same under shifts of the body alone.", "abstract, section 4.1", _body),
    Claim("C6s", "The same under shifts of the sensors alone.", "abstract, section 4.1", _sensors),
    Claim("C7", "CfC networks gain most by low rank and sparsity.", "abstract", _most_amenable),
    Claim("C8", "Recurrent drive of low rank fills more dimensions where weights are sparser.", "figure 5", partial(_dimension, rank=4)),
    Claim("C8n", "The same at full rank, where trials saw the opposite.", "figure 5", partial(_dimension, rank=None)),
    Claim("C9", "Gradients fade faster where weights are of low rank and sparse.", "figure 6", _decay),
    Claim("C10", "The task needs memory: a clone without recurrent weights is worse than every other.", "ours, asked for in the reviews",
          _memory),
    Claim("C11", "The same on Seaquest and Alien from their pixels, with experts trained by reinforcement.", "section 4.1", _not_judged),
    Claim("X1", "What low rank and sparsity do is not the smaller scale of their start; no direction is claimed.", "a question of ours",
          _scale_of_start),
    Claim("X2", "Where the body is heavier, low rank and sparsity help in every cell (seen in trials with few networks, judged with "
          "others).", "a hypothesis of ours", _heavier),
)  # fmt: skip
