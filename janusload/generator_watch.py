"""Whether the generator itself is the limit while a run goes (measurement.md section 4): then what is measured at the
moment is not the server's doing, and no step of that time counts.

Pure: told once a second what the load process says of itself, it never reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

CPU_LIMIT_PERCENT = 90.0
#: later than this at p99, latencies hold the generator's own delay; or than 1 % of T, where that is more
LEAST_LATE_MS = 10.0

#: so many seconds in a row make a state: one garbage collection is none
IN_A_ROW = 4


def troubles(progress: Mapping[str, Any]) -> list[str]:
    """Why the generator does not keep up at the moment, in words; empty if it does.

    Arrivals that were dropped are not among them: nobody takes them either while the server has no connection for them.
    """
    found = []
    late_ms = max(progress.get("lag_p99_ms") or 0.0, progress.get("schedule_lag_p99_ms") or 0.0)
    if late_ms > (progress.get("late_limit_ms") or LEAST_LATE_MS):
        found.append(f"{late_ms:.0f} ms late")
    if (cpu_percent := progress.get("cpu_percent") or 0.0) > CPU_LIMIT_PERCENT:
        found.append(f"{cpu_percent:.0f} % of a core")
    if progress.get("exhausted"):
        found.append("out of open files, ports or buffers")
    return found


class Limited(NamedTuple):
    """Since when the generator is the limit (monotonic), and why at the time when that was said."""

    since_ns: int
    why: str


class GeneratorWatch:
    """Told of the progress, it knows whether the generator is the limit.

    Attributes:
        limited: since when and why; None while it keeps up.
    """

    def __init__(self) -> None:
        self.limited: Limited | None = None
        self._since_ns: int | None = None
        self._differs = 0

    def take(self, progress: Mapping[str, Any], now_ns: int) -> None:
        """What the load process said; a state changes after `IN_A_ROW` messages that speak against it."""
        found = troubles(progress)
        if bool(found) is (self.limited is not None):
            self._differs, self._since_ns = 0, None
            return
        self._differs += 1
        self._since_ns = now_ns if self._since_ns is None else self._since_ns
        if self._differs >= IN_A_ROW:
            self.limited = Limited(self._since_ns, ", ".join(found)) if found else None
            self._differs, self._since_ns = 0, None
