"""The control groups of a process: what memory is charged to them, and what they are not allowed.

Version 1 or 2, whichever holds the controller; in a container the group's own path may be invisible, then what is
mounted is taken for it. A limit counts where it is set: it may be on a group further up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from janusload.lab.limits import Hierarchy, hierarchies

_VM = Path("/proc/sys/vm")
#: version 1 writes "no limit" as the largest page-aligned number
_NO_LIMIT = 1 << 62

#: of /proc/PID/stat, counted from what follows the name
_FLAGS = 6
_PF_EXITING = 0x4

#: field of `MemoryReading` -> its names in memory.stat, of version 2 and of version 1
_STAT = {
    "anon_bytes": ("anon", "total_rss"),
    "file_bytes": ("file", "total_cache"),
    "dirty_bytes": ("file_dirty", "total_dirty"),
    "writeback_bytes": ("file_writeback", "total_writeback"),
    "slab_bytes": ("slab", ""),
    "slab_unreclaimable_bytes": ("slab_unreclaimable", ""),
    "kernel_stack_bytes": ("kernel_stack", ""),
}


class MemoryReading(NamedTuple):
    """Memory of the group that limits the process, or of its own group where none does; unknown is None."""

    used_bytes: int | None = None
    limit_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    dirty_bytes: int | None = None
    writeback_bytes: int | None = None
    sock_bytes: int | None = None
    slab_bytes: int | None = None
    slab_unreclaimable_bytes: int | None = None
    kernel_stack_bytes: int | None = None
    kernel_bytes: int | None = None
    swap_bytes: int | None = None
    limit_hits: int | None = None
    oom_kills: int | None = None
    dirty_limit_bytes: int | None = None


class CpuReading(NamedTuple):
    """CPU quota in percent of one core (None without one) and the periods since the group began."""

    limit_percent: float | None = None
    periods: int | None = None
    throttled: int | None = None


class ControlGroups:
    """The groups of one process.

    Args:
        groups: controller -> its group; `groups_of` finds them.
        pid: the process; where it is moved to other groups, these are looked at from then on. None: it never is.

    Attributes:
        facts: controller -> which group and which version, for a report.
    """

    def __init__(self, groups: Mapping[str, Hierarchy], pid: int | None = None) -> None:
        self._pid = pid
        self._where = "" if pid is None else _read(Path(f"/proc/{pid}/cgroup"))
        self._settle(groups)

    def _settle(self, groups: Mapping[str, Hierarchy]) -> None:
        self.facts = {name: f"version {each.version}, {each.own}" for name, each in groups.items()}
        self._memory = groups.get("memory")
        self._cpu = groups.get("cpu")
        self._pids = groups.get("pids")

    def _follow(self) -> None:
        if self._pid is None:
            return
        where = _read(Path(f"/proc/{self._pid}/cgroup"))
        # one that is being killed is said to be in the root group (version 1): for as long as a thread of it hangs in
        # the kernel, the whole machine's memory would be taken for its own
        if where and where != self._where and not _is_ending(self._pid):
            self._where = where
            self._settle(groups_of(self._pid))

    def memory(self) -> MemoryReading:
        self._follow()
        if self._memory is None:
            return MemoryReading()
        version = self._memory.version
        # above memory.high the kernel holds a group up as it does at its limit
        limit_files = ("memory.max", "memory.high") if version == 2 else ("memory.limit_in_bytes",)
        group, limit = _tightest(self._memory, *limit_files)
        stat = _pairs(group / "memory.stat")
        split = {name: stat.get(names[0 if version == 2 else 1]) for name, names in _STAT.items()}
        if version == 2:
            events = _pairs(group / "memory.events")
            used = _number(group / "memory.current")
            return MemoryReading(
                used_bytes=used,
                limit_bytes=limit,
                sock_bytes=stat.get("sock"),
                kernel_bytes=stat.get("kernel"),
                swap_bytes=_number(group / "memory.swap.current"),
                limit_hits=events["max"] + events.get("high", 0) if "max" in events else None,
                oom_kills=events.get("oom_kill"),
                dirty_limit_bytes=_dirty_limit(limit, used, split["file_bytes"]),
                **split,
            )
        return MemoryReading(
            used_bytes=_number(group / "memory.usage_in_bytes"),
            limit_bytes=limit,
            sock_bytes=_number(group / "memory.kmem.tcp.usage_in_bytes"),
            kernel_bytes=_number(group / "memory.kmem.usage_in_bytes"),
            swap_bytes=stat.get("total_swap"),
            limit_hits=_number(group / "memory.failcnt"),
            oom_kills=_pairs(group / "memory.oom_control").get("oom_kill"),
            **split,
        )

    def cpu(self) -> CpuReading:
        self._follow()
        if self._cpu is None:
            return CpuReading()
        quotas = [(_quota(group, self._cpu.version), group) for group in upwards(self._cpu)]
        limits = [(quota, group) for quota, group in quotas if quota is not None]
        if not limits:
            return CpuReading()
        # each holds for all below it: the least counts
        quota, group = min(limits, key=lambda each: each[0])
        stat = _pairs(group / "cpu.stat")
        return CpuReading(quota, stat.get("nr_periods"), stat.get("nr_throttled"))

    def threads_limit(self) -> int | None:
        """The least `pids.max` on the way up; None without one."""
        self._follow()
        if self._pids is None:
            return None
        return _tightest(self._pids, "pids.max")[1]


def groups_of(pid: int) -> dict[str, Hierarchy]:
    """Controller -> the group of a process; those that this machine has and that can be seen."""
    groups: dict[str, Hierarchy] = {}
    for controller in ("memory", "cpu", "pids"):
        try:
            found = hierarchies(controller, process=Path(f"/proc/{pid}"))
        except (OSError, ValueError):
            continue
        if found:
            groups[controller] = found[0]
    return groups


def upwards(hierarchy: Hierarchy) -> Iterator[Path]:
    """The process's group and those that it lies in."""
    yield hierarchy.own
    for parent in hierarchy.own.parents:
        if not parent.is_relative_to(hierarchy.mount):
            return
        yield parent


def _tightest(hierarchy: Hierarchy, *names: str) -> tuple[Path, int | None]:
    """The group with the smallest limit on the way up, and that limit; its own group and None without any."""
    limits = [
        (value, group) for group in upwards(hierarchy) for name in names if (value := _number(group / name)) is not None
    ]
    limits = [(value, group) for value, group in limits if value < _NO_LIMIT]
    if not limits:
        return hierarchy.own, None
    value, group = min(limits, key=lambda each: each[0])
    return group, value


def _dirty_limit(limit: int | None, used: int | None, file: int | None) -> int | None:
    """How much of a group's page cache may wait for the disk, on version 2: then the kernel holds its writers up.

    vm.dirty_ratio, of what page cache could have within the limit (kernel, admin-guide/cgroup-v2, "Writeback").
    Version 1 knows no such thing: there, pages may wait until the limit is full of them.
    """
    if limit is None or used is None or file is None:
        return None
    percent = _number(_VM / "dirty_ratio")
    if percent:
        share = percent / 100
    else:  # vm.dirty_bytes is set instead, and means the whole machine
        whole = 1024 * _pairs(_VM.parents[1] / "meminfo", between=":").get("MemAvailable", 0)
        dirty_bytes = _number(_VM / "dirty_bytes")
        if not whole or dirty_bytes is None:
            return None
        share = min(1.0, dirty_bytes / whole)
    return round(share * max(0, limit - used + file))


def _quota(group: Path, version: int) -> float | None:
    if version == 2:
        words = _read(group / "cpu.max").split()
        if len(words) != 2 or not all(word.isdigit() for word in words):
            return None
        quota, period = map(int, words)
    else:
        quota, period = _number(group / "cpu.cfs_quota_us") or -1, _number(group / "cpu.cfs_period_us") or 0
    return 100.0 * quota / period if quota > 0 and period > 0 else None


def _pairs(path: Path, between: str = " ") -> Mapping[str, int]:
    pairs: dict[str, int] = {}
    for line in _read(path).splitlines():
        key, _, value = line.partition(between)
        value = value.removesuffix("kB").strip()
        if value.isdigit():
            pairs[key] = int(value)
    return pairs


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _is_ending(pid: int) -> bool:
    """Whether the process is in the middle of its exit (proc_pid_stat(5): `flags`, and PF_EXITING of linux/sched.h)."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return len(fields) <= _FLAGS or bool(int(fields[_FLAGS]) & _PF_EXITING)


def _read(path: Path) -> str:
    """A file of the control group; empty if it is not there (another version, or the group is gone)."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
