"""Estimators for what is only partly seen: latencies that a timeout cut off, and rates from few samples.

A timed-out request says "at least T", not "T": dropping it or counting it as T moves every upper quantile
(measurement.md section 2). The Kaplan-Meier curve uses exactly what is known.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_ROUNDING = 1e-9  # a survival of 0.05 that came out as 0.05000000000000004 has come down to 0.05


class CensoredQuantile(NamedTuple):
    """A quantile; with `at_least` the curve never came down to it and `value` is a lower bound."""

    value: float
    at_least: bool


def km_quantiles(
    times: FloatArray, observed: BoolArray, quantiles: ArrayLike, horizon: float | None = None
) -> list[CensoredQuantile] | None:
    """Kaplan-Meier quantiles of right-censored times (Kaplan and Meier 1958).

    Args:
        times: shape (n,), seconds until the answer or until nobody waited any longer.
        observed: shape (n,), whether there was an answer at that time.
        quantiles: shape (m,), each in (0, 1).
        horizon: up to where every attempt was followed (T). A bound is not claimed beyond it on the strength of the
            few attempts that happened to be followed longer.

    Returns:
        m quantiles, each the first time at which the curve is at or below 1 - q; None without any time.
    """
    if times.size == 0:
        return None
    wanted = np.atleast_1d(np.asarray(quantiles, np.float64))
    events = np.sort(times[observed])
    withdrawn = np.sort(times[~observed])
    followed = float(times.max())
    bound = followed if horizon is None else min(followed, horizon)
    # At equal times an answer counts before a withdrawal, as is usual; ties of answers multiply out.
    left = events.size - np.arange(events.size) + withdrawn.size - np.searchsorted(withdrawn, events, side="left")
    survival = np.cumprod(1.0 - 1.0 / left)
    at = np.searchsorted(-survival, -(1.0 - wanted) - _ROUNDING, side="left")
    reached = at[at < events.size]
    if reached.size:
        bound = max(bound, float(events[reached.max()]))  # a higher quantile is at least the lower one that was seen
    return [CensoredQuantile(float(events[i]), False) if i < events.size else CensoredQuantile(bound, True) for i in at]


def wilson_bounds(hits: ArrayLike, trials: ArrayLike, z: float) -> tuple[FloatArray, FloatArray]:
    """Wilson's score bounds of a rate (Wilson 1927): (lower, upper), each of the shape of the arguments.

    Args:
        z: standard normal quantile; each bound on its own holds with that one-sided confidence.

    Without trials the bounds are 0 and 1.
    """
    x = np.asarray(hits, np.float64)
    n = np.asarray(trials, np.float64)
    some = np.maximum(n, 1.0)
    p = x / some
    middle = p + z * z / (2 * some)
    reach = z * np.sqrt(p * (1 - p) / some + z * z / (4 * some * some))
    whole = 1 + z * z / some
    lower = np.where(n > 0, np.clip((middle - reach) / whole, 0.0, 1.0), 0.0)
    upper = np.where(n > 0, np.clip((middle + reach) / whole, 0.0, 1.0), 1.0)
    return lower, upper


def one_sided_z(alpha: float) -> float:
    """The standard normal quantile that leaves `alpha` above it: 1.645 for 0.05."""
    return NormalDist().inv_cdf(1.0 - alpha)


def isotonic(values: FloatArray, weights: FloatArray, first: NDArray[np.int64], last: NDArray[np.int64]) -> FloatArray:
    """The non-decreasing fit nearest to entries first..last of each row, as pooling adjacent violators finds it.

    It is written as the max-min formula (Barlow et al. 1972), which takes all rows at once.

    Args:
        values, weights: shape (r, m), weights positive.
        first, last: shape (r,), which entries of each row to fit.

    Returns:
        Shape (r, m); what lies outside first..last means nothing.
    """
    rows, size = values.shape
    nothing = np.zeros((rows, 1))
    mass = np.hstack((nothing, np.cumsum(weights, axis=1)))
    total = np.hstack((nothing, np.cumsum(weights * values, axis=1)))
    at = np.arange(size)
    begin, end = at[np.newaxis, :, np.newaxis], at[np.newaxis, np.newaxis, :]
    some = begin <= end
    # means[r, a, b] is the mean of a..b, and then means[r, a, i] the least of those with b >= i
    means = total[:, np.newaxis, 1:] - total[:, :-1, np.newaxis]
    means /= np.where(some, mass[:, np.newaxis, 1:] - mass[:, :-1, np.newaxis], 1.0)
    means = np.where(some & (end <= last[:, np.newaxis, np.newaxis]), means, np.inf)
    means = np.minimum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]
    means = np.where(some & (begin >= first[:, np.newaxis, np.newaxis]), means, -np.inf)
    return np.asarray(means.max(axis=1))
