"""Control groups of both versions, as their files tell it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from janusload.lab.limits import Hierarchy, Limits
from janusload.server import cgroup
from janusload.server.cgroup import ControlGroups, CpuReading, MemoryReading, groups_of


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def groups(version: int, mount: Path, own: Path) -> ControlGroups:
    return ControlGroups({name: Hierarchy(name, version, mount, own) for name in ("memory", "cpu", "pids")})


def test_version_2_with_the_limit_further_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vm = write(tmp_path / "sys" / "vm", dirty_ratio="20\n", dirty_bytes="0\n")
    monkeypatch.setattr(cgroup, "_VM", vm)
    stat = "anon 100\nfile 900\nfile_dirty 30\nfile_writeback 4\nslab 50\nslab_unreclaimable 20\n"
    stat += "kernel_stack 7\nsock 3\nkernel 80\n"
    limited = write(
        tmp_path / "box",
        memory__max="2000\n",
        memory__current="1300\n",
        memory__stat=stat,
        memory__events="low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n",
        memory__swap__current="0\n",
        cpu__max="8000 100000\n",
        cpu__stat="usage_usec 1\nnr_periods 10\nnr_throttled 4\n",
        pids__max="90\n",
    )
    own = write(limited / "janus", memory__max="max\n", cpu__max="max 100000\n", pids__max="max\n")
    found = groups(2, tmp_path, own)
    # 1600 bytes are there for page cache
    assert found.memory() == MemoryReading(1300, 2000, 100, 900, 30, 4, 3, 50, 20, 7, 80, 0, 12, 1, 320)
    # a soft limit below it is where the kernel begins to hold the group up
    write(own, memory__high="1500\n", memory__current="1200\n", memory__stat=stat, memory__events="high 5\nmax 0\n")
    soft = found.memory()
    assert (soft.limit_bytes, soft.used_bytes, soft.limit_hits, soft.dirty_limit_bytes) == (1500, 1200, 5, 240)
    write(own, memory__high="max\n")
    # in bytes, of a machine with 2 MB to give
    write(vm, dirty_ratio="0\n", dirty_bytes="512000\n")
    write(tmp_path, meminfo="MemTotal: 9000 kB\nMemAvailable:    2000 kB\n")
    assert found.memory().dirty_limit_bytes == 400
    assert found.cpu() == CpuReading(8.0, 10, 4)
    assert found.threads_limit() == 90
    # its own quota is the larger one
    write(own, cpu__max="400000 100000\n", cpu__stat="nr_periods 10\nnr_throttled 0\n")
    assert found.cpu() == CpuReading(8.0, 10, 4)


def test_version_1(tmp_path: Path) -> None:
    own = write(
        tmp_path / "janus",
        memory__limit_in_bytes="67108864\n",
        memory__usage_in_bytes="500\n",
        memory__stat="cache 1\ntotal_cache 400\ntotal_rss 60\ntotal_dirty 8\ntotal_writeback 2\ntotal_swap 0\n",
        memory__failcnt="77\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
        memory__kmem__usage_in_bytes="40\n",
        memory__kmem__tcp__usage_in_bytes="5\n",
        cpu__cfs_quota_us="5000\n",
        cpu__cfs_period_us="100000\n",
        cpu__stat="nr_periods 3\nnr_throttled 1\nthrottled_time 9\n",
    )
    found = groups(1, tmp_path, own)
    expected = MemoryReading(500, 67108864, 60, 400, 8, 2, 5, None, None, None, 40, 0, 77, 0)
    assert found.memory() == expected
    assert found.cpu() == CpuReading(5.0, 3, 1)
    assert found.threads_limit() is None


def test_no_limit_and_files_that_are_not_there_or_make_no_sense(tmp_path: Path) -> None:
    own = write(
        tmp_path / "janus",
        memory__limit_in_bytes="9223372036854771712\n",
        memory__usage_in_bytes="nonsense",
        memory__stat="total_rss\n\n garbage garbage garbage\ntotal_cache x\n",
        cpu__cfs_quota_us="-1\n",
    )
    assert groups(1, tmp_path, own).memory() == MemoryReading()
    assert groups(1, tmp_path, own).cpu() == CpuReading()
    assert ControlGroups({}).memory() == MemoryReading()


def test_a_process_that_is_moved_is_followed() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        groups = ControlGroups(groups_of(process.pid), process.pid)
        assert groups.cpu().limit_percent is None
        limits = Limits(cpu_percent=20)
        try:
            limits.take(process.pid)
            assert groups.cpu().limit_percent == pytest.approx(20)
            limits.release()
            assert groups.cpu().limit_percent is None
        finally:
            process.communicate()
            limits.close()


def test_one_that_is_being_killed_is_not_followed_into_the_root_group() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        limits = Limits(cpu_percent=20)
        try:
            limits.take(process.pid)
            groups = ControlGroups(groups_of(process.pid), process.pid)
            before = groups.facts
            process.kill()
            # not waited for yet, it is there with no group of its own
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert groups.cpu().limit_percent == pytest.approx(20) and groups.facts == before
        finally:
            process.wait()
            limits.close()


def test_the_groups_of_this_machine_are_found() -> None:
    assert "memory" in groups_of(os.getpid())
    assert groups_of(999_999_999) == {}
