from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from janusload.pacing import Leg, Schedule, Search, deal, plateau

loads = st.floats(0.5, 2000)
durations = st.floats(0.1, 20).map(lambda s: round(s, 3))
legs = st.lists(
    st.one_of(st.builds(plateau, loads, durations), st.builds(Leg, loads, loads, durations)), min_size=1, max_size=6
)
quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(legs)
def test_arrivals_are_ordered_and_inside_their_leg(row: list[Leg]) -> None:
    schedule = Schedule(row)
    for k in {0, len(schedule) // 2, len(schedule) - 1}:
        leg, due_s = schedule.leg_of(k), schedule.due_s(k)
        assert schedule.begin_s(leg) <= due_s <= schedule.begin_s(leg + 1) + 1e-6
        if k:
            assert schedule.due_s(k - 1) <= due_s


@quick
@given(legs)
def test_offered_count_is_the_area_under_the_load(row: list[Leg]) -> None:
    assume(sum(leg.exact for leg in row) < 20_000)
    schedule = Schedule(row)
    per_leg = [sum(1 for a in schedule.arrivals() if a.leg == number) for number in range(len(row))]
    assert per_leg == [leg.arrivals for leg in row]
    for leg in row:
        assert abs(leg.arrivals - (leg.begin + leg.end) / 2 * leg.duration_s) <= 1


@quick
@given(legs, st.integers(1, 7), st.one_of(st.none(), st.text(max_size=5)))
def test_workers_together_have_every_arrival_once(row: list[Leg], workers: int, seed: str | None) -> None:
    assume(sum(leg.exact for leg in row) < 20_000)
    schedule = Schedule(row, poisson_seed=seed)
    alone = list(schedule.arrivals())
    striped = [list(schedule.arrivals(worker, workers)) for worker in range(workers)]
    assert sorted(itertools.chain(*striped)) == alone
    assert [a.k for a in alone] == list(range(len(alone)))
    assert all(a.due_s <= b.due_s for a, b in itertools.pairwise(alone))
    if seed is None:
        assert len(alone) == len(schedule)
    assert max(map(len, striped)) - min(map(len, striped)) <= 1


def test_known_moments() -> None:
    schedule = Schedule([plateau(10, 1), plateau(4, 0.5)])
    assert len(schedule) == 12
    assert [schedule.due_s(k) for k in (0, 1, 9, 10, 11)] == [0.0, 0.1, 0.9, 1.0, 1.25]
    assert schedule.duration_s == 1.5
    with pytest.raises(IndexError):
        schedule.due_s(12)


def test_a_ramp_makes_half_of_its_arrivals_after_seven_tenths_of_its_time() -> None:
    ramp = Leg(1e-9, 100, 10)  # from nothing: the k-th arrival is due at 10 * sqrt(k / 500)
    schedule = Schedule([ramp])
    assert schedule.due_s(250) == pytest.approx(10 * 0.5**0.5, rel=1e-6)
    assert schedule.due_s(0) == 0.0


def test_poisson_arrivals_have_the_rate_and_the_spread_of_one() -> None:
    schedule = Schedule([plateau(200, 100)], poisson_seed="7")
    moments = [a.due_s for a in schedule.arrivals()]
    assert moments == [a.due_s for a in schedule.arrivals()], "the same seed, the same arrivals"
    assert len(moments) == pytest.approx(20_000, abs=4 * 20_000**0.5)
    gaps = [b - a for a, b in itertools.pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(1 / 200, rel=0.03) and deviation == pytest.approx(mean, rel=0.03)


def test_a_leg_without_load_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Schedule([plateau(0, 5)])


@given(st.integers(0, 500), st.lists(st.floats(0.1, 10), min_size=1, max_size=6))
def test_users_are_dealt_out_by_weight(total: int, weights: list[float]) -> None:
    shares = deal(total, weights)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - total * weight / sum(weights)) < 1


@quick
@given(st.floats(5, 900), st.booleans())
def test_a_search_brackets_what_it_looks_for(truth: float, whole: bool) -> None:
    search = Search(10, 1000, grow=2.0, within=0.1, whole=whole)
    asked = [search.next()]
    while (load := search.next(asked[-1] > truth)) is not None:
        asked.append(load)
        assert len(asked) < 20
    if truth < 10:
        assert search.good is None and search.bad == 10
        return
    assert search.good is not None and search.bad is not None
    assert search.good <= truth < search.bad
    assert search.bad - search.good <= max(0.1 * search.good, 1.0 if whole else 0.0) + 1e-9


def test_a_search_that_finds_nothing_bad_ends_at_the_top() -> None:
    search = Search(10, 50, grow=2.0, within=0.1, whole=True)
    asked = [search.next()]
    while (load := search.next(False)) is not None:
        asked.append(load)
    assert asked == [10, 20, 40, 50] and search.bad is None
