"""The C tick (tick.c): what the Python tick does, for a third of its CPU and without the GIL.

It is optional. Where a C compiler is, the source that ships with this package is compiled at first use (`compiled`);
where none is, the Python tick does the work.

libsrtp is pylibsrtp's own, which has made the sessions: its functions and sessions go to C as pointers. Nothing of it
is needed to compile, and Debian's libsrtp, whose sessions look different, is never touched.

A flow in C is a `Flow` whose numbers live in a C struct; the objects in Python read and write them there.

What was learned (two shared cores of a small VM; us of thread CPU per packet, percent of a core per participant):

- A packet out costs 4.6 to 5.3 us and one in 3.8 to 5.6 us, where Python takes 10 and 9. AES-256-GCM in libsrtp is
  some 1.7 us of each (measured by leaving it out), the rest is nearly all in the kernel.
- One `recvmmsg` for up to four datagrams, or one `recvmsg` after the other: no difference that could be measured. No
  epoll at all: with a packet for each socket in each period, asking every socket is what epoll would come to.
- A far end that sleeps costs the sender more: each datagram wakes a thread of Janus. A bare C loop that does nothing
  but send and receive goes from 0.03 % to 0.04 or 0.06 % when the far end has a thread for each participant. Real-time
  priority, nice or SCHED_BATCH of the pump's thread change that by nothing (the first changes how late packets leave:
  see `process`).
- A system call costs 0.25 us, of the some 10 us that a packet out and one in cost: io_uring would buy little.
- What is left in Python, per participant: statistics and the loop 0.004 % (0.018 to 0.021 % while aioice checked
  consent there: three interleaved runs of 600 peers), and consent and RTCP on the pump's thread, where they cannot be
  told from the noise (RTCP was 0.004 % when it went once a second each way).
"""

from __future__ import annotations

import ctypes
import functools
import operator
from typing import Any

from janusload.media import compiled, srtp
from janusload.media.clips import Clip
from janusload.media.compiled import NoNativeTick
from janusload.media.flow import LATE_NS, PERIOD_NS, Flow, laid_out
from janusload.media.quality import Lateness, Reception

_LARGEST = 2048
_EVENTS = 64
_LATE_STEPS = 1000
#: packets whose losses and copies C knows ahead of time: some seconds
_FORESEEN = 256


class _Packet(ctypes.Structure):
    _fields_ = (
        ("rest", ctypes.c_char_p),
        *((name, ctypes.c_uint32) for name in ("size", "octets", "first", "more")),
    )


class _Reception(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_int64)
            for name in (
                *("received", "lost_before", "in_stretch", "base", "max", "cycles", "resync"),
                *("expected_prior", "received_prior", "sender_ntp", "sender_ns", "jitter_x16", "first_ns"),
            )
        ),
        *((name, ctypes.c_uint32) for name in ("clock_rate", "ssrc", "transit", "begun", "jitter_known", "unused")),
    )


class _Flow(ctypes.Structure):
    _fields_ = (
        ("tx", ctypes.c_void_p),
        ("rx", ctypes.c_void_p),
        ("packets", ctypes.POINTER(_Packet)),
        ("copies", ctypes.c_void_p),
        *(
            (name, ctypes.c_int64)
            for name in (
                *("sent", "sent_bytes", "octets", "used", "late", "received_bytes"),
                *("forged", "replayed", "strange", "send_errors", "receive_errors", "began_ns"),
            )
        ),
        *(
            (name, ctypes.c_uint32)
            for name in (
                *("packet_count", "index", "every", "wait", "step", "timestamp", "ssrc", "sequence"),
                *("payload_type", "second", "sending", "copy", "unused"),
            )
        ),
        ("fd", ctypes.c_int32),
        ("reception", _Reception),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("flow", ctypes.c_void_p),
        ("arrived_ns", ctypes.c_int64),
        ("is_rtcp", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("data", ctypes.c_ubyte * _LARGEST),
    )


class _Slot(ctypes.Structure):
    _fields_ = (
        ("flows", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("count", "due_ns", "read")),
        *((name, ctypes.c_uint32) for name in ("more", "unread")),
    )


class _Tick(ctypes.Structure):
    _fields_ = (
        ("protect", ctypes.c_void_p),
        ("unprotect", ctypes.c_void_p),
        ("unprotect_rtcp", ctypes.c_void_p),
        ("late_after_ns", ctypes.c_int64),
        ("wanted", ctypes.c_int32),
        ("counting", ctypes.c_uint32),
        ("late_counts", ctypes.c_uint32 * (_LATE_STEPS + 1) * 2),
        ("event_count", ctypes.c_uint32),
        ("events", _Event * _EVENTS),
    )


_MIRRORED = (_Packet, _Reception, _Flow, _Event, _Slot, _Tick)


@functools.cache
def library() -> ctypes.CDLL:
    """The C tick, with its functions declared.

    Raises:
        NoNativeTick: it cannot be had here.
    """
    loaded = compiled.load()
    _declare(loaded)
    sizes = (ctypes.c_uint64 * len(_MIRRORED))()
    loaded.tick_sizes(sizes)
    if list(sizes) != [ctypes.sizeof(each) for each in _MIRRORED]:
        raise NoNativeTick("its structs are not laid out as in Python")
    return loaded


def _declare(loaded: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    for name, arguments, result in (
        ("tick_sizes", (pointer,), None),
        ("tick_skip", (pointer, pointer, number, number), None),
        ("tick_send", (pointer, pointer, number), None),
        ("tick_take", (pointer, pointer, ctypes.c_char_p, number, number), None),
        ("tick_drain", (pointer, pointer, number), ctypes.c_int32),
        ("tick_run", (pointer, pointer, number, number, number), None),
    ):
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, result


def _field(name: str) -> Any:
    """An attribute that lives in the C struct `_c` under this name."""
    # attrgetter, as statistics read some 40 of them a second and peer
    return property(operator.attrgetter(f"_c.{name}"), lambda self, value: setattr(self._c, name, value))


class NativeReception(Reception):
    """A `Reception` that C writes: the arithmetic per packet is in tick.c, what is derived from it is inherited."""

    __slots__ = ("_c",)

    received = _field("received")
    clock_rate = _field("clock_rate")
    sender_ntp = _field("sender_ntp")
    sender_ns = _field("sender_ns")
    first_ns = _field("first_ns")
    _lost_before = _field("lost_before")
    _base = _field("base")
    _max = _field("max")
    _cycles = _field("cycles")
    _in_stretch = _field("in_stretch")
    _expected_prior = _field("expected_prior")
    _received_prior = _field("received_prior")
    _resync = _field("resync")
    _transit = _field("transit")
    _jitter_x16 = _field("jitter_x16")
    _jitter_known = _field("jitter_known")

    def __init__(self, state: _Reception, clock_rate: int) -> None:
        self._c = state
        super().__init__(clock_rate)

    @property
    def ssrc(self) -> int | None:
        """Of the stretch; None before the first packet."""
        return self._c.ssrc if self._c.begun else None

    @ssrc.setter
    def ssrc(self, value: int | None) -> None:
        self._c.begun, self._c.ssrc = value is not None, value or 0


class NativeFlow(Flow):
    """A `Flow` that C runs."""

    __slots__ = ("_c", "_copies", "_foreseen", "_keep_packets", "_remote", "address")

    sending = _field("sending")
    sequence = _field("sequence")
    timestamp = _field("timestamp")
    ssrc = _field("ssrc")
    payload_type = _field("payload_type")
    second = _field("second")
    index = _field("index")
    step = _field("step")
    every = _field("every")
    wait = _field("wait")
    sent = _field("sent")
    sent_bytes = _field("sent_bytes")
    octets = _field("octets")
    used = _field("used")
    late = _field("late")
    received_bytes = _field("received_bytes")
    forged = _field("forged")
    replayed = _field("replayed")
    strange = _field("strange")
    send_errors = _field("send_errors")
    receive_errors = _field("receive_errors")
    began_ns = _field("began_ns")

    def __init__(self, **options: Any) -> None:
        self._c = _Flow()
        super().__init__(**options)
        state = self._c
        state.tx, state.rx = (_address(each) if each is not None else None for each in (self.tx, self.rx))
        state.fd = self.sock.fileno()
        self._keep_packets = _packets(options["clip"], self.level_id)
        state.packets, state.packet_count = self._keep_packets, len(self.packets)
        self.reception = NativeReception(state.reception, options["clip"].clock_rate)
        self._foreseen = 0
        if self.fates is not None:
            self._copies = (ctypes.c_uint8 * _FORESEEN)()
            state.copies = ctypes.addressof(self._copies)
            self.foresee()
        self.address = ctypes.addressof(state)
        self._remote: Any = None

    @property
    def remote(self) -> Any:
        """The one address that the socket talks to."""
        if self._remote is None:
            self._remote = self.sock.getpeername()
        return self._remote

    def foresee(self) -> None:
        """Tell C what becomes of the next packets, before it has used up what it knows."""
        copy = self._c.copy
        if self.fates is not None and self._foreseen - copy < _FORESEEN // 2:
            for at in range(self._foreseen, copy + _FORESEEN):
                self._copies[at % _FORESEEN] = len(next(self.fates))
            self._foreseen = copy + _FORESEEN


@functools.lru_cache(maxsize=64)
def _packets(clip: Clip, level_id: int | None) -> Any:
    """A clip's packets for C, shared by the flows that play it. The payloads live as long as this does."""
    packets = laid_out(clip, level_id)
    return (_Packet * len(packets))(
        *(_Packet(rest, len(rest), octets, first, more) for octets, first, rest, more in packets)
    )


def _address(pointer: Any) -> int:
    return int(srtp.ffi.cast("uintptr_t", pointer))


class NativeTick:
    """See the module; the arguments and methods are those of `tick.Tick`, and `run`.

    Raises:
        NoNativeTick: it cannot be had here.
    """

    def __init__(self, slots: int, lateness: Lateness) -> None:
        self._library = library()
        self._lateness = lateness
        self._state = _Tick(late_after_ns=LATE_NS)
        for name in ("protect", "unprotect", "unprotect_rtcp"):
            setattr(self._state, name, _address(srtp.ffi.addressof(srtp.lib, f"srtp_{name}")))
        self._at = ctypes.addressof(self._state)
        self._flows: dict[int, NativeFlow] = {}
        self._impaired: list[NativeFlow] = []
        self._in_slot: list[list[NativeFlow]] = [[] for _ in range(slots)]
        self._slots = (_Slot * slots)()
        self._slots_at = [ctypes.addressof(each) for each in self._slots]
        #: what the slots point to
        self._pointers: list[Any] = [None] * slots

    def add(self, flow: NativeFlow) -> None:
        self._flows[flow.address] = flow
        self._in_slot[flow.slot].append(flow)
        if flow.fates is not None:
            self._impaired.append(flow)
        self._fill(flow.slot)

    def remove(self, flow: NativeFlow) -> None:
        del self._flows[flow.address]
        self._in_slot[flow.slot].remove(flow)
        if flow.fates is not None:
            self._impaired.remove(flow)
        self._fill(flow.slot)

    def _fill(self, index: int) -> None:
        flows, slot = self._in_slot[index], self._slots[index]
        self._pointers[index] = (ctypes.c_void_p * max(1, len(flows)))(*(flow.address for flow in flows))
        slot.flows, slot.count = ctypes.addressof(self._pointers[index]), len(flows)
        # who was next to be read may have moved
        slot.read = 0

    def collect(self) -> None:
        # from now on C counts into the other one
        read = self._state.counting & 1
        self._state.counting = 1 - read
        counts = self._state.late_counts[read]
        self._lateness.add_all(counts)
        ctypes.memset(counts, 0, ctypes.sizeof(counts))

    def close(self) -> None:
        """Nothing to let go of."""

    def take(self, flow: NativeFlow, datagram: bytes, arrived_ns: int) -> None:
        self._library.tick_take(self._at, flow.address, datagram, len(datagram), arrived_ns)
        self._heed()

    def skip(self, slot: int, periods: int) -> None:
        self._library.tick_skip(self._at, self._slots_at[slot], periods, PERIOD_NS)

    def send(self, slot: int, due_ns: int) -> None:
        self._foresee()
        self._library.tick_send(self._at, self._slots_at[slot], due_ns)

    def drain(self, slot: int, until_ns: int) -> None:
        done = False
        while not done:
            done = bool(self._library.tick_drain(self._at, self._slots_at[slot], until_ns))
            self._heed()

    def run(self, due: list[int], until_ns: int) -> None:
        """Sleep, send and read, slot after slot, without coming back to Python for each.

        Args:
            due: when each slot is to send next; moved on.
            until_ns: when to come back, monotonic; sooner after `interrupt`, or when there is much for Python to do.
        """
        self._foresee()
        for slot, due_ns in zip(self._slots, due, strict=True):
            slot.due_ns = due_ns
        self._library.tick_run(self._at, self._slots_at[0], len(due), PERIOD_NS, until_ns)
        self._state.wanted = 0
        due[:] = [slot.due_ns for slot in self._slots]
        self._heed()

    def interrupt(self) -> None:
        """Have `run` come back after the slot that it is at; on any thread."""
        self._state.wanted = 1

    def _foresee(self) -> None:
        for flow in self._impaired:
            flow.foresee()

    def _heed(self) -> None:
        """What is Python's business."""
        for event in self._state.events[: self._state.event_count]:
            flow = self._flows.get(event.flow)
            if flow is None:
                continue
            datagram = ctypes.string_at(event.data, event.size)
            if event.is_rtcp:
                flow.take_rtcp(datagram, event.arrived_ns)
            else:
                flow.hand_back(datagram, flow.remote)
