"""What the live view shows; sent about once a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from janusload.generator_watch import LEAST_LATE_MS
from janusload.load.recorder import Recorder
from janusload.load.stage import Stage
from janusload.records import HealthRecord, Outcome


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        health: the latest of each process of the generator.
        missing: names of those that are lost or say nothing.
        with_audio: whether users are to have any.
        unit: of the load, as in `creates/s`.
        request: the request under test.
        timeout_s: T.
        step: the load step in force, from 0; -1 where the shape has none.
        steps: how many there will be; 0 where that is not known beforehand.
        offered: load at the moment, on the axis of the scenario.
    """

    stage: Stage
    health: Callable[[], Sequence[HealthRecord]]
    missing: Callable[[], Sequence[str]] = lambda: ()
    unit: str = "creates/s"
    with_audio: bool = True
    timeout_s: float = 0.0
    phase: str = "setup"
    step: int = -1
    steps: int = 0
    offered: float = 0.0
    left_s: float = 0.0
    recovered_after_s: float | None = None
    rungs: dict[str, bool] = field(default_factory=dict)

    def facts(self, users: int) -> dict[str, object]:
        """Everything about the moment, as plain values."""
        recorder: Recorder = self.stage.recorder
        window = list(recorder.window)
        answered = sorted(value for value in window if value is not None)
        healths = self.health()
        return {
            "type": "progress",
            "phase": self.phase,
            "step": self.step,
            "steps": self.steps,
            "offered_per_s": self.offered,
            "unit": self.unit,
            "request": recorder.request,
            "timeout_s": self.timeout_s,
            "with_audio": self.with_audio,
            "left_s": self.left_s,
            "participants": self.stage.participants,
            "users": users,
            "p50_ms": live_quantile(answered, len(window), 0.5),
            "p95_ms": live_quantile(answered, len(window), 0.95),
            "timeouts": sum(c[Outcome.API_TIMEOUT] for c in recorder.outcomes.values()),
            "attempts": sum(sum(c.values()) for c in recorder.outcomes.values()),
            "recovered_after_s": self.recovered_after_s,
            "rungs": dict(self.rungs),
            "failures": dict(self.stage.failures),
            "processes": len(healths),
            "missing": list(self.missing()),
            # of the one that does worst
            "cpu_percent": _most(health.cpu_percent for health in healths),
            "lag_p99_ms": _most(health.lag_p99_ms for health in healths),
            "late_limit_ms": max(LEAST_LATE_MS, 10.0 * self.timeout_s),
            "schedule_lag_p99_ms": _most(health.schedule_lag_p99_ms for health in healths),
            "dropped": sum(health.dropped for health in healths),
            "exhausted": sum(health.exhausted for health in healths),
        }


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def live_quantile(answered: list[float], total: int, q: float) -> float | None:
    """Of the window, with timeouts above every answer; None where it falls among the timeouts or nothing was sent."""
    rank = math.ceil(q * total) - 1
    return answered[rank] if 0 <= rank < len(answered) else None
