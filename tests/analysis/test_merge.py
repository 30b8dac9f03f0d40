"""Folders of one distributed run become one, on one clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from janusload.analysis import merge, summarize
from janusload.analysis.frames import read_frames
from janusload.analysis.merge import copy_moved
from janusload.errors import UsageError
from janusload.records import KINDS, HealthRecord, Rung
from janusload.run_folder import RunFolder
from janusload.summary import OnsetStatus
from tests.analysis.simulated import START_NS, S, Simulated, knee

LOADS = (30, 40, 50, 60)


def machine(path: Path, seed: int, **clock: Any) -> RunFolder:
    """One of two machines, each of which offers half of the load; the server gives way at 50/s of each."""
    folder = Simulated(loads=LOADS, law=knee(50), seed=seed, rungs={Rung.PING: lambda _t_s: True}).write(path)
    folder.write_meta(clock={"monotonic_ns": START_NS, "utc": "2026-11-22T11:40:00Z"} | clock)
    return folder


def moved_by(folder: RunFolder, seconds: float) -> RunFolder:
    """The same folder as a machine would have written it whose clock reads so much more."""
    other = RunFolder.create(folder.path.with_name(f"{folder.path.name}-elsewhere"))
    for kind in KINDS:
        copy_moved(folder, other, kind, 1, round(seconds * S))
    meta = folder.read_meta()
    other.write_meta(**meta | {"clock": {"monotonic_ns": START_NS + round(seconds * S), "utc": "2026-11-22T11:40:00Z"}})
    return other


def test_two_machines_are_one_run(tmp_path: Path) -> None:
    one, other = machine(tmp_path / "a", 1), moved_by(machine(tmp_path / "b", 2), 5000.0)
    moved = merge([one, other], tmp_path / "merged")
    assert moved[1].offset_ns == -5000 * S and "to the second" in moved[1].how
    folder = RunFolder.open(tmp_path / "merged")
    summary = summarize(folder)
    assert [step.offered for step in summary.steps] == [60, 80, 100, 120]
    assert summary.onset.status is OnsetStatus.FOUND
    assert summary.onset.load_bracket == (pytest.approx(80, rel=0.02), pytest.approx(100, rel=0.02))
    assert summary.requests["janus.create"].count == 2 * sum(12 * load for load in LOADS)
    late = sum(summarize(each).requests["janus.create"].late for each in (one, other))
    assert summary.requests["janus.create"].late == late
    assert folder.read_meta()["merged"][1]["folder"] == "b-elsewhere"
    begins = read_frames(folder)["request"]["due_ns"]
    assert begins.max() - begins.min() < 60 * S  # on one clock


@pytest.mark.parametrize(
    ("base", "clock", "offset_ns", "how"),
    [
        ({}, {"offset_ns": -7}, -7, "as measured"),
        ({"unix_ns": 100 * S}, {"unix_ns": 103 * S}, 3 * S, "UTC clocks"),
        ({}, {"utc": "2026-11-22T11:40:02Z"}, 2 * S, "to the second"),
    ],
)
def test_how_clocks_are_put_together(
    tmp_path: Path, base: dict[str, Any], clock: dict[str, Any], offset_ns: int, how: str
) -> None:
    folders = [RunFolder.create(tmp_path / name) for name in "ab"]
    for folder, facts in zip(folders, (base, clock), strict=True):
        folder.write_meta(clock={"monotonic_ns": START_NS, "utc": "2026-11-22T11:40:00Z"} | facts)
    moved = merge(folders, tmp_path / "merged")
    assert moved[1].offset_ns == offset_ns and how in moved[1].how


def test_the_same_machine_has_the_same_clock(tmp_path: Path) -> None:
    folders = [RunFolder.create(tmp_path / name) for name in "ab"]
    for folder in folders:
        folder.write_meta(host={"boot_id": "x"}, clock={"monotonic_ns": 1})
    assert merge(folders, tmp_path / "merged")[1].offset_ns == 0


def test_two_containers_of_one_machine_may_have_clocks_of_their_own(tmp_path: Path) -> None:
    folders = [RunFolder.create(tmp_path / name) for name in "ab"]
    for folder, ahead_s in zip(folders, (0, 3600), strict=True):
        clock = {"monotonic_ns": START_NS + ahead_s * S, "unix_ns": 1_795_000_000 * S}
        folder.write_meta(host={"boot_id": "x"}, clock=clock)
    moved = merge(folders, tmp_path / "merged")[1]
    assert moved.offset_ns == -3600 * S and "UTC" in moved.how


def test_what_is_not_of_one_run_is_refused(tmp_path: Path) -> None:
    folders = [RunFolder.create(tmp_path / name) for name in "abc"]
    for folder, timeout_s in zip(folders, (2.0, 1.0, 2.0), strict=True):
        folder.write_meta(analysis={"timeout_s": timeout_s}, clock={"monotonic_ns": 1, "utc": "?"})
    with pytest.raises(UsageError, match="timeout_s differs"):
        merge(folders[:2], tmp_path / "merged")
    with pytest.raises(UsageError, match="at least two"):
        merge(folders[:1], tmp_path / "merged")
    with pytest.raises(UsageError, match="does not say what its clock showed"):
        merge([folders[0], folders[2]], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_process_of_the_fleet_is_there_once(tmp_path: Path) -> None:
    """The master has half of what its worker recorded; the worker's clock is 100 s ahead."""
    folders = [RunFolder.create(tmp_path / name) for name in "ab"]
    for folder, count in zip(folders, (2, 4), strict=True):
        writer = folder.writer("worker-1")
        for second in range(count):
            writer.write(HealthRecord(START_NS + (100 + second) * S, "load", 1.0, 1, 1))
        writer.close()
        folder.write_meta(clock={"monotonic_ns": START_NS, "utc": "2026-11-22T11:40:00Z"})
    folders[0].write_meta(fleet={"took_part": [{"process": "worker-1", "clock_offset_ns": 100 * S}]})
    merge(folders, tmp_path / "merged")
    health = read_frames(RunFolder.open(tmp_path / "merged"))["health"]
    assert ((health["t_ns"] - START_NS) // S).tolist() == [0, 1, 2, 3]
