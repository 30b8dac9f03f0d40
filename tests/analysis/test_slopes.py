"""Theil-Sen against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import theilslopes

from janusload.analysis.slopes import theil_sen


@pytest.mark.parametrize("seed", range(20))
def test_slope_and_interval_are_those_of_scipy(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(5, 300))
    x = np.sort(draw.uniform(0, 1, count))
    y = np.round(3 * x + draw.normal(0, 1, count), int(draw.integers(0, 4)))  # rounding makes ties
    ours, oracle = theil_sen(x, y), theilslopes(y, x, alpha=0.95)
    assert ours is not None
    assert ours.value == pytest.approx(oracle.slope, rel=1e-12, abs=1e-12)
    # scipy rounds the ranks of the bounds in its own way: a rank more or less
    slopes = np.sort([(y[j] - y[i]) / (x[j] - x[i]) for i in range(count) for j in range(i + 1, count) if x[j] > x[i]])
    for own, other in ((ours.low, oracle.low_slope), (ours.high, oracle.high_slope)):
        between = np.count_nonzero((slopes > min(own, other)) & (slopes < max(own, other)))
        assert between <= 2


def test_many_readings_are_binned_and_the_slope_stays() -> None:
    x = np.arange(5000.0)
    found = theil_sen(x, 2 * x + np.random.default_rng(1).normal(0, 10, 5000))
    assert found is not None
    assert found.value == pytest.approx(2, abs=0.01)
    assert found.low < 2 < found.high


def test_too_few_readings_have_no_slope() -> None:
    assert theil_sen(np.arange(4.0), np.arange(4.0)) is None
    assert theil_sen(np.zeros(10), np.arange(10.0)) is None
