"""Where a request begins timing out: points 1-5 of measurement.md section 3, on small arrays.

Nothing here reads a file or knows what a step was made of: `locate` finds the bracket from counts, `interpolate` the
point inside it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from janusload.analysis.censored import FloatArray, isotonic, one_sided_z, wilson_bounds


class Rule(NamedTuple):
    """What counts as timing out.

    Attributes:
        p0: the tolerated timeout rate, 0 < p0 < 1.
        quantile: the latency quantile that is reported first.
        alpha: one-sided error of each bound.
    """

    p0: float = 0.01
    quantile: float = 0.95
    alpha: float = 0.05


class Bracket(NamedTuple):
    """What the counts of the steps say.

    Attributes:
        good: G, the highest step below `bad` (or of all) that is credibly under p0; None without one.
        bad: K, the lowest step credibly above p0 whose successor does not take that back; None without one.
        confirmed: whether `bad` has a successor; False without `bad`.
        lower, upper: shape (m,), the Wilson bounds that decided (lower with Bonferroni's z over the m steps).
    """

    good: int | None
    bad: int | None
    confirmed: bool
    lower: FloatArray
    upper: FloatArray


def locate(attempts: ArrayLike, timeouts: ArrayLike, rule: Rule) -> Bracket:
    """Find K and G (points 2 to 4).

    Args:
        attempts: shape (m,), n_k > 0 of each step in the order of load.
        timeouts: shape (m,), x_k.
    """
    n = np.asarray(attempts, np.float64)
    x = np.asarray(timeouts, np.float64)
    if n.size == 0:
        return Bracket(None, None, False, n, n)
    found = locate_all(n[np.newaxis], x[np.newaxis], rule)
    good, bad = (int(each[0]) if each[0] >= 0 else None for each in (found.good, found.bad))
    confirmed = bad is not None and bad < n.size - 1
    return Bracket(good, bad, confirmed, found.lower[0], found.upper[0])


class Brackets(NamedTuple):
    """What the counts of many runs of the same steps say.

    Attributes:
        good, bad: shape (r,), the indices of G and K; -1 without one.
        lower, upper: shape (r, m), the Wilson bounds that decided.
    """

    good: NDArray[np.int64]
    bad: NDArray[np.int64]
    lower: FloatArray
    upper: FloatArray


def locate_all(attempts: FloatArray, timeouts: FloatArray, rule: Rule) -> Brackets:
    """`locate` for many runs at once.

    Args:
        attempts, timeouts: shape (r, m) with m > 0, the counts of m steps in the order of load.
    """
    steps = attempts.shape[1]
    z_bad = one_sided_z(rule.alpha / steps)
    lower, _ = wilson_bounds(timeouts, attempts, z_bad)
    _, upper = wilson_bounds(timeouts, attempts, one_sided_z(rule.alpha))
    nothing = np.zeros((attempts.shape[0], 1))
    with_next, _ = wilson_bounds(
        timeouts + np.hstack((timeouts[:, 1:], nothing)), attempts + np.hstack((attempts[:, 1:], nothing)), z_bad
    )
    is_bad = (lower > rule.p0) & (with_next > rule.p0)
    bad = np.where(is_bad.any(axis=1), is_bad.argmax(axis=1), -1)
    below = np.arange(steps) < np.where(bad < 0, steps, bad)[:, np.newaxis]
    is_good = (upper < rule.p0) & below
    good = np.where(is_good.any(axis=1), steps - 1 - is_good[:, ::-1].argmax(axis=1), -1)
    return Brackets(good, bad, lower, upper)


def position(attempts: ArrayLike, timeouts: ArrayLike, good: int, bad: int, p0: float) -> float:
    """Where between G (0) and K (1) the isotonic timeout rate crosses p0, on the logit scale (point 5)."""
    n = np.asarray(attempts, np.float64)
    rates = isotonic((np.asarray(timeouts, np.float64) + 0.5) / (n + 1), n)
    low, high = _logit(float(rates[good])), _logit(float(rates[bad]))
    if high <= low:
        return 0.5  # earlier steps were so bad that the fit is flat here: nothing says where in the bracket
    return min(1.0, max(0.0, (_logit(p0) - low) / (high - low)))


def between(low: float, high: float, share: float) -> float:
    """The point a share of the way from `low` to `high` on the log scale; linear where one of them is 0."""
    if low <= 0 or high <= 0:
        return low + (high - low) * share
    return float(low ** (1 - share) * high**share)


def attempts_needed(p0: float, alpha: float) -> int:
    """How many attempts a step needs to be credibly under p0 if none of them times out (point 1)."""
    z = one_sided_z(alpha)
    return math.ceil(z * z * (1 - p0) / p0)


def attempts_missing(attempts: int, timeouts: int, rule: Rule) -> int | None:
    """How many more attempts would show that a step is under p0, should its rate stay what it is.

    Returns:
        None if no number of attempts would: its rate is not under p0.
    """
    rate = timeouts / attempts if attempts else 0.0
    if rate >= rule.p0:
        return None
    z = one_sided_z(rule.alpha)
    low, high = attempts, max(attempts, 1)
    while wilson_bounds(rate * high, high, z)[1] >= rule.p0:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if wilson_bounds(rate * middle, middle, z)[1] >= rule.p0:
            low = middle
        else:
            high = middle
    return max(0, high - attempts)


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
