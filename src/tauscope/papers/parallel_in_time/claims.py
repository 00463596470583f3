"""The claims as inequalities, fixed before anything is run; thresholds of C1, C4, C5, C7 and C8 were set after other trials.

Claims about numbers that no chance enters but that of the weights are judged on all of them, without an interval.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import stats

from tauscope.errors import InputError
from tauscope.papers.parallel_in_time import quantities as q
from tauscope.papers.parallel_in_time.conditions import LEAKY, PARITY
from tauscope.papers.parallel_in_time.studies import LIMIT
from tauscope.papers.statistics import positive
from tauscope.papers.vocabulary import Claim, Finding, Results

STATES = {"float64": 1e-8, "float32": 1e-4}
GRADIENTS = {"float64": 1e-8, "float32": 1e-4}


def _study(results: Results, name: str) -> xr.Dataset:
    if name not in results.studies:
        raise InputError(f"study {name} failed: {results.failed_studies.get(name, 'it was not made')}")
    return results.studies[name]


def _all(statement: str, ours: str, n: int, holds: bool, published: str = "") -> Finding:
    """Return the judgement of an inequality on all numbers."""
    return Finding(statement, ours, str(n), "holds" if holds else "does not hold", published=published)


def _states(results: Results) -> list[Finding]:
    found = _study(results, "agreement")
    return [
        _all(f"states of trials that converge differ by less than {bound:g} from the loop's ({name})",
             f"at most {float(error.max()):.1e}; {int((found.converged.sel(dtype=name) == 1).sum())} of {found.sizes['cell']} "
             "cells converge in all trials",
             int(error.notnull().sum()), bool((error.dropna("cell") < bound).all()))
        for name, bound in STATES.items()
        for error in [found.state_error.sel(dtype=name)]
    ]  # fmt: skip


def _gradients(results: Results) -> list[Finding]:
    found = _study(results, "agreement")
    return [
        _all(f"gradients of engine {engine} differ by less than {bound:g} of their length ({name})",
             f"at most {float(error.max()):.1e}", found.sizes["cell"], bool((error < bound).all()), "3e-6 (recalled)")
        for name, bound in GRADIENTS.items()
        for engine in found.engine.values
        for error in [found.gradient_error.sel(dtype=name, engine=engine)]
    ]  # fmt: skip


def _few(results: Results) -> list[Finding]:
    iterations = _study(results, "lengths").iterations.sel(length=slice(300, None))
    return [
        _all(f"at most 10 iterations from the cold start over 300 steps and more ({cell})",
             f"{float(own.min()):g} to {float(own.max()):g}" if own.notnull().all() else "no solution in some",
             own.size, bool((own <= 10).all()), "typically fewer than 20")
        for cell in iterations.cell.values
        for own in [iterations.sel(cell=cell)]
    ]  # fmt: skip


def _short(results: Results) -> list[Finding]:
    found = _study(results, "lengths").iterations.sel(cell="gru")
    more = found.isel(length=-1) - found.isel(length=0)
    first, last = (int(found.length[i]) for i in (0, -1))
    return [
        _all(f"at {last} steps at most 2 iterations more than at {first} (GRU, n = {size})",
             f"{float(own.max()):g} more at most", own.size, bool((own <= 2).all()))
        for size in found["size"].values
        for own in [more.sel(size=size)]
    ]  # fmt: skip


def _exponent(results: Results) -> list[Finding]:
    found = _study(results, "gains")
    newton, exponent = found.iterations.sel(solver="newton"), found.exponent
    tanh = (found.kind == "tanh").values
    counts = newton.isel(system=tanh).fillna(LIMIT + 1).values.ravel()
    correlation = float(stats.spearmanr(counts, exponent.isel(system=tanh).values.ravel()).statistic)
    stable, chaotic = newton.values[exponent.values < -0.1], newton.values[exponent.values > 0.05]
    return [
        _all("rank correlation of iterations with λ1 over the gains of tanh networks > 0.9", f"{correlation:.3f}", counts.size,
             correlation > 0.9),
        _all("every network with λ1 < -0.1 is solved within 15 iterations",
             f"at most {np.nanmax(stable):g}, {int(np.isnan(stable).sum())} not" if stable.size else "none", stable.size,
             bool(stable.size) and bool((stable <= 15).all())),
        _all(f"no network with λ1 > 0.05 is solved within {LIMIT}", f"{int(np.isfinite(chaotic).sum())} solved", chaotic.size,
             bool(chaotic.size) and bool(np.isnan(chaotic).all())),
    ]  # fmt: skip


def _quasi(results: Results) -> list[Finding]:
    iterations, agreement = _study(results, "gains").iterations, _study(results, "agreement")
    newton, quasi = (iterations.sel(solver=name).isel(network=0) for name in ("newton", "quasi"))
    both = (newton.notnull() & quasi.notnull()).values
    difference = float(agreement.diagonal_difference)
    ours = "; ".join(f"{int(a)} against {int(b)}" for a, b in zip(newton.values[both], quasi.values[both], strict=True))
    return [
        _all("quasi-Newton takes more iterations than Newton in every pair that both solve (dense cells)", ours, int(both.sum()),
             bool(both.any()) and bool((quasi.values[both] > newton.values[both]).all())),
        _all("both are the same on a cell without recurrent weights (within 1e-12)", f"{difference:.1e}", 1, difference <= 1e-12),
    ]  # fmt: skip


def _training(results: Results) -> list[Finding]:
    found = _study(results, "pair")
    apart = float(abs(found.loss.sel(engine="parallel") - found.loss.sel(engine="loop")).max())
    iterations, fallback = found.iterations, float(found.fallback_share.max())
    return [
        _all("losses of both engines differ by less than 1e-6 at every update", f"at most {apart:.1e}", found.sizes["update"],
             apart < 1e-6),
        _all("iterations stay below twice those at the start",
             f"{float(iterations[0]):.3g} at the start, {float(iterations.max()):.3g} at most; {fallback:.0%} ran as a loop",
             found.sizes["epoch"], bool((iterations < 2 * iterations[0]).all()), "an untrained network converges, later it may not"),
    ]  # fmt: skip


def _speed(results: Results) -> list[Finding]:
    seconds = _study(results, "speed").seconds.sel(batch=1)
    faster = seconds.sel(engine="loop") / seconds.sel(engine="parallel")
    return [
        _all(f"loss and gradient of a GRU of {size} at {length} steps: parallel at least 5 times as fast as torch.nn.GRU",
             f"{ratio:.3g} times", 1, ratio >= 5, "18 to 2029 times (forward, GPU, n = 1)")
        for size in (1, 4)
        for length in faster.length.values
        if length >= 1000
        for ratio in [float(faster.sel(size=size, length=length))]
    ]  # fmt: skip


def _rise(results: Results, what: str, words: str) -> list[Finding]:
    return [
        positive(f"{words} rises with N (slope > 0, {results.label(name)})", q.slopes(results, name, what))
        for name in PARITY
        if results.of(name)
    ]


def _follows(results: Results) -> list[Finding]:
    return [
        positive(f"iterations rise with τ_net over the N of a network (rank correlation > 0, {results.label(name)})",
                 q.correlations(results, name))
        for name in LEAKY
        if results.of(name)
    ]  # fmt: skip


CLAIMS = (
    Claim("C1", "The states are those of the loop.", "figure of outputs", _states),
    Claim("C2", "The gradients are those of backpropagation through time.", "text", _gradients),
    Claim("C3", "Untrained networks need few iterations.", "text", _few),
    Claim("C4", "Iterations hardly depend on the length.", "theory", _short),
    Claim("C5", "The largest Lyapunov exponent decides whether a network can be solved.", "Gonzalez et al., NeurIPS 2025", _exponent),
    Claim("C6", "The diagonal of the Jacobian alone needs more iterations, and the same in a diagonal cell.",
          "Gonzalez et al., NeurIPS 2024", _quasi),
    Claim("C7", "Training is the same.", "EigenWorms figure", _training),
    Claim("C8", "On one processor core too, small networks are several times as fast as torch's kernel.", "ours; the paper has GPUs",
          _speed),
    Claim("X1", "Memory makes a network hard to parallelise: iterations rise with the N that it has solved.", "a question of ours",
          lambda results: _rise(results, "iterations", "Newton's iterations over 500 steps")),
    Claim("X2", "Memory brings the largest Lyapunov exponent towards 0.", "a question of ours",
          lambda results: _rise(results, "exponent", "λ1")),
    Claim("X3", "Iterations follow the network's timescales.", "a question of ours", _follows),
)  # fmt: skip
