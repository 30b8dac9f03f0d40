"""Clips of video through the pump, which knows nothing of it."""

from __future__ import annotations

import dataclasses
import os
import time

import pytest

from janusload.media import clips
from janusload.media.flow import PERIOD_NS
from janusload.media.messages import TickChoice
from tests.media.flows import flow_and_far
from tests.media.test_pump import by_hand, drain, held, rtp, rtp_from, tick

pytestmark = pytest.mark.parametrize("kind", [TickChoice.PYTHON, TickChoice.C])

#: as VP8 is packetized (RFC 7741 section 4): a key frame of five packets, then frames of one, two and one
VIDEO = clips.Clip(
    name="made-up",
    codec="VP8",
    clock_rate=90_000,
    channels=1,
    ptime_ms=40,
    packets=tuple(bytes([0x10, at]) + os.urandom(1100 - 90 * at) for at in range(9)),
    levels=(127,) * 9,
    frames=(5, 1, 2, 1),
)


def test_video_goes_the_same_way(kind: str) -> None:
    """A clip is packets with a clock rate; the payload type is negotiated: nothing here knows of audio."""
    with (
        flow_and_far(kind, clip=VIDEO, payload_type=97, audio_level_id=None) as (flow, far),
        by_hand(kind, flow) as pumping,
    ):
        tick(pumping, 10)
        packets = rtp_from(far)
        # from the key frame on, all packets of a frame at once, and over again
        assert [packet.payload[1] for packet in packets] == [*range(9), *range(5)]
        assert [packet.payload for packet in packets] == [*VIDEO.packets, *VIDEO.packets[:5]]
        assert {packet.payload_type for packet in packets} == {97}
        first = packets[0]
        since = [(packet.timestamp - first.timestamp) & 0xFFFFFFFF for packet in packets]
        assert since == [*[0] * 5, 3600, 7200, 7200, 10800, *[14400] * 5]
        # the last of a frame, and no talkspurts
        assert [packet.marker for packet in packets] == [0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 1]
        numbers = [(packet.sequence_number - first.sequence_number) & 0xFFFF for packet in packets]
        assert numbers == list(range(14))
        assert (flow.sent, flow.used, flow.octets) == (14, 14, sum(len(packet.payload) for packet in packets))
        for number in range(3):
            far.sock.send(rtp(far, number))
        drain(pumping)
        assert (flow.reception.received, flow.reception.clock_rate) == (3, 90_000)


def test_video_that_was_missed_or_paused_goes_on_with_a_whole_frame(kind: str) -> None:
    with (
        flow_and_far(kind, clip=VIDEO, payload_type=97, audio_level_id=None) as (flow, far),
        by_hand(kind, flow) as pumping,
    ):
        tick(pumping)
        assert len(rtp_from(far)) == 5
        # two frames are due in four periods that were missed
        tick(pumping, late_ns=4 * PERIOD_NS + 1_000_000)
        tick(pumping)
        assert [packet.payload[1] for packet in rtp_from(far)] == [8]
        flow.sending = False
        tick(pumping, 2)
        flow.begin_talkspurt()
        flow.index, flow.sending = 0, True
        tick(pumping, 2)
        packets = rtp_from(far)
        assert [packet.payload[1] for packet in packets] == [0, 1, 2, 3, 4]
        assert [packet.marker for packet in packets] == [0, 0, 0, 0, 1]


def test_losses_of_video_are_packets_of_a_frame(kind: str) -> None:
    with (
        flow_and_far(kind, clip=VIDEO, payload_type=97, audio_level_id=None, fates=held("every:3")) as (flow, far),
        by_hand(kind, flow) as pumping,
    ):
        tick(pumping, 8)
        assert [packet.payload[1] for packet in rtp_from(far)] == [0, 1, 3, 4, 6, 7]
        assert (flow.sent, flow.used) == (6, 9)


def test_copies_leave_behind_their_original(kind: str) -> None:
    with (
        flow_and_far(kind, clip=VIDEO, payload_type=97, audio_level_id=None, fates=held("duplicate=every:2")) as (
            flow,
            far,
        ),
        by_hand(kind, flow) as pumping,
    ):
        tick(pumping)
        numbers = [int.from_bytes(datagram[2:4], "big") for datagram in far.received()]
        first = numbers[0]
        assert [(number - first) & 0xFFFF for number in numbers] == [0, 1, 1, 2, 3, 3, 4]
        assert (flow.sent, flow.used) == (7, 5)


def test_a_large_frame_that_is_held_back_leaves_whole(kind: str) -> None:
    payloads = tuple(os.urandom(1150) for _ in range(60))
    clip = dataclasses.replace(VIDEO, packets=payloads, levels=(127,) * 60, frames=(60,))
    options = {"clip": clip, "payload_type": 97, "audio_level_id": None}
    with flow_and_far(kind, fates=held("delay=1"), **options) as (flow, far), by_hand(kind, flow) as pumping:
        tick(pumping)
        deadline = time.monotonic() + 2
        while pumping._held.next_ns is not None:
            assert time.monotonic() < deadline
            pumping._held.release(pumping._flows)
        assert [packet.payload for packet in rtp_from(far)] == list(payloads)
        assert (flow.sent, flow.used) == (60, 60)
