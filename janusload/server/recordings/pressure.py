"""Warned ahead: when will a memory limit be full of pages that wait for a disk which is too slow.

A limit that is full of page cache is harmless as long as the disk keeps up, and nothing counts that up until it is too
late (janus-facts, Appendix B4: 17 s after the recordings began there was no answer any more, failcnt 194). What can be
known before is arithmetic: how fast recordings grow, how fast the disk takes them, and how much of the limit is left.

Control groups of version 2 let only a share of the page cache wait (vm.dirty_ratio of it). Beyond that the kernel slows
every writer of the group down to the disk: earlier, and less bad, for not all that needs memory has to wait.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

from janusload.records import ServerRecord, StorageRecord

#: what is looked back at
_WINDOW_S = 10.0
#: what of that a rate is taken from, and the least that must have been seen
_RATE_S = 5.0
_LEAST_S = 4.0
#: pages on their way to the disk, as a share of the limit, that say that writers wait for them; and pages that wait in
#: any way, as a share of those that may on version 2
_HELD_UP = 0.25
_HELD_UP_OF_DIRTY = 0.75
_HELD_UP_S = 3.0
#: said once more if what is left is this much less than was said before
_SOONER = 0.6
#: further away than this, a full limit is no warning yet
_HORIZON_S = 600.0
#: what measuring the disk may take and write
_MEASURE_S = 1.0
_MEASURE_BYTES = 8 * 2**20
_PIECE_BYTES = 256 * 1024
_MB = 1e6


class _Reading(NamedTuple):
    t_ns: int
    written: int
    waiting: int
    writeback: int


class PressureWatch:
    """Looks at the readings of each second; says each thing once, and again what comes much sooner than was said.

    Args:
        disk_bytes_per_s: what the recordings' disk takes, where it was measured. Where it was not, or has become slower
            since, that is learnt from the readings once the kernel writes pages back all the time, which is later.
    """

    def __init__(self, disk_bytes_per_s: float | None = None) -> None:
        self._disk = disk_bytes_per_s
        self._readings: deque[_Reading] = deque()
        self._held_since_ns: int | None = None
        self._said_at_s: list[float] = []  # when it was warned ahead
        self._full_at_s = 0.0  # as was said then
        self._said_held = False

    def look(self, server: ServerRecord, storage: StorageRecord) -> str | None:
        """A sentence when there is something new to warn of, else None."""
        limit = server.cgroup_limit_bytes
        if limit is None or server.cgroup_dirty_bytes is None or server.cgroup_writeback_bytes is None:
            return None
        waiting = server.cgroup_dirty_bytes + server.cgroup_writeback_bytes
        now = _Reading(server.t_ns, storage.file_bytes, waiting, server.cgroup_writeback_bytes)
        self._readings.append(now)
        while now.t_ns - self._readings[0].t_ns > _WINDOW_S * 1e9:
            self._readings.popleft()
        return self._held_up(now, limit, server.cgroup_dirty_limit_bytes) or self._ahead(now, limit, server)

    def _held_up(self, now: _Reading, limit: int, may_wait: int | None) -> str | None:
        held = now.writeback >= _HELD_UP * limit if not may_wait else now.waiting >= _HELD_UP_OF_DIRTY * may_wait
        if not held:
            self._held_since_ns = None
            self._said_held = False
            return None
        if self._held_since_ns is None:
            self._held_since_ns = now.t_ns
        if self._said_held or now.t_ns - self._held_since_ns < _HELD_UP_S * 1e9:
            return None
        self._said_held = True
        if may_wait:
            return (
                f"memory: {now.waiting / _MB:.0f} MB wait for a disk that is too slow, of {may_wait / _MB:.0f} MB that "
                f"may in the limit of {limit / _MB:.0f} MB: whatever writes is slowed down to the disk"
            )
        return (
            f"memory: {now.writeback / _MB:.0f} of {limit / _MB:.0f} MB are on their way to a disk that is too slow: "
            "whatever writes waits for it, and the API waits with it"
        )

    def _ahead(self, now: _Reading, limit: int, server: ServerRecord) -> str | None:
        first = self._readings[0]
        seconds = (now.t_ns - first.t_ns) / 1e9
        if seconds < _LEAST_S:
            return None
        if seconds >= _WINDOW_S - 1 and all(reading.writeback for reading in self._readings):
            taken = max(0.0, (now.written - first.written - (now.waiting - first.waiting)) / seconds)
            self._disk = taken if self._disk is None else min(self._disk, taken)
        # how fast it comes is known from the last seconds: it grows while people come
        since = next(each for each in self._readings if now.t_ns - each.t_ns <= _RATE_S * 1e9)
        seconds = (now.t_ns - since.t_ns) / 1e9
        if seconds <= 0 or self._disk is None:
            return None
        written = max(0, now.written - since.written) / seconds
        if written <= self._disk * 1.1:
            return None
        # the kernel begins to write only when the limit or 30 s are reached: until then pages wait as fast as they come
        growth = max((now.waiting - since.waiting) / seconds, written - self._disk)
        firm = (server.cgroup_anon_bytes or 0) + (server.cgroup_sock_bytes or 0)
        may_wait = server.cgroup_dirty_limit_bytes
        room = _HELD_UP_OF_DIRTY * may_wait if may_wait else limit - firm
        left_s = max(0.0, room - now.waiting) / growth
        now_s = now.t_ns / 1e9
        if left_s > _HORIZON_S or len(self._said_at_s) == 2:
            return None
        # once more, if people came one after the other and it is much sooner now
        if self._said_at_s and (
            now_s - self._said_at_s[0] < _WINDOW_S / 2 or left_s > _SOONER * (self._full_at_s - now_s)
        ):
            return None
        self._said_at_s.append(now_s)
        self._full_at_s = now_s + left_s
        then = (
            f"the {room / _MB:.0f} MB that may wait in the limit of {limit / _MB:.0f} MB do, and whatever writes is "
            "slowed down to the disk"
            if may_wait
            else f"the limit of {limit / _MB:.0f} MB is full of pages that wait, and Janus stops answering"
        )
        return (
            f"memory: recordings grow by {written / _MB:.2f} MB/s and their disk takes {self._disk / _MB:.2f} MB/s: in "
            f"about {left_s:.0f} s {then}. It needs a faster disk, less recording, or (for a while) a higher limit"
        )


def disk_speed(folder: Path) -> float | None:
    """What the disk under a folder takes of written data, bytes per second; None where it cannot be written to.

    Writes a file of its own for at most about a second and removes it, so only where janusload owns the folder.
    """
    path = folder / f".janusload-{os.getpid()}.tmp"
    piece = os.urandom(_PIECE_BYTES)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        written, began_s = 0, time.monotonic()
        while written < _MEASURE_BYTES and time.monotonic() - began_s < _MEASURE_S:
            written += os.write(fd, piece)
            os.fdatasync(fd)
        return written / (time.monotonic() - began_s)
    except OSError:
        return None
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)
