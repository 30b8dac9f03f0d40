"""The kind of failure, told from what a client sees: janus-facts.md Appendix B2, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from janusload.analysis import summarize
from janusload.records import MarkerKind, MarkerRecord, Outcome, Record, RequestRecord, Rung, Source
from janusload.summary import Failure, FailureKind, OnsetStatus, Verdict
from tests.analysis.simulated import Law, Simulated, knee, ns, server

ALL = (
    Rung.TCP,
    Rung.WS_UPGRADE,
    Rung.WS_PING,
    Rung.PING,
    Rung.CREATE,
    Rung.AUDIOBRIDGE_SYNC,
    Rung.AUDIOBRIDGE_ASYNC,
)
OFF_S = 60.0  # five steps of 12 s


def rungs(dead: Iterable[Rung], when: Callable[[float], bool]) -> dict[Rung, Callable[[float], bool]]:
    """All rungs; those of `dead` do not answer at times for which `when` is true."""
    gone = set(dead)
    return {rung: (lambda t_s, rung=rung: not (rung in gone and when(t_s))) for rung in ALL}


def from_then_on(t_s: float) -> Callable[[float], bool]:
    return lambda now_s: now_s >= t_s


def between(begin_s: float, end_s: float) -> Callable[[float], bool]:
    return lambda now_s: begin_s <= now_s < end_s


def stuck(when: Callable[[float], bool]) -> Law:
    """Nothing is answered at those times, not even late."""
    return lambda _load, t_s, _random: float("inf") if when(t_s) else 0.02


def queue(begin_s: float, wait_s: float) -> Law:
    """From `begin_s` on answers come ever later, as of a server that works off a growing queue."""

    def law(_load: float, t_s: float, _random: np.random.Generator) -> float:
        return 0.02 if t_s < begin_s else wait_s * (t_s - begin_s) / 10.0

    return law


def connected(t_s: float) -> RequestRecord:
    """Somebody's WebSocket that came up."""
    moments = (ns(t_s), ns(t_s), ns(t_s + 0.01))
    return RequestRecord(int(t_s * 10), "ws.connect", Source.USERS, -1, *moments, 5.0, Outcome.OK)


def failure_of(path: Path, **settings: object) -> Failure:
    return summarize(Simulated(**settings).write(path / "run")).failure  # type: ignore[arg-type]


# --- never back: the rungs decide -------------------------------------------------------------------------------

B2: list[tuple[str, set[Rung], FailureKind]] = [
    ("B1 deadlock", {Rung.PING, Rung.CREATE, Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC}, FailureKind.CORE_STUCK),
    ("AB lock held", {Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC}, FailureKind.PLUGIN_STUCK),
    ("core session lock held", {Rung.CREATE}, FailureKind.CORE_STUCK),
    ("AB handler thread stopped", {Rung.AUDIOBRIDGE_ASYNC}, FailureKind.PLUGIN_STUCK),
    ("request thread stopped", {*ALL} - {Rung.TCP, Rung.WS_UPGRADE, Rung.WS_PING}, FailureKind.CORE_STUCK),
    ("ws thread stopped", {*ALL} - {Rung.TCP}, FailureKind.PROCESS_FROZEN),
    ("SIGSTOP, unseen", {*ALL} - {Rung.TCP}, FailureKind.PROCESS_FROZEN),
    ("process gone, unseen", {*ALL}, FailureKind.UNREACHABLE),
]


@pytest.mark.parametrize(("cause", "dead", "kind"), B2, ids=[row[0] for row in B2])
def test_what_stays_dead_is_named_by_its_rungs(tmp_path: Path, cause: str, dead: set[Rung], kind: FailureKind) -> None:
    when = from_then_on(40.0)
    law = stuck(when) if Rung.CREATE in dead else knee(9999)
    failure = failure_of(tmp_path, rungs=rungs(dead, when), law=law)
    assert failure.kind is kind, f"{cause}: {failure.rule}"
    assert failure.plugin == ("audiobridge" if kind is FailureKind.PLUGIN_STUCK else None)
    assert failure.recovered_after_s is None
    assert failure.first_seen_s == pytest.approx(40.5, abs=0.5)
    assert "not back" in failure.rule


def test_new_websockets_of_a_stuck_server_are_no_answers(tmp_path: Path) -> None:
    when = from_then_on(40.0)
    dead = {Rung.PING, Rung.CREATE, Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC}
    people = [connected(t) for t in np.arange(41.0, 62.0, 0.5).tolist()]
    failure = failure_of(tmp_path, rungs=rungs(dead, when), law=stuck(when), extra=people, recovery_s=10.0)
    assert failure.kind is FailureKind.CORE_STUCK, failure.rule


@pytest.mark.parametrize("recovery_s", [0.0, 10.0])
def test_the_process_is_known_to_be_gone(tmp_path: Path, recovery_s: float) -> None:
    when = from_then_on(40.0)
    seen = [
        server(t, "S" if t < 40 else "", 10.0 if t < 40 else None) for t in np.arange(0, 60.0 + recovery_s).tolist()
    ]
    law = stuck(when)
    failure = failure_of(tmp_path, rungs=rungs(ALL, when), law=law, extra=seen, recovery_s=recovery_s)
    assert failure.kind is FailureKind.CRASHED
    assert failure.first_seen_s == pytest.approx(40.0, abs=0.6)


def test_a_server_that_is_told_to_stop_at_the_end_has_not_crashed(tmp_path: Path) -> None:
    seen = [server(t, "S" if t < 70 else "") for t in np.arange(0, 75.0).tolist()]
    failure = failure_of(tmp_path, rungs=rungs([], from_then_on(0)), law=knee(9999), extra=seen)
    assert failure.kind is FailureKind.NONE


def test_a_stopped_process_is_frozen_even_if_it_goes_on_later(tmp_path: Path) -> None:
    stopped = between(40.0, 50.0)
    seen = [server(t, "T" if stopped(t) else "S") for t in np.arange(0, 70.0).tolist()]
    dead = set(ALL) - {Rung.TCP}
    failure = failure_of(tmp_path, rungs=rungs(dead, stopped), law=stuck(stopped), extra=seen)
    assert failure.kind is FailureKind.PROCESS_FROZEN and "state T" in failure.rule
    assert failure.first_seen_s == pytest.approx(40.0, abs=0.6)
    assert failure.recovered_after_s == pytest.approx(0.5, abs=0.1)


# --- back: overload ---------------------------------------------------------------------------------------------


def test_back_in_the_recovery_leg_is_overload(tmp_path: Path) -> None:
    dead = between(40.0, OFF_S + 2.0)
    failure = failure_of(tmp_path, rungs=rungs({Rung.PING, Rung.CREATE}, dead), law=queue(38.0, 4.0))
    assert failure.kind is FailureKind.OVERLOAD
    assert failure.recovered_after_s == pytest.approx(2.5, abs=0.1)  # the first question after 62.0 s
    assert failure.rule == "requests timed out under load, and every rung answered after it"


def test_recovery_takes_three_good_answers_in_a_row(tmp_path: Path) -> None:
    def dead(t_s: float) -> bool:
        return 40.0 <= t_s < OFF_S + 2.0 or OFF_S + 4.0 <= t_s < OFF_S + 5.0

    failure = failure_of(tmp_path, rungs=rungs({Rung.PING, Rung.CREATE}, dead), law=queue(38.0, 4.0))
    assert failure.recovered_after_s == pytest.approx(5.5, abs=0.1)


def test_both_ping_and_create_must_be_back(tmp_path: Path) -> None:
    answers = rungs({Rung.PING, Rung.CREATE}, between(40.0, OFF_S + 2.0))
    answers[Rung.CREATE] = lambda t_s: not 40.0 <= t_s < OFF_S + 5.0
    failure = failure_of(tmp_path, rungs=answers, law=queue(38.0, 4.0))
    assert failure.recovered_after_s == pytest.approx(5.5, abs=0.1)


def test_what_the_run_itself_measured_comes_first(tmp_path: Path) -> None:
    told: list[Record] = [MarkerRecord(ns(OFF_S + 2.4), MarkerKind.RECOVERED, value=2.4)]
    failure = failure_of(
        tmp_path, rungs=rungs({Rung.PING, Rung.CREATE}, between(40.0, OFF_S + 2.0)), law=queue(38.0, 4.0), extra=told
    )
    assert failure.recovered_after_s == 2.4


def test_rungs_may_survive_an_overload_of_the_stream(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, rungs=rungs([], between(0, 0)))
    assert failure.kind is FailureKind.OVERLOAD
    assert failure.recovered_after_s == pytest.approx(0.5, abs=0.1)
    assert failure.first_seen_s == pytest.approx(38.0, abs=0.5)  # the step began at 36 s, T is 2 s


def test_nothing_failed(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, rungs=rungs([], between(0, 0)), law=knee(9999))
    assert failure.kind is FailureKind.NONE
    assert failure.recovered_after_s is None and failure.first_seen_s is None


def limited(begin_s: float, end_s: float | None) -> list[Record]:
    """It was said that the generator was the limit, three seconds after that began, and that it no longer was."""
    words = f"{FailureKind.GENERATOR_LIMITED}: 87 ms late"
    said: list[Record] = [MarkerRecord(ns(begin_s + 3), MarkerKind.LIMITED, label=words, value=3.0)]
    return said + ([] if end_s is None else [MarkerRecord(ns(end_s), MarkerKind.LIMITED_END, value=end_s - begin_s)])


@pytest.mark.parametrize(
    ("silent", "said", "kind"),
    [
        (None, (20.0, 50.0), FailureKind.GENERATOR_LIMITED),
        (None, (20.0, None), FailureKind.GENERATOR_LIMITED),
        (None, (20.0, 26.0), FailureKind.NONE),
        ((22.0, 28.0), (20.0, 30.0), FailureKind.GENERATOR_LIMITED),
        ((42.0, 48.0), (20.0, 30.0), FailureKind.OVERLOAD),
    ],
    ids=["for half of the run", "to the end", "for a moment", "while rungs were silent", "but not while rungs were"],
)
def test_what_the_generator_did_is_no_overload(
    tmp_path: Path, silent: tuple[float, float] | None, said: tuple[float, float | None], kind: FailureKind
) -> None:
    dead = {Rung.WS_UPGRADE, Rung.WS_PING, Rung.PING, Rung.CREATE} if silent else set()
    ladder = rungs(dead, between(*silent) if silent else from_then_on(999))
    failure = failure_of(tmp_path, law=knee(9999), rungs=ladder, extra=limited(*said))
    assert failure.kind is kind, failure.rule
    if kind is FailureKind.GENERATOR_LIMITED:
        assert "87 ms late" in failure.rule and failure.recovered_after_s is None


@pytest.mark.parametrize(("end_s", "kind"), [(None, FailureKind.GENERATOR_LIMITED), (50.0, FailureKind.OVERLOAD)])
def test_a_generator_that_is_too_late_to_the_end_tells_of_no_overload(
    tmp_path: Path, end_s: float | None, kind: FailureKind
) -> None:
    dead = {Rung.WS_UPGRADE, Rung.PING, Rung.CREATE}
    ladder = rungs(dead, from_then_on(52))
    failure = failure_of(tmp_path, law=knee(9999), rungs=ladder, extra=limited(20.0, end_s), recovery_s=0)
    assert failure.kind is kind, failure.rule


def test_a_lost_answer_or_two_are_no_failure(tmp_path: Path) -> None:
    answers = rungs({Rung.CREATE, Rung.WS_PING}, lambda t_s: 30 <= t_s < 32 or t_s >= 68)
    assert failure_of(tmp_path, rungs=answers, law=knee(9999)).kind is FailureKind.NONE


# --- a mere slow server is never called stuck -------------------------------------------------------------------


def test_a_queue_that_outlasts_the_recovery_leg_is_overload(tmp_path: Path) -> None:
    """The rungs are dead to the very end, but answers to requests long timed out keep coming."""
    dead = {Rung.PING, Rung.CREATE, Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC}
    failure = failure_of(tmp_path, rungs=rungs(dead, from_then_on(42.0)), law=queue(36.0, 6.0))
    assert failure.kind is FailureKind.OVERLOAD, failure.rule
    assert "still arriving" in failure.rule and failure.recovered_after_s is None


def test_starved_of_cpu_and_back(tmp_path: Path) -> None:
    """Every rung above TCP is dead for a while, and the CPU is at its quota: slow, if slow beyond measure."""
    dead = between(40.0, 58.0)
    seen = [server(t, "R", 19.5 if dead(t) else 12.0) for t in np.arange(0, 70.0).tolist()]
    failure = failure_of(
        tmp_path, rungs=rungs(set(ALL) - {Rung.TCP}, dead), law=stuck(dead), extra=seen, lab={"cpu_percent": 20}
    )
    assert failure.kind is FailureKind.OVERLOAD, failure.rule


def test_what_an_overload_left_behind_is_no_starvation(tmp_path: Path) -> None:
    """The backlog is worked off after the load has gone, and the live watch calls that starved."""
    label = "cpu_starved: create missed its deadline without a stream of requests"
    marker = MarkerRecord(ns(OFF_S + 2.0), MarkerKind.STALL, label=label, value=1.0)
    failure = failure_of(tmp_path, rungs=rungs([], between(0, 0)), extra=[marker])
    assert failure.kind is FailureKind.OVERLOAD, failure.rule
    calm = failure_of(tmp_path / "calm", rungs=rungs([], between(0, 0)), law=knee(9999), extra=[marker])
    assert calm.kind is FailureKind.CPU_STARVED


def test_where_late_answers_are_never_recorded_silence_until_the_load_went_proves_nothing(tmp_path: Path) -> None:
    dead = between(40.0, OFF_S + 1.0)
    failure = failure_of(
        tmp_path, rungs=rungs({Rung.PING, Rung.CREATE}, dead), law=stuck(from_then_on(40.0)), late=False
    )
    assert failure.kind is FailureKind.OVERLOAD, failure.rule


def test_a_slow_plugin_that_comes_back_with_the_load_off_is_overload(tmp_path: Path) -> None:
    dead = between(45.0, OFF_S + 2.0)
    failure = failure_of(tmp_path, rungs=rungs({Rung.AUDIOBRIDGE_SYNC}, dead), law=knee(9999))
    assert failure.kind is FailureKind.OVERLOAD, failure.rule


# --- a stuck one is never called slow ---------------------------------------------------------------------------


def test_a_core_that_was_stuck_and_came_free_under_load(tmp_path: Path) -> None:
    """The fault is undone while requests keep coming; what had queued up is answered late, all at once."""
    held = between(38.0, 50.0)

    def law(_load: float, t_s: float, _random: np.random.Generator) -> float:
        return 50.0 - t_s + 0.02 if held(t_s) else 0.02

    failure = failure_of(tmp_path, rungs=rungs(set(ALL) - {*ALL[:3]}, held), law=law)
    assert failure.kind is FailureKind.CORE_STUCK, failure.rule
    assert "ws_ping answered but no request did" in failure.rule
    assert failure.first_seen_s == pytest.approx(38.5, abs=0.6)


def test_a_session_lock_that_was_held_for_a_while(tmp_path: Path) -> None:
    held = between(38.0, 50.0)
    failure = failure_of(tmp_path, rungs=rungs({Rung.CREATE}, held), law=stuck(held))
    assert failure.kind is FailureKind.CORE_STUCK
    assert failure.rule.startswith("for 12 s ping answered but create did not")


def test_a_plugin_that_was_stuck_and_came_free_under_load(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, rungs=rungs({Rung.AUDIOBRIDGE_SYNC}, between(30.0, 40.0)), law=knee(9999))
    assert failure.kind is FailureKind.PLUGIN_STUCK and failure.plugin == "audiobridge"
    assert failure.lasted_s == pytest.approx(10, abs=2) and failure.came_back


def test_stuck_without_any_onset(tmp_path: Path) -> None:
    """The plugin hangs while create is answered all along: the onset never sees it, the ladder does."""
    run = Simulated(rungs=rungs({Rung.AUDIOBRIDGE_ASYNC}, from_then_on(20.0)), law=knee(9999))
    summary = summarize(run.write(tmp_path / "run"))
    assert summary.onset.status is OnsetStatus.NO_ONSET
    assert summary.failure.kind is FailureKind.PLUGIN_STUCK
    assert "Plugin stuck (audiobridge)" in summary.headline
    assert summary.verdict is Verdict.FAILED


@pytest.mark.parametrize(("climbs", "verdict"), [(True, Verdict.PASSED), (False, Verdict.FAILED)])
def test_a_stall_that_passed_fails_a_soak_and_no_climb(tmp_path: Path, climbs: bool, verdict: Verdict) -> None:
    """Whoever searches for the onset offers too much on purpose; whoever soaks does not."""
    held = between(30.0, 40.0)
    run = Simulated(rungs=rungs({Rung.AUDIOBRIDGE_SYNC}, held), law=knee(9999), analysis={"climbs": climbs})
    summary = summarize(run.write(tmp_path / "run"))
    assert summary.failure.kind is FailureKind.PLUGIN_STUCK and summary.failure.came_back
    assert summary.verdict is verdict
    assert summary.headline.startswith("create does not time out" if climbs else "Stopped answering after 30 s")


def test_a_run_that_ended_in_the_stall(tmp_path: Path) -> None:
    """No recovery leg: with the load on and no answer of any kind for long enough, it is stuck and not slow."""
    when = from_then_on(40.0)
    failure = failure_of(
        tmp_path,
        rungs=rungs({Rung.PING, Rung.CREATE}, when),
        law=stuck(when),
        recovery_s=0.0,
        end="interrupted",
    )
    assert failure.kind is FailureKind.CORE_STUCK


def test_a_deadlock_that_strikes_when_people_leave(tmp_path: Path) -> None:
    """Back after the load, then dead for good: what counts is the end."""
    dead = {Rung.PING, Rung.CREATE, Rung.AUDIOBRIDGE_SYNC}
    answers = rungs(dead, lambda t_s: 40 <= t_s < OFF_S + 1 or t_s >= OFF_S + 6)
    failure = failure_of(tmp_path, rungs=answers, law=queue(38.0, 4.0), recovery_s=20.0)
    assert failure.kind is FailureKind.CORE_STUCK
    assert failure.recovered_after_s is None


# --- without a ladder, and without connections ---------------------------------------------------------------------


def test_without_a_ladder_the_stream_alone_says_overload_and_no_more(tmp_path: Path) -> None:
    failure = failure_of(tmp_path)
    assert failure.kind is FailureKind.OVERLOAD
    assert "no ladder watched" in failure.rule and failure.recovered_after_s is None


def test_connections_that_break_when_the_process_dies(tmp_path: Path) -> None:
    seen = [server(t, "S" if t < 40 else "") for t in np.arange(0, 70.0).tolist()]

    def outcome(_attempt: int, t_s: float) -> Outcome | None:
        return Outcome.LOST_CONNECTION if 39.9 <= t_s < 40 else Outcome.CONNECT_FAILED if t_s >= 40 else None

    run = Simulated(rungs=rungs(ALL, from_then_on(40)), law=knee(9999), outcome=outcome, extra=list(seen))
    summary = summarize(run.write(tmp_path / "run"))
    assert summary.failure.kind is FailureKind.CRASHED
    assert summary.onset.status is OnsetStatus.TRANSPORT_LIMITED
    assert summary.headline.endswith("Crashed.")
