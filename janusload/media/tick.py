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
- Packets are encrypted some at a time and then sent, and read and then decrypted, one behind the other in that buffer:
  taken one by one, the kernel and libsrtp put each other out of the CPU's caches. In a loop that never sleeps that
  saves nothing; of 200 flows, to a far end that has a thread for each, 11 % (medians of nine interleaved runs), to one
  that has one thread, 2 %.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Iterable
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

# RFC 3550 section 5.1
_HEADER = struct.Struct("!HHII")
_HEADER_BYTES = 12
_SEQUENCE_TIMESTAMP_SSRC = struct.Struct("!HII")
_STAMP = struct.Struct("qq")

#: packets that are encrypted before they are sent, and datagrams that are read before they are decrypted and before
#: the clock is looked at: some 0.2 to 0.5 ms
_BATCH = 32
#: libsrtp wants packets aligned
_ALIGNED = ~15

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
        #: a batch, each behind the other
        self._cdata = srtp.ffi.new("char[]", _BATCH * BUFFER_BYTES)
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
        if len(datagram) > self._room:
            flow.strange += 1
            return
        self._view[: len(datagram)] = datagram
        self._secured(flow, 0, len(datagram), arrived_ns)

    def skip(self, slot: int, periods: int) -> None:
        for flow in self._slots[slot]:
            passed = periods
            while passed >= flow.wait:
                passed -= flow.wait
                flow.wait = flow.every
                flow.timestamp = (flow.timestamp + flow.step) & 0xFFFFFFFF
                more = True
                while more:
                    *_, more = flow.packets[flow.index]
                    flow.index = (flow.index + 1) % len(flow.packets)
                if flow.sending:
                    flow.late += 1
                    self._lateness.add(periods * PERIOD_NS)
            flow.wait -= passed

    def send(self, slot: int, due_ns: int) -> None:
        view, cdata, length = self._view, self._cdata, self._length
        protect, pack = srtp.lib.srtp_protect, _HEADER.pack_into
        batch: list[tuple[Flow, int, int, int]] = []
        at = 0
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
            more = True
            while more:
                octets, first, rest, more = flow.packets[flow.index]
                flow.index = (flow.index + 1) % len(flow.packets)
                if not octets:
                    continue
                flow.sequence = sequence = (flow.sequence + 1) & 0xFFFF
                flow.used += 1
                fate = AT_ONCE if flow.fates is None else next(flow.fates)
                if not fate:
                    continue
                pack(view, at, first | flow.second, sequence, timestamp, flow.ssrc)
                end = at + _HEADER_BYTES + len(rest)
                view[at + _HEADER_BYTES : end] = rest
                flow.second = flow.payload_type
                if flow.tx is not None:
                    length[0] = end - at
                    if protect(flow.tx, cdata + at, length):
                        flow.send_errors += 1
                        continue
                    end = at + length[0]
                if fate is AT_ONCE:
                    batch.append((flow, at, end, octets))
                else:
                    self.held.take(flow, fate, bytes(view[at:end]), octets, due_ns)
                    copies = fate.count(0)
                    if not copies:
                        continue
                    batch += [(flow, at, end, octets)] * copies
                if len(batch) >= _BATCH:
                    self._let_go(batch, due_ns)
                    batch.clear()
                    at = 0
                else:
                    at = (end + 15) & _ALIGNED
        self._let_go(batch, due_ns)

    def _let_go(self, batch: Iterable[tuple[Flow, int, int, int]], due_ns: int) -> None:
        """Send what lies in the buffer: whose, from where to where, and how much of it is payload."""
        view, clock, lates = self._view, time.monotonic_ns, list[int]()
        for flow, at, end, octets in batch:
            # as `Flow.depart`: its call took 3 % of what a packet out and one in cost
            try:
                flow.sent_bytes += flow.send(view[at:end])
            except OSError:
                flow.send_errors += 1
                continue
            flow.sent += 1
            flow.octets += octets
            late_ns = clock() - due_ns
            if late_ns > LATE_NS:
                flow.late += 1
            lates.append(late_ns)
        self._lateness.add_each(lates)

    def drain(self, slot: int, until_ns: int) -> None:
        # of all slots: epoll tells only of sockets that have something
        poll, flows, view, clock = self._epoll.poll, self._flows, self._view, time.monotonic_ns
        self._owed += len(self._slots[slot])
        while ready := poll(0, _BATCH):
            self._owed -= len(ready)
            batch: list[tuple[Flow, int, int, int]] = []
            at = 0
            for fd, _ in ready:
                flow = flows.get(fd)
                if flow is None:
                    continue
                try:
                    size, ancillary, _, address = flow.receive([view[at : at + BUFFER_BYTES]], ANCILLARY_BYTES)
                except BlockingIOError:
                    continue
                except OSError:
                    # an ICMP error of an earlier datagram; reading it has cleared it
                    flow.receive_errors += 1
                    continue
                first = view[at] if size else 255
                if 128 <= first < 192:
                    if ancillary and ancillary[0][1] == SO_TIMESTAMPNS:
                        seconds, rest = _STAMP.unpack(ancillary[0][2])
                        arrived_ns = seconds * 1_000_000_000 + rest
                    else:
                        arrived_ns = time.time_ns()
                    batch.append((flow, at, size, arrived_ns))
                    at = (at + size + 15) & _ALIGNED
                elif first <= 3 or 20 <= first <= 63:
                    flow.hand_back(bytes(view[at : at + size]), address)
                else:
                    flow.strange += 1
            for flow, at, size, arrived_ns in batch:
                self._secured(flow, at, size, arrived_ns)
            # where time is always short it must be read all the same, or it would never be
            if clock() >= until_ns and self._owed <= len(flows):
                return
        self._owed = 0

    def _secured(self, flow: Flow, at: int, size: int, arrived_ns: int) -> None:
        """Take an SRTP or SRTCP datagram in the buffer (told apart by RFC 5761 section 4)."""
        view, cdata, length = self._view, self._cdata, self._length
        length[0] = size
        if flow.rx is None:
            if size < _HEADER_BYTES:
                flow.strange += 1
                return
        elif size >= 2 and 192 <= view[at + 1] <= 223:
            failure = srtp.lib.srtp_unprotect_rtcp(flow.rx, cdata + at, length)
            if failure:
                flow.refuse(failure)
            else:
                flow.take_rtcp(bytes(view[at : at + length[0]]), arrived_ns)
            return
        elif failure := srtp.lib.srtp_unprotect(flow.rx, cdata + at, length):
            flow.refuse(failure)
            return
        sequence, timestamp, ssrc = _SEQUENCE_TIMESTAMP_SSRC.unpack_from(view, at + 2)
        flow.received_bytes += size
        flow.reception.packet(ssrc, sequence, timestamp, arrived_ns)
        if flow.tap is not None:
            flow.tap(bytes(view[at : at + length[0]]), arrived_ns)
