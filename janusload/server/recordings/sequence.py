"""What the RTP sequence numbers of a stream say: missing, duplicated, reordered, in memory that does not grow.

Numbers are extended to 64 bits by their differences (RFC 3550 A.1): a difference beyond MAX_DROPOUT is a jump, after
which counting begins anew, because a sender that starts over has lost nothing. Numbers become final once the highest
one is WINDOW ahead; until then a late packet still fills its gap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

#: RFC 3550 A.1
MAX_DROPOUT = 3000
#: how far behind the highest number a packet still counts as reordered rather than as foreign
WINDOW = 4096
#: gaps that are kept one by one; further ones are only counted
GAPS_KEPT = 1000
#: jumps that are followed; a file with more is hostile or no recording of one stream
JUMPS_FOLLOWED = 10_000


class Gap(NamedTuple):
    """`packets` packets in a row that are missing, the first of them `sequence` (16 bits, as on the wire)."""

    sequence: int
    packets: int


class SequenceAudit:
    """Takes sequence numbers in the order of arrival, in chunks of any size; `finish` before reading the counts.

    Attributes:
        packets: numbers taken.
        missing, duplicated, reordered: reordered ones came after a higher one, and are neither missing nor duplicated.
        stale: came more than WINDOW behind the highest: neither missing nor known to be duplicates.
        jumps: changes by more than MAX_DROPOUT.
        gaps: the first GAPS_KEPT; `gap_count` counts all.
        first, last: sequence numbers as on the wire; None before the first packet. `last` is the highest one.
        expected: how many numbers lie between the first and the highest, jumps left out.
    """

    def __init__(self) -> None:
        self.packets = 0
        self.missing = 0
        self.duplicated = 0
        self.reordered = 0
        self.stale = 0
        self.jumps = 0
        self.gap_count = 0
        self.gaps: list[Gap] = []
        self.first: int | None = None
        self.last: int | None = None
        self.expected = 0
        self._at: int | None = None  # extended number of the packet before
        self._highest = 0
        self._open: Numbers = np.empty(0, np.int64)  # not yet final, sorted
        self._final = 0  # the highest number that is final

    def take(self, sequence: Numbers) -> None:
        """Sequence numbers 0..65535 of packets in the order in which they were received."""
        if not len(sequence):
            return
        sequence = sequence.astype(np.int64)
        self.packets += len(sequence)
        if self._at is None:
            self.first = int(sequence[0])
            self._begin(int(sequence[0]))
        assert self._at is not None
        steps = np.diff(sequence, prepend=self._at & 0xFFFF)
        steps = (steps + 0x8000) % 0x10000 - 0x8000
        jumps = np.flatnonzero(np.abs(steps) > MAX_DROPOUT)
        if self.jumps + len(jumps) > JUMPS_FOLLOWED:
            self.jumps += len(jumps)
            self.stale += len(sequence)
            self._at = (self._at & ~0xFFFF) | int(sequence[-1])
            return
        begin = 0
        for jump in jumps.tolist():
            self._segment(steps[begin:jump])
            self.jumps += 1
            self._settle(None)
            self._begin(int(sequence[jump]))
            steps[jump] = 0
            begin = jump
        self._segment(steps[begin:])

    def finish(self) -> None:
        """No more packets: what is missing now stays missing."""
        if self._at is not None:
            self._settle(None)

    def _begin(self, sequence: int) -> None:
        self._at = sequence
        self._highest = sequence - 1
        self._final = sequence - 1
        self._open = np.empty(0, np.int64)
        self.last = sequence

    def _segment(self, steps: Numbers) -> None:
        if not len(steps) or self._at is None:
            return
        numbers = self._at + np.cumsum(steps)
        self._at = int(numbers[-1])
        ahead = np.maximum.accumulate(np.append(self._highest, numbers))
        behind = numbers < ahead[:-1]
        self._highest = int(ahead[-1])
        self.last = self._highest & 0xFFFF
        fresh = numbers > self._final
        self.stale += int(np.count_nonzero(~fresh))
        together, first_at = np.unique(np.concatenate([self._open, numbers[fresh]]), return_index=True)
        duplicated = len(self._open) + int(np.count_nonzero(fresh)) - len(together)
        self.duplicated += duplicated
        # a number that is new and came after a higher one was reordered; a second copy of it is a duplicate only
        new = first_at[first_at >= len(self._open)] - len(self._open)
        self.reordered += int(np.count_nonzero(behind[fresh][new]))
        self._open = together
        self._settle(self._highest - WINDOW)

    def _settle(self, up_to: int | None) -> None:
        """Make everything up to a number final; None: everything."""
        count = len(self._open) if up_to is None else int(np.searchsorted(self._open, up_to, side="right"))
        if not count:
            return
        final = self._open[:count]
        self._open = self._open[count:]
        around = np.concatenate([[self._final], final])
        holes = np.diff(around) - 1
        at = np.flatnonzero(holes > 0)
        self.missing += int(holes.sum())
        self.gap_count += len(at)
        for index in at[: GAPS_KEPT - len(self.gaps)].tolist():
            self.gaps.append(Gap(int(around[index] + 1) & 0xFFFF, int(holes[index])))
        self.expected += int(final[-1]) - self._final
        self._final = int(final[-1])
