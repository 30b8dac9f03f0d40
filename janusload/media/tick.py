"""The Python tick: sends and receives the RTP of flows, one slot of the pump's period at a time.

It runs everywhere, it runs the flows that the C tick cannot (`Flow.plain_with`), and it is what the C tick is held
against.

What makes it cheap, measured on loopback against a process that returns every datagram:

- One level-triggered epoll polled until it is empty. A `recv` that finds nothing costs 1.3 us; reading one packet per
  flow and tick starves RTP behind RTCP and STUN.
- Between two looks at the clock a few datagrams are read: all that waits for 400 flows takes 7 ms, and what is due
  meanwhile leaves late (at 70 % of a core 1.2 % of the packets were more than 5 ms late, and then 0.3 %: medians of six
  interleaved runs).
- Header, payload and authentication tag are written into one buffer; SRTP works in place through pylibsrtp's own
  cffi handle, as pylibsrtp's `protect` would copy every packet three times.

A packet out costs some 10 us of CPU and one in some 9 us; libsrtp and the kernel take half of that (see `native`).
"""

from __future__ import annotations

import select
import struct
import time
from typing import Protocol, TypeVar

from janusload.media import srtp
from janusload.media.flow import LATE_NS, PERIOD_NS, Flow
from janusload.media.held import HeldBack
from janusload.media.ice import ANCILLARY_BYTES, SO_TIMESTAMPNS
from janusload.media.impairment import AT_ONCE
from janusload.media.quality import Lateness

BUFFER_BYTES = 2048
#: what SRTP may add (libsrtp's SRTP_MAX_TRAILER_LEN and some)
TRAILER_BYTES = 160

# RFC 3550 section 5.1; with a one-byte header extension of one word (RFC 8285 section 4.2)
_HEADER = struct.Struct("!BBHII")
_HEADER_WITH_LEVEL = struct.Struct("!BBHIIII")
_EXTENSION_OF_ONE_WORD = 0xBEDE0001
_SEQUENCE_TIMESTAMP_SSRC = struct.Struct("!HII")
_STAMP = struct.Struct("qq")


#: datagrams read between two looks at the clock: some 0.5 ms
_READ_AT_ONCE = 32

F = TypeVar("F", bound=Flow, contravariant=True)


class Tick(Protocol[F]):
    """What the pump asks of a tick; all on the pump's thread."""

    def add(self, flow: F) -> None:
        """Take a flow, into the slot that it names."""

    def remove(self, flow: F) -> None:
        """Let go of a flow."""

    def take(self, flow: F, datagram: bytes, arrived_ns: int) -> None:
        """Take a datagram that came before the flow did; `arrived_ns` is Unix time."""

    def skip(self, slot: int, periods: int) -> None:
        """Let time pass for flows whose packets it is too late to send."""

    def send(self, slot: int, due_ns: int) -> None:
        """Send what is due in a slot at `due_ns` of the monotonic clock."""

    def drain(self, slot: int, until_ns: int) -> None:
        """Read until nothing is left, or it is time to send again: what is left then stays in the kernel."""

    def collect(self) -> None:
        """Have all lateness counted that was not yet; on any thread."""

    def close(self) -> None:
        """Let go of everything."""


class PythonTick:
    """See the module.

    Args:
        slots: how many slots the period has.
        lateness: where to count how late packets left.

    Attributes:
        held: what is to leave later than its turn.
    """

    def __init__(self, slots: int, lateness: Lateness) -> None:
        self._lateness = lateness
        self.held = HeldBack(lateness)
        self._slots: list[list[Flow]] = [[] for _ in range(slots)]
        self._flows: dict[int, Flow] = {}
        #: what should have come since nothing was left to read, less what was read
        self._owed = 0
        self._epoll = select.epoll()
        self._cdata = srtp.ffi.new("char[]", BUFFER_BYTES)
        self._length = srtp.ffi.new("int *")
        self._view = memoryview(srtp.ffi.buffer(self._cdata))
        self._room = BUFFER_BYTES - TRAILER_BYTES

    def add(self, flow: Flow) -> None:
        fd = flow.sock.fileno()
        self._slots[flow.slot].append(flow)
        self._flows[fd] = flow
        self._epoll.register(fd, select.EPOLLIN)

    def remove(self, flow: Flow) -> None:
        fd = flow.sock.fileno()
        self._epoll.unregister(fd)
        del self._flows[fd]
        self._slots[flow.slot].remove(flow)

    def collect(self) -> None:
        """Nothing: it is counted at once."""

    def close(self) -> None:
        self._epoll.close()

    def take(self, flow: Flow, datagram: bytes, arrived_ns: int) -> None:
        if len(datagram) <= self._room:
            self._view[: len(datagram)] = datagram
            self._secured(flow, len(datagram), arrived_ns)

    def skip(self, slot: int, periods: int) -> None:
        for flow in self._slots[slot]:
            passed = periods
            while passed >= flow.wait:
                passed -= flow.wait
                flow.wait = flow.every
                flow.timestamp = (flow.timestamp + flow.step) & 0xFFFFFFFF
                more = 1
                while more:
                    more = flow.packets[flow.index][3]
                    flow.index = (flow.index + 1) % len(flow.packets)
                if flow.sending:
                    flow.late += 1
                    self._lateness.add(periods * PERIOD_NS)
            flow.wait -= passed

    def send(self, slot: int, due_ns: int) -> None:
        view, cdata, length = self._view, self._cdata, self._length
        protect = srtp.lib.srtp_protect
        clock, late_ns, lates = time.monotonic_ns, LATE_NS, list[int]()
        with_level, plain = _HEADER_WITH_LEVEL.pack_into, _HEADER.pack_into
        for flow in self._slots[slot]:
            flow.wait -= 1
            if flow.wait > 0:
                continue
            flow.wait = flow.every
            flow.timestamp = timestamp = (flow.timestamp + flow.step) & 0xFFFFFFFF
            if not flow.sending:
                continue
            if not flow.index:
                flow.began_ns = due_ns
            more = 1
            while more:
                payload, extension, marker, more = flow.packets[flow.index]
                flow.index = (flow.index + 1) % len(flow.packets)
                if not payload:
                    continue
                flow.sequence = sequence = (flow.sequence + 1) & 0xFFFF
                flow.used += 1
                fate = AT_ONCE if flow.fates is None else next(flow.fates)
                if not fate:
                    continue
                if extension:
                    second, ssrc = flow.second | marker, flow.ssrc
                    with_level(view, 0, 0x90, second, sequence, timestamp, ssrc, _EXTENSION_OF_ONE_WORD, extension)
                    end = 20 + len(payload)
                    view[20:end] = payload
                else:
                    plain(view, 0, 0x80, flow.second | marker, sequence, timestamp, flow.ssrc)
                    end = 12 + len(payload)
                    view[12:end] = payload
                flow.second = flow.payload_type
                length[0] = end
                if flow.tx is not None and protect(flow.tx, cdata, length):
                    flow.send_errors += 1
                    continue
                if fate is not AT_ONCE:
                    self.held.take(flow, fate, bytes(view[: length[0]]), len(payload), due_ns)
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
                lates.append(late)
        self._lateness.add_each(lates)

    def drain(self, slot: int, until_ns: int) -> None:
        # of all slots: epoll tells only of sockets that have something
        poll, flows, view, clock = self._epoll.poll, self._flows, self._view, time.monotonic_ns
        buffers = [view]
        self._owed += len(self._slots[slot])
        while ready := poll(0, _READ_AT_ONCE):
            self._owed -= len(ready)
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
                    flow.hand_back(bytes(view[:size]), address)
                else:
                    flow.strange += 1
            # where time is always short it must be read all the same, or it would never be
            if clock() >= until_ns and self._owed <= len(flows):
                return
        self._owed = 0

    def _secured(self, flow: Flow, size: int, arrived_ns: int) -> None:
        """Take the SRTP or SRTCP datagram in the buffer (told apart by RFC 5761 section 4)."""
        view, length = self._view, self._length
        length[0] = size
        if flow.rx is None:
            if size < _HEADER.size:
                flow.strange += 1
                return
        elif size >= 2 and 192 <= view[1] <= 223:
            failure = srtp.lib.srtp_unprotect_rtcp(flow.rx, self._cdata, length)
            if failure:
                flow.refuse(failure)
            else:
                flow.take_rtcp(bytes(view[: length[0]]), arrived_ns)
            return
        elif failure := srtp.lib.srtp_unprotect(flow.rx, self._cdata, length):
            flow.refuse(failure)
            return
        sequence, timestamp, ssrc = _SEQUENCE_TIMESTAMP_SSRC.unpack_from(view, 2)
        flow.received_bytes += size
        flow.reception.packet(ssrc, sequence, timestamp, arrived_ns)
        if flow.tap is not None:
            flow.tap(bytes(view[: length[0]]), arrived_ns)
