"""Warnings ahead of a full disk, on readings whose end is known."""

from __future__ import annotations

from janusload.records import ServerRecord, StorageRecord
from janusload.server.recordings.space import SpaceWatch

MB = 1_000_000


def said(watch: SpaceWatch, free_mb: list[float], *, rate_mb: float = 1.0) -> list[tuple[int, str]]:
    found = []
    for second, free in enumerate(free_mb):
        t_ns = second * 1_000_000_000
        server = ServerRecord(t_ns, *[None] * 7, "S", disk_free_bytes=round(free * MB))
        words = watch.look(server, StorageRecord(t_ns, 3, round(second * rate_mb * MB)))
        if words is not None:
            found.append((second, words))
    return found


def test_a_disk_that_gets_full_is_told_ahead_and_when_it_is() -> None:
    found = said(SpaceWatch(), [float(max(0, 20 - second)) for second in range(30)])
    assert [second for second, _ in found] == [4, 20]
    assert "grow by 1.00 MB/s and 16 MB are free: their disk is full in about 16 s" in found[0][1]
    assert found[1][1].startswith(
        "disk: the disk of the recordings is full. Janus goes on, and what it records now is lost"
    )


def test_room_that_came_back_and_went_again_is_told_again() -> None:
    free = [0.0] * 3 + [100_000.0] * 12 + [0.0] * 3
    assert [second for second, _ in said(SpaceWatch(), free)] == [0, 15]


def test_a_disk_with_room_for_long_is_no_warning() -> None:
    assert said(SpaceWatch(), [5000.0] * 60) == []
    assert said(SpaceWatch(), [50.0] * 60, rate_mb=0.0) == []


def test_without_recordings_or_a_reading_of_the_disk_nothing_is_said() -> None:
    server = ServerRecord(1, *[None] * 7, "S")
    assert SpaceWatch().look(server, StorageRecord(1, 3, 5)) is None
    assert SpaceWatch().look(server._replace(disk_free_bytes=0), StorageRecord(1, 0, 0)) is None
