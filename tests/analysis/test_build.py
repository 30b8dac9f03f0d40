"""From a run folder to its summary: edges, runs that ended badly, and what else is in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from janusload.analysis import summarize
from janusload.records import (
    LogRecord,
    MarkerKind,
    MarkerRecord,
    Outcome,
    RequestRecord,
    Rung,
    Source,
)
from janusload.run_folder import RunFolder
from janusload.summary import OnsetStatus, Summary, Verdict
from tests.analysis.simulated import Simulated, always_out, knee, ns, peer, server

HEALTHY = dict.fromkeys((Rung.TCP, Rung.WS_UPGRADE, Rung.WS_PING, Rung.PING, Rung.CREATE), lambda _t_s: True)


def summary_of(path: Path, run: Simulated) -> Summary:
    summary = summarize(run.write(path / "run"))
    assert Summary.from_json(summary.to_json()) == summary  # what is written is what was found
    return summary


# --- edges ------------------------------------------------------------------------------------------------------


def test_no_request_at_all(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(loads=()))
    assert summary.onset.status is OnsetStatus.INSUFFICIENT_DATA
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert summary.steps == [] and summary.requests == {}


def test_a_folder_with_nothing_but_meta(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_meta(target={"url": "ws://127.0.0.1"})
    summary = summarize(folder)
    assert summary.onset.status is OnsetStatus.INSUFFICIENT_DATA
    assert summary.run.name == "run" and summary.run.duration_s == 0.0


def test_one_sample(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(loads=(0.1,), settle_s=0.0))
    assert summary.onset.status is OnsetStatus.INSUFFICIENT_DATA
    assert summary.steps[0].rate.attempts == 1


def test_one_step_that_times_out(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, Simulated(loads=(100,), law=always_out))
    assert summary.onset.status is OnsetStatus.FROM_START


def test_a_hole_in_the_middle(tmp_path: Path) -> None:
    """A step in which nothing was sent is no evidence either way; the steps around it decide."""
    run = Simulated(outcome=lambda _n, t_s: Outcome.CUT if 24 <= t_s < 36 else None)
    summary = summary_of(tmp_path, dataclasses.replace(run, end="completed"))
    assert summary.steps[2].counted is False
    assert summary.onset.load_bracket is not None
    assert summary.onset.load_bracket[0] == pytest.approx(100, rel=0.01)


def test_two_stalls_name_the_first(tmp_path: Path) -> None:
    def law(load: float, _t_s: float, random: np.random.Generator) -> float:
        return float("inf") if load in (100, 250) and random.random() < 0.3 else 0.05

    onset = summary_of(tmp_path, Simulated(law=law)).onset
    assert onset.status is OnsetStatus.FOUND
    assert onset.load_bracket == (pytest.approx(50, rel=0.01), pytest.approx(100, rel=0.01))
    assert onset.explanation.endswith(
        "But at 150 and 200 requests/s timeouts were credibly below that again: "
        "something else than the load may have caused them."
    )


def test_wall_clocks_may_jump(tmp_path: Path) -> None:
    folder = Simulated().write(tmp_path / "run")
    before = summarize(folder)
    run = folder.read_meta()["run"]
    folder.write_meta(run={**run, "started_utc": "2031-01-01T00:00:00Z", "ended_utc": "1970-01-01T00:00:00Z"})
    after = summarize(folder)
    assert after.run.duration_s == before.run.duration_s == pytest.approx(70, abs=1)
    assert after.onset == before.onset and after.timeline == before.timeline


def test_t_changed_mid_run_is_refused(tmp_path: Path) -> None:
    other = RequestRecord(10**6, "janus.create", Source.ARRIVALS, 2, ns(30), ns(30), None, 5.0, Outcome.API_TIMEOUT)
    summary = summary_of(tmp_path, Simulated(extra=[other]))
    assert summary.onset.status is OnsetStatus.INSUFFICIENT_DATA
    assert "2 s, 5 s" in summary.onset.explanation
    assert summary.verdict is Verdict.INCONCLUSIVE


def test_meta_of_the_wrong_shape_is_taken_as_silence(tmp_path: Path) -> None:
    folder = Simulated().write(tmp_path / "run")
    folder.write_meta(analysis="none", clock=[1], run={"end": 7}, versions={"janus": 1}, lab="x", leaks={"odd": 1})
    summary = summarize(folder)
    assert summary.onset.status is OnsetStatus.FOUND  # all of it can be told from the records
    assert summary.leaks.sessions is None


# --- a run that was cut off -------------------------------------------------------------------------------------


def killed(path: Path, keep: float) -> Summary:
    """The summary of a run whose files were all cut at the same share of their length."""
    folder = Simulated(end=None, recovery_s=0).write(path / "run")
    for file in folder.records.iterdir():
        data = file.read_bytes()
        file.write_bytes(data[: int(len(data) * keep)])
    return summarize(folder)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.2, 0.5, 0.8, 0.99])
def test_a_killed_run_still_has_a_summary(tmp_path: Path, keep: float) -> None:
    summary = killed(tmp_path, keep)
    assert summary.onset.status in (
        OnsetStatus.INSUFFICIENT_DATA,
        OnsetStatus.ABORTED,
        OnsetStatus.UNCONFIRMED,
        OnsetStatus.FOUND,
    )
    assert summary.run.end.startswith("failed")
    if keep <= 0.01:
        assert summary.verdict is Verdict.INCONCLUSIVE


def test_a_killed_run_that_had_seen_the_onset_has_it(tmp_path: Path) -> None:
    assert killed(tmp_path, 0.99).onset.status is OnsetStatus.FOUND


def test_the_last_seconds_before_a_cut_flatter_nobody(tmp_path: Path) -> None:
    """Everything times out; when the run is cut, what was sent less than T before is not known, and not counted."""
    run = Simulated(
        loads=(100,),
        law=lambda _l, t_s, random: float("inf") if t_s < 10 and random.random() < 0.5 else 0.01,
        end="interrupted",
        recovery_s=0,
    )

    def cut_slow_ones(_attempt: int, t_s: float) -> Outcome | None:
        return None if t_s < 10 else (Outcome.CUT if _attempt % 2 else Outcome.OK)

    summary = summary_of(tmp_path, dataclasses.replace(run, outcome=cut_slow_ones))
    step = summary.steps[0]
    assert step.rate.attempts == pytest.approx(800, abs=2)  # 2 to 10 s
    assert step.rate.value == pytest.approx(0.5, abs=0.06)
    assert step.outcomes["cut"] == 100


# --- what else is in it -----------------------------------------------------------------------------------------


def test_requests_by_name_with_errors_and_late_answers(tmp_path: Path) -> None:
    def record(attempt: int, name: str, outcome: Outcome, **rest: object) -> RequestRecord:
        answered = ns(5.1) if outcome in (Outcome.OK, Outcome.API_ERROR) else None
        plain = RequestRecord(attempt, name, Source.USERS, 0, ns(5), ns(5), answered, 2.0, outcome)
        return plain._replace(**rest)  # type: ignore[arg-type]

    extra = [
        record(10**6, "audiobridge.join", Outcome.API_ERROR, layer="plugin", plugin="audiobridge", code=485),
        record(10**6 + 1, "audiobridge.join", Outcome.API_ERROR, layer="plugin", plugin="audiobridge", code=485),
        record(10**6 + 2, "audiobridge.join", Outcome.API_ERROR, layer="janus", plugin="audiobridge", code=458),
        record(10**6 + 3, "audiobridge.join", Outcome.OK),
    ]
    slow = knee(9999)

    def law(load: float, t_s: float, random: np.random.Generator) -> float:
        return 3.0 if load == 250 else slow(load, t_s, random)

    summary = summary_of(tmp_path, Simulated(law=law, extra=list(extra)))
    join = summary.requests["audiobridge.join"]
    assert join.count == 4 and join.outcomes == {"api_error": 3, "ok": 1}
    assert join.errors == {"audiobridge 485": 2, "janus 458": 1}
    assert join.latency_ms.p50 is not None and join.latency_ms.p50.value == pytest.approx(100, rel=1e-3)
    create = summary.requests["janus.create"]
    assert create.late == 3000 == create.outcomes["api_timeout"]
    assert list(summary.requests) == ["janus.create", "audiobridge.join"]


def test_surroundings(tmp_path: Path) -> None:
    extra = [
        *(server(t, cpu_percent=t) for t in np.arange(0.0, 70.0).tolist()),
        *(peer(name, t, round(50 * t)) for t in np.arange(0.0, 70.0).tolist() for name in ("talker-1", "talker-2")),
        LogRecord(ns(3), "srtp", 4),
        LogRecord(ns(4), "srtp", 5),
        LogRecord(ns(4), "ice", 0),
        MarkerRecord(ns(1), MarkerKind.NOTE, label="hello"),
    ]
    folder = Simulated(extra=list(extra), lab={"cpu_percent": 20}, rungs=HEALTHY).write(tmp_path / "run")
    folder.write_meta(leaks={"sessions": 0, "processes": 0}, server={"version_string": "1.1.2"}, host={"cores": 2})
    (folder.evidence / "stall-1").mkdir(parents=True)
    summary = summarize(folder)
    assert summary.server is not None and summary.server.cpu_percent_max == 67.0  # of 65 to 69
    assert summary.server.version == "1.1.2" and summary.server.cpu_limit_percent == 20.0
    assert summary.log == {"srtp": 9}
    assert summary.media is not None and summary.media.participants == 2
    assert summary.leaks.sessions == 0
    assert summary.failure.evidence == "evidence"
    assert summary.steps[0].participants == 2
    assert summary.steps[0].server_cpu_percent == pytest.approx(7.5, abs=0.6)  # 2 to 12 s
    assert summary.run.asks == "does it work?" and summary.run.scenario == "[shape]" and summary.run.seed == 1
    timeline = summary.timeline
    assert timeline is not None and timeline.bin_s == 0.5 and len(timeline.t_s) <= 600
    assert set(timeline.rungs) == {str(rung) for rung in HEALTHY}
    assert (1.0, "hello") in timeline.markers and (12.0, "step 2: 100") in timeline.markers


def test_cpu_is_told_over_seconds_and_not_by_a_reading_of_clock_ticks(tmp_path: Path) -> None:
    """Under a quota of 8 % a reading of half a second holds four ticks of 10 ms, or now and then seven."""
    readings = [server(t_s / 2, cpu_percent=14.0 if t_s % 10 == 0 else 7.3) for t_s in range(100)]
    summary = summary_of(tmp_path, Simulated(extra=readings))
    assert summary.server is not None and summary.server.cpu_percent_max == pytest.approx(8.0, abs=0.6)


def test_steps_that_do_not_climb_are_ordered_by_load(tmp_path: Path) -> None:
    """A search goes up and comes back: what lies between good and bad is asked last."""
    summary = summary_of(tmp_path, Simulated(loads=(50, 100, 300, 200, 150)))
    assert summary.onset.load_bracket == (pytest.approx(150, rel=0.01), pytest.approx(200, rel=0.01))
    assert [step.index for step in summary.steps] == [0, 1, 2, 3, 4]


def test_users_requests_are_under_test_where_there_is_no_stream(tmp_path: Path) -> None:
    run = Simulated(analysis={"request": "audiobridge.join", "axis": "talkers"})
    folder = RunFolder.create(tmp_path / "run")
    folder.write_meta(
        **Simulated().write(tmp_path / "other").read_meta()
        | {"analysis": {"request": "audiobridge.join", "axis": "talkers", "timeout_s": 2.0, "settle_s": 2.0}}
    )
    writer = folder.writer("load")
    for record in run.records():
        if isinstance(record, RequestRecord):
            record = record._replace(name="audiobridge.join", source=Source.USERS)
        writer.write(record)
    writer.close()
    onset = summarize(folder).onset
    assert onset.status is OnsetStatus.FOUND and onset.load_bracket == (150, 200)
    assert "between 150 and 200 talkers" in summarize(folder).headline
