"""Warned ahead: when will the disk of the recordings be full.

Janus goes on then. Its log has some lines about frames of files that it is writing; of files of 0 bytes, of the rest of
those that were cut, and of a mix whose header is right and whose audio is not there it says nothing (seen on 1.1.2).
"""

from __future__ import annotations

from collections import deque

from janusload.records import ServerRecord, StorageRecord

#: what is looked back at, and the least of it from which a rate is told
_WINDOW_S = 10.0
_LEAST_S = 4.0
#: further away than this, a full disk is no warning yet
_HORIZON_S = 600.0
#: less than this is full: a stream's buffer of 4096 bytes does not fit for every recording
FULL_BYTES = 100_000
_MB = 1e6


class SpaceWatch:
    """Looks at the readings of each second; says each thing once, and again after there was room."""

    def __init__(self) -> None:
        self._written: deque[tuple[int, int]] = deque()
        self._warned = False
        self._said_full = False

    def look(self, server: ServerRecord, storage: StorageRecord) -> str | None:
        """A sentence when there is something new to warn of, else None."""
        free = server.disk_free_bytes
        if free is None or not storage.files:
            return None
        self._written.append((storage.t_ns, storage.file_bytes))
        while storage.t_ns - self._written[0][0] > _WINDOW_S * 1e9:
            self._written.popleft()
        if free < FULL_BYTES:
            if self._said_full:
                return None
            self._said_full = True
            return "disk: the disk of the recordings is full. Janus goes on, and what it records now is lost"
        self._said_full = False
        first_ns, first = self._written[0]
        seconds = (storage.t_ns - first_ns) / 1e9
        rate = (storage.file_bytes - first) / seconds if seconds >= _LEAST_S else 0.0
        left_s = free / rate if rate > 0 else float("inf")
        if left_s > 2 * _HORIZON_S:
            self._warned = False
        if self._warned or left_s > _HORIZON_S:
            return None
        self._warned = True
        return (
            f"disk: recordings grow by {rate / _MB:.2f} MB/s and {free / _MB:.0f} MB are free: their disk is full in "
            f"about {left_s:.0f} s. Janus will go on, and what it records then is lost"
        )
