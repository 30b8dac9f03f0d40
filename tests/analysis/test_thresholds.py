"""Limits of a run against what was measured: kept, crossed, or not to be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from janusload.analysis import summarize
from janusload.analysis.thresholds import thresholds_of
from janusload.records import Outcome
from janusload.report.junit import render
from janusload.run_folder import RunFolder
from janusload.summary import Failure, Memory, MemoryGrowth, OnsetStatus, Recordings, Summary, Threshold, Verdict
from tests.analysis.simulated import Simulated
from tests.report import sample

LIMITS = [
    "janus.create p50 < 500 ms",
    "janus.create p95 < 1 ms",
    "timeout rate < 1 %",
    "timeout rate < 1 % over 5 s",
    "janus.create p50 < 1 s over 5 s",
    "janus.create count > 100",
    "onset load > 100/s",
    "onset load > 240/s",
    "audiobridge.join p95 < 1 s",
    "media loss < 1 %",
    "leaked sessions < 1",
    "recovery < 20 s",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Steps of 50 to 250 a second, of which those from 200 on time out."""
    folder = Simulated().write(tmp_path_factory.mktemp("limits") / "run")
    folder.write_meta(leaks={"sessions": 0})
    return folder


def judged(folder: RunFolder, *limits: str, **meta: Any) -> Summary:
    folder.write_meta(limits=list(limits), **meta)
    return summarize(folder)


def by_name(summary: Summary) -> dict[str, Threshold]:
    return {f"{each.name} {each.limit}": each for each in summary.thresholds}


def test_each_is_judged_by_what_was_measured(folder: RunFolder) -> None:
    summary = judged(folder, *LIMITS)
    found = by_name(summary)
    passed = {name for name, each in found.items() if each.passed}
    assert passed >= {"janus.create p50 < 500 ms", "janus.create count > 100", "onset load > 100/s"}
    assert passed >= {"leaked sessions < 1"}
    crossed = {name for name, each in found.items() if each.judged and not each.passed}
    assert crossed >= {"janus.create p95 < 1 ms", "timeout rate < 1 %", "onset load > 240/s"}
    whole, worst = found["timeout rate < 1 %"].value, found["timeout rate < 1 % over 5 s"].value
    assert worst.endswith("(the worst 5 s)") and float(worst.split()[0]) > float(whole.split()[0])
    join = found["audiobridge.join p95 < 1 s"]
    assert not join.judged and join.value == "not measured"
    assert not found["media loss < 1 %"].judged
    assert summary.verdict is Verdict.FAILED
    assert "onset load &gt; 240/s" in render(summary) and 'failures="0"' not in render(summary)


def test_one_that_cannot_be_told_keeps_a_run_from_passing(folder: RunFolder) -> None:
    assert judged(folder, "janus.create count > 1").verdict is Verdict.PASSED
    assert judged(folder, "janus.create count > 1", "media loss < 1 %").verdict is Verdict.INCONCLUSIVE
    assert judged(folder, "janus.create p95 < 1 ms", "media loss < 1 %").verdict is Verdict.FAILED


def test_a_bound_is_enough_only_where_it_is(folder: RunFolder) -> None:
    found = by_name(judged(folder, "janus.create p99 < 500 ms", "janus.create p99 < 1 h", "janus.create p99 > 500 ms"))
    # two fifths of all time out: the p99 is at least T = 2 s, and no more is known of it
    assert found["janus.create p99 < 500 ms"].judged and not found["janus.create p99 < 500 ms"].passed
    assert found["janus.create p99 < 500 ms"].value.startswith("at least 2 s")
    assert not found["janus.create p99 < 1 h"].judged
    assert found["janus.create p99 > 500 ms"].passed


def test_the_limit_that_ended_a_run_was_crossed(folder: RunFolder) -> None:
    text = "janus.create p50 < 1 h over 5 s abort"
    run = {**folder.read_meta()["run"], "end": f"limit crossed: {text}: 2 h"}
    found = judged(folder, text, "janus.create count > 1", run=run)
    assert found.verdict is Verdict.FAILED
    assert found.thresholds[0].value == "2 h (the run ended by it)" and found.thresholds[1].passed


def test_without_a_climb_the_limits_alone_decide(tmp_path: Path) -> None:
    quiet = Simulated(loads=(20,), outcome=lambda attempt, _: Outcome.API_ERROR if attempt % 10 == 0 else None)
    folder = quiet.write(tmp_path / "run")
    analysis = {**folder.read_meta()["analysis"], "climbs": False}
    assert judged(folder, "error rate < 20 %", analysis=analysis).verdict is Verdict.PASSED
    assert judged(folder, "error rate < 5 %").verdict is Verdict.FAILED


def test_memory_and_recordings_have_limits() -> None:
    memory = Memory(source="process", growth=MemoryGrowth.GROWS, growth_mb_per_h=30.0, firm_mb=10, firm_mb_max=11)
    states = {"whole": 3, "empty": 1}
    recordings = Recordings(
        files=4, size_mb=1, hours=1, whole=3, states=states, packets=990, missing=10, matched=3, withheld=9
    )
    texts = ["memory growth < 20 MB/h", "recordings damaged < 1", "recordings missing < 0.2 %"]
    run = sample.summary(memory=memory, recordings=recordings)
    found = thresholds_of(texts, run, pd.DataFrame())
    assert [(each.passed, each.value) for each in found] == [(False, "30 MB/h"), (False, "1"), (True, "0.1 %")]
    calm = run.model_copy(update={"memory": memory.model_copy(update={"growth": MemoryGrowth.BOUNDED})})
    assert thresholds_of(texts[:1], calm, pd.DataFrame())[0].passed
    bare = sample.summary(memory=None, recordings=None)
    assert [each.judged for each in thresholds_of(texts, bare, pd.DataFrame())] == [False] * 3


@pytest.mark.parametrize(
    ("failure", "judged", "value"),
    [
        ({"kind": "none"}, True, "0 s"),
        ({"kind": "overload", "recovered_after_s": 2.0}, True, "2 s"),
        ({"kind": "overload"}, True, "never"),
        # the load never went away, or it was not the server that could not go on: that tells of no recovery
        ({"kind": "overload", "recovery_leg": False}, False, "not measured"),
        ({"kind": "generator_limited"}, False, "not measured"),
    ],
)
def test_a_recovery_that_was_not_watched_is_not_judged(failure: dict[str, object], judged: bool, value: str) -> None:
    run = sample.summary(failure=Failure(rule="?", **failure))  # type: ignore[arg-type]
    (found,) = thresholds_of(["recovery < 10 s"], run, pd.DataFrame())
    assert (found.judged, found.value) == (judged, value)


def test_an_onset_above_a_step_that_proves_nothing_lies_at_or_below_the_bad_one() -> None:
    onset = sample.summary().onset.model_copy(
        update={"status": OnsetStatus.LOWER_UNPROVEN, "load": None, "load_bracket": (None, 200.0)}
    )
    run = sample.summary(onset=onset)
    found = thresholds_of(["onset load > 300/s", "onset load > 100/s"], run, pd.DataFrame())
    assert [(each.judged, each.passed) for each in found] == [(True, False), (False, False)]
