"""Estimators against scipy and lifelines, and their laws."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import isotonic_regression
from scipy.stats import binomtest, norm

from janusload.analysis.censored import isotonic, km_quantiles, one_sided_z, wilson_bounds

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # lifelines' own, at import
    from lifelines import KaplanMeierFitter

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def lifelines_quantiles(times: np.ndarray, observed: np.ndarray) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = KaplanMeierFitter().fit(times, observed)
        # lifelines compares without slack; the middle between two steps of the curve asks the same question
        return [float(fitter.percentile(1 - q + 1e-9)) for q in QUANTILES]


@given(
    st.integers(1, 60).flatmap(
        lambda n: st.tuples(
            arrays.arrays(np.float64, n, elements=st.integers(1, 12).map(float)),  # many ties
            arrays.arrays(np.bool_, n),
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_kaplan_meier_agrees_with_lifelines(sample: tuple[np.ndarray, np.ndarray]) -> None:
    times, observed = sample
    found = km_quantiles(times, observed, QUANTILES)
    assert found is not None
    for mine, theirs in zip(found, lifelines_quantiles(times, observed), strict=True):
        if np.isinf(theirs):
            assert mine.at_least and mine.value == times.max()
        else:
            assert not mine.at_least and mine.value == theirs


def test_the_example_of_the_specification() -> None:
    """measurement.md section 2: true p50/p75/p95 2.14/4.18/11.03 s, T = 5 s, 20 % time out."""
    random = np.random.default_rng(5)
    truth = random.lognormal(np.log(2.14), 0.9947, 200_000)
    assert np.quantile(truth, [0.5, 0.75, 0.95]) == pytest.approx([2.14, 4.18, 11.0], rel=0.02)
    in_time = truth <= 5.0
    p50, p75, p95 = km_quantiles(np.minimum(truth, 5.0), in_time, (0.5, 0.75, 0.95), horizon=5.0) or []
    assert p50.value == pytest.approx(2.14, rel=0.02) and p75.value == pytest.approx(4.18, rel=0.02)
    assert p95 == (5.0, True)
    dropped = np.quantile(truth[in_time], [0.5, 0.75, 0.95])
    assert dropped == pytest.approx([1.68, 2.77, 4.35], rel=0.03)  # what dropping the timeouts would have said


def test_without_censoring_it_is_the_order_statistic() -> None:
    times = np.arange(1.0, 21.0)
    found = km_quantiles(times, np.ones(20, bool), (0.05, 0.5, 0.95, 0.99))
    assert found == [(1.0, False), (10.0, False), (19.0, False), (20.0, False)]


def test_no_bound_is_claimed_beyond_the_horizon() -> None:
    times = np.array([0.1, 2.0, 2.0, 2.0, 7.5])  # one left 5.5 s late and was followed for longer
    observed = np.array([True, False, False, False, False])
    assert km_quantiles(times, observed, (0.5,), horizon=2.0) == [(2.0, True)]
    assert km_quantiles(times, observed, (0.5,)) == [(7.5, True)]


def test_a_bound_is_not_below_a_lower_quantile_that_was_seen() -> None:
    times, observed = np.array([0.1, 2.4, 2.0, 2.6]), np.array([True, True, False, False])  # some left late
    assert km_quantiles(times, observed, (0.9,), horizon=2.0) == [(2.0, True)]
    assert km_quantiles(times, observed, (0.6, 0.9), horizon=2.0) == [(2.4, False), (2.4, True)]


def test_nothing_but_timeouts_and_nothing_at_all() -> None:
    assert km_quantiles(np.full(9, 2.0), np.zeros(9, bool), (0.01, 0.5), horizon=2.0) == [(2.0, True)] * 2
    assert km_quantiles(np.zeros(0), np.zeros(0, bool), (0.5,)) is None
    assert km_quantiles(np.array([3.0]), np.array([True]), (0.5, 0.99)) == [(3.0, False)] * 2


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from([0.05, 0.025, 0.05 / 12, 0.2]))
@settings(max_examples=150, deadline=None)
def test_wilson_agrees_with_scipy(first: int, second: int, alpha: float) -> None:
    hits, trials = min(first, second), max(first, second, 1)
    z = one_sided_z(alpha)
    lower, upper = wilson_bounds(hits, trials, z)
    theirs = binomtest(hits, trials).proportion_ci(1 - 2 * alpha, method="wilson")
    assert float(lower) == pytest.approx(theirs.low, abs=1e-12)
    assert float(upper) == pytest.approx(theirs.high, abs=1e-12)


def test_wilson_takes_arrays_and_knows_nothing_without_trials() -> None:
    lower, upper = wilson_bounds([0, 0, 5], [0, 268, 5], 1.645)
    assert (lower[0], upper[0]) == (0.0, 1.0)
    assert upper[1] < 0.01 < lower[2]


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.05 / 12, 1e-4])
def test_z_agrees_with_scipy(alpha: float) -> None:
    assert one_sided_z(alpha) == pytest.approx(norm.isf(alpha), abs=1e-9)


@given(
    st.integers(1, 25).flatmap(
        lambda n: st.tuples(
            arrays.arrays(np.float64, n, elements=st.floats(0, 1)),
            arrays.arrays(np.float64, n, elements=st.floats(0.5, 100)),
        )
    )
)
@settings(max_examples=150, deadline=None)
def test_isotonic_agrees_with_scipy(sample: tuple[np.ndarray, np.ndarray]) -> None:
    values, weights = sample
    last = np.array([len(values) - 1])
    fit = isotonic(values[np.newaxis], weights[np.newaxis], np.array([0]), last)[0]
    assert fit == pytest.approx(isotonic_regression(values, weights=weights).x, abs=1e-9)
    assert np.all(np.diff(fit) >= 0)
    assert np.average(fit, weights=weights) == pytest.approx(np.average(values, weights=weights))
