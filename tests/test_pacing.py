from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janusload.pacing import Plateau, Schedule

plateaus = st.lists(
    st.builds(Plateau, st.floats(0.5, 2000), st.floats(0.1, 20).map(lambda s: round(s, 3))), min_size=1, max_size=6
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plateaus)
def test_arrivals_are_ordered_and_inside_their_plateau(row: list[Plateau]) -> None:
    schedule = Schedule(row)
    for k in {0, len(schedule) // 2, len(schedule) - 1}:
        step, due_s = schedule.step_of(k), schedule.due_s(k)
        assert schedule.begin_s(step) <= due_s < schedule.begin_s(step + 1) + 1e-6
        if k:
            assert schedule.due_s(k - 1) <= due_s


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plateaus)
def test_offered_count_is_rate_times_duration(row: list[Plateau]) -> None:
    schedule = Schedule(row)
    for step, plateau in enumerate(row):
        n = sum(1 for k in range(len(schedule)) if schedule.step_of(k) == step) if len(schedule) < 5000 else None
        if n is not None:
            assert n == plateau.arrivals
        assert abs(plateau.arrivals - plateau.rate_per_s * plateau.duration_s) <= 1


def test_known_moments() -> None:
    schedule = Schedule([Plateau(10, 1), Plateau(4, 0.5)])
    assert len(schedule) == 12
    assert [schedule.due_s(k) for k in (0, 1, 9, 10, 11)] == [0.0, 0.1, 0.9, 1.0, 1.25]
    assert schedule.duration_s == 1.5
    with pytest.raises(IndexError):
        schedule.due_s(12)


def test_a_plateau_without_load_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Schedule([Plateau(0, 5)])
