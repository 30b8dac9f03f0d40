"""A stall is named within three seconds of its beginning; a slow server is never called stuck, nor the other way."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

import pytest

from janusload.records import Rung, ServerRecord, ThreadRecord
from janusload.stall_watch import WORKING, Stall, StallWatch
from janusload.summary import FailureKind
from janusload.verdict import API_RUNGS

OVERDUE_S = 0.75  # of load/probes
RUNGS = (Rung.TCP, *API_RUNGS)
LOCK = "lock 0x7f8a5c48e120 libjanus_audiobridge.so"


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


class Played:
    """Plays a ladder and looks against a law: rung and the moment of the question -> seconds to its answer."""

    def __init__(
        self,
        answers: Callable[[Rung, float], float],
        *,
        cpu: Callable[[float], float | None] = lambda now: 3.0,
        lock: Callable[[float], bool] = lambda now: False,
        loaded: bool = False,
        load_off_s: float | None = None,
        until_s: float = 40.0,
        phase_s: float = 0.0,
        believed: bool = True,
    ) -> None:
        watch = StallWatch()
        watch.loaded = loaded
        watch.believed = believed
        happens: list[tuple[float, int, Callable[[], None]]] = []
        if load_off_s is not None:
            happens.append((load_off_s, 0, lambda: setattr(watch, "loaded", False)))
        for second in range(int(until_s)):
            due_s = second + phase_s
            for rung in RUNGS:
                wait_s = answers(rung, due_s)
                if wait_s > OVERDUE_S:
                    happens.append(
                        (due_s + OVERDUE_S, 0, self._notice(watch, rung, due_s, "overdue", due_s + OVERDUE_S))
                    )
                if wait_s < 1000:
                    happens.append((due_s + wait_s, 0, self._notice(watch, rung, due_s, "answered", due_s + wait_s)))
            happens.append((second + 0.5, 1, self._look(watch, second + 0.5, cpu, lock)))
        self.stalls: list[Stall] = []
        self.ended_s: float | None = None
        for now_s, _, happen in sorted(happens, key=lambda each: each[:2]):
            was_suspicious = watch.suspicious
            happen()
            if watch.suspicious and not was_suspicious:
                self._look(watch, now_s, cpu, lock)()  # as the parent of a run does
            before, watch.stall = watch.stall, watch.judge(ns(now_s))
            if watch.stall is not before:
                if watch.stall is not None:
                    self.stalls.append(watch.stall)
                else:
                    self.ended_s = now_s

    @property
    def stuck(self) -> list[FailureKind]:
        return [stall.finding.kind for stall in self.stalls if stall.finding.kind not in WORKING]

    @staticmethod
    def _notice(watch: StallWatch, rung: Rung, due_s: float, state: str, at_s: float) -> Callable[[], None]:
        return lambda: watch.notice(rung, ns(due_s), ns(at_s), state)

    @staticmethod
    def _look(
        watch: StallWatch, now_s: float, cpu: Callable[[float], float | None], lock: Callable[[float], bool]
    ) -> Callable[[], None]:
        percent = cpu(now_s)
        if percent is None:
            return lambda: None
        server = ServerRecord(ns(now_s), percent, None, None, None, None, 30, 40, "S")
        waits = LOCK if lock(now_s) else ""
        return lambda: watch.look(server, [ThreadRecord(ns(now_s), "pool-janus", "S", waits, 3)], [])


def stuck_between(rungs: set[Rung], begin_s: float, end_s: float) -> Callable[[Rung, float], float]:
    """Questions asked meanwhile are answered when it ends."""
    return lambda rung, due_s: max(0.005, end_s - due_s) if rung in rungs and begin_s <= due_s < end_s else 0.005


CORE = {Rung.PING, Rung.CREATE, Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC}


@pytest.mark.parametrize("phase_s", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize(
    ("rungs", "kind"),
    [
        ({Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC}, FailureKind.PLUGIN_STUCK),
        ({Rung.AUDIOBRIDGE_ASYNC}, FailureKind.PLUGIN_STUCK),
        (CORE, FailureKind.CORE_STUCK),
        ({Rung.WS_UPGRADE, Rung.WS_PING} | CORE, FailureKind.PROCESS_FROZEN),
        ({*RUNGS}, FailureKind.UNREACHABLE),
    ],
)
def test_named_within_three_probe_periods_and_its_end_is_seen(
    rungs: set[Rung], kind: FailureKind, phase_s: float
) -> None:
    begin_s, end_s = 10.2, 20.4
    played = Played(stuck_between(rungs, begin_s, end_s), phase_s=phase_s)
    assert played.stuck == [kind]
    assert 0 < played.stalls[0].found_ns / 1e9 - begin_s <= 3.0
    assert played.ended_s == pytest.approx(end_s, abs=1.0)


def test_a_plugin_that_takes_the_core_with_it_is_told_twice() -> None:
    def answers(rung: Rung, due_s: float) -> float:
        begin_s = 10.0 if rung in (Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC) else 16.0
        return 9999.0 if rung in CORE and due_s >= begin_s else 0.005

    assert Played(answers).stuck == [FailureKind.PLUGIN_STUCK, FailureKind.CORE_STUCK]


@pytest.mark.parametrize("wait_s", [0.9, 2.5, 6.0, 15.0])
def test_a_slow_server_is_not_stuck_however_slow(wait_s: float) -> None:
    busy = Played(lambda rung, due_s: wait_s if rung in CORE and due_s > 5 else 0.01, cpu=lambda now: 97.0, loaded=True)
    assert busy.stuck == []
    assert not busy.stalls or busy.stalls[0].finding.kind is FailureKind.OVERLOAD
    unseen = Played(lambda rung, due_s: wait_s if rung in CORE and due_s > 5 else 0.01, cpu=lambda now: None)
    assert unseen.stuck == [] or wait_s > 5.0


@pytest.mark.parametrize("load_off_s", [None, 10.0])
def test_a_backlog_is_overload_also_after_the_load_and_not_a_server_without_cpu(load_off_s: float | None) -> None:
    """What was asked under load is answered one after the other; questions of after it stand in the same queue."""

    def answers(rung: Rung, due_s: float) -> float:
        return max(0.01, 25.0 - due_s) if rung in CORE and due_s > 5 else 0.01

    played = Played(answers, cpu=lambda now: 97.0, loaded=True, load_off_s=load_off_s)
    assert [stall.finding.kind for stall in played.stalls] == [FailureKind.OVERLOAD]
    starved = Played(answers, cpu=lambda now: 97.0)
    assert starved.stuck == [FailureKind.CPU_STARVED]


def test_a_server_that_gets_no_cpu_once_the_backlog_is_gone_is_starved() -> None:
    def answers(rung: Rung, due_s: float) -> float:
        slow = 5 < due_s < 15 or due_s > 20
        return 6.0 if rung in CORE and slow else 0.01

    played = Played(answers, cpu=lambda now: 97.0, loaded=True, load_off_s=10.0)
    assert played.stuck == [FailureKind.CPU_STARVED]


def test_overload_that_becomes_a_deadlock_is_called_stuck() -> None:
    played = Played(
        lambda rung, due_s: 9999.0 if rung in CORE and due_s > 20 else 1.2 if rung in CORE and due_s > 5 else 0.01,
        cpu=lambda now: 97.0,
        lock=lambda now: now > 20,
        loaded=True,
    )
    assert played.stuck == [FailureKind.CORE_STUCK]
    assert played.stalls[-1].finding.plugin == "audiobridge"


@pytest.mark.parametrize(
    ("rungs", "kind"),
    [(CORE, FailureKind.CORE_STUCK), ({Rung.WS_UPGRADE, Rung.WS_PING} | CORE, FailureKind.PROCESS_FROZEN)],
)
def test_unseen_it_takes_longer_and_is_named_all_the_same(rungs: set[Rung], kind: FailureKind) -> None:
    played = Played(stuck_between(rungs, 10.0, 30.0), cpu=lambda now: None)
    assert played.stuck == [kind]
    assert 4.0 < played.stalls[0].found_ns / 1e9 - 10.0 < 8.0


@pytest.mark.parametrize("rungs", [CORE, {Rung.WS_UPGRADE, Rung.WS_PING} | CORE, {*RUNGS}])
def test_whoever_asks_too_late_himself_names_only_what_the_process_shows(rungs: set[Rung]) -> None:
    assert Played(stuck_between(rungs, 10.0, 30.0), believed=False).stuck == []
    assert Played(stuck_between(rungs, 10.0, 30.0), believed=False, cpu=lambda now: None).stuck == []


def test_a_lock_is_seen_by_whoever_asks_too_late_himself() -> None:
    locked = Played(stuck_between(CORE, 10.0, 30.0), believed=False, lock=lambda now: 10.0 <= now < 30.0)
    assert locked.stuck == [FailureKind.CORE_STUCK]


def test_an_hour_of_a_healthy_server_with_hiccups_shows_no_stall() -> None:
    dice = random.Random(3)

    def answers(rung: Rung, due_s: float) -> float:
        return 0.9 + dice.random() if dice.random() < 0.02 else 0.01

    assert Played(answers, until_s=3600.0, loaded=True, cpu=lambda now: 60.0).stuck == []


def test_a_plugin_that_never_answered_is_not_there() -> None:
    absent = {Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC}
    assert Played(lambda rung, due_s: 9999.0 if rung in absent else 0.01).stuck == []


def test_questions_while_a_debugger_had_stopped_the_server_do_not_count() -> None:
    watch = StallWatch()
    for rung in RUNGS:
        for second in (0, 1, 2):
            watch.notice(rung, ns(second), ns(second + 0.1), "answered")
    for second in (3, 4, 5):
        watch.notice(Rung.WS_PING, ns(second), ns(second + OVERDUE_S), "overdue")
        watch.notice(Rung.CREATE, ns(second), ns(second + OVERDUE_S), "overdue")
    watch.excuse(ns(3.5), ns(6))
    # news of such a question may still come
    watch.notice(Rung.WS_PING, ns(4), ns(9), "unanswered")
    watch.notice(Rung.WS_PING, ns(5), ns(9), "unanswered")
    watch.notice(Rung.CREATE, ns(7), ns(9), "overdue")
    assert watch._silent() == {Rung.CREATE}


def test_a_path_that_is_cut_is_never_called_a_stuck_server() -> None:
    """The rungs fall silent one after the other, and TCP says only after its deadline that it never came up."""
    watch = StallWatch()
    for rung in RUNGS:
        watch.notice(rung, ns(0), ns(0.1), "answered")
    found: list[FailureKind] = []
    for second in range(1, 8):
        for index, rung in enumerate(reversed(API_RUNGS)):
            watch.notice(rung, ns(second), ns(second + OVERDUE_S + index / 1000), "overdue")
            watch.look(ServerRecord(ns(second + OVERDUE_S), 1.0, None, None, None, None, 30, 40, "S"), [], [])
            found += [stall.finding.kind for stall in [watch.judge(ns(second + OVERDUE_S + index / 1000))] if stall]
        if second > 2:
            watch.notice(Rung.TCP, ns(second - 2), ns(second + 0.8), "unanswered")
            found += [stall.finding.kind for stall in [watch.judge(ns(second + 0.8))] if stall]
            watch.stall = watch.judge(ns(second + 0.8))
    assert {*found} == {FailureKind.UNREACHABLE}
    # when it is back, connections come up before the old one goes on
    watch.notice(Rung.TCP, ns(7), ns(8.1), "answered")
    watch.notice(Rung.WS_PING, ns(8), ns(8.75), "overdue")
    watch.stall = watch.judge(ns(8.8))
    assert watch.stall is not None and watch.stall.finding.kind is FailureKind.UNREACHABLE
    for rung in API_RUNGS:
        watch.notice(rung, ns(9), ns(9.1), "answered")
    assert watch.judge(ns(9.2)) is None


@pytest.mark.parametrize("has_media_again", [True, False])
def test_a_server_that_dies_again_after_it_was_started_anew_is_named_again(has_media_again: bool) -> None:
    watch = StallWatch()
    died = []
    for second in range(1, 20):
        dead = second in (5, 12)
        watch.look(ServerRecord(ns(second), 1.0, None, None, None, None, 30, 40, "" if dead else "S"), [], [])
        if not dead:
            for rung in RUNGS:
                watch.notice(rung, ns(second), ns(second + 0.1), "answered")
        media = "answered" if second < 5 or (has_media_again and not dead) else "overdue"
        watch.notice(Rung.MEDIA, ns(second), ns(second + 0.1), media)
        before, watch.stall = watch.stall, watch.judge(ns(second + 0.2))
        if watch.stall is not None and before is None:
            died.append((second, watch.stall.finding.kind))
    assert died == [(5, FailureKind.CRASHED), (12, FailureKind.CRASHED)] and not watch.contradiction
    assert watch.stall is None


def test_one_that_was_started_anew_before_that_was_seen_is_no_lie() -> None:
    watch = StallWatch()
    died = []
    for second in range(1, 30):
        dead = second in (5, 6, 15, 16, 25, 26)
        watch.look(ServerRecord(ns(second), 1.0, None, None, None, None, 30, 40, "" if dead else "S"), [], [])
        before, watch.stall = watch.stall, watch.judge(ns(second + 0.1))
        if watch.stall is not None and before is None:
            died.append(second)
        for rung in RUNGS:  # the new one answers although the old one was looked at
            watch.notice(rung, ns(second), ns(second + 0.7), "answered")
        watch.stall = watch.judge(ns(second + 0.8))
    assert died == [5, 15, 25]


def test_another_process_that_stands_still_and_dies_is_not_the_server() -> None:
    watch = StallWatch()
    for second in range(1, 12):
        state = "S" if second < 3 else "T" if second < 8 else ""
        watch.look(ServerRecord(ns(second), 1.0, None, None, None, None, 30, 40, state), [], [])
        watch.stall = watch.judge(ns(second + 0.05))
        assert watch.stall is None or second < 5, "answers have come since"
        for rung in RUNGS:
            watch.notice(rung, ns(second), ns(second + 0.9), "answered")
        watch.stall = watch.judge(ns(second + 0.95))
        assert watch.stall is None or second < 5
    # the ladder alone is believed
    for second in range(12, 16):
        watch.look(ServerRecord(ns(second), 1.0, None, None, None, None, 30, 40, ""), [], [])
        for rung in RUNGS:
            watch.notice(rung, ns(second), ns(second + OVERDUE_S), "overdue")
        watch.stall = watch.judge(ns(second + 0.8))
    assert watch.stall is not None and watch.stall.finding.kind is FailureKind.UNREACHABLE


def test_another_process_that_stands_still_is_seen_through_when_looks_come_late() -> None:
    """As an agent's do: what it saw is told when the answers of the next second are there already."""
    watch = StallWatch()
    for second in range(1, 8):
        for rung in RUNGS:
            watch.notice(rung, ns(second), ns(second + 0.1), "answered")
        watch.look(ServerRecord(ns(second - 0.9), 1.0, None, None, None, None, 30, 40, "T"), [], [])
        watch.stall = watch.judge(ns(second + 0.2))
        assert watch.stall is None, watch.stall
    assert watch.contradiction


def test_a_process_that_goes_on_after_the_last_look_at_it_is_no_contradiction() -> None:
    """Stopped for four seconds; a first answer comes before the next look, and those to the other rungs come late."""
    watch = StallWatch()
    for rung in RUNGS:
        watch.notice(rung, ns(0), ns(0.1), "answered")
    found = []
    for second in range(1, 7):
        stopped = second < 5
        unread = 2000 if stopped else 0
        reading = ServerRecord(ns(second), 3.0, None, None, None, None, 30, 40, "T" if stopped else "S")
        watch.look(reading._replace(tcp_unread_bytes=unread), [], [])
        for rung in API_RUNGS:
            watch.notice(rung, ns(second), ns(second + OVERDUE_S), "overdue")
        if second == 4:
            watch.notice(Rung.WS_PING, ns(1), ns(second + 0.8), "answered")
        watch.stall = watch.judge(ns(second + 0.85))
        found += [watch.stall.finding.kind] if watch.stall is not None else []
    assert {*found} == {FailureKind.PROCESS_FROZEN} and not watch.contradiction


def test_what_a_server_died_of_stays_its_end_when_the_looks_at_it_are_old() -> None:
    watch = StallWatch()
    watch.signal = signal.SIGKILL
    said = []
    for second in range(60):
        alive = second < 5
        reading = ServerRecord(
            ns(second), 1.0 if alive else None, None, None, None, None, None, None, "S" if alive else ""
        )
        if alive:
            limit = 48_000_000
            reading = reading._replace(
                cgroup_bytes=limit, cgroup_limit_bytes=limit, cgroup_dirty_bytes=0, cgroup_writeback_bytes=40_000_000
            )
        watch.look(reading, [], [])
        watch.stall = watch.judge(ns(second + 0.1))
        if watch.stall is not None:
            said.append(watch.stall.finding.kind)
    assert set(said) == {FailureKind.MEMORY_WRITEBACK} and len(said) == 55


def test_one_that_is_there_again_and_does_not_listen_yet_is_no_path_that_is_cut() -> None:
    watch = StallWatch()
    said = []
    for second in range(1, 15):
        there, listens = second not in (5, 6), second not in (5, 6, 7)
        reading = ServerRecord(
            ns(second), 1.0, None, None, None, None, 30, 40, "S" if there else "", tcp_unread_bytes=0
        )
        for rung in RUNGS:
            watch.notice(rung, ns(second - 0.9), ns(second - 0.1), "answered" if listens else "unanswered")
        watch.look(reading, [], [])
        watch.stall = watch.judge(ns(second))
        said.append(watch.stall and watch.stall.finding.kind)
    assert said == [None] * 4 + [FailureKind.CRASHED] * 3 + [None] * 7
