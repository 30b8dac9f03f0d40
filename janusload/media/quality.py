"""Quality of what was received and sent: RFC 3550's arithmetic, without I/O.

`Reception` is called once per packet and peer, 50 times a second and peer: it keeps to integers and slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from janusload.media import rtcp
from janusload.records import PACING_LIMIT_MS

#: RFC 3550 appendix A.1
MAX_DROPOUT = 3000
MAX_MISORDER = 100


class Reception:
    """One source as it is received: sequence (RFC 3550 A.1), loss (A.3), jitter (A.8).

    A source that starts over (another SSRC, or a jump of its sequence numbers that is no loss) begins a new stretch;
    the losses of the stretches before are kept.

    Attributes:
        ssrc: of the stretch; None before the first packet.
        received: packets of all stretches.
        first_ns: when the very first packet arrived; 0 before.
    """

    __slots__ = (
        "_base",
        "_cycles",
        "_expected_prior",
        "_in_stretch",
        "_jitter_known",
        "_jitter_x16",
        "_lost_before",
        "_max",
        "_received_prior",
        "_resync",
        "_transit",
        "clock_rate",
        "first_ns",
        "received",
        "sender_ns",
        "sender_ntp",
        "ssrc",
    )

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.ssrc: int | None = None
        self.received = 0
        self.first_ns = 0
        self.sender_ntp = 0
        self.sender_ns = 0
        self._lost_before = 0
        self._base = self._max = self._cycles = self._in_stretch = 0
        self._expected_prior = self._received_prior = 0
        self._resync = -1
        self._transit = 0
        self._jitter_x16 = 0
        self._jitter_known = False

    def packet(self, ssrc: int, sequence: int, timestamp: int, arrived_ns: int) -> None:
        """Take an authenticated packet; `arrived_ns` is the kernel's stamp, of any clock that runs evenly."""
        self.received += 1
        if ssrc != self.ssrc:
            self.first_ns = self.first_ns or arrived_ns
            self._begin(ssrc, sequence)
        else:
            ahead = (sequence - self._max) & 0xFFFF
            if ahead < MAX_DROPOUT:
                if sequence < self._max:
                    self._cycles += 0x10000
                self._max = sequence
            elif ahead <= 0x10000 - MAX_MISORDER:
                # a jump: believed when the next packet follows it (A.1), else a stray
                if sequence != self._resync:
                    self._resync = (sequence + 1) & 0xFFFF
                    self.received -= 1
                    return
                self._begin(ssrc, sequence)
        self._in_stretch += 1
        # A.8 in integers: transit and its difference in clock units, modulo 2**32 as timestamps are
        transit = (arrived_ns * self.clock_rate // 1_000_000_000 - timestamp) & 0xFFFFFFFF
        if self._in_stretch > 1:
            difference = (transit - self._transit) & 0xFFFFFFFF
            if difference & 0x80000000:
                difference = 0x100000000 - difference
            self._jitter_x16 += difference - ((self._jitter_x16 + 8) >> 4)
            self._jitter_known = True
        self._transit = transit

    def _begin(self, ssrc: int, sequence: int) -> None:
        self._lost_before = self.lost
        self.ssrc = ssrc
        self._base = self._max = sequence
        self._cycles = self._in_stretch = 0
        self._expected_prior = self._received_prior = 0
        self._resync = -1
        # the far end has reported on the source before, not on this one
        self.sender_ntp = self.sender_ns = 0

    @property
    def highest(self) -> int:
        """Extended highest sequence number of the stretch."""
        return self._cycles + self._max

    @property
    def lost(self) -> int:
        """Packets that never came (A.3), of all stretches; duplicates do not make it negative."""
        if self.ssrc is None:
            return 0
        return self._lost_before + max(0, self.highest - self._base + 1 - self._in_stretch)

    @property
    def jitter_ms(self) -> float | None:
        """Interarrival jitter (section 6.4.1); None before the second packet."""
        return self._jitter_x16 * 1000 / (16 * self.clock_rate) if self._jitter_known else None

    def sender_report(self, ssrc: int, ntp_middle: int, arrived_ns: int) -> None:
        """Remember the far end's sender report, to be named in the next report block."""
        if ssrc == self.ssrc:
            self.sender_ntp, self.sender_ns = ntp_middle, arrived_ns

    def report_block(self, now_ns: int) -> rtcp.ReportBlock | None:
        """The next report block (section 6.4.1, fraction lost as in A.3); None before the first packet."""
        if self.ssrc is None:
            return None
        expected = self.highest - self._base + 1
        in_interval = expected - self._expected_prior
        lost_in_interval = in_interval - (self._in_stretch - self._received_prior)
        self._expected_prior, self._received_prior = expected, self._in_stretch
        fraction = min(255, (lost_in_interval << 8) // in_interval) if in_interval and lost_in_interval > 0 else 0
        delay = (now_ns - self.sender_ns) * 65536 // 1_000_000_000 if self.sender_ntp else 0
        return rtcp.ReportBlock(
            self.ssrc,
            fraction,
            expected - self._in_stretch,
            self.highest,
            self._jitter_x16 >> 4,
            self.sender_ntp,
            max(0, delay),
        )


class Taken(NamedTuple):
    """How late things were over an interval.

    Attributes:
        p99_ms: the 99th percentile, rounded up to a step; None if there was nothing.
        due: how many there were.
        late: how many of them were later than `PACING_LIMIT_MS`.
    """

    p99_ms: float | None
    due: int
    late: int


class Lateness:
    """How much too late things happened, over an interval: a histogram in steps of 0.1 ms up to 100 ms."""

    STEP_NS = 100_000
    _STEPS = 1000

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = [0] * (self._STEPS + 1)

    def add(self, late_ns: int, count: int = 1) -> None:
        """Count `count` things that were `late_ns` late; early ones count as in time."""
        self._counts[min(self._STEPS, max(0, late_ns) // self.STEP_NS)] += count

    def add_each(self, late_ns: Iterable[int]) -> None:
        """Count each of these."""
        counts, most = self._counts, self._STEPS
        for each in late_ns:
            step = each // self.STEP_NS
            counts[step if 0 <= step < most else 0 if step < 0 else most] += 1

    def add_all(self, counts: Sequence[int]) -> None:
        """Count what was counted elsewhere in the same steps."""
        for step, count in enumerate(counts):
            if count:
                self._counts[step] += count

    def take(self) -> Taken:
        """What there was, and begin anew."""
        counts, self._counts = self._counts, [0] * (self._STEPS + 1)
        total = sum(counts)
        if not total:
            return Taken(None, 0, 0)
        rank = -(-total * 99 // 100)
        seen = 0
        step = 0
        while seen < rank:
            seen += counts[step]
            step += 1
        return Taken(step * self.STEP_NS / 1e6, total, sum(counts[_LIMIT_STEP:]))


_LIMIT_STEP = int(PACING_LIMIT_MS * 1e6) // Lateness.STEP_NS
