"""Leads a run through its phases: setup, joining, load, recovery, leaving.

The recovery leg comes after any load: the stream stops, the ladder goes on asking. Back within seconds is overload; if
the server stays silent the users leave too, and what does not come back then is stuck.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator

import gevent
import gevent.event

from janusload.load.course import Course, is_bad
from janusload.load.crowd import Crowd
from janusload.load.player import Order
from janusload.load.progress import Progress
from janusload.load.recorder import Recorder
from janusload.load.stage import Announce, Stage
from janusload.pacing import Leg
from janusload.records import MarkerKind, ProbeRecord, Rung
from janusload.scenario import Scenario
from janusload.scenario.shapes import Churn

#: the server is back with so many good answers of each deciding rung in a row; the first of them is the moment
GOOD_IN_A_ROW = 3

#: a server is gone after so many failed tries in a row to open a TCP connection
REFUSED_IN_A_ROW = 3

#: how long all users together may take to join, beyond the time that spawning them takes
JOIN_WITHIN_S = 20.0

#: from telling every process what comes next to the moment at which it begins
LEAD_S = 0.05

#: the same where orders go to other processes and machines
FLEET_LEAD_S = 0.5

_DECIDING = (Rung.PING, Rung.CREATE)


class Stopped(Exception):
    """Somebody wants the run to end now; not an error."""


class LoadEnds(Exception):
    """The load must go off before its time; `gone` if there is nothing left to wait for."""

    def __init__(self, words: str, *, gone: bool = False, end: str = "completed") -> None:
        super().__init__(words)
        self.gone = gone
        self.end = end


class Conductor:
    """Runs one scenario.

    Args:
        crowd: the users.
        order: tells every process of the generator what to do.
        announce: takes progress as a dict of plain values, about once a second.
        stop: set when the run is to end orderly, from whichever phase it is in.
        give_up: returns why the load must go off, as a limit that was crossed or a generator that is gone; empty if
            it need not.
        lead_s: from an order to the moment at which it takes effect.
        run_time_s: after so long the load goes off, whatever the shape says; None for no such limit.
    """

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        crowd: Crowd,
        *,
        order: Callable[[Order], None],
        announce: Announce,
        progress: Progress,
        stop: gevent.event.Event,
        give_up: Callable[[], str] = lambda: "",
        lead_s: float = LEAD_S,
        run_time_s: float | None = None,
    ) -> None:
        self.scenario = scenario
        self.stage = stage
        self.crowd = crowd
        self.progress = progress
        self._order = order
        self._announce = announce
        self._stop = stop
        self._give_up = give_up
        self._lead_s = lead_s
        self._run_time_s = run_time_s
        self._good: dict[str, list[ProbeRecord]] = {}
        self._last_good_ns: dict[str, int] = {}
        self._refused = 0
        self._count_from_ns = 0
        self._loading_since_ns: int | None = None

    @property
    def recorder(self) -> Recorder:
        return self.stage.recorder

    @property
    def _shaped(self) -> bool:
        """Whether the shape says how many users there are."""
        return self.scenario.by_users and not isinstance(self.scenario.shape, Churn)

    def probed(self, record: ProbeRecord) -> None:
        """To be called with every answer of the ladder."""
        self.progress.rungs[record.rung] = record.ok
        if record.rung == Rung.TCP:
            self._refused = 0 if record.ok else self._refused + 1
        if record.ok:
            self._last_good_ns[record.rung] = record.due_ns
        row = self._good.setdefault(record.rung, [])
        if record.due_ns < self._count_from_ns:
            return
        if record.ok:
            row.append(record)
        else:
            row.clear()

    def run(self) -> str:
        """Go through the phases; returns how it ended: `completed`, `interrupted`, or why it ended early.

        Raises:
            JanusloadError: it could not go on; everything was brought to an end all the same.
        """
        announcer = gevent.spawn(self._announce_each_second)
        try:
            with self._users():
                return self._load_and_recover()
        except Stopped:
            return "interrupted"
        finally:
            self._phase("end")
            announcer.kill()
            self._announce(self.progress.facts(self.crowd.asked))

    # -- phases -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _users(self) -> Iterator[None]:
        try:
            # those that the shape does not ask for come first
            first = self.scenario.users_at(0) if self._shaped else self.scenario.user_count
            if first and not isinstance(self.scenario.shape, Churn):
                self._phase("joining")
                self._ask(first)
            yield
        finally:
            self._phase("leaving")
            self.crowd.leave()

    def _load_and_recover(self) -> str:
        end = "completed"
        try:
            self._load()
        except LoadEnds as early:
            self.recorder.mark(MarkerKind.NOTE, label=str(early))
            end = early.end
            if early.gone:
                return end
        if self.scenario.stream is not None or not all(self.progress.rungs.get(rung, True) for rung in _DECIDING):
            self._recover()
        return end

    def _load(self) -> None:
        course = Course(self.scenario)
        self.progress.steps = course.planned if course.counts_steps and not course.searches else 0
        self._order({"order": "open"})
        self._phase("steps" if self.scenario.shape is not None else "steady")
        self._loading_since_ns = time.monotonic_ns()
        try:
            step, was_bad = 0, False
            while (leg := course.next(was_bad)) is not None:
                if was_bad and course.settles:
                    if self._shaped:
                        # those who are too many go first, or it would never be well again
                        self._ask(min(self.crowd.asked, self.scenario.users_at(leg.begin)))
                    self._settle()
                self._leg(step, leg, counted=course.counts_steps)
                if course.searches:
                    # what times out of the last T is known only then, and it decides where to look next
                    self._pause(self.scenario.timeout_s)
                was_bad = is_bad(self.recorder.outcomes.get(step, Counter()), self.scenario.onset.timeout_share)
                step += 1
            if course.ended_early:
                self.recorder.mark(MarkerKind.NOTE, label=course.ended_early)
        finally:
            self._loading_since_ns = None
            self._order({"order": "halt"})
            self._order({"order": "step", "step": -1, "at_ns": time.monotonic_ns()})
            self.progress.offered = 0.0

    def _leg(self, step: int, leg: Leg, *, counted: bool) -> None:
        """Offer one leg's load, from now until its end."""
        churn, shaped = isinstance(self.scenario.shape, Churn), self._shaped
        grows = leg.begin != leg.end
        if shaped:
            self._ask(self.scenario.users_at(leg.begin))
        begin_ns = time.monotonic_ns() + round(self._lead_s * 1e9)
        end_ns = begin_ns + round(leg.duration_s * 1e9)
        if counted:
            self._order({"order": "step", "step": step, "at_ns": begin_ns})
        if churn:
            self._order({"order": "lives", "at_ns": begin_ns, "rate": leg.begin})
            self.crowd.ask(self.scenario.user_count, begin_ns)
        elif shaped and grows:
            self.crowd.ask(self.scenario.users_at(leg.end), begin_ns, over_s=leg.duration_s)
        seed = self._send(leg, step, begin_ns)
        self.progress.step = step if counted else -1
        self.progress.offered = leg.begin
        self._wait_until(begin_ns, leg, begin_ns)
        if counted:
            self.recorder.mark(MarkerKind.STEP_BEGIN, step=step, value=leg.begin)
        self._wait_until(end_ns, leg, begin_ns)
        if counted:
            exact = leg.arrivals if seed is None and not self.scenario.by_users else None
            self.recorder.mark(MarkerKind.STEP_END, step=step, value=exact)

    def _send(self, leg: Leg, step: int, begin_ns: int) -> str | None:
        """Have the stream send its part of a leg; returns the seed of its Poisson process, None for even arrivals."""
        stream = self.scenario.stream
        if stream is None:
            return None
        seed = f"{self.scenario.seed}/{step}" if stream.arrivals == "poisson" else None
        rates = Leg(stream.rate, stream.rate, leg.duration_s) if stream.rate is not None else leg
        self._order({"order": "send", "leg": list(rates), "at_ns": begin_ns, "poisson_seed": seed})
        return seed

    def _ask(self, users: int) -> None:
        """Have so many users, and wait until all of them are there."""
        lasts_s = self.crowd.ask(users, time.monotonic_ns() + round(self._lead_s * 1e9))
        deadline = time.monotonic() + lasts_s + JOIN_WITHIN_S
        while self.stage.arrived < self.crowd.spawned:
            if time.monotonic() > deadline:
                words = f"only {self.stage.arrived} of {self.crowd.spawned} users joined"
                self.recorder.mark(MarkerKind.NOTE, label=words, value=users)
                return
            self._pause(0.1)

    def _settle(self) -> None:
        """Between two loads: until the server is well again, at most as long as it has to come back."""
        self._good.clear()
        self._count_from_ns = time.monotonic_ns()
        until = time.monotonic() + self.scenario.recovery.at_most
        while not self._is_back():
            if time.monotonic() > until:
                raise LoadEnds("the server did not come back between two steps: the search ends here")
            self._pause(0.1)

    def _recover(self) -> None:
        self._good.clear()
        off_ns = self._count_from_ns = self._phase("recovery")
        at_most_s = self.scenario.recovery.at_most
        left_users = False
        while (gone_s := (time.monotonic_ns() - off_ns) / 1e9) < at_most_s:
            self.progress.left_s = at_most_s - gone_s
            if self._is_back():
                back_ns = max(self._good[rung][0].answered_ns or 0 for rung in _DECIDING)
                self.progress.recovered_after_s = max(0.0, (back_ns - off_ns) / 1e9)
                self.recorder.mark(MarkerKind.RECOVERED, value=self.progress.recovered_after_s)
                break
            if gone_s > at_most_s / 2 and not left_users:
                left_users = True
                self.recorder.mark(MarkerKind.NOTE, label="not back yet: the users leave too")
                self._order({"order": "leave"})
            self._pause(0.1)
        # what was sent just before the load went off may still be answered in time
        self._pause(self.scenario.stream.timeout if self.scenario.stream else 0.0)

    def _is_back(self) -> bool:
        return all(len(self._good.get(rung, ())) >= GOOD_IN_A_ROW for rung in _DECIDING)

    # -- waiting and telling ----------------------------------------------------------------------------------------

    def _pause(self, seconds: float) -> None:
        """Sleep, but not past a wish to stop, a failure of the recorder, or a reason to end the load."""
        until = time.monotonic() + seconds
        while True:
            if self._stop.is_set():
                raise Stopped
            if self.recorder.failure is not None:
                raise self.recorder.failure
            if self._loading_since_ns is not None:
                self._look(time.monotonic_ns(), self._loading_since_ns)
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            gevent.sleep(min(0.1, left_s))

    def _look(self, now_ns: int, since_ns: int) -> None:
        """Whether the load must go off: the server is gone or silent, a limit is crossed, or time is over."""
        if self._refused >= REFUSED_IN_A_ROW:
            raise LoadEnds("the server is gone: nothing accepts connections any more", gone=True, end="server gone")
        # a question that is not yet due, or may still be answered, is no silence
        probes = self.scenario.probes
        silent_for = max(self.scenario.recovery.silent_for, probes.every + (probes.deadline or self.scenario.timeout_s))
        last_ns = max(self._last_good_ns.get(rung, since_ns) for rung in _DECIDING)
        if now_ns - max(last_ns, since_ns) > silent_for * 1e9:
            raise LoadEnds(f"neither ping nor create was answered for {silent_for:g} s: the load goes off")
        if reason := self._give_up():
            raise LoadEnds(reason, end=reason)
        if self._run_time_s is not None and now_ns - since_ns > self._run_time_s * 1e9:
            raise LoadEnds(f"the run time of {self._run_time_s:g} s is over", end="run time over")

    def _wait_until(self, moment_ns: int, leg: Leg, begin_ns: int) -> None:
        while (left_s := (moment_ns - time.monotonic_ns()) / 1e9) > 0:
            self.progress.left_s = min(left_s, self._run_time_left_s())
            self.progress.offered = leg.load_at((time.monotonic_ns() - begin_ns) / 1e9)
            self._pause(min(0.25, left_s))

    def _run_time_left_s(self) -> float:
        if self._run_time_s is None or self._loading_since_ns is None:
            return float("inf")
        return max(0.0, self._run_time_s - (time.monotonic_ns() - self._loading_since_ns) / 1e9)

    def _phase(self, name: str) -> int:
        self.progress.phase = name
        return self.recorder.mark(MarkerKind.PHASE, label=name)

    def _announce_each_second(self) -> None:
        while True:
            self._announce(self.progress.facts(self.crowd.asked))
            gevent.sleep(1)
