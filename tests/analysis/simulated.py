"""Run folders with a known truth: what a generator would have recorded of a server whose latency law is given.

The records go through `RunFolder` and `RecordWriter`, as a real run's do, and everything random comes from one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from janusload.records import (
    HealthRecord,
    LateRecord,
    MarkerKind,
    MarkerRecord,
    MediaRecord,
    Outcome,
    ProbeRecord,
    Record,
    RequestRecord,
    Rung,
    ServerRecord,
    Source,
)
from janusload.run_folder import RunFolder

S = 1_000_000_000
START_NS = 7_000 * S

#: (offered load, seconds since the start, generator) -> service time in s; infinity for an answer that never comes
Law = Callable[[float, float, np.random.Generator], float]


def knee(at: float, share: float = 0.2) -> Law:
    """Lognormal around 40 ms; from load `at` on, a share of the requests is stalled for good."""

    def law(load: float, _t_s: float, random: np.random.Generator) -> float:
        if load >= at and random.random() < share:
            return float("inf")
        return float(random.lognormal(np.log(0.04), 0.5))

    return law


def background(share: float) -> Law:
    """Lognormal around 40 ms, and at every load the same share of requests lost."""
    return knee(0.0, share)


def always_out(_load: float, _t_s: float, _random: np.random.Generator) -> float:
    return float("inf")


@dataclass
class Simulated:
    """A run to be written; the defaults are a plain run with three quiet and two bad steps.

    Attributes:
        loads: offered requests per second, step by step.
        step_s: length of a step.
        law: the server.
        late: whether answers after T are recorded as late.
        rungs: rung -> (seconds since the start) -> whether it answers then; absent rungs are not asked.
        recovery_s: length of the recovery leg, 0 without one.
        outcome: attempt number, due second -> an outcome that overrules the law, or None.
        end: `run.end` of meta; None for a run that was killed.
        extra: any further records.
    """

    loads: Iterable[float] = (50, 100, 150, 200, 250)
    step_s: float = 12.0
    settle_s: float = 2.0
    timeout_s: float = 2.0
    law: Law = field(default_factory=lambda: knee(200))
    seed: int = 1
    late: bool = True
    rungs: dict[Rung, Callable[[float], bool]] = field(default_factory=dict)
    recovery_s: float = 10.0
    outcome: Callable[[int, float], Outcome | None] = lambda _attempt, _t_s: None
    end: str | None = "completed"
    extra: list[Record] = field(default_factory=list)
    analysis: dict[str, Any] = field(default_factory=dict)
    lab: dict[str, Any] | None = None

    def write(self, path: Path) -> RunFolder:
        """Write the run's folder."""
        folder = RunFolder.create(path)
        loads = list(self.loads)
        run = {"id": "r1", "name": "simulated", "started_utc": "2026-11-22T11:40:00Z", "where": "nowhere"}
        if self.end is not None:
            run |= {"end": self.end, "ended_utc": "2026-11-22T11:41:00Z"}
        folder.write_meta(
            run=run,
            clock={"monotonic_ns": START_NS, "utc": "2026-11-22T11:40:00Z"},
            analysis={
                "request": "janus.create",
                "axis": "janus.create per second",
                "timeout_s": self.timeout_s,
                "p0": 0.01,
                "quantile": 0.95,
                "alpha": 0.05,
                "settle_s": self.settle_s,
                "steps": [{"index": k, "offered": load} for k, load in enumerate(loads)],
                **self.analysis,
            },
            scenario={"name": "simulated", "asks": "does it work?", "text": "[shape]"},
            versions={"janusload": "0"},
            lab=self.lab,
            seed=self.seed,
        )
        writer = folder.writer("load")
        for number, record in enumerate(self.records()):
            writer.write(record)
            if number % 1000 == 999:
                writer.flush()
        writer.close()
        return folder

    def records(self) -> Iterable[Record]:
        """All records of the run."""
        loads = list(self.loads)
        off_s = self.step_s * len(loads)
        yield MarkerRecord(START_NS, MarkerKind.PHASE, label="steps")
        yield from self._arrivals(loads)
        if self.recovery_s:
            yield MarkerRecord(ns(off_s), MarkerKind.PHASE, label="recovery")
        end_s = off_s + self.recovery_s
        if self.end is not None:
            yield MarkerRecord(ns(end_s), MarkerKind.PHASE, label="end")
        for t_s in np.arange(0.5, end_s, 1.0).tolist():
            yield HealthRecord(ns(t_s), "load", 30.0, 1, 1, lag_p99_ms=1.0, schedule_lag_p99_ms=0.5)
            for rung, answers in self.rungs.items():
                yield probe(rung, t_s, answers(t_s))
        yield from self.extra

    def _arrivals(self, loads: list[float]) -> Iterable[Record]:
        random = np.random.default_rng(self.seed)
        attempt = 0
        for step, load in enumerate(loads):
            begin_s = step * self.step_s
            count = round(load * self.step_s)
            yield MarkerRecord(ns(begin_s), MarkerKind.STEP_BEGIN, step, value=float(load))
            for due_s in (begin_s + np.arange(count) / load).tolist():
                service_s = self.law(load, due_s, random)
                yield from self._attempt(attempt, step, due_s, service_s)
                attempt += 1
            yield MarkerRecord(ns(begin_s + self.step_s), MarkerKind.STEP_END, step, value=float(count))

    def _attempt(self, attempt: int, step: int, due_s: float, service_s: float) -> Iterable[Record]:
        sent_s = due_s + 0.0002
        forced = self.outcome(attempt, due_s)
        in_time = service_s <= self.timeout_s
        outcome = forced or (Outcome.OK if in_time else Outcome.API_TIMEOUT)
        written = outcome not in (Outcome.DROPPED, Outcome.CONNECT_FAILED)
        answered = outcome in (Outcome.OK, Outcome.API_ERROR)
        yield RequestRecord(
            attempt,
            "janus.create",
            Source.ARRIVALS,
            step,
            ns(due_s),
            ns(sent_s) if written else None,
            ns(sent_s + min(service_s, self.timeout_s)) if answered else None,
            self.timeout_s,
            outcome,
            layer="janus" if outcome is Outcome.API_ERROR else "",
            code=458 if outcome is Outcome.API_ERROR else None,
            phase="tcp" if outcome is Outcome.CONNECT_FAILED else "",
            user=f"arrivals-{attempt % 20}",
        )
        if outcome is Outcome.API_TIMEOUT and self.late and np.isfinite(service_s):
            yield LateRecord(attempt, "janus.create", ns(sent_s), ns(sent_s + service_s))


def ns(t_s: float) -> int:
    """A moment of the run on its monotonic clock."""
    return START_NS + round(t_s * 1e9)


def probe(rung: Rung, t_s: float, answers: bool, deadline_s: float = 1.0) -> ProbeRecord:
    """A question of the ladder that is answered after 5 ms, or never."""
    return ProbeRecord(rung, ns(t_s), ns(t_s + 0.005) if answers else None, deadline_s, answers)


def server(t_s: float, state: str = "S", cpu_percent: float | None = 10.0) -> ServerRecord:
    """A reading of the server."""
    return ServerRecord(ns(t_s), cpu_percent, 0.0, 50_000_000, 40_000_000, 10_000_000, 20, 60, state)


def peer(name: str, t_s: float, received: int, state: str = "connected", lost: int = 0) -> MediaRecord:
    """A report of one peer that has sent as much as it has received."""
    return MediaRecord(
        ns(t_s), name, 0, state, received, received, received * 80, received * 80, lost, 0, 1.5, 3.0, 0.0, 120.0
    )
