"""The audit of sequence numbers against counting by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from janusload.server.recordings.sequence import GAPS_KEPT, JUMPS_FOLLOWED, Gap, SequenceAudit


def audit(numbers: list[int], *, chunk: int = 0) -> SequenceAudit:
    result = SequenceAudit()
    wire = np.array([n & 0xFFFF for n in numbers], np.int64)
    for start in range(0, len(wire), chunk or max(1, len(wire))):
        result.take(wire[start : start + (chunk or len(wire))])
    result.finish()
    return result


def test_a_stream_without_a_fault_has_none_across_the_wrap() -> None:
    result = audit(list(range(65_000, 66_500)))
    assert (result.packets, result.expected, result.first, result.last) == (1500, 1500, 65_000, 66_499 - 65_536)
    assert (result.missing, result.duplicated, result.reordered, result.jumps, result.stale) == (0, 0, 0, 0, 0)


def test_gaps_are_told_by_their_first_number() -> None:
    result = audit([1, 2, 5, 6, 8])
    assert result.missing == 3
    assert result.gaps == [Gap(3, 2), Gap(7, 1)]


def test_a_packet_that_comes_late_was_reordered_and_is_not_missing() -> None:
    result = audit([1, 2, 4, 3, 5], chunk=3)
    assert (result.missing, result.reordered, result.duplicated) == (0, 1, 0)


def test_a_second_copy_is_a_duplicate_and_not_reordered() -> None:
    result = audit([1, 2, 3, 2, 4], chunk=2)
    assert (result.missing, result.reordered, result.duplicated) == (0, 0, 1)


def test_a_packet_from_before_the_window_is_stale() -> None:
    result = audit([*range(5000), 10, *range(5000, 5010)], chunk=1000)
    # a step back by more than MAX_DROPOUT is a jump, and so is the one back
    assert result.jumps == 2
    assert audit([*range(9000), 9000 - 2999], chunk=1).duplicated == 1


def test_a_sender_that_starts_over_has_lost_nothing() -> None:
    result = audit([10, 11, 12, 40_000, 40_001])
    assert (result.jumps, result.missing, result.expected) == (1, 0, 5)


def test_a_stream_of_jumps_is_given_up_in_bounded_memory() -> None:
    result = audit([0, 30_000] * (JUMPS_FOLLOWED + 10), chunk=5000)
    assert result.jumps > JUMPS_FOLLOWED
    assert result.stale > 0
    assert len(result.gaps) <= GAPS_KEPT


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=300),
    st.integers(1, 50),
    st.integers(0, 65_535),
)
def test_counts_are_those_of_counting_by_hand(numbers: list[int], chunk: int, start: int) -> None:
    first, numbers = numbers[0], [n + start for n in numbers]
    result = audit(numbers, chunk=chunk)
    kept = [n for n in numbers if n >= numbers[0]]  # what came before the first is not asked for
    assert first + start == numbers[0]
    assert result.packets == len(numbers)
    assert result.stale == len(numbers) - len(kept)
    assert result.expected == max(kept) - numbers[0] + 1
    assert result.missing == result.expected - len(set(kept))
    assert result.duplicated == len(kept) - len(set(kept))
    highest, reordered, seen = numbers[0] - 1, 0, set()
    for n in kept:
        reordered += n < highest and n not in seen
        seen.add(n)
        highest = max(highest, n)
    assert result.reordered == reordered
    assert sum(gap.packets for gap in result.gaps) == result.missing
