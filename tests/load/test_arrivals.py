"""Open-loop arrivals against a scripted server: offered as asked, both clocks kept, nothing left behind."""

from __future__ import annotations

import signal
import time

import gevent
import pytest

from janusload.janus.connection import Connection
from janusload.load.arrivals import Arrivals
from janusload.load.health import Gauges, Health
from janusload.load.recorder import Recorder
from janusload.pacing import Schedule, plateau
from janusload.records import LateRecord, Outcome, Record, RequestRecord, Source
from tests.fake_janus import DROP, FakeJanus
from tests.test_run_ends import server_process


class Kept(Recorder):
    """A recorder that keeps its records instead of writing them."""

    def __init__(self) -> None:
        super().__init__(None)
        self.records: list[Record] = []

    def write(self, record: Record) -> None:
        self.records.append(record)

    def creates(self) -> list[RequestRecord]:
        return [r for r in self.records if isinstance(r, RequestRecord) and r.name == "janus.create"]


def stream(janus: FakeJanus, schedule: Schedule, timeout_s: float = 0.5, settle_s: float = 1.0) -> Kept:
    kept = Kept()
    health = Health(lambda record: None, lambda: Gauges(0, 0))

    def connect(number: int) -> Connection:
        observer = kept.observer(f"stream-{number}", Source.ARRIVALS)
        return Connection(janus.url, timeout_s=timeout_s, observer=observer)

    arrivals = Arrivals(connect, 3, timeout_s, health)
    arrivals.open()
    started_ns = time.monotonic_ns() + 10_000_000
    kept.begin_step(0, started_ns)
    if len(schedule.legs) > 1:
        kept.begin_step(1, started_ns + round(schedule.begin_s(1) * 1e9))
    assert arrivals.run(schedule, started_ns) == len(schedule)
    gevent.sleep(settle_s)
    arrivals.close()
    return kept


def test_every_arrival_is_one_record_of_its_step() -> None:
    schedule = Schedule([plateau(100, 0.5), plateau(200, 0.5)])
    with FakeJanus() as janus:
        kept = stream(janus, schedule, settle_s=0.3)
        assert not janus.sessions
    creates = kept.creates()
    assert [r.outcome for r in creates] == [Outcome.OK] * 150
    assert [r.step for r in creates].count(0) == 50 and [r.step for r in creates].count(1) == 100
    assert len({r.attempt for r in creates}) == 150
    first = creates[0].due_ns
    for k, record in enumerate(sorted(creates, key=lambda r: r.due_ns)):
        assert record.due_ns - first == pytest.approx(schedule.due_s(k) * 1e9, abs=2)
        assert record.sent_ns is not None and record.answered_ns is not None
        assert record.due_ns <= record.sent_ns <= record.answered_ns
    destroys = [r for r in kept.records if isinstance(r, RequestRecord) and r.name == "janus.destroy"]
    assert len(destroys) == 150 and {r.source for r in destroys} == {Source.HOUSEKEEPING}


def test_a_slow_server_slows_no_arrival_down() -> None:
    with FakeJanus(lambda r: 0.8 if r["janus"] == "create" else 0.0) as janus:
        began = time.monotonic()
        kept = stream(janus, Schedule([plateau(100, 1.0)]), settle_s=1.2)
        assert time.monotonic() - began < 3.2
        assert not janus.sessions
    creates = kept.creates()
    assert {r.outcome for r in creates} == {Outcome.API_TIMEOUT}
    assert all(r.answered_ns is None for r in creates)
    late = {r.attempt: r for r in kept.records if isinstance(r, LateRecord)}
    assert set(late) == {r.attempt for r in creates}
    assert all(0.75 < (r.answered_ns - r.sent_ns) / 1e9 < 1.6 for r in late.values())


def test_what_a_burst_of_answers_made_is_destroyed_before_it_ends() -> None:
    with FakeJanus(lambda request: 0.1 if request["janus"] == "create" else 0.0, reclaim=True) as janus:
        kept = stream(janus, Schedule([plateau(1000, 0.2)]), settle_s=0)
        assert [record.outcome for record in kept.creates()] == [Outcome.OK] * 200
        # the server keeps sessions whose WebSocket is gone
        assert not janus.sessions


def test_lost_connections_are_recorded_and_opened_again() -> None:
    state = {"dropped": 0}

    def script(request: dict[str, object]) -> float | str:
        if request["janus"] == "create" and state["dropped"] < 3:
            state["dropped"] += 1
            return DROP
        return 0.0

    with FakeJanus(script) as janus:
        kept = stream(janus, Schedule([plateau(50, 3.0)]), settle_s=0.3)
    outcomes = [r.outcome for r in kept.creates()]
    assert len(outcomes) == 150
    assert outcomes.count(Outcome.LOST_CONNECTION) >= 3
    assert Outcome.DROPPED in outcomes
    assert outcomes[-1] == Outcome.OK
    assert sum(isinstance(r, RequestRecord) and r.name == "ws.connect" for r in kept.records) == 6


def test_a_frozen_server_shows_in_the_high_quantiles() -> None:
    """No coordinated omission: what was due while nothing answered waited for as long as it did."""
    frozen_s = 2.0
    with server_process() as (url, process):
        kept = Kept()

        def connect(number: int) -> Connection:
            observer = kept.observer(f"stream-{number}", Source.ARRIVALS)
            return Connection(url, timeout_s=10.0, observer=observer)

        arrivals = Arrivals(connect, 3, 10.0, Health(lambda record: None, lambda: Gauges(0, 0)))
        arrivals.open()
        sender = gevent.spawn(arrivals.run, Schedule([plateau(100, 5.0)]), time.monotonic_ns())
        gevent.sleep(1.5)
        process.send_signal(signal.SIGSTOP)
        gevent.sleep(frozen_s)
        process.send_signal(signal.SIGCONT)
        sender.get(timeout=30)
        deadline = time.monotonic() + 10
        while arrivals.in_flight and time.monotonic() < deadline:
            gevent.sleep(0.05)
        arrivals.close()
    waits = sorted((r.answered_ns - r.due_ns) / 1e9 for r in kept.creates() if r.answered_ns is not None)
    assert len(waits) == 500
    # two of the five seconds of arrivals fell into the freeze: evenly from none to all of it
    assert waits[round(0.99 * 500) - 1] > 0.9 * frozen_s
    assert sum(wait > 0.5 * frozen_s for wait in waits) >= 0.8 * 100 * 0.5 * frozen_s


def test_a_pool_that_is_open_is_not_opened_again() -> None:
    """A worker of a fleet opens it before it is ready, and is told to later."""
    with FakeJanus() as janus:
        kept = Kept()

        def connect(number: int) -> Connection:
            return Connection(janus.url, timeout_s=1, observer=kept.observer(f"stream-{number}", Source.ARRIVALS))

        arrivals = Arrivals(connect, 3, 1.0, Health(lambda record: None, lambda: Gauges(0, 0)))
        arrivals.open()
        arrivals.open()
        arrivals.close()
    assert len([each for each in kept.records if isinstance(each, RequestRecord) and each.name == "ws.connect"]) == 3
