"""The run on one time axis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from janusload.analysis import summarize
from janusload.analysis.timeline import MOST_BINS, axis_of
from janusload.records import MarkerKind, MarkerRecord, Record, Rung
from janusload.summary import Timeline
from tests.analysis.simulated import START_NS, S, Simulated, knee, server


def timeline_of(path: Path, **settings: object) -> Timeline:
    timeline = summarize(Simulated(**settings).write(path / "run")).timeline  # type: ignore[arg-type]
    assert timeline is not None
    for values in (timeline.offered_per_s, timeline.participants, timeline.p50_ms, timeline.p95_ms):
        assert len(values) == len(timeline.t_s)
    for counts in timeline.outcomes.values():
        assert len(counts) == len(timeline.t_s)
    return timeline


@pytest.mark.parametrize("seconds", [0, 0.2, 30, 299, 301, 3600, 8 * 3600, 86400 * 3, 10**9])
def test_never_more_bins_than_fit_on_a_page(seconds: float) -> None:
    axis = axis_of(5, 5 + round(seconds * 1e9))
    assert 1 <= axis.bins <= MOST_BINS
    assert axis.bins * axis.width_ns >= seconds * 1e9 * 0.999
    assert axis.bins == 1 or axis.bins * axis.width_ns <= seconds * 1e9 + axis.width_ns


def test_what_lies_outside_is_in_no_bin() -> None:
    axis = axis_of(100 * S, 110 * S)
    moments = np.array([99 * S, 100 * S, 109.9 * S, 111 * S], np.int64)
    assert axis.slots(moments).tolist() == [-1, 0, 19, -1]


def test_loads_outcomes_and_quantiles(tmp_path: Path) -> None:
    timeline = timeline_of(tmp_path)
    assert timeline.bin_s == 0.5
    assert [timeline.offered_per_s[i] for i in (0, 30, 60, 119, 125)] == pytest.approx([50, 100, 150, 250, 0], abs=3)
    assert sum(timeline.outcomes["ok"]) + sum(timeline.outcomes["api_timeout"]) == 9000
    assert sum(timeline.outcomes["api_timeout"][:72]) == 0  # before 36 s
    assert timeline.p95_ms[10] == pytest.approx(91, rel=0.5)
    assert timeline.p95_ms[100] == 2000.0  # beyond T
    assert timeline.p50_ms[100] == pytest.approx(45, rel=0.3)
    assert timeline.p50_ms[130] is None  # nothing was asked in the recovery leg


def test_quantiles_are_those_of_each_bin(tmp_path: Path) -> None:
    def law(_load: float, t_s: float, _random: np.random.Generator) -> float:
        return 0.001 * (1 + int(t_s))  # 1 ms in the first second, 2 ms in the second

    timeline = timeline_of(tmp_path, law=law)
    for index in (0, 7, 50, 119):
        expected = 1 + index // 2 + 0.2  # sent 0.2 ms after it was due
        assert timeline.p50_ms[index] == pytest.approx(expected, abs=0.01)
        assert timeline.p95_ms[index] == pytest.approx(expected, abs=0.01)


def test_server_and_rungs(tmp_path: Path) -> None:
    readings: list[Record] = [server(t, cpu_percent=2 * t) for t in np.arange(0.0, 60.0).tolist()]
    rungs = {Rung.PING: lambda t_s: not 20 <= t_s < 25, Rung.TCP: lambda _t_s: True}
    timeline = timeline_of(tmp_path, extra=readings, rungs=rungs)
    assert timeline.server_cpu_percent is not None and timeline.server_cpu_percent[20] == 20.0
    assert timeline.server_cpu_percent[21] == 20.0  # a reading stands for the time until the next
    assert timeline.server_cpu_percent[121] == 118.0 and timeline.server_cpu_percent[122] is None
    assert timeline.server_rss_mb is not None and timeline.server_rss_mb[20] == pytest.approx(50.0)
    assert timeline.rungs["ping"][39] is True and timeline.rungs["ping"][41] is False
    assert timeline.rungs["ping"][42] is False  # half a second after the question
    assert timeline.rungs["tcp"][0] is None and set(timeline.rungs["tcp"][1:]) == {True}


def test_a_timeline_without_a_server_has_none(tmp_path: Path) -> None:
    timeline = timeline_of(tmp_path, law=knee(9999))
    assert timeline.server_cpu_percent is None and timeline.server_rss_mb is None and timeline.rungs == {}


def test_markers_in_words(tmp_path: Path) -> None:
    extra: list[Record] = [
        MarkerRecord(START_NS + 40 * S, MarkerKind.STALL, label="the request thread"),
        MarkerRecord(START_NS + 45 * S, MarkerKind.STALL, label="cpu_starved: ping missed its deadline"),
        MarkerRecord(START_NS + 50 * S, MarkerKind.STALL_END, label="starved of CPU", value=5.0),
        MarkerRecord(START_NS + 62 * S, MarkerKind.RECOVERED, value=2.0),
    ]
    markers = timeline_of(tmp_path, extra=extra).markers
    assert markers[0] == (0.0, "steps") and (40.0, "stall: the request thread") in markers
    assert (45.0, "stall: starved of CPU: ping missed its deadline") in markers
    assert (50.0, "over: starved of CPU") in markers
    assert (62.0, "recovered") in markers and markers == sorted(markers, key=lambda marker: marker[0])


def test_records_from_before_the_clock_was_read_are_no_trouble(tmp_path: Path) -> None:
    early: list[Record] = [MarkerRecord(START_NS - 3 * S, MarkerKind.NOTE, label="early"), server(-2.0)]
    timeline = timeline_of(tmp_path, extra=early)
    assert timeline.t_s[0] == 0.0 and (-3.0, "early") in timeline.markers
