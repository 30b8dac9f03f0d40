"""Recordings beside what their senders say they sent."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from janusload.analysis.recordings import recordings_of
from janusload.records import MediaRecord, RecordingRecord
from janusload.summary import Recordings


def recording(path: str, **known: Any) -> RecordingRecord:
    return RecordingRecord(**{"t_ns": 9, "path": path, "format": "mjr", "state": "whole", "size_bytes": 1000, **known})


def sender(ssrc: int, *, used: int, sent: int, t_ns: int = 5) -> MediaRecord:
    return MediaRecord(t_ns, f"talker-{ssrc}", 0, "closed", sent, 0, 0, 0, 0, 0, ssrc=ssrc, used=used)


def judged(recordings: list[RecordingRecord], senders: list[MediaRecord]) -> Recordings:
    found = recordings_of(
        pd.DataFrame(recordings, columns=list(RecordingRecord._fields)),
        pd.DataFrame(senders, columns=list(MediaRecord._fields)).astype({"ssrc": float, "used": float}),
    )
    assert found is not None
    return found


WHOLE = {"packets": 500, "missing": 0, "duplicated": 0, "reordered": 0, "duration_s": 10.0}


def test_no_recordings_are_no_answer() -> None:
    assert recordings_of(pd.DataFrame(columns=list(RecordingRecord._fields)), pd.DataFrame()) is None


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
