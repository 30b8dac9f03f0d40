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
