"""Which load comes next, given what became of the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping

from janusload.pacing import Leg, Search
from janusload.records import Outcome
from janusload.scenario import Scenario, shapes

#: z of the lower bound by which a step is called bad while the run goes (measurement.md section 3, m = 12)
_Z_BAD = 2.64


class Course:
    """The legs of a scenario, one after the other.

    Attributes:
        counts_steps: whether each leg is a step that is counted by itself (else the analysis cuts bins).
        ended_early: why there is no further leg although there would have been one; empty if that is not so.
    """

    def __init__(self, scenario: Scenario) -> None:
        shape = scenario.shape
        self._shape = shape
        self._legs = scenario.legs()
        self._at = 0
        self._bad_in_a_row = 0
        self._settle_s = scenario.settle_s
        self._stream_rate = scenario.stream_rate
        self._search = _search(shape) if isinstance(shape, shapes.Search) else None
        self.counts_steps = isinstance(shape, shapes.Steps | shapes.Search | shapes.Spike)
        self.ended_early = ""

    @property
    def planned(self) -> int:
        """How many legs there will be at most; of a search: how many its growing part has."""
        return len(self._legs)

    @property
    def searches(self) -> bool:
        """Whether each load follows from the answers to the ones before."""
        return self._search is not None

    @property
    def settles(self) -> bool:
        """Whether the server is to come back before the next leg."""
        return self._search is not None and self._search.bad is not None

    def next(self, was_bad: bool) -> Leg | None:
        """The next leg; None at the end.

        Args:
            was_bad: whether the one before was credibly bad; False before the first.
        """
        if self._search is not None:
            return self._next_of_search(self._search, was_bad)
        self._bad_in_a_row = self._bad_in_a_row + 1 if was_bad else 0
        if self._bad_in_a_row >= 2 and isinstance(self._shape, shapes.Steps):
            if self._at < len(self._legs):
                self.ended_early = "two bad steps in a row: the climb ends here"
            return None
        if self._at == len(self._legs):
            return None
        self._at += 1
        return self._legs[self._at - 1]

    def _next_of_search(self, search: Search, was_bad: bool) -> Leg | None:
        assert isinstance(self._shape, shapes.Search)
        load = search.next(was_bad)
        if load is None:
            return None
        return Leg(load, load, self._shape.lasts(self._stream_rate or load, self._settle_s))


def _search(shape: shapes.Search) -> Search:
    return Search(shape.begin.value, shape.at_most.value, grow=shape.grow, within=shape.within, whole=shape.begin.users)


def is_bad(counts: Mapping[str, int], tolerated: float) -> bool:
    """Whether timeouts are credibly above what is tolerated: the lower Wilson bound, as the analysis will have it."""
    timeouts = counts.get(Outcome.API_TIMEOUT, 0)
    n = timeouts + counts.get(Outcome.OK, 0) + counts.get(Outcome.API_ERROR, 0)
    if n == 0:
        return False
    z, p = _Z_BAD, timeouts / n
    lower = (p + z * z / (2 * n) - z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    return lower > tolerated
