"""How far another machine's clock is from ours, from messages that went there and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ClockOffset(NamedTuple):
    """Its clock minus ours, and by how much that may be wrong at most."""

    offset_ns: int
    error_ns: int


def best(samples: Sequence[tuple[int, int, int]]) -> ClockOffset | None:
    """From (sent, seen there, back) on both clocks; None without samples.

    Of all round trips the quickest says most: the true offset lies within half of it (D. L. Mills, RFC 5905 section 8).
    """
    if not samples:
        return None
    sent, there, back = min(samples, key=lambda sample: sample[2] - sample[0])
    return ClockOffset(there - (sent + back) // 2, (back - sent + 1) // 2)


class ClockTrack:
    """One worker's clock all through a run: two clocks drift apart, by seconds in a day.

    Args:
        same_kernel: it runs on the kernel that we run on. Then its clock is ours, unless a time namespace
            (time_namespaces(7), as a restored container has) moved it.

    Attributes:
        rows: (our moment, offset, error), a further one each time it has moved by more than the errors.
    """

    def __init__(self, *, same_kernel: bool) -> None:
        self._same_kernel = same_kernel
        self._samples: list[tuple[int, int, int]] = []
        self.rows: list[tuple[int, int, int]] = []

    @property
    def known(self) -> bool:
        return bool(self.rows)

    @property
    def is_ours(self) -> bool:
        """Whether its clock is known to be the very clock that we have, so that it need not be asked again."""
        return self._same_kernel and self.known and self.rows[-1][1:] == (0, 0)

    @property
    def offset_ns(self) -> int:
        """Its clock minus ours, as of the latest measurement; 0 before any."""
        return self.rows[-1][1] if self.rows else 0

    def heard(self, sent_ns: int, there_ns: int, back_ns: int) -> None:
        """A question that left at `sent_ns` was answered at `there_ns` of its clock, and was back at `back_ns`."""
        self._samples.append((sent_ns, there_ns, back_ns))

    def settle(self, now_ns: int) -> None:
        """Draw the conclusion of what was heard since the last time."""
        found = best(self._samples)
        self._samples.clear()
        if found is None:
            return
        if self._same_kernel and abs(found.offset_ns) <= found.error_ns:
            found = ClockOffset(0, 0)
        if not self.rows or abs(found.offset_ns - self.offset_ns) > found.error_ns + self.rows[-1][2]:
            self.rows.append((now_ns, *found))
