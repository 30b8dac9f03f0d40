"""Keepalives: often enough for the server, and spread whatever the rhythm of creation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusload.errors import UsageError
from janusload.janus import keepalive


@pytest.mark.parametrize("timeout_s", [1, 10, 20, 60, 3600])
def test_at_most_half_the_session_timeout(timeout_s: int) -> None:
    assert 0 < keepalive.interval_s(timeout_s) <= timeout_s / 2
    keepalive.require_fit(keepalive.interval_s(timeout_s), timeout_s)


def test_no_session_timeout_needs_no_keepalive() -> None:
    assert keepalive.interval_s(0) == 0
    keepalive.require_fit(1000.0, 0)
    keepalive.require_fit(1000.0, None)


def test_too_seldom_is_refused() -> None:
    with pytest.raises(UsageError, match="too seldom"):
        keepalive.require_fit(31, 60)


@given(st.floats(0, 1e7), st.floats(0.1, 100), st.floats(0, 0.999999))
def test_the_first_one_comes_within_an_interval(now_s: float, interval_s: float, phase: float) -> None:
    wait_s = keepalive.first_after_s(now_s, interval_s, phase)
    assert 0 < wait_s <= interval_s
    # and falls on the phase, as near as floats tell
    place = ((now_s + wait_s) / interval_s - phase) % 1.0
    assert min(place, 1 - place) < 1e-4


@pytest.mark.parametrize("created_every_s", [0.0, 0.004, 0.25, 25.0, 25.0 * 0.6180339887498949, 25.0 * 0.381966])
def test_a_thousand_sessions_never_come_in_step(created_every_s: float) -> None:
    interval_s, sessions, slots = 25.0, 1000, 50
    hits = [0] * slots
    for number in range(sessions):
        now_s = 1234.5 + number * created_every_s
        beat_s = now_s + keepalive.first_after_s(now_s, interval_s, keepalive.next_phase())
        hits[int(beat_s / interval_s % 1.0 * slots)] += 1
    # 20 a slot would be perfect
    assert min(hits) >= 17 and max(hits) <= 23
