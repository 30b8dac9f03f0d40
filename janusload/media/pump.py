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
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

import pylibsrtp

from janusload.media import rtcp
from janusload.media.clips import Clip
from janusload.media.ice import ANCILLARY_BYTES, SO_TIMESTAMPNS, Address
from janusload.media.quality import Lateness, Reception

PERIOD_NS = 20_000_000
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

# libsrtp's numbers: srtp_err_status_replay_fail and _replay_old
_REPLAYED = (9, 10)


def _srtp() -> tuple[object, object]:
    """pylibsrtp's cffi handle; private names, so they are looked at before anything depends on them."""
    try:
        ffi, lib = pylibsrtp.ffi, pylibsrtp.lib
        for name in ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp"):
            signature = ffi.typeof(getattr(lib, name)).cname
            if signature != "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)":
                raise AttributeError(f"{name} is {signature}")
        if ffi.typeof(pylibsrtp.Session()._srtp).cname != "struct srtp_ctx_t_ * *":
            raise AttributeError("Session._srtp")
    except AttributeError as exc:
        raise ImportError(f"pylibsrtp {pylibsrtp.__version__} is not as the media pump needs it: {exc}") from exc
    return ffi, lib


_ffi, _lib = _srtp()


class Flow:
    """The RTP of one peer, both ways, and its counters.

    Attributes:
        sending: whether packets leave; may be set by anybody.
        sent, sent_bytes, octets: RTP datagrams, their bytes, and payload bytes of them.
        used: sequence numbers used: sent, or lost on the way by the kernel.
        late: packets sent more than `LATE_NS` after they were due, or not at all for that reason.
        received_bytes: of authenticated RTP datagrams.
        forged, replayed, strange, overflowed: datagrams dropped because they did not authenticate, had come before,
            were nothing that RFC 7983 knows, or came faster than the loop takes them.
        send_errors, receive_errors: what the kernel refused, as with ECONNREFUSED or full buffers.
    """

    __slots__ = (
        "_every",
        "_index",
        "_packets",
        "_rx",
        "_second",
        "_step",
        "_tx",
        "_wait",
        "cname",
        "forged",
        "handed_back",
        "incoming",
        "keep",
        "late",
        "level_id",
        "octets",
        "overflowed",
        "payload_type",
        "receive_errors",
        "received_bytes",
        "reception",
        "remote_lost_share",
        "replayed",
        "rtt_ms",
        "send_errors",
        "sending",
        "sent",
        "sent_bytes",
        "sequence",
        "slot",
        "sock",
        "ssrc",
        "strange",
        "timestamp",
        "used",
    )

    def __init__(
        self,
        *,
        sock: socket.socket,
        tx: pylibsrtp.Session,
        rx: pylibsrtp.Session,
        clip: Clip,
        ssrc: int,
        cname: str,
        payload_type: int,
        audio_level_id: int | None,
        incoming: Callable[[bytes, Address], None],
    ) -> None:
        self.sock = sock
        # the raw pointers below live as long as these do
        self.keep = (tx, rx)
        self._tx = tx._srtp[0]
        self._rx = rx._srtp[0]
        self.ssrc = ssrc
        self.cname = cname
        self.payload_type = payload_type
        self.level_id = audio_level_id
        self.incoming = incoming
        self.handed_back = 0
        self.slot = 0
        self.sending = True
        self.reception = Reception(clip.clock_rate)
        # random beginnings: RFC 3550 section 5.1
        self.sequence = random.getrandbits(15)
        self.timestamp = random.getrandbits(32)
        self._packets = _with_extension(clip, audio_level_id)
        self._index = random.randrange(len(clip.packets))
        self._step = clip.ticks_per_packet
        self._every = clip.ptime_ms * 1_000_000 // PERIOD_NS
        self._wait = 1
        # marker: the first packet of a talkspurt (RFC 3551 section 4.1)
        self._second = 0x80 | payload_type
        self.sent = self.sent_bytes = self.octets = self.used = self.late = self.received_bytes = 0
        self.forged = self.replayed = self.strange = self.overflowed = self.send_errors = self.receive_errors = 0
        self.rtt_ms: float | None = None
        self.remote_lost_share: float | None = None

    @property
    def dropped(self) -> int:
        """Datagrams of every kind that came and were thrown away."""
        return self.forged + self.replayed + self.strange + self.overflowed

    def begin_talkspurt(self) -> None:
        """Mark the next packet as the first after a pause."""
        self._second = 0x80 | self.payload_type


def _with_extension(clip: Clip, level_id: int | None) -> list[tuple[bytes, int]]:
    """(payload, extension word) of each packet: one-byte header, V bit and level as in RFC 6464 section 3."""
    if level_id is None:
        return [(payload, 0) for payload in clip.packets]
    # length field 0 means one byte of data; the V bit says that there is voice
    return [
        (payload, level_id << 28 | ((level < 127) << 7 | level) << 16)
        for payload, level in zip(clip.packets, clip.levels, strict=True)
    ]


class Pump:
    """Runs the flows of one worker.

    Attributes:
        lateness: how late RTP left, to be taken by whoever reports it.
    """

    def __init__(self) -> None:
        self.lateness = Lateness()
        self._slots: list[list[Flow]] = [[] for _ in range(SLOTS)]
        self._flows: dict[int, Flow] = {}
        self._reports: list[tuple[int, int, Flow]] = []
        self._tie = itertools.count()
        self._commands: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._stopped = False
        self._epoll = select.epoll()
        self._cdata = _ffi.new("char[]", _BUFFER_BYTES)  # type: ignore[attr-defined]
        self._length = _ffi.new("int *")  # type: ignore[attr-defined]
        self._view = memoryview(_ffi.buffer(self._cdata))  # type: ignore[attr-defined]
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
            # the phase of the slots; every slot's due time is this plus whole slots
            epoch_ns = time.monotonic_ns()
            due = [epoch_ns + index * SLOT_NS for index in range(SLOTS)]
            while not self._stopped:
                self._obey()
                if not self._flows:
                    # cleared before the look at the commands, so that none is overlooked
                    self._wake.clear()
                    if not self._commands and not self._stopped:
                        self._wake.wait()
                    continue
                now = time.monotonic_ns()
                for index in range(SLOTS):
                    # a slot that was empty for a while is not late
                    if not self._slots[index] and due[index] <= now:
                        due[index] += ((now - due[index]) // PERIOD_NS + 1) * PERIOD_NS
                index = min((each for each in range(SLOTS) if self._slots[each]), key=due.__getitem__)
                if due[index] > now:
                    time.sleep((due[index] - now) / 1e9)
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
        self._schedule_report(flow)

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
        protect = _lib.srtp_protect  # type: ignore[attr-defined]
        clock, late_ns, add = time.monotonic_ns, LATE_NS, self.lateness.add
        with_level, plain = _HEADER_WITH_LEVEL.pack_into, _HEADER.pack_into
        missed = (clock() - due_ns) // PERIOD_NS
        if missed > 0:
            self._skip(flows, missed)
            due_ns += missed * PERIOD_NS
        else:
            missed = 0
        for flow in flows:
            flow._wait -= 1
            if flow._wait > 0:
                continue
            flow._wait = flow._every
            flow.timestamp = timestamp = (flow.timestamp + flow._step) & 0xFFFFFFFF
            if not flow.sending:
                continue
            payload, extension = flow._packets[flow._index]
            flow._index = (flow._index + 1) % len(flow._packets)
            flow.sequence = sequence = (flow.sequence + 1) & 0xFFFF
            if extension:
                with_level(
                    view, 0, 0x90, flow._second, sequence, timestamp, flow.ssrc, _EXTENSION_OF_ONE_WORD, extension
                )
                end = 20 + len(payload)
                view[20:end] = payload
            else:
                plain(view, 0, 0x80, flow._second, sequence, timestamp, flow.ssrc)
                end = 12 + len(payload)
                view[12:end] = payload
            flow._second = flow.payload_type
            flow.used += 1
            length[0] = end
            if protect(flow._tx, cdata, length):
                flow.send_errors += 1
                continue
            try:
                flow.sent_bytes += flow.sock.send(view[: length[0]])
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
            while passed >= flow._wait:
                passed -= flow._wait
                flow._wait = flow._every
                flow.timestamp = (flow.timestamp + flow._step) & 0xFFFFFFFF
                flow._index = (flow._index + 1) % len(flow._packets)
                if flow.sending:
                    flow.late += 1
                    self.lateness.add(periods * PERIOD_NS)
            flow._wait -= passed

    def _drain(self, until_ns: int) -> None:
        """Read until nothing is left, or it is time to send again: what is left then stays in the kernel."""
        poll, flows, view, clock = self._epoll.poll, self._flows, [self._view], time.monotonic_ns
        most = max(len(flows), 1)
        while ready := poll(0, most):
            for fd, _ in ready:
                flow = flows.get(fd)
                if flow is None:
                    continue
                try:
                    size, ancillary, _, address = flow.sock.recvmsg_into(view, ANCILLARY_BYTES)
                except BlockingIOError:
                    continue
                except OSError:
                    # an ICMP error of an earlier datagram; reading it has cleared it
                    flow.receive_errors += 1
                    continue
                first = view[0][0] if size else 255
                if 128 <= first < 192:
                    if ancillary and ancillary[0][1] == SO_TIMESTAMPNS:
                        seconds, rest = _STAMP.unpack(ancillary[0][2])
                        arrived_ns = seconds * 1_000_000_000 + rest
                    else:
                        arrived_ns = time.time_ns()
                    self._secured(flow, size, arrived_ns)
                elif first <= 3 or 20 <= first <= 63:
                    self._hand_back(flow, bytes(view[0][:size]), address)
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
        failure = _lib.srtp_unprotect(flow._rx, self._cdata, length)  # type: ignore[attr-defined]
        if failure:
            if failure in _REPLAYED:
                flow.replayed += 1
            else:
                flow.forged += 1
            return
        sequence, timestamp, ssrc = _SEQUENCE_TIMESTAMP_SSRC.unpack_from(view, 2)
        flow.received_bytes += size
        flow.reception.packet(ssrc, sequence, timestamp, arrived_ns)

    def _receive_rtcp(self, flow: Flow, arrived_ns: int) -> None:
        failure = _lib.srtp_unprotect_rtcp(flow._rx, self._cdata, self._length)  # type: ignore[attr-defined]
        if failure:
            if failure in _REPLAYED:
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

    def _schedule_report(self, flow: Flow) -> None:
        # RFC 3550 section 6.2: between half and one and a half of the mean, so that reports do not come in step
        at = time.monotonic_ns() + int(REPORT_S * 1e9 * (0.5 + random.random()))
        heapq.heappush(self._reports, (at, next(self._tie), flow))

    def _report(self) -> None:
        """Send the RTCP reports that are due."""
        now = time.monotonic_ns()
        while self._reports and self._reports[0][0] <= now:
            flow = heapq.heappop(self._reports)[2]
            if self._flows.get(flow.sock.fileno()) is flow:
                self._send_rtcp(flow)
                self._schedule_report(flow)

    def _send_rtcp(self, flow: Flow, ending: bytes = b"") -> None:
        now = time.time_ns()
        block = flow.reception.report_block(now)
        blocks = [block] if block else []
        if flow.sent:
            packet = rtcp.sender_report(flow.ssrc, rtcp.ntp(now), flow.timestamp, flow.sent, flow.octets, blocks)
        else:
            packet = rtcp.receiver_report(flow.ssrc, blocks)
        packet += rtcp.description(flow.ssrc, flow.cname) + ending
        self._view[: len(packet)] = packet
        self._length[0] = len(packet)
        if _lib.srtp_protect_rtcp(flow._tx, self._cdata, self._length):  # type: ignore[attr-defined]
            flow.send_errors += 1
            return
        try:
            flow.sock.send(self._view[: self._length[0]])
        except OSError:
            flow.send_errors += 1
