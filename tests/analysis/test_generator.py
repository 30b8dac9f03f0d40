"""Whether the generator kept up: rules beyond those of single steps in `test_steps.py`, each with its advice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from janusload.analysis import summarize
from janusload.analysis.generator import advice
from janusload.records import (
    LIFE,
    HealthRecord,
    MarkerKind,
    MarkerRecord,
    Outcome,
    Record,
    RequestRecord,
    Source,
)
from janusload.run_folder import RunFolder
from janusload.summary import Summary, Verdict
from tests.analysis.simulated import Simulated, knee, ns, peer

KNEE = knee(200)


def health(t_s: float, **fields: object) -> HealthRecord:
    return HealthRecord(ns(t_s), "load-2", 20.0, 1, 1, 1.0, 1.0, 1.0)._replace(**fields)  # type: ignore[arg-type]


def run(path: Path, extra: list[Record]) -> Summary:
    return summarize(Simulated(law=KNEE, extra=extra).write(path / "run"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"steal_percent": 14.0}, "the host took 14 % of the cores from load-2"),
        ({"exhausted": 1}, "load-2 ran out of open files, ports or buffers"),
    ],
)
def test_what_the_machine_did_not_give(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    step = run(tmp_path, [health(t, **fields) for t in np.arange(26.5, 36.0).tolist()]).steps[2]
    assert step.left_out is not None and words in step.left_out
    assert advice(step.left_out)


@pytest.mark.parametrize(
    ("worst", "counted"),
    [
        ({"pacing_late": 80, "pacing_p99_ms": 14.0}, True),
        ({"pacing_late": 81, "pacing_p99_ms": 14.0}, False),
        ({"steal_percent": 90.0}, True),
        ({"steal_percent": 110.0}, False),
    ],
)
def test_what_adds_up_is_judged_over_the_whole_step(tmp_path: Path, worst: dict[str, float], counted: bool) -> None:
    """Ten readings of 800 packets: one of them may hold all that a hundredth of the step is, and no more."""
    readings = [health(t, pacing_due=800, pacing_late=0, steal_percent=0.0) for t in np.arange(26.5, 36.0).tolist()]
    readings[4] = readings[4]._replace(**worst)  # type: ignore[arg-type]
    step = run(tmp_path, list(readings)).steps[2]
    assert step.counted is counted, step.left_out
    if not counted and "pacing_late" in worst:
        words = "1.0 % of the audio packets of load-2 left more than 10 ms late (limit 1)"
        assert step.left_out is not None and words in step.left_out


def test_dropped_arrivals_stop_the_analysis(tmp_path: Path) -> None:
    """0.1 % may be dropped, more may not: of 1500 that count in step 2 one, then two."""
    for dropped, counted in ((1, True), (2, False)):

        def forced(_attempt: int, t_s: float, dropped: int = dropped) -> Outcome | None:
            return Outcome.DROPPED if 30 <= t_s < 30 + dropped / 150 - 1e-6 else None

        folder = Simulated(law=KNEE, outcome=forced).write(tmp_path / str(dropped))
        step = summarize(folder).steps[2]
        assert step.counted is counted, step.left_out
        words = f"generator: {dropped} of 1500 arrivals were dropped: no client could take them"
        assert step.left_out == (None if counted else words)


def test_datagrams_that_this_machine_threw_away(tmp_path: Path) -> None:
    """Of 10 s of audio for two participants, which are 1000 packets, one may be lost here."""
    media: list[Record] = [peer(name, t, round(50 * t) + 1) for name in ("a", "b") for t in range(1, 70)]
    for thrown, counted in ((1, True), (2, False)):
        # two processes of one machine read the same counter
        drops: list[Record] = [health(30.5, process=process, udp_drops=thrown) for process in ("load-1", "load-2")]
        summary = run(tmp_path / str(thrown), [*media, *drops])
        assert summary.steps[2].counted is counted
        assert counted or "threw away 2 datagrams, of about 1,000 packets" in (summary.steps[2].left_out or "")
        assert summary.generator.udp_drops == thrown
    assert run(tmp_path / "no audio", list(drops)).steps[2].counted, "nobody listened"


def pending(folder: RunFolder, share: float) -> list[Record]:
    """What would have been counted at ten moments a second, times `share`."""
    rows = [record for record in Simulated(law=KNEE).records() if isinstance(record, RequestRecord)]
    sent = np.array([record.sent_ns for record in rows])
    gone = np.array([record.answered_ns or record.sent_ns + 2_000_000_000 for record in rows if record.sent_ns])
    moments = [ns(t) for t in np.arange(0.05, 60.0, 0.1).tolist()]
    return [health(0, t_ns=t, pending=round(share * int(((sent <= t) & (gone > t)).sum()))) for t in moments]


def test_in_flight_is_rate_times_latency(tmp_path: Path) -> None:
    """At 200/s and 250/s a fifth is never answered: 87 and 109 in flight; over all five steps about 40."""
    folder = Simulated(law=KNEE).write(tmp_path / "plan")
    right = run(tmp_path / "right", pending(folder, 1.0))
    assert right.generator.in_flight is not None
    counted, by_law = right.generator.in_flight
    assert counted == pytest.approx(by_law, rel=0.05) and by_law == pytest.approx(40, rel=0.05)
    assert all(step.counted for step in right.steps)
    wrong = run(tmp_path / "wrong", pending(folder, 0.5))
    assert wrong.steps[1].counted, "five in flight, and three: that may be chance"
    words = wrong.steps[3].left_out or ""
    assert "the accounting is wrong" in words and "report" in advice(words)


def churn(path: Path, extra: list[Record]) -> Summary:
    """A run of users alone: twenty lives, no steps."""
    folder = RunFolder.create(path / "run")
    folder.write_meta(
        run={"id": "r", "started_utc": "2026-11-22T11:40:00Z", "end": "completed"},
        clock={"monotonic_ns": ns(0)},
        analysis={"climbs": False, "axis": "lives per second", "timeout_s": 0.0},
    )
    writer = folder.writer("load")
    for label, t_s in (("joining", 0.0), ("steps", 1.0), ("leaving", 41.0), ("end", 42.0)):
        writer.write(MarkerRecord(ns(t_s), MarkerKind.PHASE, label=label))
    for n in range(20):
        due = ns(1 + 2 * n)
        for name in ("ws.connect", "janus.create"):
            answered = due + 5_000_000
            writer.write(RequestRecord(n, name, Source.USERS, -1, due, due, answered, 10.0, Outcome.OK))
    for record in extra:
        writer.write(record)
    writer.close()
    return summarize(folder)


def test_lives_that_nobody_was_free_for(tmp_path: Path) -> None:
    quiet: list[Record] = [health(float(t)) for t in range(42)]
    assert churn(tmp_path / "a", quiet).verdict is Verdict.PASSED
    dropped = RequestRecord(-1, LIFE, Source.USERS, -1, ns(9), None, None, 0.0, Outcome.DROPPED)
    summary = churn(tmp_path / "b", [*quiet, dropped])
    assert summary.verdict is Verdict.INCONCLUSIVE and summary.generator.dropped_lives == 1
    assert summary.generator.reasons == ["1 of 21 lives were dropped: no user was free to begin them"]
    assert summary.requests[LIFE].outcomes == {"dropped": 1}


def test_a_run_without_steps_is_limited_too(tmp_path: Path) -> None:
    """From when all have joined: what setting them up costs is no part of the load."""
    busy: list[Record] = [health(float(t), cpu_percent=97.0) for t in range(42)]
    joining: list[Record] = [health(t / 10, cpu_percent=97.0 if t < 10 else 20.0) for t in range(420)]
    assert churn(tmp_path / "a", joining).generator.valid
    summary = churn(tmp_path / "b", busy)
    assert summary.verdict is Verdict.INCONCLUSIVE
    (reason,) = summary.generator.reasons
    assert reason.endswith("load-2 used 97 % of a core (limit 90)")
