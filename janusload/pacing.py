"""Pure schedules: when arrival k is due. Reads no clock, so that offered load can be proved without running it."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import NamedTuple


class Plateau(NamedTuple):
    """Load that stays the same for a while: `rate_per_s` arrivals a second for `duration_s` seconds."""

    rate_per_s: float
    duration_s: float

    @property
    def arrivals(self) -> int:
        """How many arrivals are due in it: those at j / rate for every j with j / rate < duration."""
        exact = self.rate_per_s * self.duration_s
        whole = round(exact)
        # 49.99999999999999 is 50 that went through a division
        return whole if abs(exact - whole) < 1e-6 else int(exact) + 1


class Schedule:
    """Evenly spaced arrivals over a row of plateaus.

    Arrival k (from 0) is due `due_s(k)` seconds after the start; within a plateau they are 1 / rate apart, the first
    of each at its very beginning.
    """

    def __init__(self, plateaus: Sequence[Plateau]) -> None:
        if not plateaus or any(p.rate_per_s <= 0 or p.duration_s <= 0 for p in plateaus):
            raise ValueError("a schedule needs plateaus with a rate and a duration above 0")
        self.plateaus = tuple(plateaus)
        self._first = [0, *itertools.accumulate(p.arrivals for p in plateaus)]
        self._begin_s = [0.0, *itertools.accumulate(p.duration_s for p in plateaus)]

    def __len__(self) -> int:
        return self._first[-1]

    @property
    def duration_s(self) -> float:
        return self._begin_s[-1]

    def begin_s(self, step: int) -> float:
        """When plateau `step` begins; `begin_s(len(plateaus))` is the end of the schedule."""
        return self._begin_s[step]

    def step_of(self, k: int) -> int:
        """The plateau in which arrival k is due."""
        if not 0 <= k < len(self):
            raise IndexError(k)
        return bisect.bisect_right(self._first, k) - 1

    def due_s(self, k: int) -> float:
        """When arrival k is due, in seconds after the start."""
        step = self.step_of(k)
        return self._begin_s[step] + (k - self._first[step]) / self.plateaus[step].rate_per_s
