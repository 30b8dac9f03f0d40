from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby, islice

import pytest

from janusload.errors import MediaError
from janusload.media import impairment
from janusload.media.impairment import AT_ONCE, LOST, Fate

MS = 1_000_000


def taken(wanted: str | Mapping[str, object], count: int, seed: int = 1) -> list[Fate]:
    found = impairment.fates(wanted, seed=seed)
    assert found is not None
    return list(islice(found, count))


def lost(wanted: str, count: int, seed: int = 1) -> list[bool]:
    return [fate is LOST for fate in taken(wanted, count, seed)]


@pytest.mark.parametrize("nothing", ["", {}, None, {"seed": 4}])
def test_nothing_wanted_is_nothing(nothing: str | None) -> None:
    assert impairment.fates(nothing, seed=1) is None


def test_every_other_packet() -> None:
    assert lost("every:2", 6) == lost("loss=every:2", 6) == [False, True] * 3


def test_every_fourth_packet() -> None:
    assert lost("every:4", 8) == [False, False, False, True] * 2


def test_what_is_not_touched_leaves_at_once() -> None:
    assert all(fate is AT_ONCE or fate is LOST for fate in taken("loss=random:0.3", 1000))


def test_random_loss_has_its_share_and_can_be_repeated() -> None:
    found = lost("random:0.1", 10_000)
    assert 0.08 < sum(found) / len(found) < 0.12
    assert found == lost("random:0.1", 10_000)
    assert found != lost("random:0.1", 10_000, seed=2)
    # a seed of its own makes peers alike
    assert lost("loss=random:0.1,seed=5", 1000, seed=1) == lost("loss=random:0.1,seed=5", 1000, seed=2)


def test_bursts_have_their_share_and_their_length() -> None:
    found = lost("bursts:0.1:5", 100_000)
    runs = [len(list(run)) for gone, run in groupby(found) if gone]
    assert 0.09 < sum(found) / len(found) < 0.11
    assert 4.5 < sum(runs) / len(runs) < 5.5


def test_duplicates_leave_twice() -> None:
    assert taken("duplicate=every:3", 6) == [(0,), (0,), (0, 0)] * 2


def test_a_reordered_packet_waits_until_the_next_has_left() -> None:
    assert taken("reorder=every:3", 3) == [(0,), (0,), (30 * MS,)]
    longer = impairment.fates({"reorder": "every:2"}, seed=1, ptime_ms=60)
    assert longer is not None and list(islice(longer, 2)) == [(0,), (90 * MS,)]


def test_delay_and_jitter_hold_back() -> None:
    assert taken("delay=100", 2) == taken("delay=100 ms", 2) == [(100 * MS,)] * 2
    held = [fate[0] / MS for fate in taken("delay=50ms, jitter=30ms", 10_000)]
    assert 50 <= min(held) < 50.1 and 79.9 < max(held) < 80
    assert 64 < sum(held) / len(held) < 66


def test_everything_together_and_as_a_table() -> None:
    text = "loss=bursts:0.05:3, duplicate=random:0.02, reorder=random:0.1, delay=20, jitter=5, seed=3"
    table = {
        "loss": "bursts:0.05:3",
        "duplicate": "random:0.02",
        "reorder": "random:0.1",
        "delay": 20,
        "jitter": 5.0,
        "seed": 3,
    }
    found = taken(text, 2000)
    assert found == taken(table, 2000)
    assert {len(fate) for fate in found} == {0, 1, 2}
    # a pattern of one kind does not shift another's
    assert [fate is LOST for fate in found] == lost("loss=bursts:0.05:3,seed=3", 2000)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("always", "loss has no pattern 'always'"),
        ("every", "loss has no pattern"),
        ("every:1", "every:N"),
        ("every:x", "every:N"),
        ("every:2:3", "every:N"),
        ("random:0", "between 0 and 1"),
        ("random:1", "between 0 and 1"),
        ("random:nan", "between 0 and 1"),
        ("bursts:0.1", "LENGTH"),
        ("bursts:0.1:0.5", "LENGTH"),
        ("bursts:0.1:inf", "LENGTH"),
        ("bursts:0.9:2", "longer ones could"),
        ("loss=", "loss has no pattern ''"),
        ("loss=every:2,loss=every:3", "there twice"),
        ("loss=every:2,delay", "KEY=VALUE"),
        ("speed=3", "no 'speed'; known are loss"),
        ("delay=-1", "delay is '-1'"),
        ("delay=1e9", "0 to 10000 ms"),
        ("jitter=soon", "jitter is 'soon'"),
        ("delay=nan", "delay is 'nan'"),
        ("reorder=5", "reorder has no pattern"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(wanted: str, words: str) -> None:
    with pytest.raises(MediaError, match=words) as caught:
        impairment.fates(wanted, seed=1)
    assert caught.value.phase == "media"


@pytest.mark.parametrize(
    ("wanted", "hold"),
    [
        ("every:2", False),
        ("loss=random:0.1,duplicate=every:3", False),
        ("reorder=every:4", True),
        ("loss=every:2,jitter=5", True),
        ("delay=1", True),
        ("delay=0", False),
    ],
)
def test_it_is_known_whether_packets_are_held_back(wanted: str, hold: bool) -> None:
    found = impairment.fates(wanted, seed=1)
    assert found is not None and found.hold is hold
    assert any(sum(fate) for fate in islice(found, 500)) is hold
