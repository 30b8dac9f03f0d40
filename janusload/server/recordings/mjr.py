"""MJR files, Meetecho's container of RTP packets: read in chunks, exact to the byte.

Layout, seen on files of janus-gateway 1.1.2 and 1.4.1: `MJR00002`, a 16-bit length, a JSON header, then frames of
`MEET`, 32 bits of milliseconds since the first frame, a 16-bit length and an RTP packet; all big endian. `MJR00001` is
the same with `MEETECHO` and no milliseconds. Janus creates the file with the 8 bytes alone and writes the header with
the first packet; it never flushes, so a file that is still open ends at a multiple of 4096 bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from janusload.server.recordings.defects import Defect, DefectKind, RecordingUnreadable
from janusload.server.recordings.frames import Bytes, Damage, Layout, Offsets, find
from janusload.server.recordings.sequence import SequenceAudit

#: what is read at once; memory does not depend on the size of the file
CHUNK_BYTES = 4 * 2**20
#: damaged places after which a file is given up
DAMAGES_FOLLOWED = 10_000
_LAYOUTS = {b"MJR00002": Layout(b"MEET", 4), b"MJR00001": Layout(b"MEETECHO", 0)}
_KINDS = {"a": "audio", "v": "video", "d": "data"}
#: RTP clock by codec (RFC 7587, RFC 3551, RFC 7741); what is not here has its duration from the milliseconds alone
CLOCKS = {"opus": 48_000, "pcma": 8000, "pcmu": 8000, "g722": 8000, "vp8": 90_000, "vp9": 90_000, "h264": 90_000}
_RTP_HEADER = 12


@dataclass(frozen=True)
class MjrHeader:
    """What the JSON header says.

    Attributes:
        kind: audio, video or data; empty where it says nothing known.
        codec: as in `opus`; empty where it is not said.
        created_us, written_us: wall time of the file's creation and of its first frame, microseconds since 1970.
        raw: all of it.
    """

    kind: str
    codec: str
    created_us: int | None
    written_us: int | None
    raw: dict[str, Any]


@dataclass
class Mjr:
    """What an MJR file holds.

    Attributes:
        size_bytes: of the file as it was read.
        frames: frames that are whole.
        rtp_bytes: payload of the frames: RTP packets with their headers.
        sequence: missing, duplicated and reordered packets (`SequenceAudit`).
        ssrcs: how many packets each source has; at most 64 sources are told apart.
        payload_types: how many packets each payload type has.
        media_s: from the RTP timestamps, first to last; None where the clock is not known or nothing is there.
        wall_s: from the milliseconds of the frames, first to last.
        longest_pause_s: the longest time between two frames in a row.
        tail_bytes: bytes at the end that are no whole frame.
        defects: what is wrong; empty for a file without a fault. Missing packets are no defect of the file.
    """

    path: Path
    size_bytes: int
    header: MjrHeader | None = None
    frames: int = 0
    rtp_bytes: int = 0
    sequence: SequenceAudit = field(default_factory=SequenceAudit)
    ssrcs: dict[int, int] = field(default_factory=dict)
    payload_types: dict[int, int] = field(default_factory=dict)
    media_s: float | None = None
    wall_s: float | None = None
    longest_pause_s: float = 0.0
    tail_bytes: int = 0
    defects: list[Defect] = field(default_factory=list)


def read(path: Path) -> Mjr:
    """Read all of an MJR file.

    Raises:
        RecordingUnreadable: it cannot be read, or it is no MJR file at all.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _Reader(path, file).read()
    except OSError as error:
        raise RecordingUnreadable(path, f"cannot be read: {error.strerror or error}") from None


def header_of(path: Path, begin: bytes) -> tuple[MjrHeader | None, Layout | None, int]:
    """The header in the first bytes of a file, how its frames look, and where they begin.

    The header is None where it is not whole or no JSON object.

    Raises:
        RecordingUnreadable: it is no MJR file.
    """
    layout = _LAYOUTS.get(begin[:8])
    if layout is None:
        raise RecordingUnreadable(path, f"is no MJR file: it begins with {begin[:8]!r}")
    length = int.from_bytes(begin[8:10], "big")
    facts = _json_object(begin[10 : 10 + length])
    return (None if facts is None else _header(facts)), layout, 10 + length


def _json_object(text: bytes) -> dict[str, Any] | None:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _header(facts: dict[str, Any]) -> MjrHeader:
    kind = _KINDS.get(str(facts.get("t")), "")
    return MjrHeader(kind, str(facts.get("c") or "").lower(), _whole(facts.get("s")), _whole(facts.get("u")), facts)


class _Reader:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._file = file
        self._mjr = Mjr(path, 0)
        self._clock = 0
        self._ticks = 0
        self._timestamp: int | None = None
        self._first_ms: int | None = None
        self._last_ms = 0
        self._short = 0
        self._foreign = 0

    def read(self) -> Mjr:
        mjr = self._mjr
        magic = self._file.read(8)
        mjr.size_bytes = len(magic)
        if not magic:
            mjr.defects.append(Defect(DefectKind.EMPTY, 0, "the file has 0 bytes: nothing could be written to it"))
            return mjr
        layout = _LAYOUTS.get(magic)
        if layout is None:
            if len(magic) < 8 and any(known.startswith(magic) for known in _LAYOUTS):
                mjr.defects.append(Defect(DefectKind.TRUNCATED, 0, f"the file ends after {len(magic)} bytes"))
                return mjr
            raise RecordingUnreadable(mjr.path, f"is no MJR file: it begins with {magic!r}")
        if self._read_header():
            self._read_frames(layout)
        self._conclude()
        return mjr

    def _read_header(self) -> bool:
        """Whether frames follow."""
        mjr = self._mjr
        raw = self._file.read(2)
        mjr.size_bytes += len(raw)
        if not raw:
            mjr.defects.append(
                Defect(DefectKind.NO_PACKETS, 8, "opened, but no packet was recorded: nobody spoke, or all was muted")
            )
            return False
        length = int.from_bytes(raw, "big")
        text = _read_exactly(self._file, length) if len(raw) == 2 else b""
        mjr.size_bytes += len(text)
        if len(raw) < 2 or len(text) < length:
            mjr.defects.append(Defect(DefectKind.TRUNCATED, 8, "the file ends inside its header"))
            return False
        facts = _json_object(text)
        if facts is None:
            mjr.defects.append(Defect(DefectKind.HEADER, 10, "the header is no JSON object"))
            return True
        mjr.header = _header(facts)
        if not mjr.header.kind:
            mjr.defects.append(Defect(DefectKind.HEADER, 10, "the header does not say whether it is audio or video"))
        self._clock = CLOCKS.get(mjr.header.codec, 0)
        return True

    def _read_frames(self, layout: Layout) -> None:
        mjr = self._mjr
        base = mjr.size_bytes
        rest = b""
        while True:
            new = _read_exactly(self._file, CHUNK_BYTES)
            mjr.size_bytes += len(new)
            last = len(new) < CHUNK_BYTES
            data = np.frombuffer(rest + new, np.uint8)
            room = DAMAGES_FOLLOWED - len(mjr.defects)
            found = find(data, layout, last=last, at_most_damages=room)
            self._take(data, layout, found.starts, found.lengths)
            mjr.defects += [_damage(damage, base) for damage in found.damages]
            rest = data[found.end :].tobytes()
            base += found.end
            if len(mjr.defects) >= DAMAGES_FOLLOWED:
                mjr.defects.append(Defect(DefectKind.GIVEN_UP, base, "too damaged: the rest of the file was not read"))
                return
            if last:
                break
        mjr.tail_bytes = len(rest)
        if rest:
            words = f"the last {len(rest)} bytes are no whole frame: the end of the recording was never written"
            mjr.defects.append(Defect(DefectKind.TRUNCATED, base, words))

    def _take(self, data: Bytes, layout: Layout, starts: Offsets, lengths: Offsets) -> None:
        mjr = self._mjr
        if not len(starts):
            return
        mjr.frames += len(starts)
        mjr.rtp_bytes += int(lengths.sum())
        if layout.between == 4:
            self._milliseconds(_be32(data, starts + len(layout.sync)))
        if mjr.header is not None and mjr.header.kind == "data":
            return
        long_enough = lengths >= _RTP_HEADER
        self._short += int(np.count_nonzero(~long_enough))
        packets = starts[long_enough] + layout.header_bytes
        is_rtp = data[packets] >> 6 == 2
        self._foreign += int(np.count_nonzero(~is_rtp))
        packets = packets[is_rtp]
        if not len(packets):
            return
        mjr.sequence.take(data[packets + 2].astype(np.int64) << 8 | data[packets + 3])
        self._timestamps(_be32(data, packets + 4))
        _count(mjr.payload_types, data[packets + 1] & 0x7F, at_most=128)
        _count(mjr.ssrcs, _be32(data, packets + 8), at_most=64)

    def _milliseconds(self, ms: Offsets) -> None:
        if self._first_ms is None:
            self._first_ms = self._last_ms = int(ms[0])
        steps = np.diff(ms, prepend=self._last_ms)
        self._mjr.longest_pause_s = max(self._mjr.longest_pause_s, float(steps.max()) / 1000)
        self._last_ms = int(ms[-1])

    def _timestamps(self, stamps: Offsets) -> None:
        before = int(stamps[0]) if self._timestamp is None else self._timestamp
        steps = (np.diff(stamps, prepend=before) + 2**31) % 2**32 - 2**31
        # a step of more than a minute is a sender that starts over, not time that passed
        sane = np.abs(steps) < 60 * (self._clock or 90_000)
        self._ticks += int(steps[sane].sum())
        self._timestamp = int(stamps[-1])

    def _conclude(self) -> None:
        mjr = self._mjr
        mjr.sequence.finish()
        if self._short:
            words = f"{self._short} frames are too short for an RTP packet"
            mjr.defects.append(Defect(DefectKind.NOT_RTP, 0, words))
        if self._foreign:
            mjr.defects.append(Defect(DefectKind.NOT_RTP, 0, f"{self._foreign} frames hold no RTP packet"))
        if self._first_ms is not None:
            mjr.wall_s = (self._last_ms - self._first_ms) / 1000
        if self._clock and self._timestamp is not None:
            mjr.media_s = self._ticks / self._clock
        if mjr.sequence.jumps:
            words = f"the sequence numbers jump {mjr.sequence.jumps} times: what is missing there is not known"
            mjr.defects.append(Defect(DefectKind.SEQUENCE_JUMP, 0, words))


def _read_exactly(file: BinaryIO, count: int) -> bytes:
    """Up to `count` bytes; fewer only at the end of the file."""
    pieces = []
    while count > 0:
        piece = file.read(count)
        if not piece:
            break
        pieces.append(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _be32(data: Bytes, at: Offsets) -> Offsets:
    value: Offsets = (
        data[at].astype(np.int64) << 24
        | data[at + 1].astype(np.int64) << 16
        | data[at + 2].astype(np.int64) << 8
        | data[at + 3]
    )
    return value


def _count(counts: dict[int, int], values: np.ndarray[Any, Any], *, at_most: int) -> None:
    for value, number in zip(*np.unique(values, return_counts=True), strict=True):
        key = int(value)
        if key in counts or len(counts) < at_most:
            counts[key] = counts.get(key, 0) + int(number)


def _damage(damage: Damage, base: int) -> Defect:
    offset = base + damage.offset
    return Defect(DefectKind.DAMAGED, offset, f"{damage.skipped} bytes from byte {offset} on are no frame")


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
