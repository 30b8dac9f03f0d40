"""The pump: one thread that sends and receives the RTP of all peers of a worker.

How its time goes, and why:

- A period of 20 ms has four slots; a flow belongs to one of them. The first slot is filled first, so that few peers
  cost one wake-up per period; many are spread, so that none is late because of the others.
- A slot sends for all its flows and then reads; `tick` does both. Where the next slot is due by then, it sends first:
  what came bears the kernel's stamp and can wait, up to a period. So a pause of this process is made up for at the
  cost of the sending alone.
- Python that wakes after milliseconds of sleep finds its caches cold: a turn of this loop costs 0.2 ms of CPU, whether
  it carries one flow or a hundred, where a C thread's wake-up costs 0.03 ms. So where the C tick has all flows it also
  sleeps, and comes back only for what is Python's, `ASIDE_NS` apart at most: RTCP, STUN, flows that come and go.
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
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from janusload.errors import MediaError
from janusload.media import rtcp, srtp
from janusload.media.compiled import NoNativeTick
from janusload.media.consent import Consent
from janusload.media.flow import PERIOD_NS, Flow
from janusload.media.messages import TickChoice
from janusload.media.native import NativeFlow, NativeTick
from janusload.media.process import go_before_other_threads
from janusload.media.quality import Lateness, Taken
from janusload.media.tick import BUFFER_BYTES, PythonTick, Tick

SLOTS = 4
SLOT_NS = PERIOD_NS // SLOTS

#: flows that a slot gets before the next one is opened. More in one burst are late where the server shares the cores
#: and we have no real-time priority: each packet wakes a thread of Janus, which takes some 80 us and goes first
FILL = 50

#: how long the C tick may run by itself: what it hands back waits so long, as do our reports
ASIDE_NS = 50_000_000

#: reports and requests for consent between two slots: some 2 ms
CHORES_AT_ONCE = 100

#: mean interval of RTCP reports, as browsers have it for audio (RFC 3550 section 6.2: 5 s at least); the first ones are
#: closer together, each after twice the time of the one before, so that the round trip is soon known
REPORT_S = 5.0
FIRST_REPORT_S = 0.5


class Pump:
    """Runs the flows of one worker.

    Args:
        tick: a `TickChoice`.

    Attributes:
        tick: the one that was chosen, never `auto`.
        without_c: why there is no C tick where one was wanted; empty otherwise.

    Raises:
        MediaError: phase `worker`; the C tick was insisted on and cannot be had.
    """

    def __init__(self, tick: str = TickChoice.AUTO) -> None:
        self._lateness = Lateness()
        self.tick = TickChoice.PYTHON
        self.without_c = ""
        python = PythonTick(SLOTS, self._lateness)
        self._held = python.held
        self._ticks: dict[type[Flow], Tick[Any]] = {Flow: python}
        self._native: NativeTick | None = None
        #: flows that the Python tick runs
        self._in_python = 0
        if tick != TickChoice.PYTHON:
            try:
                self._native = self._ticks[NativeFlow] = NativeTick(SLOTS, self._lateness)
                self.tick = TickChoice.C
            except NoNativeTick as exc:
                if tick == TickChoice.C:
                    raise MediaError(f"no C tick: {exc}", phase="worker") from exc
                self.without_c = str(exc)
        #: flows in each slot
        self._filled = [0] * SLOTS
        #: slots that have sent since there was time to read
        self._unread: list[int] = []
        #: when each slot is to send next
        self._due = [0] * SLOTS
        self._flows: set[Flow] = set()
        #: what is to be done for flows from time to time, by when
        self._chores: list[tuple[int, int, Flow, Callable[[], None]]] = []
        self._tie = itertools.count()
        self._commands: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._stopped = False
        self._cdata = srtp.ffi.new("char[]", BUFFER_BYTES)
        self._length = srtp.ffi.new("int *")
        self._view = memoryview(srtp.ffi.buffer(self._cdata))
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self._fault: Callable[[BaseException], None] | None = None

    def start(self, on_fault: Callable[[BaseException], None]) -> None:
        """Start the thread; `on_fault` is called on it if it ends by an error of ours."""
        self._fault = on_fault
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread. Flows that were not released just stop."""
        self._stopped = True
        self._interrupt()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            for tick in self._ticks.values():
                tick.close()

    def flow(self, **options: Any) -> Flow:
        """A flow of the kind that the tick runs, from the arguments of `Flow`; `add` it then.

        With the C tick those that it cannot run are Python's; both share the period's slots.
        """
        kind = NativeFlow if self.tick is TickChoice.C and Flow.plain_with(**options) else Flow
        return kind(**options)

    def add(self, flow: Flow, early: Iterable[tuple[bytes, int | None]] = ()) -> None:
        """Take a flow's socket; `early` is what arrived before, as (datagram, Unix ns of arrival)."""
        # a copy: theirs may be empty by the time that the thread looks
        waiting = list(early)
        self._commands.append(lambda: self._add(flow, waiting))
        self._interrupt()

    def release(self, flow: Flow, released: Callable[[], None], *, silently: bool = False) -> None:
        """Say goodbye by RTCP, unless `silently`, and let go of the socket; `released` is then called on the thread."""
        self._commands.append(lambda: self._release(flow, released, silently))
        self._interrupt()

    def take_pacing(self) -> Taken:
        """How late RTP left since the last call."""
        for tick in self._ticks.values():
            tick.collect()
        return self._lateness.take()

    def _interrupt(self) -> None:
        """Have the thread look at its commands soon."""
        self._wake.set()
        if self._native is not None:
            self._native.interrupt()

    def _run(self) -> None:
        try:
            go_before_other_threads()
            epoch_ns, due = time.monotonic_ns(), self._due
            due[:] = [epoch_ns + index * SLOT_NS for index in range(SLOTS)]
            while not self._stopped:
                now = time.monotonic_ns()
                for index in range(SLOTS):
                    # a slot that was empty for a while is not late; looked at before it can get its first flow
                    if not self._filled[index] and due[index] <= now:
                        due[index] += ((now - due[index]) // PERIOD_NS + 1) * PERIOD_NS
                self._obey()
                if not self._flows:
                    self._chores.clear()
                    self._held.clear()
                    # cleared before the look at the commands, so that none is overlooked
                    self._wake.clear()
                    if not self._commands and not self._stopped:
                        self._wake.wait()
                    continue
                if self._native is not None and not self._in_python and self._held.next_ns is None:
                    self._native.run(due, now + ASIDE_NS)
                else:
                    self._turn()
                self._do_chores()
        except BaseException as exc:
            if self._fault is None:
                raise
            self._fault(exc)

    def _turn(self) -> None:
        """The next slot's turn: wait for it, send, read."""
        due = self._due
        index = min((each for each in range(SLOTS) if self._filled[each]), key=due.__getitem__)
        self._wait(due[index])
        self._send(index)
        next_ns = min(due[each] for each in range(SLOTS) if self._filled[each])
        waited = index in self._unread
        if not waited:
            self._unread.append(index)
        if next_ns <= time.monotonic_ns() and not waited:
            return
        for each in self._unread:
            for tick in self._ticks.values():
                tick.drain(each, due[index] - PERIOD_NS + SLOT_NS)
        self._unread.clear()

    def _wait(self, until_ns: int) -> None:
        """Sleep, but for what was held back and is to leave meanwhile."""
        while (next_ns := self._held.next_ns) is not None and next_ns < until_ns:
            _sleep_until(next_ns)
            self._held.release(self._flows)
        _sleep_until(until_ns)

    def _obey(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _add(self, flow: Flow, early: list[tuple[bytes, int | None]]) -> None:
        if flow.sock.fileno() < 0:
            # closed before it came to be added; its release finds nothing to do
            return
        flow.slot = next(
            (index for index in range(SLOTS) if self._filled[index] < FILL),
            min(range(SLOTS), key=self._filled.__getitem__),
        )
        self._filled[flow.slot] += 1
        self._flows.add(flow)
        self._in_python += type(flow) is Flow
        tick = self._ticks[type(flow)]
        tick.add(flow)
        for datagram, arrived_ns in early:
            tick.take(flow, datagram, arrived_ns or time.time_ns())
        if flow.tx is not None:
            self._schedule_report(flow, FIRST_REPORT_S)
        if flow.consent is not None:
            self._await_consent(flow, flow.consent)

    def _release(self, flow: Flow, released: Callable[[], None], silently: bool) -> None:
        if flow in self._flows:
            if flow.tx is not None and not silently:
                self._send_rtcp(flow, rtcp.bye(flow.ssrc))
            self._ticks[type(flow)].remove(flow)
            self._flows.remove(flow)
            self._in_python -= type(flow) is Flow
            self._filled[flow.slot] -= 1
        released()

    def _send(self, slot: int) -> None:
        """Send what is due in a slot, and move its due time on."""
        missed = (time.monotonic_ns() - self._due[slot]) // PERIOD_NS
        if missed > 0:
            self._due[slot] += missed * PERIOD_NS
        for tick in self._ticks.values():
            if missed > 0:
                tick.skip(slot, missed)
            tick.send(slot, self._due[slot])
        self._due[slot] += PERIOD_NS

    def _schedule(self, flow: Flow, pause_s: float, chore: Callable[[], None]) -> None:
        at = time.monotonic_ns() + int(pause_s * 1e9)
        heapq.heappush(self._chores, (at, next(self._tie), flow, chore))

    def _do_chores(self) -> None:
        now = time.monotonic_ns()
        # not all at once where this process was held up: packets are due meanwhile
        for _ in range(CHORES_AT_ONCE):
            if not self._chores or self._chores[0][0] > now:
                return
            *_, flow, chore = heapq.heappop(self._chores)
            if flow in self._flows:
                chore()

    def _schedule_report(self, flow: Flow, mean_s: float) -> None:
        # RFC 3550 section 6.2: between half and one and a half of the mean, so that reports do not come in step
        self._schedule(flow, mean_s * (0.5 + random.random()), lambda: self._report(flow, mean_s))

    def _report(self, flow: Flow, mean_s: float) -> None:
        self._send_rtcp(flow)
        self._schedule_report(flow, min(2 * mean_s, REPORT_S))

    def _await_consent(self, flow: Flow, consent: Consent) -> None:
        self._schedule(flow, consent.pause_s(), lambda: self._ask_consent(flow, consent))

    def _ask_consent(self, flow: Flow, consent: Consent) -> None:
        if consent.over:
            flow.on_lost()
            return
        flow.transmit(consent.ask())
        self._await_consent(flow, consent)

    def _send_rtcp(self, flow: Flow, ending: bytes = b"") -> None:
        now = time.time_ns()
        block = flow.reception.report_block(now)
        blocks = [block] if block else []
        if flow.sent != flow.sent_reported:
            flow.sent_reported = flow.sent
            # RFC 3550 section 6.4.1: the RTP time of the same instant as the NTP time, not of the last packet
            turn_ns = self._due[flow.slot] - PERIOD_NS
            sent_ns = turn_ns - (flow.every - flow.wait) * PERIOD_NS
            since_ns = time.monotonic_ns() - sent_ns
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
        flow.transmit(self._view[: self._length[0]])


def _sleep_until(moment_ns: int) -> None:
    wait_ns = moment_ns - time.monotonic_ns()
    if wait_ns > 0:
        time.sleep(wait_ns / 1e9)
