from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusload.media.quality import Lateness, Reception

MS = 1_000_000


def play(reception: Reception, numbers: list[int], *, ssrc: int = 1, delays_ms: list[float] | None = None) -> None:
    """Let packets of 20 ms arrive in the given order of extended sequence numbers."""
    for index, number in enumerate(numbers):
        delay = delays_ms[index] if delays_ms else 0
        reception.packet(ssrc, number & 0xFFFF, number * 960 & 0xFFFFFFFF, int((number * 20 + delay) * MS))


def test_nothing_is_known_before_the_first_packet() -> None:
    reception = Reception(48_000)
    assert (reception.received, reception.lost, reception.jitter_ms) == (0, 0, None)
    assert reception.report_block(0) is None


@given(
    start=st.integers(0, 0xFFFF),
    lost=st.sets(st.integers(1, 298)),
    seed=st.integers(),
    swaps=st.integers(0, 20),
)
def test_every_gap_is_counted_through_wraps_and_reordering(start: int, lost: set[int], seed: int, swaps: int) -> None:
    numbers = [start + offset for offset in range(300) if offset not in lost]
    source = random.Random(seed)
    for _ in range(swaps):
        # not the first: RFC 3550 cannot know of packets before it
        at = source.randrange(1, len(numbers) - 2)
        numbers[at], numbers[at + 1] = numbers[at + 1], numbers[at]
    reception = Reception(48_000)
    play(reception, numbers)
    assert reception.received == len(numbers)
    assert reception.lost == len(lost)
    assert reception.highest & 0xFFFF == (start + 299) & 0xFFFF
    assert reception.highest - start == 299


def test_duplicates_do_not_make_loss_negative() -> None:
    reception = Reception(48_000)
    play(reception, [1, 2, 2, 2, 3])
    assert reception.lost == 0
    block = reception.report_block(0)
    assert block is not None and block.cumulative_lost == -2


def test_a_new_source_keeps_the_losses_of_the_one_before() -> None:
    reception = Reception(48_000)
    play(reception, [1, 2, 5])
    play(reception, [60_000, 60_001, 60_003], ssrc=2)
    assert (reception.ssrc, reception.received, reception.lost) == (2, 6, 3)


def test_a_source_that_starts_over_is_no_loss() -> None:
    reception = Reception(48_000)
    play(reception, [100, 101, 102, 30_000, 30_001, 30_002])
    assert reception.lost == 0
    assert reception.highest == 30_002
    # the first after the jump was not believed yet (RFC 3550 A.1)
    assert reception.received == 5


def test_a_stray_packet_changes_nothing() -> None:
    reception = Reception(48_000)
    play(reception, [100, 101, 30_000, 102, 103])
    assert (reception.received, reception.lost, reception.highest) == (4, 0, 103)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=100))
def test_jitter_is_that_of_the_rfc(delays: list[int]) -> None:
    reception = Reception(48_000)
    play(reception, list(range(len(delays))), delays_ms=[float(each) for each in delays])
    jitter = 0.0
    for before, now in pairwise(delays):
        jitter += (abs(now - before) - jitter) / 16
    assert reception.jitter_ms == pytest.approx(jitter, abs=0.02)


def test_jitter_survives_the_wrap_of_timestamps() -> None:
    reception = Reception(48_000)
    for index in range(50):
        reception.packet(1, index, (0xFFFFFFFF - 960 * 25 + 960 * index) & 0xFFFFFFFF, 20 * MS * index)
    assert reception.jitter_ms == pytest.approx(0, abs=0.05)


def test_fraction_lost_is_that_of_the_interval() -> None:
    reception = Reception(48_000)
    play(reception, list(range(0, 100)))
    first = reception.report_block(0)
    play(reception, list(range(100, 200, 2)))
    second = reception.report_block(0)
    third = reception.report_block(0)
    assert first is not None and second is not None and third is not None
    assert (first.fraction_lost, first.cumulative_lost) == (0, 0)
    # 199 is not due yet: 49 of 99
    assert (second.fraction_lost, second.cumulative_lost) == (49 * 256 // 99, 49)
    assert (third.fraction_lost, third.cumulative_lost) == (0, 49)


def test_the_block_names_the_last_sender_report() -> None:
    reception = Reception(48_000)
    play(reception, [1])
    reception.sender_report(2, 0x1111, 5)
    block = reception.report_block(10)
    assert block is not None and (block.last_sr, block.delay) == (0, 0)
    reception.sender_report(1, 0xAABB, 1_000_000_000)
    block = reception.report_block(1_500_000_000)
    assert block is not None and (block.last_sr, block.delay) == (0xAABB, 32_768)


def test_lateness_is_a_percentile_of_what_was_added_since() -> None:
    lateness = Lateness()
    assert lateness.take().p99_ms is None
    for late_ms in range(100):
        lateness.add(late_ms * MS)
    taken = lateness.take()
    assert taken.p99_ms == pytest.approx(98.1)
    assert (taken.due, taken.late) == (100, 90)
    lateness.add(-5)
    assert lateness.take().p99_ms == pytest.approx(0.1)
    lateness.add(10**12)
    assert lateness.take().p99_ms == pytest.approx(100.1)
    assert lateness.take().p99_ms is None
