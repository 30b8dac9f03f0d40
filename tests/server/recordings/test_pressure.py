"""Warnings ahead of a memory limit full of pages that wait, on readings whose end is known."""

from __future__ import annotations

from pathlib import Path

from janusload.records import ServerRecord, StorageRecord
from janusload.server.recordings.pressure import PressureWatch, disk_speed

MB = 1_000_000


def reading(second: int, *, written: float, dirty: float, writeback: float = 0.0) -> tuple[ServerRecord, StorageRecord]:
    t_ns = second * 1_000_000_000
    server = ServerRecord(
        t_ns,
        *[None] * 7,
        "S",
        cgroup_limit_bytes=48 * MB,
        cgroup_anon_bytes=8 * MB,
        cgroup_dirty_bytes=round(dirty * MB),
        cgroup_writeback_bytes=round(writeback * MB),
    )
    return server, StorageRecord(t_ns, 10, round(written * MB))


def warnings(watch: PressureWatch, readings: list[tuple[ServerRecord, StorageRecord]]) -> list[tuple[int, str]]:
    return [(at, words) for at, each in enumerate(readings) if (words := watch.look(*each)) is not None]


def test_a_disk_that_is_too_slow_is_told_seconds_before_the_limit_is_full() -> None:
    said = warnings(PressureWatch(0.8e6), [reading(s, written=1.9 * s, dirty=1.9 * s) for s in range(15)])
    assert [at for at, _ in said] == [4]  # once, as soon as a rate is known
    assert "grow by 1.90 MB/s and their disk takes 0.80 MB/s: in about 17 s the limit of 48 MB" in said[0][1]


def test_what_comes_much_sooner_than_was_said_is_said_again() -> None:
    # few people at first
    written = [0.9 * min(second, 10) + 2.5 * max(0, second - 10) for second in range(22)]
    said = warnings(PressureWatch(0.8e6), [reading(s, written=mb, dirty=mb) for s, mb in enumerate(written)])
    assert len(said) == 2
    assert [at for at, _ in said] == [4, 12]
    assert "in about 40 s" in said[0][1] and "in about 17 s" in said[1][1]


def test_a_disk_that_keeps_up_is_no_warning_however_full_the_cache() -> None:
    assert (
        warnings(PressureWatch(100e6), [reading(s, written=1.9 * s, dirty=min(1.9 * s, 38)) for s in range(60)]) == []
    )


def test_a_full_limit_far_away_is_no_warning_yet() -> None:
    assert warnings(PressureWatch(0.0), [reading(s, written=0.01 * s, dirty=0.01 * s) for s in range(30)]) == []


def test_speed_that_was_not_measured_is_learnt_from_the_write_back() -> None:
    quiet = [reading(s, written=1.9 * s, dirty=1.9 * s) for s in range(5)]
    slow = [reading(5 + s, written=9.5 + 1.9 * s, dirty=9.5 + 1.1 * s, writeback=0.5) for s in range(12)]
    said = warnings(PressureWatch(), quiet + slow)
    assert len(said) == 1
    assert "their disk takes 0.8" in said[0][1]


def test_pages_on_their_way_for_seconds_are_told_once() -> None:
    stuck = [reading(s, written=30, dirty=0, writeback=31) for s in range(12)]
    said = warnings(PressureWatch(100e6), stuck)
    assert [(at, words[:21]) for at, words in said] == [(3, "memory: 31 of 48 MB a")]
    # a moment of it is what every disk does
    assert warnings(PressureWatch(100e6), [*stuck[:3], reading(3, written=30, dirty=0), *stuck[:3]]) == []


def test_in_a_group_of_version_2_little_may_wait() -> None:
    def version_2(
        second: int, *, written: float, dirty: float, writeback: float = 0.1
    ) -> tuple[ServerRecord, StorageRecord]:
        server, storage = reading(second, written=written, dirty=dirty, writeback=writeback)
        return server._replace(cgroup_dirty_limit_bytes=8 * MB), storage

    said = warnings(PressureWatch(0.5e6), [version_2(s, written=1.0 * s, dirty=min(0.5 * s, 6.5)) for s in range(30)])
    assert [at for at, _ in said] == [4, 15]
    # 6 MB of the 8 MB may wait before writers are slowed down, 2 MB do, and 0.5 MB/s come in
    assert "in about 8 s the 6 MB that may wait in the limit of 48 MB do" in said[0][1]
    assert said[1][1].startswith("memory: 7 MB wait for a disk that is too slow, of 8 MB that may")
    fine = [version_2(s, written=1.0 * s, dirty=min(1.0 * s, 4.0), writeback=0.0) for s in range(60)]
    assert warnings(PressureWatch(100e6), fine) == []


def test_without_a_limit_nothing_is_said() -> None:
    server, storage = reading(1, written=9, dirty=9)
    assert PressureWatch(1.0).look(server._replace(cgroup_limit_bytes=None), storage) is None


def test_speed_of_a_real_disk_is_measured_and_nothing_is_left(tmp_path: Path) -> None:
    speed = disk_speed(tmp_path)
    assert speed is not None
    assert speed > 0
    assert list(tmp_path.iterdir()) == []
    assert disk_speed(tmp_path / "none") is None
