"""The pump: one thread that sends and receives the RTP of all peers of a worker.

How a tick goes, and why (figures in docs are percent of a core per two-way participant at 50 packets/s):

- A period of 20 ms has four slots; a peer belongs to one of them. The first slot is filled first, so that few peers
  cost one wake-up per period; many are spread, so that none is late because of the others.
- A slot sends for all its peers and then drains all sockets: one level-triggered epoll polled until it is empty. A
  `recv` that finds nothing costs 1.3 us; reading one packet per peer and tick starves RTP behind RTCP and STUN.
- Header, payload and authentication tag are written into one buffer; SRTP works in place through pylibsrtp's own
  cffi handle, as pylibsrtp's `protect` would copy every packet three times.
- Sleeping is `time.sleep` and not epoll: arrivals shall not wake the thread. They carry the kernel's receive stamp
  (`SO_TIMESTAMPNS`), so nothing that is measured depends on when they are read.
- When a slot is more than a period late, what was due in between is not sent in a burst: timestamps go on, sequence
  numbers do not, and the packets count as late.

Threads: `add` and `release` are called by the loop's thread and take effect at the pump's next wake-up; all else
happens on the pump's thread. Counters of a flow are written by the pump and may be read by anybody.
"""

from __future__ import annotations

import heapq
import itertools
import random
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from janusload.media import rtcp, srtp
from janusload.media.flow import PERIOD_NS, Flow
from janusload.media.ice import ANCILLARY_BYTES, SO_TIMESTAMPNS, Address
from janusload.media.quality import Lateness

SLOTS = 4
SLOT_NS = PERIOD_NS // SLOTS
#: peers that a slot gets before the next one is opened
FILL = 50

#: a packet is late when it left more than this after it was due
LATE_NS = 5_000_000

#: mean interval of RTCP reports; RFC 4585 section 3.4 allows it within 5 % of the session's bandwidth
REPORT_S = 1.0

#: datagrams of one peer that may wait to be handed back to the loop
HANDED_BACK_LIMIT = 32

_BUFFER_BYTES = 2048
_TRAILER_BYTES = 160

# RFC 3550 section 5.1; with a one-byte header extension of one word (RFC 8285 section 4.2)
_HEADER = struct.Struct("!BBHII")
_HEADER_WITH_LEVEL = struct.Struct("!BBHIIII")
_EXTENSION_OF_ONE_WORD = 0xBEDE0001
_SEQUENCE_TIMESTAMP_SSRC = struct.Struct("!HII")
_STAMP = struct.Struct("qq")


class Pump:
    """Runs the flows of one worker.

    Attributes:
        lateness: how late RTP left, to be taken by whoever reports it.
    """

    def __init__(self) -> None:
        self.lateness = Lateness()
        self._slots: list[list[Flow]] = [[] for _ in range(SLOTS)]
        # when each slot is to send next
        self._due = [0] * SLOTS
        self._flows: dict[int, Flow] = {}
        self._reports: list[tuple[int, int, Flow]] = []
        self._tie = itertools.count()
        self._commands: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._stopped = False
        self._epoll = select.epoll()
        self._cdata = srtp.ffi.new("char[]", _BUFFER_BYTES)
        self._length = srtp.ffi.new("int *")
        self._view = memoryview(srtp.ffi.buffer(self._cdata))
        self._room = _BUFFER_BYTES - _TRAILER_BYTES
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self._fault: Callable[[BaseException], None] | None = None

    def start(self, on_fault: Callable[[BaseException], None]) -> None:
        """Start the thread; `on_fault` is called on it if it ends by an error of ours."""
        self._fault = on_fault
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread. Flows that were not released just stop."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._epoll.close()

    def add(self, flow: Flow, early: Iterable[tuple[bytes, int | None]] = ()) -> None:
        """Take a flow's socket; `early` is what arrived before, as (datagram, Unix ns of arrival)."""
        self._commands.append(lambda: self._add(flow, list(early)))
        self._wake.set()

    def release(self, flow: Flow, released: Callable[[], None]) -> None:
        """Say goodbye by RTCP and let go of the socket; `released` is then called on the pump's thread."""
        self._commands.append(lambda: self._release(flow, released))
        self._wake.set()

    def _run(self) -> None:
        try:
            epoch_ns, due = time.monotonic_ns(), self._due
            due[:] = [epoch_ns + index * SLOT_NS for index in range(SLOTS)]
            while not self._stopped:
                now = time.monotonic_ns()
                for index in range(SLOTS):
                    # a slot that was empty for a while is not late; looked at before it can get its first flow
                    if not self._slots[index] and due[index] <= now:
                        due[index] += ((now - due[index]) // PERIOD_NS + 1) * PERIOD_NS
                self._obey()
                if not self._flows:
                    # cleared before the look at the commands, so that none is overlooked
                    self._wake.clear()
                    if not self._commands and not self._stopped:
                        self._wake.wait()
                    continue
                index = min((each for each in range(SLOTS) if self._slots[each]), key=due.__getitem__)
                wait_ns = due[index] - time.monotonic_ns()
                if wait_ns > 0:
                    time.sleep(wait_ns / 1e9)
                due[index] += self._tick(self._slots[index], due[index])
                self._drain(due[index] - PERIOD_NS + SLOT_NS)
                self._report()
        except BaseException as exc:
            if self._fault is None:
                raise
            self._fault(exc)

    def _obey(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _add(self, flow: Flow, early: list[tuple[bytes, int | None]]) -> None:
        fd = flow.sock.fileno()
        if fd < 0:
            # closed before it came to be added; its release finds nothing to do
            return
        flow.slot = next(
            (index for index, flows in enumerate(self._slots) if len(flows) < FILL),
            min(range(SLOTS), key=lambda index: len(self._slots[index])),
        )
        self._slots[flow.slot].append(flow)
        self._flows[fd] = flow
        self._epoll.register(fd, select.EPOLLIN)
        for datagram, arrived_ns in early:
            if len(datagram) <= self._room:
                self._view[: len(datagram)] = datagram
                self._secured(flow, len(datagram), arrived_ns or time.time_ns())
        # RFC 3550 section 6.2: half the interval before the first
        self._schedule_report(flow, REPORT_S / 2)

    def _release(self, flow: Flow, released: Callable[[], None]) -> None:
        fd = flow.sock.fileno()
        if fd >= 0 and self._flows.get(fd) is flow:
            self._send_rtcp(flow, rtcp.bye(flow.ssrc))
            self._epoll.unregister(fd)
            del self._flows[fd]
            self._slots[flow.slot].remove(flow)
        released()

    def _tick(self, flows: list[Flow], due_ns: int) -> int:
        """Send what is due in a slot; returns how far its due time moves on."""
        view, cdata, length = self._view, self._cdata, self._length
        protect = srtp.lib.srtp_protect
        clock, late_ns, add = time.monotonic_ns, LATE_NS, self.lateness.add
        with_level, plain = _HEADER_WITH_LEVEL.pack_into, _HEADER.pack_into
        missed = (clock() - due_ns) // PERIOD_NS
        if missed > 0:
            self._skip(flows, missed)
            due_ns += missed * PERIOD_NS
        else:
            missed = 0
        for flow in flows:
            flow.wait -= 1
            if flow.wait > 0:
                continue
            flow.wait = flow.every
            flow.timestamp = timestamp = (flow.timestamp + flow.step) & 0xFFFFFFFF
            if not flow.sending:
                continue
            payload, extension = flow.packets[flow.index]
            flow.index = (flow.index + 1) % len(flow.packets)
            flow.sequence = sequence = (flow.sequence + 1) & 0xFFFF
            flow.used += 1
            if flow.losses is not None and next(flow.losses):
                continue
            if extension:
                with_level(
                    view, 0, 0x90, flow.second, sequence, timestamp, flow.ssrc, _EXTENSION_OF_ONE_WORD, extension
                )
                end = 20 + len(payload)
                view[20:end] = payload
            else:
                plain(view, 0, 0x80, flow.second, sequence, timestamp, flow.ssrc)
                end = 12 + len(payload)
                view[12:end] = payload
            flow.second = flow.payload_type
            length[0] = end
            if protect(flow.tx, cdata, length):
                flow.send_errors += 1
                continue
            try:
                flow.sent_bytes += flow.send(view[: length[0]])
            except OSError:
                flow.send_errors += 1
                continue
            flow.sent += 1
            flow.octets += len(payload)
            late = clock() - due_ns
            if late > late_ns:
                flow.late += 1
            add(late)
        return (missed + 1) * PERIOD_NS

    def _skip(self, flows: list[Flow], periods: int) -> None:
        """Let time pass for flows whose packets it is too late to send."""
        for flow in flows:
            passed = periods
            while passed >= flow.wait:
                passed -= flow.wait
                flow.wait = flow.every
                flow.timestamp = (flow.timestamp + flow.step) & 0xFFFFFFFF
                flow.index = (flow.index + 1) % len(flow.packets)
                if flow.sending:
                    flow.late += 1
                    self.lateness.add(periods * PERIOD_NS)
            flow.wait -= passed

    def _drain(self, until_ns: int) -> None:
        """Read until nothing is left, or it is time to send again: what is left then stays in the kernel."""
        poll, flows, view, clock = self._epoll.poll, self._flows, self._view, time.monotonic_ns
        buffers = [view]
        most = max(len(flows), 1)
        while ready := poll(0, most):
            for fd, _ in ready:
                flow = flows.get(fd)
                if flow is None:
                    continue
                try:
                    size, ancillary, _, address = flow.receive(buffers, ANCILLARY_BYTES)
                except BlockingIOError:
                    continue
                except OSError:
                    # an ICMP error of an earlier datagram; reading it has cleared it
                    flow.receive_errors += 1
                    continue
                first = view[0] if size else 255
                if 128 <= first < 192:
                    if ancillary and ancillary[0][1] == SO_TIMESTAMPNS:
                        seconds, rest = _STAMP.unpack(ancillary[0][2])
                        arrived_ns = seconds * 1_000_000_000 + rest
                    else:
                        arrived_ns = time.time_ns()
                    self._secured(flow, size, arrived_ns)
                elif first <= 3 or 20 <= first <= 63:
                    self._hand_back(flow, bytes(view[:size]), address)
                else:
                    flow.strange += 1
            if clock() >= until_ns:
                return

    def _hand_back(self, flow: Flow, datagram: bytes, address: Address) -> None:
        """STUN and DTLS (RFC 7983 section 7) are aioice's and OpenSSL's; bounded, as a flood must not fill memory."""
        if flow.handed_back >= HANDED_BACK_LIMIT:
            flow.overflowed += 1
            return
        flow.handed_back += 1
        flow.incoming(datagram, address)

    def _secured(self, flow: Flow, size: int, arrived_ns: int) -> None:
        """Take the SRTP or SRTCP datagram in the buffer (told apart by RFC 5761 section 4)."""
        view, length = self._view, self._length
        length[0] = size
        if size >= 2 and 192 <= view[1] <= 223:
            self._receive_rtcp(flow, arrived_ns)
            return
        failure = srtp.lib.srtp_unprotect(flow.rx, self._cdata, length)
        if failure:
            if failure in srtp.REPLAYED:
                flow.replayed += 1
            else:
                flow.forged += 1
            return
        sequence, timestamp, ssrc = _SEQUENCE_TIMESTAMP_SSRC.unpack_from(view, 2)
        flow.received_bytes += size
        flow.reception.packet(ssrc, sequence, timestamp, arrived_ns)

    def _receive_rtcp(self, flow: Flow, arrived_ns: int) -> None:
        failure = srtp.lib.srtp_unprotect_rtcp(flow.rx, self._cdata, self._length)
        if failure:
            if failure in srtp.REPLAYED:
                flow.replayed += 1
            else:
                flow.forged += 1
            return
        try:
            reports = rtcp.read(self._view[: self._length[0]])
        except ValueError:
            flow.strange += 1
            return
        if reports.sender_ssrc is not None:
            flow.reception.sender_report(reports.sender_ssrc, reports.sender_ntp, arrived_ns)
        for block in reports.blocks:
            if block.ssrc != flow.ssrc:
                continue
            round_trip = rtcp.round_trip_ms(block, arrived_ns)
            if round_trip is not None:
                flow.rtt_ms = round_trip
            if flow.used:
                flow.remote_lost_share = min(1.0, max(0, block.cumulative_lost) / flow.used)

    def _schedule_report(self, flow: Flow, mean_s: float) -> None:
        # RFC 3550 section 6.2: between half and one and a half of the mean, so that reports do not come in step
        at = time.monotonic_ns() + int(mean_s * 1e9 * (0.5 + random.random()))
        heapq.heappush(self._reports, (at, next(self._tie), flow))

    def _report(self) -> None:
        """Send the RTCP reports that are due."""
        now = time.monotonic_ns()
        while self._reports and self._reports[0][0] <= now:
            flow = heapq.heappop(self._reports)[2]
            if self._flows.get(flow.sock.fileno()) is flow:
                self._send_rtcp(flow)
                self._schedule_report(flow, REPORT_S)

    def _send_rtcp(self, flow: Flow, ending: bytes = b"") -> None:
        now = time.time_ns()
        block = flow.reception.report_block(now)
        blocks = [block] if block else []
        if flow.sent:
            # RFC 3550 section 6.4.1: the RTP time of the same instant as the NTP time, not of the last packet
            since_ns = time.monotonic_ns() - (self._due[flow.slot] - PERIOD_NS)
            rtp_time = flow.timestamp + since_ns * flow.reception.clock_rate // 1_000_000_000
            packet = rtcp.sender_report(flow.ssrc, rtcp.ntp(now), rtp_time, flow.sent, flow.octets, blocks)
        else:
            packet = rtcp.receiver_report(flow.ssrc, blocks)
        packet += rtcp.description(flow.ssrc, flow.cname) + ending
        self._view[: len(packet)] = packet
        self._length[0] = len(packet)
        if srtp.lib.srtp_protect_rtcp(flow.tx, self._cdata, self._length):
            flow.send_errors += 1
            return
        try:
            flow.sock.send(self._view[: self._length[0]])
        except OSError:
            flow.send_errors += 1
