"""What memory did, on readings whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from janusload.analysis.memory import memory_of
from janusload.records import ServerRecord, StorageRecord
from janusload.summary import Memory, MemoryGrowth, MemoryState

MB = 1_000_000
NO_STORAGE = pd.DataFrame(columns=list(StorageRecord._fields), dtype=float)


def readings(seconds: int, **columns: object) -> pd.DataFrame:
    """One reading a second; what is not given is not known."""
    frame = pd.DataFrame(index=range(seconds), columns=list(ServerRecord._fields), dtype=float)
    frame["t_ns"] = np.arange(seconds, dtype=np.int64) * 1_000_000_000
    for name, values in columns.items():
        frame[name] = values
    return frame


def judged(frame: pd.DataFrame, storage: pd.DataFrame = NO_STORAGE) -> Memory:
    memory = memory_of(frame, storage, None)
    assert memory is not None
    return memory


def noise(seconds: int, mb: float = 0.2) -> np.ndarray:
    return np.random.default_rng(3).normal(0, mb * MB, seconds)


def test_growth_is_told_in_mb_per_hour() -> None:
    leak = np.arange(180) * (36 / 3600) * MB  # 36 MB/h
    memory = judged(readings(180, anon_bytes=12 * MB + leak + noise(180, 0.05)))
    assert memory.growth is MemoryGrowth.GROWS
    assert memory.growth_mb_per_h == pytest.approx(36, rel=0.1)
    assert memory.source == "process"


def test_noise_is_no_growth_and_the_interval_says_how_surely() -> None:
    memory = judged(readings(180, anon_bytes=12 * MB + noise(180)))
    assert memory.growth is MemoryGrowth.BOUNDED
    assert memory.growth_ci95_mb_per_h is not None
    assert memory.growth_ci95_mb_per_h[0] < 0 < memory.growth_ci95_mb_per_h[1]
    assert memory.firm_mb == pytest.approx(12, abs=0.1)


def test_joining_is_no_growth() -> None:
    joining = np.minimum(np.arange(180) / 40, 1) * 20 * MB
    assert judged(readings(180, anon_bytes=12 * MB + joining + noise(180))).growth is MemoryGrowth.BOUNDED


def test_a_short_run_says_nothing() -> None:
    memory = judged(readings(20, anon_bytes=np.linspace(10, 20, 20) * MB))
    assert (memory.growth, memory.growth_mb_per_h) == (MemoryGrowth.TOO_SHORT, None)


def grouped(seconds: int, **columns: object) -> pd.DataFrame:
    return readings(seconds, cgroup_anon_bytes=12.0 * MB, cgroup_limit_bytes=64.0 * MB, limit_hits=0.0, **columns)


def test_what_grows_with_the_load_is_no_leak() -> None:
    frame = readings(180, anon_bytes=12 * MB + np.arange(180) * 0.05 * MB)
    memory = memory_of(frame, NO_STORAGE, None, climbs=True)
    assert memory is not None
    assert (memory.growth, memory.growth_mb_per_h) == (MemoryGrowth.LOAD_CHANGED, None)
    steady = memory_of(frame, NO_STORAGE, None)
    assert steady is not None and steady.growth is MemoryGrowth.GROWS


def test_page_cache_is_no_growth_and_at_the_limit_it_is_harmless() -> None:
    cache = np.minimum(np.arange(120) * 1.9, 50) * MB
    memory = judged(
        grouped(
            120,
            cgroup_file_bytes=cache,
            cgroup_bytes=12 * MB + cache,
            cgroup_dirty_bytes=4.0 * MB,
            cgroup_writeback_bytes=0.0,
        )
    )
    assert memory.growth is MemoryGrowth.BOUNDED
    assert memory.state is MemoryState.BELOW_LIMIT
    full = judged(grouped(120, cgroup_file_bytes=cache + 2 * MB, cgroup_bytes=14 * MB + cache))
    assert full.state is MemoryState.AT_LIMIT_HARMLESS
    assert full.state_words is not None
    assert "harmless" in full.state_words


def test_dirty_pages_that_wait_for_a_slow_disk_hold_writers_up() -> None:
    writeback = np.where(np.arange(120) > 60, 31.0, 0.0) * MB
    memory = judged(grouped(120, cgroup_bytes=60.0 * MB, cgroup_writeback_bytes=writeback))
    assert memory.state is MemoryState.WRITERS_HELD_UP
    # of a gap in which nobody looked nobody knows
    gap = grouped(120, cgroup_bytes=60.0 * MB, cgroup_writeback_bytes=np.where(np.arange(120) == 60, 31.0, 0.0) * MB)
    gap = gap[(gap["t_ns"].rank() < 50) | (gap["t_ns"].rank() > 60)]
    assert judged(gap).state is MemoryState.BELOW_LIMIT
    # the same for a moment only is what every disk does
    burst = np.where(np.arange(120) == 60, 31.0, 0.0) * MB
    assert judged(grouped(120, cgroup_bytes=60.0 * MB, cgroup_writeback_bytes=burst)).state is MemoryState.BELOW_LIMIT


def test_in_a_group_of_version_2_writers_are_held_up_long_before_its_limit() -> None:
    waiting = np.where(np.arange(120) > 60, 7.0, 1.0) * MB
    known = {"cgroup_bytes": 40.0 * MB, "cgroup_dirty_bytes": waiting, "cgroup_writeback_bytes": 0.5 * MB}
    assert judged(grouped(120, **known)).state is MemoryState.BELOW_LIMIT
    assert judged(grouped(120, **known, cgroup_dirty_limit_bytes=9.0 * MB)).state is MemoryState.WRITERS_HELD_UP
    assert judged(grouped(120, **known, cgroup_dirty_limit_bytes=20.0 * MB)).state is MemoryState.BELOW_LIMIT


def test_what_the_kernel_does_not_split_up_is_told_apart() -> None:
    assert judged(grouped(60, cgroup_kernel_bytes=6.0 * MB)).kernel_mb == 6.0
    split = judged(grouped(60, cgroup_kernel_bytes=6.0 * MB, cgroup_kernel_stack_bytes=1.0 * MB))
    assert (split.kernel_mb, split.firm_mb) == (None, 13.0)


def test_a_kill_for_memory_is_told() -> None:
    frame = grouped(60, cgroup_bytes=64.0 * MB)
    frame["oom_kills"] = [0.0] * 50 + [1.0] * 10
    assert judged(frame).state is MemoryState.OOM_KILLED


def test_write_rate_counts_files_that_went_away() -> None:
    storage = pd.DataFrame(
        {
            "t_ns": np.arange(5, dtype=np.int64) * 1_000_000_000,
            "file_bytes": np.array([0, 2, 4, 1, 3]) * MB,
            "resident_bytes": np.array([0.0, 2, 3, 1, 2]) * MB,
        }
    )
    memory = judged(readings(60, anon_bytes=12.0 * MB), storage)
    assert memory.write_mb_per_s == pytest.approx(6 / 4)
    assert memory.recordings_resident_mb_max == 3


def test_nothing_seen_is_nothing_said() -> None:
    assert memory_of(readings(0), NO_STORAGE, None) is None
    assert memory_of(readings(10), NO_STORAGE, None) is None


def test_what_a_process_that_was_started_anew_wrote_is_added_up() -> None:
    written = np.concatenate((np.linspace(0, 40, 30), np.linspace(0, 20, 30))) * MB
    assert judged(readings(60, anon_bytes=12 * MB, written_bytes=written)).written_mb == pytest.approx(60)


def test_a_group_that_others_live_in_is_not_the_servers() -> None:
    """Without a limit such a group says nothing of Janus; with one it is what Janus must live with."""
    shared = {"anon_bytes": 12 * MB, "cgroup_anon_bytes": 500 * MB + noise(180), "cgroup_file_bytes": 90 * MB}
    alone = judged(readings(180, **shared))
    assert alone.source == "process" and alone.firm_mb == pytest.approx(12) and alone.file_mb_max is None
    limited = judged(readings(180, **shared, cgroup_limit_bytes=600 * MB))
    assert limited.source == "control group" and limited.firm_mb > 490
