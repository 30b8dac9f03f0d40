"""Recordings beside what their senders say they sent."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from janusload.analysis.recordings import recordings_of
from janusload.records import MediaRecord, MixRecord, RecordingRecord, TakeRecord
from janusload.summary import Recordings


def recording(path: str, **known: Any) -> RecordingRecord:
    return RecordingRecord(**{"t_ns": 9, "path": path, "format": "mjr", "state": "whole", "size_bytes": 1000, **known})


def sender(ssrc: int, *, used: int, sent: int, t_ns: int = 5, tone_hz: float | None = None) -> MediaRecord:
    return MediaRecord(t_ns, f"talker-{ssrc}", 0, "closed", sent, 0, 0, 0, 0, 0, ssrc=ssrc, used=used, tone_hz=tone_hz)


def take(name: str, *, due: int | None, muted: int = 0, ssrc: int = 7) -> TakeRecord:
    return TakeRecord(6, f"talker-{ssrc}", ssrc, name, due, muted)


def looked_at(
    recordings: list[RecordingRecord],
    senders: list[MediaRecord],
    takes: list[TakeRecord],
    mixes: list[MixRecord] | None = None,
    *,
    looked: bool = True,
) -> Recordings | None:
    return recordings_of(
        pd.DataFrame(recordings, columns=list(RecordingRecord._fields)),
        pd.DataFrame(senders, columns=list(MediaRecord._fields)).astype(
            {"ssrc": float, "used": float, "tone_hz": float}
        ),
        pd.DataFrame(takes, columns=list(TakeRecord._fields)).astype({"due": float}),
        pd.DataFrame(mixes or [], columns=list(MixRecord._fields)).astype({"due_s": float}),
        looked=looked,
    )


def judged(
    recordings: list[RecordingRecord], senders: list[MediaRecord], takes: list[TakeRecord] | None = None
) -> Recordings:
    found = looked_at(recordings, senders, takes or [])
    assert found is not None
    return found


WHOLE = {"packets": 500, "missing": 0, "duplicated": 0, "reordered": 0, "duration_s": 10.0}


def test_no_recordings_are_no_answer() -> None:
    assert looked_at([], [], []) is None
    # nobody could look into the folder: what senders know proves nothing
    assert looked_at([], [sender(7, used=500, sent=500)], [take("a", due=500)], looked=False) is None


def test_a_file_is_found_by_its_source_and_compared_with_the_senders_last_word() -> None:
    file = recording("a.mjr", ssrc=7, first_sequence=1, last_sequence=500, **WHOLE)
    found = judged([file], [sender(7, used=100, sent=100), sender(7, used=520, sent=520, t_ns=6)])
    assert (found.matched, found.outside) == (1, 20)
    assert (found.withheld, found.lost_on_the_way, found.missing_share) == (0, 0, 0.0)


def test_several_recordings_of_one_sender_are_taken_together() -> None:
    files = [recording(f"{n}.mjr", ssrc=7, **WHOLE) for n in range(3)]
    found = judged(files, [sender(7, used=1600, sent=1600)])
    assert (found.matched, found.outside) == (3, 100)


def test_packets_that_the_sender_withheld_are_not_lost_by_the_server() -> None:
    file = recording("a.mjr", ssrc=7, **{**WHOLE, "packets": 250, "missing": 250})
    found = judged([file], [sender(7, used=500, sent=250)])
    assert (found.missing, found.withheld, found.lost_on_the_way) == (250, 250, 0)
    worse = recording("a.mjr", ssrc=7, **{**WHOLE, "packets": 240, "missing": 260})
    assert judged([worse], [sender(7, used=500, sent=250)]).lost_on_the_way == 10


def test_a_file_of_somebody_else_is_not_matched() -> None:
    file = recording("a.mjr", ssrc=8, **WHOLE)
    assert judged([file], [sender(7, used=500, sent=500)]).matched == 0
    assert judged([file], []).matched is None


def test_faults_are_told_with_their_file() -> None:
    empty = recording("b.mjr", state="empty", wrong="the file has 0 bytes")
    mix = recording("mix.wav", format="wav", duration_s=3600.0)
    index = recording("1.nfo", format="nfo")
    found = judged([recording("a.mjr", ssrc=7, **WHOLE), empty, mix, index], [])
    assert (found.files, found.whole, found.states) == (3, 3, {"empty": 1, "whole": 3})
    assert [(fault.path, fault.state, fault.words) for fault in found.faults] == [
        ("b.mjr", "empty", "the file has 0 bytes")
    ]
    assert found.hours == pytest.approx((3600 + 10) / 3600)
    assert found.size_mb == pytest.approx(0.003)


def test_a_tail_that_nobody_misses_by_its_numbers_is_known_from_the_sender() -> None:
    file = recording("videos/janusload-a-1-audio-0.mjr", ssrc=7, **WHOLE)
    found = judged([file], [sender(7, used=900, sent=900)], [take("janusload-a-1", due=880)])
    assert (found.told, found.cut, found.outside, found.missing, found.whole) == (1, 380, 400, 0, 1)
    # the file may hold what was on its way when the recording was begun and ended
    found = judged([file], [sender(7, used=510, sent=510)], [take("janusload-a-1", due=498)])
    assert (found.told, found.cut, found.outside) == (1, 0, 10)
    # what is missing in between is not counted again, and one long file does not hide another's loss
    holes = recording("b-audio.mjr", ssrc=7, **{**WHOLE, "packets": 480, "missing": 20})
    takes = [take("b", due=500), take("a-audio", due=500), take("c", due=490)]
    files = [holes, recording("a-audio-audio.mjr", ssrc=7, **WHOLE), recording("c-audio.mjr", ssrc=7, **WHOLE)]
    found = judged(files, [sender(7, used=1500, sent=1500)], takes)
    assert (found.told, found.lost_on_the_way, found.cut) == (3, 20, 0)


def test_what_was_sent_while_muted_is_not_lost() -> None:
    file = recording("a-audio.mjr", ssrc=7, **{**WHOLE, "packets": 400, "missing": 100})
    found = judged([file], [sender(7, used=510, sent=510)], [take("a", due=395, muted=101)])
    assert (found.missing, found.muted, found.lost_on_the_way, found.cut) == (100, 100, 0, 0)
    # recorded by the room: its sender has no name for the file
    room = recording("audiobridge-1234-user-1-audio.mjr", ssrc=7, **{**WHOLE, "packets": 400, "missing": 100})
    found = judged([room], [sender(7, used=510, sent=510)], [take("", due=None, muted=70)])
    assert (found.muted, found.lost_on_the_way, found.told) == (70, 30, None)


def test_recordings_that_are_not_there_or_hold_nothing_are_faults() -> None:
    nothing = recording("b-audio.mjr", state="no_packets", packets=0, missing=0, duplicated=0, reordered=0)
    takes = [take("a", due=500), take("b", due=300, ssrc=8), take("c", due=0, ssrc=9), take("d", due=None, ssrc=6)]
    silent = nothing._replace(path="c-audio.mjr")
    found = judged([recording("a-audio.mjr", ssrc=7, **WHOLE), nothing, silent], [sender(7, used=500, sent=500)], takes)
    assert (found.whole, found.states) == (2, {"whole": 1, "no_packets": 1, "hollow": 1, "absent": 1})
    assert [(fault.path, fault.state) for fault in found.faults] == [("b-audio.mjr", "hollow"), ("d", "absent")]
    alone = judged([], [sender(7, used=500, sent=500)], [take("a", due=500)])
    assert (alone.files, alone.whole, alone.states) == (0, 0, {"absent": 1})


def test_whose_voice_is_in_a_file_is_held_against_its_sender() -> None:
    senders = [sender(7, used=500, sent=500, tone_hz=440.0), sender(8, used=500, sent=500, tone_hz=523.0)]
    right = recording("a.mjr", ssrc=7, tones="441 Hz -16 dBov, 880 Hz -40 dBov", **WHOLE)
    found = judged([right, recording("b.mjr", ssrc=8, tones="523 Hz -16 dBov", **WHOLE)], senders)
    assert (found.voices, found.whole, found.faults) == (2, 2, [])
    other = recording("b.mjr", ssrc=8, tones="440 Hz -16 dBov", **WHOLE)
    mute = recording("c.mjr", ssrc=8, **WHOLE)
    short = recording("d.mjr", ssrc=8, **{**WHOLE, "duration_s": 0.5})
    found = judged([right, other, mute, short], senders)
    assert (found.voices, found.states) == (3, {"whole": 2, "wrong_voice": 2})
    assert [(fault.path, fault.words) for fault in found.faults] == [
        ("b.mjr", "its sender says a tone of 523 Hz, and heard in it is 440 Hz -16 dBov"),
        ("c.mjr", "its sender says a tone of 523 Hz, and heard in it is no tone"),
    ]
    # a sender that leaves packets out is a little off, and the next tone is somebody else's
    broken = [sender(7, used=500, sent=500, tone_hz=663.0)]
    assert judged([right._replace(tones="675 Hz -24 dBov")], broken).states == {"whole": 1}
    assert judged([right._replace(tones="702 Hz -24 dBov")], broken).states == {"wrong_voice": 1}
    # who talks as people do is known by no tone
    assert judged([mute], [sender(8, used=500, sent=500)]).voices is None


def test_a_mix_that_lacks_seconds_is_told() -> None:
    def wav(path: str, seconds: float | None) -> RecordingRecord:
        return recording(path, format="wav", duration_s=seconds)

    def held(files: list[RecordingRecord], mixes: list[MixRecord]) -> Recordings:
        found = looked_at(files, [], [], mixes)
        assert found is not None
        return found

    own, named = MixRecord(9, 1234, "janus-audioroom-1234-", 60.0, 2), MixRecord(9, 5, "me-1-room-5.wav", 9.0, 1)
    files = [wav("janus-audioroom-1234-1763.wav", 59.8), wav("deep/me-1-room-5.wav", 9.1), wav("other.wav", 1.0)]
    found = held(files, [own, named])
    assert (found.mixes, found.mixes_lack_s, found.states) == (2, 0.0, {"whole": 3})
    found = held([wav("janus-audioroom-1234-1763.wav", 21.0), wav("me-1-room-5.wav", None)], [own, named])
    assert found.mixes_lack_s == pytest.approx(39 + 9)
    assert [(fault.state, fault.words[:6]) for fault in found.faults] == [("short", "39.0 s"), ("short", "9.0 s ")]
    # none at all; the other's file is the room's; nothing is known of it
    found = held(files[:1], [own, named, named._replace(room=1234), named._replace(room=6, due_s=None)])
    assert [(fault.path, fault.state) for fault in found.faults] == [("me-1-room-5.wav", "absent")]
