"""Where a request begins timing out: points 1-5 of measurement.md section 3, on small arrays.

Nothing here reads a file or knows what a step was made of: `locate` finds the bracket from counts, `crossing` the
point inside it.

In two points the rule is sharper than that section, for figures that docs/statistics.md holds:

* Point 3. A step is bad if the lower bound of it and its successor together (error `family` over all steps) exceeds
  p0, and it is itself likelier bad than not: directly above a step that is proven good its own lower bound (error
  `own`) has to exceed p0, directly above an undecided one its rate. The section's rule, the strict bound for both,
  finds K within one step in 63 % of runs where the rate grows slowly and crosses p0 late in a step, and fires in 3 % of
  runs at a flat rate of p0 itself (12 steps of 600 samples); this one in 98 % and 0.7 %. What decides between the two
  steps that are bad together is which of them the rise began in: of 600 samples of a step with 2.3 % fewer than ten
  time out in 11 % of runs, and it would be passed over, were its undecided neighbour below it not a sign that the rise
  has begun. The price: where 0.9 % time out in the step below the onset, that step is called bad in 6 to 13 % of runs.
* Point 5. The point lies between the two neighbouring steps in (G, K] at which the isotonic fit crosses p0, not
  between G and K: under a background loss of half of p0 the highest step that is proven good may lie far below, and
  the straight line from there was off by half a step and more.
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
        alpha: one-sided error of the upper bound of a step.
        own: one-sided error of the lower bound of a step above a good one; its successor has to back it.
        family: nominal error of calling any step bad although none is, over all steps of a run. Wilson's lower bound
            of a rare event is too high that far out (its normal tail lacks the skewness). At a flat rate of p0 0.001
            comes out at 0.3 to 0.9 % (6, 12 and 20 steps of 268, 600 and 1,500 samples); 0.002 at up to 2.3 %.
    """

    p0: float = 0.01
    quantile: float = 0.95
    alpha: float = 0.05
    own: float = 0.1
    family: float = 0.001


class Bracket(NamedTuple):
    """What the counts of the steps say.

    Attributes:
        good: G, the highest step below `bad` (or of all) that is credibly under p0; None without one.
        bad: K, the lowest step that is credibly above p0 together with its successor and likelier so than not by
            itself; None without one.
        confirmed: whether `bad` has a successor; False without `bad`.
        lower, upper: shape (m,), the Wilson bounds of each step alone.
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
    z_family = one_sided_z(rule.family / steps)
    lower, _ = wilson_bounds(timeouts, attempts, one_sided_z(rule.own))
    _, upper = wilson_bounds(timeouts, attempts, one_sided_z(rule.alpha))
    nothing = np.zeros((attempts.shape[0], 1))
    # the last step has no successor: its own bound must be the strict one
    with_next, _ = wilson_bounds(
        timeouts + np.hstack((timeouts[:, 1:], nothing)), attempts + np.hstack((attempts[:, 1:], nothing)), z_family
    )
    # above an undecided step the rise may have begun: there likelier than not is enough of the step itself
    undecided_below = np.hstack((nothing > 0, upper[:, :-1] >= rule.p0))
    likelier = timeouts > rule.p0 * attempts
    is_bad = ((lower > rule.p0) | (undecided_below & likelier)) & (with_next > rule.p0)
    bad = np.where(is_bad.any(axis=1), is_bad.argmax(axis=1), -1)
    below = np.arange(steps) < np.where(bad < 0, steps, bad)[:, np.newaxis]
    is_good = (upper < rule.p0) & below
    good = np.where(is_good.any(axis=1), steps - 1 - is_good[:, ::-1].argmax(axis=1), -1)
    return Brackets(good, bad, lower, upper)


class Crossings(NamedTuple):
    """Where the isotonic timeout rates of many runs cross p0; every array has shape (r,).

    Attributes:
        below, above: the neighbouring steps between which it happens; the same step twice where the fit is above p0
            from the first step on, or never.
        share: of the way from `below` to `above`, on the logit scale.
    """

    below: NDArray[np.int64]
    above: NDArray[np.int64]
    share: FloatArray


def crossings(attempts: FloatArray, timeouts: FloatArray, found: Brackets, p0: float) -> Crossings:
    """Point 5 for many runs at once: the crossing inside (G, K], or among all steps where one of them is missing.

    Args:
        attempts, timeouts: shape (r, m), as for `locate_all`, which `found` came from.
    """
    runs, steps = attempts.shape
    first = np.maximum(found.good, 0)
    last = np.where(found.bad < 0, steps - 1, found.bad)
    rates = (timeouts + 0.5) / (attempts + 1)
    fit = isotonic(rates, np.maximum(attempts, 1e-9), first, last)
    rows, at = np.arange(runs), np.arange(steps)
    inside = (at >= first[:, np.newaxis]) & (at <= last[:, np.newaxis])
    over = inside & (fit > p0)
    above = np.where(over.any(axis=1), over.argmax(axis=1), last)
    crossed = over.any(axis=1) & (above > first)
    below = np.where(crossed, above - 1, above)
    low, high = (_logit(np.clip(fit[rows, each], 1e-12, 1 - 1e-12)) for each in (below, above))
    share = np.where(crossed, (_logit(p0) - low) / np.where(crossed, high - low, 1.0), 0.0)
    return Crossings(below, above, np.clip(share, 0.0, 1.0))


def crossing(attempts: ArrayLike, timeouts: ArrayLike, rule: Rule) -> tuple[int, int, float]:
    """The steps between which the rate of one run crosses p0, and the share of the way (point 5)."""
    n = np.asarray(attempts, np.float64)[np.newaxis]
    x = np.asarray(timeouts, np.float64)[np.newaxis]
    found = crossings(n, x, locate_all(n, x, rule), rule.p0)
    return int(found.below[0]), int(found.above[0]), float(found.share[0])


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


def _logit(p: ArrayLike) -> FloatArray:
    rate = np.asarray(p, np.float64)
    return np.asarray(np.log(rate / (1 - rate)))
