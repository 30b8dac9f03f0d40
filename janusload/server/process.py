"""The Janus process as the kernel sees it, sampled from outside."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from janusload.records import ServerRecord


class ProcessWatch:
    """One `ServerRecord` per `sample`; call it about once a second.

    Args:
        pid: the Janus process.
        cpu_stat: the `cpu.stat` of its control group, if it has a CPU quota.
    """

    def __init__(self, pid: int, cpu_stat: Path | None = None) -> None:
        self._pid = pid
        self._cpu_stat = cpu_stat
        self._process: psutil.Process | None = None
        self._periods: tuple[int, int] | None = None
        try:
            self._process = psutil.Process(pid)
            self._process.cpu_percent()
        except psutil.Error:
            self._process = None
        self._throttled_share()

    def sample(self) -> ServerRecord:
        """The process now; with an empty state and nothing else where it is gone."""
        now_ns = time.monotonic_ns()
        gone = ServerRecord(now_ns, None, None, None, None, None, None, None, "")
        if self._process is None:
            return gone
        try:
            with self._process.oneshot():
                state = _state(self._pid)
                cpu_percent = self._process.cpu_percent()
                rss_bytes = self._process.memory_info().rss
                threads = self._process.num_threads()
                fds = self._process.num_fds()
            anon_bytes, file_bytes = _rss_split(self._pid)
        except (psutil.Error, OSError, ValueError, IndexError):
            return gone
        if state in "ZX":
            return gone
        return ServerRecord(
            now_ns, cpu_percent, self._throttled_share(), rss_bytes, anon_bytes, file_bytes, threads, fds, state
        )

    def _throttled_share(self) -> float | None:
        if self._cpu_stat is None:
            return None
        try:
            words = dict(line.split() for line in self._cpu_stat.read_text().splitlines())
            now = int(words["nr_periods"]), int(words["nr_throttled"])
        except (OSError, ValueError, KeyError):
            return None
        before, self._periods = self._periods, now
        if before is None or now[0] <= before[0]:
            return None if before is None else 0.0
        return (now[1] - before[1]) / (now[0] - before[0])


def _state(pid: int) -> str:
    """The one-letter state in /proc/PID/stat; the name before it may hold anything, parentheses included."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _rss_split(pid: int) -> tuple[int | None, int | None]:
    """Resident anonymous and file-backed memory in bytes (/proc/PID/status)."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("RssAnon", "RssFile"):
            found[key] = int(value.split()[0]) * 1024
    return found.get("RssAnon"), found.get("RssFile")
