"""Windows, achieved load, settling, and what does not count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from janusload.analysis import summarize
from janusload.records import (
    HealthRecord,
    MarkerKind,
    MarkerRecord,
    Outcome,
    Record,
    RequestRecord,
    Source,
)
from janusload.run_folder import RunFolder
from janusload.summary import OnsetStatus, Step
from tests.analysis.simulated import Simulated, knee, ns

QUIET = knee(9999)


def steps_of(path: Path, **settings: object) -> list[Step]:
    return summarize(Simulated(**{"law": QUIET, **settings}).write(path / "run")).steps  # type: ignore[arg-type]


def test_the_settling_time_is_dropped(tmp_path: Path) -> None:
    steps = steps_of(tmp_path, settle_s=4.0)
    assert [step.rate.attempts for step in steps] == [round(load * 8) for load in (50, 100, 150, 200, 250)]
    assert [(step.begin_s, step.settled_s, step.end_s) for step in steps[:2]] == [(0, 4, 12), (12, 16, 24)]
    assert [step.achieved for step in steps] == pytest.approx([50, 100, 150, 200, 250], rel=0.01)


def test_the_default_settling_time_is_t_but_at_least_five_seconds(tmp_path: Path) -> None:
    assert steps_of(tmp_path, analysis={"settle_s": None})[0].settled_s == 5.0
    assert steps_of(tmp_path / "b", analysis={"settle_s": None}, timeout_s=8.0)[0].settled_s == 8.0


def test_timeouts_while_a_step_settles_are_not_its_own(tmp_path: Path) -> None:
    def law(_load: float, t_s: float, _random: np.random.Generator) -> float:
        return float("inf") if t_s % 12 < 2 else 0.02

    steps = steps_of(tmp_path, law=law)
    assert [step.rate.timeouts for step in steps] == [0] * 5
    assert steps[0].outcomes == {"ok": 500}


def test_a_step_shorter_than_its_settling_time_counts_for_nothing(tmp_path: Path) -> None:
    steps = steps_of(tmp_path, settle_s=12.0)
    assert not any(step.counted for step in steps)
    assert steps[0].left_out == "it was shorter than the settling time"
    assert all(step.rate.attempts == 0 and step.rate.upper == 1.0 for step in steps)


def test_an_attempt_belongs_to_the_step_in_which_it_was_due(tmp_path: Path) -> None:
    """Sent two seconds late, in the next step: its latency counts from when it was due, in the step of its field."""
    late = RequestRecord(10**6, "janus.create", Source.ARRIVALS, 0, ns(11.5), ns(13.5), ns(13.6), 2.0, Outcome.OK)
    steps = steps_of(tmp_path, extra=[late])
    assert steps[0].rate.attempts == 501 and steps[1].rate.attempts == 1000
    assert steps[0].achieved == pytest.approx(50.0) and steps[1].achieved == pytest.approx(100.0)


def test_service_time_decides_over_timeout_latency_over_quantiles(tmp_path: Path) -> None:
    """Written 1.5 s late and answered 1.5 s later: 3 s of latency, and no timeout at T = 2 s."""
    folder = RunFolder.create(tmp_path / "run")
    folder.write_meta(
        clock={"monotonic_ns": ns(0)}, analysis={"timeout_s": 2.0, "settle_s": 0.0}, run={"end": "completed"}
    )
    writer = folder.writer("load")
    writer.write(MarkerRecord(ns(0), MarkerKind.STEP_BEGIN, 0, value=30.0))
    for n in range(600):
        due = n / 30
        writer.write(
            RequestRecord(n, "janus.create", Source.ARRIVALS, 0, ns(due), ns(due + 1.5), ns(due + 3), 2.0, Outcome.OK)
        )
    writer.write(MarkerRecord(ns(20), MarkerKind.STEP_END, 0, value=600.0))
    writer.write(HealthRecord(ns(1), "load", 10.0, 1, 1, schedule_lag_p99_ms=1.0))
    writer.close()
    step = summarize(folder).steps[0]
    assert step.rate.timeouts == 0 and step.rate.attempts == 600
    assert step.latency_ms.p50 is not None and step.latency_ms.p50.value == pytest.approx(3000)


def test_an_answer_that_overtook_its_timer_is_late_all_the_same(tmp_path: Path) -> None:
    odd = RequestRecord(10**6, "janus.create", Source.ARRIVALS, 0, ns(8), ns(8), ns(10.001), 2.0, Outcome.OK)
    assert steps_of(tmp_path, extra=[odd])[0].rate.timeouts == 1


@pytest.mark.parametrize(
    ("outcome", "judged"),
    [
        (Outcome.OK, True),
        (Outcome.API_ERROR, True),
        (Outcome.API_TIMEOUT, True),
        (Outcome.LOST_CONNECTION, False),
        (Outcome.CONNECT_FAILED, False),
        (Outcome.DROPPED, False),
        (Outcome.CUT, False),
    ],
)
def test_which_outcomes_are_judged(tmp_path: Path, outcome: Outcome, judged: bool) -> None:
    def forced(attempt: int, _t_s: float) -> Outcome | None:
        return outcome if attempt == 300 else None

    step = steps_of(tmp_path, outcome=forced)[0]
    assert step.rate.attempts == (500 if judged else 499)
    assert step.rate.timeouts == (1 if outcome is Outcome.API_TIMEOUT else 0)
    assert sum(step.outcomes.values()) == 500 and step.outcomes.get(str(outcome), 0) >= 1


# --- the generator's limits -------------------------------------------------------------------------------------


def readings(**fields: object) -> Callable[[int], list[Record]]:
    """Two readings a second while step 2 counts, of which so many show these values."""

    def make(bad: int) -> list[Record]:
        quiet = HealthRecord(0, "load-2", 20.0, 1, 1, 1.0, 1.0, 1.0)
        loud = quiet._replace(**fields)  # type: ignore[arg-type]
        moments = np.arange(0.25, 70.0, 0.5).tolist()
        inside = [t for t in moments if 26 < t <= 36][:bad]
        return [(loud if t in inside else quiet)._replace(t_ns=ns(t)) for t in moments]

    return make


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cpu_percent": 93.0}, "load-2 used 93 % of a core (limit 90)"),
        ({"lag_p99_ms": 25.0}, "the event loop of load-2 woke 25 ms late (limit 20)"),
        ({"schedule_lag_p99_ms": 30.0}, "arrivals of load-2 left 30 ms late (limit 20)"),
        ({"pacing_p99_ms": 12.0}, "audio packets of load-2 left 12 ms late (limit 10)"),
    ],
)
def test_each_limit_of_health(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    make = readings(**fields)
    for bad, counted in ((0, True), (1, True), (2, True), (3, False), (20, False)):
        steps = steps_of(tmp_path / str(bad), extra=make(bad))
        assert steps[2].counted is counted, bad
        assert steps[1].counted
        if not counted:
            assert steps[2].left_out is not None and words in steps[2].left_out
            assert steps[3].left_out == "it lies above a step at which the analysis had to stop"


def test_lag_limits_follow_t(tmp_path: Path) -> None:
    make = readings(lag_p99_ms=40.0)
    assert steps_of(tmp_path, extra=make(20), timeout_s=5.0)[2].counted  # 1 % of 5 s is 50 ms


class Soak(Simulated):
    """One load all the time, which the analysis cuts into bins of half a second."""

    def records(self) -> Iterable[Record]:
        edges = (MarkerKind.STEP_BEGIN, MarkerKind.STEP_END)
        return (each for each in super().records() if not (isinstance(each, MarkerRecord) and each.kind in edges))


@pytest.mark.parametrize(("late_ms", "valid"), [(90.0, False), (5.0, True)])
def test_bins_shorter_than_a_reading_are_judged_by_those_around_them(
    tmp_path: Path, late_ms: float, valid: bool
) -> None:
    late: list[Record] = [HealthRecord(ns(t), "load-2", 8.0, 1, 1, lag_p99_ms=late_ms) for t in np.arange(4.5, 12.0)]
    soak = Soak(loads=[1200], step_s=12.0, law=QUIET, extra=late)
    summary = summarize(soak.write(tmp_path / "run"))
    assert summary.generator.valid is valid
    assert (summary.onset.status is OnsetStatus.GENERATOR_LIMITED) is not valid


def test_a_process_that_no_longer_reports(tmp_path: Path) -> None:
    gone: list[Record] = [HealthRecord(ns(t), "media-1", 5.0, 1, 1) for t in np.arange(0.5, 30.0).tolist()]
    steps = steps_of(tmp_path, extra=gone)
    assert steps[2].counted
    assert steps[3].left_out == "generator: media-1 no longer reported"


def test_arrivals_that_were_never_made(tmp_path: Path) -> None:
    """The plan says 3000 in step 4; the generator only came to half of them."""
    folder = Simulated(law=QUIET).write(tmp_path / "run")
    writer = folder.writer("other")
    writer.write(MarkerRecord(ns(61), MarkerKind.STEP_END, 4, value=6000.0))
    writer.close()
    step = summarize(folder).steps[4]
    assert step.left_out is not None and "only 3000 of 6000 arrivals were made" in step.left_out


def test_poisson_arrivals_are_no_missing_arrivals(tmp_path: Path) -> None:
    for seed in range(3):
        folder = RunFolder.create(tmp_path / str(seed))
        folder.write_meta(clock={"monotonic_ns": ns(0)}, analysis={"timeout_s": 2.0, "settle_s": 0.0})
        writer = folder.writer("load")
        writer.write(MarkerRecord(ns(0), MarkerKind.STEP_BEGIN, 0, value=50.0))
        random = np.random.default_rng(seed)
        due = np.cumsum(random.exponential(1 / 50, 700))
        for n, t in enumerate(due[due < 12].tolist()):
            answered = ns(t + 0.01)
            writer.write(RequestRecord(n, "janus.create", Source.ARRIVALS, 0, ns(t), ns(t), answered, 2.0, Outcome.OK))
        writer.close()
        assert summarize(folder).steps[0].counted
