"""Comparing few values of which some are only bounds: a run without an onset is "more than that", no gap, no zero."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from janusload.analysis.censored import BoolArray, FloatArray

_MOST_ORDERS = 20_000
_SEED = 20_261_122


def logrank_score(values: FloatArray, seen: BoolArray, new: BoolArray) -> float:
    """Observed minus expected onsets of the new side (Mantel 1966, the load in the place of time).

    Args:
        values: shape (n,), the load of each onset, or up to which there was none.
        seen: shape (n,), whether there was an onset at that load.
        new: shape (n,), which side each belongs to.

    Returns:
        Negative where the new side's onsets lie at higher loads.
    """
    return float(_scores(values, seen)[new].sum())


def _scores(values: FloatArray, seen: BoolArray) -> FloatArray:
    """What each run adds to the score of its side (Peto's log-rank scores), shape (n,)."""
    hazard = np.zeros(len(values))
    for at in np.unique(values[seen]):
        risk = values >= at
        hazard[risk] += float((seen & (values == at)).sum()) / float(risk.sum())
    return seen - hazard


def logrank_p(values: FloatArray, seen: BoolArray, new: BoolArray) -> float:
    """Two-sided p-value of `logrank_score` by permutation: every way to deal out the sides, or 20,000 of them."""
    size, count = len(new), int(new.sum())
    scores = _scores(values, seen)
    if comb(size, count) <= _MOST_ORDERS:
        deals = np.array(list(combinations(range(size), count)), np.int64)
    else:
        order = np.random.default_rng(_SEED).random((_MOST_ORDERS, size)).argsort(axis=1)
        deals = order[:, :count]
    return float((np.abs(scores[deals].sum(axis=1)) >= abs(scores[new].sum()) - 1e-9).mean())


def mad(values: FloatArray) -> float:
    """Median absolute deviation from the median, not scaled."""
    return float(np.median(np.abs(values - np.median(values))))


def median_interval(values: FloatArray, replicates: int = 2000) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the median, always the same for the same values."""
    random = np.random.default_rng(_SEED)
    medians = np.median(values[random.integers(0, len(values), (replicates, len(values)))], axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(low), float(high)
