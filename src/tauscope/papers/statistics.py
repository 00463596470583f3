"""Inequalities over networks: the sample size is the number of networks, never trials times networks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from tauscope.papers.vocabulary import Finding, Verdict

CONFIDENCE = 0.95
FEWEST = 2
"""Fewest networks with a spread."""

PERMUTATIONS = 99_999
"""Largest number of permutations: up to 9 + 9 networks all are tried, of more networks this many random ones."""

_BATCH = 10_000
"""Permutations held in memory at once."""


def summary(values: Sequence[float]) -> str:
    """Return mean and standard deviation over networks.

    Examples
    --------
    >>> summary([1.0, 2.0, 3.0]), summary([2.0])
    ('2 ± 1', '2')
    """
    if not len(values):
        return "none"
    mean = f"{np.mean(values):.3g}"
    return mean if len(values) < FEWEST else f"{mean} ± {np.std(values, ddof=1):.2g}"


def greater(
    statement: str, larger: Sequence[float], smaller: Sequence[float], *, published: str = "", at_least: bool = False
) -> Finding:
    """Judge whether one group of networks has larger values than another.

    The interval is that of Welch's t for the difference of the means, the p value that of the permutation test of the
    same difference (one-sided; with 3 + 3 networks it cannot be below 1/20), the effect size Hedges' g. The test is
    exact up to `PERMUTATIONS` ways to divide the networks; of more ways it draws that many, with a fixed seed.

    Parameters
    ----------
    statement : str
        The inequality in words.
    larger, smaller : sequence of float
        A value for each network.
    published : str
        The paper's values.
    at_least : bool
        Whether equality satisfies the inequality.

    Returns
    -------
    Finding
        Judged by the interval of the difference.

    Examples
    --------
    >>> greater("a > b", [5.0, 6.0, 7.0], [1.0, 2.0, 3.0]).verdict
    'holds'
    >>> greater("a > b", [5.0], [1.0, 2.0]).verdict
    'missing'
    """
    n = f"{len(larger)} + {len(smaller)}"
    ours = f"{summary(larger)} against {summary(smaller)}"
    if min(len(larger), len(smaller)) < FEWEST:
        return Finding(statement, ours, n, "missing", f"fewer than {FEWEST} networks", published)
    a, b = np.asarray(larger, dtype=float), np.asarray(smaller, dtype=float)
    difference, (low, high) = float(a.mean() - b.mean()), _welch(a, b)
    p = stats.permutation_test(
        (a, b), lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis), vectorized=True, n_resamples=PERMUTATIONS,
        batch=_BATCH, alternative="greater", random_state=np.random.default_rng(0),
    ).pvalue  # fmt: skip
    effect = f"difference {difference:.3g} [{low:.3g}, {high:.3g}], g {_hedges(a, b):.2g}, p {p:.2g}"
    return Finding(statement, ours, n, _judge(difference, low, at_least), effect, published)


def positive(statement: str, values: Sequence[float], *, published: str = "", threshold: float = 0.0) -> Finding:
    """Judge whether the values of networks are above a threshold, by the t interval of their mean.

    Parameters
    ----------
    statement : str
        The inequality in words.
    values : sequence of float
        A value for each network.
    published : str
        The paper's values.
    threshold : float
        Threshold in the unit of the values.

    Returns
    -------
    Finding
        Judged by the interval of the mean.

    Examples
    --------
    >>> positive("slope > 0", [1.0, 1.1, 0.9]).verdict, positive("slope > 0", [-1.0, 1.0]).verdict
    ('holds', 'does not hold')
    """
    n, ours = str(len(values)), summary(values)
    if len(values) < FEWEST:
        return Finding(statement, ours, n, "missing", f"fewer than {FEWEST} networks", published)
    over = np.asarray(values, dtype=float) - threshold
    mean, error = float(over.mean()), float(over.std(ddof=1) / math.sqrt(len(over)))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(over) - 1)) * error
    effect = f"mean {mean + threshold:.3g} [{mean + threshold - half:.3g}, {mean + threshold + half:.3g}]"
    return Finding(statement, ours, n, _judge(mean, mean - half, False), effect, published)


def rising(
    statement: str, x: Sequence[float], y: Sequence[float], *, published: str = "", unit: float = 1.0
) -> Finding:
    """Judge whether y rises with x over networks, by the t interval of the slope.

    Parameters
    ----------
    statement : str
        The inequality in words.
    x, y : sequence of float
        A value for each network.
    published : str
        The paper's values.
    unit : float
        Difference of x for which the rise is reported.

    Returns
    -------
    Finding
        Judged by the interval of the least-squares slope.

    Examples
    --------
    >>> rising("y rises", [1.0, 2.0, 3.0, 4.0], [1.0, 2.1, 2.9, 4.0]).verdict
    'holds'
    """
    n = str(len(x))
    if len(x) <= FEWEST or len(set(x)) < 2:
        return Finding(statement, "", n, "missing", f"fewer than {FEWEST + 1} networks, or all alike", published)
    line = stats.linregress(x, y)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 2)) * float(line.stderr)
    rise, low, high = (unit * value for value in (float(line.slope), line.slope - half, line.slope + half))
    ours = f"rise {rise:.3g} over {unit:g}"
    effect = f"rise {rise:.3g} [{low:.3g}, {high:.3g}], r {float(line.rvalue):.2g}"
    return Finding(statement, ours, n, _judge(rise, low, False), effect, published)


def slope(points: Mapping[int, float]) -> float:
    """Return the least-squares slope of a number against N; NaN with fewer than two N.

    Examples
    --------
    >>> slope({2: 1.0, 4: 2.0})
    0.5
    """
    if len(points) < 2:
        return math.nan
    return float(stats.linregress(list(points), list(points.values())).slope)


def _judge(value: float, low: float, at_least: bool) -> Verdict:
    if low > 0 or (at_least and low >= 0):
        return "holds"
    if value > 0 or (at_least and value >= 0):
        return "inconclusive"
    return "does not hold"


def _welch(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the interval of the difference of means; its width is 0 if neither group has a spread."""
    if np.ptp(a) == np.ptp(b) == 0:
        return (difference := float(a.mean() - b.mean())), difference
    with warnings.catch_warnings():
        # A group of equal values is common: the largest N of all networks of a condition.
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high)


def _hedges(a: np.ndarray, b: np.ndarray) -> float:
    """Return the difference in pooled standard deviations, corrected for few networks."""
    freedom = len(a) + len(b) - 2
    pooled = math.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / freedom)
    difference = float(a.mean() - b.mean())
    if pooled == 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / pooled * (1 - 3 / (4 * freedom - 1))
