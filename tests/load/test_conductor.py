"""The run's phases against a server and a crowd that are played."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.event
import pytest

from janusload.load.conductor import Conductor
from janusload.load.progress import Progress
from janusload.load.recorder import Recorder
from janusload.records import MarkerKind, Outcome, ProbeRecord, Rung
from janusload.scenario import Scenario
from tests.scenario.files import faults, plan

GOOD, BAD = Counter({str(Outcome.OK): 600}), Counter({str(Outcome.API_TIMEOUT): 600})


class Stage:
    def __init__(self) -> None:
        self.recorder = Recorder(None)
        self.participants = 0
        self.arrived = 10**9
        self.failures: Counter[str] = Counter()


class Crowd:
    def __init__(self) -> None:
        self.asked = self.spawned = 0
        self.history: list[int] = []

    def ask(self, users: int, begin_ns: int, *, over_s: float | None = None) -> float:
        if users != self.asked:
            self.history.append(users)
        self.asked = users
        return 0.0

    def leave(self) -> None:
        pass


class Played:
    """A conductor with what is around it; `outcomes` tells of a step that has begun what came of it so far."""

    def __init__(self, scenario: Scenario, outcomes: Callable[[int], Counter[str]]) -> None:
        self.crowd, self.stage = Crowd(), Stage()
        self.loads: list[float] = []
        self.marks: list[tuple[str, dict[str, Any]]] = []
        self._outcomes = outcomes
        self.stage.recorder.mark = self._mark  # type: ignore[method-assign]
        self.conductor = Conductor(
            scenario,
            self.stage,  # type: ignore[arg-type]
            self.crowd,  # type: ignore[arg-type]
            order=self._order,
            announce=lambda facts: None,
            progress=Progress(self.stage, list),  # type: ignore[arg-type]
            stop=gevent.event.Event(),
        )

    def _mark(self, kind: str, **facts: Any) -> int:
        self.marks.append((kind, facts))
        return time.monotonic_ns()

    def _order(self, order: dict[str, Any]) -> None:
        if order["order"] == "send":
            self.loads.append(order["leg"][0])
        if order["order"] == "step" and order["step"] >= 0:
            self.stage.recorder.outcomes[order["step"]] = self._outcomes(order["step"])

    def notes(self) -> list[str]:
        return [facts["label"] for kind, facts in self.marks if kind == MarkerKind.NOTE]


@contextmanager
def probed(played: Played, well: Callable[[], bool], after_s: float = 0.0) -> Iterator[None]:
    """Ping and create answer `after_s` after they were asked while the server is well."""

    def ask() -> None:
        while True:
            due_ns = time.monotonic_ns()
            gevent.sleep(after_s)
            now_ns = time.monotonic_ns() if well() else None
            for rung in (Rung.PING, Rung.CREATE):
                played.conductor.probed(ProbeRecord(rung, due_ns, now_ns, 1.0, now_ns is not None))
            gevent.sleep(0.05)

    greenlet = gevent.spawn(ask)
    yield
    greenlet.kill()


SEARCH = """
[shape]
kind = "search"
from = {first}
at_most = {most}
samples_per_step = 4
shortest = "200 ms"
settle = "50 ms"
within = "30 %"
[recovery]
at_most = "4 s"
"""


def test_a_search_waits_for_what_may_still_time_out() -> None:
    """The timeouts of a step come T after what was sent: judged at its end alone it would be a good one."""

    def outcomes(step: int) -> Counter[str]:
        counts: Counter[str] = Counter()

        def come() -> None:
            counts.update(GOOD if played.loads[step] <= 100 else BAD)

        gevent.spawn_later(0.5, come)
        return counts

    played = Played(plan('[stream]\ntimeout = "400 ms"\n' + SEARCH.format(first='"40/s"', most='"400/s"')), outcomes)
    with probed(played, lambda: True):
        assert played.conductor.run() == "completed"
    # 40 and 80 are good, 160 is bad, and then it looks between 80 and 160
    assert played.loads[:3] == [40, 80, 160]
    assert all(80 < load < 160 for load in played.loads[3:]) and len(played.loads) > 3


def test_a_search_over_users_has_the_many_leave_before_it_waits_for_the_server() -> None:
    text = '[stream]\nrate = "20/s"\ntimeout = "200 ms"\n' + SEARCH.format(first=10, most=80)
    users = '[[users]]\nname = "u"\nweight = 1\nplugin = "echotest"\nmedia = "none"\n'
    played = Played(plan(users + text), lambda step: GOOD if played.crowd.asked < 40 else BAD)
    with probed(played, lambda: played.crowd.asked < 40):
        assert played.conductor.run() == "completed"
    assert not [note for note in played.notes() if "did not come back" in note]
    assert played.crowd.history[:3] == [10, 20, 40]
    assert all(20 < count < 40 for count in played.crowd.history[3:]) and len(played.crowd.history) > 3


STEP = """
[stream]
timeout = "200 ms"
[shape]
kind = "steps"
rates = ["20/s"]
samples_per_step = 4
shortest = "{lasts}"
settle = "50 ms"
"""


def test_the_server_is_back_when_it_has_answered_and_not_when_it_was_asked() -> None:
    played = Played(plan(STEP.format(lasts="300 ms")), lambda step: GOOD)
    with probed(played, lambda: True, after_s=0.6):
        played.conductor.run()
    (back,) = [facts["value"] for kind, facts in played.marks if kind == MarkerKind.RECOVERED]
    assert 0.5 < back < 3


@pytest.mark.parametrize(("every", "silent"), [("2 s", False), ("200 ms", True)])
def test_what_is_rarely_asked_is_not_silent_meanwhile(every: str, silent: bool) -> None:
    text = f'[probes]\nevery = "{every}"\n[recovery]\nsilent_for = "300 ms"\nat_most = "7 s"\n'
    played = Played(plan(STEP.format(lasts="1500 ms") + text), lambda step: GOOD)
    played.conductor._recover = lambda: None  # type: ignore[method-assign]
    played.conductor.run()
    assert bool([note for note in played.notes() if "neither ping nor create" in note]) is silent


def test_three_probes_must_fit_into_the_recovery() -> None:
    text = STEP.format(lasts="1 s") + '[probes]\nevery = "3 s"\n[recovery]\nat_most = "{at_most}"\n'
    plan(text.format(at_most="10 s"))
    found = faults(text.format(at_most="9 s"))
    assert found == {"recovery.at_most": "three probes in a row must fit into it, and there is one in 3 s"}
