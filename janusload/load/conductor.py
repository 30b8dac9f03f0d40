"""Leads a run through its phases: setup, joining, steps, recovery, leaving.

The recovery leg comes after any load: the stream stops, the ladder goes on asking. Back within seconds is overload; if
the server stays silent the users leave too, and what does not come back then is stuck.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import gevent
import gevent.event

from janusload.errors import JanusloadError
from janusload.load.arrivals import Arrivals
from janusload.load.health import Health
from janusload.load.probes import Ladder
from janusload.load.recorder import Recorder
from janusload.load.stage import Announce, Stage
from janusload.pacing import Schedule
from janusload.records import MarkerKind, Outcome, ProbeRecord, Rung
from janusload.scenario import Scenario

#: the server is back with so many good answers of each deciding rung in a row; the first of them is the moment
GOOD_IN_A_ROW = 3

#: how long all users together may take to join, beyond the time that spawning them takes
JOIN_WITHIN_S = 20.0


class Stopped(Exception):
    """Somebody wants the run to end now; not an error."""


@dataclass
class Progress:
    """What the live view shows; sent about once a second."""

    phase: str = "setup"
    step: int = -1
    steps: int = 0
    offered_per_s: float = 0.0
    left_s: float = 0.0
    recovered_after_s: float | None = None
    rungs: dict[str, bool] = field(default_factory=dict)


class Conductor:
    """Runs one scenario on a stage.

    Args:
        spawn: begins the users; `leave` ends them orderly. Both belong to Locust's runner.
        announce: takes progress as a dict of plain values, about once a second.
        stop: set when the run is to end orderly, from whichever phase it is in.
    """

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        health: Health,
        ladder: Ladder,
        arrivals: Arrivals | None,
        *,
        spawn: Callable[[], None],
        leave: Callable[[], None],
        announce: Announce,
        stop: gevent.event.Event,
    ) -> None:
        self.scenario = scenario
        self.stage = stage
        self.health = health
        self.ladder = ladder
        self.arrivals = arrivals
        self.progress = Progress(steps=len(scenario.shape.rates) if scenario.shape else 0)
        self._spawn = spawn
        self._leave = leave
        self._announce = announce
        self._stop = stop
        self._good: dict[str, list[ProbeRecord]] = {}
        self._count_from_ns = 0

    @property
    def recorder(self) -> Recorder:
        return self.stage.recorder

    def probed(self, record: ProbeRecord) -> None:
        """To be called with every answer of the ladder."""
        self.progress.rungs[record.rung] = record.ok
        row = self._good.setdefault(record.rung, [])
        if record.due_ns < self._count_from_ns:
            return
        if record.ok:
            row.append(record)
        else:
            row.clear()

    def run(self) -> str:
        """Go through the phases; returns how it ended: `completed` or `interrupted`.

        Raises:
            JanusloadError: it could not go on; everything was brought to an end all the same.
        """
        announcer = gevent.spawn(self._announce_each_second)
        try:
            with self._users():
                if self.arrivals is None:
                    self._phase("steady")
                    self._pause(self.scenario.run_time or 0.0)
                else:
                    self._climb(self.arrivals)
                    self._recover()
            return "completed"
        except Stopped:
            return "interrupted"
        finally:
            self._phase("end")
            announcer.kill()
            self._tell()

    # -- phases -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _users(self) -> Iterator[None]:
        try:
            if self.scenario.users:
                self._phase("joining")
                self._spawn()
                self._join()
            yield
        finally:
            self._phase("leaving")
            self.stage.leaving.set()
            self._leave()

    def _join(self) -> None:
        wanted = self.scenario.user_count
        slowest_s = max(group.count / group.spawn_rate for group in self.scenario.users)
        deadline = time.monotonic() + slowest_s + JOIN_WITHIN_S
        while self.stage.participants < wanted:
            if time.monotonic() > deadline:
                self.recorder.mark(
                    MarkerKind.NOTE, label=f"only {self.stage.participants} of {wanted} users joined", value=wanted
                )
                return
            self._pause(0.1)

    def _climb(self, arrivals: Arrivals) -> None:
        schedule = self.scenario.schedule()
        assert schedule is not None
        arrivals.open()
        self._phase("steps")
        started_ns = time.monotonic_ns() + 50_000_000
        end_s = [schedule.duration_s]
        sender = gevent.spawn(arrivals.run, started_ns, lambda: end_s[0])
        try:
            bad_in_a_row = 0
            for step, plateau in enumerate(schedule.plateaus):
                begin_ns = started_ns + round(schedule.begin_s(step) * 1e9)
                self.recorder.begin_step(step, begin_ns)
                self._wait_until(begin_ns, schedule, step)
                self.progress.step, self.progress.offered_per_s = step, plateau.rate_per_s
                self.recorder.mark(MarkerKind.STEP_BEGIN, step=step, value=plateau.rate_per_s)
                self._wait_until(started_ns + round(schedule.begin_s(step + 1) * 1e9), schedule, step)
                self.recorder.mark(MarkerKind.STEP_END, step=step, value=plateau.arrivals)
                bad_in_a_row = bad_in_a_row + 1 if self._is_bad(step) else 0
                if bad_in_a_row == 2:
                    if step + 1 < len(schedule.plateaus):
                        self.recorder.mark(MarkerKind.NOTE, label="two bad steps in a row: the climb ends here")
                    break
        finally:
            end_s[0] = 0.0
            sender.kill()
            self.recorder.begin_step(-1, time.monotonic_ns())
            self.progress.offered_per_s = 0.0

    def _recover(self) -> None:
        self._good.clear()
        off_ns = self._count_from_ns = self._phase("recovery")
        at_most_s = self.scenario.recovery.at_most
        left_users = False
        deciding = [Rung.PING, Rung.CREATE]
        while (gone_s := (time.monotonic_ns() - off_ns) / 1e9) < at_most_s:
            self.progress.left_s = at_most_s - gone_s
            if all(len(self._good.get(rung, ())) >= GOOD_IN_A_ROW for rung in deciding):
                back_ns = max(self._good[rung][0].due_ns for rung in deciding)
                self.progress.recovered_after_s = max(0.0, (back_ns - off_ns) / 1e9)
                self.recorder.mark(MarkerKind.RECOVERED, value=self.progress.recovered_after_s)
                break
            if gone_s > at_most_s / 2 and not left_users:
                left_users = True
                self.recorder.mark(MarkerKind.NOTE, label="not back yet: the users leave too")
                self.stage.leaving.set()
            self._pause(0.1)
        # what was sent just before the load went off may still be answered in time
        self._pause(self.scenario.stream.timeout if self.scenario.stream else 0.0)

    # -- waiting and telling ----------------------------------------------------------------------------------------

    def _pause(self, seconds: float) -> None:
        """Sleep, but not past a wish to stop or a failure of the recorder."""
        until = time.monotonic() + seconds
        while True:
            if self._stop.is_set():
                raise Stopped
            if self.recorder.failure is not None:
                raise self.recorder.failure
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            gevent.sleep(min(0.1, left_s))

    def _wait_until(self, moment_ns: int, schedule: Schedule, step: int) -> None:
        while (left_s := (moment_ns - time.monotonic_ns()) / 1e9) > 0:
            self.progress.left_s = left_s
            self._pause(min(0.25, left_s))

    def _is_bad(self, step: int) -> bool:
        """Whether timeouts in this step are credibly above p0: the lower Wilson bound, as the analysis will have it."""
        counts = self.recorder.outcomes.get(step, Counter())
        timeouts = counts.get(Outcome.API_TIMEOUT, 0)
        n = timeouts + counts.get(Outcome.OK, 0) + counts.get(Outcome.API_ERROR, 0)
        if n == 0:
            return False
        z, p = 2.64, timeouts / n
        lower = (p + z * z / (2 * n) - z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
        return lower > self.scenario.onset.timeout_share

    def _phase(self, name: str) -> int:
        self.progress.phase = name
        return self.recorder.mark(MarkerKind.PHASE, label=name)

    def _announce_each_second(self) -> None:
        while True:
            self._tell()
            gevent.sleep(1)

    def _tell(self) -> None:
        progress = self.progress
        window = list(self.recorder.window)
        answered = sorted(value for value in window if value is not None)
        health = self.health.latest
        with contextlib.suppress(JanusloadError):
            self._announce(
                {
                    "type": "progress",
                    "phase": progress.phase,
                    "step": progress.step,
                    "steps": progress.steps,
                    "offered_per_s": progress.offered_per_s,
                    "left_s": progress.left_s,
                    "participants": self.stage.participants,
                    "users": self.scenario.user_count,
                    "p50_ms": _live_quantile(answered, len(window), 0.5),
                    "p95_ms": _live_quantile(answered, len(window), 0.95),
                    "timeouts": sum(c[Outcome.API_TIMEOUT] for c in self.recorder.outcomes.values()),
                    "attempts": sum(sum(c.values()) for c in self.recorder.outcomes.values()),
                    "recovered_after_s": progress.recovered_after_s,
                    "rungs": dict(progress.rungs),
                    "failures": dict(self.stage.failures),
                    "cpu_percent": health.cpu_percent if health else None,
                    "lag_p99_ms": health.lag_p99_ms if health else None,
                }
            )


def _live_quantile(answered: list[float], total: int, q: float) -> float | None:
    """Of the window, with timeouts above every answer; None where it falls among the timeouts or nothing was sent."""
    rank = math.ceil(q * total) - 1
    return answered[rank] if 0 <= rank < len(answered) else None
