"""The rule of measurement.md section 3 on bare counts."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from janusload.analysis.censored import wilson_bounds
from janusload.analysis.onset import Rule, attempts_missing, attempts_needed, between, crossing, locate

RULE = Rule()

counts = st.lists(
    st.integers(1, 3000).flatmap(
        lambda n: st.tuples(st.just(n), st.one_of(st.integers(0, n), st.integers(0, n // 50)))
    ),
    min_size=1,
    max_size=14,
)


@pytest.mark.parametrize(("p0", "least"), [(0.01, 268), (0.02, 133), (0.05, 52)])
def test_samples_needed_are_those_of_the_specification(p0: float, least: int) -> None:
    assert attempts_needed(p0, 0.05) == least
    rule = Rule(p0=p0)
    assert locate([least], [0], rule).good == 0
    assert locate([least - 1], [0], rule).good is None


def test_a_plain_knee() -> None:
    found = locate([600] * 5, [0, 0, 1, 90, 300], RULE)
    assert (found.good, found.bad, found.confirmed) == (2, 3, True)


def test_one_bad_step_that_its_successor_takes_back() -> None:
    """20 of 600 alone is credibly above 1 %, together with 0 of 6000 it is not."""
    assert locate([600, 600, 6000], [0, 20, 0], RULE).bad is None
    assert locate([600, 600], [0, 20], RULE).bad == 1


def test_a_step_needs_its_successor_and_the_successor_needs_it() -> None:
    """12 of 600 are credible with 30 of 600 behind them, 6 of 600 are not whatever follows."""
    assert locate([600] * 4, [0, 12, 30, 90], RULE).bad == 1
    assert locate([600] * 4, [0, 12, 0, 90], RULE).bad == 3
    assert locate([600] * 4, [0, 6, 90, 90], RULE).bad == 2


def test_above_an_undecided_step_the_rise_has_begun() -> None:
    """9 of 600 are no proof by themselves; with 6 of 600 below and 30 of 600 above them they are where it begins."""
    assert locate([600] * 5, [0, 0, 9, 30, 90], RULE).bad == 3
    assert locate([600] * 5, [0, 6, 9, 30, 90], RULE).bad == 2
    assert locate([600] * 5, [0, 6, 6, 30, 90], RULE).bad == 3
    assert locate([600] * 5, [0, 6, 9, 0, 90], RULE).bad == 4


def test_the_last_step_uses_its_own_bound_and_is_unconfirmed() -> None:
    found = locate([600] * 3, [0, 0, 60], RULE)
    assert (found.good, found.bad, found.confirmed) == (1, 2, False)


def test_two_stalls_name_the_first() -> None:
    found = locate([600] * 7, [0, 0, 100, 0, 0, 100, 100], RULE)
    assert (found.good, found.bad) == (1, 2)


def test_few_samples_prove_nothing_good_but_may_prove_bad() -> None:
    found = locate([100] * 4, [0, 0, 40, 60], RULE)
    assert (found.good, found.bad) == (None, 2)


def test_no_steps_at_all() -> None:
    assert locate([], [], RULE)[:3] == (None, None, False)


@given(counts)
@settings(max_examples=200, deadline=None)
def test_k_and_g_are_what_the_definition_says(steps: list[tuple[int, int]]) -> None:
    """Point 3 and 4 once more, word by word and without numpy's help."""
    n, x = [n for n, _ in steps], [x for _, x in steps]
    z_k, z_own, z_g = (NormalDist().inv_cdf(1 - error) for error in (0.001 / len(n), 0.1, 0.05))

    def lcb(hits: int, trials: int, z: float) -> float:
        return float(wilson_bounds(hits, trials, z)[0])

    bad = None
    for k in range(len(n)):
        pooled = lcb(x[k] + x[k + 1], n[k] + n[k + 1], z_k) if k + 1 < len(n) else lcb(x[k], n[k], z_k)
        undecided_below = k > 0 and float(wilson_bounds(x[k - 1], n[k - 1], z_g)[1]) >= 0.01
        alone = x[k] / n[k] > 0.01 if undecided_below else lcb(x[k], n[k], z_own) > 0.01
        if alone and pooled > 0.01:
            bad = k
            break
    good = None
    for k in range(len(n) if bad is None else bad):
        if float(wilson_bounds(x[k], n[k], z_g)[1]) < 0.01:
            good = k
    found = locate(n, x, RULE)
    assert (found.good, found.bad) == (good, bad)
    assert found.confirmed == (bad is not None and bad < len(n) - 1)


@given(counts)
@settings(max_examples=200, deadline=None)
def test_the_crossing_lies_between_neighbours_inside_the_bracket(steps: list[tuple[int, int]]) -> None:
    """Against the textbook's pooling of adjacent violators, of what lies in the bracket."""
    n, x = [n for n, _ in steps], [x for _, x in steps]
    found = locate(n, x, RULE)
    below, above, share = crossing(n, x, RULE)
    assert 0.0 <= share <= 1.0
    if found.good is not None and found.bad is not None:
        assert found.good <= below == above - 1 < found.bad
        inside = slice(found.good, found.bad + 1)
        rates = (np.array(x)[inside] + 0.5) / (np.array(n)[inside] + 1)
        fit = isotonic_regression(rates, weights=np.array(n, float)[inside]).x
        assert fit[below - found.good] <= 0.01 + 1e-9 and fit[above - found.good] > 0.01 - 1e-9


def test_the_crossing_follows_the_rate() -> None:
    """The lower the rate at K, the nearer to K it crosses p0."""
    found = [crossing([600] * 3, [0, 0, x], RULE) for x in (20, 40, 200, 600)]
    assert {each[:2] for each in found} == {(1, 2)}
    places = [share for _, _, share in found]
    assert places == sorted(places, reverse=True)
    assert 0.1 < places[-1] < places[0] < 1.0


def test_a_background_does_not_draw_the_crossing_down() -> None:
    """Only the second step is proven good, but the rate rises between the last two."""
    counts = [3, 1, 3, 4, 2, 3, 60]
    assert locate([600] * 7, counts, RULE).good == 1
    assert crossing([600] * 7, counts, RULE)[:2] == (5, 6)


@given(st.floats(1e-3, 1e5), st.floats(1e-3, 1e5), st.floats(0, 1))
def test_between_is_between(a: float, b: float, share: float) -> None:
    low, high = min(a, b), max(a, b)
    assert low * (1 - 1e-9) <= between(low, high, share) <= high * (1 + 1e-9)
    assert between(low, high, 0.5) == pytest.approx(math.sqrt(low * high))


def test_between_bears_zero() -> None:
    assert between(0.0, 10.0, 0.25) == 2.5


@given(st.integers(0, 2000), st.integers(0, 15))
@settings(max_examples=100, deadline=None)
def test_missing_attempts_would_do_and_one_less_would_not(n: int, x: int) -> None:
    x = min(x, n)
    missing = attempts_missing(n, x, RULE)
    rate = x / n if n else 0.0
    if rate >= RULE.p0:
        assert missing is None
        return
    assert missing is not None

    def proves(trials: int) -> bool:
        return bool(wilson_bounds(rate * trials, trials, 1.6448536269514722)[1] < RULE.p0)

    assert proves(n + missing)
    if missing:
        assert not proves(n + missing - 1)


def simulate(
    random: np.random.Generator, trials: int, n: int, rate_below: float, rate_from: float, steps: int = 12
) -> list[tuple[int | None, int | None]]:
    """(G, K) of runs whose timeouts begin in step 7, counted from 1."""
    found = []
    for _ in range(trials):
        rates = np.where(np.arange(steps) < 6, rate_below, rate_from)
        bracket = locate(np.full(steps, n), random.binomial(n, rates), RULE)
        found.append((bracket.good, bracket.bad))
    return found


def test_the_simulation_of_the_specification() -> None:
    """measurement.md section 3: 12 steps, a stall from step 7 on (of a depth that it does not tell; here 4 %)."""
    random = np.random.default_rng(3)
    at_600 = simulate(random, 300, 600, 0.0, 0.04)
    assert all(bad in (6, 7) and good is not None for good, bad in at_600)
    at_1500 = simulate(random, 300, 1500, 0.0, 0.04)
    assert all(bad == 6 for _, bad in at_1500)
    assert all(good is None for good, _ in simulate(random, 300, 100, 0.0, 0.3))


@pytest.mark.parametrize("rate", [0.001, 0.002, 0.005])
def test_a_flat_background_is_no_onset(rate: float) -> None:
    random = np.random.default_rng(4)
    found = simulate(random, 400, 600, rate, rate)
    assert sum(bad is not None for _, bad in found) == 0
