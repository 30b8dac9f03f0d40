from __future__ import annotations

import contextlib

import pytest
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpRrPacket, RtcpSdesPacket, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from janusload.media import rtcp

BLOCK = rtcp.ReportBlock(0x1234, 64, 5, 70_000, 33, 0xABCD1234, 65_536)


def test_what_we_write_is_what_aiortc_reads() -> None:
    written = rtcp.sender_report(1, 0x0102030405060708, 99, 10, 1000, [BLOCK])
    written += rtcp.description(1, "cname") + rtcp.bye(1)
    report, description, goodbye = RtcpPacket.parse(written)
    assert isinstance(report, RtcpSrPacket)
    assert report.ssrc == 1
    assert report.sender_info.ntp_timestamp == 0x0102030405060708
    assert (report.sender_info.rtp_timestamp, report.sender_info.packet_count) == (99, 10)
    assert report.sender_info.octet_count == 1000
    block = report.reports[0]
    assert (block.ssrc, block.fraction_lost, block.packets_lost) == (0x1234, 64, 5)
    assert (block.highest_sequence, block.jitter, block.lsr, block.dlsr) == (70_000, 33, 0xABCD1234, 65_536)
    assert isinstance(description, RtcpSdesPacket)
    assert description.chunks[0].items == [(1, b"cname")]
    assert isinstance(goodbye, RtcpByePacket)
    assert goodbye.sources == [1]


def test_what_we_write_is_what_we_read() -> None:
    for lost in (-3, 0, 5, 0x7FFFFF):
        block = BLOCK._replace(cumulative_lost=lost)
        packet = rtcp.receiver_report(9, [block]) + rtcp.description(9, "x") + rtcp.bye(9)
        assert rtcp.read(packet) == rtcp.Reports(None, 0, [block], (9,))
    report = rtcp.sender_report(9, 0x0102030405060708, 0, 0, 0, [])
    assert rtcp.read(report) == rtcp.Reports(9, 0x03040506, [], ())


def test_losses_beyond_24_bits_are_held_at_the_edge() -> None:
    for lost, edge in ((1 << 30, 0x7FFFFF), (-(1 << 30), -0x800000)):
        packet = rtcp.receiver_report(9, [BLOCK._replace(cumulative_lost=lost)])
        assert rtcp.read(packet).blocks[0].cumulative_lost == edge


def test_what_aiortc_writes_is_what_we_read() -> None:
    packet = bytes(RtcpRrPacket(ssrc=5, reports=[])) + bytes(RtcpByePacket(sources=[5, 6]))
    assert rtcp.read(packet) == rtcp.Reports(None, 0, [], (5, 6))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80", id="cut short"),
        pytest.param(b"\x80\xc8\x00\x06" + bytes(20), id="sender report cut short"),
        pytest.param(b"\x81\xc9\x00\x01" + bytes(4), id="block missing"),
        pytest.param(b"\x82\xcb\x00\x01" + bytes(4), id="source missing"),
        pytest.param(b"\x40\xc9\x00\x01" + bytes(4), id="version 1"),
    ],
)
def test_contradicting_lengths_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="RTCP"):
        rtcp.read(data)


@given(st.binary(max_size=200))
def test_nothing_else_comes_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        rtcp.read(data)


def test_round_trip_as_in_the_rfc() -> None:
    # the example of RFC 3550 section 6.4.1, figure 2: 10 Nov 1995 11:33:36.5 UTC, delay 5.25 s, 6.125 s round trip
    assert rtcp.ntp(816_003_216_500_000_000) >> 16 & 0xFFFFFFFF == 0xB710_8000
    block = rtcp.ReportBlock(1, 0, 0, 0, 0, 0xB705_2000, 0x0005_4000)
    assert rtcp.round_trip_ms(block, 816_003_216_500_000_000) == 6125


def test_round_trip_is_unknown_without_a_report_and_never_negative() -> None:
    now = 816_003_216_500_000_000
    assert rtcp.round_trip_ms(BLOCK._replace(last_sr=0), now) is None
    just = BLOCK._replace(last_sr=rtcp.middle(rtcp.ntp(now)) + 30, delay=0)
    assert rtcp.round_trip_ms(just, now) == 0
    # a wall clock that was set back by a minute
    assert rtcp.round_trip_ms(just, now - 60 * 10**9) is None
