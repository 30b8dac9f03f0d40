"""RTCP on the wire: the few packets that a pump writes and reads (RFC 3550 section 6).

Stdlib only and without I/O. Reading is lenient towards what it does not know and strict about lengths, because
whatever arrives is somebody else's bytes.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

SENDER_REPORT = 200
RECEIVER_REPORT = 201
DESCRIPTION = 202
BYE = 203

#: seconds from the NTP epoch (1900) to the Unix epoch
_NTP_OFFSET_S = 2_208_988_800

_SENDER_INFO = struct.Struct("!BBHIIIIII")
_HEADER_SSRC = struct.Struct("!BBHI")
_BLOCK = struct.Struct("!IIIIII")


class ReportBlock(NamedTuple):
    """What a receiver says of one source (RFC 3550 section 6.4.1).

    Attributes:
        ssrc: the source that is reported on.
        fraction_lost: of the interval since the report before, in 1/256.
        cumulative_lost: packets since the source began; may be negative with duplicates.
        highest: extended highest sequence number received.
        jitter: in RTP timestamp units.
        last_sr: middle 32 bits of the NTP time of the last sender report, 0 if there was none.
        delay: since that sender report came, in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    highest: int
    jitter: int
    last_sr: int
    delay: int


class Reports(NamedTuple):
    """What a compound packet held that matters here.

    Attributes:
        sender_ssrc: of its sender report, None without one.
        sender_ntp: middle 32 bits of that report's NTP time.
        blocks: its report blocks.
        byes: sources that say goodbye.
    """

    sender_ssrc: int | None
    sender_ntp: int
    blocks: list[ReportBlock]
    byes: tuple[int, ...]


def ntp(unix_ns: int) -> int:
    """The 64 bits of an NTP timestamp (RFC 3550 section 4) for a Unix time in nanoseconds."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    return (((seconds + _NTP_OFFSET_S) & 0xFFFFFFFF) << 32) | (rest << 32) // 1_000_000_000


def middle(ntp_time: int) -> int:
    """The middle 32 bits of an NTP timestamp: 1/65536 s, as `last_sr` and round-trip times use them."""
    return (ntp_time >> 16) & 0xFFFFFFFF


def round_trip_ms(block: ReportBlock, arrived_unix_ns: int) -> float | None:
    """A - LSR - DLSR of RFC 3550 section 6.4.1, in ms; None where the block cannot tell, or a clock was set."""
    if not block.last_sr:
        return None
    units = (middle(ntp(arrived_unix_ns)) - block.last_sr - block.delay) & 0xFFFFFFFF
    # just below zero: rounding of the far end, or a wall clock set back in between
    if units >= 0x80000000:
        return 0.0 if 0x100000000 - units < 66 else None
    return units * 1000 / 65536


def sender_report(
    ssrc: int, ntp_time: int, rtp_time: int, packets: int, octets: int, blocks: list[ReportBlock]
) -> bytes:
    """A sender report (RFC 3550 section 6.4.1)."""
    length = 6 + 6 * len(blocks)
    head = _SENDER_INFO.pack(
        0x80 | len(blocks),
        SENDER_REPORT,
        length,
        ssrc,
        ntp_time >> 32,
        ntp_time & 0xFFFFFFFF,
        rtp_time & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    return head + b"".join(map(_pack_block, blocks))


def receiver_report(ssrc: int, blocks: list[ReportBlock]) -> bytes:
    """A receiver report (RFC 3550 section 6.4.2), for who has sent nothing since the report before."""
    head = _HEADER_SSRC.pack(0x80 | len(blocks), RECEIVER_REPORT, 1 + 6 * len(blocks), ssrc)
    return head + b"".join(map(_pack_block, blocks))


def description(ssrc: int, cname: str) -> bytes:
    """A source description with the CNAME that every compound packet must have (RFC 3550 section 6.5)."""
    name = cname.encode()[:255]
    items = bytes((1, len(name))) + name + b"\0"
    items += b"\0" * (-len(items) % 4)
    return _HEADER_SSRC.pack(0x81, DESCRIPTION, 1 + len(items) // 4, ssrc) + items


def bye(ssrc: int) -> bytes:
    """A goodbye (RFC 3550 section 6.6)."""
    return _HEADER_SSRC.pack(0x81, BYE, 1, ssrc)


def read(data: bytes | memoryview) -> Reports:
    """What an unprotected compound packet holds.

    Raises:
        ValueError: its lengths contradict each other.
    """
    sender_ssrc: int | None = None
    sender_ntp = 0
    blocks: list[ReportBlock] = []
    byes: tuple[int, ...] = ()
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            raise ValueError("RTCP packet cut short")
        first, kind, words = struct.unpack_from("!BBH", data, at)
        count, end = first & 0x1F, at + 4 * (words + 1)
        if first >> 6 != 2 or end > len(data):
            raise ValueError("no RTCP packet, or cut short")
        if kind in (SENDER_REPORT, RECEIVER_REPORT):
            start = at + (28 if kind == SENDER_REPORT else 8)
            if start + 24 * count > end:
                raise ValueError("RTCP report cut short")
            if kind == SENDER_REPORT:
                sender_ssrc, ntp_high, ntp_low = struct.unpack_from("!III", data, at + 4)
                sender_ntp = middle((ntp_high << 32) | ntp_low)
            blocks += [_read_block(data, start + 24 * index) for index in range(count)]
        elif kind == BYE:
            if at + 4 + 4 * count > end:
                raise ValueError("RTCP goodbye cut short")
            byes += struct.unpack_from(f"!{count}I", data, at + 4)
        at = end
    return Reports(sender_ssrc, sender_ntp, blocks, byes)


def _pack_block(block: ReportBlock) -> bytes:
    lost = min(0x7FFFFF, max(-0x800000, block.cumulative_lost)) & 0xFFFFFF
    return _BLOCK.pack(
        block.ssrc,
        block.fraction_lost << 24 | lost,
        block.highest & 0xFFFFFFFF,
        block.jitter & 0xFFFFFFFF,
        block.last_sr,
        block.delay & 0xFFFFFFFF,
    )


def _read_block(data: bytes | memoryview, at: int) -> ReportBlock:
    ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(data, at)
    cumulative = loss & 0xFFFFFF
    if cumulative & 0x800000:
        cumulative -= 0x1000000
    return ReportBlock(ssrc, loss >> 24, cumulative, highest, jitter, last_sr, delay)
