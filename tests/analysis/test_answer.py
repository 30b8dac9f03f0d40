"""Every status of the onset, on run folders with a known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from janusload.analysis import summarize
from janusload.records import (
    HealthRecord,
    Outcome,
    RequestRecord,
    Rung,
    Source,
)
from janusload.summary import FailureKind, OnsetStatus, Summary, Verdict
from tests.analysis.simulated import Simulated, always_out, background, knee, ns

HEALTHY = dict.fromkeys((Rung.TCP, Rung.WS_UPGRADE, Rung.WS_PING, Rung.PING, Rung.CREATE), lambda _t_s: True)


def summary_of(path: Path, run: Simulated) -> Summary:
    summary = summarize(run.write(path / "run"))
    assert Summary.from_json(summary.to_json()) == summary  # what is written is what was found
    return summary


def test_found(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(rungs=HEALTHY))
    onset = summary.onset
    assert onset.status is OnsetStatus.FOUND
    assert onset.load_bracket == (pytest.approx(150, rel=0.01), pytest.approx(200, rel=0.01))
    assert onset.load is not None and 150 < onset.load < 200
    assert onset.bracket_ms is not None
    good, bad = onset.bracket_ms
    # lognormal around 40 ms, sigma 0.5: p95 is 91 ms; at K a fifth times out, so p95 is beyond T
    assert good is not None and good.value == pytest.approx(91, rel=0.15) and not good.at_least
    assert bad is not None and bad.value == 2000 and bad.at_least
    assert onset.latency_ms is not None and onset.latency_ms.p95 is not None
    assert onset.latency_ms.p95.at_least and good.value < onset.latency_ms.p95.value < 2000
    assert onset.latency_ms.p50 is not None and onset.latency_ms.p50.value == pytest.approx(42, rel=0.2)
    assert onset.samples_per_step == 1500 and onset.timeout_s == 2.0
    assert summary.verdict is Verdict.PASSED
    assert summary.failure.kind is FailureKind.OVERLOAD
    assert summary.headline.startswith("create begins timing out between 150 and 200 requests/s, at a p95 latency of ")
    assert "(T = 2 s, 1,500 samples a step" in summary.headline
    assert summary.headline.endswith("Overload: back after 0.5 s.")


def test_unconfirmed(tmp_path: Path) -> None:
    onset = summary_of(tmp_path, Simulated(law=knee(250))).onset
    assert onset.status is OnsetStatus.UNCONFIRMED
    assert onset.load_bracket == (pytest.approx(200, rel=0.01), pytest.approx(250, rel=0.01))
    assert "no higher step" in onset.explanation


def test_no_onset(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(law=knee(9999), rungs=HEALTHY))
    onset = summary.onset
    assert onset.status is OnsetStatus.NO_ONSET
    assert onset.load_bracket == (pytest.approx(250, rel=0.01), None)
    assert onset.rate_upper is not None and onset.rate_upper < 3 / 2500
    assert onset.latency_ms is not None and onset.latency_ms.p95 is not None and onset.latency_ms.p95.at_least
    assert summary.failure.kind is FailureKind.NONE
    assert summary.headline.startswith("create does not time out up to 250 requests/s, where the p95 latency is ")


def test_no_onset_under_a_background_of_timeouts(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(law=background(0.002), rungs=HEALTHY))
    assert summary.onset.status is OnsetStatus.NO_ONSET
    assert summary.failure.kind is FailureKind.NONE and "credibly" in summary.failure.rule


def test_from_start(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(law=always_out, late=False))
    onset = summary.onset
    assert onset.status is OnsetStatus.FROM_START
    assert onset.load_bracket == (None, pytest.approx(50, rel=0.01))
    assert onset.bracket_ms is not None and onset.bracket_ms[0] is None
    assert onset.bracket_ms[1] is not None and onset.bracket_ms[1].at_least
    assert all(step.rate.value == 1.0 for step in summary.steps)
    assert summary.verdict is Verdict.INCONCLUSIVE  # how much lower the onset lies is not known
    assert "times out from the lowest load on" in summary.headline


def test_lower_unproven_says_how_many_more(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(loads=(10, 11, 12, 13, 14), law=knee(13, 0.5)))
    onset = summary.onset
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert onset.status is OnsetStatus.LOWER_UNPROVEN
    assert onset.load_bracket == (None, pytest.approx(13, rel=0.02))
    assert "148 more attempts at 12 requests/s" in onset.explanation  # 268 are needed, 120 were made


def lagging(from_s: float, to_s: float) -> list[HealthRecord]:
    """A reading tells of the second before it."""
    return [
        HealthRecord(ns(t), "media-0", 97.0, 1, 1, lag_p99_ms=80.0, pacing_due=800, pacing_late=90)
        for t in np.arange(from_s + 1, to_s + 1).tolist()
    ]


def test_generator_limited_below_any_onset(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(extra=lagging(36, 60)))
    onset = summary.onset
    assert onset.status is OnsetStatus.GENERATOR_LIMITED
    assert onset.load_bracket == (pytest.approx(150, rel=0.01), None)
    assert onset.latency_ms is not None and onset.latency_ms.p95 is not None and onset.latency_ms.p95.at_least
    assert [step.counted for step in summary.steps] == [True, True, True, False, False]
    assert not summary.generator.valid
    assert any("media-0 used 97 % of a core" in reason for reason in summary.generator.reasons)
    assert any("audio packets" in reason for reason in summary.generator.reasons)
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert summary.failure.kind is FailureKind.GENERATOR_LIMITED


def test_a_generator_that_tires_above_a_confirmed_onset_spoils_nothing(tmp_path: Path) -> None:
    run = Simulated(loads=(50, 100, 150, 200, 250, 300), extra=lagging(60, 72))
    summary = summary_of(tmp_path, run)
    assert summary.onset.status is OnsetStatus.FOUND
    assert summary.generator.valid and summary.generator.reasons == []
    assert summary.steps[5].left_out is not None and not summary.steps[5].counted


def test_one_garbage_collection_is_no_limit(tmp_path: Path) -> None:
    pause = [HealthRecord(ns(40.5), "media-0", 50.0, 1, 1, lag_p99_ms=140.0)]
    quiet = [HealthRecord(ns(t), "media-0", 50.0, 1, 1, lag_p99_ms=1.0) for t in np.arange(0, 70.0).tolist()]
    assert summary_of(tmp_path, Simulated(extra=pause + quiet)).generator.valid


def test_overload_is_not_mistaken_for_a_slow_generator(tmp_path: Path) -> None:
    """Every request left on time; that none was answered is the server's doing."""
    summary = summary_of(tmp_path, Simulated(law=knee(200, 1.0)))
    assert summary.generator.valid
    assert [round(step.achieved) for step in summary.steps] == [50, 100, 150, 200, 250]


def test_transport_limited(tmp_path: Path) -> None:
    def refused(_attempt: int, t_s: float) -> Outcome | None:
        return Outcome.CONNECT_FAILED if t_s > 36 else None

    summary = summary_of(tmp_path, Simulated(outcome=refused))
    assert summary.onset.status is OnsetStatus.TRANSPORT_LIMITED
    assert summary.generator.valid and summary.verdict is Verdict.INCONCLUSIVE
    assert summary.steps[3].rate.attempts == 0 and summary.steps[3].outcomes == {"connect_failed": 2000}
    assert "connections failed" in summary.headline
    # nor does a soak pass in which nobody got in
    run = Simulated(outcome=refused).write(tmp_path / "soak")
    analysis = {**run.read_meta()["analysis"], "climbs": False}
    run.write_meta(analysis=analysis)
    assert summarize(run).verdict is Verdict.INCONCLUSIVE


def test_a_pool_without_connections_drops_for_the_transports_sake(tmp_path: Path) -> None:
    """What the open-loop stream records when the server is gone: arrivals dropped, and connecting refused."""
    refusals = [
        RequestRecord(
            10**6 + n, "ws.connect", Source.ARRIVALS, 3, ns(36.0 + n), None, None, 2.0, Outcome.CONNECT_FAILED, "tcp"
        )
        for n in range(20)
    ]
    run = Simulated(outcome=lambda _n, t_s: Outcome.DROPPED if t_s > 36.2 else None, extra=list(refusals))
    assert summary_of(tmp_path, run).onset.status is OnsetStatus.TRANSPORT_LIMITED


def test_drops_without_any_trouble_of_connections_are_the_generators(tmp_path: Path) -> None:
    run = Simulated(outcome=lambda n, t_s: Outcome.DROPPED if t_s > 36 and n % 100 == 0 else None, law=knee(9999))
    summary = summary_of(tmp_path, run)
    assert summary.onset.status is OnsetStatus.GENERATOR_LIMITED
    assert "dropped" in summary.generator.reasons[0]


def test_aborted_before_the_knee(tmp_path: Path) -> None:
    run = Simulated(loads=(50, 100, 150), end="interrupted", analysis={"steps": [{"index": k} for k in range(5)]})
    summary = summary_of(tmp_path, run)
    assert summary.onset.status is OnsetStatus.ABORTED
    assert summary.onset.load_bracket == (pytest.approx(150, rel=0.01), None)
    assert "interrupted after 3 of 5 steps" in summary.onset.explanation
    assert summary.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        ("completed", Verdict.PASSED),
        ("run time over", Verdict.PASSED),
        ("interrupted", Verdict.INCONCLUSIVE),
        (None, Verdict.INCONCLUSIVE),
    ],
)
def test_a_run_that_broke_off_before_the_onset_is_no_pass(tmp_path: Path, end: str | None, verdict: Verdict) -> None:
    run = Simulated(loads=(50, 100, 150), law=knee(9999), end=end)
    assert summary_of(tmp_path, run).verdict is verdict


def test_a_run_that_broke_off_after_the_onset_has_its_answer(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(end="interrupted"))
    assert summary.onset.status is OnsetStatus.FOUND and summary.verdict is Verdict.PASSED


@pytest.mark.parametrize(("end", "verdict"), [("run time over", Verdict.PASSED), (None, Verdict.INCONCLUSIVE)])
def test_a_soak_that_broke_off_is_no_pass(tmp_path: Path, end: str | None, verdict: Verdict) -> None:
    run = Simulated(loads=(50,), law=knee(9999), rungs=HEALTHY, end=end, analysis={"climbs": False})
    assert summary_of(tmp_path, run).verdict is verdict


def test_insufficient_data(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(loads=(5, 6, 7), law=knee(9999)))
    assert summary.onset.status is OnsetStatus.INSUFFICIENT_DATA
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert "more attempts" in summary.onset.explanation


def test_a_soak_that_is_asked_about_a_request_answers_about_it(tmp_path: Path) -> None:
    run = Simulated(loads=(10,), law=knee(9999), rungs=HEALTHY, analysis={"climbs": False})
    folder = run.write(tmp_path / "run")
    assert summarize(folder).headline.startswith("No stall in ")
    assert summarize(folder, "janus.create").headline.startswith("Too few attempts to tell when create begins ")
