"""Limits that end a run as soon as they are crossed, judged while it goes over a window that slides."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence

from janusload.records import Outcome, RequestRecord
from janusload.scenario.limits import Limit

#: fewer attempts in the window than this are not judged
_LEAST = 20

#: how often a limit is judged
_JUDGE_EVERY_S = 0.5


class LimitWatch:
    """The limits with `abort` among some.

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
        for watched in self._watched:
            if record.name == watched.request and (record.name != self._request or record.source == self._source):
                watched.take(record)

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


class _Watched:
    """One limit and the attempts of its window: (when it ended, latency in ms or infinity, outcome)."""

    def __init__(self, limit: Limit, request: str) -> None:
        self.limit = limit
        self.request = request
        self._ended: deque[tuple[int, float, str]] = deque()

    def take(self, record: RequestRecord) -> None:
        latency_ms = math.inf if record.answered_ns is None else (record.answered_ns - record.due_ns) / 1e6
        self._ended.append((time.monotonic_ns(), latency_ms, record.outcome))

    def value(self, now_ns: int) -> float | None:
        """What the window comes to; None if it holds too little."""
        assert self.limit.over_s is not None
        while self._ended and self._ended[0][0] < now_ns - self.limit.over_s * 1e9:
            self._ended.popleft()
        judged = [(latency, outcome) for _, latency, outcome in self._ended if outcome != Outcome.CUT]
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
