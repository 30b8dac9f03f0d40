"""The Janus process as the kernel sees it, sampled from outside.

A process is told by its number and by when it began: a number that has passed on to another process is a process that
is gone. What cannot be seen (too few rights, another kernel) is unknown, and is said once.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from janusload.records import Record, ServerRecord
from janusload.server.bounded import Bounded
from janusload.server.cgroup import ControlGroups, CpuReading, MemoryReading, groups_of
from janusload.server.sockets import UdpSocket, descriptors, tcp_unread_bytes, udp_sockets
from janusload.server.threads import ThreadTable, ThreadWatch

#: what one collector is given; together they run side by side
WITHIN_S = 0.4
#: reading the threads takes at most this share of the time
_THREADS_SHARE = 0.1

#: CPU and throttling are told over this time at least, however often somebody looks
_OVER_NS = 900_000_000

T = TypeVar("T")

_TICKS = os.sysconf("SC_CLK_TCK")


class Observation(NamedTuple):
    """What was seen at one moment.

    Attributes:
        server: the process.
        threads: its threads; None if they could not be read (in time).
    """

    server: ServerRecord
    threads: ThreadTable | None

    def records(self) -> list[Record]:
        threads = self.threads.records() if self.threads is not None else []
        return [self.server, *threads]


class _Basics(NamedTuple):
    state: str
    cpu_s: float
    rss_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    threads: int | None
    written_bytes: int | None


class _Open(NamedTuple):
    fds: int
    sockets: list[UdpSocket]
    unread_bytes: int | None
    recordings: frozenset[str]


class ProcessWatch:
    """One `Observation` per `sample`; call it about once a second.

    Args:
        pid: the Janus process.
        recordings: the folder whose file system is watched; None to take that of what it has open for recording.

    Attributes:
        cannot_see: what stays unknown, in words, as it is found out.
        late: collector -> how often it did not answer in time.
        groups: its control groups.
    """

    def __init__(self, pid: int, recordings: Path | None = None) -> None:
        self.pid = pid
        self.cannot_see: set[str] = set()
        self._recordings = recordings
        self._born = _born(pid)
        self._cpu: deque[tuple[int, float]] = deque(maxlen=16)
        self._periods: deque[tuple[int, tuple[int, int]]] = deque(maxlen=16)
        self._threads_due = 0.0
        self.groups = ControlGroups(groups_of(pid), pid)
        self._thread_watch = ThreadWatch(pid)
        self._basics = Bounded("process", self._read_basics, within_s=WITHIN_S)
        self._memory = Bounded("memory", self.groups.memory, within_s=WITHIN_S)
        self._quota = Bounded("cpu quota", self.groups.cpu, within_s=WITHIN_S)
        self._open = Bounded("descriptors", self._read_open, within_s=WITHIN_S)
        self._disk = Bounded("disk", self._read_disk, within_s=WITHIN_S)
        self._threads = Bounded("threads", self._read_threads, within_s=WITHIN_S)
        self.sample()

    @property
    def late(self) -> Counter[str]:
        return Counter({each.name: each.late for each in self._collectors if each.late})

    @property
    def _collectors(self) -> tuple[Bounded[object], ...]:
        return (self._basics, self._memory, self._quota, self._open, self._disk, self._threads)  # type: ignore[return-value]

    def sample(self) -> Observation:
        """The process now; where it is gone with an empty state, and whether the kernel has killed for memory."""
        collectors = self._collectors
        for each in collectors:
            if each is not self._threads or time.monotonic() >= self._threads_due:
                each.ask()
        now_ns = time.monotonic_ns()
        until = time.monotonic() + WITHIN_S
        basics = self._basics.answer(until)
        memory = self._memory.answer(until) or MemoryReading()
        quota = self._quota.answer(until) or CpuReading()
        opened = self._open.answer(until)
        disk = self._disk.answer(until)
        threads = self._threads.answer(until)
        state = basics.state if basics is not None else _state(self.pid, self._born)
        if state in ("", "Z", "X"):
            gone = ServerRecord(now_ns, None, None, None, None, None, None, None, "", oom_kills=memory.oom_kills)
            return Observation(gone, None)
        self._note(opened, threads)
        worst = max(opened.sockets, key=lambda each: each.drops, default=None) if opened else None
        fds_limit, threads_limit = _limits(self.pid)  # prlimit(1) may have changed them
        record = ServerRecord(
            t_ns=now_ns,
            cpu_percent=self._cpu_percent(now_ns, basics),
            throttled_share=self._throttled_share(now_ns, quota),
            rss_bytes=basics.rss_bytes if basics else None,
            anon_bytes=basics.anon_bytes if basics else None,
            file_bytes=basics.file_bytes if basics else None,
            threads=basics.threads if basics else None,
            fds=opened.fds if opened else None,
            state=state,
            fds_limit=fds_limit,
            threads_limit=_least(threads_limit, self.groups.threads_limit()),
            written_bytes=basics.written_bytes if basics else None,
            cpu_limit_percent=quota.limit_percent,
            cgroup_bytes=memory.used_bytes,
            cgroup_limit_bytes=memory.limit_bytes,
            cgroup_anon_bytes=memory.anon_bytes,
            cgroup_file_bytes=memory.file_bytes,
            cgroup_dirty_bytes=memory.dirty_bytes,
            cgroup_writeback_bytes=memory.writeback_bytes,
            cgroup_sock_bytes=memory.sock_bytes,
            cgroup_slab_bytes=memory.slab_bytes,
            cgroup_slab_unreclaimable_bytes=memory.slab_unreclaimable_bytes,
            cgroup_kernel_stack_bytes=memory.kernel_stack_bytes,
            cgroup_swap_bytes=memory.swap_bytes,
            limit_hits=memory.limit_hits,
            oom_kills=memory.oom_kills,
            udp_drops=sum(each.drops for each in opened.sockets) if opened else None,
            udp_queued_bytes=sum(each.queued_bytes for each in opened.sockets) if opened else None,
            udp_worst_port=worst.port if worst is not None and worst.drops else None,
            disk_free_bytes=disk[0] if disk else None,
            disk_bytes=disk[1] if disk else None,
            cgroup_kernel_bytes=memory.kernel_bytes,
            cgroup_dirty_limit_bytes=memory.dirty_limit_bytes,
            tcp_unread_bytes=opened.unread_bytes if opened else None,
        )
        return Observation(record, threads)

    def alive(self) -> bool:
        """Whether it is still the process that it was."""
        return _state(self.pid, self._born) not in ("", "Z", "X")

    def close(self) -> None:
        """Let the collectors end; one that hangs ends with this process."""
        for each in self._collectors:
            each.close()
        self._thread_watch.close()

    def _read_basics(self) -> _Basics:
        state, cpu_s = "", 0.0
        fields = _stat(self.pid)
        if fields is not None and fields[19] == self._born:
            state, cpu_s = fields[0], (int(fields[11]) + int(fields[12])) / _TICKS
        status = _status(self.pid)
        return _Basics(
            state,
            cpu_s,
            status.get("VmRSS"),
            status.get("RssAnon"),
            status.get("RssFile"),
            status.get("Threads"),
            _written(self.pid),
        )

    def _read_open(self) -> _Open:
        found = descriptors(self.pid)
        inodes = found.socket_inodes
        return _Open(found.open, udp_sockets(self.pid, inodes), tcp_unread_bytes(self.pid, inodes), found.recordings)

    def _read_disk(self) -> tuple[int, int] | None:
        folder = self._recordings
        if folder is None:
            return None
        try:
            # as the process sees it: it may live in a root of its own
            facts = os.statvfs(Path(f"/proc/{self.pid}/root") / folder.relative_to("/"))
        except (OSError, ValueError):
            facts = os.statvfs(folder)
        return facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize

    def _read_threads(self) -> ThreadTable:
        began = time.monotonic()
        table = self._thread_watch.read(time.monotonic_ns())
        # thousands of threads take their time; then they are looked at less often
        self._threads_due = began + (time.monotonic() - began) / _THREADS_SHARE - WITHIN_S
        return table

    def _note(self, opened: _Open | None, threads: ThreadTable | None) -> None:
        if opened is None and "Permission" in self._open.error:
            self.cannot_see.add("file descriptors and UDP drops (takes root or the user of Janus)")
        if opened is not None and self._recordings is None and opened.recordings:
            self._recordings = Path(min(opened.recordings))
        if threads is not None and threads.blind:
            self.cannot_see.add("what threads wait for (takes root or the user of Janus)")
        if "memory" not in self.groups.facts:
            self.cannot_see.add("memory of the control group")

    def _cpu_percent(self, now_ns: int, basics: _Basics | None) -> float | None:
        if basics is None:
            return None
        before = _since(self._cpu, now_ns)
        self._cpu.append((now_ns, basics.cpu_s))
        if before is None:
            return None
        return max(0.0, 100.0 * (basics.cpu_s - before[1]) / ((now_ns - before[0]) / 1e9))

    def _throttled_share(self, now_ns: int, quota: CpuReading) -> float | None:
        if quota.periods is None or quota.throttled is None:
            return None
        now = quota.periods, quota.throttled
        before = _since(self._periods, now_ns)
        self._periods.append((now_ns, now))
        if before is None or now[0] <= before[1][0]:
            return None if before is None else 0.0
        return min(1.0, (now[1] - before[1][1]) / (now[0] - before[1][0]))


def _since(history: Sequence[tuple[int, T]], now_ns: int) -> tuple[int, T] | None:
    """The latest entry that is old enough to be compared with: over less time a quota's periods would show."""
    old = [entry for entry in history if now_ns - entry[0] >= _OVER_NS]
    return old[-1] if old else (history[0] if history and now_ns > history[0][0] else None)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; the name before it may hold anything, parentheses included."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 20 else None


def _born(pid: int) -> str:
    """When the process began, in ticks since boot (field 22); empty if there is none."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def _state(pid: int, born: str) -> str:
    """One letter; empty if the process is gone, `?` if nobody can look, as without a descriptor."""
    try:
        fields = _stat(pid)
    except OSError:
        return "?"
    return fields[0] if fields is not None and fields[19] == born else ""


def _status(pid: int) -> dict[str, int]:
    """Numbers of /proc/PID/status, memory in bytes."""
    found: dict[str, int] = {}
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return found
    for line in text.splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdigit():
            found[key] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found


def _written(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/io").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("write_bytes: "):
            return int(line.split()[1])
    return None


def _limits(pid: int) -> tuple[int | None, int | None]:
    """Soft limits on descriptors and on the threads of its user; None where it has none or it cannot be seen."""
    try:
        fds = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
        threads = resource.prlimit(pid, resource.RLIMIT_NPROC)[0]
        root = Path(f"/proc/{pid}").stat().st_uid == 0
    except (OSError, ValueError):
        return None, None
    none = resource.RLIM_INFINITY
    return None if fds == none else fds, None if threads == none or root else threads


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
