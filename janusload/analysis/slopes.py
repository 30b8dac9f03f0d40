"""Theil-Sen: the slope of noisy readings, which a few wild ones do not move (Theil 1950, Sen 1968)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: readings beyond this are put into as many bins, each with its median: pairs grow with the square
_READINGS = 300


class Slope(NamedTuple):
    """Change per unit of x, and the bounds of its 95 % interval (Sen's, by the variance of Kendall's S).

    The interval takes readings to be independent; readings of memory hang together, so it is rather too narrow.
    """

    value: float
    low: float
    high: float


def theil_sen(x: NDArray[np.float64], y: NDArray[np.float64], *, z: float = 1.959964) -> Slope | None:
    """Median of the slopes of all pairs; None with fewer than 5 readings or no spread in x. Shapes (n,), (n,)."""
    if len(x) > _READINGS:
        x, y = _binned(x), _binned(y)
    first, second = np.triu_indices(len(x), 1)
    run = x[second] - x[first]
    slopes = np.sort((y[second] - y[first])[run > 0] / run[run > 0])
    if len(x) < 5 or not len(slopes):
        return None
    # Sen 1968, eq. 2.6, with the correction for ties in y
    n = len(y)
    ties = np.unique(y, return_counts=True)[1]
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    reach = z * math.sqrt(variance)
    low = max(0, round((len(slopes) - reach) / 2) - 1)
    high = min(len(slopes) - 1, round((len(slopes) + reach) / 2))
    return Slope(float(np.median(slopes)), float(slopes[low]), float(slopes[high]))


def _binned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([np.median(part) for part in np.array_split(values, _READINGS)])
