"""Virtual timeouts, the axis of prevailing latency, and runs without steps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from janusload.analysis import summarize
from janusload.analysis.sweep import shortened, sweep_of
from janusload.records import MarkerRecord, ProbeRecord, Record, RequestRecord, Rung
from janusload.run_folder import RunFolder
from janusload.summary import OnsetStatus, Summary
from tests.analysis.laws import PLAN, T_S, Lognormal
from tests.analysis.simulated import Law, Simulated, knee, ns


def summary_of(path: Path, **settings: object) -> Summary:
    return summarize(Simulated(**settings).write(path / "run"))  # type: ignore[arg-type]


# --- virtual timeouts -------------------------------------------------------------------------------------------


def test_a_shorter_timeout_is_what_a_run_with_it_would_have_seen() -> None:
    step = Lognormal().steps(600, np.random.default_rng(1))[6]
    short = shortened(step, T_S, 0.5)
    assert short.timed_out.tolist() == (step.service_s > 0.5).tolist()
    assert short.wait_s.max() == 0.5 and short.timeouts > step.timeouts
    same = shortened(step, T_S, T_S)
    assert (same.timed_out == step.timed_out).all() and same.wait_s == pytest.approx(step.wait_s)


def test_what_passed_before_the_write_stays_in_the_latency() -> None:
    step = Lognormal().steps(600, np.random.default_rng(1))[6]
    lagging = step.__class__(**{**step.__dict__, "wait_s": step.wait_s + 0.25})
    assert shortened(lagging, T_S, 0.5).wait_s.max() == pytest.approx(0.75)


def test_the_shorter_the_timeout_the_earlier_the_onset() -> None:
    steps = Lognormal().steps(2000, np.random.default_rng(1))
    sweep = sweep_of(steps, None, PLAN, T_S)
    assert [point.timeout_s for point in sweep] == sorted(point.timeout_s for point in sweep)
    assert sweep[-1].timeout_s == pytest.approx(T_S) and len(sweep) == 16
    loads = [point.load for point in sweep if point.status is OnsetStatus.FOUND]
    found = [load for load in loads if load is not None]
    assert len(found) >= 8 and found == sorted(found)
    for shorter, longer in pairwise(sweep):
        assert all(a >= b for a, b in zip(shorter.rates, longer.rates, strict=True))


def test_the_sweep_ends_in_the_onset(tmp_path: Path) -> None:
    summary = summary_of(tmp_path)
    last = summary.sweep[-1]
    assert (last.status, last.load_bracket) == (summary.onset.status, summary.onset.load_bracket)
    assert last.load == pytest.approx(summary.onset.load)
    # at 40 ms, half of the requests of every step would have timed out
    assert summary.sweep[0].timeout_s == pytest.approx(0.04) and summary.sweep[0].status is OnsetStatus.FROM_START


def test_no_sweep_without_steps(tmp_path: Path) -> None:
    assert summary_of(tmp_path, loads=()).sweep == []


# --- prevailing latency -----------------------------------------------------------------------------------------


def pings(latency_s: Law, until_s: float) -> list[Record]:
    random = np.random.default_rng(9)
    made: list[Record] = []
    for t in np.arange(0.1, until_s, 1.0).tolist():
        took = latency_s(0.0, t, random)
        made.append(ProbeRecord(Rung.PING, ns(t), ns(t + took) if took < 5 else None, 5.0, took < 5))
    return made


def slow_from(begin_s: float, end_s: float, seconds: float) -> Law:
    return lambda _load, t_s, random: seconds + random.random() / 10 if begin_s <= t_s < end_s else 0.005


def test_where_both_axes_agree_load_is_the_cause(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, extra=pings(slow_from(34, 60, 0.8), 70))
    by_latency = summary.onset_by_latency
    assert by_latency is not None and by_latency.status is OnsetStatus.FOUND
    assert by_latency.axis == "ms of ping before it" and by_latency.load_bracket is not None
    low, high = by_latency.load_bracket
    assert low is not None and high is not None and low < 10 < 300 < high < 950


def test_a_stall_that_load_did_not_cause_shows_along_latency(tmp_path: Path) -> None:
    """A flat load; the server is slow for twenty seconds of a minute, for reasons of its own."""

    def law(_load: float, t_s: float, random: np.random.Generator) -> float:
        return float("inf") if 24 <= t_s < 44 and random.random() < 0.3 else 0.02

    summary = summary_of(tmp_path, loads=(100,) * 5, law=law, extra=pings(slow_from(20, 44, 0.7), 70))
    by_latency = summary.onset_by_latency
    assert by_latency is not None and by_latency.status in (OnsetStatus.FOUND, OnsetStatus.UNCONFIRMED)


def test_pings_that_never_came_back_count_as_long_as_they_were_waited_for(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, extra=pings(slow_from(33, 60, 100.0), 70))
    assert summary.onset_by_latency is not None
    assert summary.onset_by_latency.status is OnsetStatus.FOUND
    assert summary.onset_by_latency.load_bracket is not None
    assert (summary.onset_by_latency.load_bracket[1] or 0) > 1000


def test_no_pings_no_axis(tmp_path: Path) -> None:
    assert summary_of(tmp_path).onset_by_latency is None
    assert summary_of(tmp_path / "few", extra=pings(slow_from(0, 0, 0), 2.5)).onset_by_latency is None


# --- runs without steps -----------------------------------------------------------------------------------------


def without_markers(path: Path, run: Simulated) -> Summary:
    folder = RunFolder.create(path / "run")
    folder.write_meta(**{k: v for k, v in run.write(path / "with").read_meta().items() if k != "schema"})
    writer = folder.writer("load")
    for record in run.records():
        if isinstance(record, RequestRecord):
            record = record._replace(step=-1)
        if not isinstance(record, MarkerRecord):
            writer.write(record)
    writer.close()
    return summarize(folder)


def test_a_ramp_is_cut_into_bins_of_equal_count(tmp_path: Path) -> None:
    summary = without_markers(tmp_path, Simulated())
    assert len(summary.steps) == 15
    assert {sum(step.outcomes.values()) for step in summary.steps} == {600}
    assert [step.offered for step in summary.steps] == pytest.approx(
        [step.achieved for step in summary.steps], rel=0.01
    )
    assert all(a.end_s == pytest.approx(b.begin_s) for a, b in pairwise(summary.steps))
    assert summary.onset.status is OnsetStatus.FOUND
    assert summary.onset.load_bracket is not None
    low, high = summary.onset.load_bracket
    assert low is not None and high is not None and 145 < low < high < 205


def test_a_short_run_without_steps_is_one_bin(tmp_path: Path) -> None:
    summary = without_markers(tmp_path, Simulated(loads=(20,), law=knee(9999)))
    assert len(summary.steps) == 1 and summary.steps[0].achieved == pytest.approx(20, rel=0.01)
    assert summary.onset.status is OnsetStatus.INSUFFICIENT_DATA  # 240 attempts, 268 are needed


def test_a_single_request_without_steps(tmp_path: Path) -> None:
    summary = without_markers(tmp_path, Simulated(loads=(1,), step_s=1.0))
    assert len(summary.steps) == 1 and summary.steps[0].rate.attempts == 1
