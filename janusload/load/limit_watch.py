"""Limits that end a run as soon as they are crossed, judged while it goes over a window that slides."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence

from janusload.records import Outcome, RequestRecord, Source
from janusload.scenario import Scenario
from janusload.scenario.limits import Limit

#: fewer attempts in the window than this are not judged
_LEAST = 20

#: how often a limit is judged
_JUDGE_EVERY_S = 0.5


#: which of the limits, the latency in ms (infinite without an answer), and the outcome of one attempt
Row = tuple[int, float, str]


class LimitWatch:
    """The limits with `abort` among some.

    In a run on several processes each of them has one to sort its attempts with (`rows_of`), and the master one to
    judge by what they send (`take_rows`).

    Args:
        limits: any; those without `abort` are left to the analysis.
        request: the request under test.
        source: whose attempts count for it: those of the stream, or of the users where there is none.
    """

    def __init__(self, limits: Sequence[Limit], request: str, source: str) -> None:
        self._watched = [_Watched(limit, limit.request or request) for limit in limits if limit.abort]
        self._request = request
        self._source = source
        self._next_s = 0.0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to watch."""
        return not self._watched

    def take(self, record: RequestRecord) -> None:
        """To be called with every request that has ended."""
        self.take_rows(self.rows_of(record))

    def rows_of(self, record: RequestRecord) -> list[Row]:
        """What the record means to each limit that it counts for."""
        if record.name == self._request and record.source != self._source:
            return []
        latency_ms = math.inf if record.answered_ns is None else (record.answered_ns - record.due_ns) / 1e6
        return [
            (number, latency_ms, str(record.outcome))
            for number, watched in enumerate(self._watched)
            if record.name == watched.request
        ]

    def take_rows(self, rows: Iterable[Row]) -> None:
        """What `rows_of` said, here or in another process, of attempts that have ended just now."""
        now_ns = time.monotonic_ns()
        for number, latency_ms, outcome in rows:
            self._watched[number].ended.append((now_ns, latency_ms, outcome))

    def crossed(self) -> str:
        """That a limit is crossed now, which, and by which value; empty if none is."""
        if time.monotonic() < self._next_s:
            return ""
        self._next_s = time.monotonic() + _JUDGE_EVERY_S
        for watched in self._watched:
            value = watched.value(time.monotonic_ns())
            if value is not None and not watched.limit.holds(value):
                return f"limit crossed: {watched.limit.text}: {_words(watched.limit, value)}"
        return ""


def watch_of(scenario: Scenario) -> LimitWatch:
    """The watch over a scenario's limits."""
    stream = scenario.stream
    request = stream.request if stream is not None else "janus.create"
    return LimitWatch(scenario.limits, request, Source.ARRIVALS if stream is not None else Source.USERS)


class _Watched:
    """One limit and the attempts of its window: (when it ended, latency in ms or infinity, outcome)."""

    def __init__(self, limit: Limit, request: str) -> None:
        self.limit = limit
        self.request = request
        self.ended: deque[tuple[int, float, str]] = deque()

    def value(self, now_ns: int) -> float | None:
        """What the window comes to; None if it holds too little."""
        assert self.limit.over_s is not None
        while self.ended and self.ended[0][0] < now_ns - self.limit.over_s * 1e9:
            self.ended.popleft()
        judged = [(latency, outcome) for _, latency, outcome in self.ended if outcome != Outcome.CUT]
        if self.limit.kind == "latency":
            quantile = int(self.limit.quantile[1:]) / 100
            known = sorted(latency for latency, outcome in judged if outcome in _ANSWERED_OR_NOT)
            if len(known) < max(_LEAST, math.ceil(1 / (1 - quantile) - 1e-9)):
                return None
            return known[math.ceil(quantile * len(known)) - 1]
        counted = [outcome for _, outcome in judged if self.limit.outcome != "timeout" or outcome in _ANSWERED_OR_NOT]
        if len(counted) < _LEAST:
            return None
        return sum(outcome in _BAD[self.limit.outcome] for outcome in counted) / len(counted)


_ANSWERED_OR_NOT = (Outcome.OK, Outcome.API_ERROR, Outcome.API_TIMEOUT)
_BAD = {
    "timeout": (Outcome.API_TIMEOUT,),
    "error": (Outcome.API_ERROR,),
    "failure": tuple(outcome for outcome in Outcome if outcome is not Outcome.OK),
}


def _words(limit: Limit, value: float) -> str:
    if limit.kind == "rate":
        return f"{value * 100:.3g} %"
    return "no answer in time" if math.isinf(value) else f"{value:.4g} ms"
