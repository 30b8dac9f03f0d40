"""MJR files: exact on good ones, and never surprised by damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janusload.server.recordings import mjr
from janusload.server.recordings.defects import DefectKind, RecordingUnreadable
from tests.server.recordings.recorded import HEADER, counted_by_janus, frame, mjr_bytes, rtp

PACKETS = [rtp(65_500 + n, bytes([n & 255]) * (20 + n % 7)) for n in range(200)]


def read(tmp_path: Path, content: bytes) -> mjr.Mjr:
    path = tmp_path / "a.mjr"
    path.write_bytes(content)
    return mjr.read(path)


def test_a_good_file_is_read_to_the_byte(tmp_path: Path) -> None:
    content = mjr_bytes(PACKETS)
    result = read(tmp_path, content)
    assert result.header is not None
    assert (result.header.kind, result.header.codec, result.header.created_us) == ("audio", "opus", 1_000_000)
    assert (result.frames, result.size_bytes, result.tail_bytes) == (200, len(content), 0)
    assert result.rtp_bytes == sum(map(len, PACKETS))
    assert (result.sequence.packets, result.sequence.missing, result.sequence.first) == (200, 0, 65_500)
    assert result.ssrcs == {7: 200}
    assert result.payload_types == {111: 200}
    assert result.media_s == pytest.approx(199 * 0.02)
    assert result.wall_s == pytest.approx(199 * 0.02)
    assert result.longest_pause_s == pytest.approx(0.02)
    assert result.defects == []


def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = mjr_bytes(PACKETS)
    whole = read(tmp_path, content)
    for size in (70, 97, 256, 1001):
        monkeypatch.setattr(mjr, "CHUNK_BYTES", size)
        result = read(tmp_path, content)
        assert (result.frames, result.rtp_bytes, result.defects) == (whole.frames, whole.rtp_bytes, [])
        assert (result.media_s, result.wall_s, result.ssrcs) == (whole.media_s, whole.wall_s, whole.ssrcs)


def test_the_sync_word_inside_a_payload_begins_no_frame(tmp_path: Path) -> None:
    trap = frame(rtp(9), ms=3)
    result = read(tmp_path, mjr_bytes([rtp(1), rtp(2, b"x" + trap + trap + b"MEET"), rtp(3, b"MEETMEETMEET")]))
    assert (result.frames, result.sequence.missing, result.defects) == (3, 0, [])


def test_the_older_format_has_no_milliseconds(tmp_path: Path) -> None:
    frames = b"".join(b"MEETECHO" + len(p).to_bytes(2, "big") + p for p in PACKETS[:9])
    result = read(tmp_path, b"MJR00001" + len(HEADER).to_bytes(2, "big") + HEADER + frames)
    assert (result.frames, result.wall_s, result.defects) == (9, None, [])


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", DefectKind.EMPTY),
        (b"MJR0", DefectKind.TRUNCATED),
        (b"MJR00002", DefectKind.NO_PACKETS),
        (b"MJR00002\x00", DefectKind.TRUNCATED),
        (b"MJR00002\x00\x40{", DefectKind.TRUNCATED),
        (mjr_bytes(PACKETS, header=b"[1]"), DefectKind.HEADER),
        (mjr_bytes(PACKETS, header=b'{"t":"?"}'), DefectKind.HEADER),
        (mjr_bytes(PACKETS, header=b"[" * 5000), DefectKind.HEADER),
        (mjr_bytes(PACKETS)[:-1], DefectKind.TRUNCATED),
        (mjr_bytes([*PACKETS, b"short"]), DefectKind.NOT_RTP),
        (mjr_bytes([*PACKETS, bytes(40)]), DefectKind.NOT_RTP),
        (mjr_bytes([rtp(1), rtp(2), rtp(40_000)]), DefectKind.SEQUENCE_JUMP),
    ],
)
def test_each_fault_has_its_name(tmp_path: Path, content: bytes, kind: DefectKind) -> None:
    assert [defect.kind for defect in read(tmp_path, content).defects] == [kind]


def test_what_is_no_recording_is_refused_with_name_and_reason(tmp_path: Path) -> None:
    with pytest.raises(RecordingUnreadable, match=r"a\.mjr: is no MJR file: it begins with b'OggS"):
        read(tmp_path, b"OggS" + bytes(100))
    with pytest.raises(RecordingUnreadable, match="cannot be read: No such file"):
        mjr.read(tmp_path / "none.mjr")


def test_a_lying_length_costs_one_frame_and_its_place_is_told(tmp_path: Path) -> None:
    content = bytearray(mjr_bytes(PACKETS))
    at = content.index(b"MEET", 2000)
    content[at + 8 : at + 10] = b"\xff\xff"
    result = read(tmp_path, bytes(content))
    assert (result.frames, result.sequence.missing) == (199, 1)
    assert [(d.kind, d.offset) for d in result.defects] == [(DefectKind.DAMAGED, at)]


def test_garbage_between_frames_is_skipped_and_told(tmp_path: Path) -> None:
    whole = mjr_bytes(PACKETS)
    at = whole.index(b"MEET", 3000)
    result = read(tmp_path, whole[:at] + b"garbage!" + whole[at:])
    assert (result.frames, result.sequence.missing) == (200, 0)
    assert [d.words for d in result.defects] == [f"8 bytes from byte {at} on are no frame"]


def test_a_file_of_nothing_but_sync_words_is_given_up_in_bounded_time(tmp_path: Path) -> None:
    result = read(tmp_path, mjr_bytes([]) + b"MEET\0\0\0\0\0\1" * 60_000)
    assert len(result.defects) <= mjr.DAMAGES_FOLLOWED + 1
    assert {DefectKind.GIVEN_UP, DefectKind.DAMAGED} & {defect.kind for defect in result.defects}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_damage_is_an_exception_or_goes_untold(tmp_path: Path, data: st.DataObject) -> None:
    """Bits flipped, bytes cut out or put in, an end cut off: a typed error, or counts that never exceed the truth."""
    content = bytearray(mjr_bytes(PACKETS[:40]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "end"])):
            case "flip" if at < len(content):
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del content[at : at + data.draw(st.integers(1, 60))]
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=30))
            case _:
                del content[at:]
    try:
        result = read(tmp_path, bytes(content))
    except RecordingUnreadable:
        return
    assert result.frames <= 45
    assert result.size_bytes == len(content)
    if bytes(content) != mjr_bytes(PACKETS[:40]) and result.frames < 40:
        told = bool(result.defects) or result.sequence.missing > 0
        cut_at_a_frame = mjr_bytes(PACKETS[:40]).startswith(bytes(content))
        lost_an_end = result.sequence.packets + result.sequence.missing < 40
        assert told or cut_at_a_frame or lost_an_end


class TestAgainstJanusOwnTool:
    def agree(self, tmp_path: Path, content: bytes) -> tuple[int, bool]:
        result = read(tmp_path, content)
        counted, complained = counted_by_janus(tmp_path / "a.mjr")
        # a packet that is cut off counts there, as long as its RTP header is whole
        assert counted - result.sequence.packets in ((0, 1) if result.tail_bytes else (0,))
        assert result.defects or not complained
        return counted, complained

    def test_good_files(self, tmp_path: Path) -> None:
        assert self.agree(tmp_path, mjr_bytes(PACKETS)) == (200, False)
        assert mjr.read(tmp_path / "a.mjr").defects == []

    def test_a_file_with_missing_packets_is_whole(self, tmp_path: Path) -> None:
        assert self.agree(tmp_path, mjr_bytes(PACKETS[::3])) == (67, False)
        assert mjr.read(tmp_path / "a.mjr").defects == []

    def test_an_end_cut_inside_a_packet_goes_unnoticed_there_and_is_told_here(self, tmp_path: Path) -> None:
        assert self.agree(tmp_path, mjr_bytes(PACKETS)[:-5]) == (200, False)
        assert [d.kind for d in mjr.read(tmp_path / "a.mjr").defects] == [DefectKind.TRUNCATED]

    def test_an_end_cut_inside_a_header(self, tmp_path: Path) -> None:
        cut = len(frame(PACKETS[-1])) - 14
        assert self.agree(tmp_path, mjr_bytes(PACKETS)[:-cut]) == (199, True)
        assert [d.kind for d in mjr.read(tmp_path / "a.mjr").defects] == [DefectKind.TRUNCATED]
