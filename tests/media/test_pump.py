from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpSdesPacket, RtcpSrPacket, RtpPacket

from janusload.media import clips, impairment, pump, rtcp, sounds
from janusload.media.flow import HANDED_BACK_LIMIT, LATE_NS, PERIOD_NS, Flow
from janusload.media.impairment import Fates
from janusload.media.messages import TickChoice
from janusload.media.pump import Pump
from tests.media.flows import CLIP, Far, flow_and_far


def until(condition: Callable[[], object], timeout_s: float = 5) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(params=[TickChoice.PYTHON, TickChoice.C])
def kind(request: pytest.FixtureRequest) -> str:
    """Each test runs with both ticks."""
    return str(request.param)


@pytest.fixture
def running(kind: str) -> Iterator[Pump]:
    faults: list[BaseException] = []
    pumping = Pump(kind)
    pumping.start(faults.append)
    yield pumping
    pumping.stop()
    assert not faults


def release(pumping: Pump, flow: Flow) -> None:
    released = threading.Event()
    pumping.release(flow, released.set)
    assert released.wait(2)


def rtp_from(far: Far) -> list[RtpPacket]:
    """The RTP that a flow has sent, decrypted by pylibsrtp and read by aiortc."""
    return [RtpPacket.parse(far.rx.unprotect(data)) for data in far.received() if not 192 <= data[1] <= 223]


def rtp(far: Far, sequence: int, ssrc: int = 0x77) -> bytes:
    header = struct.pack("!BBHII", 0x80, 111, sequence, sequence * 960, ssrc)
    return bytes(far.tx.protect(header + b"payload"))


@contextmanager
def by_hand(kind: str, flow: Flow) -> Iterator[Pump]:
    """A pump with one flow, run by hand, without its thread."""
    pumping = Pump(kind)
    pumping._add(flow, [])
    yield pumping
    pumping._ticks[type(flow)].remove(flow)
    pumping.stop()


def tick(pumping: Pump, times: int = 1, late_ns: int = 0) -> int:
    """Send what is due, as if it had been due `late_ns` ago; returns how far the due time moved on."""
    for _ in range(times):
        before = pumping._due[0] = time.monotonic_ns() - late_ns
        pumping._send(0)
    return pumping._due[0] - before


def drain(pumping: Pump) -> None:
    for tick in pumping._ticks.values():
        tick.drain(0, time.monotonic_ns() + 10**9)


def test_packets_are_rtp_as_the_rfcs_have_it(kind: str) -> None:
    clip = clips.make("tone:440")
    with (
        flow_and_far(kind, clip=clip, payload_type=96, audio_level_id=3) as (flow, far),
        by_hand(kind, flow) as pumping,
    ):
        tick(pumping, 5)
        packets = rtp_from(far)
        assert [packet.payload_type for packet in packets] == [96] * 5
        assert [packet.marker for packet in packets] == [1, 0, 0, 0, 0]
        assert {packet.ssrc for packet in packets} == {flow.ssrc}
        first = packets[0]
        assert [packet.sequence_number - first.sequence_number for packet in packets] == [0, 1, 2, 3, 4]
        assert [(packet.timestamp - first.timestamp) & 0xFFFFFFFF for packet in packets] == [0, 960, 1920, 2880, 3840]
        assert all(packet.payload in clip.packets for packet in packets)
        assert (flow.sent, flow.used, flow.octets) == (5, 5, sum(len(packet.payload) for packet in packets))


def test_the_audio_level_is_in_the_header_where_it_was_agreed_on(kind: str) -> None:
    with (
        flow_and_far(kind, clip=clips.make("tone:440"), audio_level_id=3) as (flow, far),
        by_hand(kind, flow) as pumping,
    ):
        tick(pumping)
        data = far.rx.unprotect(far.received()[0])
        # RFC 8285 section 4.2: number 3, length 0 for one byte; RFC 6464 section 3: voice, 25 dB below full scale
        assert data[12:20] == bytes([0xBE, 0xDE, 0, 1, 0x30, 0x80 | 25, 0, 0])
    with flow_and_far(kind, audio_level_id=3) as (flow, far), by_hand(kind, flow) as pumping:
        tick(pumping)
        # silence: no voice
        assert far.rx.unprotect(far.received()[0])[17] == 127
    with flow_and_far(kind, audio_level_id=None) as (flow, far), by_hand(kind, flow) as pumping:
        tick(pumping)
        assert far.rx.unprotect(far.received()[0])[12:] in CLIP.packets


def test_longer_packets_leave_less_often(kind: str) -> None:
    clip = clips.encode_opus("x", sounds.silence(1), ptime_ms=60)
    with flow_and_far(kind, clip=clip) as (flow, far), by_hand(kind, flow) as pumping:
        tick(pumping, 7)
        packets = rtp_from(far)
        assert len(packets) == 3
        assert (packets[1].timestamp - packets[0].timestamp) & 0xFFFFFFFF == 2880


def test_withheld_packets_are_gaps(kind: str) -> None:
    with flow_and_far(kind, fates=held("every:2")) as (flow, far), by_hand(kind, flow) as pumping:
        tick(pumping, 6)
        packets = rtp_from(far)
        assert [packet.sequence_number - packets[0].sequence_number for packet in packets] == [0, 2, 4]
        assert (flow.sent, flow.used) == (3, 6)


def test_silence_without_packets_uses_up_time_and_no_numbers(kind: str) -> None:
    clip = clips.Clip("x", "opus", 48_000, 2, 20, (b"a", b"", b"", b"d"), (9, 127, 127, 9))
    with flow_and_far(kind, clip=clip, audio_level_id=None) as (flow, far), by_hand(kind, flow) as pumping:
        flow.index = 0
        tick(pumping, 5)
        packets = rtp_from(far)
        assert [packet.payload for packet in packets] == [b"a", b"d", b"a"]
        first = packets[0]
        assert [packet.sequence_number - first.sequence_number for packet in packets] == [0, 1, 2]
        assert [(packet.timestamp - first.timestamp) & 0xFFFFFFFF for packet in packets] == [0, 2880, 3840]
        assert (flow.used, flow.sent) == (3, 3)


def test_when_the_clip_began_is_kept(kind: str) -> None:
    clip = clips.Clip("x", "opus", 48_000, 2, 20, (b"a", b"b", b"c"), (9, 9, 9))
    with flow_and_far(kind, clip=clip) as (flow, _), by_hand(kind, flow) as pumping:
        flow.index = 1
        tick(pumping, 2)
        assert flow.began_ns == 0
        due_ns = pumping._due[0]
        tick(pumping, 3)
        assert due_ns - PERIOD_NS <= flow.began_ns <= time.monotonic_ns()


def held(pattern: str) -> Fates:
    found = impairment.fates(pattern, seed=1)
    assert found is not None
    return found


def test_delayed_packets_leave_later_in_their_order(running: Pump, kind: str) -> None:
    with flow_and_far(kind, fates=held("delay=200")) as (flow, far):
        began = time.monotonic()
        running.add(flow)
        until(lambda: flow.sent >= 3)
        assert time.monotonic() - began >= 0.2
        assert flow.used >= 10
        numbers = [packet.sequence_number for packet in rtp_from(far)]
        assert numbers == sorted(numbers)
        release(running, flow)
        sent = flow.sent
        time.sleep(0.25)
        # what was still on its way when the flow was let go does not leave
        assert flow.sent == sent and flow.send_errors == 0


def test_reordered_and_doubled_packets(running: Pump, kind: str) -> None:
    with flow_and_far(kind, fates=held("reorder=every:4, duplicate=every:5")) as (flow, far):
        running.add(flow)
        until(lambda: flow.sent >= 30)
        release(running, flow)
        datagrams = [each for each in far.received() if each[1] & 0x7F < 64 or each[1] & 0x7F > 95]
        numbers = [int.from_bytes(each[2:4]) for each in datagrams]
        assert len(numbers) > len(set(numbers)) == max(numbers) - min(numbers) + 1
        assert numbers != sorted(numbers)
        # a network's copy is the same to the last byte
        assert len(set(datagrams)) == len(set(numbers))


def test_a_far_end_that_is_gone_does_not_stop_what_is_held(running: Pump, kind: str) -> None:
    with flow_and_far(kind, fates=held("delay=30")) as (flow, far):
        far.sock.close()
        running.add(flow)
        until(lambda: flow.send_errors > 0)
        release(running, flow)


def test_listeners_get_packets_as_they_came(kind: str) -> None:
    taken: list[tuple[bytes, int]] = []
    with flow_and_far(kind, tap=lambda packet, arrived_ns: taken.append((packet, arrived_ns))) as (flow, far):
        with by_hand(kind, flow) as pumping:
            far.sock.send(rtp(far, 5))
            far.sock.send(b"\x80garbage that does not authenticate")
            drain(pumping)
        (packet, arrived_ns), *more = taken
        assert not more
        assert RtpPacket.parse(packet).sequence_number == 5
        assert abs(arrived_ns - time.time_ns()) < 5e9


def test_time_that_was_missed_is_not_sent_in_a_burst(kind: str) -> None:
    with flow_and_far(kind) as (flow, far), by_hand(kind, flow) as pumping:
        tick(pumping)
        assert tick(pumping, late_ns=5 * PERIOD_NS + 1_000_000) == 6 * PERIOD_NS
        packets = rtp_from(far)
        assert len(packets) == 2
        assert packets[1].sequence_number - packets[0].sequence_number == 1
        assert (packets[1].timestamp - packets[0].timestamp) & 0xFFFFFFFF == 6 * 960
        assert flow.late == 5


def test_a_packet_is_late_when_it_left_more_than_5_ms_after_it_was_due(kind: str) -> None:
    with flow_and_far(kind) as (flow, _), by_hand(kind, flow) as pumping:
        tick(pumping)
        assert flow.late == 0
        pumping.take_pacing()
        tick(pumping, late_ns=LATE_NS + 1_000_000)
        assert flow.late == 1
        p99 = pumping.take_pacing().p99_ms
        assert p99 is not None and p99 >= 6


def test_paused_flows_keep_time_and_begin_a_talkspurt(kind: str) -> None:
    with flow_and_far(kind) as (flow, far), by_hand(kind, flow) as pumping:
        tick(pumping)
        flow.sending = False
        tick(pumping, 3)
        flow.begin_talkspurt()
        flow.sending = True
        tick(pumping)
        first, second = rtp_from(far)
        assert second.sequence_number - first.sequence_number == 1
        assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == 4 * 960
        assert second.marker == 1


def test_both_ways_through_the_thread(kind: str, running: Pump) -> None:
    with flow_and_far(kind) as (flow, far):
        running.add(flow)
        for sequence in (1, 2, 4, 5):
            far.sock.send(rtp(far, sequence))
        until(lambda: flow.reception.received == 4 and flow.sent >= 10)
        assert (flow.reception.lost, flow.dropped) == (1, 0)
        assert flow.reception.jitter_ms is not None
        release(running, flow)
        packets = rtp_from(far)
        assert len(packets) == flow.sent
        # a busy machine makes some late, but not most
        assert flow.late < flow.used / 2
        p99 = running.take_pacing().p99_ms
        assert p99 is not None


def test_datagrams_from_before_are_taken_with_their_stamps(kind: str, running: Pump) -> None:
    with flow_and_far(kind) as (flow, far):
        early = [(rtp(far, 1), 10_000_000), (rtp(far, 2), 30_000_000), (b"\x80" * 5000, None)]
        running.add(flow, early)
        # they are the pump's from then on
        early.clear()
        until(lambda: flow.reception.received == 2 and flow.strange == 1)
        assert flow.reception.jitter_ms == pytest.approx(0, abs=0.1)
        release(running, flow)


def test_reports_are_sent_and_goodbye_is_said(kind: str, running: Pump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "REPORT_S", 0.05)
    monkeypatch.setattr(pump, "FIRST_REPORT_S", 0.05)
    with flow_and_far(kind) as (flow, far):
        running.add(flow)
        far.sock.send(rtp(far, 1))
        time.sleep(0.3)
        release(running, flow)
        reports = [RtcpPacket.parse(far.rx.unprotect_rtcp(data)) for data in far.received() if 192 <= data[1] <= 223]
        assert len(reports) >= 3
        report, description = reports[-2]
        assert isinstance(report, RtcpSrPacket) and isinstance(description, RtcpSdesPacket)
        assert report.ssrc == flow.ssrc
        assert report.reports[0].ssrc == 0x77
        assert 0 < report.sender_info.packet_count <= flow.sent
        goodbye = reports[-1][-1]
        assert isinstance(goodbye, RtcpByePacket)
        assert goodbye.sources == [flow.ssrc]


def test_round_trip_and_loss_come_from_the_far_ends_reports(kind: str, running: Pump) -> None:
    with flow_and_far(kind) as (flow, far):
        running.add(flow)
        until(lambda: flow.used >= 25)
        before = rtcp.middle(rtcp.ntp(time.time_ns()))
        time.sleep(0.01)
        block = rtcp.ReportBlock(flow.ssrc, 0, flow.used // 2, 0, 0, before, 0)
        far.sock.send(far.tx.protect_rtcp(rtcp.receiver_report(0x77, [block._replace(ssrc=1), block])))
        until(lambda: flow.rtt_ms is not None)
        assert flow.rtt_ms is not None and 9.9 < flow.rtt_ms < 500
        assert flow.remote_lost_share == pytest.approx(0.5, abs=0.2)
        release(running, flow)


def test_stun_and_dtls_are_handed_back(kind: str) -> None:
    handed: list[bytes] = []
    with (
        flow_and_far(kind, incoming=lambda data, source: handed.append(data)) as (flow, far),
        by_hand(kind, flow) as pumping,
    ):
        far.sock.send(b"\x00\x01stun")
        far.sock.send(b"\x16dtls")
        drain(pumping)
        assert handed == [b"\x00\x01stun", b"\x16dtls"]
        flow.handed_back = 0
        for _ in range(HANDED_BACK_LIMIT + 5):
            far.sock.send(b"\x00flood")
        drain(pumping)
        assert len(handed) == 2 + HANDED_BACK_LIMIT
        assert flow.overflowed == 5


def test_garbage_forgery_and_replay_are_counted_and_dropped(kind: str, running: Pump) -> None:
    with flow_and_far(kind) as (flow, far):
        running.add(flow)
        good, other = rtp(far, 1), rtp(far, 9)
        for data in (
            b"",
            b"\x80",
            b"\xff\x00garbage",
            b"\x50garbage",
            b"\x80\x6f" + bytes(40),
            b"\x80\xc8" + bytes(40),
            good,
            good,
            other[:-1] + bytes([other[-1] ^ 1]),
            bytes(far.tx.protect_rtcp(struct.pack("!BBHI", 0x9F, 201, 1, 1))),
            b"\x80" * 2000,
            b"\x80" * 4000,
        ):
            far.sock.send(data)
        until(lambda: flow.dropped == 11)
        assert flow.reception.received == 1
        assert flow.replayed == 1
        assert flow.strange == 4
        assert flow.forged == 6
        far.sock.send(rtp(far, 2))
        until(lambda: flow.reception.received == 2)
        release(running, flow)


def test_a_flood_does_not_keep_the_pump_from_sending(kind: str, running: Pump) -> None:
    with flow_and_far(kind) as (flow, far):
        running.add(flow)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            far.sock.send(b"\xff" * 100)
            time.sleep(0)
        assert flow.used >= 15
        release(running, flow)


def test_a_far_end_that_is_gone_is_counted(kind: str, running: Pump) -> None:
    with flow_and_far(kind) as (flow, far):
        running.add(flow)
        until(lambda: flow.sent > 2)
        far.sock.close()
        until(lambda: flow.send_errors + flow.receive_errors >= 3)
        used = flow.used
        until(lambda: flow.used > used + 3)
        release(running, flow)


def test_a_full_socket_buffer_is_counted() -> None:
    kind = TickChoice.PYTHON

    def full(data: object) -> int:
        raise BlockingIOError

    with flow_and_far(kind) as (flow, _), by_hand(kind, flow) as pumping:
        flow.send = full
        tick(pumping, 3)
        assert (flow.sent, flow.used, flow.send_errors) == (0, 3, 3)


def test_slots_are_filled_one_after_the_other(kind: str) -> None:
    pumping = Pump(kind)
    with ExitStack() as stack:
        flows = [stack.enter_context(flow_and_far(kind))[0] for _ in range(pump.FILL + 2)]
        for flow in flows:
            pumping._add(flow, [])
        assert [flow.slot for flow in flows] == [0] * pump.FILL + [1, 1]


def test_release_of_what_was_never_added_is_nothing(kind: str, running: Pump) -> None:
    with flow_and_far(kind) as (flow, far):
        release(running, flow)
        assert far.received() == []
        release(running, flow)


def test_a_pump_that_was_idle_is_not_late(kind: str, running: Pump) -> None:
    with flow_and_far(kind) as (flow, _):
        running.add(flow)
        until(lambda: flow.sent)
        release(running, flow)
    time.sleep(0.15)
    with flow_and_far(kind) as (flow, _):
        running.add(flow)
        until(lambda: flow.sent)
        assert flow.late == 0
        release(running, flow)


def test_a_fault_of_ours_is_told(kind: str) -> None:
    told: list[BaseException] = []
    pumping = Pump(kind)
    pumping.start(told.append)

    def broken() -> None:
        raise ZeroDivisionError

    pumping._commands.append(broken)
    pumping._wake.set()
    until(lambda: told)
    assert isinstance(told[0], ZeroDivisionError)
    pumping.stop()


@pytest.mark.parametrize("ptime_ms", [20, 60])
def test_a_report_has_the_rtp_time_of_its_moment(kind: str, ptime_ms: int) -> None:
    """RFC 3550 section 6.4.1: of the same instant as its NTP time, whenever the last packet was due."""
    clip = clips.encode_opus("x", sounds.speech(1), ptime_ms=ptime_ms)
    with flow_and_far(kind, clip=clip) as (flow, far), by_hand(kind, flow) as pumping:
        tick(pumping)
        began_ns, began = pumping._due[0] - PERIOD_NS, flow.timestamp
        for period in range(1, 5):
            pumping._due[0] = began_ns + period * PERIOD_NS
            pumping._send(0)
            flow.sent += 1
            pumping._send_rtcp(flow)
            now_ns = time.monotonic_ns()
            (report, *_) = (
                RtcpPacket.parse(far.rx.unprotect_rtcp(data))[0] for data in far.received() if 192 <= data[1] <= 223
            )
            assert isinstance(report, RtcpSrPacket)
            told_ms = ((report.sender_info.rtp_timestamp - began) & 0xFFFFFFFF) / 48
            assert told_ms == pytest.approx((now_ns - began_ns) / 1e6, abs=5)


def test_who_has_sent_nothing_since_its_report_is_a_receiver(kind: str) -> None:
    """RFC 3550 section 6.4."""

    def reported() -> int:
        pumping._send_rtcp(flow)
        (data,) = (each for each in far.received() if 192 <= each[1] <= 223)
        return int(data[1])

    with flow_and_far(kind) as (flow, far), by_hand(kind, flow) as pumping:
        assert reported() == rtcp.RECEIVER_REPORT
        tick(pumping)
        assert [reported(), reported()] == [rtcp.SENDER_REPORT, rtcp.RECEIVER_REPORT]
        tick(pumping)
        assert reported() == rtcp.SENDER_REPORT


def test_what_is_held_is_dropped_when_its_time_has_long_passed(kind: str) -> None:
    with flow_and_far(kind, fates=held("delay=40")) as (flow, far), by_hand(kind, flow) as pumping:
        # due 200 ms ago, to leave 160 ms ago
        tick(pumping, 1, late_ns=0)
        pumping._held._heap = [(at - 5 * PERIOD_NS, *rest) for at, *rest in pumping._held._heap]
        pumping._held.release(pumping._flows)
        assert (flow.used, flow.sent, flow.late, far.received()) == (1, 0, 1, [])
        tick(pumping)
        time.sleep(0.041)
        pumping._held.release(pumping._flows)
        assert (flow.used, flow.sent, len(far.received())) == (2, 1, 1)
