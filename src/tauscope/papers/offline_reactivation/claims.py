"""The paper's claims as inequalities over networks, fixed before any network is trained.

No number of the paper could be read: its claims are known as inequalities. Thresholds were set after trials of a smaller version
of the method with other seeds; X1 to X4, C5m and the second halves of C7 and C10 are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from tauscope.papers.offline_reactivation import quantities as q
from tauscope.papers.offline_reactivation.conditions import SCALES_OF_TIME
from tauscope.papers.statistics import greater, positive
from tauscope.papers.vocabulary import Claim, Finding, Results

_QUARTER = 0.94 / 4
"""A quarter of the spread of the walk, in metres."""
_HALF, _NEAR_UNIFORM = 0.5, 0.5
_PAIRS = (("nu", "du"), ("nb", "db"))
"""Networks with noise and without, of the same walks."""


def _less(statement: str, smaller: Sequence[float], larger: Sequence[float]) -> Finding:
    return greater(statement, larger, smaller)


def _errors(results: Results) -> list[Finding]:
    if not results.has("nu", "du"):
        return []
    noisy, free = (q.values(results, name, q.scalar("score_noisy")) for name in ("nu", "du"))
    return [
        _less("under the same noise, the error of noise-free networks is larger than that of noisy ones (m)", noisy, free),
        positive(f"the error of noisy networks is below a quarter of the spread of the walk ({_QUARTER:.3g} m; difference)",
                 [_QUARTER - error for error in noisy]),
    ]  # fmt: skip


def _reactivates(results: Results, name: str) -> list[Finding]:
    found = q.measured(results, name).values()
    bounded = [result for result in found if q.is_bounded(result)]
    low, high = q.BOUNDED
    label = results.label(name)
    return [
        _less(f"{label}: KL from the task is larger for untrained networks (nats; {len(bounded)} of {len(found)} networks whose "
              f"activity stays within {low:g} … {high:g} of the task's)",
              [q.of_run("kl")(result) for result in bounded], q.values(results, name, q.of_run("kl", "untrained"))),
    ]  # fmt: skip


def _noisy_reactivates(results: Results) -> list[Finding]:
    return [finding for name in results.trained(["nu"]) for finding in _reactivates(results, name)]


def _follows(results: Results, unbiased: str, biased: str) -> list[Finding]:
    if not results.has(unbiased, biased):
        return []
    findings = []
    for own, other in ((biased, unbiased), (unbiased, biased)):
        said = "biased" if own == biased else "unbiased"
        findings.append(
            _less(f"KL from the task of {said} networks is larger for networks of the other walks (nats)",
                  q.across(results, own, own), q.across(results, other, own))
        )  # fmt: skip
    return findings


def _nearer_than_uniform(results: Results) -> list[Finding]:
    return [
        _less(f"{results.label(name)}: KL from the task is larger for uniform positions (nats)",
              q.values(results, name, q.of_run("kl")), q.values(results, name, q.scalar("kl_uniform")))
        for name in results.trained(["nu"])
    ]  # fmt: skip


def _variances(results: Results, run_of_free: str) -> list[Finding]:
    matched = "under the same noise" if run_of_free == "active" else "without noise"
    return [
        greater(f"{results.label(noisy)}: variance within a silent run is above that of noise-free networks {matched} (m²)",
                q.values(results, noisy, q.of_run("variance")), q.values(results, free, q.of_run("variance", run_of_free)))
        for noisy, free in _PAIRS
        if results.has(noisy, free)
    ]  # fmt: skip


def _biased_variance(results: Results) -> list[Finding]:
    if not results.has("nu", "nb"):
        return []
    unbiased, biased = (q.values(results, name, q.of_run("variance")) for name in ("nu", "nb"))
    return [greater("variance within a silent run is larger without bias (m²)", unbiased, biased)]


def _shares(results: Results) -> list[Finding]:
    findings = []
    for noisy, free in _PAIRS:
        if not results.has(noisy, free):
            continue
        shares = q.values(results, noisy, q.of_run("share"))
        label = results.label(noisy)
        findings += [
            positive(f"{label}: the components that hold 90 % of the variance in the task hold more than half in silence",
                     shares, threshold=_HALF),
            greater(f"{label}: and more than in noise-free networks under the same noise",
                    shares, q.values(results, free, q.of_run("share"))),
        ]  # fmt: skip
    return findings


def _ring(results: Results) -> list[Finding]:
    return [
        finding
        for name in results.trained(["hd_u"])
        for finding in (
            _less("steps of the silent bearing are smaller than half of those of untrained networks (rad)",
                  q.values(results, name, q.of_run("step")), q.values(results, name, q.half_untrained_step)),
            positive(f"KL of silent bearings from uniform ones is below {_NEAR_UNIFORM:g} nats (difference)",
                     [_NEAR_UNIFORM - far for far in q.values(results, name, q.from_uniform)]),
        )
    ]  # fmt: skip


def _turns_on(results: Results) -> list[Finding]:
    velocity = q.of_run("velocity")
    findings = [
        positive("the silent bearing of networks trained to turn one way goes on that way (rad a step)",
                 q.values(results, name, velocity))
        for name in results.trained(["hd_b"])
    ]  # fmt: skip
    if results.has("hd_u", "hd_b"):
        biased, unbiased = (q.values(results, name, velocity) for name in ("hd_b", "hd_u"))
        findings.append(greater("and faster than that of networks that turn both ways (rad a step)", biased, unbiased))
    return findings


def _gated(results: Results) -> list[Finding]:
    return [
        *(finding for name in results.trained(["gru_u"]) for finding in _reactivates(results, name)),
        *_follows(results, "gru_u", "gru_b"),
    ]


def _theory(results: Results) -> list[Finding]:
    findings = []
    for name in results.trained(["nb"]):
        narrow, usual, wide = (
            q.values(results, name, q.of_run("pooled_variance", run)) for run in ("narrow", "active", "wide")
        )
        findings += [
            greater("biased: the variance of silent positions rises from k = 1 to k = 2 (m²)", usual, narrow),
            greater("and from k = 2 to k = 4 (m²)", wide, usual),
        ]
    for name in results.trained(["nu", "nb"]):
        drift = q.values(results, name, q.of_run("drift"), q.is_stationary)
        label = f"{results.label(name)}, {len(drift)} of {len(q.measured(results, name))} stationary networks"
        findings += [
            positive(f"{label}: the mean drift points up the log density of the task (cosine)", drift),
            greater(f"{label}: more than that of untrained networks does (cosine)",
                    drift, q.values(results, name, q.of_run("drift", "untrained"))),
        ]  # fmt: skip
    return findings


def _persistence(results: Results) -> list[Finding]:
    findings = []
    for name in results.trained(["nu", "nb"]):
        label = results.label(name)
        late = {
            run: q.values(results, name, q.of_run("kl_late", run))
            for run in ("common", "shuffled", "still", "untrained", "active")
        }
        findings += [
            _less(f"{label}: late KL from the task is larger without noise than with it (nats)", late["active"], late["still"]),
            *(
                _less(f"{label}: from {said}, late KL from the task is below that of untrained networks (nats)",
                      late[run], late["untrained"])
                for run, said in (("common", "a common state"), ("shuffled", "shuffled units"))
            ),
        ]  # fmt: skip
    return findings


def _timescale_of_replay(results: Results) -> list[Finding]:
    if not results.has("nu", "fast"):
        return []
    fast, slow = (q.values(results, name, q.of_run("step")) for name in ("fast", "nu"))
    return [greater("steps of the silent position are larger with τ = 1 than with τ = 5 (m)", fast, slow)]


def _spread_of_replay(results: Results) -> list[Finding]:
    if "nu" not in results.networks:
        return []
    of_equal = q.values(results, "nu", q.of_run("variance"))
    return [
        greater(f"variance within a silent run is larger with {SCALES_OF_TIME[name]} than with τ = 5 for all units (m²)",
                q.values(results, name, q.of_run("variance")), of_equal)
        for name in results.trained(["mixed", "learnt"])
    ]  # fmt: skip


def _tau_net(results: Results) -> list[Finding]:
    return [
        greater(f"{SCALES_OF_TIME[name]}: median τ_net in silence is above that in the task (steps)",
                q.values(results, name, q.scalar("tau_silence")), q.values(results, name, q.scalar("tau_action")))
        for name in results.trained(list(SCALES_OF_TIME))
    ]  # fmt: skip


CLAIMS = (
    Claim("C1", "Noisy networks integrate paths, and better under noise than networks trained without.", "task performance",
          _errors),
    Claim("C2", "Without input, a noisy network visits the positions of its task more than an untrained one does.",
          "figure of KL divergences", _noisy_reactivates),
    Claim("C3", "Reactivation follows the statistics of the training.", "figure of KL divergences",
          lambda results: _follows(results, "nu", "nb")),
    Claim("C4", "It is nearer to the task than uniform positions are.", "figure of KL divergences", _nearer_than_uniform),
    Claim("C5", "Noise-free networks do not move without input.", "figure of variances",
          lambda results: _variances(results, "still")),
    Claim("C5m", "They move less than noisy networks under the same noise, too.", "our control",
          lambda results: _variances(results, "active")),
    Claim("C6", "Networks of biased walks stay nearer to where they are.", "figure of variances", _biased_variance),
    Claim("C7", "Silent activity lies in the components of the task, more so after training under noise.",
          "figures of components; the second half is ours", _shares),
    Claim("C8", "A silent head direction moves round the ring in small steps.", "figures of head direction", _ring),
    Claim("C8b", "After training on turns one way, it goes on that way.", "histogram of angular velocities", _turns_on),
    Claim("C9", "GRUs reactivate too.", "appendix", _gated),
    Claim("C10", "Silent networks are Langevin samplers: a multiple k of the noise widens what they visit, and they drift up the log "
          "density of the task.", "theory; derived", _theory),
    Claim("X1", "Reactivation is more than persistence of the states that it starts from.", "our control", _persistence),
    Claim("X2", "Replay is faster where units have no memory of their own.", "a question of ours", _timescale_of_replay),
    Claim("X3", "Units of different or trained timescales spread replay further.", "a question of ours", _spread_of_replay),
    Claim("X4", "Network-mediated timescales are longer in silence than in action.", "a question of ours", _tau_net),
)  # fmt: skip
