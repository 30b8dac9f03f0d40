"""Participants and quality from the counters of peers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from janusload.analysis.frames import Frames, read_frames
from janusload.analysis.media import flow_of, media_of
from janusload.records import HeardRecord, MediaRecord, PeerEventKind, PeerEventRecord, Record
from janusload.run_folder import RunFolder
from janusload.summary import Media
from tests.analysis.simulated import ns, peer


def frames_of(path: Path, records: Sequence[Record]) -> Frames:
    folder = RunFolder.create(path / "run")
    folder.write_meta(run={})
    writer = folder.writer("load")
    for record in records:
        writer.write(record)
    writer.close()
    return read_frames(folder)


def media_frame(path: Path, records: list[MediaRecord]) -> pd.DataFrame:
    return frames_of(path, records)["media"]


def summed(frames: Frames) -> Media | None:
    return media_of(frames["media"], flow_of(frames["media"]), frames["heard"], frames["peer_event"])


def media(path: Path, records: Sequence[Record]) -> Media:
    found = summed(frames_of(path, records))
    assert found is not None
    return found


def talking(name: str, begin_s: float, end_s: float, lost: int = 0) -> list[MediaRecord]:
    return [peer(name, t, round(50 * (t - begin_s)), lost=lost) for t in np.arange(begin_s, end_s).tolist()]


def test_no_peers_no_media(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, [])
    assert flow_of(frames["media"]) is None and summed(frames) is None


def test_participants_are_the_most_at_one_moment(tmp_path: Path) -> None:
    records = [*talking("a", 0, 20), *talking("b", 10, 30), *talking("c", 12, 30), *talking("d", 22, 30)]
    found = media(tmp_path, records)
    assert found.participants == 3 and found.peers == 4


def test_connected_without_receiving_is_no_participant(tmp_path: Path) -> None:
    deaf = [peer("deaf", t, 0) for t in np.arange(0.0, 20.0).tolist()]
    stalled = [peer("stalled", t, min(round(50 * t), 100)) for t in np.arange(0.0, 20.0).tolist()]
    frames = frames_of(tmp_path, [*talking("a", 0, 20), *deaf, *stalled])
    flow = flow_of(frames["media"])
    assert flow is not None
    assert flow.counts[0] == 2 and flow.counts[5] == 1  # the stalled one fell silent after two seconds
    found = summed(frames)
    assert found is not None and found.silent == 1 and found.participants == 2


def test_failed_and_never_connected(tmp_path: Path) -> None:
    failed = [peer("x", t, 0, state="connecting" if t < 3 else "failed") for t in np.arange(0.0, 6.0).tolist()]
    found = media(tmp_path, [*talking("a", 0, 10), *failed])
    assert found.failed == 1 and found.silent == 0 and found.participants == 1


def test_loss_is_of_all_packets_of_all_peers(tmp_path: Path) -> None:
    records = [peer("a", 0.0, 0), peer("a", 10.0, 990, lost=10), peer("b", 0.0, 0), peer("b", 10.0, 2970, lost=30)]
    assert media(tmp_path, records).loss == pytest.approx(40 / 4000)


def test_a_peer_that_begins_anew_is_counted_twice_but_named_once(tmp_path: Path) -> None:
    first = [peer("a", t, round(50 * t), lost=5) for t in np.arange(0.0, 10.0).tolist()]
    again = [peer("a", 12 + t, round(50 * t), lost=5) for t in np.arange(0.0, 10.0).tolist()]
    found = media(tmp_path, first + again)
    assert found.peers == 1 and found.participants == 1
    assert found.loss == pytest.approx(10 / (450 + 450 + 10))


def test_peers_of_one_name_in_two_processes_are_two(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_meta(run={})
    for process in ("load-1", "load-2"):
        writer = folder.writer(process)
        for record in talking("talker-1", 0, 10):
            writer.write(record)
        writer.close()
    found = summed(read_frames(folder))
    assert found is not None and found.participants == 2 and found.peers == 2


def test_unknown_values_are_left_out(tmp_path: Path) -> None:
    early = MediaRecord(ns(0), "a", 0, "connecting", 0, 0, 0, 0, 0, 0)
    found = media(tmp_path, [early])
    assert found.jitter_ms is None and found.rtt_ms is None and found.setup_ms is None and found.loss is None
    assert found.participants == 0
    known = media(tmp_path / "other", [early, *talking("b", 0, 5)])
    assert known.jitter_ms is not None and known.jitter_ms.p95 is not None and known.jitter_ms.p95.value == 1.5
    assert known.setup_ms is not None and known.setup_ms.p50 is not None and known.setup_ms.p50.value == 120.0


def test_participants_during_a_span(tmp_path: Path) -> None:
    flow = flow_of(media_frame(tmp_path, [*talking("a", 0, 60), *talking("b", 30, 60)]))
    assert flow is not None
    assert flow.during(ns(4), ns(26)) == 1
    assert flow.during(ns(34), ns(56)) == 2
    assert flow.during(ns(100), ns(110)) == 0


def test_opinion_scores_are_of_all_reports_that_have_one(tmp_path: Path) -> None:
    scored = [
        record._replace(mos=None if index == 0 else 4.4 if index < 18 else 2.0, mos_sent=3.0 if index % 2 else None)
        for index, record in enumerate(talking("a", 0, 21))
    ]
    found = media(tmp_path, scored)
    assert found.mos == pytest.approx((17 * 4.4 + 3 * 2.0) / 20) and found.mos_p5 == pytest.approx(2.0)
    assert (found.mos_sent, found.mos_sent_p5) == (3.0, 3.0)


def test_what_listeners_heard_is_counted_against_what_was_due(tmp_path: Path) -> None:
    heard = [
        HeardRecord(ns(2), "a", 0, "b", True, True, 440.0, -25.0),
        HeardRecord(ns(2), "a", 0, "c", True, False, 523.0),
        HeardRecord(ns(2), "a", 0, "d", False, False, 587.0),
        HeardRecord(ns(2), "a", 0, "f", False, True, 622.0, -30.0),
        HeardRecord(ns(2), "a", 0, "", False, True, 880.0, -30.0),
        *(HeardRecord(ns(t), "a", 0, "e", True, True, delay_ms=100.0 + t) for t in range(3, 8)),
    ]
    found = media(tmp_path, [*talking("a", 0, 10), *heard])
    assert found.heard == {"expected": 7, "heard": 6, "missing": 1, "unexpected": 1}
    assert found.mouth_to_ear_ms is not None and found.mouth_to_ear_ms.p50 is not None
    assert found.mouth_to_ear_ms.p50.value == pytest.approx(105.0)


def test_nobody_listened(tmp_path: Path) -> None:
    found = media(tmp_path, talking("a", 0, 10))
    assert (found.heard, found.mouth_to_ear_ms, found.mos, found.mos_sent, found.no_media) == (
        None,
        None,
        None,
        None,
        0,
    )


def test_audio_that_stayed_away_is_counted(tmp_path: Path) -> None:
    events = [
        PeerEventRecord(ns(4), "a", 0, PeerEventKind.NO_MEDIA, 2.0),
        PeerEventRecord(ns(6), "a", 0, PeerEventKind.MEDIA_AGAIN, 4.0),
        PeerEventRecord(ns(6), "b", 0, PeerEventKind.NO_MEDIA, 2.0),
    ]
    assert media(tmp_path, [*talking("a", 0, 10), *events]).no_media == 2


def test_parts_of_the_set_up(tmp_path: Path) -> None:
    records = [record._replace(ice_ms=20.0, dtls_ms=30.0, first_packet_ms=90.0) for record in talking("a", 0, 5)]
    found = media(tmp_path, records)
    assert [each and each.p50 and each.p50.value for each in (found.ice_ms, found.dtls_ms, found.first_packet_ms)] == [
        20.0,
        30.0,
        90.0,
    ]
