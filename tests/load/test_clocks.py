"""Another machine's clock: the truth lies within what is stated, however lopsided the way there and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from janusload.load.clocks import ClockTrack

MS = 1_000_000
delays = st.integers(0, 80 * MS)


def ask(track: ClockTrack, now_ns: int, ahead_ns: int, there_ns: int, back_ns: int) -> None:
    """A question that leaves now and takes so long each way."""
    track.heard(now_ns, now_ns + there_ns + ahead_ns, now_ns + there_ns + back_ns)


@given(st.integers(-(10**15), 10**15), st.lists(st.tuples(delays, delays), min_size=1, max_size=9))
def test_the_truth_lies_within_the_stated_error(ahead_ns: int, ways: list[tuple[int, int]]) -> None:
    track = ClockTrack(same_kernel=False)
    for there_ns, back_ns in ways:
        ask(track, 5 * MS, ahead_ns, there_ns, back_ns)
    track.settle(99 * MS)
    ((_, offset_ns, error_ns),) = track.rows
    assert abs(offset_ns - ahead_ns) <= error_ns + 1
    assert error_ns <= min(there + back for there, back in ways) / 2 + 1, "the quickest says most"


def test_a_clock_that_drifts_gets_a_row_when_it_has_moved_by_more_than_the_errors() -> None:
    track = ClockTrack(same_kernel=False)
    for minute in range(60):
        ahead_ns = 3 * 10**9 + minute * MS // 2  # half a millisecond a minute: 0.7 s in a day
        ask(track, minute * 60_000 * MS, ahead_ns, MS, MS)
        track.settle(minute * 60_000 * MS)
        assert abs(track.offset_ns - ahead_ns) <= 2 * MS + MS // 2
    assert 10 < len(track.rows) < 20, "once in some four minutes"
    assert [row[0] for row in track.rows] == sorted(row[0] for row in track.rows)


def test_one_kernel_has_one_clock_unless_it_has_not() -> None:
    ours = ClockTrack(same_kernel=True)
    ask(ours, 0, 0, 3 * MS, MS)
    ours.settle(9 * MS)
    assert ours.is_ours and ours.offset_ns == 0
    moved = ClockTrack(same_kernel=True)  # a time namespace
    ask(moved, 0, 7 * 10**9, MS, MS)
    moved.settle(9 * MS)
    assert not moved.is_ours and moved.offset_ns == 7 * 10**9
    unknown = ClockTrack(same_kernel=True)
    unknown.settle(9 * MS)
    assert not unknown.known and unknown.offset_ns == 0
