"""What else lies on the time axis."""

from __future__ import annotations

from pathlib import Path

import pytest

from janusload.analysis import summarize
from janusload.records import HeardRecord, LogRecord, Record, StorageRecord
from tests.analysis.simulated import Simulated, knee, ns, peer


def test_audio_log_recordings_and_generator_over_time(tmp_path: Path) -> None:
    extra: list[Record] = [
        # fifty packets a second, of which ten are lost each second from 10 s on
        *(peer("talker-1", float(t), 50 * t - 10 * max(0, t - 10), lost=10 * max(0, t - 10)) for t in range(1, 20)),
        *(LogRecord(ns(float(t)), f"kind-{t % 8}", 8 - t % 8) for t in range(16)),
        *(StorageRecord(ns(float(t)), 1, 1_000_000 * t, 500_000) for t in range(1, 20)),
        HeardRecord(ns(6.0), "a", 0, "b", True, True, delay_ms=80.0),
        HeardRecord(ns(12.0), "a", 0, "b", True, False),
    ]
    run = Simulated(loads=(60, 60), law=knee(9999), recovery_s=0.0, extra=extra)
    line = summarize(run.write(tmp_path / "run")).timeline
    assert line is not None and line.bin_s == 0.5
    assert line.strips["loss"][10] == 0.0 and line.strips["loss"][30] == pytest.approx(0.2)
    assert line.strips["jitter_ms"][30] == 1.5
    assert line.strips["mouth_to_ear_ms"][12] == 80.0
    assert line.strips["not_heard"][12] == 0.0 and line.strips["not_heard"][24] == 1.0
    assert line.strips["recordings_mb"][20] == 10.0 and line.strips["recordings_cached_mb"][20] == 0.5
    assert set(line.strips["generator_cpu_percent"][1:]) == {30.0}
    assert list(line.log) == [*(f"kind-{n}" for n in range(6)), "other"]
    assert sum(line.log["kind-0"]) == 16 and sum(line.log["other"]) == 2 * (2 + 1)


def test_without_audio_there_is_nothing_of_it(tmp_path: Path) -> None:
    line = summarize(Simulated(loads=(60,), law=knee(9999)).write(tmp_path / "run")).timeline
    assert line is not None and line.log == {}
    assert set(line.strips) == {"generator_cpu_percent", "generator_lag_ms", "schedule_lag_ms"}
