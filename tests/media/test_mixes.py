from __future__ import annotations

from typing import Any

import pytest

from janusload.media import mixes
from janusload.media.mixes import Mixes, Voice
from janusload.media.tones import TONES_HZ
from janusload.records import HeardRecord

S = 1_000_000_000


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(mixes.time, "monotonic_ns", lambda: int(self.now_s * S))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def a_mix(*clips: str, name: str | None = "room") -> tuple[Mixes, list[Voice]]:
    """Voices called a, b, c ..., all audible since now."""
    all_of_them = Mixes()
    voices = [Voice(letter, name, clip) for letter, clip in zip("abcdef", clips, strict=False)]
    for voice in voices:
        all_of_them.join(voice)
        voice.set_audible(True)
    return all_of_them, voices


def heard(
    all_of_them: Mixes, listener: Voice, from_s: float, *tones: tuple[float, float], **more: Any
) -> list[HeardRecord]:
    chirps = [[int(at * S), more.get("falling", False)] for at in more.get("chirps", ())]
    said = {"from_ns": int(from_s * S), "until_ns": int((from_s + 2) * S), "tones": list(map(list, tones))}
    return list(all_of_them.heard(listener, 3, {**said, "chirps": chirps, "packets": 100}))


def test_everybody_but_the_listener_is_expected(clock: Clock) -> None:
    room, (a, b, c) = a_mix("tone:400", "tone:423", "speech")
    assert heard(room, a, 10, (423.0, -25.0)) == [HeardRecord(12 * S, "a", 3, "b", True, True, 423.0, -25.0)]
    assert heard(room, c, 10, (423.0, -25.0)) == [
        HeardRecord(12 * S, "c", 3, "a", True, False, 400.0),
        HeardRecord(12 * S, "c", 3, "b", True, True, 423.0, -25.0),
    ]
    assert b.tone_hz == 423.0


def test_without_a_mix_a_peer_should_hear_itself(clock: Clock) -> None:
    echo, (a,) = a_mix("tone:400", name=None)
    assert heard(echo, a, 10, (400.0, -25.0)) == [HeardRecord(12 * S, "a", 3, "a", True, True, 400.0, -25.0)]
    assert heard(echo, a, 10)[0].heard is False


def test_a_tone_that_nobody_sends_has_no_name(clock: Clock) -> None:
    room, (a, _) = a_mix("speech", "tone:423")
    records = heard(room, a, 10, (423.0, -25.0), (999.0, -40.0))
    assert records[1] == HeardRecord(12 * S, "a", 3, "", False, True, 999.0, -40.0)


def test_a_mute_is_not_judged_before_it_can_be_heard(clock: Clock) -> None:
    room, (a, b) = a_mix("speech", "tone:423")
    clock.now_s = 10.0
    b.set_audible(False)
    b.set_audible(False)
    # looks that the change falls into, or that begin while it may be on its way
    assert heard(room, a, 9, (423.0, -25.0)) == heard(room, a, 11, (423.0, -25.0)) == []
    assert heard(room, a, 7, (423.0, -25.0))[0].heard
    # silent, as it should be: nothing to say
    assert heard(room, a, 12) == []
    assert heard(room, a, 12, (423.0, -25.0)) == [HeardRecord(14 * S, "a", 3, "b", False, True, 423.0, -25.0)]


def test_who_has_gone_is_remembered_for_its_last_words(clock: Clock) -> None:
    room, (a, b) = a_mix("speech", "tone:423")
    clock.now_s = 10.0
    b.leave()
    assert heard(room, a, 9.5, (423.0, -25.0)) == []
    clock.now_s = 30.0
    assert heard(room, a, 28, (423.0, -25.0))[0].talker == ""


def test_a_listener_that_has_only_just_come_says_nothing(clock: Clock) -> None:
    clock.now_s = 10.0
    room, (a, _) = a_mix("speech", "tone:423")
    assert heard(room, a, 11) == []
    assert heard(room, a, 12) != []


def test_chirps_have_the_delay_since_the_latest_that_was_spoken(clock: Clock) -> None:
    room, (a, b) = a_mix("silence", "chirp")
    b.spoke(7 * S)
    b.spoke(11 * S)
    (record,) = heard(room, a, 10, chirps=[11.15])
    assert record == HeardRecord(12 * S, "a", 3, "b", True, True, delay_ms=pytest.approx(150.0))
    # they fall two seconds after those that rise; one that took three and a half is no other's
    for at, delay_ms in ((9.2, 200.0), (12.5, 3500.0), (13.1, 100.0)):
        (record,) = heard(room, a, 10, chirps=[at], falling=True)
        assert record.delay_ms == pytest.approx(delay_ms)
    # longer than the next one takes to come, or before the first was spoken: it cannot be told which it was
    for at in (15.5, 6.0):
        (record,) = heard(room, a, 10, chirps=[at])
        assert (record.expected, record.heard, record.delay_ms) == (True, False, None)
    b.set_audible(False)
    clock.now_s = 20.0
    assert heard(room, a, 20) == []


def test_two_chirpers_cannot_be_told_apart(clock: Clock) -> None:
    room, (a, b, c) = a_mix("silence", "chirp", "chirp")
    b.spoke(11 * S)
    c.spoke(11 * S)
    assert heard(room, a, 10, chirps=[11.15]) == []
    # each hears only the other one
    assert [record.talker for record in heard(room, b, 10, chirps=[11.15])] == ["c"]
    c.leave()
    clock.now_s = 20.0
    assert [record.talker for record in heard(room, a, 20, chirps=[11.15])] == ["b"]


def test_a_voice_that_moves_is_heard_elsewhere(clock: Clock) -> None:
    room, (a, b) = a_mix("speech", "tone:423")
    other = Voice("z", "other", "silence")
    room.join(other)
    room.move(b, "other")
    room.move(b, "other")
    assert heard(room, a, 10, (423.0, -25.0))[0].talker == ""
    assert heard(room, other, 10)[0] == HeardRecord(12 * S, "z", 3, "b", True, False, 423.0)
    clock.now_s = 20.0
    room.move(b, None)
    assert heard(room, b, 21) == []
    assert [record.talker for record in heard(room, b, 22)] == ["b"]
    room.move(b, mixes.UNKNOWN)
    assert heard(room, b, 30, (423.0, -25.0)) == []


def test_tones_are_given_out_evenly(clock: Clock) -> None:
    room = Mixes()
    given = []
    for number in range(len(TONES_HZ)):
        given.append(room.tone("room"))
        room.join(Voice(str(number), "room", f"tone:{given[-1]}"))
    assert sorted(given) == sorted(TONES_HZ)
    assert room.tone("another") == TONES_HZ[0]
    assert [room.tone(None) for _ in range(37)] == [*TONES_HZ, TONES_HZ[0]]


def test_who_has_long_gone_can_change_rooms_all_the_same(clock: Clock) -> None:
    room, (a, b) = a_mix("tone:400", "tone:423")
    a.leave()
    clock.now_s = 11
    assert room.tone("room") != 423
    room.move(a, "other")
    assert a.mix == "other"
    room.move(b, "other")
    assert heard(room, b, 20) == []
