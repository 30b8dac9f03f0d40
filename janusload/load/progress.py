"""What the live view shows; sent about once a second."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from janusload.generator_watch import LEAST_LATE_MS
from janusload.load.recorder import Recorder
from janusload.load.stage import Stage
from janusload.records import HealthRecord, Outcome


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        timeout_s: T.
        offered: load at the moment, on the axis of the scenario.
    """

    stage: Stage
    health: Callable[[], HealthRecord | None]
    by_users: bool = False
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
        health = self.health()
        return {
            "type": "progress",
            "phase": self.phase,
            "step": self.step,
            "steps": self.steps,
            "offered_per_s": self.offered,
            "by_users": self.by_users,
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
            "cpu_percent": health.cpu_percent if health else None,
            "lag_p99_ms": health.lag_p99_ms if health else None,
            "late_limit_ms": max(LEAST_LATE_MS, 10.0 * self.timeout_s),
            "schedule_lag_p99_ms": health.schedule_lag_p99_ms if health else None,
            "dropped": health.dropped if health else 0,
            "exhausted": health.exhausted if health else 0,
        }


def live_quantile(answered: list[float], total: int, q: float) -> float | None:
    """Of the window, with timeouts above every answer; None where it falls among the timeouts or nothing was sent."""
    rank = math.ceil(q * total) - 1
    return answered[rank] if 0 <= rank < len(answered) else None
