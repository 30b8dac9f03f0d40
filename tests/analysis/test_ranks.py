"""The rank test against lifelines, and the spread of few values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.statistics import logrank_test

from janusload.analysis.ranks import logrank_p, logrank_score, mad, median_interval


@pytest.mark.filterwarnings("ignore::Warning:lifelines")  # what pandas will change is theirs to follow
@given(st.integers(0, 10_000), st.integers(3, 12), st.integers(3, 12))
@settings(max_examples=60, deadline=None)
def test_the_score_agrees_with_lifelines(seed: int, count: int, other: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(1, 12, count + other).astype(float)
    seen = random.random(count + other) < 0.7
    new = np.arange(count + other) >= count
    if not seen.any():
        assert logrank_score(values, seen, new) == 0
        return
    oracle = logrank_test(values[~new], values[new], seen[~new], seen[new]).test_statistic
    score = logrank_score(values, seen, new)
    # lifelines gives the square over its variance
    assert score**2 == pytest.approx(oracle * _variance(values, seen, new), rel=1e-6, abs=1e-9)


def _variance(values: np.ndarray, seen: np.ndarray, new: np.ndarray) -> float:
    """Mantel's hypergeometric variance."""
    total = 0.0
    for at in np.unique(values[seen]):
        risk, onsets = (values >= at), (seen & (values == at)).sum()
        n, n1 = risk.sum(), (risk & new).sum()
        if n > 1:
            total += onsets * (n1 / n) * (1 - n1 / n) * (n - onsets) / (n - 1)
    return float(total)


def test_every_order_of_few_runs() -> None:
    values = np.array([1.0, 2.0, 3.0, 10.0, 11.0, 12.0])
    seen, new = np.ones(6, np.bool_), np.arange(6) >= 3
    assert logrank_p(values, seen, new) == pytest.approx(2 / 20)
    assert logrank_p(np.full(6, 5.0), seen, new) == 1.0


def test_many_runs_are_dealt_out_at_random_and_always_alike() -> None:
    random = np.random.default_rng(1)
    values, new = random.normal(100, 5, 40), np.arange(40) >= 20
    seen = np.ones(40, np.bool_)
    assert logrank_p(values, seen, new) == logrank_p(values, seen, new) > 0.01
    assert logrank_p(values + 10 * new, seen, new) < 0.01


def test_spread() -> None:
    assert mad(np.array([1.0, 2.0, 3.0, 4.0, 100.0])) == 1.0
    low, high = median_interval(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert 1.0 <= low <= 3.0 <= high <= 100.0
